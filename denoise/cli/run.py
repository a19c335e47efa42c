"""``denoise run``: denoise files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import check_method, options_of, reading_of
from denoise.cli.batch import Job, Outcome, run_jobs, settle, stoppable, task_jobs
from denoise.cli.console import Messages, facts
from denoise.cli.jobs import denoise_job, shape_text
from denoise.cli.ledger import Ledger
from denoise.cli.leftovers import own_scratch, remove_leftovers
from denoise.cli.reliability import Judging, wanted_judging, with_catalogues
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.check.recovery.correction import FluxCorrection
    from denoise.engine import CancelToken, Plan, RunOptions
    from denoise.engine.recipe_tasks import Task
    from denoise.engine.runners import Runner

# what a recipe says itself; the other options go with one
_IN_RECIPE = (
    *("method", "settings", "save", "layout", "hdu", "stokes", "mask", "exclude", "noise", "noise_kind"),
    *("companion", "gain", "psf", "beam", "rest", "crop", "continuum", "positivity", "vst", "uncertainty"),
    *("draws", "agree", "seed"),
)

Workers = tuple[int | None, str | None, str | None]  # number, scheduler, cluster: see ``open_runner``
Run = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="OBS.fits", help="FITS cubes or images; in place of those of a recipe.", show_default=False
    ),
]


def run(
    ctx: typer.Context,
    inputs: Run = None,
    recipe: opt.Recipe = None,
    method: Annotated[
        str, typer.Option("--method", "-m", help="One of `denoise methods`, or auto: chosen for each input.")
    ] = "ist",
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
        str,
        typer.Option(metavar="LIST", help="Extensions beside the data: uncert,residual,noise,reliability."),
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
    crop: opt.Crop = None,
    continuum: opt.Continuum = "auto",
    positivity: opt.Positivity = "auto",
    vst: opt.Vst = None,
    uncertainty: opt.Uncertainty = 0,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Noise draws behind the reliability of regions, 8 if not given.",
            min=1,
            max=1000,
            show_default=False,
            rich_help_panel=opt.PHYSICS,
        ),
    ] = None,
    agree: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="For the reliability: whether this method shows each region too counts as well.",
            show_default=False,
            rich_help_panel=opt.PHYSICS,
        ),
    ] = None,
    correct_flux: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECK.json",
            help="Give every region the flux that this method takes from such sources, as `denoise check` measured it.",
            rich_help_panel=opt.PHYSICS,
        ),
    ] = None,
    device: opt.Device = "auto",
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
    resume: opt.Resume = False,
    json_log: opt.JsonLog = False,
    no_report: opt.NoReport = False,
) -> int:
    """Denoise cubes and images: a FITS file with its residual and noise each, and an HTML report."""
    typed = dict(locals())
    messages, crew = Messages(as_json=json_log), (workers, scheduler, cluster)
    rule = None
    if correct_flux is not None:
        rule = flux_rule(correct_flux, inputs or [], recipe=recipe, resume=resume)
    if recipe is not None:
        _refuse_beside_recipe(ctx)
        from denoise.engine.options import run_options

        here = run_options(device=device, memory=None if memory is None else parse.size(memory))
        tasks = tasks_of_recipe(recipe, inputs or [], here, report=not no_report, overwrite=overwrite)
        return run_tasks(tasks, output, messages, crew, resume=resume, dry_run=dry_run)
    reading = reading_of(typed)
    extensions = parse.words(save, option="--save", allowed=("uncert", "residual", "noise", "reliability"))
    judging = wanted_judging(extensions, draws, agree)
    wanted = options_of(
        typed,
        method,
        settings or [],
        uncertainty=uncertainty,
        save=tuple(word for word in extensions if word != "reliability"),
        overwrite=overwrite,
        layout=layout,
    )
    check_method(wanted)
    from denoise.engine.recipe_tasks import Task

    if not inputs:
        raise UsageError(
            "no input was named", action="denoise run OBS.fits, or -r RECIPE whose inputs name some"
        )
    tasks = [Task(source, wanted, reading, report=not no_report) for source in inputs]
    return run_tasks(
        tasks, output, messages, crew, resume=resume, dry_run=dry_run, rule=rule, judging=judging
    )


def flux_rule(path: Path, inputs: Sequence[Path], *, recipe: str | None, resume: bool) -> FluxCorrection:
    """The correction of a check, for the one input that it is about.

    Raises
    ------
    InputError, UsageError
    """
    if recipe is not None or resume or len(inputs) != 1:
        raise UsageError(
            "--correct-flux is for one input, without a recipe and without --resume",
            value=f"{len(inputs)} inputs",
            action="check and run each input by itself",
        )
    from denoise.check.recovery.correction import FluxCorrection

    return FluxCorrection.from_file(path)


def _refuse_beside_recipe(ctx: typer.Context) -> None:
    for name in _IN_RECIPE:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} and a recipe were given", action="say it in the recipe, or leave -r out"
            )


def tasks_of_recipe(
    recipe: str, inputs: Sequence[Path], here: RunOptions, *, report: bool, overwrite: bool
) -> list[Task]:
    """The tasks of a recipe with what the command line says about this machine and this time."""
    from denoise.engine.recipe_file import load_recipe
    from denoise.engine.recipe_tasks import recipe_tasks

    return [
        replace(
            task,
            report=task.report and report,
            options=task.options.model_copy(
                update={
                    "device": here.device,
                    "memory": here.memory,
                    "overwrite": task.options.overwrite or overwrite,
                }
            ),
        )
        for task in recipe_tasks(load_recipe(recipe), inputs)
    ]


def run_tasks(
    tasks: Sequence[Task],
    output: Path | None,
    messages: Messages,
    workers: Workers,
    *,
    resume: bool,
    dry_run: bool,
    rule: FluxCorrection | None = None,
    judging: Judging | None = None,
) -> int:
    """Run a batch, or one input, with these workers; returns the exit code.

    Several inputs, and any run that is resumed, have a status file each. `judging`: how the reliability of regions is
    found; None: it is not wanted.
    """
    jobs = with_catalogues(task_jobs(tasks, output)) if judging else task_jobs(tasks, output)
    if dry_run:
        settle(jobs, replace=dict.fromkeys(jobs, True))
        from denoise.engine.runners import plan_runner

        with plan_runner(*workers) as planned:
            return run_jobs(jobs, partial(_plan, jobs, planned), messages)
    from denoise.engine import open_runner

    ledger = Ledger(jobs, resume=resume, judging=judging) if resume or len(jobs) > 1 else None
    ours = {job: ledger is not None and ledger.ours(job) for job in jobs}
    settle(
        jobs,
        replace={job: ours[job] or task.options.overwrite for job, task in jobs.items()},
        action=f"name another output with -o, {'' if resume else 'go on by --resume, '}or allow --overwrite",
    )
    with ExitStack() as stack:
        if ledger is not None:
            ledger.refuse_live()
            if resume:
                remove_leftovers(list(jobs))
            stack.enter_context(own_scratch())
        token = stack.enter_context(stoppable(messages))
        runner = stack.enter_context(open_runner(*workers))
        work = partial(_run_task, jobs, ours, messages, token, runner, rule, judging)
        return run_jobs(jobs, work, messages, ledger=ledger)


def _run_task(
    tasks: Mapping[Job, Task],
    ours: Mapping[Job, bool],
    messages: Messages,
    token: CancelToken,
    runner: Runner,
    rule: FluxCorrection | None,
    judging: Judging | None,
    job: Job,
) -> Outcome:
    task = tasks[job]
    options = task.options.model_copy(update={"overwrite": task.options.overwrite or ours[job]})
    return denoise_job(options, task.reading, messages, token, job, runner=runner, rule=rule, judging=judging)


def _plan(tasks: Mapping[Job, Task], runner: Runner, job: Job) -> Outcome:
    from denoise.engine import plan_file
    from denoise.engine.runners import Serial

    task = tasks[job]
    planned: Plan = plan_file(job.source, task.options, input_options=task.reading, runner=runner)
    steps = [task.options.method, *(step.method for step in task.options.then)]
    more = {"steps": f"{', then '.join(steps)}; each reads the cube again"} if len(steps) > 1 else {}
    if runner.name != Serial.name:
        more["workers"] = f"{runner.name}; the peak memory is that of each"
    facts(str(job.source), planned.describe() | more | {"would be written to": str(job.output)})
    return Outcome(shape=shape_text(planned.shape), output=f"{job.output} (not written)")
