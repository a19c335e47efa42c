"""Open the viewer with files and the docks; what ``denoise view`` does."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

TITLE = "astro-denoise"


def open_viewer(
    paths: Sequence[str | Path] = (), reading: Mapping[str, Any] | None = None, *, show: bool = True
) -> Any:
    """A napari viewer with the layers of some files and our docks.

    Parameters
    ----------
    paths : sequence of path
        Cubes, images, or outputs of ``denoise run``.
    reading : mapping, optional
        Keywords of ``denoise.read`` for the first of them.
    show : bool
        Whether the window is shown now.

    Returns
    -------
    napari.viewer.Viewer

    Raises
    ------
    InputError, UsageError
        A file cannot be read; before a window appears.
    """
    # slices in threads of napari's own can deadlock with Qt where layers come and go (napari 0.9, PySide 6.10); a plane
    # is read in tens of milliseconds
    os.environ.setdefault("NAPARI_ASYNC", "0")
    from qtpy.QtCore import QTimer

    from napari_denoise.reader import layers_of_file
    from napari_denoise.sky_view import show_as_sky

    layers = [
        layer
        for number, path in enumerate(paths)
        for layer in layers_of_file(path, **(dict(reading or {}) if number == 0 else {}))
    ]
    import napari

    kinds = _docks()
    viewer = napari.Viewer(title=TITLE, show=show)
    _keep_out_of_the_garbage()
    show_as_sky(viewer)
    for data, kwargs, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    docks = _add(viewer, kinds)
    _look_at_the_middle(viewer)
    # once the window is there: napari's shapes take a second to import
    QTimer.singleShot(0, docks["Denoise"], partial(_add_beam, viewer))
    return viewer


def _add_beam(viewer: Any) -> None:
    """That of the first cube that has one."""
    from napari_denoise.layers import entry_of
    from napari_denoise.sky_view import add_beam

    for layer in list(viewer.layers):
        entry = entry_of(layer)
        if entry is not None:
            add_beam(viewer, entry)


def _keep_out_of_the_garbage() -> None:
    """What the libraries made by now stays until the end, and no layer is among it.

    To search these 300,000 objects for garbage stops the window for 0.2 s, now and then while the slider moves.
    """
    if not gc.get_freeze_count():
        gc.freeze()


def add_docks(viewer: Any) -> dict[str, Any]:
    """Our docks as tabs on the right: name and widget of each."""
    return _add(viewer, _docks())


def _docks() -> dict[str, Any]:
    """Name and class of each."""
    from napari_denoise.compare.dock import CompareDock
    from napari_denoise.inspect.dock import InspectDock
    from napari_denoise.provenance_dock import ProvenanceDock
    from napari_denoise.run.dock import DenoiseDock

    return {
        "Denoise": DenoiseDock,
        "Inspect": InspectDock,
        "Compare": CompareDock,
        "Provenance": ProvenanceDock,
    }


def _add(viewer: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    from qtpy.QtCore import QTimer

    widgets = {name: kind(viewer) for name, kind in kinds.items()}
    docks = [
        viewer.window.add_dock_widget(widget, name=name, area="right", tabify=True)
        for name, widget in widgets.items()
    ]
    QTimer.singleShot(0, docks[0], docks[0].raise_)  # once the tabs are there
    return widgets


def run(paths: Sequence[str | Path], reading: Mapping[str, Any] | None = None) -> None:
    """Open the viewer and stay until it is closed."""
    import napari

    open_viewer(paths, reading)
    napari.run()


def _look_at_the_middle(viewer: Any) -> None:
    """The whole field, in the middle channel."""
    viewer.reset_view()
    if viewer.dims.ndim > 2:
        viewer.dims.set_current_step(0, viewer.dims.nsteps[0] // 2)
