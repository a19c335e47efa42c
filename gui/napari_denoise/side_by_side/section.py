"""The part of the Compare dock that runs several methods on what is in view."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QSpinBox

from denoise.cube import Cube
from denoise.errors import DenoiseError, UsageError
from denoise.methods import MethodInfo
from napari_denoise.compare.comparison import CONTEXT, SIDE, input_of
from napari_denoise.compare.pair import NoiseWait, Pair
from napari_denoise.compare.sections import Section
from napari_denoise.layers import Entry, entry_of
from napari_denoise.methods import known_methods, title_of
from napari_denoise.panel import Message
from napari_denoise.side_by_side.window import GridWindow, Task, task_of, window_of
from napari_denoise.studies import Study

# ticked at first: quick, and of different kinds
_FIRST = ("ist", "pca", "smooth", "unet")
_RUN = "Run on the view"


class MethodsSection(Section):
    """Boxes for the methods; a window shows what they make of the part of the cube in view.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    pair : Pair
        The input is that of A, or of B.
    message : Message
        The dock's line.
    """

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "Methods side by side")
        self.boxes = {name: _box(info) for name, info in known_methods().items()}
        grid = QGridLayout()
        for index, box in enumerate(self.boxes.values()):
            grid.addWidget(box, index // 2, index % 2)
        self.column.addLayout(grid)
        self.context = QSpinBox()
        self.context.setRange(0, 200)
        self.context.setValue(CONTEXT)
        self.context.setPrefix("± ")
        self.context.setSuffix(" channels")
        self.context.setToolTip("Neighbours of the shown channel that the methods see")
        self.button = QPushButton(_RUN)
        self.button.setToolTip(f"At most {SIDE} x {SIDE} pixels around the middle of the view")
        self.row(QLabel("Context"), self.context)
        self.row(self.button)
        self._window: GridWindow | None = None
        self.button.clicked.connect(self._clicked)
        self.wait = NoiseWait(viewer, self)
        self.wait.waiting.connect(lambda: message.say("Measuring the noise of the input first …"))
        self.wait.failed.connect(message.error)

    @property
    def running(self) -> bool:
        """Whether methods are at work."""
        return self._window is not None and self._window.running

    def methods(self) -> tuple[str, ...]:
        """The ticked ones."""
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    def run(self) -> None:
        """Run the ticked methods on the view, now or when the noise is known."""
        try:
            task = self._asked()
        except DenoiseError as err:
            self.message.error(str(err))
            return
        self.message.say("")
        self.wait.when_known(task.cube, lambda study: self._start(task, study))

    def _clicked(self) -> None:
        if self._window is not None and self.running:
            self._window.cancel()
        else:
            self.run()

    def _asked(self) -> Task:
        layer, entry, cube = self._input()
        methods = self.methods()
        if not methods:
            raise UsageError("no method is ticked", action="tick one or more")
        channel = entry.world.channel(self.viewer.dims.point)
        # in 3D there is no such box
        corners = layer.corner_pixels[:, -2:] if self.viewer.dims.ndisplay == 2 else None
        return task_of(
            layer, cube, entry.world, methods, channel=channel, corners=corners, context=self.context.value()
        )

    def _input(self) -> tuple[Any, Entry, Cube]:
        """The layer whose view counts, what it shows, and the input of it."""
        for layer in self.pair.layers:
            entry = entry_of(layer)
            cube = None if entry is None else input_of(entry)
            if entry is not None and cube is not None and cube.shape == entry.cube.shape:
                return layer, entry, cube
        raise UsageError("there is no input to run methods on", action="open a cube and choose it as A")

    def _start(self, task: Task, study: Study) -> None:
        self.message.say("")
        if self._window is None:
            self._window = window_of(self.viewer)
            self._window.ended.connect(lambda: self.button.setText(_RUN))
        self._window.run(task, study)
        self.button.setText("Cancel")


def _box(info: MethodInfo) -> QCheckBox:
    box = QCheckBox(title_of(info))
    box.setToolTip(f"<p>{info.summary}</p>")
    box.setChecked(info.name in _FIRST)
    return box
