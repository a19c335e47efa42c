"""The figures of a check: what came back of injected sources against their peak SNR, and what noise makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoise.check.recovery.cells import Cell
from denoise.check.recovery.outcome import Check
from denoise.check.recovery.sources import FOUND
from denoise.report.panels import LABEL, TICK, figure, style

# Okabe and Ito's colours, each with its own marker; the first is for what was found in the cube
_STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
)
_SPREAD = 0.035  # of the error bars side by side, as a fraction of the SNR
_IDEAL = "#9a9a9a"


@dataclass(frozen=True)
class Quantity:
    """One panel: a score, its label, where it ought to be, and what it is multiplied by."""

    score: str
    label: str
    ideal: float
    factor: float = 1.0


def recovery_figure(check: Check) -> Any:
    """Flux that came back and share of the sources found, against peak SNR."""
    panels = (
        Quantity("flux", "Flux recovered (%)", 100.0, 100.0),
        Quantity("completeness", "Sources found (%)", 100.0, 100.0),
    )
    fig = _panels(check, panels, columns=2, height=3.4)
    around = Quantity("flux_around", "", 100.0, 100.0)
    for number, name in enumerate(kinds := _ordered(check)):
        _points(fig.axes[0], check.of_kind(name), around, number, len(kinds), "")
    fig.axes[0].set_ylim(bottom=min(0.0, fig.axes[0].get_ylim()[0]))
    fig.axes[1].set_ylim(-4.0, 104.0)
    return fig


def shape_figure(check: Check) -> Any:
    """Place, size, velocity and line width of the sources found, output minus source."""
    panels = [
        Quantity("distance", "Distance from true place", 0.0),
        Quantity("fwhm", "Wider on the sky by", 0.0),
    ]
    spectral = [
        Quantity("shift_channel", "Line centre shifted by", 0.0),
        Quantity("line", "Line wider by", 0.0),
    ]
    image = check.shape[0] == 1
    fig = _panels(
        check, panels if image else [*panels, *spectral], columns=2, height=3.2 if image else 5.8, zero=True
    )
    for number, ax in enumerate(fig.axes[: 2 if image else 4]):
        unit, factor, other = _units(check, sky=number < 2)
        ax.set_ylabel(f"{ax.get_ylabel()} ({unit})", fontsize=LABEL)
        if factor is not None:
            _second_scale(ax, factor, other)
    return fig


def _units(check: Check, *, sky: bool) -> tuple[str, float | None, str]:
    """Unit of an axis, the factor to a physical one, and that one."""
    if sky:
        return "pixels", check.axes.arcsec, "arcsec"
    return "channels", check.axes.channel, check.axes.unit


def _second_scale(ax: Any, factor: float, unit: str) -> None:
    right = ax.secondary_yaxis("right", functions=(lambda v: v * factor, lambda v: v / factor))
    right.set_ylabel(unit, fontsize=TICK)
    right.tick_params(labelsize=TICK, length=3)


def purity_figure(check: Check) -> Any | None:
    """Regions expected where there is no source, by their matched-filter SNR; None if they were not counted."""
    if check.false is None or not check.false.by_snr:
        return None
    from matplotlib.ticker import FuncFormatter

    snr, rate, error = np.array(check.false.by_snr).T
    fig = figure(2.9)
    ax = fig.subplots()
    seen = rate > 0
    if seen.any():
        ax.errorbar(
            snr[seen], rate[seen], _down_to(rate[seen], error[seen]), color=_STYLES[0][0], marker="o", ms=4,
            lw=1.4, capsize=2, label="expected",
        )  # fmt: skip
    if not seen.all():
        ax.plot(
            snr[~seen], error[~seen], color=_STYLES[0][0], marker="v", ls="", ms=6, label="none seen: below"
        )
    ax.axhline(1.0, color=_IDEAL, lw=0.8, ls="--")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(max(min(low, 0.03), 1e-3), max(high, 3.0))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    style(ax, "Matched-filter SNR of at least", "False regions in this cube")
    ax.legend(fontsize=TICK, frameon=False, loc="upper right")
    return fig


def _down_to(rate: Any, error: Any) -> Any:
    """Error bars that stay on a logarithmic axis."""
    return np.stack([np.minimum(error, 0.9 * rate), error])


def _panels(
    check: Check, panels: Sequence[Quantity], *, columns: int, height: float, zero: bool = False
) -> Any:
    fig = figure(height)
    axes = np.atleast_1d(fig.subplots(-(-len(panels) // columns), columns, sharex=True)).ravel()
    kinds = _ordered(check)
    for ax, panel in zip(axes, panels, strict=True):
        ax.axhline(panel.ideal, color=_IDEAL, lw=0.8, ls="--", zorder=0)
        for number, name in enumerate(kinds):
            _points(ax, check.of_kind(name), panel, number, len(kinds), name)
        _snr_axis(ax, check)
        style(ax, "", panel.label)
    fig.supxlabel("Peak SNR of the source (brightest voxel over the noise there)", fontsize=LABEL)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(
        handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False, fontsize=TICK
    )
    return fig


def _ordered(check: Check) -> list[str]:
    """The kinds, what was found in the cube first."""
    names = [kind.name for kind in check.kinds]
    return sorted(names, key=lambda name: (name != FOUND, names.index(name)))


def _points(ax: Any, cells: Sequence[Cell], panel: Quantity, number: int, kinds: int, name: str) -> None:
    color, marker = _STYLES[number % len(_STYLES)]
    known = [(cell.snr, score) for cell in cells if (score := cell.scores.get(panel.score)) is not None]
    shift = 1.0 + _SPREAD * (number - (kinds - 1) / 2)
    x = [snr * shift for snr, _ in known]
    y = [panel.factor * score.value for _, score in known]
    error = [panel.factor * score.error for _, score in known]
    if not name:
        ax.plot(x, y, color=color, ls=":", lw=1.2, zorder=2)
        return
    ax.errorbar(x, y, error, color=color, marker=marker, ms=4.5, lw=1.4, capsize=2.5, label=name, zorder=3)


def _snr_axis(ax: Any, check: Check) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    levels = sorted({cell.snr for cell in check.cells})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(levels))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(levels[0] / 1.15, levels[-1] * 1.15)
    ax.grid(axis="y", color="#ececec", lw=0.6)
    ax.set_axisbelow(True)
