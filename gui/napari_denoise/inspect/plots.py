"""Plots that are drawn once in a while: the residual, and a position-velocity diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.report.labels import number
from denoise.report.panels import TICK, few_ticks
from denoise.report.scene import AcfCurve
from napari_denoise.inspect.canvas import PlotCanvas
from napari_denoise.inspect.measure import Pair
from napari_denoise.inspect.residual import Residual
from napari_denoise.inspect.spectrum import channel_edges

Floats = NDArray[np.float64]


class ResidualPlot(PlotCanvas):
    """Histogram of the residual in sigma, and its autocorrelation; each against the noise model."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, 470)
        self.found: Residual | None = None
        self.words = "Choose an input and its denoised cube."
        self.paint()

    def show_residual(self, found: Residual | None, words: str = "") -> None:
        """Draw it; None: `words` in its place."""
        self.found, self.words = found, words
        self.paint()

    def paint(self) -> None:
        """Draw everything again."""
        if self.found is None:
            self.say(self.words)
            return
        self.clear()
        upper, lower = self.figure.subplots(2, 1)
        self._histogram(upper, self.found)
        self._correlation(lower, self.found)
        self.draw_idle()

    def _histogram(self, ax: Any, found: Residual) -> None:
        c = self.colours
        merge = 1 if found.count > 20000 else 4 if found.count > 500 else 8
        density = found.density.reshape(-1, merge).mean(axis=1)
        label = f"residual, spread {number(found.std)}"
        ax.stairs(
            np.where(density > 0, density, np.nan), found.edges[::merge], color=c.after, lw=1.3, label=label
        )
        ax.plot(*unit_gaussian(found.edges), color=c.text, lw=1, ls="--", label="unit Gaussian")
        ax.set_yscale("log")
        ax.set_ylim(0.3 * float(density[density > 0].min(initial=1.0)), 30)
        reach = float(np.clip(np.abs(found.edges[1:][found.density > 0]).max(initial=4) * 1.05, 5, 10))
        ax.set_xlim(-reach, reach)
        self.dress(ax, "Residual / noise (σ)", "Probability density (1/σ)")
        self.legend(ax, loc="upper center", borderaxespad=0.1, handlelength=1.3)

    def _correlation(self, ax: Any, found: Residual) -> None:
        c = self.colours
        ax.axhline(0, color=c.text, lw=0.6)
        looks = ((c.after, "o", "-"), (c.second, "s", "--"), (c.before, "^", ":"))
        for curve, (colour, marker, dash) in zip(found.curves, looks, strict=False):
            lags = np.arange(curve.measured.size)
            ax.plot(lags, model_of(curve), color=colour, lw=1.1, ls=dash)
            error = np.where(np.isfinite(curve.error) & (lags > 0), curve.error, 0.0)
            ax.errorbar(
                lags, curve.measured, error, color=colour, marker=marker, ms=3.4, lw=0, elinewidth=0.8,
                label=curve.what,
            )  # fmt: skip
        ax.plot([], [], color=c.text, lw=1.1, label="noise model (lines)")
        self.dress(ax, "Lag (pixels, channels)", "Autocorrelation")
        few_ticks(ax.xaxis, 6, integer=True)
        self.legend(ax, loc="upper right", borderaxespad=0.1, handlelength=1.6, labelspacing=0.25)


def unit_gaussian(edges: Floats) -> tuple[Floats, Floats]:
    """Centres of bins and the density of a Gaussian of sigma 1 there."""
    centres = 0.5 * (edges[1:] + edges[:-1])
    return centres, np.exp(-(centres**2) / 2) / np.sqrt(2 * np.pi)


def model_of(curve: AcfCurve) -> Floats:
    """Autocorrelation of the noise model at the lags of a curve, 0 beyond its end."""
    model = np.zeros(curve.measured.size)
    held = min(model.size, curve.model.size)
    model[:held] = curve.model[:held]
    return model


@dataclass(frozen=True, eq=False)
class Diagram:
    """A position-velocity diagram.

    Attributes
    ----------
    pair : Pair
        What was cut.
    offset : ndarray, shape (sample,)
        Along the path, in `unit`.
    before, after : ndarray, shape (channel, sample)
        Unit of the data; `after` may be None.
    unit, where : str
        Of the offsets; the ends of the path in words.
    """

    pair: Pair
    offset: Floats
    before: Floats
    after: Floats | None
    unit: str
    where: str


class DiagramPlot(PlotCanvas):
    """Position-velocity diagrams of input and denoised cube, with common limits."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, 470)
        self.found: Diagram | None = None
        self.paint()

    def show_diagram(self, found: Diagram | None) -> None:
        """Draw it; None: a word on how to get one."""
        self.found = found
        self.paint()

    def paint(self) -> None:
        """Draw everything again."""
        found = self.found
        if found is None:
            self.say("Draw a cut to see position and velocity along it.")
            return
        images = [(found.pair.name, found.before)]
        if found.after is not None:
            images.append(("denoised", found.after))
        self.clear()
        axes = np.atleast_1d(self.figure.subplots(len(images), 1, sharex=True))
        low, high = _limits([image for _, image in images], found)
        for ax, (name, image) in zip(axes, images, strict=True):
            artist = self._draw(ax, image, found, (low, high))
            ax.set_title(name, fontsize=TICK, color=self.colours.text, loc="left", pad=3)
        axes[-1].set_xlabel(f"Offset along the cut ({found.unit})", color=self.colours.text)
        self._bar(artist, axes, found)
        self.draw_idle()

    def _draw(self, ax: Any, image: Floats, found: Diagram, limits: tuple[float, float]) -> Any:
        step = float(found.offset[1] - found.offset[0])
        borders = np.concatenate([found.offset - step / 2, [found.offset[-1] + step / 2]])
        artist = ax.pcolormesh(
            borders, channel_edges(found.pair.spectral.values), np.ma.masked_invalid(image),
            cmap="inferno", vmin=limits[0], vmax=limits[1], rasterized=True,
        )  # fmt: skip
        self.dress(ax, "", found.pair.spectral.text)
        ax.ticklabel_format(axis="y", useOffset=False)
        few_ticks(ax.yaxis, 5)
        return artist

    def _bar(self, artist: Any, axes: Any, found: Diagram) -> None:
        from denoise.report.labels import unit_text
        from denoise.report.panels import Scale, colour_bar

        cube = found.pair.before
        unit = unit_text(cube.unit, cube.unit_text)
        colour_bar(
            self.figure, artist, list(axes), ("Brightness", unit), Scale(*artist.get_clim()), size=TICK,
            location="bottom", aspect=36, pad=0.02,
        )  # fmt: skip
        bar = self.figure.axes[-1]
        bar.tick_params(colors=self.colours.text)
        bar.xaxis.label.set_color(self.colours.text)


def _limits(images: list[Floats], found: Diagram) -> tuple[float, float]:
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if not values.size:
        return 0.0, 1.0
    noise = 0.0 if found.pair.noise is None else float(found.pair.noise.typical)
    low, high = (float(v) for v in np.percentile(values, [1, 99.8]))
    low = max(low, -2 * noise) if noise else low
    return low, high if high > low else low + (abs(low) or 1.0)
