"""How an output was made, from what its file records; and the same run again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QHBoxLayout, QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem

from denoise.cli.rerun import beside, find_input, recorded_options, same_pixels
from denoise.cube import Cube, Provenance, read, read_provenance
from denoise.engine import RunOptions
from denoise.errors import DenoiseError
from napari_denoise.jobs import Job
from napari_denoise.layers import layer_of
from napari_denoise.panel import LayerChoice, Panel, heading
from napari_denoise.run.runs import run_live
from napari_denoise.run.settings import command_line, recipe_of
from napari_denoise.run.summary import result_line, time_left

_LONG = 200  # letters of a value that are shown


class ProvenanceDock(Panel):
    """The record of a denoised layer, and its run again.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.layer = LayerChoice(viewer, ("denoised", "display"))
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["", ""])
        self.tree.setHeaderHidden(True)
        self.tree.setMinimumHeight(320)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.rerun_button, self.cancel_button = QPushButton("Rerun"), QPushButton("Cancel")
        self.rerun_button.setToolTip(
            "The same run on the same input; the new layer is compared with this one"
        )
        self.command_button = QPushButton("Copy command")
        self.recipe_button = QPushButton("Copy recipe")
        self.job: Job | None = None
        self._lay_out()
        self.layer.chosen.connect(self.show_record)
        self.rerun_button.clicked.connect(self.rerun)
        self.cancel_button.clicked.connect(self.cancel)
        self.command_button.clicked.connect(lambda: self._copy(command_line))
        self.recipe_button.clicked.connect(lambda: self._copy(_recipe))
        self.show_record(self.layer.layer)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.rerun_button, self.cancel_button, self.command_button, self.recipe_button):
            buttons.addWidget(button)
        self.cancel_button.setEnabled(False)
        self.body.addWidget(heading("How this was made"))
        self.body.addWidget(self.layer)
        self.body.addWidget(self.tree)
        self.body.addLayout(buttons)

    def record(self) -> Provenance | None:
        """What is recorded of the chosen layer: of its file, or of the run of this session."""
        entry = self.layer.entry
        if entry is None:
            return None
        if entry.result is not None:
            found: Provenance = entry.result.provenance
            return found
        return None if entry.cube.path is None else read_provenance(entry.cube.path)

    def show_record(self, _layer: Any = None) -> None:
        """Fill the tree."""
        self.tree.clear()
        try:
            record = self.record()
        except DenoiseError as err:
            self.message.error(str(err))
            record = None
        for button in (self.rerun_button, self.command_button, self.recipe_button):
            button.setEnabled(record is not None and self.job is None)
        if record is None:
            return
        for title, values in (("Science: what fixes the numbers", record.science), ("Run", record.run)):
            self.tree.addTopLevelItem(_branch(title, values))
        self.tree.expandAll()

    def _settings(self) -> tuple[Path, RunOptions, dict[str, Any]]:
        """Input, options and reading of the recorded run.

        Raises
        ------
        InputError
            The input is not there or has changed; the record is not one of a run.
        """
        record, entry = self.record(), self.layer.entry
        assert record is not None and entry is not None  # noqa: PT018 - buttons are off otherwise
        done = entry.cube.path or Path(record.run.get("input", entry.cube.name))
        options, reading = recorded_options(record, done, overwrite=False)
        source = find_input(record, done, None)
        return source, options, beside(source, reading)

    def _copy(self, text_of: Any) -> None:
        try:
            text = text_of(*self._settings())
        except DenoiseError as err:
            self.message.error(str(err))
            return
        QApplication.clipboard().setText(text)
        self.message.say(f"Copied: {text}")

    def rerun(self) -> None:
        """Run it again into a layer of its own."""
        layer = self.layer.layer
        try:
            source, options, reading = self._settings()
        except DenoiseError as err:
            self.message.error(str(err))
            return
        entry = self.layer.entry
        assert entry is not None
        self.job = job = Job(partial(_again, source, options, reading, entry.cube), lasts=True)
        job.progressed.connect(lambda event: self.message.say(time_left(event)))
        job.done.connect(partial(self._done, layer, options))
        job.failed.connect(self._ended)
        job.cancelled.connect(lambda: self._ended("Cancelled; nothing was kept"))
        self.rerun_button.setEnabled(False)
        self.cancel_button.setEnabled(True)
        job.start()

    def cancel(self) -> None:
        """Stop within a tile."""
        if self.job is not None:
            self.job.cancel()

    def _done(self, layer: Any, options: RunOptions, found: tuple[Any, bool]) -> None:
        result, same = found
        self._ended("")
        data, kwargs, _ = layer_of(
            result.cube,
            f"{layer.name} again",
            "display" if result.display else "denoised",
            limits=tuple(layer.contrast_limits),
            source=result.input,
            result=result,
            options=options,
        )
        self.viewer.add_image(data, **kwargs)
        self.message.say(f"{result_line(result)}\nThe data {'are identical' if same else 'differ'}.")

    def _ended(self, text: str) -> None:
        self.job = None
        self.cancel_button.setEnabled(False)
        self.rerun_button.setEnabled(True)
        self.message.say(text, "error" if text and not text.startswith("Cancelled") else "note")


def _again(
    source: Path, options: RunOptions, reading: dict[str, Any], before: Cube, job: Job
) -> tuple[Any, bool]:
    """The run again, and whether its data are those of `before`."""
    result = run_live(read(source, **reading), options, reading, job)
    return result, same_pixels(before, result.cube)


def _recipe(source: Path, options: RunOptions, reading: dict[str, Any]) -> str:
    return recipe_of(source, options, reading)


def _branch(title: str, values: Any) -> QTreeWidgetItem:
    branch = QTreeWidgetItem([title])
    for name, value in dict(values).items():
        text = str(value)
        item = QTreeWidgetItem([name.replace("_", " "), text if len(text) <= _LONG else f"{text[:_LONG]}…"])
        item.setToolTip(1, text)
        branch.addChild(item)
    return branch
