"""The figures of a comparison: maps on a common scale, spectra, and the scores that decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.check.choosing.compared import Compared, Entry
from denoise.check.choosing.comparison import Comparison
from denoise.check.choosing.views import View, Views
from denoise.metrics import Measurement, sum_error
from denoise.report.labels import (
    aperture_unit,
    mean_unit,
    moment0_unit,
    number,
    spectral_label,
    unit_text,
)
from denoise.report.panels import (
    AFTER,
    BEFORE,
    LABEL,
    SECOND,
    TICK,
    beam_and_bar,
    colour_bar,
    few_ticks,
    figure,
    intensity_scale,
    outline,
    sky_map,
    style,
)
from denoise.report.sky import beam_shape, sky_frame

_INPUT = "input"


class MapText(NamedTuple):
    """Name and unit of a map, the factor to that unit, and the noise of the input in it."""

    name: str
    unit: str
    factor: float
    noise: float


def compare_figures(comparison: Comparison) -> dict[str, Any]:
    """All figures by name; those of lines are left out for an image."""
    compared, views = comparison.compared, comparison.views
    figures = {"scores": scores_figure(compared)}
    if compared.shape[0] > 1:
        figures["moment0"] = maps_figure(compared, views, moment0_text(views), lambda view: view.moment0)
        figures["spectra"] = spectra_figure(compared, views)
    figures["peak"] = maps_figure(compared, views, peak_text(views), lambda view: view.peak)
    return figures


def moment0_text(views: Views) -> MapText:
    """Moment 0 over the channels of the emission, by the width of a channel."""
    cube, nchan = views.cube, views.channels.size
    axis = spectral_label(cube.spectral_axis, nchan)
    width = float(np.median(axis.width))
    unit = moment0_unit(cube.unit, unit_text(cube.unit, cube.unit_text), axis, image=False)
    column = np.zeros((nchan, *views.aperture.shape), np.float32)
    column[views.channels, views.aperture.shape[0] // 2, views.aperture.shape[1] // 2] = 1.0
    noise = sum_error(column, views.noise) or views.noise.typical * float(np.sqrt(views.channels.sum()))
    return MapText("Moment 0", unit, width, noise * width)


def peak_text(views: Views) -> MapText:
    """The brightest channel, or the image itself."""
    name = "Intensity"
    if views.channels.size > 1:
        axis = spectral_label(views.cube.spectral_axis, views.channels.size)
        value = number(axis.values[views.channel], 5)
        name = f"Channel {views.channel}" if axis.unit == "channel" else f"Intensity at {value} {axis.unit}"
    return MapText(name, unit_text(views.cube.unit, views.cube.unit_text), 1.0, views.noise.typical)


def maps_figure(compared: Compared, views: Views, text: MapText, picked: Callable[[View], Any]) -> Any:
    """The input and what each method makes of it, on one scale."""
    shape = views.aperture.shape
    sky = sky_frame(views.cube.wcs, (shape[0], shape[1]))
    beam = beam_shape(views.cube.beams, sky)
    wide, high = (abs(b - a) for a, b in sky.limits((-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)))
    shown = list(_shown(compared, views))
    images = [np.asarray(picked(view), float) * text.factor for _, view in shown]
    # the noise of the input would leave faint emission without contrast
    scale = intensity_scale(*(images[1:] or images), noise=text.noise)
    columns = _columns(len(shown))
    rows = -(-len(shown) // columns)
    fig = figure(float(np.clip(rows * (6.3 / columns * high / wide + 0.28), 2.0, 11.0)) + 0.5)
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, (name, _), image in zip(axes.flat, shown, images, strict=False):
        artist = sky_map(ax, image, sky, shape=(shape[0], shape[1]), factor=1, scale=scale)
        outline(ax, views.aperture & (name == _INPUT) & ~views.aperture.all(), sky)
        style(ax)
        ax.set_title(_titled(name, compared), fontsize=LABEL, loc="left")
        few_ticks(ax.xaxis, 4)
        few_ticks(ax.yaxis, 4)
    beam_and_bar(axes.flat[0], beam, sky)
    _hide_rest(axes, len(shown))
    fig.supxlabel(sky.labels[0], fontsize=LABEL)
    fig.supylabel(sky.labels[1], fontsize=LABEL)
    colour_bar(fig, artist, list(axes.flat), (text.name, text.unit), scale, aspect=30)
    return fig


def _shown(compared: Compared, views: Views) -> Iterator[tuple[str, View]]:
    yield _INPUT, views.before
    for entry in compared.entries:
        if entry.method in views.after:
            yield entry.method, views.after[entry.method]


def _columns(panels: int) -> int:
    """Panels side by side: two where a third would leave a row nearly empty."""
    return 2 if panels in (2, 4) else 3


def _titled(name: str, compared: Compared) -> str:
    return f"{name} (recommended)" if name == compared.recommended else name


def _hide_rest(axes: Any, used: int) -> None:
    """Panels that nothing is in; those above them carry the ticks."""
    for at, ax in enumerate(axes.flat):
        if at >= used:
            ax.set_visible(False)
        if at + axes.shape[1] >= used:
            ax.tick_params(labelbottom=True)


def spectra_figure(compared: Compared, views: Views) -> Any:
    """Spectra in the aperture: each method over the input and its noise."""
    cube, nchan = views.cube, views.channels.size
    axis = spectral_label(cube.spectral_axis, nchan)
    whole = bool(views.aperture.all())
    unit = mean_unit(cube, "Mean over the whole field") if whole else aperture_unit(cube)
    factor = 1.0 / views.aperture.sum() if unit.mean else unit.factor
    noise = factor * spectrum_noise(views)
    shown = list(_shown(compared, views))[1:]
    columns = _columns(len(shown))
    rows = max(1, -(-len(shown) // columns))
    fig = figure(1.65 * rows + 0.8)
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    before, x = factor * views.before.spectrum, axis.values
    for ax, (name, view) in zip(axes.flat, shown, strict=False):
        ax.axhline(0, color="black", lw=0.6)
        ax.fill_between(
            x,
            before - noise,
            before + noise,
            step="mid",
            color=BEFORE,
            alpha=0.3,
            lw=0,
            label="input, ± 1σ noise",
        )
        ax.step(x, before, where="mid", color=BEFORE, lw=0.9, label="input")
        color = SECOND if name == compared.recommended else AFTER
        ax.step(x, factor * view.spectrum, where="mid", color=color, lw=1.3)
        ax.margins(x=0.01)
        ax.ticklabel_format(axis="both", style="sci", scilimits=(-3, 5), useMathText=True)
        ax.ticklabel_format(axis="x", useOffset=False)
        ax.yaxis.get_offset_text().set_fontsize(TICK)
        few_ticks(ax.xaxis, 4)
        few_ticks(ax.yaxis, 4)
        style(ax)
        ax.set_title(_titled(name, compared), fontsize=LABEL, loc="right")
    _hide_rest(axes, len(shown))
    fig.supxlabel(axis.text, fontsize=LABEL)
    fig.supylabel(f"{unit.name}\n({unit.unit})" if unit.unit else unit.name, fontsize=LABEL)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=TICK)
    return fig


def spectrum_noise(views: Views) -> NDArray[np.float64]:
    """1 sigma of the input's sum over the aperture in each channel, unit of the data."""
    with np.errstate(invalid="ignore"):
        sigma = np.nan_to_num(views.noise.sigma()[:, views.aperture])
    middle = views.aperture.astype(np.float32)[None]
    level = views.noise.window((slice(0, 1), slice(None), slice(None)))
    first = np.nan_to_num(level.sigma()[0][views.aperture])
    whole = float(np.sqrt(np.square(first, dtype=np.float64).sum())) or 1.0
    correlated = sum_error(middle, level) / whole
    return np.asarray(correlated * np.sqrt(np.square(sigma, dtype=np.float64).sum(axis=1)))


class Score(NamedTuple):
    """One panel of the scores."""

    label: str
    value: Callable[[Entry], Measurement | None]
    ideal: float | None
    scale: str = "linear"


def scores_figure(compared: Compared) -> Any:
    """Error, flux of injected sources, false regions and time of every method."""
    shown = [one for one in compared.entries if one.score is not None]
    shown.sort(key=lambda one: one.score.value if one.score else 0.0)
    panels = list(_panels(compared, shown))
    fig = figure(0.3 * max(len(shown), 1) + 1.15)
    axes = np.atleast_1d(fig.subplots(1, len(panels), sharey=True))
    for ax, panel in zip(axes, panels, strict=True):
        _dots(ax, panel, shown, compared)
    axes[0].set_yticks(range(len(shown)), [one.method for one in shown])
    for text, one in zip(axes[0].get_yticklabels(), shown, strict=True):
        if one.method == compared.recommended:
            text.set_color(SECOND)
            text.set_fontweight("bold")
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    return fig


def _panels(compared: Compared, shown: Sequence[Entry]) -> Iterator[Score]:
    yield Score(
        f"Error less that of\n{compared.recommended} (σ² a voxel)", lambda one: one.difference, 0.0, "symlog"
    )
    if any(one.kept is not None for one in shown):
        snr = next(one.recovered[-1].snr for one in shown if one.recovered)
        yield Score(f"Flux of sources of\npeak SNR {snr:g} kept (%)", _percent, 100.0)
    if any(one.false is not None for one in shown):
        yield Score("False regions\nexpected", lambda one: one.false, 0.0, "symlog")
    yield Score("Time of a run\n(s)", lambda one: Measurement(one.seconds, 0.0), None, "log")


def _percent(one: Entry) -> Measurement | None:
    return None if one.kept is None else Measurement(100 * one.kept.value, 100 * one.kept.error)


def _dots(ax: Any, panel: Score, shown: Sequence[Entry], compared: Compared) -> None:
    if panel.ideal is not None:
        ax.axvline(panel.ideal, color=BEFORE, lw=0.8, ls="--", zorder=0)
    for y, one in enumerate(shown):
        found = panel.value(one)
        if found is not None:
            color = SECOND if one.method == compared.recommended else AFTER
            ax.errorbar(
                found.value, y, xerr=found.error or None, color=color, marker="o", ms=5, lw=1.3, capsize=2.5
            )
    _scale_axis(ax, panel, shown)
    style(ax, panel.label)
    ax.xaxis.label.set_size(TICK)
    ax.grid(axis="y", color="#ececec", lw=0.6)
    ax.set_axisbelow(True)


def _scale_axis(ax: Any, panel: Score, shown: Sequence[Entry]) -> None:
    """Logarithmic where values differ by powers of ten; about zero linear as far as most errors reach."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    if panel.scale == "linear":
        return
    found = [one for entry in shown if (one := panel.value(entry)) is not None]
    if panel.scale == "log":
        ax.set_xscale("log")
        wide = max(one.value for one in found) > 30 * min(one.value for one in found)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=6))
    else:
        linear = _linear([one.error for one in found if one.error > 0])
        ax.set_xscale("symlog", linthresh=linear)
        ends = min(one.value - one.error for one in found), max(one.value + one.error for one in found)
        ax.xaxis.set_major_locator(FixedLocator(_symlog_ticks(*ends, linear)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))


def _linear(errors: Sequence[float]) -> float:
    """A power of ten near twice the usual error."""
    return float(10.0 ** np.round(np.log10(2 * np.median(errors)))) if errors else 1.0


def _symlog_ticks(low: float, high: float, linear: float) -> list[float]:
    """Zero, the largest power of ten on either side, and one between where there is room."""
    ticks = [0.0]
    for sign, end in ((-1.0, -low), (1.0, high)):
        if end >= linear:
            top = int(np.floor(np.log10(end) + 1e-9))
            first = round(np.log10(linear))
            ticks.append(sign * 10.0**top)
            if sign > 0 and top > first:
                ticks.append(10.0 ** ((top + first) // 2))
    return sorted(ticks)
