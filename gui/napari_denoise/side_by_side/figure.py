"""The picture of several methods side by side: panels on the sky, one stretch, one colour bar; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.report.labels import UNSTATED
from denoise.report.panels import Scale, colour_bar, few_ticks, intensity_scale, sky_map
from denoise.report.sky import beam_shape
from napari_denoise.side_by_side.outcomes import INPUT, Outcome
from napari_denoise.theme import Colours
from napari_denoise.world import World

# inches, about 96 screen pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.72, 0.15, 0.45, 1.25
_TITLE, _GAP = 0.56, 0.14
_BAR = (0.52, 0.13)  # height of its lower edge, thickness
_LEAST, _MOST = 1.35, 4.0  # side of a panel
_WORDS = 9.0
_SMALL = 8.0


@dataclass(frozen=True)
class Shown:
    """What all panels of a picture share.

    Attributes
    ----------
    world : World
        Of the part of the cube that is shown, see ``comparison.part_of``.
    channel : int
        Of that part.
    labels : tuple of str
        Panels in their order, the first is the input.
    unit : str
        Of the data as text, "" where the file states none.
    title : str
        What is shown, one line.
    cmap : str
        Matplotlib's name of the colours.
    limits : tuple of float, optional
        Of the colours, in the unit of the data; None: from the input.
    """

    world: World
    channel: int
    labels: tuple[str, ...]
    unit: str
    title: str
    cmap: str = "inferno"
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layout:
    """Places of the panels, inches from the lower left corner.

    Attributes
    ----------
    columns, rows : int
        Of the grid.
    width, height : float
        Of a panel.
    """

    columns: int
    rows: int
    width: float
    height: float

    def place(self, index: int, size: tuple[float, float]) -> tuple[float, float, float, float]:
        """Left, bottom, width, height of a panel as shares of a figure of `size` (width, height) inches."""
        row, column = divmod(index, self.columns)
        left = _LEFT + column * (self.width + _GAP)
        top = size[1] - _TOP - _TITLE - row * (self.height + _TITLE)
        return left / size[0], (top - self.height) / size[1], self.width / size[0], self.height / size[1]


def layout(count: int, size: tuple[float, float], shape: tuple[int, int]) -> Layout:
    """The grid whose panels are largest.

    Parameters
    ----------
    count : int
        Panels.
    size : tuple of float
        Width and height of the figure in inches. A low one gives panels that need more: see ``height_for``.
    shape : tuple of int
        Of the field (y, x).
    """
    ratio = min(max(shape[0] / shape[1], 0.3), 3.0)
    found = []
    for columns in range(1, count + 1):
        rows = ceil(count / columns)
        width = (size[0] - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
        height = (size[1] - _TOP - _BOTTOM) / rows - _TITLE
        side = min(width, height / ratio, _MOST)
        if columns == 1 or width >= _LEAST:
            found.append((max(side, min(width, _LEAST)), -columns, rows))
    side, columns, rows = max(found)
    return Layout(-columns, rows, side, side * ratio)


def height_for(grid: Layout) -> float:
    """Inches that a grid needs."""
    return _TOP + _BOTTOM + grid.rows * (grid.height + _TITLE)


class MethodsFigure:
    """Draws the outcomes as they come.

    Parameters
    ----------
    figure : Figure
        Without a layout engine: places are worked out here, which is fast.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._axes: list[Any] = []
        self._shown: Shown | None = None
        self._outcomes: dict[int, Outcome] = {}

    def begin(self, shown: Shown) -> None:
        """Forget the outcomes; empty panels from now on."""
        self._shown = shown
        self._outcomes = {}

    def add(self, outcome: Outcome) -> int:
        """Take an outcome: the first free panel with its label is its own. Returns the number of the panel."""
        labels = () if self._shown is None else self._shown.labels
        free = [i for i, label in enumerate(labels) if label == outcome.label and i not in self._outcomes]
        if free:
            self._outcomes[free[0]] = outcome
        return free[0] if free else -1

    def outcome_at(self, axes: Any) -> Outcome | None:
        """What a panel shows."""
        return self._outcomes.get(self._axes.index(axes)) if axes in self._axes else None

    def grid(self, width: float, height: float) -> Layout:
        """The layout for a figure of this size in inches."""
        if self._shown is None:
            return Layout(1, 1, width, height)
        frame = self._field()
        return layout(len(self._shown.labels), (width, height), frame)

    def draw(self, colours: Colours) -> None:
        """Draw everything anew."""
        self.figure.clear()
        self._axes = []
        self.figure.set_facecolor(colours.background)
        shown = self._shown
        if shown is None:
            return
        size = (float(self.figure.get_figwidth()), float(self.figure.get_figheight()))
        grid, scale = self.grid(*size), self._scale(shown)
        with rc_context(colours.settings()):
            for index in range(len(shown.labels)):
                self._axes.append(self.figure.add_axes(grid.place(index, size)))
                self._panel(index, shown, scale, colours)
            self._outer_labels(shown, grid)
            self._bar(shown, scale, size, height_for(grid))
            self._heading(shown, size)

    @property
    def drawn(self) -> bool:
        """Whether the panels are there."""
        return bool(self._axes)

    def draw_panel(self, index: int, colours: Colours) -> None:
        """Draw one panel of a picture anew, the others stay."""
        shown, axes = self._shown, self._axes[index]
        if shown is None:
            return
        names = axes.get_xlabel(), axes.get_ylabel()
        with rc_context(colours.settings()):
            axes.clear()
            self._panel(index, shown, self._scale(shown), colours)
            axes.tick_params(labelbottom=bool(names[0]), labelleft=bool(names[1]))
            axes.set_xlabel(names[0], fontsize=_WORDS)
            axes.set_ylabel(names[1], fontsize=_WORDS)

    def _field(self) -> tuple[int, int]:
        first = next((o.cube for o in self._outcomes.values() if o.cube is not None), None)
        return (1, 1) if first is None else (first.shape[1], first.shape[2])

    def _scale(self, shown: Shown) -> Scale | None:
        """The stretch that was asked for, or that of the input."""
        first = self._outcomes.get(0)
        if first is None or first.cube is None:
            return None
        if shown.limits is not None:
            return Scale(*shown.limits, 0.0, shown.cmap)
        found = intensity_scale(_plane(first.cube, shown.channel), noise=first.sigma or 0.0)
        return Scale(found.low, found.high, found.soft, shown.cmap)

    def _panel(self, index: int, shown: Shown, scale: Scale | None, colours: Colours) -> None:
        axes, outcome, label = self._axes[index], self._outcomes.get(index), shown.labels[index]
        if outcome is None or outcome.cube is None or scale is None:
            words = "waiting" if outcome is None else outcome.error
            _empty(axes, label, words, colours)
            return
        plane, frame = _plane(outcome.cube, shown.channel), shown.world.sky
        used = Scale(*_own_limits(plane), 0.0, "gray") if outcome.display else scale
        sky_map(axes, plane, frame, shape=plane.shape, factor=1, scale=used)
        for axis in (axes.xaxis, axes.yaxis):
            few_ticks(axis, 4, inner=True)
        axes.tick_params(labelsize=_SMALL, length=3, labelbottom=False, labelleft=False)
        _title(axes, label, title_of(outcome))
        if index == 0:
            _beam(axes, beam_shape(outcome.cube.beams, frame))

    def _outer_labels(self, shown: Shown, grid: Layout) -> None:
        """Names of the axes where they are on the edge of the grid."""
        x_name, y_name = shown.world.sky.labels
        for index, axes in enumerate(self._axes):
            if index % grid.columns == 0:
                axes.tick_params(labelleft=True)
                axes.set_ylabel(y_name, fontsize=_WORDS)
            if index + grid.columns >= len(self._axes):
                axes.tick_params(labelbottom=True)
                axes.set_xlabel(x_name, fontsize=_WORDS)

    def _bar(self, shown: Shown, scale: Scale | None, size: tuple[float, float], used: float) -> None:
        """The colour bar below the panels, which take `used` inches with it."""
        images = self._axes[0].images if self._axes else []
        if scale is None or not images:
            return
        width = min(5.0, size[0] - _LEFT - _RIGHT)
        bottom = size[1] - used + _BAR[0]
        place = (_LEFT / size[0], bottom / size[1], width / size[0], _BAR[1] / size[1])
        unit = shown.unit or UNSTATED
        options = {"cax": self.figure.add_axes(place), "orientation": "horizontal"}
        colour_bar(self.figure, images[0], None, ("Intensity", unit), scale, _WORDS, **options)

    def _heading(self, shown: Shown, size: tuple[float, float]) -> None:
        chars = max(20, int((size[0] - 0.3) * 96 / 6.3))
        text = fill(shown.title, chars)
        self.figure.text(
            0.12 / size[0], 1 - 0.08 / size[1], text, fontsize=_WORDS, va="top", ha="left", linespacing=1.1
        )


def _plane(cube: Cube, channel: int) -> NDArray[np.float64]:
    """A channel (y, x) of a cube in memory."""
    channel = min(channel, cube.shape[0] - 1)
    region = (slice(channel, channel + 1), slice(0, cube.shape[1]), slice(0, cube.shape[2]))
    return np.asarray(cube.read(region)[0], np.float64)


def title_of(outcome: Outcome) -> str:
    """Noise left, peak and seconds of an outcome in two lines."""
    if outcome.display:
        return f"display only, no unit\nown stretch, {outcome.seconds:.2g} s"
    peak = "unknown" if outcome.peak_snr is None else f"{outcome.peak_snr:.1f}"
    if outcome.label == INPUT and outcome.result is None:
        return f"noise 1 σ\npeak {peak} σ"
    return f"noise left {_left(outcome.noise_left)}\npeak {peak} σ, {outcome.seconds:.2g} s"


def _left(noise: float | None) -> str:
    if noise is None:
        return "unknown"
    return "under 0.01 σ" if 0 < noise < 0.01 else f"{noise:.2f} σ"


def heading_of(name: str, world: World, channel: int, sigma: str, depth: int) -> str:
    """One line for the top: the cube, the channel (counted from 0; from 1 in the text) and what sigma is.

    Parameters
    ----------
    name : str
        Of the cube.
    world : World
        Of the whole cube.
    channel : int
        Of the whole cube.
    sigma : str
        Noise of the input with its unit.
    depth : int
        Channels that the methods saw, and that the noise left and the peaks are of.
    """
    values = world.spectral.values
    value = f"{values[channel]:.6g}".replace("-", "−")
    where = f", {value} {world.spectral.unit} (channel {channel + 1} of {values.size})"
    of = "" if world.image else f"; numbers of {depth} channel{'s'[: depth != 1]}"
    return f"{name}{'' if world.image else where}. σ: noise of the input, {sigma}{of}"


def _own_limits(plane: Any) -> tuple[float, float]:
    finite = plane[np.isfinite(plane)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [0.5, 99.8]))
    return low, high if high > low else low + 1.0


def _beam(axes: Any, beam: tuple[float, float, float] | None) -> None:
    """The beam in the lower left corner, with a light rim."""
    from matplotlib.patches import Ellipse

    if beam is None:
        return
    major, minor, angle = beam
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    away = 0.04 * min(abs(x1 - x0), abs(y1 - y0)) + major / 2
    place = (x0 + away * (1 if x1 > x0 else -1), y0 + away)
    for width, colour in ((2.4, "white"), (1.0, "black")):
        axes.add_patch(
            Ellipse(place, major, minor, angle=angle, facecolor="white", edgecolor=colour, lw=width)
        )


def _title(axes: Any, label: str, words: str) -> None:
    axes.set_title(words, fontsize=_SMALL, loc="left", pad=3, linespacing=1.1)
    axes.annotate(
        label,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 24),
        textcoords="offset points",
        fontsize=_WORDS,
        fontweight="bold",
        va="bottom",
    )


def _empty(axes: Any, label: str, words: str, colours: Colours) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(colours.background)
    for spine in axes.spines.values():
        spine.set_color(colours.faint)
    axes.annotate(
        label,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=_WORDS,
        fontweight="bold",
        va="bottom",
    )
    width = axes.get_position().width * axes.figure.get_figwidth() * 96
    text = fill(words, max(12, int(width / 6.2)))
    axes.text(0.5, 0.5, text, fontsize=_SMALL, ha="center", va="center", transform=axes.transAxes, wrap=False)
