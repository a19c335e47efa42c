"""The pictures of the viewer in the README and the guide: a scripted session on the simulated disc.

    make screenshots

Needs a screen; without one the Makefile starts a virtual one. Pictures go to ``docs/pictures``.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QDockWidget

from napari_denoise.inspect.aperture import circle
from napari_denoise.side_by_side.window import window_of
from napari_denoise.volume.window import open_volume

os.environ["NAPARI_CONFIG"] = ""  # read when napari is imported, later: its settings would persist
warnings.simplefilter("ignore")

HERE = Path(__file__).resolve().parent / "pictures"
SIZE = (1500, 940)
CHANNEL = 26


def until(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    """Let the window work until something has happened."""
    end = time.monotonic() + seconds
    while not condition():
        QApplication.processEvents()
        if time.monotonic() > end:
            sys.exit("screenshots: it did not happen in time")
        time.sleep(0.01)


def settle(seconds: float = 1.0) -> None:
    """Let everything be drawn."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def opened(theme: str) -> tuple[Any, dict[str, Any]]:
    """A viewer with the sample and its result; the docks by name."""
    from napari_denoise.launch import open_viewer
    from napari_denoise.layers import entry_of
    from napari_denoise.samples import disc
    from napari_denoise.sky_view import add_beam

    viewer = open_viewer()
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    for data, options, _ in disc():
        add_beam(viewer, entry_of(viewer.add_image(data, **options)))
    docks = dict(viewer.window.dock_widgets)
    until(lambda: docks["Denoise"].study is not None)
    viewer.dims.set_current_step(0, CHANNEL)
    settle()
    viewer.reset_view()
    return viewer, docks


def front(dock: Any) -> None:
    """Bring a dock to the front of its tabs."""
    parent = dock
    while not isinstance(parent, QDockWidget):
        parent = parent.parent()
    parent.show()
    parent.raise_()
    settle()


def taken(viewer: Any, name: str, theme: str) -> None:
    """A picture of the whole window."""
    settle()
    viewer.screenshot(str(HERE / f"viewer-{name}-{theme}.png"), canvas_only=False, flash=False)


def window_taken(widget: Any, name: str, theme: str) -> None:
    """A picture of another window."""
    settle()
    widget.grab().save(str(HERE / f"viewer-{name}-{theme}.png"))


def main() -> None:
    """Both themes."""
    HERE.mkdir(exist_ok=True)
    app = QApplication.instance() or QApplication([])
    for theme in ("dark", "light"):
        session(theme)
    app.processEvents()


def session(theme: str) -> None:
    """The pictures of one theme."""
    viewer, docks = opened(theme)
    denoise, inspect, compare = (docks[name] for name in ("Denoise", "Inspect", "Compare"))
    denoise.preview.live.setChecked(True)
    until(lambda: "preview" in viewer.layers and denoise.preview.idle)
    taken(viewer, "preview", theme)
    denoise.run()
    until(lambda: denoise.job is None)
    name = denoise.method.name  # as it is suggested
    inspected(viewer, inspect)
    taken(viewer, "inspect", theme)
    viewer.layers.remove(inspect.drawn.layer)
    front(compare)
    compare.wipe.button.setChecked(True)
    taken(viewer, "wipe", theme)
    compare.wipe.button.setChecked(False)
    compare.trust.judge()
    until(lambda: compare.trust.job is None)
    points = viewer.layers[f"{name} regions"]
    viewer.dims.set_point(0, points.data_to_world(points.data[0])[0])
    taken(viewer, "regions", theme)
    viewer.dims.set_current_step(0, CHANNEL)
    viewer.layers.remove(f"{name} regions")
    viewer.layers.remove(f"{name} reliability")
    compare.trust.run("Check")
    until(lambda: compare.trust.job is None, 900)
    (study,) = compare.trust.windows
    window_taken(study, "check", theme)
    study.close()
    denoise.preview.all_methods()
    grid = window_of(viewer)
    until(lambda: not grid.running)
    window_taken(grid, "methods", theme)
    grid.close()
    volume = open_volume(viewer, viewer.layers["disc_simulated_noisy.fits"], viewer.layers[name])
    until(lambda: volume.scene is not None)
    settle(2)
    volume.viewer.screenshot(str(HERE / f"viewer-volume-{theme}.png"), canvas_only=False, flash=False)
    volume.close()
    viewer.layers.clear()
    settle()
    viewer.window._qt_window.hide()  # closed with the process: another window of it may be drawing


def inspected(viewer: Any, dock: Any) -> None:
    """An aperture on the source."""
    front(dock)
    until(lambda: dock.pair is not None and dock.pair.after is not None)
    dock.start_aperture("circle")
    side = dock.chosen.entry.world.matrix[1:, 1:]
    dock.drawn.show(circle((26.0, 55.0), 13 * abs(side[0, 0]), side))
    dock.drawn.moved.emit()
    until(lambda: dock.live.idle and dock.fits is not None)


if __name__ == "__main__":
    main()
