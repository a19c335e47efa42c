"""First guess of sigma per channel and over the field, from medians of spectral differences, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from denoise.noise import channels
from denoise.noise.fieldmap import Cells, relative_map
from denoise.noise.scout import Part, Scout
from denoise.noise.statistics import About, mad_std
from denoise.noise.stream import Region, View, blocks

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_PIXELS = 16384  # looked at per channel
_TOGETHER = 64  # values of which a median is taken at least
_PLANES = 48  # looked at per cell
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


def first_guess(view: View, early: Scout, voxels: int, *, fixed: bool) -> Guess:
    """Sigma over the known one, per channel and, unless the known one is `fixed`, over the field.

    Medians of what differences leave are hardly moved by sources; the values are refined later.
    """
    nchan, ny, nx = view.shape
    way = early.way
    cells = Cells.of((ny, nx), smallest=max(8.0 if min(ny, nx) >= 48 else 4.0, 2.0 * early.width))
    total, weight = np.zeros(nchan), np.zeros(nchan)
    squares, number = np.zeros(cells.shape), np.zeros(cells.shape)
    for region, _ in blocks(view.shape, voxels=voxels, row_edges=cells.rows, halo=way.halo):
        noise = Part(view.read(region), view.sigma(region)).normal(way)
        spread = _channel_spread(noise, about="median" if way.name == "direct" else "zero")
        good = np.isfinite(spread) & (spread > 0)
        own = slice(region[0].start + way.shift, region[0].start + way.shift + noise.shape[0])
        total[own] += np.where(good, spread, 0.0)
        weight[own] += good
        if not fixed:
            ratio = noise / np.where(good, spread, np.nan).astype(np.float32)[:, None, None]
            _add_cells(ratio, cells, region[1], squares, number)
    relative = np.broadcast_to(np.float32(1.0), (ny, nx))
    if not fixed:
        variance = np.where(number > 0, squares / np.maximum(number, 1), np.nan)
        per_channel = early.samples(1.0)
        area = np.diff(cells.rows)[:, None] * np.diff(cells.columns)
        relative = _coarse_map(variance, 0.4 * number * area * per_channel, cells, (ny, nx))
    # a median is 37 % as good as a mean square
    samples = 0.37 * max(float(min(ny * nx, _PIXELS)) / float(np.sum(early.spatial_acf**2)), 0.5 * _TOGETHER)
    return Guess(_per_channel(total, weight, early, samples), relative)


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
    flat = flat[:, :: max(1, flat.shape[1] // _PIXELS)]
    runs = max(1, noise.shape[0] * flat.shape[1] // _TOGETHER)
    if runs < noise.shape[0]:
        spread = [mad_std(run, about=about) for run in np.array_split(flat, runs)]
        return np.repeat(spread, [len(run) for run in np.array_split(flat, runs)])
    return np.asarray(mad_std(flat, about=about, axis=1))


def _add_cells(ratio: Block, cells: Cells, rows: slice, squares: Array, number: Array) -> None:
    """Add the variance of every cell, from the median of |ratio|, weighted with the number of channels."""
    some = ratio[:: max(1, ratio.shape[0] // _PLANES)]
    for i, (a, b) in enumerate(pairwise(cells.rows)):
        if a < rows.start or b > rows.stop:
            continue
        for j, (c, d) in enumerate(pairwise(cells.columns)):
            cell = some[:, a - rows.start : b - rows.start, c:d]
            spread = mad_std(cell, about="zero")
            covered = np.isfinite(cell)
            if covered.sum() >= 16 and spread > 0:
                count = covered.mean() * some.shape[0]
                squares[i, j] += count * spread**2
                number[i, j] += count


def _coarse_map(variance: Array, samples: Array, cells: Cells, shape: tuple[int, int]) -> NDArray[np.float32]:
    good = np.isfinite(variance)
    if np.count_nonzero(good) < 6 or np.std(np.log(variance[good])) < _WORTH:
        return np.broadcast_to(np.float32(1.0), shape)
    return relative_map(variance, np.where(good, samples, 0.0), cells, shape)
