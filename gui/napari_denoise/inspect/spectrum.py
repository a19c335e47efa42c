"""The spectrum of an aperture, redrawn while the aperture moves; a click chooses a channel, a drag a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from denoise.report.panels import few_ticks
from napari_denoise.inspect.canvas import PlotCanvas, in_powers
from napari_denoise.inspect.linefit import LineFit
from napari_denoise.inspect.measure import Curve, Measured, Pair

Floats = NDArray[np.float64]
_CLICK = 4  # pixels: a shorter drag is a click
_LEAST = 0.4  # share of the axis that a spectrum fills, or the axis is drawn anew
_FINE = 400


@dataclass
class _Artists:
    """What moves."""

    band: Any
    after_band: Any
    before: Any
    after: Any
    fits: tuple[Any, Any]
    channel: Any
    range: Any

    def __iter__(self) -> Any:
        return iter(
            (
                self.range,
                self.band,
                self.after_band,
                self.before,
                self.after,
                *self.fits,
                self.channel,
            )
        )


class SpectrumPlot(PlotCanvas):
    """Spectrum before and after with its 1-sigma bands, line fits, current channel and chosen range.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    clicked = Signal(int)  # a channel
    ranged = Signal(object)  # a slice of channels

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, 270)
        self.pair: Pair | None = None
        self.measured: Measured | None = None
        self.channels = slice(0, 0)
        self.channel = 0
        self.fits: tuple[LineFit | None, LineFit | None] = (None, None)
        self.ax: Any = None
        self._artists: _Artists | None = None
        self._background: Any = None
        self._press: Any = None
        self.mpl_connect("draw_event", self._on_draw)
        self.mpl_connect("button_press_event", self._on_press)
        self.mpl_connect("motion_notify_event", self._on_motion)
        self.mpl_connect("button_release_event", self._on_release)
        self.paint()

    def show_pair(self, pair: Pair | None) -> None:
        """Take the axes of another pair of cubes; the curves come with `show_curves`."""
        self.pair, self.measured, self.fits = pair, None, (None, None)
        size = 0 if pair is None else pair.before.shape[0]
        self.channels = slice(0, size)
        self.paint()

    def show_curves(self, measured: Measured | None) -> None:
        """Show the spectra of an aperture; None: it holds no pixel."""
        self.measured, self.fits = measured, (None, None)
        self._fill()
        if self._fits_in():
            self._blit()
        else:
            self._set_limits()
            self.draw()

    def show_fits(self, before: LineFit | None, after: LineFit | None) -> None:
        """Draw the lines that were fitted."""
        self.fits = (before, after)
        self._fill()
        self._blit()

    def show_channel(self, channel: int) -> None:
        """Mark the channel that the viewer shows."""
        if channel != self.channel:
            self.channel = channel
            self._fill()
            self._blit()

    def show_range(self, channels: slice) -> None:
        """Mark a range of channels."""
        self.channels = channels
        self._fill()
        self._blit()

    def paint(self) -> None:
        """Draw everything again."""
        self._artists = self.ax = self._background = None
        if self.pair is None:
            self.say("No cube is chosen.")
            return
        if self.pair.before.is_image:
            self.say("An image has no spectrum;\nits numbers are below.")
            return
        self._frame(self.pair)
        self._fill()
        self._set_limits()
        self.draw_idle()

    def _frame(self, pair: Pair) -> None:
        self.clear()
        self.ax = self.figure.add_subplot()
        self.dress(self.ax, pair.spectral.text, "")
        self.ax.ticklabel_format(axis="x", useOffset=False)
        few_ticks(self.ax.yaxis, 6)
        self.ax.axhline(0, color=self.colours.text, lw=0.6)
        edges = channel_edges(pair.spectral.values)
        # in the direction in which the channels' coordinate grows
        self.ax.set_xlim(*sorted((float(edges[0]), float(edges[-1]))))
        self._artists = self._make(edges, pair)
        self._name(self._artists)

    def _name(self, art: _Artists) -> None:
        named = [a for a in (art.before, art.after, art.band, art.after_band) if a.get_label()[0] != "_"]
        self.legend(
            self.ax,
            handles=named,
            ncols=2,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.1,
            handlelength=1.4,
            columnspacing=1.2,
            labelspacing=0.2,
        )

    def _make(self, edges: Floats, pair: Pair) -> _Artists:
        ax, c = self.ax, self.colours
        empty = np.full(edges.size - 1, np.nan)
        moving: dict[str, Any] = {"animated": True}
        second = pair.after is not None
        has_band = pair.noise is not None
        has_error = second and pair.error is not None

        def band(colour: str, label: str) -> Any:
            return ax.stairs(
                empty, edges, baseline=empty, fill=True, color=colour, alpha=0.35, lw=0, label=label, **moving
            )

        def line(colour: str, width: float, label: str) -> Any:
            return ax.stairs(empty, edges, baseline=None, color=colour, lw=width, label=label, **moving)

        band_name = f"±1σ of the {pair.name}" if second or has_band else "_"
        return _Artists(
            band(c.before, band_name if has_band else "_"),
            band(c.after, "denoised ±1σ, at least" if has_error else "_"),
            line(c.before, 1.1, pair.name),
            line(c.after, 1.7, "denoised" if second else "_"),
            (
                ax.plot([], [], color=c.second, lw=1.2, ls=":", **moving)[0],
                ax.plot([], [], color=c.second, lw=1.4, ls="--", **moving)[0],
            ),
            ax.axvline(np.nan, color=c.marker, lw=1.2, **moving),
            ax.add_patch(
                Rectangle(
                    (0, 0),
                    0,
                    1,
                    transform=ax.get_xaxis_transform(),
                    color=c.second,
                    alpha=0.16,
                    lw=0,
                    **moving,
                )
            ),
        )

    def _fill(self) -> None:
        """Values into the artists."""
        art, pair = self._artists, self.pair
        if art is None or pair is None:
            return
        edges, size = channel_edges(pair.spectral.values), pair.before.shape[0]
        before = None if self.measured is None else self.measured.before
        after = None if self.measured is None else self.measured.after
        for curve, line, band in ((before, art.before, art.band), (after, art.after, art.after_band)):
            _set_curve(curve, line, band, size)
        for fit, line in zip(self.fits, art.fits, strict=True):
            fine = np.linspace(edges[0], edges[-1], _FINE)
            line.set_data(fine, np.full(_FINE, np.nan) if fit is None else fit.curve(fine))
        self._fill_marks(art, edges, pair.spectral.values, size)

    def _fill_marks(self, art: _Artists, edges: Floats, values: Floats, size: int) -> None:
        at = float(values[self.channel]) if 0 <= self.channel < size else np.nan
        art.channel.set_xdata([at, at])
        chosen = 0 < self.channels.stop - self.channels.start < size
        ends = sorted((float(edges[self.channels.start]), float(edges[self.channels.stop])))
        art.range.set_x(ends[0])
        art.range.set_width(ends[1] - ends[0] if chosen else 0.0)

    def _span(self) -> tuple[float, float] | None:
        """Lowest and highest value of the curves with their bands."""
        if self.measured is None:
            return None
        found = [np.zeros(1)]
        for curve in (self.measured.before, self.measured.after):
            if curve is not None:
                error = 0.0 if curve.error is None else np.nan_to_num(curve.error)
                found += [curve.values - error, curve.values + error]
        values = np.concatenate(found)
        values = values[np.isfinite(values)]
        return float(values.min()), float(values.max())

    def _fits_in(self) -> bool:
        """Whether the curves fill the axis well as it is; a new one takes four times as long."""
        span = self._span()
        if span is None or self.ax is None or self._background is None:
            return self.ax is not None and self._background is not None
        low, high = self.ax.get_ylim()
        return bool(low <= span[0] and span[1] <= high and span[1] - span[0] >= _LEAST * (high - low))

    def _set_limits(self) -> None:
        span = self._span() or (0.0, 0.0)
        if self.ax is None or self.pair is None:
            return
        height = (span[1] - span[0]) or 1.0
        self.ax.set_ylim(span[0] - 0.12 * height, span[1] + 0.25 * height)
        in_powers(self.ax, self.pair.unit.name, self.pair.unit.unit)

    def _blit(self) -> None:
        if self._background is None or self.ax is None:
            self.draw_idle()
            return
        self.restore_region(self._background)
        self._draw_moving()
        # matplotlib's blit() repaints at once; this joins the repaint of the table
        self.update()

    def _draw_moving(self) -> None:
        for artist in self._artists or ():
            self.ax.draw_artist(artist)

    def _on_draw(self, _event: Any) -> None:
        if self.ax is None or self.is_saving():
            return
        self._background = self.copy_from_bbox(self.figure.bbox)
        self._draw_moving()

    def _on_press(self, event: Any) -> None:
        if event.button != 1 or event.inaxes is not self.ax or self.ax is None:
            return
        if event.dblclick and self.pair is not None:
            self.ranged.emit(slice(0, self.pair.before.shape[0]))
            return
        self._press = event

    def _on_motion(self, event: Any) -> None:
        if self._press is not None and event.inaxes is self.ax and abs(event.x - self._press.x) >= _CLICK:
            self.show_range(self._between(self._press.xdata, event.xdata))

    def _on_release(self, event: Any) -> None:
        press, self._press = self._press, None
        if press is None:
            return
        if event.inaxes is not self.ax or abs(event.x - press.x) < _CLICK:
            if abs(event.x - press.x) < _CLICK:
                self.clicked.emit(self._channel_at(press.xdata))
            else:
                self.ranged.emit(self.channels)
            return
        self.ranged.emit(self._between(press.xdata, event.xdata))

    def _channel_at(self, x: float) -> int:
        if self.pair is None:
            return 0
        return int(np.argmin(np.abs(self.pair.spectral.values - x)))

    def _between(self, start: float, stop: float) -> slice:
        first, last = sorted((self._channel_at(start), self._channel_at(stop)))
        return slice(first, last + 1)


def channel_edges(values: Floats) -> Floats:
    """Borders between channels, shape (channel + 1,): half-way, and as far beyond the first and the last."""
    if values.size == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middle = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _set_curve(curve: Curve | None, line: Any, band: Any, size: int) -> None:
    values = np.full(size, np.nan) if curve is None else curve.values
    error = np.full(size, np.nan) if curve is None or curve.error is None else curve.error
    line.set_data(values=values)
    band.set_data(values=values + error, baseline=values - error)
