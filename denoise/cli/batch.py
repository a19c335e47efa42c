"""Several inputs, one after the other: outputs settled before any work, one bad file never stops the rest."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from denoise.cli.console import WIDE, Messages, explain, table, width
from denoise.errors import CancelledError, OutputExistsError, ResourceError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from denoise.cli.ledger import Ledger
    from denoise.engine import CancelToken
    from denoise.engine.recipe_tasks import Task

_ENDINGS = frozenset((".gz", ".bz2", ".fz", ".zarr", ".fits", ".fit", ".fts"))
DEFAULT_NAME = "{stem}_denoised.fits"
SUMMARY = ("input", "state", "cube", "noise", "flux of the emission", "seconds", "output")


@dataclass(frozen=True)
class Job:
    """One input, where its result, its report (None: no report), its files of numbers and its catalogues go."""

    source: Path
    output: Path
    report: Path | None
    metrics: tuple[Path, ...] = ()
    catalogue: tuple[Path, ...] = ()

    @property
    def products(self) -> list[Path]:
        """Everything that the job makes."""
        return [
            path for path in (self.output, self.report, *self.metrics, *self.catalogue) if path is not None
        ]


@dataclass(frozen=True)
class Outcome:
    """What the summary table says of one input."""

    shape: str = ""
    noise: str = ""
    flux: str = ""
    seconds: str = ""
    output: str = ""
    unit: str = ""
    state: str = "done"
    metrics: dict[str, float | None] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One input in the summary of a batch."""

    job: Job
    outcome: Outcome
    error: str = ""

    @property
    def state(self) -> str:
        """In a word."""
        return self.outcome.state

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        done = self.outcome
        # why was said when it was done
        state = f"{done.state}, in doubt" if done.remarks else done.state
        return str(self.job.source), state, done.shape, done.noise, done.flux, done.seconds, done.output


def plan_jobs(inputs: Sequence[Path], out: Path | None, *, overwrite: bool, report: bool) -> list[Job]:
    """Name every output, and refuse what exists or collides before any work starts.

    Parameters
    ----------
    inputs : sequence of Path
        What was named on the command line.
    out : Path or None
        A FITS file for one input, else a folder; None: the current folder.
    overwrite : bool
        Existing outputs may be replaced.
    report : bool
        Whether there will be reports.

    Raises
    ------
    OutputExistsError
        An output is there already.
    UsageError
        Two inputs would share an output, an output is an input, one file was named for several inputs.
    """
    alone = len(inputs) == 1
    jobs = [_job(source, _output(source, out, DEFAULT_NAME, alone=alone), report) for source in inputs]
    settle(jobs, replace=dict.fromkeys(jobs, overwrite))
    return jobs


def task_jobs(tasks: Sequence[Task], out: Path | None) -> dict[Job, Task]:
    """A job for each task of a recipe or a command line, its outputs named but not yet settled.

    Parameters
    ----------
    tasks : sequence of Task
        What is done with each input.
    out : Path or None
        As for `plan_jobs`; it wins over the folder of a recipe.
    """
    alone = len(tasks) == 1
    found: dict[Job, Task] = {}
    for task in tasks:
        output = _output(task.source, out or task.folder, task.name, alone=alone)
        metrics = tuple(output.with_name(f"{stem(output)}_metrics.{ending}") for ending in task.metrics)
        job = _job(task.source, output, task.report, metrics)
        if job in found:
            raise UsageError("one input is named twice", value=str(task.source), action="name it once")
        found[job] = task
    return found


def settle(
    jobs: Collection[Job],
    *,
    replace: Mapping[Job, bool],
    action: str = "name another output with -o, or allow --overwrite",
) -> None:
    """Refuse outputs that collide, or that exist and may not be replaced; `action` says what to do then.

    Raises
    ------
    OutputExistsError, UsageError
    """
    _refuse_collisions(jobs)
    for job in jobs:
        _refuse_existing(job, overwrite=replace[job], action=action)


def stem(path: Path) -> str:
    """File name without the endings of FITS, Zarr and compression, and without the HDU of ``OBS.fits[SCI]``."""
    name = path.name
    if name.endswith("]"):
        name = name.partition("[")[0]
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name


def _output(source: Path, out: Path | None, name: str, *, alone: bool) -> Path:
    default = name.replace("{stem}", stem(source))
    if out is None:
        return Path(default)
    from denoise.cube.writer import is_zarr_output
    from denoise.engine.recipe import ENDINGS

    if not out.name.lower().endswith(ENDINGS) or (out.is_dir() and not is_zarr_output(out)):
        return out / default
    if not alone:
        raise UsageError("-o names one file for several inputs", value=str(out), action="name a folder")
    return out


def _job(source: Path, output: Path, report: bool, metrics: tuple[Path, ...] = ()) -> Job:
    return Job(source, output, output.with_name(f"{stem(output)}_report") if report else None, metrics)


def _refuse_collisions(jobs: Collection[Job]) -> None:
    taken: dict[Path, Path] = {}
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        target = job.output.resolve()
        if target in sources:
            raise UsageError(
                "the output is an input", value=str(job.output), action="name another output with -o"
            )
        if target in taken:
            raise UsageError(
                f"{taken[target]} and {job.source} would be written to one file",
                value=str(job.output),
                action="run them apart, each with its own -o",
            )
        taken[target] = job.source


def _refuse_existing(job: Job, *, overwrite: bool, action: str) -> None:
    from denoise.cube.writer import is_zarr_output

    for path in job.products:
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} exists", action=action)
    if job.output.is_dir() and not is_zarr_output(job.output):
        raise UsageError(
            "the output is a folder", value=str(job.output), action="name a file ending in .fits"
        )


def run_jobs(
    jobs: Collection[Job],
    work: Callable[[Job], Outcome],
    messages: Messages,
    *,
    summary: bool = True,
    ledger: Ledger | None = None,
) -> int:
    """Run every job; returns the exit code.

    One input: its error is raised. Several: each error is a line on stderr and a row of the summary, and the
    exit code is 1. Cancelling ends the batch; the summary (if wanted) says what was done. With a ledger, each
    job has a status file, and the batch a summary as CSV.
    """
    if ledger is not None:
        work = ledger.around(work)
    if len(jobs) == 1:
        with messages.working():
            for job in jobs:
                if work(job).state == "kept":
                    messages.done(f"{job.output} is done already", input=str(job.source))
        return 0
    rows: list[Row] = []
    try:
        for job in jobs:
            messages.note("start", input=str(job.source), number=len(rows) + 1, total=len(jobs))
            rows.append(_attempt(job, work, messages))
    except (CancelledError, KeyboardInterrupt):
        rows += [Row(job, Outcome(state="cancelled")) for job in list(jobs)[len(rows) :]]
        raise
    finally:
        if summary:
            _show(rows, messages, ledger)
    return 1 if any(row.state == "failed" for row in rows) else 0


def _show(rows: Sequence[Row], messages: Messages, ledger: Ledger | None) -> None:
    shown = len(SUMMARY) if width() >= WIDE else len(SUMMARY) - 1
    table("", SUMMARY[:shown], [row.cells()[:shown] for row in rows])
    path = None
    try:
        path = None if ledger is None else ledger.summarise(rows)
    except ResourceError as err:  # a full disk, say: what became of the inputs is the answer, not this
        messages.warn(err.message)
    states = Counter(row.state for row in rows)
    doubts = sum(bool(row.outcome.remarks) for row in rows)
    messages.note("summary", inputs=len(rows), **states, in_doubt=doubts, path=path)


def _attempt(job: Job, work: Callable[[Job], Outcome], messages: Messages) -> Row:
    name = str(job.source)
    try:
        with messages.working(name):
            done = work(job)
    except CancelledError:
        raise
    except Exception as err:  # noqa: BLE001 - one bad file never stops the rest
        text, _ = explain(err)
        line = text if job.source.name in text else f"{name}: {text}"
        messages.error(line, input=name)
        return Row(job, Outcome(state="failed"), line)
    if done.state == "kept":
        messages.note("kept", input=name, output=done.output)
    return Row(job, done)


@contextmanager
def stoppable(messages: Messages) -> Iterator[CancelToken]:
    """A token that the first Ctrl-C or SIGTERM sets: the run stops within a tile; the second ends it."""
    from denoise.engine import CancelToken

    token = CancelToken()

    def stop(number: int, frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()
        messages.from_signal("stopping after this tile; once more stops at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
