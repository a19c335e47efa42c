"""Regions of the output and what the input holds at their place.

A region is a connected set of output voxels of one sign beyond a level, or the part of one that is a source of its
own (see `denoise.check.regions.separate`). It is judged by the input under a Gaussian of the region's own moments, by
the noise model: the correlations of the noise count, the output's own noise does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers, Region, Shape, slabs
from denoise.check.regions.labels import Piece, label_cube
from denoise.check.regions.matched import Match, match_region
from denoise.check.regions.separate import Part, separate_parts
from denoise.check.sizes import Sizes
from denoise.metrics.regions import weighted_shape
from denoise.noise import NoiseModel

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

LOWEST = 0.25  # in sigma of the input's noise: fainter output is no claim
CLEAR = 3.0  # in sigma of what the output is left with
MIN_SNR = 3.0  # matched-filter SNR of a region that counts, in a result and where there is no source
LARGEST = 1 << 23  # voxels of a box that is held at once
HALF = 100  # voxels about the peak of a larger one
REPEAT = float(np.exp(-1.0) / np.log(2.0))  # half the weight is left at the Sparrow limit
FAR = 1e3


@dataclass(frozen=True, eq=False)
class FoundRegion:
    """One region of the output.

    Attributes
    ----------
    sign : {1, -1}
        Emission, or a hole.
    at : tuple of int
        Its brightest voxel (channel, y, x).
    peak, peak_input : float
        Output there, and the most extreme value of the input in the footprint, in sigma, with their sign.
    flux, flux_input : float
        Sums over the footprint, in the unit of the data.
    centre : tuple of float
        (channel, y, x), weighted by the output.
    covariance : ndarray, shape (2, 2)
        Of its light on the sky, in (y, x), pixels squared.
    line_width : float
        Sigma of its light along the spectral axis, in channels.
    match : Match
        The filter under which the input is most significant, and how much.
    start : tuple of int
        First voxel of the box around the footprint.
    footprint : ndarray of bool
        Its voxels in that box.
    """

    sign: int
    at: Shape
    peak: float
    peak_input: float
    flux: float
    flux_input: float
    centre: tuple[float, float, float]
    covariance: Floats
    line_width: float
    match: Match
    start: Shape
    footprint: Mask

    @property
    def snr(self) -> float:
        """Matched-filter signal to noise of the input, positive where it has the sign of the region."""
        return self.match.snr

    @property
    def voxels(self) -> int:
        """Size of the footprint."""
        return int(np.count_nonzero(self.footprint))

    @property
    def box(self) -> Region:
        """The box around the footprint."""
        c, y, x = (slice(a, a + n) for a, n in zip(self.start, self.footprint.shape, strict=True))
        return c, y, x

    def within(self, part: Region) -> Iterator[tuple[Region, Mask]]:
        """Where the region lies in a part of the cube, and its voxels there; nothing if it does not."""
        common = [
            slice(max(b.start, p.start), min(b.stop, p.stop)) for b, p in zip(self.box, part, strict=True)
        ]
        if all(s.stop > s.start for s in common):
            c, y, x = (slice(s.start - p.start, s.stop - p.start) for s, p in zip(common, part, strict=True))
            own = tuple(slice(s.start - a, s.stop - a) for s, a in zip(common, self.start, strict=True))
            yield (c, y, x), self.footprint[own]

    def moved(self, by: Shape) -> FoundRegion:
        """The region of a part of a cube, in the cube."""
        (c, y, x), (dc, dy, dx), (first, row, column) = self.at, by, self.start
        middle = self.centre[0] + dc, self.centre[1] + dy, self.centre[2] + dx
        return replace(
            self, at=(c + dc, y + dy, x + dx), start=(first + dc, row + dy, column + dx), centre=middle
        )


def output_level(readers: Readers) -> float:
    """The level in sigma of the input above which output is looked at: clear of what noise the method leaves.

    Three times the robust spread (MAD about zero) of the output off the emission found, at least 0.25.
    """
    left = Sizes()
    for box in slabs(readers.shape):
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.abs(readers.lines(box)[1] / readers.sigma(box))
        left.add(values[np.isfinite(values) & ~readers.found(box) & ~readers.excluded(box)])
    return max(LOWEST, CLEAR * float(np.nan_to_num(left.spread)))


def find_regions(
    readers: Readers,
    noise: NoiseModel,
    *,
    level: float,
    min_snr: float | None = None,
    min_voxels: int | None = None,
    limit: int | None = None,
) -> tuple[list[FoundRegion], int]:
    """Regions of the output beyond `level` sigma of the input's noise, of either sign, the brightest first.

    Parameters
    ----------
    readers : Readers
        The cubes, in any size: what is held at once are a slab and the box of one connected set (of one larger
        than 8 million voxels, the part about its peak). A continuum is taken off both.
    noise : NoiseModel
        Gives the correlations; sigma is that of the readers.
    level : float
        In sigma of the input's noise.
    min_snr : float, optional
        Regions where neither the input nor the output reach this matched-filter SNR are left out.
    min_voxels : int, optional
        Smaller sets are not looked at; by default half an independent patch of noise.
    limit : int, optional
        How many connected sets, the brightest, are looked at.

    Returns
    -------
    list of FoundRegion, int
        The regions, and how many connected sets there are in all.
    """
    smallest = max(1, round(0.5 * noise.correlation_area)) if min_voxels is None else min_voxels
    pieces = [piece for piece in label_cube(readers, level) if piece.voxels >= smallest]
    pieces.sort(key=lambda piece: -abs(piece.peak))
    found: list[FoundRegion] = []
    for piece in pieces[:limit]:
        found += _regions_of(piece, readers, noise, level=level, least=min_snr, smallest=smallest)
    return sorted(merge_repeats(found), key=lambda region: -abs(region.peak)), len(pieces)


def merge_repeats(regions: Sequence[FoundRegion]) -> list[FoundRegion]:
    """Count what was found twice once: soft non-maximum suppression over the regions of each sign.

    The strongest region keeps its weight of 1, and multiplies that of every weaker one by ``exp(-o^2 / s)``, o the
    overlap of the two as Gaussians (Bhattacharyya coefficient of centres and widths, 0 to 1). What is left with
    less than half its weight repeats a stronger region and is dropped. With ``s = exp(-1) / ln 2`` two equal
    regions repeat each other where they are closer than two of their sigmas: there, by Sparrow's criterion, the
    sum of two Gaussians has one peak.

    Source: Bodla et al. 2017, ICCV, eq. 4 (their score is the weight here: ranking is by SNR, which has no upper
    limit).
    """
    if not regions:
        return []
    ordered = sorted(regions, key=lambda one: -one.snr)
    places = np.array([(one.sign * FAR, *one.centre) for one in ordered])
    reach = np.array([_reach(one) for one in ordered])
    kept: list[int] = []
    for i, region in enumerate(ordered):
        near = (np.abs(places[kept] - places[i]) < reach[kept] + reach[i]).all(axis=1)
        overlaps = [_overlap(region, ordered[k]) for k, close in zip(kept, near, strict=True) if close]
        if float(np.exp(-sum(o**2 for o in overlaps) / REPEAT)) > 0.5:
            kept.append(i)
    return [ordered[k] for k in kept]


def _reach(one: FoundRegion) -> tuple[float, float, float, float]:
    """How far from its centre a region may overlap another; the signs are kept apart like places."""
    y, x = np.sqrt(np.diag(one.covariance))
    return 1.0, 3.0 * one.line_width + 2.0, 3.0 * float(y), 3.0 * float(x)


def _overlap(a: FoundRegion, b: FoundRegion) -> float:
    """Bhattacharyya coefficient of the two as Gaussians."""
    apart = np.subtract(a.centre, b.centre)
    spreads = []
    for one in (a, b):
        spread = np.zeros((3, 3))
        spread[0, 0], spread[1:, 1:] = max(one.line_width, 0.3) ** 2, one.covariance
        spreads.append(spread)
    middle = 0.5 * (spreads[0] + spreads[1])
    size = np.linalg.det(middle) / np.sqrt(np.linalg.det(spreads[0]) * np.linalg.det(spreads[1]))
    return float(np.exp(-0.125 * apart @ np.linalg.solve(middle, apart)) / np.sqrt(size))


def _regions_of(
    piece: Piece, readers: Readers, noise: NoiseModel, *, level: float, least: float | None, smallest: int
) -> Iterator[FoundRegion]:
    from scipy.ndimage import label

    sign = 1 if piece.peak > 0 else -1
    box = _box(piece, readers.shape)
    data, sigma = readers.lines(box), readers.sigma(box)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(data[0]) & np.isfinite(data[1]) & (sigma > 0) & ~readers.excluded(box)
        scaled = tuple(np.where(known, part / sigma, np.nan) for part in data)
    out = sign * np.nan_to_num(scaled[1])
    here = tuple(a - s.start for a, s in zip(piece.at, box, strict=True))
    labels, _ = label(out > level)
    inside = labels == labels[here]
    if least is not None and _most(inside, scaled, noise) < least:
        return

    def measure(part: Mask, window: Region) -> Match:
        return match_region(
            np.where(part, out[window], 0.0).astype(float), window, (scaled[0], scaled[1]), noise, sign
        )

    for part in separate_parts(out, inside, level, measure, smallest):
        if least is None or max(part.match.snr, part.match.snr_output) >= least:
            yield _described(part, sign, box, data=(data[0], data[1]), scaled=(scaled[0], out))


def _most(inside: Mask, scaled: Sequence[NDArray[Any]], noise: NoiseModel) -> float:
    """No filter finds more: the peak times the root of the number of independent samples."""
    peak = max(float(np.nanmax(np.abs(part[inside]))) for part in scaled)
    return peak * float(np.sqrt(4.0 * np.count_nonzero(inside) / noise.correlation_area + 1.0))


def _described(part: Part, sign: int, box: Region, *, data: Any, scaled: Any) -> FoundRegion:
    before, out = (cube[part.window][part.inside] for cube in scaled)
    sums = [float(cube[part.window][part.inside].sum(dtype=float)) for cube in data]
    weight = np.where(part.inside, scaled[1][part.window], 0.0).astype(float)
    centre, covariance, line_width = weighted_shape(weight, part.window)
    start = tuple(int(s.start) for s in box)
    low = tuple(int(s.start) for s in part.window)
    brightest = np.unravel_index(int(np.argmax(weight)), weight.shape)
    local = FoundRegion(
        sign, tuple(int(a) + b for a, b in zip(brightest, low, strict=True)), sign * float(out.max()),  # type: ignore[arg-type]
        sign * float((sign * before).max()), sums[1], sums[0], centre, covariance, line_width, part.match,
        low, part.inside,  # type: ignore[arg-type]
    )  # fmt: skip
    return local.moved(start)  # type: ignore[arg-type]


def _box(piece: Piece, shape: Shape) -> Region:
    """The piece with room for a filter of its widths; of a very large one, a part about its peak."""
    low, high = piece.low, piece.high
    if np.prod(np.subtract(high, low)) > LARGEST:
        low = tuple(max(lo, at - HALF) for lo, at in zip(low, piece.at, strict=True))  # type: ignore[assignment]
        high = tuple(min(hi, at + HALF) for hi, at in zip(high, piece.at, strict=True))  # type: ignore[assignment]
    room = [int(np.ceil(0.25 * (hi - lo))) + 2 for lo, hi in zip(low, high, strict=True)]
    c, y, x = (
        slice(max(0, lo - more), min(size, hi + more))
        for lo, hi, more, size in zip(low, high, room, shape, strict=True)
    )
    return c, y, x
