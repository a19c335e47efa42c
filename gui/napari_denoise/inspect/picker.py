"""Small widgets of the Inspect dock: which aperture, which channels, and where the viewer's slider is."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from denoise.report.labels import with_unit
from napari_denoise.inspect.aperture import KINDS, Kind
from napari_denoise.inspect.measure import Pair
from napari_denoise.layers import Entry

_NAMES = {"point": "Pixel", "circle": "Circle", "ellipse": "Ellipse", "polygon": "Polygon"}
_TIPS = {
    "point": "The spectrum of one pixel",
    "circle": "A circle on the sky: drag it, or its corners",
    "ellipse": "An ellipse: drag it, its corners, or the handle that turns it",
    "polygon": "Click the corners in the image, double-click at the last one",
}


class AperturePicker(QWidget):
    """A button for each kind of aperture, and "follow the pointer"; ``picked`` is emitted with a kind."""

    picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {kind: QPushButton() for kind in KINDS}
        group = QButtonGroup(self)
        row = QHBoxLayout()
        for kind, button in self.buttons.items():
            button.setText(_NAMES[kind])
            button.setToolTip(_TIPS[kind])
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _on, kind=kind: self.picked.emit(kind))
            group.addButton(button)
            row.addWidget(button)
        self.follow = QCheckBox("Follow the pointer")
        self.follow.setToolTip("The aperture moves with the pointer over the image")
        self.words = QLabel()
        self.words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.follow)
        layout.addWidget(self.words)

    def mark(self, kind: Kind) -> None:
        """Press the button of a kind."""
        self.buttons[kind].setChecked(True)


class ChannelRow(QWidget):
    """The chosen range of channels in words, and a button for all of them."""

    all_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.all = QPushButton("All")
        self.all.setToolTip("Drag on the spectrum to choose channels; double-click it for all of them")
        self.all.clicked.connect(self.all_wanted)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words, 1)
        layout.addWidget(self.all)

    def show_range(self, pair: Pair | None, channels: slice) -> None:
        """Say which channels are chosen."""
        self.setVisible(pair is not None and not pair.before.is_image)
        if pair is None:
            return
        size = channels.stop - channels.start
        every = size == pair.before.shape[0]
        self.all.setEnabled(not every)
        label = pair.spectral
        ends = sorted(float(label.values[i]) for i in (channels.start, channels.stop - 1))
        where = " to ".join(_coordinate(end, float(np.median(label.width))) for end in ends)
        names = f"All {size} channels" if every else f"Channels {channels.start + 1}–{channels.stop}"
        self.words.setText(f"{names}\n{with_unit(where, label.unit)}" if label.native is not None else names)


class ChannelSlider(QObject):
    """The viewer's slider along the channels of one cube; ``changed`` is emitted with the channel it shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    changed = Signal(int)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.entry: Entry | None = None
        viewer.dims.events.point.connect(self._on_point)
        self.destroyed.connect(lambda: viewer.dims.events.point.disconnect(self._on_point))

    @property
    def channel(self) -> int:
        """The channel shown."""
        if self.entry is None or self.viewer.dims.ndim < 3:
            return 0
        world = self.entry.world
        place = (self.viewer.dims.point[-3] - world.origin[0]) / world.matrix[0, 0]
        return int(np.clip(np.floor(place + 0.5), 0, self.entry.cube.shape[0] - 1))

    def take(self, entry: Entry | None) -> None:
        """Follow another cube."""
        self.entry = entry
        self.changed.emit(self.channel)

    def go(self, channel: int) -> None:
        """Show a channel."""
        if self.entry is None or self.viewer.dims.ndim < 3:
            return
        world = self.entry.world
        self.viewer.dims.set_point(self.viewer.dims.ndim - 3, world.origin[0] + channel * world.matrix[0, 0])

    def _on_point(self, _event: Any = None) -> None:
        self.changed.emit(self.channel)


def _coordinate(value: float, width: float) -> str:
    """With as many decimals as a channel's width needs."""
    decimals = int(np.clip(1 - np.floor(np.log10(width)), 0, 8)) if width > 0 else 3
    return f"{value:.{decimals}f}".replace("-", "−")
