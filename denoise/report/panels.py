"""Pieces of a figure: a map on the sky with beam and scale bar, a colour bar, axes that stay legible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.report.sky import SkyFrame, nice_length

Floats = NDArray[np.float64]

WIDTH = 7.6
DPI = 180
LABEL = 9.5
TICK = 8.5
TITLE = 10.5
BEFORE = "#8a8a8a"
AFTER = "#0b4f8a"
SECOND = "#c65d00"
CONTOUR = "#ff9d2e"
NO_DATA = "#d9d9d9"


@dataclass(frozen=True)
class Scale:
    """How values become colours, the same for all panels that are compared.

    Attributes
    ----------
    low, high : float
        Limits.
    soft : float
        Width of the linear part of an asinh stretch; 0: linear.
    cmap : str
        Matplotlib's name of the map.
    """

    low: float
    high: float
    soft: float = 0.0
    cmap: str = "viridis"

    def norm(self) -> Any:
        """Matplotlib normalisation."""
        from matplotlib.colors import AsinhNorm, Normalize

        if self.soft > 0:
            return AsinhNorm(linear_width=self.soft, vmin=self.low, vmax=self.high)
        return Normalize(self.low, self.high)


def figure(height: float, **options: Any) -> Any:
    """An empty figure of the page's width (inches), without any global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained", **options)
    FigureCanvasAgg(fig)
    return fig


def intensity_scale(*maps: Floats, noise: float = 0.0) -> Scale:
    """Common limits of intensity maps: all but the outermost 0.1 % of the values of any of them.

    Where the range exceeds 60 times the noise an asinh stretch shows faint and bright emission together.
    """
    finite = [m[np.isfinite(m)] for m in maps if np.isfinite(m).any()]
    if not finite:
        return Scale(0.0, 1.0)
    low = min(float(np.percentile(f, 0.1)) for f in finite)
    high = max(float(np.percentile(f, 99.9)) for f in finite)
    if not high > low:
        high = low + (abs(low) or 1.0)
    soft = 3 * noise if noise > 0 and high - low > 60 * noise else 0.0
    return Scale(low, high, soft)


def symmetric_scale(limit: float, cmap: str = "RdBu_r") -> Scale:
    """A diverging scale about zero."""
    return Scale(-limit, limit, 0.0, cmap)


def style(ax: Any, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Labels and ticks at legible sizes, whatever the user's own settings are."""
    ax.set_xlabel(xlabel, fontsize=LABEL)
    ax.set_ylabel(ylabel, fontsize=LABEL)
    ax.tick_params(labelsize=TICK, direction="out", length=3)
    if title:
        ax.set_title(title, fontsize=TITLE, loc="left")


def few_ticks(axis: Any, count: int, *, integer: bool = False, inner: bool = False) -> None:
    """At most `count` ticks at round values; `inner`: none at the ends, where panels touch."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(
        MaxNLocator(
            count, steps=[1, 2, 2.5, 5, 10], min_n_ticks=2, integer=integer, prune="both" if inner else None
        )
    )


def sky_map(
    ax: Any, image: Floats, frame: SkyFrame, *, shape: tuple[int, int], factor: int, scale: Scale
) -> Any:
    """Draw a map (y', x') binned by `factor` at its place on the sky; returns the artist for a colour bar."""
    from matplotlib import colormaps
    from matplotlib.transforms import Affine2D

    (a, b), (c, d) = frame.matrix
    x0, y0 = frame.offsets(0.0, 0.0)
    place = Affine2D(np.array([[a, b, float(x0)], [c, d, float(y0)], [0, 0, 1]]))
    extent = (-0.5, image.shape[1] * factor - 0.5, -0.5, image.shape[0] * factor - 0.5)
    cmap = colormaps[scale.cmap].with_extremes(bad=NO_DATA)
    artist = ax.imshow(
        np.ma.masked_invalid(image), origin="lower", extent=extent, cmap=cmap, norm=scale.norm(),
        interpolation="nearest", transform=place + ax.transData,
    )  # fmt: skip
    frame_axes(ax, frame, (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5))
    return artist


def frame_axes(ax: Any, frame: SkyFrame, extent: tuple[float, float, float, float]) -> None:
    """Limit the axes to the pixels (x0, x1, y0, y1), with equal scales."""
    xlim, ylim = frame.limits(extent)
    ax.set_xlim(*xlim)
    ax.set_ylim(*ylim)
    ax.set_aspect("equal")
    ax.set_facecolor(NO_DATA)
    few_ticks(ax.xaxis, 5)
    few_ticks(ax.yaxis, 5)


def outline(ax: Any, mask: NDArray[np.bool_], frame: SkyFrame, color: str = CONTOUR) -> None:
    """The border of a mask (y, x) along the edges of its pixels."""
    from matplotlib.collections import LineCollection

    step = max(1, max(mask.shape) // 800)
    inside = np.pad(mask[::step, ::step], 1)
    y, x = np.nonzero(inside[1:] != inside[:-1])
    flat = np.stack([x - 1.0, y + 0.0, x + 0.0, y + 0.0], axis=1)
    y, x = np.nonzero(inside[:, 1:] != inside[:, :-1])
    upright = np.stack([x + 0.0, y - 1.0, x + 0.0, y + 0.0], axis=1)
    ends = np.concatenate([flat, upright]).reshape(-1, 2, 2) * step - 0.5
    lon, lat = frame.offsets(ends[..., 0], ends[..., 1])
    ax.add_collection(
        LineCollection(list(np.stack([lon, lat], axis=-1)), colors=color, linewidths=0.9), autolim=False
    )


def beam_and_bar(
    ax: Any, beam: tuple[float, float, float] | None, frame: SkyFrame, *, text: bool = True
) -> None:
    """The beam (lower left, with a light rim) and a scale bar (lower right)."""
    from matplotlib.patches import Ellipse

    if beam is not None:
        major, minor, angle = beam
        x, y = _corner(ax, 0.04, beam)
        for width, color in ((2.4, "white"), (1.0, "black")):
            ax.add_patch(
                Ellipse(
                    (x, y), major, minor, angle=angle, facecolor=(1, 1, 1, 0.65), edgecolor=color, lw=width
                )
            )
    _bar(ax, frame, text=text)


def _corner(ax: Any, share: float, beam: tuple[float, float, float]) -> tuple[float, float]:
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    tilt, half, thin = np.deg2rad(beam[2]), beam[0] / 2, beam[1] / 2
    reach_x = float(np.hypot(half * np.cos(tilt), thin * np.sin(tilt)))
    reach_y = float(np.hypot(half * np.sin(tilt), thin * np.cos(tilt)))
    sign = 1 if x1 > x0 else -1
    margin = share * min(abs(x1 - x0), abs(y1 - y0))
    return x0 + sign * (margin + reach_x), y0 + margin + reach_y


def _bar(ax: Any, frame: SkyFrame, *, text: bool) -> None:
    from matplotlib.patheffects import withStroke

    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    length = nice_length(abs(x1 - x0))
    sign, y = (1 if x1 > x0 else -1), y0 + 0.05 * (y1 - y0)
    end = x1 - sign * 0.04 * abs(x1 - x0)
    rim = [withStroke(linewidth=4, foreground="white")]
    ax.plot(
        [end - sign * length, end], [y, y], color="black", lw=1.8, path_effects=rim, solid_capstyle="butt"
    )
    if text:
        unit = {"arcsec": "″", "arcmin": "′", "deg": "°"}.get(
            frame.unit, " pixel" if length == 1 else " pixels"
        )
        ax.annotate(
            f"{length:g}{unit}",
            (end - sign * length / 2, y),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=TICK,
            color="black",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def colour_bar(
    fig: Any,
    artist: Any,
    axes: Any,
    label: tuple[str, str],
    scale: Scale,
    size: float = LABEL,
    **options: Any,
) -> None:
    """A colour bar; `label` is name and unit; a power of ten and the stretch are added where there is one."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    bar = fig.colorbar(
        artist, ax=axes, extend="both", **{"pad": 0.015, "fraction": 0.05, "aspect": 26, **options}
    )
    power = _power(max(abs(scale.low), abs(scale.high)))
    bar.set_label(_named(*label, power, scale.soft > 0), fontsize=size)
    if scale.soft > 0:
        bar.set_ticks(_asinh_ticks(scale))
    bar.formatter = FuncFormatter(lambda value, _: f"{value / 10.0**power:.7g}".replace("-", "−"))
    axis = bar.ax.xaxis if bar.orientation == "horizontal" else bar.ax.yaxis
    axis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=TICK, length=3)
    bar.update_ticks()


def _power(size: float) -> int:
    """The power of ten to take out of tick labels; 0 for sizes that read well as they are."""
    return 0 if size == 0 or 1e-2 <= size < 1e4 else int(np.floor(np.log10(size)))


def _named(name: str, unit: str, power: int, stretched: bool) -> str:
    from denoise.report.labels import power_of_ten

    unit = f"{power_of_ten(power)}{' × ' if unit.startswith('10') else ' '}{unit}" if power else unit
    label = f"{name} ({unit})" if name and unit else name or unit
    return f"{label}\nasinh scale" if stretched else label


def _asinh_ticks(scale: Scale) -> list[float]:
    """Zero and round values about evenly spaced on the stretched scale."""
    ends = np.arcsinh(np.array([scale.low, scale.high]) / scale.soft)
    even = np.sinh(np.linspace(ends[0], ends[1], 7)) * scale.soft
    ticks = {0.0} | {_round_down(float(v)) for v in even if abs(v) > scale.soft}
    return sorted(t for t in ticks if scale.low <= t <= scale.high)


def _round_down(value: float) -> float:
    """Towards zero to 1, 2 or 5 times a power of ten."""
    decade = 10.0 ** np.floor(np.log10(abs(value)))
    step = max(s for s in (1, 2, 5) if s * decade <= abs(value) * (1 + 1e-9))
    return float(f"{np.sign(value) * step * decade:.3g}")
