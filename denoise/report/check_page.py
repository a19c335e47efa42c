"""Write a check: one HTML page with its figures, the numbers as JSON, and a table of all cells."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

from denoise.check.record import plain
from denoise.check.recovery.cells import SCORES, Cell, Score
from denoise.check.recovery.outcome import Check
from denoise.cube.units import parse_unit
from denoise.report import check_figures
from denoise.report.labels import number, size_text, unit_text, with_unit
from denoise.report.pages import inline, png_of, put_files, render_page

PAGE, NUMBERS, TABLE = "check.html", "check.json", "check.ecsv"
FIGURES = ("recovery", "shape", "purity")
COLUMNS = (
    "kind",
    "peak SNR",
    "sources",
    "flux recovered",
    "found",
    "place off",
    "wider",
    "line off",
    "line wider",
)
_UNITS = {
    "shift_y": "pix",
    "shift_x": "pix",
    "distance": "pix",
    "fwhm": "pix",
    "shift_channel": "channel",
    "line": "channel",
}


class CheckFiles(NamedTuple):
    """Where a check is: page, numbers, table and figures."""

    html: Path
    json: Path
    table: Path
    pngs: tuple[Path, ...]


def check_files(folder: str | Path) -> list[Path]:
    """Every file that a check may write into a folder."""
    return [
        Path(folder) / name for name in (PAGE, NUMBERS, TABLE, *(f"check_{name}.png" for name in FIGURES))
    ]


def write_check(check: Check, folder: str | Path) -> CheckFiles:
    """Write a check into a folder; each file appears complete or not at all, the page last.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    drawn = _draw(check)
    files = {f"check_{name}.png": png for name, png in drawn.items()}
    files |= {TABLE: ecsv(check).encode(), NUMBERS: check.to_json().encode()}
    page = put_files(folder, "check", files, (PAGE, _render(check, drawn)))
    pngs = tuple(page.with_name(f"check_{name}.png") for name in drawn)
    return CheckFiles(page, page.with_name(NUMBERS), page.with_name(TABLE), pngs)


def _draw(check: Check) -> dict[str, bytes]:
    figures = {
        "recovery": check_figures.recovery_figure(check),
        "shape": check_figures.shape_figure(check),
        "purity": check_figures.purity_figure(check),
    }
    return {name: png_of(fig) for name, fig in figures.items() if fig is not None}


def rows_of(check: Check) -> list[tuple[str, ...]]:
    """The cells as text, in the order of `COLUMNS`."""
    return [_row(cell) for cell in check.cells]


def _row(cell: Cell) -> tuple[str, ...]:
    scores = cell.scores
    return (
        cell.kind,
        f"{cell.snr:g}",
        str(cell.count),
        with_error(scores["flux"], 100.0, " %"),
        with_error(scores["completeness"], 100.0, " %"),
        with_error(scores["distance"], 1.0, " px"),
        with_error(scores["fwhm"], 1.0, " px"),
        with_error(scores["shift_channel"], 1.0, " ch"),
        with_error(scores["line"], 1.0, " ch"),
    )


def with_error(score: Score | None, factor: float, unit: str) -> str:
    """Value and standard error as text: "93 ± 4 %"; a dash where nothing is known."""
    if score is None:
        return "–"
    value, error = factor * score.value, factor * score.error
    if value == 0 and error == 0:
        return f"0{unit}"
    places = 0 if factor > 1 and error >= 1 else 1 if error >= 0.1 else 2
    return f"{value:.{places}f} ± {error:.{places}f}{unit}".replace("-", "−")


def ecsv(check: Check) -> str:
    """The cells as a table in astropy's ECSV, with units and the sentence."""
    from astropy import units as u
    from astropy.table import Table

    known = {"pix": u.pix, "channel": u.Unit("chan")}
    table = Table(meta={"sentence": check.sentence(), "method": check.method, "input": check.input})
    table["kind"] = [cell.kind for cell in check.cells]
    for name in ("snr", "count", "found"):
        table[name] = [getattr(cell, name) for cell in check.cells]
    for name in SCORES:
        for part in Score._fields:
            column = name if part == "value" else f"{name}_{part}"
            scores = [cell.scores.get(name) for cell in check.cells]
            table[column] = [float("nan") if one is None else getattr(one, part) for one in scores]
            if name in _UNITS:
                table[column].unit = known[_UNITS[name]]
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue()


def _render(check: Check, drawn: dict[str, bytes]) -> str:
    texts = _texts(check)
    return render_page(
        "check.html.j2",
        title=check.input,
        facts=_facts(check),
        sentence=check.sentence(),
        notes=check.notes,
        figures=[
            {
                "name": name,
                **texts[name],
                "inline": inline(png),
            }
            for name, png in drawn.items()
        ],
        columns=COLUMNS,
        rows=rows_of(check),
        image=check.shape[0] == 1,
        kinds=[_kind_row(check, kind) for kind in check.kinds],
        parameters=[(name, str(value)) for name, value in check.parameters.items()],
        settings=[(name, str(value)) for name, value in plain(check.settings).items()],
    )


def _facts(check: Check) -> list[tuple[str, str]]:
    axes, image = check.axes, check.shape[0] == 1
    pixels = "" if axes.arcsec is None else f"; pixels of {number(axes.arcsec)}″"
    part = f"; part: {check.part}" if check.part else ""
    channel = "" if axes.channel is None or image else f"; channels of {number(axes.channel)} {axes.unit}"
    sources = sum(cell.count for cell in check.cells if cell.kind in {kind.name for kind in check.kinds})
    return [
        ("Checked", f"{size_text(check.shape)}{pixels}{channel}{part}"),
        ("Method", check.method),
        ("Noise", f"{with_unit(number(check.noise), unit_text(parse_unit(check.unit), check.unit))} (1σ, median)"),
        ("Beam of the sources", f"{number(axes.beam[0])} × {number(axes.beam[1])} pixels; {axes.beam_origin}"),
        ("Sources", f"{sources:,}, each cell of the table its share"),
        ("Found means", f"a connected region of the output above {number(check.level)} σ of the input at its core, "
         f"with a matched-filter SNR of at least {number(check.min_snr)}"),
        ("Time", f"{check.seconds:.0f} s"),
    ]  # fmt: skip


def _kind_row(check: Check, kind: Any) -> tuple[str, ...]:
    place = {"cube": "the cube, off its emission", "noise": "draws of its noise model"}[kind.field]
    arcsec = "" if check.axes.arcsec is None else f" ({number(kind.fwhm * check.axes.arcsec)}″)"
    speed = (
        "" if check.axes.channel is None else f" ({number(kind.line * check.axes.channel)} {check.axes.unit})"
    )
    line = "–" if check.shape[0] == 1 else f"{number(kind.line)} channels{speed}"
    return kind.name, f"{number(kind.fwhm)} pixels{arcsec}", line, place, kind.note


def _texts(check: Check) -> dict[str, dict[str, str]]:
    bars = "Bars are standard errors of the mean over the sources of a cell."
    off = "What the method makes of the same field without the sources is taken off. "
    negated = (
        "" if check.false is None or not check.false.negated else " and in the negated cube off its emission"
    )
    draws = 0 if check.false is None else check.false.draws
    return {
        "recovery": {
            "title": "Flux and completeness",
            "caption": "Left: sum of the output over the sources’ own footprints (above 1 % of their peak) against "
            f"the sum that was put in, sources that were not found included; dotted: with what came out about the "
            f"footprints, where light may be spread. {off}Right: share of the sources at "
            f"whose place a region was found. {bars}",
            "alt": "Flux recovered and share of sources found against peak SNR, a line for each kind of source.",
        },
        "shape": {
            "title": "Place, size and line",
            "caption": "Of the sources that were found: mean distance of the output’s centre from the source’s, how "
            "much wider (FWHM from moments) the output is on the sky, and, along the spectral axis, the mean shift "
            f"towards higher channels and how much wider the line is. {bars}",
            "alt": "Place error, broadening, line shift and line broadening against peak SNR.",
        },
        "purity": {
            "title": "False regions",
            "caption": f"Regions of the output where there is no source, in {draws} draws of the noise model{negated}, "
            "scaled to one cube of this size, by the matched-filter SNR of the input in them. Bars are Poisson errors; "
            "triangles are where none was seen. The dashed line is one in this cube.",
            "alt": "Expected number of false regions in the cube against their matched-filter SNR.",
        },
    }  # fmt: skip
