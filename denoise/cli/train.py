"""``denoise train``: a network from a recipe; weights, calibration, card, curves and a checkpoint to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from denoise.cli import options as opt
from denoise.cli.asked import make_folder
from denoise.cli.batch import stoppable
from denoise.cli.console import Messages, facts
from denoise.cores import usable_cores
from denoise.errors import CancelledError, OutputExistsError, UsageError

if TYPE_CHECKING:
    from denoise.engine import CancelToken
    from denoise.networks.conformal import Examine
    from denoise.networks.training import Event

_STAGE = "training"


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="What to train, as YAML.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where everything is written; none: training/NAME.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in DIR.")] = False,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Begin with the weights of this model (a name in models/ or a folder), or of a smaller U-Net.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            metavar="H",
            min=0.001,
            help="Finish within so many hours, those before a resume included.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Processes that simulate; none: one for each core.", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    overwrite: opt.Overwrite = False,
    json_log: opt.JsonLog = False,
) -> int:
    """Train a network on simulations: weights and recipe, card, curves, a checkpoint; of a U-Net guard and errors too.

    Ctrl-C stops after the step at work and keeps the checkpoint; --resume goes on as if it had not stopped, and of a
    training that is done makes guard, calibration and card again.
    """
    from denoise.networks.backend import need_torch
    from denoise.networks.recipe import LidiaRecipe, load_any_recipe

    asked = load_any_recipe(recipe)
    target = folder or Path("training") / asked.name
    where = device_of(need_torch("denoise train"), device)
    _refuse(target, resume=resume, overwrite=overwrite)
    make_folder(target)
    from denoise.networks.card import write_lidia_card
    from denoise.networks.finish import finish_model
    from denoise.networks.training import TrainingRun
    from denoise.networks.training import train as run_training

    messages = Messages(as_json=json_log)
    cores = usable_cores()
    processes = cores if workers is None else workers
    with stoppable(messages) as token, messages.working():
        done = run_training(
            asked,
            TrainingRun(
                target,
                device=where,
                workers=processes,
                # half the work is simulation, and torch's threads spin while they wait
                threads=max(1, cores // 2),
                resume=resume,
                begin=begin,
                hours=hours,
                report=lambda event: _tell(event, messages),
                stop=lambda: token.cancelled,
            ),
        )
        if not token.cancelled and isinstance(asked, LidiaRecipe):
            write_lidia_card(target, device=where, hours=hours)
        elif not token.cancelled:
            finish_model(
                target,
                partial(examiner, target),
                device=where,
                hours=hours,
                workers=processes,
                report=stages(messages, token),
            )
    if done.validations:
        facts("Last validation", {name: f"{value:.3f}" for name, value in done.validations[-1].items()})
    text = f"trained {done.step} of {asked.optimiser.steps} steps in {done.seconds / 3600:.2f} h: {target}"
    messages.done(text, output=str(target), step=done.step)
    return 130 if token.cancelled else 0


def stages(messages: Messages, token: CancelToken) -> Callable[[str, int, int], None]:
    """Tells what is done after a training, and ends it when it is cancelled."""
    from denoise.engine.progress import ProgressEvent

    begun: dict[str, tuple[float, int]] = {}

    def tell(stage: str, done: int, total: int) -> None:
        start, before = begun.setdefault(stage, (time.monotonic(), done))
        spent = time.monotonic() - start
        left = spent / (done - before) * (total - done) if done > before else None
        messages.progress(ProgressEvent(stage, done, total, left))
        if token.cancelled:
            raise CancelledError(
                f"stopped while {stage}; the weights are written",
                action="denoise train goes on with --resume, denoise fine-tune starts again with --overwrite",
            )

    return tell


def examiner(folder: Path, positivity: bool) -> Examine:
    """The method with the model of a folder, its errors not calibrated; picklable as a partial."""
    from denoise.methods.unet import Unet

    return Unet(positivity=positivity, model=str(folder)).examine


def device_of(torch: object, asked: str) -> str:
    """Where a network runs: "cpu" or "cuda"."""
    available = torch.cuda.is_available()  # type: ignore[attr-defined]
    if asked not in ("auto", "cpu", "cuda"):
        raise UsageError(
            "--device must be auto, cpu or cuda",
            value=asked,
            action="use --device auto to take a GPU where there is one",
        )
    if asked == "cuda" and not available:
        raise UsageError("torch sees no CUDA device", action="use --device cpu, or see denoise doctor")
    return "cuda" if available and asked != "cpu" else "cpu"


def _refuse(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """An existing training is neither replaced nor gone on with by accident."""
    from denoise.networks.checkpoint import FILE

    there = (folder / FILE).is_file()
    if resume and not there:
        raise UsageError(f"{folder} holds no checkpoint", action="start without --resume")
    if there and not (resume or overwrite):
        raise OutputExistsError(f"{folder / FILE} exists", action="go on with --resume, or allow --overwrite")


def _tell(event: Event, messages: Messages) -> None:
    from denoise.engine.progress import ProgressEvent

    messages.progress(ProgressEvent(_STAGE, event.step, event.steps, event.seconds_left))
    if event.validation is not None:
        messages.note("validation", **event.validation)
