"""``denoise run --save reliability``: the regions of a result judged, after it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from denoise.cli.batch import Job, stem
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.check.regions.judge import Judged
    from denoise.cli.console import Messages
    from denoise.engine import CancelToken, Result, RunOptions
    from denoise.engine.recipe_tasks import Task
    from denoise.engine.runners import Runner

WORD = "reliability"
DRAWS = 8
SHOWN = 10  # regions on the terminal; all are in the catalogue


@dataclass(frozen=True)
class Judging:
    """How reliability is judged: noise draws, and the method whose agreement counts (None: none)."""

    draws: int
    second: str | None


def wanted_judging(save: tuple[str, ...], draws: int | None, agree: str | None) -> Judging | None:
    """How the reliability is judged; None: it is not wanted.

    Raises
    ------
    UsageError
        Draws or an agreement were asked for, but no reliability.
    UnknownMethodError
        The other method is unknown.
    """
    if WORD in save:
        if agree is not None:
            from denoise.methods import get_method

            get_method(agree)
        return Judging(DRAWS if draws is None else draws, agree)
    for option, value in (("--draws", draws), ("--agree", agree)):
        if value is not None:
            raise UsageError(f"{option} is for the reliability", value=value, action="add --save reliability")
    return None


def with_catalogues(jobs: Mapping[Job, Task]) -> dict[Job, Task]:
    """The jobs with the catalogues that they make too.

    Raises
    ------
    UsageError
        An output is not FITS.
    """
    from denoise.check.regions.catalogue import catalogue_paths

    named: dict[Job, Task] = {}
    for job, task in jobs.items():
        if job.output.suffix.lower() == ".zarr":
            raise UsageError(
                "the reliability is written to FITS only", value=str(job.output), action="name a .fits output"
            )
        paths = catalogue_paths(job.output.parent, stem(job.output))
        named[replace(job, catalogue=tuple(paths))] = task
    return named


def judge_job(
    result: Result,
    options: RunOptions,
    messages: Messages,
    token: CancelToken,
    job: Job,
    *,
    judging: Judging,
    runner: Runner | None,
) -> Judged:
    """Judge the result of a job: its RELIABILITY extension and its catalogue.

    Raises
    ------
    DenoiseError
        As `judge_result`; the output is as the run left it.
    """
    from denoise.check.regions.catalogue import write_catalogue
    from denoise.check.regions.judge import add_reliability, draws_text, judge_result
    from denoise.engine.progress import Monitor

    judged = judge_result(
        result,
        options,
        draws=judging.draws,
        second=judging.second,
        monitor=Monitor(messages.progress, token),
        runner=runner,
    )
    if judged.null.share < 1:
        messages.warn(
            f"the reliability rests on {draws_text(judged.null)}: one of all of it does not fit in memory"
        )
    add_reliability(judged, result, job.output)
    write_catalogue(judged.catalogue, job.output.parent, stem(job.output))
    sure = sum(r >= 0.9 for r in judged.reliability)
    messages.note(
        "reliability", regions=len(judged.regions), sure=int(sure), expected_false=round(judged.doubtful, 3)
    )
    _show(judged, f"{job.source}: {len(judged.regions)} regions, {sure} with a reliability of 0.9 or more")
    return judged


def _show(judged: Judged, title: str) -> None:
    """The surest regions as a table on stdout."""
    from denoise.cli.console import table
    from denoise.report.reliability import table_rows

    heads, rows, more = table_rows(judged, SHOWN)
    table(f"{title}{f'; the first {len(rows)}' if more else ''}", heads, rows)
