"""The window in which methods are run side by side, on one part of a cube, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from denoise.cube import Cube, Region
from denoise.engine import ProgressEvent, RunOptions
from denoise.engine.conditioning import resolve_continuum
from denoise.report.labels import number, unit_text, with_unit
from napari_denoise.compare.comparison import CONTEXT, part_of, viewed_region
from napari_denoise.jobs import Job
from napari_denoise.layers import entry_of
from napari_denoise.panel import Message
from napari_denoise.side_by_side.figure import heading_of
from napari_denoise.side_by_side.widget import (
    INPUT,
    Outcome,
    PreviewGrid,
    Shown,
    layer_of_outcome,
    run_methods,
)
from napari_denoise.studies import Study
from napari_denoise.world import World

_WITH_CONTINUUM = (
    64  # channels on both sides, where a continuum is subtracted: a few would hold the line alone
)


@dataclass(frozen=True)
class Task:
    """What is to be run.

    Attributes
    ----------
    cube : Cube
        The input.
    world : World
        Where it lies.
    channel : int
        The channel that is shown.
    region : Region
        Around it.
    options : tuple of RunOptions
        One for each run.
    cmap : str
        Colours of the layer in view.
    limits : tuple of float, optional
        Its contrast limits, in the unit of the data; None: from the input.
    """

    cube: Cube
    world: World
    channel: int
    region: Region
    options: tuple[RunOptions, ...]
    cmap: str = "inferno"
    limits: tuple[float, float] | None = None


class GridWindow(QWidget):
    """A window with a grid and what runs for it; it closes with the viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    ended = Signal()

    def __init__(self, viewer: Any) -> None:
        # a child of the main window: it has its style and ends with it
        super().__init__(viewer.window._qt_window, Qt.WindowType.Window)
        self.setWindowTitle("Methods side by side")
        self._viewer = viewer
        self._task: Task | None = None
        self._job: Job | None = None
        self._next: tuple[Task, Study] | None = None
        self._arrived = 0
        self.grid = PreviewGrid(viewer)
        self.grid.picked.connect(self._picked)
        self.note = Message()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self.note)
        self.resize(self.grid.sizeHint())

    @property
    def running(self) -> bool:
        """Whether methods are at work."""
        return self._job is not None

    def run(self, task: Task, study: Study) -> None:
        """Run methods and show them as they come; what is running is cancelled first."""
        self.show()
        self.raise_()
        if self._job is not None:
            self._next = (task, study)
            self._job.cancel()
            return
        self._task, self._arrived = task, 0
        self.grid.begin(_shown(task, study))
        self.note.say(f"Running {task.options[0].method} …")
        self._job = self._made(task, study).start()

    def cancel(self) -> None:
        """Stop within a tile; what has arrived stays."""
        if self._job is not None:
            self._job.cancel()

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Nobody sees what would come."""
        self._next = None
        self.cancel()
        super().closeEvent(event)

    def _made(self, task: Task, study: Study) -> Job:
        def work(job: Job) -> list[Outcome]:
            return run_methods(
                study.cube,
                study.noise,
                task.region,
                task.options,
                job.told.emit,
                job.token,
                progress=job.progress,
            )

        job = Job(work)
        job.told.connect(self._told)
        job.progressed.connect(self._progressed)
        job.done.connect(self._done)
        job.failed.connect(self._failed)
        job.cancelled.connect(self._cancelled)
        self.destroyed.connect(job.cancel)
        return job

    def _told(self, outcome: Outcome) -> None:
        self._arrived += outcome.options is not None
        self.grid.add(outcome)

    def _progressed(self, event: ProgressEvent) -> None:
        if self._task is not None and self._arrived < len(self._task.options):
            name = self._task.options[self._arrived].method
            self.note.say(f"Running {name}: {event.stage}, {event.done} of {event.total}")

    def _done(self, outcomes: list[Outcome]) -> None:
        failed = sum(bool(one.error) for one in outcomes)
        missing = f"; {failed} could not be run here" if failed else ""
        self._end(f"Click a result to put it into the viewer{missing}")

    def _failed(self, text: str) -> None:
        self._end(text, "error")

    def _cancelled(self) -> None:
        self._end("Cancelled")

    def _end(self, text: str, tone: str = "note") -> None:
        self._job = None
        self.note.say(text, tone)
        if self._next is not None:
            asked, self._next = self._next, None
            self.run(*asked)
        else:
            self.ended.emit()

    def _picked(self, outcome: Outcome) -> None:
        if self._task is not None:
            data, options, _ = layer_of_outcome(outcome, self._task.world)
            self._viewer.add_image(data, **options)
            self.note.say(f"Layer “{options['name']}” is in the viewer")


def window_of(viewer: Any) -> GridWindow:
    """The one of a viewer, which the viewer's own window keeps."""
    found: GridWindow | None = viewer.window._qt_window.findChild(GridWindow)
    return GridWindow(viewer) if found is None else found


def task_of(
    layer: Any,
    cube: Cube,
    world: World,
    methods: Sequence[str],
    *,
    channel: int,
    corners: Any = None,
    context: int = CONTEXT,
) -> Task:
    """Methods with their default parameters on what is in view.

    Parameters
    ----------
    layer : napari.layers.Image
        Whose colours and limits are used.
    cube, world : Cube, World
        The input, and where it lies.
    methods : sequence of str
    channel : int
        The channel that is shown.
    corners : ndarray, shape (2, 2), optional
        First and last visible pixel (y, x); None: the whole field.
    context : int
        Channels on both sides; more are taken where a continuum is subtracted.
    """
    if not cube.is_image and resolve_continuum(cube, "auto") != "none":
        context = max(context, _WITH_CONTINUUM)
    region = viewed_region(cube.shape, channel, corners, context=context)
    options = tuple(RunOptions(method=name) for name in methods)
    entry = entry_of(layer)
    # of a layer without a unit the limits mean nothing here
    limits = None if entry is None or entry.role == "display" else tuple(layer.contrast_limits)
    return Task(cube, world, channel, region, options, layer.colormap.name, limits)


def _shown(task: Task, study: Study) -> Shown:
    first, last = task.region[0].start, task.region[0].stop
    world = part_of(task.world, task.region, image=last - first == 1)
    unit = unit_text(task.cube.unit, task.cube.unit_text)
    sigma = with_unit(number(study.noise.window(task.region).typical), unit)
    title = heading_of(task.cube.name, task.world, task.channel, sigma, last - first)
    labels = (INPUT, *(one.method for one in task.options))
    return Shown(world, task.channel - first, labels, unit, title, task.cmap, task.limits)
