"""The dock that denoises: choose a method, see it on a corner at once, run it on all, keep how it was done."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
)

from denoise.engine import ProgressEvent, RunOptions
from denoise.errors import DenoiseError
from napari_denoise.jobs import Job
from napari_denoise.layers import COLOURS, KEY, Entry, Role, layer_of
from napari_denoise.lazy import planes
from napari_denoise.panel import LayerChoice, Panel, heading
from napari_denoise.run.around import Around, MethodBox
from napari_denoise.run.filling import Filling
from napari_denoise.run.preview_box import PreviewBox
from napari_denoise.run.runs import fits_memory, run_live, run_to_file
from napari_denoise.run.settings import command_line, recipe_of, source_of
from napari_denoise.run.summary import result_line, study_lines, time_left
from napari_denoise.studies import Study, studies_of

INPUTS: tuple[Role, ...] = ("input",)
_REDRAW = 200  # ms between two drawings of a result that fills


class DenoiseDock(Panel):
    """Method, parameters, preview, run, recipe.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.studies = studies_of(viewer)
        self.job: Job | None = None
        self._running: Any = None  # the layer that fills
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAW)
        self._build()
        self._connect()
        self._source_chosen(self.source.layer)

    # what the dock is made of

    def _build(self) -> None:
        self.source = LayerChoice(self.viewer, INPUTS)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.method = MethodBox()
        self.around = Around()
        self.preview = PreviewBox(self.viewer, self.source, self.studies, self._checked, self.message)
        self.to_file = QCheckBox("Write to a file")
        self.run_button, self.cancel_button = QPushButton("Run"), QPushButton("Cancel")
        self.progress, self.left = QProgressBar(), QLabel()
        self.recipe_button, self.command_button = QPushButton("Save recipe…"), QPushButton("Copy command")
        self._lay_out()
        self._idle()

    def _lay_out(self) -> None:
        body = self.body
        upper = (self.source, self.facts, self.method, self.around, self.preview, heading("Run"))
        for widget in (heading("Input"), *upper):
            body.addWidget(widget)
        body.addLayout(_row(self.run_button, self.cancel_button, self.to_file))
        body.addWidget(self.progress)
        body.addWidget(self.left)
        body.addLayout(_row(self.recipe_button, self.command_button))

    def _connect(self) -> None:
        self.source.chosen.connect(self._source_chosen)
        self.studies.ready.connect(self._study_ready)
        self.studies.failed.connect(self._study_failed)
        for signal in (self.method.changed, self.around.changed):
            signal.connect(self.preview.look)
        self.run_button.clicked.connect(self._run_clicked)
        self.cancel_button.clicked.connect(self.cancel)
        self.recipe_button.clicked.connect(self._recipe_clicked)
        self.command_button.clicked.connect(self.copy_command)
        self._redraw.timeout.connect(self._draw_running)

    # the input and what is known of it

    @property
    def entry(self) -> Entry | None:
        """The chosen input."""
        return self.source.entry

    @property
    def study(self) -> Study | None:
        """What is known of it."""
        return None if self.entry is None else self.studies.of(self.entry.cube)

    def _source_chosen(self, _layer: Any) -> None:
        entry = self.entry
        self.run_button.setEnabled(entry is not None and self.job is None)
        self.facts.setText("Open a cube or an image (File, Open; or File, Open Sample)")
        if entry is None:
            return
        self.to_file.setChecked(not fits_memory(entry.cube))
        self._show_facts()
        self.studies.want(entry.cube)
        self.preview.look()

    def _show_facts(self) -> None:
        if self.entry is not None:
            self.facts.setText("\n".join(study_lines(self.entry.cube, self.study)))

    def _study_ready(self, cube: Any) -> None:
        if self.entry is not None and cube is self.entry.cube:
            self._show_facts()
            if self.study is not None:
                self.method.suggest(self.study.method)
            self.preview.look()

    def _study_failed(self, cube: Any, text: str) -> None:
        if self.entry is not None and cube is self.entry.cube:
            self.message.error(text)

    # what is asked for

    def options(self) -> RunOptions:
        """The run that the dock is set to.

        Raises
        ------
        ParameterError
            A value is not valid.
        """
        return self.around.options(self.method.name, self.method.values())

    def _checked(self) -> RunOptions | None:
        """The options, or None and the reason in the message line."""
        try:
            return self.options()
        except DenoiseError as err:
            self.message.error(str(err))
            return None

    # run

    def _run_clicked(self) -> None:
        path = None
        if self.to_file.isChecked():
            named = QFileDialog.getSaveFileName(
                self, "Write the result to", self._proposed(), "FITS (*.fits)"
            )[0]
            if not named:
                return
            path = Path(named)
        self.run(path)

    def _proposed(self) -> str:
        entry = self.entry
        source = None if entry is None else entry.cube.path
        return "denoised.fits" if source is None else str(source.with_name(f"{source.stem}_denoised.fits"))

    def run(self, path: Path | None = None) -> None:
        """Denoise the whole input: into layers, or into a file; both fill tile by tile in sight."""
        entry, options = self.entry, self._checked()
        if entry is None or options is None or self.job is not None:
            return
        try:
            work = self._work(entry, options, path)
        except DenoiseError as err:
            self.message.error(str(err))
            return
        self.message.say("")
        self.job = job = Job(work, lasts=True)
        job.progressed.connect(self._progressed)
        job.told.connect(partial(self._told, entry, options))
        job.done.connect(partial(self._done, entry, options))
        job.failed.connect(self._failed)
        job.cancelled.connect(self._cancelled)
        self._busy()
        job.start()

    def _work(self, entry: Entry, options: RunOptions, path: Path | None) -> Any:
        if path is None:
            return partial(run_live, entry.cube, options, dict(entry.reading))
        wanted = options.model_copy(update={"overwrite": True})  # the dialogue asked
        return partial(run_to_file, source_of(entry.cube), wanted, dict(entry.reading), path)

    def cancel(self) -> None:
        """Stop the run within a tile."""
        if self.job is not None:
            self.left.setText("stopping after this tile…")
            self.cancel_button.setEnabled(False)
            self.job.cancel()

    def _busy(self) -> None:
        self.run_button.setEnabled(False)
        self.cancel_button.setEnabled(True)
        self.progress.setRange(0, 0)
        self.progress.show()
        self.left.show()

    def _idle(self) -> None:
        self.job = None
        self._redraw.stop()
        self.run_button.setEnabled(self.entry is not None)
        self.cancel_button.setEnabled(False)
        self.progress.hide()
        self.left.hide()

    def _progressed(self, event: ProgressEvent) -> None:
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        self.left.setText(time_left(event))

    def _told(self, entry: Entry, options: RunOptions, news: tuple[Any, ...]) -> None:
        if news[0] == "opened":
            data, display = news[1], news[2]
            self._running = self.viewer.add_image(
                _shown(data, image=entry.world.image),
                name=f"{options.method} (running)",
                colormap=COLOURS["display" if display else "denoised"],
                contrast_limits=(-1, 1) if display else self.source.layer.contrast_limits,
                **entry.world.placed(),
            )
            self._redraw.start()

    def _draw_running(self) -> None:
        if self._running is not None and self._running in self.viewer.layers:
            self._running.refresh()

    def _done(self, entry: Entry, options: RunOptions, result: Any) -> None:
        self._idle()
        self.preview.live.setChecked(False)
        if result.path is None:
            self._finish_layers(entry, options, result)
        else:
            self._open_written(result)
            self._drop_running()
        self.message.say(result_line(result), "warning" if result.warnings else "note")

    def _open_written(self, result: Any) -> None:
        """The layers of a file; its data look as they did while they came."""
        from napari_denoise.reader import layers_of_file

        written = [
            getattr(self.viewer, f"add_{kind}")(data, **kwargs)
            for data, kwargs, kind in layers_of_file(result.path)
        ]
        if self._running is not None and not result.display:
            written[0].contrast_limits = self._running.contrast_limits
        self.viewer.layers.selection.active = written[0]

    def _finish_layers(self, entry: Entry, options: RunOptions, result: Any) -> None:
        layer, self._running = self._running, None
        made: dict[str, Any] = {"source": entry.cube, "result": result, "options": options}
        role: Role = "display" if result.display else "denoised"
        parts: tuple[tuple[Role, Any], ...] = (
            ("residual", result.residual),
            ("uncertainty", result.uncertainty),
        )
        layer.metadata[KEY] = Entry(result.cube, entry.world, role, reading=entry.reading, **made)
        layer.name = f"{result.method}"
        layer.refresh()
        for name, cube in parts:
            if cube is not None:
                data, kwargs, _ = layer_of(
                    cube, f"{layer.name} {name}", name, visible=False, world=entry.world, **made
                )
                self.viewer.add_image(data, **kwargs)
        self.viewer.layers.selection.active = layer

    def _failed(self, text: str) -> None:
        self._drop_running()
        self.message.error(text)

    def _cancelled(self) -> None:
        self._drop_running()
        self.message.say("Cancelled; nothing was kept")

    def _drop_running(self) -> None:
        layer, self._running = self._running, None
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
        self._idle()

    # how it was done

    def recipe(self) -> str:
        """The settings as a recipe.

        Raises
        ------
        UsageError, ParameterError
            The input is no file; a value is not valid.
        """
        assert self.entry is not None
        return recipe_of(source_of(self.entry.cube), self.options(), self.entry.reading)

    def save_recipe(self, path: Path) -> None:
        """Write the settings as a recipe; ``denoise run -r`` repeats the run."""
        try:
            path.write_text(self.recipe(), encoding="utf-8")
        except (DenoiseError, OSError) as err:
            self.message.error(str(err))
            return
        self.message.say(f"Wrote {path}: denoise run -r {path}")

    def _recipe_clicked(self) -> None:
        named = QFileDialog.getSaveFileName(self, "Save the settings as", "recipe.yaml", "Recipe (*.yaml)")[0]
        if named and self.entry is not None:
            self.save_recipe(Path(named))

    def copy_command(self) -> str:
        """Put the equal command line on the clipboard; returns it."""
        options = self._checked()
        if self.entry is None or options is None:
            return ""
        try:
            text = command_line(source_of(self.entry.cube), options, self.entry.reading)
        except DenoiseError as err:
            self.message.error(str(err))
            return ""
        QApplication.clipboard().setText(text)
        self.message.say(f"Copied: {text}")
        return text


def _shown(data: Any, *, image: bool) -> Any:
    """A result that fills, in memory or in a file, as a layer takes it."""
    if isinstance(data, Filling):
        return planes(data, image=image)
    return data[0] if image else data


def _row(*widgets: Any) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
