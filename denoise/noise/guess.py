"""First guess of sigma per channel and over the field, from medians of spectral differences, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from denoise.noise import channels
from denoise.noise.detrend import Detrend
from denoise.noise.fieldmap import Cells, relative_map
from denoise.noise.scout import Part, Scout
from denoise.noise.statistics import QUARTILE, About, mad_std
from denoise.noise.stream import Region, View

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_PIXELS = 16384  # looked at per channel, about
_TOGETHER = 64  # values of which a median is taken at least
_PLANES = 48  # looked at per cell
_LEAST = 16  # values of which a cell makes something
_ASIDE = 3.0  # standard errors by which the sides of zero differ in number where there is a source
_WORTH = 0.2  # scatter of log variance over the field below which the guess stays flat


@dataclass(frozen=True)
class Guess:
    """Sigma per channel, shape (nchan,), times a map, shape (ny, nx)."""

    channel: Array
    relative: NDArray[np.float32]

    @property
    def flat(self) -> bool:
        """Whether the map is one stored number."""
        return self.relative.strides == (0, 0)

    def of(self, region: Region) -> Block:
        """Sigma in a region, shape (channel, y, x)."""
        plane = self.relative[region[1:]]
        if self.flat:
            plane = plane[:1, :1]
        return (self.channel[region[0], None, None] * plane).astype(np.float32)


@dataclass(frozen=True)
class _Sample:
    """Which pixels of every channel are looked at: some middle rows of every row of cells.

    Parameters
    ----------
    cells : Cells
    rows : int
        Of each row of cells.
    step : int
        Every so many columns.
    """

    cells: Cells
    rows: int
    step: int

    @classmethod
    def of(cls, cells: Cells) -> _Sample:
        """About 16384 pixels a channel, all of them if there are no more."""
        across = int(cells.columns[-1]) * cells.shape[0]
        rows = int(np.clip(_PIXELS // across, 1, np.diff(cells.rows).min()))
        return cls(cells, rows, max(1, across // _PIXELS))

    @property
    def columns(self) -> NDArray[np.int64]:
        """Edges of the cells among the columns looked at."""
        return -(-self.cells.columns // self.step)

    @property
    def pixels(self) -> int:
        """Looked at per channel."""
        return self.rows * self.cells.shape[0] * int(self.columns[-1])

    def read(self, view: View, channels: slice, way: Detrend) -> Block:
        """Detrended noise, shape (channel, rows of cells * rows, columns)."""
        strips = []
        for low, high in pairwise(self.cells.rows.tolist()):
            top = (low + high - self.rows) // 2
            region = (channels, slice(top, top + self.rows), slice(0, view.shape[2]))
            sigma = view.sigma(region)
            some = sigma[:, :, :: self.step] if sigma.shape[2] > 1 else sigma
            strips.append(Part(view.read(region)[:, :, :: self.step], some).normal(way))
        return np.concatenate(strips, axis=1)


def first_guess(view: View, early: Scout, voxels: int, *, fixed: bool) -> Guess:
    """Sigma over the known one, per channel and, unless the known one is `fixed`, over the field.

    Medians of what differences leave, in some rows all over the field, are hardly moved by sources; the
    values are refined later.
    """
    nchan, ny, nx = view.shape
    way = early.way
    cells = Cells.of((ny, nx), smallest=max(8.0 if min(ny, nx) >= 48 else 4.0, 2.0 * early.width))
    sample = _Sample.of(cells)
    total, weight = np.zeros(nchan), np.zeros(nchan)
    squares, number = np.zeros(cells.shape), np.zeros(cells.shape)
    for channel in _runs(nchan, max(voxels // sample.pixels - way.halo, 16), way.halo):
        noise = sample.read(view, channel, way)
        spread = _channel_spread(noise, about="median" if way.name == "direct" else "zero")
        good = np.isfinite(spread) & (spread > 0)
        own = slice(channel.start + way.shift, channel.start + way.shift + noise.shape[0])
        total[own] += np.where(good, spread, 0.0)
        weight[own] += good
        if not fixed:
            ratio = noise / np.where(good, spread, np.nan).astype(np.float32)[:, None, None]
            _add_cells(ratio, sample, early.samples(1.0), squares, number)
    relative = np.broadcast_to(np.float32(1.0), (ny, nx))
    if not fixed:
        variance = np.where(number > 0, squares / np.maximum(number, 1), np.nan)
        area = sample.rows * np.diff(sample.columns)
        relative = _coarse_map(variance, 0.4 * number * area * early.samples(1.0), cells, (ny, nx))
    # a median is 37 % as good as a mean square
    samples = 0.37 * max(sample.pixels / float(np.sum(early.spatial_acf**2)), 0.5 * _TOGETHER)
    return Guess(_per_channel(total, weight, early, samples), relative)


def _runs(nchan: int, count: int, halo: int) -> Iterator[slice]:
    """Runs of about `count` channels and `halo` more, so that their outputs lie side by side."""
    for first in range(0, max(1, nchan - halo), count):
        yield slice(first, min(nchan, first + count + halo))


def _per_channel(total: Array, weight: Array, early: Scout, samples: float) -> Array:
    good = weight > 0
    if not good.any():
        return np.full(total.size, early.sigma)
    place = np.arange(total.size)
    sigma = np.interp(place, place[good], total[good] / weight[good])
    way = early.way
    if way.name != "difference":
        return np.asarray(channels.shrink(sigma, np.full(total.size, samples)))
    own = slice(way.shift, way.shift + total.size - way.halo)
    mixed = np.square(channels.shrink(sigma[own], np.full(total.size - way.halo, samples))) / way.gain
    return np.sqrt(channels.unmix(mixed, *way.mixing(), total.size))


def _channel_spread(noise: Block, *, about: About) -> Array:
    """Median spread of every channel; of runs of channels where they have few pixels."""
    flat = noise.reshape(noise.shape[0], -1)
    runs = max(1, noise.shape[0] * flat.shape[1] // _TOGETHER)
    if runs < noise.shape[0]:
        groups = np.array_split(flat, runs)
        return np.repeat([mad_std(run, about=about) for run in groups], [len(run) for run in groups])
    if not np.isnan(flat).any():
        centre = np.median(flat, axis=1, keepdims=True) if about == "median" else np.float32(0)
        return np.asarray(np.median(np.abs(flat - centre), axis=1) / QUARTILE)
    return np.asarray(mad_std(flat, about=about, axis=1))


def _add_cells(ratio: Block, sample: _Sample, independent: float, squares: Array, number: Array) -> None:
    """Add the variance of every cell, weighted with the number of channels; `independent` samples a voxel."""
    some = ratio[:: max(1, ratio.shape[0] // _PLANES)]
    for row in range(squares.shape[0]):
        strip = some[:, row * sample.rows : (row + 1) * sample.rows]
        for column, (left, right) in enumerate(pairwise(sample.columns)):
            values = strip[:, :, left:right]
            covered = values[np.isfinite(values)]
            if covered.size < _LEAST:
                continue
            spread = _cell_spread(covered, independent * covered.size)
            count = covered.size / values.size * some.shape[0] if spread > 0 else 0.0
            squares[row, column] += count * spread**2
            number[row, column] += count


def _cell_spread(values: Block, independent: float) -> float:
    """From the median size; a source is on one side of zero, and then the other side says; 0 where there is none.

    In an image nothing else tells a cell that a source fills from one with more noise.
    """
    sides = [np.abs(values[values < 0]), values[values > 0]]
    if abs(len(sides[0]) - len(sides[1])) <= _ASIDE * values.size / np.sqrt(independent):
        return float(np.median(np.abs(values))) / QUARTILE
    rarer = min(sides, key=len)
    return float(np.median(rarer)) / QUARTILE if len(rarer) >= _LEAST else 0.0


def _coarse_map(variance: Array, samples: Array, cells: Cells, shape: tuple[int, int]) -> NDArray[np.float32]:
    good = np.isfinite(variance)
    if np.count_nonzero(good) < 6 or np.std(np.log(variance[good])) < _WORTH:
        return np.broadcast_to(np.float32(1.0), shape)
    return relative_map(variance, np.where(good, samples, 0.0), cells, shape)
