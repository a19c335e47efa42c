"""``denoise fine-tune``: a trained network and cubes without truth; a new model only where it proves to be better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import make_folder, reading_of
from denoise.cli.batch import stoppable
from denoise.cli.console import Messages, facts
from denoise.cli.train import device_of, examiner, stages
from denoise.cores import usable_cores
from denoise.errors import OutputExistsError, UsageError

if TYPE_CHECKING:
    from denoise.cube import Cube
    from denoise.engine.seen import Seen
    from denoise.networks.pairs import Sky
    from denoise.networks.training import Event
    from denoise.networks.tuning import Verdict

_STAGE = "fine-tuning"
_SHARP = 3.0  # pixels FWHM of what is unresolved where there is no beam
How = Literal["r2r", "halves"]


def fine_tune(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[OBS.fits]...", help="Cubes or images of which there is one each.", show_default=False
        ),
    ] = None,
    half: Annotated[
        list[Path] | None,
        typer.Option(
            "--half",
            metavar="FILE",
            help="One of two independent observations of a field; twice for each field.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="A model in models/, or a folder with one.")
    ] = "unet3d-small",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where the new model is written; none: training/NAME-tuned.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Steps at most; none: 200, of a LIDIA network 100.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            min=0.001,
            help="Take no step after so long; the result then depends on the machine.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes every random draw.")] = 0,
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
    crop: opt.Crop = None,
    continuum: opt.Continuum = "auto",
    vst: opt.Vst = None,
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
    """Fine-tune a trained network on your own cubes, without truth; kept only where it proves to be better.

    One cube of a field gets more noise of its own kind, so that what the network sees and what it is compared with
    have independent noise; two observations of one field (--half A.fits --half B.fits) have that by themselves.
    The new model is written only if the error on blocks that were held out falls by more than two standard errors and
    injected faint sources keep their flux within 5 per cent. Else the old one is kept; a line says so, with numbers.
    """
    typed = dict(locals())
    from denoise.networks.backend import need_torch

    groups = _groups(inputs or [], half or [])
    where = device_of(need_torch("denoise fine-tune"), device)
    from denoise.engine.options import run_options
    from denoise.networks.finetune import fine_tune as tune
    from denoise.networks.finetune import load_trained, usual_tuning, write_verdict
    from denoise.networks.finish import make_trusted
    from denoise.networks.tuning import TuningRun
    from denoise.networks.weights import Model, model_folder

    begun = load_trained(model)
    target = folder or Path("training") / f"{begun.recipe.name}-tuned"
    _refuse(target, model_folder(model), overwrite=overwrite)
    reading = reading_of(typed)
    options = run_options(
        continuum=continuum, companion=companion, vst=None if vst is None else parse.stabilisation(vst)
    )
    usual, method = usual_tuning(begun), begun.recipe.family
    tuning = replace(usual, steps=usual.steps if steps is None else steps, seed=seed)
    messages, cores = Messages(as_json=json_log), usable_cores()
    processes = cores if workers is None else workers
    with stoppable(messages) as token, messages.working():
        from denoise.engine.progress import Monitor
        from denoise.engine.seen import open_seen

        cubes = _read(groups, reading)
        make_folder(target)
        running = TuningRun(
            where,
            workers=processes,
            # half the work is simulation, and torch's threads spin while they wait
            threads=max(1, cores // 2),
            minutes=minutes,
            report=lambda event: _tell(event, messages),
            stop=lambda: token.cancelled,
        )
        with open_seen(cubes, options, Monitor(messages.progress, token)) as seen:
            verdict = tune(begun, [_sky(group) for group in seen], tuning, running)
        files = {cube.name: cube.checksum() for group in cubes for cube in group}
        write_verdict(verdict, begun, tuning, target, how=_how(groups), inputs=files)
        if verdict.adopted and isinstance(begun, Model):
            make_trusted(
                target,
                partial(examiner, target),
                device=where,
                workers=processes,
                report=stages(messages, token),
            )
    _show(verdict, method, target, messages)
    return 0


def _groups(inputs: Sequence[Path], halves: Sequence[Path]) -> list[list[Path]]:
    """Files that belong together: each alone, or halves in pairs."""
    if bool(inputs) == bool(halves):
        raise UsageError(
            "fine-tuning needs cubes, or halves with --half, and not both"
            if inputs
            else "no input was named",
            action="denoise fine-tune OBS.fits..., or --half A.fits --half B.fits",
        )
    if len(halves) % 2:
        raise UsageError(
            "--half needs two files for each field",
            value=f"{len(halves)} given",
            action="give both halves of each field, one after the other: --half A.fits --half B.fits",
        )
    return [[one] for one in inputs] or [list(halves[k : k + 2]) for k in range(0, len(halves), 2)]


def _how(groups: Sequence[Sequence[Path]]) -> How:
    return "halves" if len(groups[0]) == 2 else "r2r"


def _read(groups: Sequence[Sequence[Path]], reading: dict[str, Any]) -> list[list[Cube]]:
    from denoise.cube import read
    from denoise.engine.seen import check_halves

    cubes = [[read(path, **reading) for path in group] for group in groups]
    for group in cubes:
        if len(group) == 2:
            check_halves(*group)
    return cubes


def _sky(group: Sequence[Seen]) -> Sky:
    from denoise.engine.seen import check_independent
    from denoise.networks.pairs import Sky

    if len(group) == 2:
        check_independent(*group)
    beams = group[0].cube.beams
    known = beams is not None and beams.pixels is not None
    beam = (beams.pixels[0] * beams.pixels[1]) ** 0.5 if known else _SHARP  # type: ignore[union-attr, index]
    return Sky(group[0], group[1] if len(group) == 2 else None, beam)


def _refuse(folder: Path, origin: Path, *, overwrite: bool) -> None:
    """Neither the model that it begins with nor another is replaced by accident."""
    from denoise.networks.finetune import RECORD
    from denoise.networks.weights import WEIGHTS

    if folder.resolve() == origin.resolve():
        raise UsageError(
            "the new model would replace the one it begins with", value=str(folder), action="name another -o"
        )
    for name in (WEIGHTS, RECORD):
        if (folder / name).exists() and not overwrite:
            raise OutputExistsError(f"{folder / name} exists", action="name another -o, or allow --overwrite")


def _show(verdict: Verdict, method: str, target: Path, messages: Messages) -> None:
    score, flux = verdict.score, verdict.flux
    facts(
        "Held-out blocks",
        {
            "fall of the squared error": f"{score.gain:.4g} +- {score.error:.2g} sigma^2 a voxel",
            "before, with the target's noise": f"{score.before:.4g} sigma^2 a voxel",
            "blocks, voxels": f"{score.blocks}, {score.voxels}",
            "faint flux, before and after": f"{100 * flux.before:.1f} %, {100 * flux.after:.1f} %",
            "ratio of the two": f"{flux.ratio:.3f} +- {flux.error:.3f} ({flux.sources} sources)",
            "steps, step kept": f"{verdict.steps}, {verdict.step}",
        },
    )
    use = f"; use it: denoise run OBS.fits -m {method} --set model={target}" if verdict.adopted else ""
    messages.done(f"{verdict.line}{use}", output=str(target), adopted=verdict.adopted)


def _tell(event: Event, messages: Messages) -> None:
    from denoise.engine.progress import ProgressEvent

    messages.progress(ProgressEvent(_STAGE, event.step, event.steps, event.seconds_left))
    if event.validation is not None:
        messages.note("look", **event.validation)
