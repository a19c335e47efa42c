"""Results of several methods side by side in a widget; a click puts one into the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from denoise.errors import UsageError
from napari_denoise.compare.comparison import part_of
from napari_denoise.layers import LayerData, entry_of, layer_of
from napari_denoise.side_by_side.figure import MethodsFigure, Shown, height_for
from napari_denoise.side_by_side.outcomes import INPUT, Outcome, run_methods
from napari_denoise.studies import Study
from napari_denoise.theme import colours_of
from napari_denoise.world import World

__all__ = ["INPUT", "Outcome", "PreviewGrid", "Shown", "layer_of_outcome", "run_methods", "show_all"]

_DPI = 96
_PAUSE = 40  # ms after a change of size or a new result: several are drawn at once


class PreviewGrid(QWidget):
    """A grid of panels: the input and what became of it.

    ``picked`` is emitted with the ``Outcome`` of the panel that was clicked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme is followed.
    parent : QWidget, optional
    """

    picked = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._canvas = FigureCanvasQTAgg(Figure(dpi=_DPI))  # type: ignore[no-untyped-call]
        self._canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._canvas.mpl_connect("button_press_event", self._pressed)
        self._canvas.mpl_connect("motion_notify_event", self._hovered)
        self.picture = MethodsFigure(self._canvas.figure)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self._canvas)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._area)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.draw)
        viewer.events.theme.connect(self._later)
        self.destroyed.connect(lambda: viewer.events.theme.disconnect(self._later))

    def begin(self, shown: Shown) -> None:
        """Empty panels for what is to come."""
        self.picture.begin(shown)
        self._later()

    def add(self, outcome: Outcome) -> None:
        """Show an outcome in its panel."""
        index = self.picture.add(outcome)
        # the first decides the shape of the panels and their stretch
        if index <= 0 or self._timer.isActive() or not self.picture.drawn:
            self._later()
            return
        self.picture.draw_panel(index, colours_of(self._viewer.theme))
        self._canvas.draw_idle()  # type: ignore[no-untyped-call]

    def draw(self) -> None:
        """Draw now."""
        ratio = float(self._canvas.device_pixel_ratio)
        width = self._area.viewport().width() / _DPI
        room = self._area.viewport().height() / _DPI
        needed = height_for(self.picture.grid(width, room))
        self._canvas.setMinimumHeight(int(needed * _DPI) if needed > room else 0)
        self._canvas.figure.set_dpi(_DPI * ratio)
        self._canvas.figure.set_size_inches(width, max(needed, room), forward=False)
        self.picture.draw(colours_of(self._viewer.theme))
        self._canvas.draw_idle()  # type: ignore[no-untyped-call]

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for about nine panels."""
        return QSize(940, 660)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Lay the panels out again."""
        super().resizeEvent(event)
        self._later()

    def _later(self, _event: Any = None) -> None:
        self._timer.start()

    def _pressed(self, event: Any) -> None:
        outcome = self.picture.outcome_at(event.inaxes)
        if outcome is not None and outcome.result is not None:
            self.picked.emit(outcome)

    def _hovered(self, event: Any) -> None:
        outcome = self.picture.outcome_at(event.inaxes)
        able = outcome is not None and outcome.result is not None
        self._canvas.setCursor(Qt.CursorShape.PointingHandCursor if able else Qt.CursorShape.ArrowCursor)


def layer_of_outcome(outcome: Outcome, world: World) -> LayerData:
    """The layer of a result, at its place in the field.

    Parameters
    ----------
    outcome : Outcome
    world : World
        Of the whole cube.

    Raises
    ------
    UsageError
        The method failed: there is no result.
    """
    cube = outcome.cube
    if cube is None:
        raise UsageError(
            "this method gave no result", value=outcome.error, action="mend what it says, and run it again"
        )
    return layer_of(
        cube,
        f"{outcome.label}, part",
        "display" if outcome.display else "denoised",
        world=part_of(world, outcome.region, image=cube.is_image),
        source=outcome.source,
        result=outcome.result,
        options=outcome.options,
    )


def show_all(
    viewer: Any, layer: Any, study: Study, box: tuple[slice, slice], channel: int, methods: Sequence[str] = ()
) -> None:
    """Run methods with their default parameters on a box, in the viewer's window for that.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
        One of ours: the input.
    study : Study
        Of the input.
    box : pair of slice
        Rows and columns; of a larger one its middle is taken, see ``compare.comparison.viewed_region``.
    channel : int
        That is shown.
    methods : sequence of str, optional
        None given: all.
    """
    from napari_denoise.methods import known_methods
    from napari_denoise.side_by_side.window import task_of, window_of

    entry = entry_of(layer)
    if entry is None:
        raise UsageError(
            "this layer is not a cube of ours", value=layer.name, action="open the file with denoise view"
        )
    corners = np.array([[s.start for s in box], [s.stop - 1 for s in box]])
    names = tuple(methods) or tuple(known_methods())
    task = task_of(layer, entry.cube, entry.world, names, channel=channel, corners=corners)
    window_of(viewer).run(task, study)
