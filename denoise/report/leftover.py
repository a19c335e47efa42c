"""The part of the page about what the residual holds: power by scale, and where signal was left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.residual import Leftover, Place, scale_names
from denoise.report.labels import number
from denoise.report.panels import (
    AFTER,
    SECOND,
    beam_and_bar,
    colour_bar,
    figure,
    frame_axes,
    sky_map,
    style,
    symmetric_scale,
)
from denoise.report.scene import Scene
from denoise.report.stream import MAP_PIXELS

Floats = NDArray[np.float64]
Beam = tuple[float, float, float] | None
LISTED = 12
SHOWN = 4.0  # sigma
COLOURS = (AFTER, SECOND, "#3a7d44", "#7a4ea3", "#555555")
MARKS = "osD^v"


def leftover_figure(scene: Scene, leftover: Leftover, beam: Beam) -> Any:
    """Significance of the smoothed residual on the sky, and its power by scale over that of the noise model."""
    wide, high = (abs(b - a) for a, b in scene.sky.limits(_field(scene)))
    fig = figure(float(np.clip(3.6 * high / wide, 2.5, 5.0)) + 0.9)
    left, right = fig.subplots(1, 2, width_ratios=(1.25, 1.0))
    _map(fig, left, scene, leftover, beam=beam)
    _powers(right, leftover)
    return fig


def _map(fig: Any, ax: Any, scene: Scene, leftover: Leftover, *, beam: Beam) -> None:
    factor = -(-max(scene.shape[1:]) // MAP_PIXELS)
    image = strongest(leftover.sky, factor)
    # the strongest of all scales and channels is 3 to 4 sigma everywhere
    image = np.where(np.abs(image) < SHOWN, 0.0, image)
    scale = symmetric_scale(1.25 * leftover.level)
    artist = sky_map(ax, image, scene.sky, shape=scene.shape[1:], factor=factor, scale=scale)
    frame_axes(ax, scene.sky, _field(scene))
    for i, place in enumerate(leftover.places[:LISTED], start=1):
        _mark(ax, scene, place, i)
    beam_and_bar(ax, beam, scene.sky)
    title = "Signal in the residual" if leftover.places else "No signal in the residual"
    style(ax, *scene.sky.labels, title)
    what = "" if scene.image else ", strongest channel"
    colour_bar(
        fig, artist, [ax], (f"Smoothed residual / its noise{what}", "σ"), scale, location="bottom", pad=0.02
    )


def _mark(ax: Any, scene: Scene, place: Place, label: int) -> None:
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=2.2, foreground="white")]
    x, y = (float(v) for v in scene.sky.offsets(place.at[2], place.at[1]))
    ax.plot([x], [y], "o", ms=9, mfc="none", mec="black", mew=1.0, path_effects=rim)
    ax.annotate(
        str(label), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8, fontweight="bold", path_effects=rim,
        annotation_clip=True, clip_on=True,
    )  # fmt: skip


def _powers(ax: Any, leftover: Leftover) -> None:
    pixels, channels = scale_names(leftover.power.shape)
    count = len(channels)
    for j1, name in enumerate(channels):
        shift = 0.12 * (j1 - (count - 1) / 2)
        label = f"{name} channels" if count > 1 else "residual"
        ax.errorbar(
            np.arange(len(pixels)) + shift, leftover.power[:, j1], leftover.error[:, j1], fmt=MARKS[j1],
            color=COLOURS[j1], ms=4.5, lw=0, elinewidth=1.0, capsize=2, label=label,
        )  # fmt: skip
    ax.axhline(1.0, color="black", lw=0.8)
    ax.set_xticks(
        np.arange(len(pixels)), [p.replace("more than ", "> ").replace(" to ", "–") for p in pixels]
    )
    ax.set_xlim(-0.6, len(pixels) - 0.4)
    low, high = _span(leftover)
    if high > 10 or low < 0.05:
        ax.set_yscale("log")
        low = max(low, 1e-3)  # a residual without any power has no logarithm
    ax.set_ylim(low, high)
    style(ax, "Size on the sky (pixels)", "Power / that of the noise model", "Power by scale")
    ax.legend(fontsize=8, frameon=False, loc="best", handletextpad=0.2, labelspacing=0.25)


def _span(leftover: Leftover) -> tuple[float, float]:
    """Limits that hold every value with its error, and about a fifth beside 1 at least."""
    power, error = np.nan_to_num(leftover.power, nan=1.0), np.nan_to_num(leftover.error)
    low, high = float((power - error).min()), float((power + error).max())
    if high > 10 or float(power.min()) < 0.05:
        return 0.7 * max(float(power.min()), 1e-4), max(1.5, 1.6 * high)
    return min(0.78, low - 0.06), max(1.22, high + 0.08)


def strongest(sky: NDArray[np.float32], factor: int) -> Floats:
    """The map binned by its most extreme values, shape (y', x'); NaN where nothing was looked at."""
    if factor == 1:
        return np.asarray(sky, float)
    ny, nx = sky.shape

    def binned(values: Any, ufunc: Any) -> Any:
        rows = ufunc.reduceat(values, np.arange(0, ny, factor), axis=0)
        return ufunc.reduceat(rows, np.arange(0, nx, factor), axis=1)

    top = binned(np.where(np.isnan(sky), -np.inf, sky), np.maximum)
    bottom = binned(np.where(np.isnan(sky), np.inf, sky), np.minimum)
    best = np.where(np.abs(top) >= np.abs(bottom), top, bottom)
    return np.where(np.isfinite(best), best, np.nan).astype(float)


def texts(leftover: Leftover) -> tuple[str, str, str]:
    """Heading, caption and alternative text."""
    part = (
        "" if leftover.looked_at > 0.99 else f" {100 * leftover.looked_at:.0f} % of the cube was looked at."
    )
    caption = (
        "Left: the residual smoothed to every size and line width, in units of what noise is left of it, at its most "
        f"extreme, white below {SHOWN:.0f} σ; circles are places beyond {number(leftover.level)} σ, which noise alone "
        "reaches in one cube of a hundred: red is emission left behind, blue where the output is above the input. "
        f"Right: its power by scale; 1 is noise as modelled, bars are the standard error.{part}"
    )
    return (
        "What the residual holds",
        caption,
        "Map of significant signal in the residual, and its power by scale.",
    )


def place_rows(scene: Scene, leftover: Leftover) -> list[tuple[str, ...]]:
    """Number, pixel, channel, coordinate, SNR, share left, and size of each place, as text."""
    rows: list[tuple[str, ...]] = []
    for i, place in enumerate(leftover.places[:LISTED], start=1):
        channel, y, x = place.at
        where = f"{number(float(scene.spectral.values[channel]), 5)} {scene.spectral.unit}"
        share = (
            f"{100 * place.share:.0f} %".replace("-", "−") if np.isfinite(place.share) else "input holds none"
        )
        size = f"{2.355 * place.widths[0]:.0f} pixels" if place.widths[0] else "1 pixel"
        rows.append(
            (str(i), f"{x}, {y}", str(channel), "" if scene.image else where, number(place.snr), share, size)
        )
    return rows


def _field(scene: Scene) -> tuple[float, float, float, float]:
    return -0.5, scene.shape[2] - 0.5, -0.5, scene.shape[1] - 0.5
