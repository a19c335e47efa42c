"""Shapes drawn in the viewer: the aperture, and the cut of a position-velocity diagram."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_denoise.inspect.aperture import Aperture, Kind, circle, ellipse, point
from napari_denoise.layers import Entry

Floats = NDArray[np.float64]
APERTURE, CUT = "aperture", "cut"
_COLOUR = {APERTURE: "#00e5ff", CUT: "#7dff6b"}
_LATER = 40  # milliseconds
_SHARE = 0.08  # of the field: radius of a new aperture
_SHAPES = {"point": "rectangle", "circle": "ellipse", "ellipse": "ellipse", "polygon": "polygon"}


class DrawnLayer(QObject):
    """A Shapes layer with one shape, made when it is wanted; ``moved`` is emitted while the shape is dragged.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    name : str
        Of the layer.
    """

    moved = Signal()
    let_go = Signal()  # the end of a drag

    def __init__(self, viewer: Any, name: str) -> None:
        super().__init__()
        self.viewer = viewer
        self.name = name
        self.layer: Any = None
        self.entry: Entry | None = None
        self._seen: tuple[Any, ...] | None = None
        self._setting = False
        viewer.layers.events.removed.connect(self._on_removed)
        self.destroyed.connect(lambda: viewer.layers.events.removed.disconnect(self._on_removed))

    @property
    def shape(self) -> tuple[str, Floats] | None:
        """Type and vertices (n, 2), pixels (y, x), of the last shape."""
        if self.layer is None or not self.layer.data:
            return None
        return str(self.layer.shape_type[-1]), np.asarray(self.layer.data[-1], float)[:, -2:]

    def put(self, vertices: Floats, kind: str) -> None:
        """Replace what is drawn, without a word to anybody."""
        if self.layer is None:
            return
        self._setting = True
        try:
            self.layer.data = [(vertices, kind)]
            self._seen = self._state()
        finally:
            self._setting = False

    def ensure(self, entry: Entry) -> Any:
        """The layer, on the field of `entry`; another one where the field is another."""
        if self.layer is not None and self.entry is not None and self.entry.world is not entry.world:
            self.viewer.layers.remove(self.layer)
        self.entry = entry
        if self.layer is None:
            self.layer = self.viewer.add_shapes(
                ndim=2,
                name=self.name,
                edge_color=_COLOUR[self.name],
                face_color="transparent",
                edge_width=max(entry.cube.shape[1:]) / 220,
                **replace(entry.world, image=True).placed(),
            )
            self.layer.events.set_data.connect(self._on_change)
            self.layer.events.data.connect(self._on_data)
        return self.layer

    def select(self, mode: str) -> None:
        """Make it the active layer, in a mode of napari's, with its shape selected."""
        self.viewer.layers.selection.active = self.layer
        self.layer.mode = mode
        if mode in ("select", "direct") and self.layer.data:
            self.layer.selected_data = {len(self.layer.data) - 1}

    def _on_change(self, _event: Any = None) -> None:
        if self._setting or self.layer is None:
            return
        state = self._state()
        if state == self._seen or not self.layer.data:
            return
        self._seen = state
        if len(self.layer.data) > 1 and not getattr(self.layer, "_is_creating", False):
            QTimer.singleShot(0, self._keep_last)
        self.moved.emit()

    def _on_data(self, event: Any) -> None:
        self._on_change()
        if not self._setting and str(getattr(event, "action", "")) == "changed":
            self.let_go.emit()

    def _keep_last(self) -> None:
        """One shape: the one drawn last."""
        found = self.shape
        if found is not None and len(self.layer.data) > 1 and not self.layer._is_creating:
            self.put(found[1], found[0])
            self.select("select")

    def _state(self) -> tuple[Any, ...]:
        found = self.shape
        return () if found is None else (len(self.layer.data), found[0], found[1].tobytes())

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.layer, self._seen = None, None
            self.moved.emit()


class ApertureLayer(DrawnLayer):
    """The aperture: a pixel, a circle, an ellipse or a polygon."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, APERTURE)
        self.kind: Kind = "point"
        self._led: Aperture | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LATER)
        self._later.timeout.connect(self._draw_led)
        self.let_go.connect(lambda: QTimer.singleShot(0, self.settle))

    @property
    def aperture(self) -> Aperture | None:
        """What is drawn; None: nothing, or a line."""
        if self._led is not None:
            return self._led
        found = self.shape
        if found is None or found[0] in ("line", "path", "polyline"):
            return None
        kind, corners = found
        if kind == "ellipse":
            return Aperture("circle" if self.kind == "circle" else "ellipse", corners)
        return Aperture("point" if kind == "rectangle" and self.kind == "point" else "polygon", corners)

    def start(self, kind: Kind, entry: Entry) -> None:
        """A new aperture of this kind where the last one was, or in the middle of the view.

        A polygon is drawn by hand.
        """
        self.ensure(entry)
        before, self.kind = self.aperture, kind
        if kind == "polygon":
            self.select("add_polygon")
            return
        self.show(self._new(kind, self._seen_middle(entry) if before is None else before.centre, entry))
        self.select("select")
        self.moved.emit()

    def show(self, aperture: Aperture) -> None:
        """Draw an aperture."""
        self.kind = aperture.kind
        self.put(aperture.corners, _SHAPES[aperture.kind])

    def lead(self, aperture: Aperture) -> None:
        """Take an aperture now; `catch_up` has it drawn: its numbers come before a new picture of the image."""
        self._led = aperture

    def catch_up(self) -> None:
        """Draw the aperture that was taken, in a moment."""
        if self._led is not None and not self._later.isActive():
            self._later.start()

    def _draw_led(self) -> None:
        aperture, self._led = self._led, None
        if aperture is not None and self.layer is not None:
            self.show(aperture)

    def settle(self) -> None:
        """A circle that was stretched becomes a circle again."""
        found = self.aperture
        if found is None or found.kind != "circle" or self.entry is None:
            return
        round_ = found.rounded(self.entry.world.matrix[1:, 1:])
        if not np.allclose(np.sort(round_.corners, axis=0), np.sort(found.corners, axis=0), atol=0.01):
            self.show(round_)
            self.select("select")
            self.moved.emit()

    def _seen_middle(self, entry: Entry) -> Floats:
        """The middle of the view, or of the field where that lies outside it; pixel (y, x)."""
        size = np.array(entry.cube.shape[1:])
        seen = entry.world.pixel(self.viewer.scene.camera.center)[1:]
        return seen if ((seen >= 0) & (seen < size)).all() else (size - 1) / 2

    def _new(self, kind: Kind, centre: Floats, entry: Entry) -> Aperture:
        if kind == "point":
            return point(np.floor(centre + 0.5))
        matrix = entry.world.matrix[1:, 1:]
        size = max(2.0, _SHARE * min(entry.cube.shape[1:])) * float(np.sqrt(abs(np.linalg.det(matrix))))
        if kind == "circle":
            return circle(centre, size, matrix)
        return ellipse(centre, (0.6 * size, size), matrix)


class CutLayer(DrawnLayer):
    """The line, or path, of a position-velocity diagram."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, CUT)

    @property
    def vertices(self) -> Floats | None:
        """Of the line, pixels (y, x)."""
        found = self.shape
        return found[1] if found is not None and found[0] in ("line", "path", "polyline") else None

    def start(self, entry: Entry, centre: Floats | None = None) -> None:
        """A line along a row of pixels through `centre` (y, x), or the middle; to be dragged by its ends."""
        self.ensure(entry)
        high, wide = entry.cube.shape[1:]
        y, x = ((high - 1) / 2, (wide - 1) / 2) if centre is None else centre
        half = 0.25 * wide
        self.put(np.array([[y, max(0.0, x - half)], [y, min(wide - 1.0, x + half)]]), "line")
        self.select("direct")
        self.moved.emit()
