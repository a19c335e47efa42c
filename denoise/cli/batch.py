"""Several inputs, one after the other: outputs settled before any work, one bad file never stops the rest."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from denoise.cli.console import WIDE, Messages, explain, table, width
from denoise.errors import CancelledError, OutputExistsError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from denoise.engine import CancelToken

_ENDINGS = frozenset((".gz", ".bz2", ".fz", ".zarr", ".fits", ".fit", ".fts"))
SUMMARY = ("input", "state", "cube", "noise", "flux of the emission", "seconds", "output")


@dataclass(frozen=True)
class Job:
    """One input, where its result goes, and where its report goes (None: no report)."""

    source: Path
    output: Path
    report: Path | None


@dataclass(frozen=True)
class Outcome:
    """What the summary table says of one input."""

    shape: str = ""
    noise: str = ""
    flux: str = ""
    seconds: str = ""
    output: str = ""


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
    jobs = [_job(source, _output(source, out, alone=len(inputs) == 1), report) for source in inputs]
    _refuse_collisions(jobs)
    for job in jobs:
        _refuse_existing(job, overwrite=overwrite)
    return jobs


def stem(path: Path) -> str:
    """File name without the endings of FITS, Zarr and compression."""
    name = path.name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name


def _output(source: Path, out: Path | None, *, alone: bool) -> Path:
    default = f"{stem(source)}_denoised.fits"
    if out is None:
        return Path(default)
    if out.is_dir() or not out.name.lower().endswith((".fits", ".fit", ".fts")):
        return out / default
    if not alone:
        raise UsageError("-o names one file for several inputs", value=str(out), action="name a folder")
    return out


def _job(source: Path, output: Path, report: bool) -> Job:
    return Job(source, output, output.with_name(f"{stem(output)}_report") if report else None)


def _refuse_collisions(jobs: Sequence[Job]) -> None:
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


def _refuse_existing(job: Job, *, overwrite: bool) -> None:
    for path in (job.output, job.report):
        if path is not None and path.exists() and not overwrite:
            raise OutputExistsError(
                f"{path} exists", action="name another output with -o, or allow --overwrite"
            )
    if job.output.is_dir():
        raise UsageError(
            "the output is a folder", value=str(job.output), action="name a file ending in .fits"
        )


def run_jobs(
    jobs: Sequence[Job], work: Callable[[Job], Outcome], messages: Messages, *, summary: bool = True
) -> int:
    """Run every job; returns the exit code.

    One input: its error is raised. Several: each error is a line on stderr and a row of the summary, and the
    exit code is 1. Cancelling ends the batch; the summary (if wanted) says what was done.
    """
    if len(jobs) == 1:
        with messages.working():
            work(jobs[0])
        return 0
    rows: list[tuple[str, ...]] = []
    failed = 0
    try:
        for job in jobs:
            row, ok = _attempt(job, work, messages)
            rows.append(row)
            failed += not ok
    except CancelledError:
        rows += [(str(job.source), "cancelled", *[""] * (len(SUMMARY) - 2)) for job in jobs[len(rows) :]]
        raise
    finally:
        if summary:
            shown = len(SUMMARY) if width() >= WIDE else len(SUMMARY) - 1
            table("", SUMMARY[:shown], [row[:shown] for row in rows])
    return 1 if failed else 0


def _attempt(job: Job, work: Callable[[Job], Outcome], messages: Messages) -> tuple[tuple[str, ...], bool]:
    name = str(job.source)
    try:
        with messages.working(name):
            done = work(job)
    except CancelledError:
        raise
    except Exception as err:  # noqa: BLE001 - one bad file never stops the rest
        text, _ = explain(err)
        messages.error(text if job.source.name in text else f"{name}: {text}")
        return (name, "failed", *[""] * (len(SUMMARY) - 2)), False
    return (name, "done", done.shape, done.noise, done.flux, done.seconds, done.output), True


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
