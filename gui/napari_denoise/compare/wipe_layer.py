"""The wipe in the viewer: a layer of two halves, a line between them, and a hand that moves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_denoise.compare.wipe import Cut, Line, cut_line, cut_of, wiped
from napari_denoise.layers import Entry, same_choice
from napari_denoise.lazy import planes

LINKED = ("contrast_limits", "colormap", "gamma")
_PAUSE = 30  # ms between two pictures while the cut moves
_REACH = 8  # pixels of the screen: so near the line a drag moves it
_THIN = 250  # line widths across the field
_LINE = "#2ec4f1"


class WipeLayer(QObject):
    """Layer "wipe: A | B" with its line; takes both away in the end.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject, optional
    """

    moved = Signal(float)  # share of the first, when the line was dragged
    stopped = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._first: Any = None
        self._second: Any = None
        self._image: Any = None
        self._line: Any = None
        self._pixels: tuple[Any, Any] = (None, None)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._draw)

    @property
    def running(self) -> bool:
        """Whether the layer is there."""
        return self._image is not None

    @property
    def image(self) -> Any:
        """The layer, or None."""
        return self._image

    def start(self, layers: tuple[Any, Any], entries: tuple[Entry, Entry], share: float, line: Line) -> None:
        """Make the layer.

        Parameters
        ----------
        layers, entries : pair
            A and B, and what they show; one shape, one place.
        share : float
            Of A, 0 to 1.
        line : {"vertical", "horizontal"}
            The cut.
        """
        self.stop()
        self._first, self._second = layers
        self._world, self._shape = entries[0].world, entries[0].cube.shape
        pair = [planes(one.cube, image=one.world.image) for one in entries]
        self._pixels = (pair[0], pair[1])
        self._cut: Cut = cut_of(self._world, self._shape, line)
        self._share = share
        with same_choice(self._viewer):
            self._add_image()
            self._add_line()
        self._viewer.layers.events.removed.connect(self._removed)
        self._viewer.mouse_drag_callbacks.append(self._drag)

    def move(self, share: float) -> None:
        """Move the cut; pictures that are overtaken are not made."""
        self._share = share
        if self.running and not self._timer.isActive():
            self._timer.start()

    def turn(self, line: Line) -> None:
        """Cut the other way."""
        if self.running:
            self._cut = cut_of(self._world, self._shape, line)
            self._draw()

    def stop(self) -> None:
        """Take the layers away."""
        if not self.running:
            return
        self._timer.stop()
        self._viewer.layers.events.removed.disconnect(self._removed)
        self._viewer.mouse_drag_callbacks.remove(self._drag)
        self._viewer.layers.unlink_layers([self._first, self._image], LINKED)
        gone, self._image, self._line = (self._image, self._line), None, None
        for layer in gone:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._first = self._second = None
        self._pixels = (None, None)
        self.stopped.emit()

    def _add_image(self) -> None:
        self._image = self._viewer.add_image(
            wiped(*self._pixels, self._cut, self._share),
            name=f"wipe: {self._first.name} | {self._second.name}",
            contrast_limits=self._first.contrast_limits,
            colormap=self._first.colormap,
            gamma=self._first.gamma,
            **self._world.placed(),
        )
        self._viewer.layers.link_layers([self._first, self._image], LINKED)

    def _add_line(self) -> None:
        flat = replace(self._world, image=True)
        self._line = self._viewer.add_shapes(
            [cut_line(self._cut, self._shape, self._share)],
            shape_type="line",
            edge_width=max(self._shape[1:]) / _THIN,
            edge_color=_LINE,
            name="wipe line",
            **flat.placed(),
        )

    def _draw(self) -> None:
        if self.running:
            self._image.data = wiped(*self._pixels, self._cut, self._share)
            self._line.data = [cut_line(self._cut, self._shape, self._share)]

    def _removed(self, event: Any) -> None:
        if event.value in (self._first, self._second, self._image, self._line):
            self.stop()

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """A drag that begins at the line moves it; any other moves the view as always."""
        if not self.running or viewer.dims.ndisplay != 2 or not self._near(event.position):
            return
        viewer.scene.camera.mouse_pan = False
        yield
        while event.type == "mouse_move":
            self._share = self._cut.share(self._world.pixel(event.position)[self._cut.axis])
            self.move(self._share)
            self.moved.emit(self._share)
            yield
        viewer.scene.camera.mouse_pan = True

    def _near(self, position: Any) -> bool:
        pixel = self._world.pixel(position)[self._cut.axis]
        size = abs(self._world.matrix[1:, self._cut.axis]).max()
        return bool(
            abs(pixel - self._cut.edge(self._share)) * size * self._viewer.scene.camera.zoom <= _REACH
        )
