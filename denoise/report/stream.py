"""What the figures need, gathered from the cubes block by block; no cube is ever in memory whole.

Three passes: the emission found (its footprint and channels), all voxels (maps, spectra, histograms,
correlation along the channels), and sampled planes (correlation over the sky).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import BLOCK_VOXELS, Readers, Region, Shape
from denoise.check.sizes import Sizes

Floats = NDArray[np.float64]

MAP_PIXELS = 768
ACF_VOXELS = 12 << 20
EDGES = np.linspace(-10.0, 10.0, 201)
_MIN_ROWS = 64


@dataclass(frozen=True)
class Footprint:
    """Where emission was found: on the sky (y, x), and in how many voxels of each channel."""

    sky: NDArray[np.bool_]
    voxels: NDArray[np.int64]

    @property
    def channels(self) -> NDArray[np.bool_]:
        """Shape (channel,): True where any voxel of the channel holds emission."""
        return self.voxels > 0

    @property
    def any(self) -> bool:
        """Whether anything was found at all."""
        return bool(self.voxels.any())


@dataclass(frozen=True)
class Spread:
    """Moments of the residual in sigma over a set of voxels, and its histogram over ``EDGES``."""

    count: int
    mean: float
    std: float
    histogram: NDArray[np.int64]
    beyond: int


@dataclass(frozen=True)
class Sums:
    """What one pass over all voxels gives.

    Attributes
    ----------
    factor : int
        Maps are binned by this many pixels.
    moment0, moment1 : tuple of ndarray, shape (y', x')
        Before and after; moment 0 over `channels`, moment 1 over the voxels of the emission found; NaN: no
        value.
    spectrum : tuple of ndarray, shape (channel,)
        Sum over the footprint, before and after.
    pixels : ndarray, shape (channel,)
        Number of valid pixels of the footprint in each channel.
    variance : ndarray, shape (channel,)
        Sum of sigma squared over the same pixels, as if pixels were independent.
    inside, outside : Spread
        The residual in the emission found and elsewhere.
    spectral_acf, spectral_pairs : ndarray, shape (lag,)
        Autocorrelation of the residual along the channels, 1 at lag 0, and the number of pairs behind it.
    output_sigma : float
        Robust spread (MAD about zero) of the output outside the emission found, in input sigma.
    planes : ndarray, shape (3, panel, y', x')
        Input, output and residual in sigma of the channels asked for.
    """

    factor: int
    moment0: tuple[Floats, Floats]
    moment1: tuple[Floats, Floats]
    spectrum: tuple[Floats, Floats]
    pixels: Floats
    variance: Floats
    inside: Spread
    outside: Spread
    spectral_acf: Floats
    spectral_pairs: Floats
    output_sigma: float
    planes: Floats


def tiles(shape: Shape, *, voxels: int = BLOCK_VOXELS) -> Iterator[Region]:
    """Blocks of all channels and as many rows as fit in `voxels`, split along x only where one row is too
    much.

    An image is one block: its continuum is that of the whole.
    """
    if shape[0] == 1:
        yield slice(0, 1), slice(0, shape[1]), slice(0, shape[2])
        return
    nchan, ny, nx = shape
    cols = min(nx, max(1, voxels // nchan))
    rows = min(ny, max(1, voxels // (nchan * cols)))
    for y in range(0, ny, rows):
        for x in range(0, nx, cols):
            yield slice(0, nchan), slice(y, min(ny, y + rows)), slice(x, min(nx, x + cols))


def footprint(readers: Readers) -> Footprint:
    """Pass over the emission found alone."""
    nchan, ny, nx = readers.shape
    sky, voxels = np.zeros((ny, nx), bool), np.zeros(nchan, np.int64)
    for region in tiles(readers.shape, voxels=4 * BLOCK_VOXELS):
        found = readers.found(region)
        sky[region[1:]] = found.any(axis=0)
        voxels += np.count_nonzero(found, axis=(1, 2))
    return Footprint(sky, voxels)


def accumulate(
    readers: Readers,
    where: Footprint,
    values: Floats,
    width: Floats,
    *,
    panels: Sequence[int] = (),
    lags: int = 12,
) -> Sums:
    """Pass over all voxels.

    Parameters
    ----------
    readers : Readers
        The cubes.
    where : Footprint
        Of the emission found; without any, the maps and spectra are over all channels and pixels.
    values, width : ndarray, shape (channel,)
        Coordinate and width of each channel.
    panels : sequence of int
        Channels to keep as maps.
    lags : int
        Lags of the autocorrelation along the channels.
    """
    total = _Total(readers.shape, where, values, width, panels=panels, lags=min(lags, readers.shape[0] - 1))
    for region in tiles(readers.shape):
        total.add(readers, region)
    return total.finish()


class _Total:
    """Running sums of :func:`accumulate`."""

    def __init__(
        self,
        shape: Shape,
        where: Footprint,
        values: Floats,
        width: Floats,
        *,
        panels: Sequence[int],
        lags: int,
    ) -> None:
        self.shape, self.values, self.width = shape, values, width
        self.channels = where.channels if where.any else np.ones(shape[0], bool)
        self.aperture = where.sky if where.any else np.ones(shape[1:], bool)
        self.span = values[self.channels]
        self.factor = -(-max(shape[1:]) // MAP_PIXELS)
        small = tuple(-(-n // self.factor) for n in shape[1:])
        self.maps = {
            name: np.zeros(small) for name in ("m0b", "m0a", "n", "s0b", "s0a", "s1b", "s1a", "found")
        }
        self.spectrum = np.zeros((2, shape[0]))
        self.pixels, self.variance = np.zeros(shape[0]), np.zeros(shape[0])
        self.moments, self.histogram = np.zeros((2, 3)), np.zeros((2, EDGES.size - 1), np.int64)
        self.acf, self.pairs = np.zeros(lags + 1), np.zeros(lags + 1)
        self.output = Sizes()
        self.panels = list(panels)
        self.planes = np.zeros((2, 3, len(self.panels), *small))

    def add(self, readers: Readers, region: Region) -> None:
        before, after = readers.lines(region)
        sigma, found, excluded = readers.sigma(region), readers.found(region), readers.excluded(region)
        self._add_maps(region, before, after, found)
        self._add_spectra(region, before, after, sigma)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.where(excluded, np.nan, (before - after) / sigma)
            self._add_output(np.abs(after / sigma)[~found & ~excluded])
        self._add_residual(scaled, found)
        for i, channel in enumerate(self.panels):
            for j, data in enumerate((before, after, scaled)):
                valid = np.isfinite(data[channel])
                self._put(self.planes[0, j, i], region, np.where(valid, data[channel], 0.0))
                self._put(self.planes[1, j, i], region, valid.astype(float))

    def _add_maps(self, region: Region, before: Any, after: Any, found: NDArray[np.bool_]) -> None:
        image = self.shape[0] == 1
        width = np.where(self.channels, 1.0 if image else self.width, 0.0).astype(np.float32)
        valid = np.isfinite(before) & np.isfinite(after)
        coverage = valid[self.channels].any(axis=0)
        offset = (self.values - self._middle).astype(np.float32)
        for name, data in (("b", before), ("a", after)):
            clean = np.where(valid, data, 0).astype(np.float32, copy=False)
            self._put(self.maps["m0" + name], region, np.einsum("cyx,c->yx", clean, width, dtype=float))
            clean[~found] = 0
            clean *= self.width.astype(np.float32)[:, None, None]
            self._put(self.maps["s0" + name], region, clean.sum(axis=0, dtype=float))
            self._put(self.maps["s1" + name], region, np.einsum("cyx,c->yx", clean, offset, dtype=float))
        self._put(self.maps["n"], region, coverage.astype(float))
        self._put(self.maps["found"], region, found.any(axis=0).astype(float))

    @property
    def _middle(self) -> float:
        """Moments are taken about the middle of the channels used: no cancellation at 3e9 Hz."""
        return float(0.5 * (self.span.min() + self.span.max()))

    def _put(self, target: Floats, region: Region, plane: Floats) -> None:
        if self.factor == 1:
            target[region[1:]] += plane
            return
        y = np.arange(region[1].start, region[1].stop) // self.factor
        x = np.arange(region[2].start, region[2].stop) // self.factor
        rows = np.add.reduceat(plane, np.flatnonzero(np.diff(y, prepend=-1)), axis=0)
        both = np.add.reduceat(rows, np.flatnonzero(np.diff(x, prepend=-1)), axis=1)
        target[y[0] : y[-1] + 1, x[0] : x[-1] + 1] += both

    def _add_spectra(self, region: Region, before: Any, after: Any, sigma: Any) -> None:
        inside = self.aperture[region[1:]]
        if not inside.any():
            return
        pair = before[:, inside], after[:, inside]
        valid = np.isfinite(pair[0]) & np.isfinite(pair[1])
        for row, data in enumerate(pair):
            self.spectrum[row] += np.where(valid, data, 0).sum(axis=1, dtype=float)
        self.pixels += valid.sum(axis=1)
        self.variance += np.square(np.where(valid, np.nan_to_num(sigma[:, inside]), 0), dtype=float).sum(
            axis=1
        )

    def _add_output(self, values: Any) -> None:
        values = values[np.isfinite(values)]
        self.output.add(values)

    def _add_residual(self, scaled: Any, found: NDArray[np.bool_]) -> None:
        for row, chosen in enumerate((found, ~found)):
            values = scaled[chosen]
            values = values[np.isfinite(values)].astype(float)
            self.moments[row] += values.size, values.sum(), values @ values
            self.histogram[row] += np.histogram(values, EDGES)[0]
        pairs = lag_products(scaled, self.acf.size - 1, axis=0)
        self.acf += pairs[0]
        self.pairs += pairs[1]

    def finish(self) -> Sums:
        maps = self.maps
        with np.errstate(invalid="ignore", divide="ignore"):
            planes = self.planes[0] / self.planes[1]
            m0 = tuple(np.where(maps["n"] > 0, maps[k] / maps["n"], np.nan) for k in ("m0b", "m0a"))
            m1 = tuple(maps["s1" + k] / maps["s0" + k] + self._middle for k in "ba")
        lo, hi = float(self.span.min()), float(self.span.max())
        m1 = tuple(np.where((maps["found"] > 0) & (m >= lo) & (m <= hi), m, np.nan) for m in m1)
        return Sums(
            factor=self.factor,
            moment0=(m0[0], m0[1]),
            moment1=(m1[0], m1[1]),
            spectrum=(self.spectrum[0], self.spectrum[1]),
            pixels=self.pixels,
            variance=self.variance,
            inside=self._spread(0),
            outside=self._spread(1),
            spectral_acf=normalised(self.acf, self.pairs),
            spectral_pairs=self.pairs,
            output_sigma=self.output.spread,
            planes=np.asarray(planes),
        )

    def _spread(self, row: int) -> Spread:
        count, total, squares = self.moments[row]
        mean = total / count if count else np.nan
        std = float(np.sqrt(max(squares / count - mean**2, 0.0))) if count else np.nan
        histogram = self.histogram[row]
        return Spread(int(count), float(mean), std, histogram, int(count - histogram.sum()))


def lag_products(data: Any, lags: int, *, axis: int) -> tuple[Floats, Floats]:
    """Sums of the products of voxels at each lag along `axis`, and the number of pairs; NaN voxels take no
    part.

    Returns
    -------
    tuple of ndarray, shape (lags + 1,)
        Sums (float64) and numbers of pairs. Lags longer than the axis have no pairs.
    """
    moved = np.ascontiguousarray(np.moveaxis(data, axis, 0))
    valid = np.isfinite(moved)
    clean = np.where(valid, moved, 0).astype(np.float32, copy=False)
    sums, pairs = np.zeros(lags + 1), np.zeros(lags + 1)
    for lag in range(min(lags, moved.shape[0] - 1) + 1):
        stop = moved.shape[0] - lag
        for head, tail, both, other in zip(clean[:stop], clean[lag:], valid[:stop], valid[lag:], strict=True):
            sums[lag] += float(np.vdot(head, tail))
            pairs[lag] += np.count_nonzero(both & other)
    return sums, pairs


def normalised(sums: Floats, pairs: Floats) -> Floats:
    """Autocorrelation, 1 at lag 0, from sums of products and numbers of pairs; NaN where there is no pair."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / pairs
        return np.asarray(mean / mean[0], dtype=float)


@dataclass(frozen=True)
class SpatialAcf:
    """Autocorrelation of the residual over the sky along x and y.

    Attributes
    ----------
    along_x, along_y : ndarray, shape (lag,)
        1 at lag 0; NaN where the field is too small.
    pairs_x, pairs_y : ndarray, shape (lag,)
        Number of pairs behind each value.
    channels : int
        How many channels were used.
    """

    along_x: Floats
    along_y: Floats
    pairs_x: Floats
    pairs_y: Floats
    channels: int


def spatial_acf(readers: Readers, *, lags: int = 12, voxels: int = ACF_VOXELS) -> SpatialAcf:
    """Autocorrelation of residual / sigma on the sky, from evenly spaced channels, at most `voxels`."""
    nchan, ny, nx = readers.shape
    use = np.unique(np.linspace(0, nchan - 1, max(1, min(nchan, voxels // (ny * nx)))).astype(int))
    sums, pairs = np.zeros((2, lags + 1)), np.zeros((2, lags + 1))
    for channel in use:
        for strip in _strips(int(channel), ny, nx):
            scaled = readers.scaled_residual(strip)[0]
            for row, axis in enumerate((1, 0)):
                got = lag_products(scaled, lags, axis=axis)
                sums[row] += got[0]
                pairs[row] += got[1]
    curves = [normalised(sums[row], pairs[row]) for row in range(2)]
    return SpatialAcf(curves[0], curves[1], pairs[0], pairs[1], int(use.size))


def _strips(channel: int, ny: int, nx: int) -> Iterator[Region]:
    rows = max(_MIN_ROWS, BLOCK_VOXELS // nx)
    for y in range(0, ny, rows):
        yield slice(channel, channel + 1), slice(y, min(ny, y + rows)), slice(0, nx)


def aperture_correlation(aperture: NDArray[np.bool_], acf: Floats) -> float:
    """Variance of a sum over `aperture` relative to independent pixels of the same sigma.

    ``sum_d acf(d) (A * A)(d) / sum(A)`` with the spatial autocorrelation `acf` (odd shape, centre 1): the
    noise of neighbouring pixels adds up within a beam.
    """
    ys, xs = np.flatnonzero(aperture.any(axis=1)), np.flatnonzero(aperture.any(axis=0))
    if not ys.size:
        return 1.0
    box = aperture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    hy, hx = (n // 2 for n in acf.shape)
    total = 0.0
    for dy in range(min(hy, box.shape[0] - 1) + 1):
        for dx in range(-min(hx, box.shape[1] - 1), min(hx, box.shape[1] - 1) + 1):
            weight = float(acf[hy + dy, hx + dx]) + (float(acf[hy - dy, hx - dx]) if dy else 0.0)
            if weight:
                total += weight * _overlap(box, dy, dx)
    return max(total / float(np.count_nonzero(box)), 0.0)


def _overlap(box: NDArray[np.bool_], dy: int, dx: int) -> int:
    """Pixels of `box` whose neighbour at (dy, dx), dy >= 0, is in it too."""
    ny, nx = box.shape
    here = box[: ny - dy, max(0, -dx) : nx - max(0, dx)]
    there = box[dy:, max(0, dx) : nx + min(0, dx)]
    return int(np.count_nonzero(here & there))
