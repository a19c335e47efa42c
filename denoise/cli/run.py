"""``denoise run``: denoise files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.batch import Job, Outcome, plan_jobs, run_jobs, stem, stoppable
from denoise.cli.console import WIDE, Messages, facts, table, width
from denoise.errors import ResourceError

if TYPE_CHECKING:
    from denoise.engine import CancelToken, Plan, Result, RunOptions
    from denoise.engine.runners import Runner

_SHORT = 16  # letters of a unit that fits a column

Run = Annotated[
    list[Path], typer.Argument(metavar="OBS.fits", help="FITS cubes or images.", show_default=False)
]


def run(
    inputs: Run,
    method: Annotated[str, typer.Option("--method", "-m", help="One of `denoise methods`.")] = "ist",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the method (denoise methods NAME); repeat.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .fits file, or a folder; here as OBS_denoised.fits when not given."
        ),
    ] = None,
    save: Annotated[
        str, typer.Option(metavar="LIST", help="Extensions beside the data: uncert,residual,noise.")
    ] = "residual,noise",
    layout: Annotated[
        str, typer.Option(metavar="default|like-input", help="Names of the extensions.")
    ] = "default",
    overwrite: opt.Overwrite = False,
    hdu: opt.Hdu = None,
    stokes: opt.Stokes = None,
    mask: opt.Mask = None,
    exclude: opt.Exclude = None,
    noise: opt.Noise = None,
    noise_kind: opt.NoiseKind = None,
    companion: opt.Companion = "trust",
    gain: opt.Gain = None,
    psf: opt.Psf = None,
    beam: opt.Beam = None,
    rest: opt.Rest = None,
    continuum: opt.Continuum = "auto",
    positivity: opt.Positivity = "auto",
    vst: opt.Vst = None,
    memory: opt.Memory = None,
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    cluster: opt.Cluster = None,
    seed: Annotated[int, typer.Option(help="Fixes every random draw.", rich_help_panel=opt.RUNNING)] = 0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done and what it costs; write nothing.",
            rich_help_panel=opt.RUNNING,
        ),
    ] = False,
    json_log: opt.JsonLog = False,
    no_report: opt.NoReport = False,
) -> int:
    """Denoise cubes and images: a FITS file with its residual and noise each, and an HTML report."""
    reading = opt.Reading(
        parse.hdu(hdu), stokes, mask, exclude, noise, parse.noise_kind(noise_kind), gain, psf, beam, rest
    ).given()
    from denoise.engine.options import run_options

    wanted = run_options(
        method=method,
        parameters=parse.assignments(settings or []),
        seed=seed,
        continuum=continuum,
        positivity=positivity,
        vst=None if vst is None else parse.stabilisation(vst),
        companion=companion,
        memory=None if memory is None else parse.size(memory),
        save=parse.words(save, option="--save", allowed=("uncert", "residual", "noise")),
        overwrite=overwrite,
        layout=layout,
    )
    check_method(wanted)
    jobs = plan_jobs(inputs, output, overwrite=overwrite or dry_run, report=not no_report)
    messages = Messages(as_json=json_log)
    if dry_run:
        return run_jobs(jobs, partial(_plan, wanted, reading), messages)
    from denoise.engine import open_runner

    with stoppable(messages) as token, open_runner(workers, scheduler, cluster) as runner:
        work = partial(denoise_job, wanted, reading, messages, token, runner=runner)
        return run_jobs(jobs, work, messages)


def check_method(wanted: RunOptions) -> None:
    """Refuse an unknown method or a wrong parameter before anything is read."""
    from denoise.methods import get_method

    get_method(wanted.method)(**wanted.parameters)


def _plan(wanted: RunOptions, reading: dict[str, Any], job: Job) -> Outcome:
    from denoise.engine import plan_file

    planned: Plan = plan_file(job.source, wanted, input_options=reading)
    facts(str(job.source), planned.describe() | {"would be written to": str(job.output)})
    return Outcome(shape=_shape(planned.shape), output=f"{job.output} (not written)")


def denoise_job(
    wanted: RunOptions,
    reading: dict[str, Any],
    messages: Messages,
    token: CancelToken,
    job: Job,
    *,
    runner: Runner | None = None,
) -> Outcome:
    """Run one job, and its row of the summary."""
    return outcome(run_job(wanted, reading, messages, token, job, runner=runner), job)


def run_job(
    wanted: RunOptions,
    reading: dict[str, Any],
    messages: Messages,
    token: CancelToken,
    job: Job,
    *,
    runner: Runner | None = None,
) -> Result:
    """Run one job: the result in a file, its metrics as a table, its report, and where things are."""
    from denoise.engine import run_file

    make_folder(job.output.parent)
    result = run_file(
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
    files = {"output": str(job.output)}
    if job.report is not None:
        from denoise.report import write_report

        files["report"] = str(write_report(result, job.report, stem=stem(job.output)).html)
    messages.done(
        f"wrote {' and '.join(files.values())} in {result.seconds:.1f} s",
        input=str(job.source),
        seconds=round(result.seconds, 3),
        metrics=result.metrics,
        **files,
    )
    return result


def show_metrics(result: Result, title: str) -> None:
    """The metrics of a run as a table on stdout."""
    from denoise.report.tables import metric_rows

    unit = result.input.unit_text or "data units"
    short = unit if len(unit) <= _SHORT else "unit"
    stated = "" if short == unit else f" (unit: {unit})"
    rows = [row.cells() for row in metric_rows(result.metrics, short)]
    columns = ("", "before", "after", "unit", "note")
    shown = len(columns) if width() >= WIDE else len(columns) - 1
    table(f"{title}: {result.method}{stated}", columns[:shown], [row[:shown] for row in rows])


def outcome(result: Result, job: Job) -> Outcome:
    """One row of the summary."""
    metrics = result.metrics
    change = metrics.get("flux_change_percent")
    return Outcome(
        shape=_shape(result.cube.shape),
        # None: the method leaves exact zeros outside the emission
        noise=f"{metrics['noise_before']:.3g} -> {metrics['noise_after'] or 0:.3g}",
        flux="none found" if change is None else f"{change:+.1f} %",
        seconds=f"{result.seconds:.1f}",
        output=str(job.output),
    )


def make_folder(folder: Path) -> None:
    """Create the output's folder.

    Raises
    ------
    ResourceError
        It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(
            f"the folder {folder} cannot be created", value=err.strerror, action="name another output with -o"
        ) from None


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
