"""Connected regions of the output and what the input holds at their place.

A region counts as having a counterpart when the input, filtered with the region's own profile, shows it at the
required significance by the noise model: the correlations of the noise count, the output's own noise does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.report.stream import BLOCK_VOXELS, Region, Shape

Read = Callable[[Region], NDArray[Any]]
Floats = NDArray[np.float64]

EXAMINED = 300


@dataclass(frozen=True)
class Structure:
    """One connected region of the output.

    Attributes
    ----------
    channel, y, x : int
        Its brightest voxel.
    peak : float
        The output there, in sigma of the input's noise.
    voxels : int
        Size.
    snr : float
        Matched-filter signal to noise of the input at its place.
    """

    channel: int
    y: int
    x: int
    peak: float
    voxels: int
    snr: float


@dataclass(frozen=True)
class _Region:
    """Bounding box, size and peak of one region; boxes of pieces are merged with :meth:`join`."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    voxels: int
    peak: float
    at: tuple[int, int, int]

    def join(self, other: _Region) -> _Region:
        best = self if abs(self.peak) >= abs(other.peak) else other
        low = tuple(min(a, b) for a, b in zip(self.low, other.low, strict=True))
        high = tuple(max(a, b) for a, b in zip(self.high, other.high, strict=True))
        return _Region(low, high, self.voxels + other.voxels, best.peak, best.at)  # type: ignore[arg-type]


def structures(
    output: Read,
    given: Read,
    sigma: Read,
    shape: Shape,
    *,
    level: float,
    spatial_acf: Floats,
    spectral_acf: Floats,
    min_voxels: int = 1,
    limit: int = EXAMINED,
) -> tuple[list[Structure], int]:
    """Regions of the output above `level` sigma of the input's noise, of either sign, the brightest first.

    Parameters
    ----------
    output, given, sigma : callable
        Read a region of the denoised cube, the input and the noise's sigma.
    shape : tuple of int
        (channel, y, x).
    level : float
        In sigma of the input's noise.
    spatial_acf : ndarray, shape (2 h + 1, 2 h + 1)
        Autocorrelation of the noise over the sky, 1 in the centre.
    spectral_acf : ndarray, shape (k + 1,)
        Autocorrelation of the noise along the channels, 1 at lag 0.
    min_voxels : int
        Smaller regions are not listed.
    limit : int
        How many regions, the brightest, are examined.

    Returns
    -------
    list of Structure, int
        The examined regions and how many there are in all.
    """
    found = [r for r in _label(output, sigma, shape, level) if r.voxels >= min_voxels]
    found.sort(key=lambda r: -abs(r.peak))
    result = []
    for region in found[:limit]:
        snr = _snr(region, output, given, sigma, level, spatial_acf, spectral_acf)
        result.append(Structure(*region.at, region.peak, region.voxels, snr))
    return result, len(found)


def matched_snr(
    profile: Floats, data: Floats, sigma: Floats, spatial_acf: Floats, spectral_acf: Floats
) -> float:
    """Signal to noise of `data` under the filter `profile / sigma^2`.

    ``sum(w d) / sqrt(sum_ab w_a s_a rho(a - b) s_b w_b)`` with ``w = profile / sigma^2`` and the separable
    correlation of the noise; for white noise this is the optimal filter.

    Parameters
    ----------
    profile, data, sigma : ndarray, shape (channel, y, x)
        Zero (profile) where a voxel takes no part; NaN voxels take none.
    spatial_acf, spectral_acf : ndarray
        See :func:`structures`.

    Returns
    -------
    float
        Signed; positive where the data agree with the sign of the profile. NaN for an empty profile.
    """
    good = np.isfinite(data) & np.isfinite(profile) & (sigma > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(good, profile / sigma, 0.0)
        signal = float(np.sum(np.where(good, data / sigma, 0.0) * scaled))
    variance = _variance(scaled, spatial_acf, spectral_acf)
    return signal / float(np.sqrt(variance)) if variance > 0 else float("nan")


def _variance(scaled: Floats, spatial_acf: Floats, spectral_acf: Floats) -> float:
    """``scaled^T R scaled`` for the separable correlation R: filter along each axis group, then one dot product."""
    from scipy.ndimage import correlate1d
    from scipy.signal import fftconvolve

    line = np.concatenate([spectral_acf[:0:-1], spectral_acf])
    line = line[max(0, spectral_acf.size - scaled.shape[0]) : spectral_acf.size - 1 + scaled.shape[0]]
    h, w = (n // 2 for n in spatial_acf.shape)
    ty, tx = min(h, scaled.shape[1] - 1), min(w, scaled.shape[2] - 1)
    acf = spatial_acf[h - ty : h + ty + 1, w - tx : w + tx + 1]
    blurred = fftconvolve(scaled, acf[None, ::-1, ::-1], mode="same", axes=(1, 2))
    blurred = correlate1d(blurred, line, axis=0, mode="constant")
    return float(np.sum(blurred * scaled))


def _snr(
    region: _Region, output: Read, given: Read, sigma: Read, level: float, spatial: Floats, spectral: Floats
) -> float:
    box: Region = tuple(slice(a, b) for a, b in zip(region.low, region.high, strict=True))  # type: ignore[assignment]
    if np.prod([s.stop - s.start for s in box]) > 2 * BLOCK_VOXELS:
        box = _around(region)
    from scipy.ndimage import label

    out, scale = output(box).astype(float), np.broadcast_to(sigma(box), _size(box)).astype(float)
    labels, _ = label(_above(out, scale, level * np.sign(region.peak)))
    here = tuple(a - s.start for a, s in zip(region.at, box, strict=True))
    profile = np.where(labels == labels[here], out, 0.0)
    return matched_snr(profile, given(box).astype(float), scale, spatial, spectral)


def _around(region: _Region, half: int = 64) -> Region:
    """A part of a very large region, about its peak: if that part is significant, so is the whole."""
    parts = zip(region.low, region.high, region.at, strict=True)
    return tuple(slice(max(lo, at - half), min(hi, at + half)) for lo, hi, at in parts)  # type: ignore[return-value]


def _size(box: Region) -> Shape:
    return tuple(s.stop - s.start for s in box)  # type: ignore[return-value]


def _above(out: Any, sigma: Any, level: float) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray(out > level * sigma if level > 0 else out < level * sigma)


def _label(output: Read, sigma: Read, shape: Shape, level: float) -> list[_Region]:
    """Regions of both signs, slab by slab; pieces that touch across slabs are one region."""
    merged = _Pieces()
    depth = max(1, min(shape[0], BLOCK_VOXELS // (shape[1] * shape[2])))
    for start in range(0, shape[0], depth):
        box = (slice(start, min(shape[0], start + depth)), slice(0, shape[1]), slice(0, shape[2]))
        out, scale = output(box), np.broadcast_to(sigma(box), _size(box))
        for sign in (1.0, -1.0):
            merged.add(out, scale, sign * level, start)
    return merged.finish()


class _Pieces:
    """Union-find over the pieces of regions."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.regions: list[_Region] = []
        self.last: dict[float, NDArray[np.intp]] = {}

    def add(self, out: Any, scale: Any, level: float, start: int) -> None:
        from scipy.ndimage import label

        labels, count = label(_above(out, scale, level))
        first = len(self.parent)
        self.parent += range(first, first + count)
        self.regions += _measure(labels, count, out, scale, start)
        ids = np.where(labels > 0, labels.astype(np.intp) + (first - 1), -1)
        sign = float(np.sign(level))
        if sign in self.last:
            self._touch(self.last[sign], ids[0])
        self.last[sign] = ids[-1].copy()

    def _touch(self, below: NDArray[np.intp], above: NDArray[np.intp]) -> None:
        both = (below >= 0) & (above >= 0)
        for a, b in np.unique(np.stack([below[both], above[both]], axis=1), axis=0):
            self.parent[self._root(int(b))] = self._root(int(a))

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def finish(self) -> list[_Region]:
        whole: dict[int, _Region] = {}
        for i, region in enumerate(self.regions):
            root = self._root(i)
            whole[root] = whole[root].join(region) if root in whole else region
        return list(whole.values())


def _measure(labels: NDArray[Any], count: int, out: Any, scale: Any, start: int) -> list[_Region]:
    from scipy.ndimage import find_objects

    if not count:
        return []
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    regions = []
    for i, box in enumerate(find_objects(labels), start=1):
        inside = labels[box] == i
        values = np.where(inside, out[box] / scale[box], 0.0)
        at = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
        low = tuple(int(s.start) for s in box)
        high = tuple(int(s.stop) for s in box)
        shift = (start, 0, 0)
        regions.append(
            _Region(
                tuple(a + s for a, s in zip(low, shift, strict=True)),  # type: ignore[arg-type]
                tuple(a + s for a, s in zip(high, shift, strict=True)),  # type: ignore[arg-type]
                int(sizes[i]),
                float(values[at]),
                tuple(int(a) + b + s for a, b, s in zip(at, low, shift, strict=True)),  # type: ignore[arg-type]
            )
        )
    return regions
