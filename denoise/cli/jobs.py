"""One job of ``denoise run``: its result in a file, its metrics, report and catalogue, and its row of the summary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from denoise.cli.asked import make_folder
from denoise.cli.batch import Job, Outcome, stem
from denoise.cli.console import WIDE, Messages, table, width
from denoise.cli.reliability import Judging, judge_job

if TYPE_CHECKING:
    from denoise.check.recovery.correction import FluxCorrection
    from denoise.check.regions.judge import Judged
    from denoise.engine import CancelToken, Result, RunOptions
    from denoise.engine.runners import Runner

_SHORT = 16  # letters of a unit that fits a column


def denoise_job(
    wanted: RunOptions,
    reading: dict[str, Any],
    messages: Messages,
    token: CancelToken,
    job: Job,
    *,
    runner: Runner | None = None,
    rule: FluxCorrection | None = None,
    judging: Judging | None = None,
) -> Outcome:
    """Run one job, and its row of the summary."""
    done = run_job(wanted, reading, messages, token, job, runner=runner, rule=rule, judging=judging)
    return outcome_of(done, job)


def run_job(
    wanted: RunOptions,
    reading: dict[str, Any],
    messages: Messages,
    token: CancelToken,
    job: Job,
    *,
    runner: Runner | None = None,
    rule: FluxCorrection | None = None,
    judging: Judging | None = None,
) -> Result:
    """Run one job: the result in a file, its metrics as a table, its report, and where things are."""
    make_folder(job.output.parent)
    result = _work(rule)(
        job.source,
        job.output,
        wanted,
        input_options=reading,
        progress=messages.progress,
        cancel=token,
        runner=runner,
    )
    for text in result.warnings:
        messages.warn(text)
    show_metrics(result, str(job.source))
    files, judged = {"output": str(job.output)}, None
    if judging is not None:
        judged = judge_job(result, wanted, messages, token, job, judging=judging, runner=runner)
        files["catalogue"] = str(job.catalogue[0])
    files |= _account(result, job, judged)
    why = f"auto chose {result.method}: {result.chosen}; " if result.chosen else ""
    messages.done(
        f"{why}wrote {' and '.join(files.values())} in {result.seconds:.1f} s",
        method=result.method,
        chosen=result.chosen,
        display=result.display,
        input=str(job.source),
        seconds=round(result.seconds, 3),
        metrics=result.metrics,
        **files,
    )
    return result


def _work(rule: FluxCorrection | None) -> Callable[..., Result]:
    """What denoises a file into a file, fluxes corrected where there is a rule for it."""
    if rule is None:
        from denoise.engine import run_file

        return run_file
    from denoise.check.recovery.corrected import run_corrected

    return partial(run_corrected, rule=rule)


def _account(result: Result, job: Job, judged: Judged | None) -> dict[str, str]:
    """Write the report and the files of numbers that the job asks for; their names."""
    files = {}
    if job.report is not None:
        from denoise.report import write_report

        files["report"] = str(write_report(result, job.report, stem=stem(job.output), judged=judged).html)
    for path in job.metrics:
        from denoise.report.numbers import write_numbers

        files[path.suffix.lstrip(".")] = str(write_numbers(result, path))
    return files


def show_metrics(result: Result, title: str) -> None:
    """The metrics of a run as a table on stdout."""
    from denoise.report.tables import metric_rows

    unit = result.input.unit_text or "data units"
    short = unit if len(unit) <= _SHORT else "unit"
    stated = "" if short == unit else f" (unit: {unit})"
    rows = [row.cells() for row in metric_rows(result.metrics, short)]
    columns = ("", "before", "after", "unit", "note")
    shown = len(columns) if width() >= WIDE else len(columns) - 1
    what = f"{result.method}, for display only: the output has no unit" if result.display else result.method
    table(f"{title}: {what}{stated}", columns[:shown], [row[:shown] for row in rows])


def outcome_of(result: Result, job: Job) -> Outcome:
    """One row of the summary."""
    metrics = result.metrics
    change = metrics.get("flux_change_percent")
    return Outcome(
        shape=shape_text(result.cube.shape),
        noise=f"{metrics['noise_before']:.3g} -> {_noise_left(result)}",
        flux="display only" if result.display else "none found" if change is None else f"{change:+.1f} %",
        seconds=f"{result.seconds:.1f}",
        output=str(job.output),
        remarks=tuple(result.remarks),
        unit=result.input.unit_text,
        metrics=metrics,
    )


def _noise_left(result: Result) -> str:
    if result.display:
        return "no unit"
    # None: the method leaves exact zeros outside the emission
    return f"{result.metrics['noise_after'] or 0:.3g}"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in words: 12 x 40 x 40."""
    return " x ".join(map(str, shape))
