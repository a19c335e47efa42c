"""The dock that denoises: choose a method, see it on a corner at once, run it on all, keep how it was done."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
)

from denoise.cube import Cube
from denoise.engine import ProgressEvent, RunOptions
from denoise.errors import DenoiseError
from napari_denoise.around import Around, MethodBox
from napari_denoise.jobs import Job, Newest
from napari_denoise.layers import COLOURS, KEY, Entry, Role, layer_of
from napari_denoise.panel import LayerChoice, Panel, heading
from napari_denoise.previews import Preview, box_around, preview, region_of
from napari_denoise.runs import fits_memory, run_live, run_to_file
from napari_denoise.settings import command_line, recipe_of, recipe_text, source_of
from napari_denoise.studies import Study, studies_of
from napari_denoise.summary import preview_line, result_line, study_lines, time_left
from napari_denoise.world import World

PREVIEW, BOX = "preview", "preview box"
INPUTS: tuple[Role, ...] = ("input",)
_PAUSE = 150  # ms without a change before a preview starts
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
        self.previews = Newest(self._preview, delay=_PAUSE, parent=self)
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
        self.live = QCheckBox("Preview while I look")
        self.live.setToolTip("Denoise what is on screen, as parameters and channels change")
        self.where = QComboBox()
        self.where.addItems(["on screen", "in a box"])
        self.where.setToolTip("The middle of what is shown, 128 pixels at most; or a rectangle that you draw")
        self.grid = QPushButton("Preview all methods")
        self.to_file = QCheckBox("Write to a file")
        self.run_button, self.cancel_button = QPushButton("Run"), QPushButton("Cancel")
        self.progress, self.left = QProgressBar(), QLabel()
        self.recipe_button, self.command_button = QPushButton("Save recipe…"), QPushButton("Copy command")
        self._lay_out()
        self._idle()

    def _lay_out(self) -> None:
        body = self.body
        for widget in (heading("Input"), self.source, self.facts, self.method, self.around):
            body.addWidget(widget)
        body.addWidget(heading("Preview"))
        body.addLayout(_row(self.live, self.where))
        body.addWidget(self.grid)
        body.addWidget(heading("Run"))
        body.addLayout(_row(self.run_button, self.cancel_button, self.to_file))
        body.addWidget(self.progress)
        body.addWidget(self.left)
        body.addLayout(_row(self.recipe_button, self.command_button))

    def _connect(self) -> None:
        self.source.chosen.connect(self._source_chosen)
        self.studies.ready.connect(self._study_ready)
        self.studies.failed.connect(self._study_failed)
        for signal in (self.method.changed, self.around.changed):
            signal.connect(self.look)
        self.live.toggled.connect(self._live_toggled)
        self.where.currentIndexChanged.connect(self._where_changed)
        self.grid.clicked.connect(self.preview_all)
        self.run_button.clicked.connect(self._run_clicked)
        self.cancel_button.clicked.connect(self.cancel)
        self.recipe_button.clicked.connect(self._recipe_clicked)
        self.command_button.clicked.connect(self.copy_command)
        self.previews.answered.connect(self._previewed)
        self.previews.failed.connect(self.message.error)
        self._redraw.timeout.connect(self._draw_running)
        self.viewer.dims.events.current_step.connect(self.look)
        self.viewer.scene.camera.events.zoom.connect(self.look)
        self.viewer.scene.camera.events.center.connect(self.look)

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
        self.look()

    def _show_facts(self) -> None:
        if self.entry is not None:
            self.facts.setText("\n".join(study_lines(self.entry.cube, self.study)))

    def _study_ready(self, cube: Any) -> None:
        if self.entry is not None and cube is self.entry.cube:
            self._show_facts()
            if self.study is not None:
                self.method.suggest(self.study.method)
            self.look()

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

    def set_options(self, options: RunOptions) -> None:
        """Set the dock to a run."""
        self.method.set(options.method, options.parameters)
        self.around.set(options)

    def _checked(self) -> RunOptions | None:
        """The options, or None and the reason in the message line."""
        try:
            return self.options()
        except DenoiseError as err:
            self.message.error(str(err))
            return None

    # preview

    def look(self, _event: Any = None) -> None:
        """Ask for a preview, where previews are wanted."""
        if not self.live.isChecked() or self.entry is None or self.study is None:
            return
        options, box = self._checked(), self._box()
        if options is None or box is None:
            return
        entry, study = self.entry, self.study
        channel = self._channel(entry)
        self.previews.ask((entry, study, options, region_of(entry.cube, box, channel, options)))

    def _channel(self, entry: Entry) -> int:
        """The channel on screen."""
        at = entry.world.pixel(self.viewer.dims.point)[0]
        return int(np.clip(round(at), 0, entry.cube.shape[0] - 1))

    def _box(self) -> tuple[slice, slice] | None:
        """Rows and columns of the preview; None until a box is drawn."""
        assert self.entry is not None
        cube = self.entry.cube
        if self.where.currentIndex() == 0:
            corners = self.source.layer.corner_pixels[:, -2:]
            low = np.clip(corners[0], 0, np.array(cube.shape[1:]) - 1)
            high = np.clip(corners[1] + 1, low + 1, cube.shape[1:])
            return box_around(cube, tuple((low + high) / 2), int(max(16, min(128, (high - low).max()))))
        return self._drawn(cube, self.entry.world)

    def _drawn(self, cube: Cube, world: World) -> tuple[slice, slice] | None:
        if BOX not in self.viewer.layers or not self.viewer.layers[BOX].data:
            self.message.say("Draw a rectangle: the preview follows it")
            return None
        layer = self.viewer.layers[BOX]
        corners = np.array([world.pixel(layer.data_to_world(one)[-2:])[1:] for one in layer.data[-1]])
        low = np.clip(np.floor(corners.min(axis=0) + 0.5), 0, np.array(cube.shape[1:]) - 2).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0) + 0.5), low + 2, cube.shape[1:]).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1])

    def _where_changed(self, index: int) -> None:
        if index == 1 and self.entry is not None:
            self._box_layer().mode = "add_rectangle"
        self.look()

    def _box_layer(self) -> Any:
        if BOX in self.viewer.layers:
            return self.viewer.layers[BOX]
        placed = self.entry.world.placed() if self.entry is not None else {}
        layer = self.viewer.add_shapes(
            None, ndim=2, name=BOX, face_color="transparent", edge_color="cyan", **_flat(placed)
        )
        layer.events.data.connect(self.look)
        return layer

    def _live_toggled(self, on: bool) -> None:
        if on and self.entry is not None and self.study is None:
            self.message.say("Measuring the noise; the preview comes then")
            self.studies.want(self.entry.cube, large=True)
        if not on:
            self.previews.forget()
            self._remove(PREVIEW)
        self.look()

    @staticmethod
    def _preview(request: Any, job: Job) -> Preview:
        study, options, region = request[1:]
        return preview(study.cube, study.noise, options, region, job.token)

    def _previewed(self, found: Preview, request: Any) -> None:
        entry: Entry = request[0]
        if not self.live.isChecked() or entry is not self.entry:
            return
        start = tuple(part.start for part in found.region)
        data = found.cube.data[0] if entry.world.image else found.cube.data
        placed = entry.world.placed(start)
        self.message.say(preview_line(found))
        if PREVIEW in self.viewer.layers:
            layer = self.viewer.layers[PREVIEW]
            layer.data = data
            layer.translate, layer.affine = placed.get("translate", 0), placed.get("affine", layer.affine)
            self._contrast(layer, found.result.display)
            return
        layer = self.viewer.add_image(
            data,
            name=PREVIEW,
            colormap=COLOURS["denoised"],
            contrast_limits=self.source.layer.contrast_limits,
            **placed,
        )
        self._contrast(layer, found.result.display)

    def _contrast(self, layer: Any, display: bool) -> None:
        """That of the input, or the whole range of a result without a unit."""
        layer.colormap = COLOURS["display" if display else "denoised"]
        if display:
            layer.contrast_limits = float(np.nanmin(layer.data)), float(np.nanmax(layer.data)) + 1e-6
        else:
            layer.contrast_limits = self.source.layer.contrast_limits

    def preview_all(self) -> None:
        """Every method on what is shown, side by side."""
        from napari_denoise.side_by_side import show_all

        if self.entry is None or self.study is None or (box := self._box()) is None:
            self.message.say("The noise is measured first; then preview all methods")
            return
        show_all(self.viewer, self.source.layer, self.study, box, self._channel(self.entry))

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
        """Denoise the whole input: into layers, or into a file that is opened when it is complete."""
        entry, options = self.entry, self._checked()
        if entry is None or options is None or self.job is not None:
            return
        try:
            work = self._work(entry, options, path)
        except DenoiseError as err:
            self.message.error(str(err))
            return
        self.message.say("")
        self.job = job = Job(work)
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
                data[0] if entry.world.image else data,
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
        self.live.setChecked(False)
        if self._running is None:
            self._open_written(result)
        else:
            self._finish_layers(entry, options, result)
        self.message.say(result_line(result), "warning" if result.warnings else "note")

    def _open_written(self, result: Any) -> None:
        from napari_denoise.reader import layers_of_file

        for data, kwargs, _ in layers_of_file(result.path):
            self.viewer.add_image(data, **kwargs)

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
        return recipe_text(recipe_of(source_of(self.entry.cube), self.options(), self.entry.reading))

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

    def _remove(self, name: str) -> None:
        if name in self.viewer.layers:
            self.viewer.layers.remove(name)


def _row(*widgets: Any) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _flat(placed: dict[str, Any]) -> dict[str, Any]:
    """The sky part of where a layer lies."""
    out = {name: value[-2:] for name, value in placed.items() if name != "affine"}
    if "affine" in placed:
        matrix = placed["affine"]
        keep = np.arange(len(matrix))[-3:]
        out["affine"] = matrix[np.ix_(keep, keep)]
    return out
