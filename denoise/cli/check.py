"""``denoise check``: put sources into a cube and see what a method makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import check_method, make_folder, options_of, reading_of, refuse_existing
from denoise.cli.batch import stem, stoppable
from denoise.cli.console import Messages, out, table

if TYPE_CHECKING:
    from denoise.check.recovery.outcome import Check
    from denoise.check.recovery.settings import Settings

SOURCES = "Sources"


def check(
    source: Annotated[Path, typer.Argument(metavar="OBS.fits", help="A FITS cube or image.")],
    method: Annotated[
        str, typer.Option("--method", "-m", help="One of `denoise methods`, or auto: chosen for the input.")
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
    sources: Annotated[int, typer.Option(metavar="N", help="Sources in all.", rich_help_panel=SOURCES)] = 200,
    snr: Annotated[
        str, typer.Option(metavar="LIST", help="Their peak SNR.", rich_help_panel=SOURCES)
    ] = "2,3,4,6,10",
    size: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Diameters of rotating discs (2 R_e) in beams; 0: unresolved.",
            rich_help_panel=SOURCES,
        ),
    ] = "0,2",
    width: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Line widths (FWHM) in channels; that of the emission found when not given.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A source as a FITS cube on the input's pixel grid.", rich_help_panel=SOURCES
        ),
    ] = None,
    found: Annotated[
        bool,
        typer.Option(
            "--found/--no-found",
            help="Use the emission that the method finds in the input as a source too.",
            rich_help_panel=SOURCES,
        ),
    ] = True,
    draws: Annotated[
        int,
        typer.Option(metavar="N", help="At most so many fields with sources.", rich_help_panel=SOURCES),
    ] = 60,
    empty: Annotated[
        int,
        typer.Option(
            metavar="N", help="Noise draws in which false regions are counted.", rich_help_panel=SOURCES
        ),
    ] = 8,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder; OBS_check_METHOD here when not given."),
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
    """Injection and recovery: how much of the flux of known sources a method keeps in this cube, and what it invents.

    No truth is needed: sources are put where the cube is empty, or into noise like its own.
    """
    from denoise.report.check_page import check_files

    typed = dict(locals())
    reading, wanted = reading_of(typed), options_of(typed, method, settings or [])
    check_method(wanted)
    asked = _settings(
        snr, size, width, template, sources=sources, draws=draws, empty=empty, found=found, seed=seed
    )
    folder = output or Path(f"{stem(source)}_check_{method}")
    refuse_existing(folder, check_files(folder), overwrite=overwrite)
    return _checked(source, reading, wanted, asked, folder, Messages(as_json=json_log))


def _settings(
    snr: str,
    size: str,
    width: str | None,
    template: Path | None,
    *,
    sources: int,
    draws: int,
    empty: int,
    found: bool,
    seed: int,
) -> Settings:
    from denoise.check.recovery.settings import Settings

    return Settings(
        snr=parse.number_list(snr, option="--snr", example="2,3,4,6,10"),
        sizes=parse.number_list(size, option="--size", example="0,2"),
        widths=() if width is None else parse.number_list(width, option="--width", example="4,8"),
        sources=sources,
        draws=draws,
        empty=empty,
        as_found=found,
        template=template,
        seed=seed,
    )


def _checked(
    source: Path, reading: dict[str, Any], wanted: Any, asked: Settings, folder: Path, messages: Messages
) -> int:
    from denoise.check.recovery.study import check_recovery
    from denoise.cube import read
    from denoise.report.check_page import write_check

    with stoppable(messages) as token, messages.working(str(source)):
        done = check_recovery(
            read(source, **reading), wanted, asked,
            input_options=reading, progress=messages.progress, cancel=token,
        )  # fmt: skip
        make_folder(folder)
        files = write_check(done, folder)
    for note in done.notes:
        messages.warn(note)
    _show(done, str(source))
    messages.done(
        f"wrote {files.html} and {files.json} in {done.seconds:.1f} s",
        input=str(source),
        method=done.method,
        output=str(files.html),
        json=str(files.json),
        table=str(files.table),
        seconds=round(done.seconds, 3),
    )
    return 0


def _show(done: Check, title: str) -> None:
    """The table and the sentence on stdout."""
    from denoise.report.check_page import COLUMNS, rows_of

    shown = len(COLUMNS) if done.shape[0] > 1 else len(COLUMNS) - 2  # an image has no line
    rows = [row[:shown] for row in rows_of(done)]
    table(f"{title}: {done.method}, injected sources", COLUMNS[:shown], rows)
    out(done.sentence())
