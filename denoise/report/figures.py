"""The figures of the report, each a function of the scene; nothing here reads a cube."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.report.labels import UNSTATED, number
from denoise.report.panels import (
    AFTER,
    BEFORE,
    LABEL,
    SECOND,
    TICK,
    Scale,
    beam_and_bar,
    colour_bar,
    few_ticks,
    figure,
    frame_axes,
    intensity_scale,
    outline,
    sky_map,
    style,
    symmetric_scale,
)
from denoise.report.scene import AcfCurve, ChannelPanel, Scene
from denoise.report.stream import EDGES

Floats = NDArray[np.float64]
Beam = tuple[float, float, float] | None
SIGMAS = 5.0
_TITLE = 14  # characters that fit over the narrowest panel


def moment0_figure(scene: Scene, beam: Beam) -> Any:
    """Moment 0 (or the image itself) before and after on one scale, outlining the emission found."""
    before, after = scene.sums.moment0
    scale = intensity_scale(before, after, noise=scene.noise[0 if scene.image else 1])
    label = "Intensity" if scene.image else "Moment 0"
    text = (label, scene.moment0_unit)
    return _pair(scene, beam, (before, after), scale=scale, label=text, extent=_whole(scene))


def moment1_figure(scene: Scene, beam: Beam) -> Any | None:
    """Moment 1 before and after over the voxels of the emission found; None without any, or for an image."""
    before, after = scene.sums.moment1
    if scene.image or not np.isfinite(after).any():
        return None
    finite = after[np.isfinite(after)]
    low, high = np.percentile(finite, [1, 99])
    step = float(np.median(scene.spectral.width))
    middle, half = float(np.median(finite)), max(float(high - low) / 2, 2 * step)
    half = max(half, high - middle, middle - low)
    scale = Scale(middle - half, middle + half, 0.0, "RdBu_r" if scene.spectral.red_grows else "RdBu")
    text = (f"Moment 1: {scene.spectral.text}", "")
    return _pair(scene, beam, (before, after), scale=scale, label=text, extent=_zoom(scene))


def _pair(
    scene: Scene,
    beam: Beam,
    maps: tuple[Floats, Floats],
    *,
    scale: Scale,
    label: tuple[str, str],
    extent: tuple[float, ...],
) -> Any:
    x0, x1, y0, y1 = extent
    wide, high = (abs(b - a) for a, b in scene.sky.limits((x0, x1, y0, y1)))
    fig = figure(float(np.clip(3.25 * high / wide, 1.3, 5.6)) + 0.95)
    axes = fig.subplots(1, 2, sharex=True, sharey=True)
    for ax, image, title in zip(axes, maps, ("Before", "After"), strict=True):
        artist = sky_map(ax, image, scene.sky, shape=scene.shape[1:], factor=scene.sums.factor, scale=scale)
        frame_axes(ax, scene.sky, (x0, x1, y0, y1))
        outline(ax, scene.where.sky, scene.sky)
        beam_and_bar(ax, beam, scene.sky)
        style(ax, scene.sky.labels[0], scene.sky.labels[1] if ax is axes[0] else "", title)
    colour_bar(fig, artist, list(axes), label, scale, location="bottom" if high > 0.5 * wide else "right")
    return fig


def _whole(scene: Scene) -> tuple[float, float, float, float]:
    return -0.5, scene.shape[2] - 0.5, -0.5, scene.shape[1] - 0.5


def _zoom(scene: Scene) -> tuple[float, float, float, float]:
    """A square about the emission found with a margin; the whole field where the emission nearly fills it."""
    ys, xs = np.flatnonzero(scene.where.sky.any(axis=1)), np.flatnonzero(scene.where.sky.any(axis=0))
    size = 1.3 * max(ys[-1] - ys[0], xs[-1] - xs[0], 8) + 4
    if size > 0.75 * min(scene.shape[1:]):
        return _whole(scene)
    cy, cx = (ys[0] + ys[-1]) / 2, (xs[0] + xs[-1]) / 2
    return cx - size / 2, cx + size / 2, cy - size / 2, cy + size / 2


def spectrum_figure(scene: Scene) -> Any | None:
    """Spectrum in the aperture before and after with the noise of the former; None for an image."""
    if scene.image:
        return None
    fig = figure(3.1)
    ax = fig.subplots()
    x, spectra = scene.spectral.values, scene.spectra
    ax.axhline(0, color="black", lw=0.6)
    _mark_channels(ax, scene)
    ax.fill_between(
        x,
        spectra.before - spectra.error,
        spectra.before + spectra.error,
        step="mid",
        color=BEFORE,
        alpha=0.3,
        lw=0,
        label="before, ± 1σ noise",
    )
    ax.step(x, spectra.before, where="mid", color=BEFORE, lw=1.1, label="before")
    if spectra.after_error is not None:
        low, high = spectra.after - spectra.after_error, spectra.after + spectra.after_error
        ax.fill_between(x, low, high, step="mid", color=AFTER, alpha=0.3, lw=0, label="after, ± 1σ")
    ax.step(x, spectra.after, where="mid", color=AFTER, lw=1.5, label="after")
    ax.margins(x=0.01)
    ax.ticklabel_format(axis="both", style="sci", scilimits=(-3, 5), useMathText=True)
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.yaxis.get_offset_text().set_fontsize(TICK)
    few_ticks(ax.xaxis, 8)
    style(ax, scene.spectral.text, _two_lines(spectra.unit.name, spectra.unit.unit))
    ax.legend(
        fontsize=TICK, frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2
    )
    return fig


def _mark_channels(ax: Any, scene: Scene) -> None:
    """Shade the channels in which emission was found along the foot of the axes."""
    if not scene.where.any:
        return
    x, half = scene.spectral.values, scene.spectral.width / 2
    edge = np.flatnonzero(np.diff(np.r_[0, scene.where.channels.astype(int), 0]))
    for i, (start, stop) in enumerate(edge.reshape(-1, 2)):
        ends = sorted(
            (
                x[start] - np.sign(x[-1] - x[0]) * half[start],
                x[stop - 1] + np.sign(x[-1] - x[0]) * half[stop - 1],
            )
        )
        ax.axvspan(*ends, ymin=0, ymax=0.025, color="#d98200", lw=0, label="_" if i else "emission found")


def _two_lines(name: str, unit: str) -> str:
    return f"{name}\n({unit})"


def channel_figure(scene: Scene, beam: Beam) -> Any:
    """Input, output and residual in representative channels, with common limits."""
    scale = intensity_scale(*(m for p in scene.panels for m in (p.before, p.after)), noise=scene.noise[0])
    wide, high = (abs(b - a) for a, b in scene.sky.limits(_whole(scene)))
    panels = scene.panels if wide < 1.5 * high else scene.panels[:: -(-len(scene.panels) // 3)]
    columns = max(len(panels), 3)
    side = 6.0 / columns
    fig = figure(float(np.clip(3 * side * high / wide, 1.6, 9.0)) + 1.0)
    axes = fig.subplots(3, len(panels), sharex=True, sharey=True, squeeze=False)
    rows = (
        ("Before", "before", scale),
        ("After", "after", scale),
        ("Residual", "residual", symmetric_scale(SIGMAS)),
    )
    for row, (name, attribute, row_scale) in zip(axes, rows, strict=True):
        artist = _map_row(row, [getattr(panel, attribute) for panel in panels], name, scene, beam, row_scale)
        if attribute == "after":
            colour_bar(fig, artist, list(axes[:2].flat), ("", scene.unit), row_scale, aspect=28, shrink=0.95)
        if attribute == "residual":
            colour_bar(fig, artist, list(row), ("", "σ"), row_scale, aspect=12, shrink=0.9)
    _label_maps(fig, axes, panels, scene)
    return fig


def _map_row(row: Any, images: list[Any], name: str, scene: Scene, beam: Beam, scale: Scale) -> Any:
    """Channel maps side by side on one scale; returns what a colour bar needs."""
    for ax, image in zip(row, images, strict=True):
        artist = sky_map(ax, image, scene.sky, shape=scene.shape[1:], factor=scene.sums.factor, scale=scale)
        style(ax)
        few_ticks(ax.xaxis, 4, inner=True)
        few_ticks(ax.yaxis, 4, inner=True)
    beam_and_bar(row[0], beam, scene.sky, text=False)
    row[0].set_ylabel(name, fontsize=LABEL)
    return artist


def _label_maps(fig: Any, axes: Any, panels: Sequence[ChannelPanel], scene: Scene) -> None:
    """Channels above the first row, coordinates along the sides."""
    for ax, panel in zip(axes[0], panels, strict=True):
        ax.set_title(channel_title(scene, panel.channel), fontsize=TICK)
    fig.supxlabel(scene.sky.labels[0], fontsize=LABEL)
    fig.supylabel(scene.sky.labels[1], fontsize=LABEL)


def display_figure(scene: Scene, beam: Beam) -> Any:
    """Input and enhanced output of representative channels, each on a scale of its own."""
    wide, high = (abs(b - a) for a, b in scene.sky.limits(_whole(scene)))
    panels = scene.panels if wide < 1.5 * high else scene.panels[:: -(-len(scene.panels) // 3)]
    side = 6.0 / max(len(panels), 2)
    fig = figure(float(np.clip(2 * side * high / wide, 1.6, 9.0)) + 1.0)
    axes = fig.subplots(2, len(panels), sharex=True, sharey=True, squeeze=False)
    rows = (
        ("Before", "before", ("", scene.unit), scene.noise[0]),
        ("Enhanced", "after", ("no unit", ""), 0.0),
    )
    for row, (name, attribute, label, noise) in zip(axes, rows, strict=True):
        images = [getattr(panel, attribute) for panel in panels]
        scale = intensity_scale(*images, noise=noise)
        artist = _map_row(row, images, name, scene, beam, scale)
        colour_bar(fig, artist, list(row), label, scale, size=TICK, aspect=14, shrink=0.9)
    _label_maps(fig, axes, panels, scene)
    return fig


def channel_title(scene: Scene, channel: int) -> str:
    """Spectral coordinate of a channel, with enough digits to tell it from its neighbour, or its number."""
    if scene.image:
        return ""
    if scene.spectral.unit == "channel":
        return f"channel {channel}"
    step = float(np.median(scene.spectral.width))
    digits = int(np.clip(1 - np.floor(np.log10(step)), 0, 6)) if step > 0 else 2
    value = f"{scene.spectral.values[channel]:.{max(digits - 1, 0)}f}".replace("-", "−")
    if scene.spectral.unit == UNSTATED:
        return value
    short = len(value) + len(scene.spectral.unit) < _TITLE
    return f"{value}{' ' if short else chr(10)}{scene.spectral.unit}"


def residual_map_figure(scene: Scene, beam: Beam) -> Any | None:
    """The residual of an image in sigma on the sky; None for a cube, whose channel strip has it."""
    if not scene.image:
        return None
    wide, high = (abs(b - a) for a, b in scene.sky.limits(_whole(scene)))
    fig = figure(float(np.clip(4.2 * high / wide, 1.5, 6.5)) + 0.8)
    ax = fig.subplots()
    scale = symmetric_scale(SIGMAS)
    artist = sky_map(
        ax, scene.panels[0].residual, scene.sky, shape=scene.shape[1:], factor=scene.sums.factor, scale=scale
    )
    outline(ax, scene.where.sky, scene.sky, color="black")
    beam_and_bar(ax, beam, scene.sky)
    style(ax, *scene.sky.labels, "Residual")
    colour_bar(fig, artist, [ax], ("Residual / noise", "σ"), scale)
    return fig


def residual_figure(scene: Scene) -> Any:
    """Residual in sigma: histogram against the unit Gaussian, autocorrelation against the noise model."""
    fig = figure(3.0 if scene.image else 3.1)
    axes = fig.subplots(1, 2 if scene.image else 3)
    _histogram(axes[0], scene)
    _correlation(axes[1], scene.curves[:2])
    if not scene.image:
        _spectral_correlation(axes[2], scene.curves[2])
    return fig


def _histogram(ax: Any, scene: Scene) -> None:
    centres, step = 0.5 * (EDGES[1:] + EDGES[:-1]), float(EDGES[1] - EDGES[0])
    lowest = 1.0
    for spread, color, name in (
        (scene.sums.outside, BEFORE, "elsewhere"),
        (scene.sums.inside, AFTER, "emission found"),
    ):
        if spread.count:
            merge = 1 if spread.count > 20000 else 4 if spread.count > 500 else 8
            density = spread.histogram.reshape(-1, merge).sum(axis=1) / (spread.count * merge * step)
            label = f"{name}, σ = {number(spread.std)}"
            ax.stairs(
                np.where(density > 0, density, np.nan), EDGES[::merge], color=color, lw=1.2, label=label
            )
            lowest = min(lowest, 0.5 / (spread.count * merge * step))
    ax.plot(
        centres,
        np.exp(-(centres**2) / 2) / np.sqrt(2 * np.pi),
        color="black",
        lw=1,
        ls="--",
        label="unit Gaussian",
    )
    ax.set_yscale("log")
    ax.set_ylim(max(lowest, 1e-8), 30)
    used = (scene.sums.inside.histogram + scene.sums.outside.histogram) > 0
    reach = float(np.clip(np.abs(centres[used]).max(initial=4) * 1.05, 5, 10))
    ax.set_xlim(-reach, reach)
    style(ax, "Residual / noise (σ)", "Probability density (1/σ)")
    ax.legend(
        fontsize=8, frameon=False, loc="upper center", borderaxespad=0.1, handlelength=1.3, labelspacing=0.25
    )


def _correlation(ax: Any, curves: Sequence[AcfCurve]) -> None:
    looks = ((AFTER, "o", "-"), (SECOND, "s", "--"))
    ax.axhline(0, color="black", lw=0.6)
    for curve, (color, marker, dash) in zip(curves, looks, strict=True):
        name = curve.what.removeprefix("along ")
        _curve(ax, curve, f", {name}", color=color, marker=marker, dash=dash)
    _finish_correlation(ax, "Lag (pixels)", "Autocorrelation on the sky")


def _curve(ax: Any, curve: AcfCurve, name: str, *, color: str, marker: str, dash: str) -> None:
    lags = np.arange(curve.measured.size)
    error = np.where(np.isfinite(curve.error) & (lags > 0), curve.error, 0.0)
    ax.plot(lags, _padded(curve.model, lags.size), color=color, lw=1.1, ls=dash, label=f"noise model{name}")
    ax.errorbar(
        lags,
        curve.measured,
        error,
        color=color,
        marker=marker,
        ms=3.2,
        lw=0,
        elinewidth=0.8,
        label=f"residual{name}",
    )


def _spectral_correlation(ax: Any, curve: AcfCurve) -> None:
    ax.axhline(0, color="black", lw=0.6)
    _curve(ax, curve, "", color=AFTER, marker="o", dash="-")
    _finish_correlation(ax, "Lag (channels)", "Autocorrelation along channels")


def _finish_correlation(ax: Any, xlabel: str, ylabel: str) -> None:
    low = min(-0.15, *ax.get_ylim()) if np.isfinite(ax.get_ylim()).all() else -0.15
    ax.set_ylim(max(low, -1.05), 1.08)
    few_ticks(ax.xaxis, 6, integer=True)
    style(ax, xlabel, ylabel)
    ax.legend(
        fontsize=8, frameon=False, loc="upper right", borderaxespad=0.1, handlelength=1.6, labelspacing=0.25
    )


def _padded(model: Floats, size: int) -> Floats:
    out = np.zeros(size)
    n = min(size, model.size)
    out[:n] = model[:n]
    return out
