"""Connected regions of the output and what the input holds at their place.

A region counts as having a counterpart when the input, filtered with the region's own profile, shows it at
the required significance by the noise model: the correlations of the noise count, the output's own noise does
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.photometry import sum_error
from denoise.noise import NoiseModel
from denoise.report.stream import BLOCK_VOXELS, Readers, Region

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
    readers: Readers, noise: NoiseModel, *, level: float, min_voxels: int = 1, limit: int = EXAMINED
) -> tuple[list[Structure], int]:
    """Regions of the output above `level` sigma of the input's noise, of either sign, the brightest first.

    Parameters
    ----------
    readers : Readers
        The cubes; a continuum is taken off both.
    noise : NoiseModel
        Of the input.
    level : float
        In sigma of the input's noise.
    min_voxels : int
        Smaller regions are not listed.
    limit : int
        How many regions, the brightest, are examined.

    Returns
    -------
    list of Structure, int
        The examined regions and how many there are in all.
    """
    found = [r for r in _label(readers, level) if r.voxels >= min_voxels]
    found.sort(key=lambda r: -abs(r.peak))
    examined = [Structure(*r.at, r.peak, r.voxels, _snr(r, readers, noise, level)) for r in found[:limit]]
    return examined, len(found)


def matched_snr(
    profile: Floats, data: NDArray[Any], noise: NoiseModel, *, sigma: NDArray[Any] | None = None
) -> float:
    """Signal to noise of `data` under the filter ``w = profile / sigma^2``: ``sum(w d) / std(sum(w n))``.

    For white noise this is the optimal filter; for correlated noise the standard deviation is still exact.

    Parameters
    ----------
    profile, data : ndarray, shape (channel, y, x)
        The profile is zero where a voxel takes no part; NaN voxels take none.
    noise : NoiseModel
        Of the same shape.
    sigma : ndarray, optional
        Sigma in the unit of the data where the model's is another; its correlations hold all the same.

    Returns
    -------
    float
        Signed; positive where the data agree with the sign of the profile. NaN for an empty profile.
    """
    own = noise.sigma().astype(float)
    sigma = own if sigma is None else sigma.astype(float)
    good = np.isfinite(data) & np.isfinite(profile) & (sigma > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(good, profile / sigma**2, 0.0)
    scale = float(np.abs(weights).max(initial=0.0))
    if scale == 0:
        return float("nan")
    weights /= scale  # 1e-20 fluxes squared would leave float32's range on the way
    with np.errstate(invalid="ignore", divide="ignore"):
        error = sum_error(np.where(good, weights * (sigma / own), 0.0), noise)
    return float(np.sum(weights * np.where(good, data, 0.0))) / error if error > 0 else float("nan")


def _snr(region: _Region, readers: Readers, noise: NoiseModel, level: float) -> float:
    from scipy.ndimage import label

    box: Region = tuple(slice(a, b) for a, b in zip(region.low, region.high, strict=True))  # type: ignore[assignment]
    if np.prod([s.stop - s.start for s in box]) > 2 * BLOCK_VOXELS:
        box = _around(region)
    before, after = readers.lines(box)
    sigma = readers.sigma(box)
    labels, _ = label(_above(after, sigma, level * np.sign(region.peak)))
    here = tuple(a - s.start for a, s in zip(region.at, box, strict=True))
    profile = np.where(labels == labels[here], after, 0.0).astype(float)
    return matched_snr(profile, before, noise.window(box), sigma=sigma)


def _around(region: _Region, half: int = 64) -> Region:
    """A part of a very large region, about its peak: if that part is significant, so is the whole."""
    parts = zip(region.low, region.high, region.at, strict=True)
    return tuple(slice(max(lo, at - half), min(hi, at + half)) for lo, hi, at in parts)  # type: ignore[return-value]


def _above(out: Any, sigma: Any, level: float) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray(out > level * sigma if level > 0 else out < level * sigma)


def _label(readers: Readers, level: float) -> list[_Region]:
    """Regions of both signs, slab of rows by slab; pieces that touch across slabs are one region."""
    merged = _Pieces()
    nchan, ny, nx = readers.shape
    rows = ny if nchan == 1 else max(1, min(ny, BLOCK_VOXELS // (nchan * nx)))
    for y in range(0, ny, rows):
        box = slice(0, nchan), slice(y, min(ny, y + rows)), slice(0, nx)
        after, sigma = readers.lines(box)[1], readers.sigma(box)
        for sign in (1.0, -1.0):
            merged.add(after, sigma, sign * level, y)
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
            self._touch(self.last[sign], ids[:, 0])
        self.last[sign] = ids[:, -1].copy()

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
        shift = (0, start, 0)
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
