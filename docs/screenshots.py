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

os.environ["NAPARI_CONFIG"] = ""
os.environ.setdefault("NAPARI_ASYNC", "1")
warnings.simplefilter("ignore")

from qtpy.QtWidgets import QApplication

HERE = Path(__file__).resolve().parent / "pictures"
SIZE = (1500, 940)
CHANNEL = 30


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


def show(viewer: Any, dock: Any) -> None:
    """Bring a dock to the front."""
    parent = dock
    while parent is not None and not hasattr(parent, "raise_") or type(parent).__name__ != "QtViewerDockWidget":
        parent = parent.parent()
    parent.raise_()
    settle()


def main() -> None:
    HERE.mkdir(exist_ok=True)
    app = QApplication.instance() or QApplication([])
    for theme in ("dark", "light"):
        session(theme)
    app.processEvents()


def session(theme: str) -> None:
    """The pictures of one theme."""
    viewer, docks = opened(theme)
    docks["Denoise"].preview.live.setChecked(True)
    until(lambda: "preview" in viewer.layers and docks["Denoise"].preview.idle)
    settle()
    viewer.screenshot(str(HERE / f"viewer-preview-{theme}.png"), canvas_only=False)
    docks["Denoise"].run()
    until(lambda: docks["Denoise"].job is None)
    show(viewer, docks["Inspect"])
    settle(2)
    viewer.screenshot(str(HERE / f"viewer-inspect-{theme}.png"), canvas_only=False)
    viewer.close()


if __name__ == "__main__":
    main()
