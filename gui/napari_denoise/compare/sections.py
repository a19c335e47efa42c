"""The parts of the Compare dock that compare two layers in the viewer: blink, wipe, contrast, difference."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from denoise.cube import Cube
from denoise.errors import DenoiseError, UsageError
from denoise.noise import NoiseModel
from napari_denoise.compare.blink import Blink
from napari_denoise.compare.comparison import DifferenceInSigma, check_units, input_of, known_noise
from napari_denoise.compare.pair import NoiseWait, Pair
from napari_denoise.compare.wipe import Line
from napari_denoise.compare.wipe_layer import LINKED, WipeLayer
from napari_denoise.layers import Entry, LayerData, layer_of
from napari_denoise.panel import Message, heading

_LIMIT = 5.0  # sigma, of the colours of a difference
_LINES: tuple[Line, Line] = ("vertical", "horizontal")
_SIDES = {"vertical": "left of the line: A, right: B", "horizontal": "below the line: A, above: B"}


class Section(QWidget):
    """A part of the dock with a heading; what it cannot do is said in the dock's line.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    pair : Pair
        The two layers.
    message : Message
        The dock's line.
    title : str
        Of the part.
    """

    def __init__(self, viewer: Any, pair: Pair, message: Message, title: str) -> None:
        super().__init__()
        self.viewer = viewer
        self.pair = pair
        self.message = message
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.addWidget(heading(title))

    def entries(self, *, units: bool = True) -> tuple[Entry, Entry] | None:
        """What A and B show; None, and a line why, where they cannot be compared."""
        try:
            found = self.pair.checked(units=units)
        except DenoiseError as err:
            self.message.error(str(err))
            return None
        self.message.say("")
        return found

    def row(self, *widgets: QWidget) -> None:
        """Widgets side by side; the last takes the room that is left."""
        line = QHBoxLayout()
        for widget in widgets:
            line.addWidget(widget)
        line.setStretch(len(widgets) - 1, 1)
        self.column.addLayout(line)


def spin(low: float, high: float, value: float, step: float, suffix: str) -> QDoubleSpinBox:
    """A box for a number with its unit."""
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setDecimals(1)
    box.setValue(value)
    box.setSuffix(suffix)
    return box


class BlinkSection(Section):
    """Blink A and B."""

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "Blink")
        self.blink = Blink(viewer, self)
        self.button = QPushButton("Blink")
        self.button.setCheckable(True)
        self.button.setToolTip("Show A and B in turn; all other images are hidden meanwhile")
        self.rate = spin(0.2, 10.0, 2.0, 0.5, " per s")
        self.rate.setToolTip("Changes a second")
        self.shown = QLabel("")
        self.shown.setMinimumWidth(1)
        self.row(self.button, self.rate, self.shown)
        self.button.toggled.connect(self._toggled)
        self.rate.valueChanged.connect(self.blink.set_rate)
        self.blink.stopped.connect(self._stopped)
        self.blink.turned.connect(self._turned)
        pair.changed.connect(self.blink.stop)

    def _toggled(self, on: bool) -> None:
        if not on:
            self.blink.stop()
        elif self.entries(units=False) is None:
            self.button.setChecked(False)
        else:
            self.blink.start(*self.pair.layers, self.rate.value())

    def _turned(self, layer: Any) -> None:
        self.shown.setText("A" if layer is self.pair.first.layer else "B")

    def _stopped(self) -> None:
        self.shown.setText("")
        self.button.setChecked(False)


class WipeSection(Section):
    """A on one side of a line, B on the other."""

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "Wipe")
        self.wipe = WipeLayer(viewer, self)
        self.button = QPushButton("Wipe")
        self.button.setCheckable(True)
        self.line = QComboBox()
        self.line.addItems(["vertical line", "horizontal line"])
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(50)
        self.slider.setToolTip("Share of A; the line can be dragged in the picture too")
        self.share = QLabel("50 %")
        self.share.setMinimumWidth(self.share.fontMetrics().horizontalAdvance("100 %") + 4)
        self.sides = QLabel(_SIDES["vertical"])
        self.row(self.button, self.line)
        self.row(self.share, self.slider)
        self.column.addWidget(self.sides)
        self._connect()

    def _connect(self) -> None:
        self.button.toggled.connect(self._toggled)
        self.slider.valueChanged.connect(self._slid)
        self.line.currentIndexChanged.connect(self._turned)
        self.wipe.moved.connect(self._dragged)
        self.wipe.stopped.connect(lambda: self.button.setChecked(False))
        self.pair.changed.connect(self.wipe.stop)

    def _toggled(self, on: bool) -> None:
        if not on:
            self.wipe.stop()
            return
        found = self.entries(units=False)
        if found is None:
            self.button.setChecked(False)
            return
        self.wipe.start(self.pair.layers, found, self.slider.value() / 100, _LINES[self.line.currentIndex()])

    def _slid(self, value: int) -> None:
        self.share.setText(f"{value} %")
        self.wipe.move(value / 100)

    def _dragged(self, share: float) -> None:
        # the line stays where the hand is: the slider's whole per cents do not move it
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * share))
        self.slider.blockSignals(False)
        self.share.setText(f"{round(100 * share)} %")

    def _turned(self, index: int) -> None:
        self.sides.setText(_SIDES[_LINES[index]])
        self.wipe.turn(_LINES[index])


class ContrastSection(Section):
    """The same limits, colours and gamma for A and B."""

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "Contrast")
        self.box = QCheckBox("Same limits, colours and gamma for A and B")
        self.column.addWidget(self.box)
        self._linked: tuple[Any, Any] | None = None
        self.box.toggled.connect(self._toggled)
        pair.changed.connect(lambda: self.box.setChecked(False))
        viewer.layers.events.removed.connect(self._removed)
        self.destroyed.connect(lambda: viewer.layers.events.removed.disconnect(self._removed))

    def _toggled(self, on: bool) -> None:
        if not on:
            self._unlink()
            return
        found = self.entries()
        if found is None:
            self.box.setChecked(False)
            return
        first, second = self._linked = self.pair.layers
        for name in ("contrast_limits_range", *LINKED):
            setattr(second, name, getattr(first, name))
        self.viewer.layers.link_layers([first, second], LINKED)

    def _unlink(self) -> None:
        if self._linked is not None:
            pair, self._linked = self._linked, None
            self.viewer.layers.unlink_layers(pair, LINKED)

    def _removed(self, event: Any) -> None:
        if self._linked is not None and event.value in self._linked:
            self.box.setChecked(False)


class DifferenceSection(Section):
    """A - B in sigma of the input."""

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "Difference")
        self.button = QPushButton("A − B in sigma")
        self.button.setToolTip("A layer of the difference over the noise of the input, from −5 to 5 sigma")
        self.column.addWidget(self.button)
        self.wait = NoiseWait(viewer, self)
        self.wait.waiting.connect(lambda: message.say("Measuring the noise of the input first …"))
        self.wait.failed.connect(message.error)
        self.button.clicked.connect(self.make)
        pair.changed.connect(self.wait.forget)

    def make(self) -> None:
        """Add the layer, now or when the noise is known."""
        found = self.entries()
        if found is None:
            return
        names = tuple(layer.name for layer in self.pair.layers)
        source, noise = input_of(*found), known_noise(*found)
        if noise is not None:
            self._add(found, names, noise)
        elif source is None:
            self.message.error(
                "the noise of these layers' input is not known; open the input and choose it as A or B"
            )
        else:
            self.wait.when_known(source, lambda study: self._add(found, names, study.noise))

    def _add(self, entries: tuple[Entry, Entry], names: tuple[str, ...], noise: NoiseModel) -> None:
        self.message.say("")
        try:
            data, options, _ = difference_layer(entries, names, noise)
        except DenoiseError as err:
            self.message.error(str(err))
            return
        self.viewer.add_image(data, **options)


def difference_layer(entries: tuple[Entry, Entry], names: tuple[str, ...], noise: NoiseModel) -> LayerData:
    """The layer of (A - B) / sigma, computed plane by plane when it is shown.

    Parameters
    ----------
    entries : pair of Entry
        What A and B show: cubes of one shape (channel, y, x) and unit.
    names : pair of str
        Of the layers.
    noise : NoiseModel
        Of the input, in the same unit.

    Raises
    ------
    UsageError
        The noise is that of another cube, or the units differ.
    """
    first, second = entries
    check_units(first, second)
    if noise.shape != first.cube.shape:
        raise UsageError(
            "the noise is that of another cube",
            value=noise.shape,
            action="choose the cube it was measured on as A",
        )
    pixels = DifferenceInSigma(first.cube, second.cube, noise)
    cube: Cube = first.cube.without_unit().with_pixels(pixels, noise=None)
    name = f"{names[0]} − {names[1]}, difference in sigma"
    source = input_of(first, second)
    return layer_of(cube, name, "difference", limits=(-_LIMIT, _LIMIT), world=first.world, source=source)
