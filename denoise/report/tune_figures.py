"""The figures of a tuning: the score against one parameter, or over two."""

from __future__ import annotations

from typing import Any

import numpy as np

from denoise.check.choosing.tuned import UNITS, Tried, Tuned, word
from denoise.report.panels import AFTER, LABEL, SECOND, TICK, few_ticks, figure, style

_SHOWN = 20  # rows of a ranking


def tune_figure(tuned: Tuned) -> Any:
    """A curve for one parameter, a map for two, a ranking for more."""
    if len(tuned.default) == 1:
        return curve_figure(tuned)
    return heat_figure(tuned) if len(tuned.default) == 2 else ranking_figure(tuned)


def difference_label(tuned: Tuned) -> str:
    """The difference with its unit."""
    unit = f" ({UNITS[tuned.kind]} a voxel)" if UNITS[tuned.kind] else ""
    return f"Less default{unit}"


def curve_figure(tuned: Tuned) -> Any:
    """Score, and its difference from that of the default, against one parameter."""
    (name,) = tuned.default
    scored = [one for one in tuned.tried if one.score is not None and one.difference is not None]
    places, ticks = _places(tuned, scored, name)
    order = sorted(range(len(scored)), key=lambda i: places[i])
    unit = f"{UNITS[tuned.kind]} a voxel" if UNITS[tuned.kind] else ""
    panels = [
        ("score", "Score" if tuned.kind == "injection" else "Squared error"),
        ("difference", "Less default"),
    ]
    if all(one.emission is not None for one in scored):
        panels.append(("emission", "In the emission"))
    fig = figure(3.0)
    axes = fig.subplots(1, len(panels))
    for ax, (attribute, title) in zip(axes, panels, strict=True):
        values = np.array([getattr(scored[i], attribute) for i in order])
        x = [places[i] for i in order]
        ax.errorbar(x, values[:, 0], values[:, 1], color=AFTER, marker="o", ms=4, lw=1.3, capsize=2.5)
        _mark(ax, tuned, scored, places, attribute)
        if attribute != "score":
            ax.axhline(0, color="black", lw=0.6, zorder=0)
        if ticks is not None:
            ax.set_xticks(range(len(ticks)), ticks)
            ax.set_xlim(-0.4, len(ticks) - 0.6)
        style(ax, name, unit if ax is axes[0] else "", title)
        few_ticks(ax.yaxis, 6)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=TICK)
    return fig


def _places(tuned: Tuned, scored: list[Tried], name: str) -> tuple[list[float], list[str] | None]:
    """Where each value is on the axis: numbers at their value, anything else in the order of the grid."""
    values = [tuned.values(one)[name] for one in scored]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], None
    return [float(i) for i in range(len(values))], [word(value) for value in values]


def _mark(ax: Any, tuned: Tuned, scored: list[Tried], places: list[float], attribute: str) -> None:
    """Rings around the default and what was chosen."""
    for one, color, size, label in (
        (tuned.tried[0], "black", 10, "default"),
        (tuned.best, SECOND, 14, "chosen"),
    ):
        at = next(i for i, other in enumerate(scored) if other is one)
        value = getattr(one, attribute).value
        ax.plot(places[at], value, "o", ms=size, mfc="none", mec=color, mew=1.5, ls="", label=label, zorder=4)


def heat_figure(tuned: Tuned) -> Any:
    """Difference from the default over two parameters, in colour and as text."""
    from matplotlib.patches import Rectangle

    first, second = tuned.default
    rows, columns = (_axis(tuned, name) for name in (first, second))
    values, texts = np.full((len(rows), len(columns)), np.nan), {}
    for one in tuned.tried:
        if one.difference is not None:
            place = _place(tuned, one, rows, columns)
            values[place] = one.difference.value
            texts[place] = _cell(*one.difference)
    fig = figure(float(np.clip(0.52 * len(rows) + 1.3, 2.4, 9.0)))
    ax = fig.subplots()
    limit = float(np.nanpercentile(np.abs(values), 90)) or 1e-3
    artist = ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (y, x), text in texts.items():
        color = "white" if abs(values[y, x]) > 0.7 * limit else "black"
        ax.text(x, y, text, ha="center", va="center", fontsize=8, color=color)
    for one, color, width, label in (
        (tuned.tried[0], "black", 2.0, "default"), (tuned.best, SECOND, 3.0, "chosen")
    ):  # fmt: skip
        y, x = _place(tuned, one, rows, columns)
        inset = 0.47 if color == "black" else 0.42
        ax.add_patch(
            Rectangle(
                (x - inset, y - inset), 2 * inset, 2 * inset, fill=False, ec=color, lw=width, label=label
            )
        )
    ax.set_xticks(range(len(columns)), [word(v) for v in columns])
    ax.set_yticks(range(len(rows)), [word(v) for v in rows])
    style(ax, second, first)
    bar = fig.colorbar(artist, ax=ax, extend="both", pad=0.02)
    bar.set_label(difference_label(tuned), fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
    fig.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=TICK)
    return fig


def _cell(value: float, error: float) -> str:
    """A difference in a field of the map, as exact as its error."""
    places = 3 if error >= 0.002 or error == 0 else 4 if error >= 0.0002 else 5
    return f"{value:+.{places}f}\n± {error:.{places}f}".replace("-", "−")


def _axis(tuned: Tuned, name: str) -> list[Any]:
    """Values of a parameter: numbers in order, words first as they come."""
    values = list(dict.fromkeys(tuned.values(one)[name] for one in tuned.tried))
    return sorted(values, key=lambda v: (isinstance(v, int | float), v if isinstance(v, int | float) else 0))


def _place(tuned: Tuned, one: Tried, rows: list[Any], columns: list[Any]) -> tuple[int, int]:
    first, second = tuned.values(one).values()
    return rows.index(first), columns.index(second)


def ranking_figure(tuned: Tuned) -> Any:
    """Difference from the default of the best sets of parameters."""
    scored = [one for one in tuned.tried if one.difference is not None]
    scored.sort(key=lambda one: one.difference.value if one.difference else 0.0)
    shown = scored[:_SHOWN]
    fig = figure(0.27 * len(shown) + 1.0)
    ax = fig.subplots()
    for y, one in enumerate(shown):
        assert one.difference is not None
        color = SECOND if one is tuned.best else "black" if one is tuned.tried[0] else AFTER
        ax.errorbar(
            one.difference.value, y, xerr=one.difference.error, color=color, marker="o", ms=5, capsize=2.5
        )
    ax.axvline(0, color="black", lw=0.6, zorder=0)
    ax.set_yticks(range(len(shown)), [tuned.named(one) for one in shown])
    ax.invert_yaxis()
    style(ax, difference_label(tuned))
    return fig
