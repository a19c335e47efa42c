"""The part of the page about the reliability of regions: a map with their outlines, their numbers, their table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers, slabs
from denoise.check.regions.finding import FoundRegion
from denoise.check.regions.judge import Judged, draws_text
from denoise.report.labels import number
from denoise.report.panels import (
    AFTER,
    SECOND,
    TICK,
    Scale,
    beam_and_bar,
    colour_bar,
    few_ticks,
    figure,
    frame_axes,
    outline,
    sky_map,
    style,
)
from denoise.report.scene import Scene
from denoise.report.stream import MAP_PIXELS

Floats = NDArray[np.float64]
Beam = tuple[float, float, float] | None

CLASSES = (  # least reliability, colour, words
    (0.9, "#0072b2", "0.9 or more"),
    (0.5, "#e69f00", "0.5 to 0.9"),
    (0.0, "#cc3311", "below 0.5"),
)
DRAWN = 300
NAMED = 20
LISTED = 20


def reliability_figure(scene: Scene, beam: Beam, judged: Judged, readers: Readers) -> Any:
    """Regions outlined on the brightest channel of each pixel, how many there are beside noise's, and how sure."""
    wide, high = (abs(b - a) for a, b in scene.sky.limits(_field(scene)))
    fig = figure(float(np.clip(4.4 * high / wide, 3.0, 5.6)) + 1.0)
    axes = fig.subplot_mosaic([["map", "count"], ["map", "sure"]], width_ratios=(1.75, 1.0))
    _map(fig, axes["map"], scene, beam, judged=judged, readers=readers)
    _counts(axes["count"], judged)
    _sure(axes["sure"], judged)
    return fig


def _map(fig: Any, ax: Any, scene: Scene, beam: Beam, *, judged: Judged, readers: Readers) -> None:
    factor = -(-max(scene.shape[1:]) // MAP_PIXELS)
    image = brightest(readers, factor)
    top = float(np.nanpercentile(image, 99.7)) if np.isfinite(image).any() else 1.0
    scale = Scale(0.0, max(top, 3.0), 1.5 if top > 20 else 0.0, "gray_r")
    artist = sky_map(ax, image, scene.sky, shape=scene.shape[1:], factor=factor, scale=scale)
    frame_axes(ax, scene.sky, _field(scene))
    for i, (region, sure) in reversed(
        list(enumerate(zip(judged.regions, judged.reliability, strict=True)))[:DRAWN]
    ):
        mask = half_peak(region, readers)
        outline(ax, mask, scene.sky, color=class_of(sure)[1])
        if i < NAMED and sure >= 0.5:
            _name(ax, scene, mask, i + 1, color=class_of(sure)[1])
    beam_and_bar(ax, beam, scene.sky)
    what = "Output" if scene.image else "Output, brightest channel"
    style(ax, *scene.sky.labels)
    colour_bar(fig, artist, [ax], (f"{what} / noise of the input", "σ"), scale, location="bottom", pad=0.02)
    _legend(fig, judged)


def half_peak(region: FoundRegion, readers: Readers) -> NDArray[np.bool_]:
    """Pixels (y, x) of the field where a region, its brightest channel in each, is above half its peak."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = region.sign * readers.lines(region.box)[1] / readers.sigma(region.box)
    own = np.where(region.footprint, np.nan_to_num(scaled), 0.0).max(axis=0)
    mask = np.zeros(readers.shape[1:], bool)
    mask[region.box[1:]] = own > 0.5 * own.max(initial=0.0)
    return mask


def _name(ax: Any, scene: Scene, mask: NDArray[np.bool_], label: int, *, color: str) -> None:
    from matplotlib.patheffects import withStroke

    rows, columns = np.nonzero(mask)
    edge = int(np.argmax(rows))
    x, y = scene.sky.offsets(columns[edge], rows[edge] + 0.5)
    ax.annotate(
        str(label), (float(x), float(y)), xytext=(0, 1.5), textcoords="offset points", ha="center", va="bottom",
        fontsize=TICK, color=color, fontweight="bold", path_effects=[withStroke(linewidth=2.2, foreground="white")],
        annotation_clip=True, clip_on=True,
    )  # fmt: skip


def _legend(fig: Any, judged: Judged) -> None:
    from matplotlib.lines import Line2D

    classes = [class_of(sure)[2] for sure in judged.reliability]
    handles = [
        Line2D([], [], color=color, lw=1.4, label=f"{words} ({classes.count(words)})")
        for _, color, words in CLASSES
    ]
    fig.legend(
        handles=handles, title="Reliability", fontsize=TICK, title_fontsize=TICK, loc="outside upper left", ncols=3,
        frameon=False, handlelength=1.2, columnspacing=1.2, alignment="left", borderaxespad=0.2,
    )  # fmt: skip


def _counts(ax: Any, judged: Judged) -> None:
    """Histogram of the matched SNR: found, and expected of noise in one cube."""
    found, null = (np.array([r.snr for r in part]) for part in (judged.regions, judged.null.regions))
    edges = np.geomspace(judged.null.min_snr, _last(judged), 14)
    one = np.histogram(found, edges)[0]
    rate = judged.null.expected().value / max(null.size, 1)
    ax.stairs(one, edges, color=AFTER, lw=1.4, label="found")
    ax.stairs(
        rate * np.histogram(null, edges)[0],
        edges,
        color=SECOND,
        alpha=0.4,
        fill=True,
        label="expected of noise",
    )
    style(ax, "", "Regions per bin")
    _snr_axis(ax, judged)
    ax.tick_params(labelbottom=False)
    few_ticks(ax.yaxis, 4, integer=bool(one.max(initial=0) >= 3))
    ax.legend(fontsize=8, frameon=False, loc="upper right", borderaxespad=0.2)


def _sure(ax: Any, judged: Judged) -> None:
    """Reliability against the matched SNR; holes are open."""
    for region, sure in zip(judged.regions, judged.reliability, strict=True):
        color = class_of(sure)[1]
        face = color if region.sign > 0 else "white"
        ax.plot(
            max(region.snr, judged.null.min_snr), sure, "o", ms=4, mec=color, mfc=face, mew=0.9, clip_on=False
        )
    style(ax, "Signal to noise of the input\n(matched filter)", "Reliability")
    ax.set_ylim(-0.03, 1.03)
    _snr_axis(ax, judged)


def _last(judged: Judged) -> float:
    return 1.1 * max([10.0, *(r.snr for r in (*judged.regions, *judged.null.regions))])


def _snr_axis(ax: Any, judged: Judged) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    last = _last(judged)
    ax.set_xscale("log")
    ax.set_xlim(judged.null.min_snr, last)
    ticks = [t for t in (3, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000) if t <= last]
    ax.xaxis.set_major_locator(FixedLocator(ticks[:2] + ticks[2:][:: 1 + len(ticks) // 7]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def class_of(sure: float) -> tuple[float, str, str]:
    """Least reliability, colour and words of the class that a region belongs to."""
    return next(one for one in CLASSES if sure >= one[0])


def brightest(readers: Readers, factor: int) -> Floats:
    """Largest value of the output over the channels in sigma of the input, binned by its maximum, shape (y', x')."""
    _, ny, nx = readers.shape
    full = np.full((ny, nx), np.nan)
    for box in slabs(readers.shape):
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = readers.lines(box)[1] / readers.sigma(box)
        known = np.isfinite(scaled).any(axis=0)
        full[box[1:]] = np.where(known, np.where(np.isfinite(scaled), scaled, -np.inf).max(axis=0), np.nan)
    if factor == 1:
        return full
    filled = np.where(np.isnan(full), -np.inf, full)
    rows = np.maximum.reduceat(filled, np.arange(0, ny, factor), axis=0)
    small = np.maximum.reduceat(rows, np.arange(0, nx, factor), axis=1)
    return np.where(np.isfinite(small), small, np.nan)


def texts(judged: Judged) -> tuple[str, str, str]:
    """Heading, caption and alternative text."""
    rate = judged.null.expected()
    caption = (
        f"Probability of each region of the output being real, from {draws_text(judged.null)}: noise shows "
        f"{number(float(rate.value), 2)} ± {number(float(rate.error), 2)} regions per cube, and "
        f"{number(judged.doubtful, 2)} of the {len(judged.regions)} found are expected to be noise. "
        "Outlines: half the peak of a region in its brightest channel, coloured by reliability; numbers are those of "
        "the table. Open symbols are holes."
    )
    return (
        "Reliability",
        caption,
        "Map of the output with its regions outlined by reliability, and their counts.",
    )


def table_rows(judged: Judged, most: int = LISTED) -> tuple[list[str], list[tuple[str, ...]], int]:
    """Headings and the first rows of the catalogue for people, and how many more there are."""
    table = judged.catalogue
    columns = [c for c in _columns(table) if c[1] in table.colnames]
    heads = ["No.", *(c[0] for c in columns)]
    rows: list[tuple[str, ...]] = []
    for row in table[:most]:
        rows.append((str(row["id"]), *(_cell(row, name, digits) for _, name, digits in columns)))
    return heads, rows, max(0, len(table) - most)


def _columns(table: Any) -> Sequence[tuple[str, str, int]]:
    """Heading, column and digits."""
    lon, lat = next(((a, b) for a, b in (("ra", "dec"), ("glon", "glat"), ("elon", "elat"), ("lon", "lat"))
                     if a in table.colnames), ("x", "y"))  # fmt: skip
    spectral = next((n for n in ("velocity", "spectral", "channel") if n in table.colnames), "channel")
    wanted = (
        (_named(table, lon), lon, 0), (_named(table, lat), lat, 0), (_named(table, spectral), spectral, 5),
        (_named(table, "flux"), "flux", 3), ("Peak SNR before", "peak_snr_before", 3), ("after", "peak_snr_after", 3),
        ("Matched SNR", "snr", 3), (_named(table, "major"), "major", 3), (_named(table, "line_width"), "line_width", 3),
        ("Reliability", "reliability", 3),
    )  # fmt: skip
    return wanted


_WORDS = {
    "ra": "RA", "dec": "Dec", "flux": "Flux", "major": "FWHM", "line_width": "Line width", "velocity": "Velocity",
    "spectral": "Coordinate", "channel": "Channel",
}  # fmt: skip


def _named(table: Any, name: str) -> str:
    words = _WORDS.get(name, name)
    unit = table[name].unit if name in table.colnames else None
    if unit is None or name in ("ra", "dec"):
        return words
    return f"{words} ({unit.to_string('unicode', fraction=False)})"


def _cell(row: Any, name: str, digits: int) -> str:
    value = float(row[name])
    if name in ("ra", "dec"):
        from astropy.coordinates import Angle

        unit, places = ("hourangle", 2) if name == "ra" else ("deg", 1)
        return str(
            Angle(value, "deg").to_string(unit, sep=":", precision=places, pad=True, alwayssign=name == "dec")
        )
    if name == "flux":
        return f"{number(value, digits)} ± {number(float(row['flux_error']), 2)}"
    if name == "reliability":
        return ">0.995" if value > 0.995 else f"{value:.2f}"
    if name in ("x", "y"):
        return f"{value:.1f}"
    return number(value, digits) if digits else f"{value:.5f}"


def _field(scene: Scene) -> tuple[float, float, float, float]:
    return -0.5, scene.shape[2] - 0.5, -0.5, scene.shape[1] - 0.5
