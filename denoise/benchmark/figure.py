"""The figure of a suite, in the published layout: RMSE ratio above, flux below, against peak SNR, a column a group."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import yaml

from denoise.benchmark.suite import FLOORS, SUITES
from denoise.benchmark.tables import Line
from denoise.errors import InputError
from denoise.metrics import Summary
from denoise.resources import resource

# Okabe and Ito's colours, told apart with any colour vision, each with its own marker
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
)
FLOOR_STYLES = {
    "noisy": ("#9a9a9a", ":"),
    "zeros": ("#5a5a5a", "--"),
    "smooth": ("#9a9a9a", "-"),
    "gauss_oracle": ("#5a5a5a", "-."),
    "wiener_oracle": ("#000000", (0, (1, 1))),
}
PANELS = (
    ("rmse_ratio_aperture", "RMSE ratio in the aperture", (0.0, 1.05)),
    ("rmse_ratio_emission", "RMSE ratio in the emission", (0.0, 1.25)),
    ("flux_aperture_percent", "flux in the aperture (%)", (-10, 140)),
)
OURS = {
    "PCA": "pca",
    "ICA": "ica",
    "IST 5 sigma": "ist",
}  # published rows with a counterpart: the same colour
_FIRST = ("ist", "pca", "ica")


def draw(lines: Sequence[Line], *, title: str, reference: str | None = None) -> bytes:
    """The figure as PNG.

    Parameters
    ----------
    lines : sequence of Line
        The summary.
    title : str
    reference : str, optional
        Published numbers to draw, thin and dashed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(line.group for line in lines))
    fig = Figure(figsize=(1.6 + 3.6 * len(groups), 9.6), dpi=160, facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    axes = fig.subplots(len(PANELS), len(groups), squeeze=False, sharex="col", sharey="row")
    published = load_published(reference) if reference else None
    for column, group in enumerate(groups):
        members = [line for line in lines if line.group == group]
        for panel, ax in zip(PANELS, axes[:, column], strict=True):
            _panel(ax, members, panel[0])
            if published is not None:
                _published(ax, published, group, panel[0], [line.bin for line in members])
            ax.set_ylim(*panel[2])
            if column == 0:
                ax.set_ylabel(panel[1])
        axes[0, column].set_title(group)
        axes[-1, column].set_xlabel("peak SNR of the input")
    handles, labels = _legend(axes)
    fig.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    note = "" if published is None else f"\nthin dashed: {published['citation']}"
    fig.suptitle(f"{title}{note}", fontsize=10)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def load_published(name: str) -> dict[str, Any]:
    """Published numbers by name, from ``pipelines/suites/published.yaml``."""
    known = yaml.safe_load(resource(*SUITES, "published.yaml").read_text(encoding="utf-8"))
    if name not in known:
        raise InputError(f"there are no published numbers {name!r}", action=f"choose {', '.join(known)}")
    return dict(known[name])


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    found: dict[str, Any] = {}
    for ax in axes.flat:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)


def _panel(ax: Any, lines: Sequence[Line], score: str) -> None:
    bins = list(dict.fromkeys(line.bin for line in lines))
    rows = list(dict.fromkeys(line.row for line in lines))
    methods = [row for row in rows if row not in FLOORS]
    target = 100.0 if "percent" in score else 1.0
    ax.axhline(target, color="#d0d0d0", lw=0.8, zorder=0)
    for row in rows:
        values = [
            next(line.scores[score] for line in lines if (line.row, line.bin) == (row, b)) for b in bins
        ]
        x = [k for k, v in enumerate(values) if v.value is not None]
        y = [v.value for v in values if v.value is not None]
        if not x:
            continue  # what is for display has no such score
        if row in FLOORS:
            colour, style = FLOOR_STYLES[row]
            ax.plot(x, y, color=colour, ls=style, lw=1.1, label=row.replace("_", " "), zorder=1)
            continue
        colour, marker = _style(row, methods)
        shift = 0.08 * (methods.index(row) - (len(methods) - 1) / 2)  # error bars side by side
        errors = [_error(v) for v in values if v.value is not None]
        ax.errorbar(
            [k + shift for k in x],
            y,
            errors,
            color=colour,
            marker=marker,
            ms=4,
            lw=1.6,
            capsize=2,
            label=row,
            zorder=3,
        )
    ax.set_xticks(range(len(bins)), bins)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _style(row: str, methods: Sequence[str]) -> tuple[str, str]:
    """Colour and marker; those of the usual methods do not depend on what else is in the suite.

    Others take what is left, then that of the usual methods that the suite does not have.
    """
    if row in _FIRST:
        return STYLES[_FIRST.index(row)]
    absent = [style for name, style in zip(_FIRST, STYLES, strict=False) if name not in methods]
    free, others = [*STYLES[len(_FIRST) :], *absent], [name for name in methods if name not in _FIRST]
    return free[others.index(row) % len(free)]


def _error(found: Summary) -> float:
    return 0.0 if found.error is None else found.error


def _published(ax: Any, published: dict[str, Any], group: str, score: str, bins: Sequence[str]) -> None:
    for row, groups in published["rows"].items():
        values = groups.get(group, {}).get(score)
        if values is None:
            continue
        shown = list(dict.fromkeys(bins))
        points = [(shown.index(b), v) for b, v in zip(published["bins"], values, strict=True) if b in shown]
        colour = _style(OURS[row], ())[0] if row in OURS else "#E69F00"
        label = f"{row} (published)"
        ax.plot(*zip(*points, strict=True), color=colour, ls=(0, (4, 2)), lw=0.9, label=label, zorder=2)
