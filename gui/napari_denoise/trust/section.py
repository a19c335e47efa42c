"""The part of the Compare dock that asks what a result is worth: check, compare, tune, and how real its regions are."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QProgressBar, QPushButton

from denoise.cube import Cube
from denoise.engine import ProgressEvent, RunOptions
from denoise.errors import DenoiseError, UsageError
from napari_denoise.compare.comparison import input_of
from napari_denoise.compare.pair import Pair
from napari_denoise.compare.sections import Section
from napari_denoise.jobs import Job
from napari_denoise.layers import KEY, Entry
from napari_denoise.methods import known_methods
from napari_denoise.panel import Message
from napari_denoise.run.summary import time_left
from napari_denoise.trust import study as trust
from napari_denoise.trust.regions import Catalogued, judge, jump, layers_of_judged
from napari_denoise.trust.window import StudyWindow

_STUDIES: dict[str, tuple[trust.Study, str]] = {
    "Check": (trust.check, "Put sources into this cube and see how much of their flux the method keeps"),
    "Compare": (trust.compare, "All methods on this cube, and which to take"),
    "Tune": (trust.tune, "Choose the parameters of the method on this cube"),
}


class TrustSection(Section):
    """Studies of the input of A and B, and the regions of the result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    pair : Pair
    message : Message
        The dock's line.
    """

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "What is it worth?")
        self.method = QComboBox()
        self.method.addItems([name for name, info in known_methods().items() if info.category == "denoiser"])
        self.buttons = {name: QPushButton(f"{name}…") for name in _STUDIES}
        for name, button in self.buttons.items():
            button.setToolTip(_STUDIES[name][1])
            button.clicked.connect(partial(self.run, name))
        self.regions = QPushButton("How real are the regions?")
        self.regions.setToolTip(
            "Denoise draws of the noise as the result was, and give each region its probability of being real"
        )
        self.cancel_button, self.progress, self.left = QPushButton("Cancel"), QProgressBar(), QLabel()
        self.row(QLabel("Method"), self.method)
        studies = QHBoxLayout()
        for button in self.buttons.values():
            studies.addWidget(button, 1)
        self.column.addLayout(studies)
        self.row(self.regions)
        self.row(self.cancel_button, self.progress)
        self.column.addWidget(self.left)
        self.windows: list[StudyWindow] = []
        self.job: Job | None = None
        self.regions.clicked.connect(self.judge)
        self.cancel_button.clicked.connect(self.cancel)
        pair.changed.connect(self._pair_changed)
        for layer in viewer.layers:
            self._follow(layer)
        viewer.layers.events.inserted.connect(self._inserted)
        self.destroyed.connect(lambda: viewer.layers.events.inserted.disconnect(self._inserted))
        self._idle()
        self._pair_changed()

    def run(self, name: str, _checked: bool = False) -> None:
        """Make a study of the input with the method in the box."""
        if self.job is not None:
            return
        try:
            entry, cube = self._input()
        except DenoiseError as err:
            self.message.error(str(err))
            return
        study, options = _STUDIES[name][0], self._options()
        self._start(
            Job(lambda job: study(cube, options, dict(entry.reading), job)), self._studied, f"{name} …"
        )

    def judge(self) -> None:
        """Find the regions of the result and how real they are."""
        if self.job is not None:
            return
        layer, entry = self._result()
        if entry is None:
            self.message.error(
                "there is no result to judge; run a method in the Denoise dock and choose it as B"
            )
            return
        self._start(Job(partial(judge, entry)), partial(self._judged, layer.name, entry), "Drawing noise …")

    def cancel(self) -> None:
        """Stop within a tile."""
        if self.job is not None:
            self.job.cancel()
            self.left.setText("stopping after this tile…")

    def _options(self) -> RunOptions:
        """The method in the box; with the parameters of the result, if that is what made it."""
        name = self.method.currentText()
        _, entry = self._result()
        known: RunOptions | None = None if entry is None else entry.options
        if known is not None and known.method == name and not known.then:
            return known.model_copy(update={"uncertainty": 0, "save": ("residual", "noise")})
        return RunOptions(method=name)

    def _input(self) -> tuple[Entry, Cube]:
        for entry in self.pair.entries:
            cube = None if entry is None else input_of(entry)
            if entry is not None and cube is not None:
                return entry, cube
        raise UsageError("there is no input to study", action="open a cube and choose it as A")

    def _result(self) -> tuple[Any, Entry | None]:
        """The layer of a result among B and A, and what it shows."""
        for layer, entry in zip(reversed(self.pair.layers), reversed(self.pair.entries), strict=True):
            if entry is not None and entry.role == "denoised":
                return layer, entry
        return None, None

    def _pair_changed(self) -> None:
        _, entry = self._result()
        options = None if entry is None else entry.options
        if options is not None and self.method.findText(options.method) >= 0:
            self.method.setCurrentText(options.method)

    def _start(self, job: Job, done: Any, text: str) -> None:
        self.job = job
        self.message.say("")
        self.left.setText(text)
        job.progressed.connect(self._progressed)
        job.done.connect(done)
        job.failed.connect(self._failed)
        job.cancelled.connect(partial(self._end, "Cancelled"))
        for widget in (*self.buttons.values(), self.regions):
            widget.setEnabled(False)
        self.progress.setRange(0, 0)
        for widget in (self.cancel_button, self.progress, self.left):
            widget.show()
        self.destroyed.connect(job.cancel)
        job.start()

    def _progressed(self, event: ProgressEvent) -> None:
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        self.left.setText(time_left(event))

    def _studied(self, finished: trust.Finished) -> None:
        window = StudyWindow(self.viewer, finished)
        self.windows.append(window)
        window.destroyed.connect(lambda: self.windows.remove(window) if window in self.windows else None)
        window.show()
        self._end(finished.sentence)

    def _judged(self, name: str, entry: Entry, judged: Any) -> None:
        image, points = layers_of_judged(judged, entry, name)
        self.viewer.add_image(image[0], **image[1])
        self.viewer.add_points(points[0], **points[1])
        count = len(judged.regions)
        self._end(
            f"{count} region{'' if count == 1 else 's'}; click one to go there"
            if count
            else "No region found"
        )

    def _inserted(self, event: Any) -> None:
        self._follow(event.value)

    def _follow(self, layer: Any) -> None:
        """A click on a region of a catalogue goes there."""
        if isinstance(layer.metadata.get(KEY), Catalogued):
            follow_clicks(self.viewer, layer, self.message)

    def _failed(self, text: str) -> None:
        self._idle()
        self.message.error(text)

    def _end(self, text: str) -> None:
        self._idle()
        self.message.say(text)

    def _idle(self) -> None:
        self.job = None
        for widget in (*self.buttons.values(), self.regions):
            widget.setEnabled(True)
        for widget in (self.cancel_button, self.progress, self.left):
            widget.hide()


def follow_clicks(viewer: Any, layer: Any, message: Message) -> None:
    """A click on a point shows its region and says what it is; dragging stays with the picture."""
    layer.mode = "pan_zoom"

    def clicked(points: Any, event: Any) -> None:
        index = points.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if index is not None:
            message.say(jump(viewer, points, int(index)))

    layer.mouse_drag_callbacks.append(clicked)
