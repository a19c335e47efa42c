"""``denoise compare``: methods side by side on one cube, without truth, and which to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import make_folder, options_of, reading_of, refuse_existing
from denoise.cli.batch import stem, stoppable
from denoise.cli.console import Messages, out, table

if TYPE_CHECKING:
    from denoise.check.choosing.compared import Compared, Entry
    from denoise.engine import RunOptions

EFFORT = "Effort"


def compare(
    source: Annotated[Path, typer.Argument(metavar="OBS.fits", help="A FITS cube or image.")],
    methods: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="As ist,pca,unet; all that keep the flux unit when not given."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Half the voxels, draws, sources and noise fields: less certain.",
            rich_help_panel=EFFORT,
        ),
    ] = False,
    voxels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="A larger cube is compared on the part about its brightest emission; 300,000 when not given.",
            rich_help_panel=EFFORT,
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Draws of the noise for the error; 4 when not given.", rich_help_panel=EFFORT
        ),
    ] = None,
    sources: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Injected sources, of peak SNR 4 and 8; 48 when not given, 0: none.",
            rich_help_panel=EFFORT,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder; OBS_compare here when not given.")
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
    """Methods side by side on this cube: maps, spectra, errors, flux, false structure, time, memory; recommends one.

    No truth is needed: results are held against data with noise that the methods have not seen, and known sources are
    put in.
    """
    from denoise.check.choosing.comparison import FULL, QUICK
    from denoise.report.compare_page import compare_files

    typed = dict(locals())
    wanted, reading = options_of(typed, "ist"), reading_of(typed)
    names = None if methods is None else _names(methods)
    effort = (QUICK if quick else FULL).changed(voxels=voxels, draws=draws, sources=sources)
    folder = output or Path(f"{stem(source)}_compare")
    refuse_existing(folder, compare_files(folder), overwrite=overwrite)
    return _compared(source, names, reading, wanted, effort, folder, Messages(as_json=json_log))


def _names(text: str) -> tuple[str, ...]:
    """Methods that there are; refused before anything is read."""
    from denoise.check.choosing.contender import contenders
    from denoise.methods import list_methods

    names = parse.words(text, option="--methods", allowed=sorted(list_methods()))
    return tuple(one.method for one in contenders(names))


def _compared(
    source: Path,
    names: tuple[str, ...] | None,
    reading: dict[str, Any],
    wanted: RunOptions,
    effort: Any,
    folder: Path,
    messages: Messages,
) -> int:
    from denoise.check.choosing.comparison import compare_methods
    from denoise.cube import read
    from denoise.report.compare_page import write_compared

    def told(entry: Entry) -> None:
        if entry.failure:
            messages.warn(f"{entry.method} is left out: {entry.failure}")
        else:
            messages.done(
                f"{entry.method}: {entry.seconds:.1f} s a run", method=entry.method, seconds=entry.seconds
            )

    with stoppable(messages) as token, messages.working(str(source)):
        done = compare_methods(
            read(source, **reading), wanted, names, effort=effort, input_options=reading, told=told,
            progress=messages.progress, cancel=token,
        )  # fmt: skip
        make_folder(folder)
        files = write_compared(done, folder)
    found = done.compared
    for note in found.notes:
        messages.warn(note)
    _show(found, str(source))
    messages.done(
        f"wrote {files.html} and {files.json} in {found.seconds:.1f} s",
        input=str(source),
        recommended=found.recommended,
        output=str(files.html),
        json=str(files.json),
        seconds=round(found.seconds, 3),
    )
    return 0


def _show(found: Compared, title: str) -> None:
    """The table and the sentence on stdout; the page has more columns."""
    from denoise.report.compare_page import COLUMNS, SHORT, failures_of, rows_of

    picked = [COLUMNS.index(name) for name in SHORT]
    rows = [[row[number] for number in picked] for row in rows_of(found)]
    table(f"{title}: methods side by side (* recommended)", SHORT, rows)
    for name, why in failures_of(found):
        out(f"{name} is left out: {why}")
    out(found.sentence())
