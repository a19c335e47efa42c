"""``denoise tune``: choose the parameters of a method on one cube, without truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import check_method, make_folder, options_of, reading_of, refuse_existing
from denoise.cli.batch import stem, stoppable
from denoise.cli.console import Messages, out, table
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.check.choosing.tuned import Tuned
    from denoise.engine import RunOptions

SCORE = "Score"


def tune(
    source: Annotated[Path, typer.Argument(metavar="OBS.fits", help="A FITS cube or image.")],
    method: Annotated[str, typer.Option("--method", "-m", help="One of `denoise methods`.")] = "ist",
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Values of a parameter to try, as threshold=4,5,6; repeat for every combination of several. "
            "Those that usually matter when not given.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter that stays as it is (denoise methods NAME); repeat.",
            show_default=False,
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            metavar="r2r|halves|injection",
            help="What is to be least: the error against data with noise of their own, that against a second half, "
            "or the loss of injected sources and false regions.",
            rich_help_panel=SCORE,
        ),
    ] = "r2r",
    half: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For halves: the same field with noise of its own; --hdu, --stokes, --beam, --rest and --crop hold "
            "for it too.",
            rich_help_panel=SCORE,
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(metavar="N", help="Draws of the noise; 25 sources each.", rich_help_panel=SCORE),
    ] = 4,
    voxels: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="A larger cube is judged by the part about its brightest emission.",
            rich_help_panel=SCORE,
        ),
    ] = 4_000_000,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder; OBS_tune_METHOD here when not given."),
    ] = None,
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
    device: opt.Device = "auto",
    memory: opt.Memory = None,
    seed: Annotated[int, typer.Option(help="Fixes every random draw.", rich_help_panel=opt.RUNNING)] = 0,
    json_log: opt.JsonLog = False,
) -> int:
    """Choose the parameters of a method on this cube; the default stays unless another is better for certain.

    No truth is needed: results are held against data with noise that the method has not seen.
    """
    typed = dict(locals())
    wanted = options_of(typed, method, settings or [])
    check_method(wanted)
    kind = parse.choice(score, option="--score", allowed=("r2r", "halves", "injection"))
    asked = {
        "grid": None if not grid else _grid(grid),
        "score": kind,
        "draws": draws,
        "voxels": voxels,
    }
    from denoise.report.tune_page import tune_files

    folder = output or Path(f"{stem(source)}_tune_{method}")
    refuse_existing(folder, tune_files(folder), overwrite=overwrite)
    return _tuned(source, half, reading_of(typed), wanted, asked, folder, Messages(as_json=json_log))


def _grid(words: list[str]) -> dict[str, list[Any]]:
    """``["threshold=3,4"]`` as values by name."""
    grid: dict[str, list[Any]] = {}
    for text in words:
        name, equals, values = text.partition("=")
        parts = [part.strip() for part in values.split(",")]
        if not equals or not name.strip() or not all(parts):
            raise UsageError(
                "--grid needs name=value,value", value=text, action="for instance --grid threshold=4,5,6"
            )
        if name.strip() in grid:
            raise UsageError(f"--grid gives {name.strip()!r} twice", value=text, action="join the two")
        grid[name.strip()] = [None if part == "none" else parse.scalar(part) for part in parts]
    return grid


def _tuned(
    source: Path,
    half: Path | None,
    reading: dict[str, Any],
    wanted: RunOptions,
    asked: dict[str, Any],
    folder: Path,
    messages: Messages,
) -> int:
    from denoise.check.choosing.tuning import tune_method
    from denoise.cube import read
    from denoise.engine.recipe_text import recipe_text
    from denoise.report.tune_page import write_tuned

    shared = {name: reading[name] for name in ("hdu", "stokes", "beam", "rest", "crop") if name in reading}
    with stoppable(messages) as token, messages.working(str(source)):
        other = None if half is None else read(half, **shared)
        done = tune_method(
            read(source, **reading), wanted, **asked,
            half=other, input_options=reading, progress=messages.progress, cancel=token,
        )  # fmt: skip
        chosen = wanted.model_copy(update={"parameters": done.parameters})
        make_folder(folder)
        files = write_tuned(
            done, recipe_text(chosen, reading, title=f"{done.method} as chosen on {source.name}"), folder
        )
    for note in done.notes:
        messages.warn(note)
    _show(done, str(source))
    messages.done(
        f"wrote {files.html}, {files.json} and {files.recipe} in {done.seconds:.1f} s",
        input=str(source),
        method=done.method,
        parameters=done.parameters,
        output=str(files.html),
        json=str(files.json),
        recipe=str(files.recipe),
        seconds=round(done.seconds, 3),
    )
    return 0


def _show(done: Tuned, title: str) -> None:
    """The table and the sentence on stdout."""
    from denoise.report.tune_page import columns_of, rows_of

    table(f"{title}: {done.method}, {done.basis}", columns_of(done), rows_of(done))
    out(done.sentence())
