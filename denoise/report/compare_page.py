"""Write a comparison: one HTML page with its figures, and the numbers as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from denoise.check.choosing.compared import Compared, Entry
from denoise.check.choosing.comparison import Comparison
from denoise.cube.units import parse_unit
from denoise.metrics import Measurement
from denoise.report.compare_figures import compare_figures
from denoise.report.labels import number, size_text, unit_text, with_unit
from denoise.report.pages import inline, png_of, put_files, render_page

PAGE, NUMBERS = "compare.html", "compare.json"
FIGURES = ("scores", "moment0", "spectra", "peak")
COLUMNS = (
    "method",
    "error (σ²)",
    "less best",
    "flux kept, SNR 4",
    "SNR 8",
    "found, SNR 4",
    "false regions",
    "emission",
    "noise left",
    "residual",
    "not white",
    "±1σ",
    "time",
    "memory",
)
SHORT = (
    "method",
    "error (σ²)",
    "less best",
    "flux kept, SNR 4",
    "SNR 8",
    "false regions",
    "emission",
    "noise left",
    "not white",
    "time",
    "memory",
)  # what a terminal has room for
_TEXTS = {
    "scores": (
        "Scores",
        "From the left: squared error against data with independent noise, less that of the recommended method, with "
        "the standard error of the difference (all saw the same noise; linear about 0, logarithmic beyond); share of "
        "the flux of injected sources that came back; regions expected where there is no source; wall time of a run.",
        "Error, flux kept, false regions and time of every method.",
    ),
    "moment0": (
        "Moment 0",
        "Sum over the channels with emission in the input, the same for all, on one scale. Orange in the input: where "
        "its emission is. Ellipse: beam; grey: no data.",
        "Moment 0 of the input and of every method.",
    ),
    "spectra": (
        "Spectra",
        "In the aperture where the emission of the input is (orange in its map): each method over the input (grey, "
        "with its 1σ noise).",
        "Spectrum of every method over that of the input.",
    ),
    "peak": (
        "Brightest channel",
        "The channel in which the emission is brightest, the same for all, on one scale.",
        "The brightest channel of the input and of every method.",
    ),
}


class CompareFiles(NamedTuple):
    """Where a comparison is."""

    html: Path
    json: Path
    pngs: tuple[Path, ...]


def compare_files(folder: str | Path) -> list[Path]:
    """Every file that a comparison may write into a folder."""
    return [Path(folder) / name for name in (PAGE, NUMBERS, *(f"compare_{name}.png" for name in FIGURES))]


def write_compared(comparison: Comparison, folder: str | Path) -> CompareFiles:
    """Write a comparison into a folder; each file appears complete or not at all, the page last.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    drawn = {name: png_of(fig) for name, fig in compare_figures(comparison).items()}
    compared = comparison.compared
    files = {f"compare_{name}.png": png for name, png in drawn.items()}
    files[NUMBERS] = compared.to_json().encode()
    page = put_files(folder, "comparison", files, (PAGE, _page(compared, drawn)))
    pngs = tuple(page.with_name(f"compare_{name}.png") for name in drawn)
    return CompareFiles(page, page.with_name(NUMBERS), pngs)


def rows_of(compared: Compared) -> list[tuple[str, ...]]:
    """The methods that ran as text, in the order of `COLUMNS`, the lowest error first."""
    done = [one for one in compared.entries if one.score is not None]
    done.sort(key=lambda one: one.score.value if one.score else 0.0)
    return [_row(compared, one) for one in done]


def failures_of(compared: Compared) -> list[tuple[str, str]]:
    """Methods that failed, and why."""
    return [(one.method, one.failure) for one in compared.entries if one.failure]


def _row(compared: Compared, one: Entry) -> tuple[str, ...]:
    low, high = (one.recovered[0], one.recovered[-1]) if one.recovered else (None, None)
    spread = one.residual.get("std")
    white = one.whiteness
    left = None if one.noise is None or not compared.noise else one.noise / compared.noise
    return (
        f"{one.method} *" if one.method == compared.recommended else one.method,
        _with_error(one.score, 1.0, ""),
        "–" if one.method == compared.recommended else _with_error(one.difference, 1.0, "", sign=True),
        _with_error(None if low is None else low.flux, 100.0, " %"),
        _with_error(None if high is None else high.flux, 100.0, " %"),
        _with_error(None if low is None else low.found, 100.0, " %"),
        _with_error(one.false, 1.0, ""),
        _share(one.flux, compared.flux),
        "–" if left is None else "zeros" if left == 0 else f"{100 * left:.0f} %",
        "–" if spread is None else f"{spread:.2f} σ",
        "–" if white is None else f"{white:.2f}",
        "yes" if one.error_bar else "no",
        f"{one.seconds:.1f} s" if one.seconds >= 1 else f"{one.seconds:.2f} s",
        "–" if one.memory is None else f"{one.memory / 1e6:,.0f} MB",
    )


def _share(after: Measurement | None, before: Measurement) -> str:
    """Flux of the emission in per cent of the input's, with the error of the input's."""
    if after is None or not before.value > 0:
        return "–"
    return _with_error(Measurement(after.value / before.value, before.error / before.value), 100.0, " %")


def _with_error(one: Measurement | None, factor: float, unit: str, *, sign: bool = False) -> str:
    if one is None:
        return "–"
    value, error = factor * one.value, factor * one.error
    places = 0 if factor > 1 else 1 if error >= 0.2 else 3 if error >= 0.002 else 4
    return f"{value:{'+' if sign else ''}.{places}f} ± {error:.{places}f}{unit}".replace("-", "−")


def _page(compared: Compared, drawn: dict[str, bytes]) -> str:
    image = compared.shape[0] == 1
    figures = []
    for name in FIGURES:
        if name in drawn:
            title, caption, alt = _TEXTS[name]
            title = "The image" if image and name == "peak" else title
            figures.append(
                {"name": name, "title": title, "caption": caption, "alt": alt, "inline": inline(drawn[name])}
            )
    return render_page(
        "compare.html.j2",
        title=compared.input,
        facts=_facts(compared),
        sentence=compared.sentence(),
        notes=compared.notes,
        columns=COLUMNS,
        rows=rows_of(compared),
        failures=failures_of(compared),
        figures=figures,
        parameters=[
            (f"{one.method}: {name}", str(value))
            for one in compared.entries
            for name, value in one.parameters.items()
        ],
        asked=[(name, str(value)) for name, value in compared.asked.items()],
    )


def _facts(compared: Compared) -> list[tuple[str, str]]:
    unit = unit_text(parse_unit(compared.unit), compared.unit)
    idle = [one.idle for one in compared.entries if one.idle is not None]
    own = "" if not idle else f", of which {max(idle) / 1e6:,.0f} MB are Python and its libraries"
    flux = f"{number(compared.flux.value)} ± {number(compared.flux.error, 2)}"
    return [
        ("Compared", size_text(compared.shape) + (f"; part: {compared.part}" if compared.part else "")),
        ("Noise", f"{with_unit(number(compared.noise), unit)} (1σ, median)"),
        (
            "Emission",
            f"where ist shows the input above 1σ, grown by the correlation of the noise: {compared.emission:,} voxels, "
            f"{with_unit(flux, unit)} summed over them"
            if compared.emission
            else "none",
        ),
        ("Draws", f"{compared.draws} of the noise for the error"),
        ("Time and memory", f"a run in a process of its own; memory is its peak{own}" if idle else "a run"),
        ("In all", f"{compared.seconds:.0f} s"),
    ]
