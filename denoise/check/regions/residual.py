"""What the residual holds, scale by scale: its power beside that of the noise model, and places of significant signal.

The residual in sigma goes through the 2D-1D starlet transform (starlet on the sky, B3 along the channels; Starck,
Murtagh & Bertero 2015, Handbook of Mathematical Methods in Imaging, "Starlet Transform"). A sub-band of noise has the
variance that the noise model gives it, known to ``sqrt(2 sum(rho^2) / n)`` from n voxels with autocorrelation rho
(Bartlett). The smoothings themselves are matched filters for sources of their width: a value beyond what noise reaches
once in a hundred cubes is signal that the method left behind, or, below zero, put into the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.check import readers as blocks
from denoise.check.readers import Readers, Region, Shape
from denoise.noise import NoiseModel
from denoise.noise.covariance import autocorrelate, resize_centred
from denoise.transforms.detection import band_noise, noise_left, peak_density, seed_levels
from denoise.transforms.starlet import forward
from denoise.transforms.wavelets import band_kernels

Floats = NDArray[np.float64]
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST_SCALES = (3, 3)
MOST_VOXELS = 1 << 24  # looked at; of a larger cube, evenly spaced parts
ENOUGH = 8.0  # independent samples of a sub-band from which its power can be told
CHANCE = 0.01  # that noise alone shows one place or more
LISTED = 50


@dataclass(frozen=True)
class Place:
    """Where the residual holds signal.

    Attributes
    ----------
    at : tuple of int
        (channel, y, x).
    snr : float
        Of the residual, smoothed; negative where the output is above the input.
    share : float
        Residual over input there, both smoothed: the part of the signal that was left. NaN where the input has none,
        below 0 or above 1 where the output adds to the difference.
    widths : tuple of float
        Sigma of the smoothing, in pixels and in channels.
    """

    at: Shape
    snr: float
    share: float
    widths: tuple[float, float]

    @property
    def put_in(self) -> bool:
        """Whether the difference is the output's doing rather than signal of the input that the output lacks."""
        return not 0 <= self.share <= 1.5


@dataclass(frozen=True)
class Leftover:
    """What is left in the residual.

    Attributes
    ----------
    power, error : ndarray, shape (spatial + 1, spectral + 1)
        Variance of each sub-band over that of the noise model, and its standard error for noise; the coarse scale
        last. NaN where too little of the cube is free of borders.
    places : tuple of Place
        The most significant first, at most 50.
    level : float
        Significance in sigma of white noise from which a place counts.
    sky : ndarray, shape (y, x)
        Most extreme significance of the smoothed residual along the channels, with its sign; NaN: not looked at.
    looked_at : float
        Part of the cube that was.
    """

    power: Floats
    error: Floats
    places: tuple[Place, ...]
    level: float
    sky: Array
    looked_at: float


def residual_leftover(readers: Readers, noise: NoiseModel) -> Leftover:
    """Look through the residual of a result, block by block.

    Parameters
    ----------
    readers : Readers
        Input, output and sigma; excluded voxels and those without data count as zero, and powers leave out what is
        near them.
    noise : NoiseModel
        Gives the correlations.
    """
    search = _Search(readers, noise)
    for tile in search.tiles:
        search.add(tile)
    return search.finish()


class _Search:
    """Running sums and places over the tiles of a cube."""

    def __init__(self, readers: Readers, noise: NoiseModel) -> None:
        self.readers, self.shape = readers, readers.shape
        self.scales = scales_of(readers.shape)
        self.left = noise_left(noise, self.scales).astype(np.float64)
        self.band = band_noise(noise, self.scales).astype(np.float64)
        self.level = _level(float(np.prod(readers.shape)), noise)
        # the same rarity, in sigma of each smoothing
        self.factor = self.level / seed_levels(noise, self.scales, self.level)[0]
        self.rho = _correlated(noise, self.scales)
        self.squares, self.count = np.zeros(self.left.shape), np.zeros(self.left.shape)
        self.sky = np.full(readers.shape[1:], np.nan, np.float32)
        self.places: list[Place] = []
        every = list(_tiles(readers.shape, self.scales))
        most = max(1, int(MOST_VOXELS // np.prod([s.stop - s.start for s in every[0]])))
        picked = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
        self.tiles = [every[i] for i in picked]
        self.looked_at = len(self.tiles) / len(every)

    def add(self, core: Region) -> None:
        residual, before, valid = self._read(core)
        bands = forward(residual, spatial_scales=self.scales[0], spectral_scales=self.scales[1])
        inner = _core(core, self.shape, self.scales)
        self._add_power(bands, valid, inner)
        levels = _smoothings(bands)[..., *inner]
        significance = levels / self.left[:, :, None, None, None].astype(np.float32)
        significance *= self.factor[:, :, None, None, None].astype(np.float32)
        known = valid[inner]
        rank = np.where(known, np.abs(significance).max(axis=(0, 1)), 0.0)
        best = np.take_along_axis(
            significance.reshape(-1, *rank.shape),
            np.abs(significance.reshape(-1, *rank.shape)).argmax(axis=0)[None],
            0,
        )[0]
        self._add_sky(core, np.where(known, best, 0.0), np.asarray(known.any(axis=0)))
        if rank.max(initial=0.0) > self.level:
            other = forward(before, spatial_scales=self.scales[0], spectral_scales=self.scales[1])
            self._add_places(core, rank, levels, _smoothings(other)[..., *inner])

    def _read(self, core: Region) -> tuple[Array, Array, Mask]:
        """Residual and input in sigma with a halo (zero beyond the cube), and where they have data."""
        reach = _reach(self.scales)
        part = [
            slice(max(0, s.start - r), min(n, s.stop + r))
            for s, r, n in zip(core, reach, self.shape, strict=True)
        ]
        box: Region = (part[0], part[1], part[2])
        data, _ = self.readers.lines(box)
        with np.errstate(invalid="ignore", divide="ignore"):
            before = data / self.readers.sigma(box)
        scaled = self.readers.scaled_residual(box)
        pads = [
            (r - (s.start - p.start), r - (p.stop - s.stop))
            for s, p, r in zip(core, part, reach, strict=True)
        ]
        valid = np.isfinite(scaled) & np.isfinite(before)
        filled = [np.where(valid, cube, 0.0).astype(np.float32) for cube in (scaled, before)]
        return np.pad(filled[0], pads), np.pad(filled[1], pads), np.pad(valid, pads)

    def _add_power(self, bands: Array, valid: Mask, inner: Region) -> None:
        """Only where the kernel of a sub-band sees data alone."""
        for j2 in range(bands.shape[0]):
            for j1 in range(bands.shape[1]):
                whole = _eroded(valid, j2, j1, self.scales)[inner]
                self.squares[j2, j1] += float((bands[j2, j1][inner][whole].astype(np.float64) ** 2).sum())
                self.count[j2, j1] += float(np.count_nonzero(whole))

    def _add_sky(self, core: Region, best: Array, known: Mask) -> None:
        plane = np.take_along_axis(best, np.abs(best).argmax(axis=0)[None], 0)[0]
        old = self.sky[core[1:]]
        plane = np.where(known, plane, np.nan)
        self.sky[core[1:]] = np.where(np.abs(np.nan_to_num(old)) > np.abs(np.nan_to_num(plane)), old, plane)

    def _add_places(self, core: Region, rank: Array, levels: Array, inputs: Array) -> None:
        from scipy.ndimage import maximum_filter

        peaks = (rank > self.level) & (rank == maximum_filter(rank, size=(3, 3, 3)))
        found = np.argwhere(peaks)
        for c, y, x in found[np.argsort(-rank[peaks])][: 4 * LISTED]:
            scores = levels[:, :, c, y, x] / self.left * self.factor
            j2, j1 = divmod(int(np.abs(scores).argmax()), scores.shape[1])
            held = float(inputs[j2, j1, c, y, x])
            at = int(c) + core[0].start, int(y) + core[1].start, int(x) + core[2].start
            share = float(levels[j2, j1, c, y, x]) / held if abs(held) > self.left[j2, j1] else float("nan")
            self.places.append(
                Place(at, float(levels[j2, j1, c, y, x] / self.left[j2, j1]), share, _widths(j2, j1))
            )

    def finish(self) -> Leftover:
        with np.errstate(invalid="ignore", divide="ignore"):
            independent = self.count / self.rho
            power = self.squares / self.count / self.band**2
            error = np.sqrt(2.0 / independent)
        few = ~(independent > ENOUGH)
        power[few] = error[few] = np.nan
        return Leftover(
            power, error, tuple(_apart(self.places)[:LISTED]), self.level, self.sky, self.looked_at
        )


def scales_of(shape: Shape) -> tuple[int, int]:
    """Spatial and spectral scales of which enough of the cube is free of its borders."""
    spatial = max((j for j in range(MOST_SCALES[0] + 1) if 4 * (2**j - 1) <= 0.6 * min(shape[1:])), default=0)
    spectral = max((j for j in range(MOST_SCALES[1] + 1) if 4 * (2**j - 1) <= 0.6 * shape[0]), default=0)
    return spatial, spectral


def scale_names(bands: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Sizes in pixels and in channels that the sub-bands of `Leftover.power` respond to most, the coarse ones last."""

    def names(count: int) -> list[str]:
        return [
            *(f"{2**j} to {2 ** (j + 1)}" for j in range(count)),
            f"more than {2**count}" if count else "all",
        ]

    return names(bands[0] - 1), names(bands[1] - 1)


def _level(voxels: float, noise: NoiseModel) -> float:
    """Level in sigma of white noise that all scales together pass once in a hundred cubes of noise."""
    spectral = noise.cube_shape[0] > 1
    # both signs; scales share most of their peaks: about four count
    wanted = CHANCE / (2.0 * 4.0 * max(voxels, 1.0))
    levels = np.linspace(3.0, 12.0, 1801)
    return float(levels[np.argmax(peak_density(levels, spectral=spectral) < wanted)])


def _tiles(shape: Shape, scales: tuple[int, int]) -> Iterator[Region]:
    """Cores whose halo fits in a block: as square on the sky as the channels leave room for."""
    reach = _reach(scales)
    depth = min(shape[0], 256)
    room = max(blocks.BLOCK_VOXELS // (depth + 2 * reach[0]), 1)
    side = max(32, int(np.sqrt(room)) - 2 * reach[1])
    if (
        np.prod([n + 2 * r for n, r in zip((depth, *shape[1:]), reach, strict=True)])
        <= 2 * blocks.BLOCK_VOXELS
    ):
        side = max(shape[1:])
    for c in range(0, shape[0], depth):
        for y in range(0, shape[1], side):
            for x in range(0, shape[2], side):
                stop = (min(shape[0], c + depth), min(shape[1], y + side), min(shape[2], x + side))
                yield slice(c, stop[0]), slice(y, stop[1]), slice(x, stop[2])


def _reach(scales: tuple[int, int]) -> tuple[int, int, int]:
    spatial, spectral = (2 * (2**j - 1) for j in scales)
    return spectral, spatial, spatial


def _core(core: Region, shape: Shape, scales: tuple[int, int]) -> Region:
    """The core in its padded block."""
    c, y, x = (slice(r, r + s.stop - s.start) for s, r in zip(core, _reach(scales), strict=True))
    return c, y, x


def _smoothings(bands: Array) -> Array:
    """Scaling coefficients of every level, no smoothing first: the sub-bands of the a trous transform add up."""
    flipped = np.cumsum(np.cumsum(bands[::-1, ::-1], axis=0), axis=1)
    return np.asarray(flipped[::-1, ::-1])


def _eroded(valid: Mask, j2: int, j1: int, scales: tuple[int, int]) -> Mask:
    """Voxels from which a sub-band sees valid ones alone."""
    from scipy.ndimage import minimum_filter

    spatial, spectral = (2 * (2 ** min(j + 1, top) - 1) for j, top in zip((j2, j1), scales, strict=True))
    size = 2 * spectral + 1, 2 * spatial + 1, 2 * spatial + 1
    return np.asarray(minimum_filter(valid.view(np.uint8), size=size, mode="constant")).view(bool)


def _correlated(noise: NoiseModel, scales: tuple[int, int]) -> Floats:
    """Sum of the squared autocorrelation of each sub-band of noise: voxels per independent sample of its power."""
    planes, rows = band_kernels(*scales)
    spectral = np.concatenate([noise.spectral_acf[:0:-1], noise.spectral_acf])[None]
    across = [_squares(noise.spatial_acf, np.asarray(plane)) for plane in planes]
    along = [_squares(spectral, np.asarray(row)[None]) for row in rows]
    return np.outer(across, along)


def _squares(acf: Floats, kernel: Floats) -> float:
    from scipy.signal import fftconvolve

    own = autocorrelate(kernel)
    size = tuple(max(a, b) for a, b in zip(acf.shape, own.shape, strict=True))
    rho = fftconvolve(resize_centred(acf, size), own, mode="full")
    return float((rho**2).sum() / rho.max() ** 2)


def _widths(j2: int, j1: int) -> tuple[float, float]:
    spatial, spectral = (float(np.sqrt((4.0**j - 1) / 3)) for j in (j2, j1))
    return spatial, spectral


def _apart(places: list[Place]) -> list[Place]:
    """The strongest of places that lie within the widths of one another."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda one: -abs(one.snr)):
        if not any(_same(place, other) for other in kept):
            kept.append(place)
    return kept


def _same(one: Place, other: Place) -> bool:
    away = np.abs(np.subtract(one.at, other.at))
    pixels, channels = (2.5 * max(a, b, 1.5) for a, b in zip(one.widths, other.widths, strict=True))
    return bool(away[0] <= channels and np.hypot(away[1], away[2]) <= pixels)
