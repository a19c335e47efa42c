"""Find emission in scale space: position x size x line width, judged by the noise that each smoothing leaves.

Survey source finders do the same (SoFiA: Serra et al. 2015, MNRAS 448, 1922): seeds above a high threshold, grown by
the width of the kernel that found them. Here the noise is made white first (`find_emission`), which makes each
smoothing a matched filter, and bright cores are taken off before coarse kernels spread them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from denoise.noise import NoiseModel
from denoise.transforms import _detection_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import dilate, gaussian, scaling_cubes
from denoise.transforms.wavelets import band_kernels, default_scales, smoothing_kernels
from denoise.transforms.whitening import Whitened, filters_for, whiten

Array = NDArray[np.float32]

_NEARBY = 0.6  # so much less is enough to extend a region, within a reach of channels and pixels
_REACH = (2, 5)
_EDGE = (1.5, 1.0)  # sigma of the soft edge of the seeded region: pixels, channels
_NEVER = 1e30
_LEAST = 3.0  # no seed below this many sigma, however large its kernel
_MOST = (3, 3)  # coarsest kernels: 4.6 pixels and 4.6 channels sigma


@dataclass(frozen=True)
class Thresholds:
    """Significances, in sigma of the smoothed noise.

    Attributes
    ----------
    seed : float
        A voxel that is as rare as one above it in white noise starts a region, see ``seed_levels``.
    low, high : float
        Inside a region the weight of the coarsest scale rises from 0 to 1 between them.
    finer : float
        How much higher both are for the finest scale.
    grow : float
        A seed grows by this many standard deviations of its kernel.
    """

    seed: float = 5.5
    low: float = 2.0
    high: float = 4.0
    finer: float = 1.5
    grow: float = 0.9


_BRIGHT = Thresholds(seed=7.0, low=4.5, high=7.0, finer=0.0, grow=0.9)
_BRIGHT_SCALES = (2, 2)


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes
    ----------
    region : ndarray, shape (channel, y, x), float32
        1 inside the grown regions, 0 outside, with a soft edge.
    weight : ndarray, shape (channel, y, x), float32
        How much of the pilot's weight was given to significant scales, 0 to 1.
    """

    region: Array
    weight: Array

    @property
    def support(self) -> NDArray[np.bool_]:
        """The emission found: inside a grown region.

        Not voxel by voxel: a voxel chosen because it is high is high by its noise too, and a flux summed over
        such voxels would be biased.
        """
        mask: NDArray[np.bool_] = self.region > 0.5
        return mask


@dataclass(frozen=True)
class Emission:
    """What ``find_emission`` gives.

    Attributes
    ----------
    white : Whitened
        The block with white noise.
    found : Found
        What the search gave there.
    support : ndarray of bool, shape (channel, y, x)
        The emission found in the block as it was: as wide as the beam makes it.
    """

    white: Whitened
    found: Found
    support: NDArray[np.bool_]


def search_scales(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Coarsest spatial and spectral smoothing (B3 scaling levels) for a block of this shape."""
    spatial, spectral = default_scales(shape)
    return min(spatial, _MOST[0]), min(spectral, _MOST[1])


def search(
    standardised: Array,
    left: NDArray[np.floating],
    *,
    seeds: NDArray[np.floating],
    thresholds: Thresholds | None = None,
    both_signs: bool = False,
    threads: int = 1,
) -> Found:
    """Search one block.

    Parameters
    ----------
    standardised : ndarray, shape (channel, y, x), float32
        Data over sigma, 0 where there is no coverage.
    left : ndarray, shape (spatial + 1, spectral + 1)
        Standard deviation that unit noise keeps after each smoothing, see ``noise_left``.
    seeds : ndarray, shape (2, spatial + 1, spectral + 1)
        Significances that start and extend a region at each scale, see ``seed_levels``.
    thresholds : Thresholds, optional
        The other significances.
    both_signs : bool
        Find absorption as well as emission.
    threads : int
        Threads of this call.
    """
    region = np.zeros(standardised.shape, np.bool_)
    weight = np.zeros_like(standardised)
    bright = _bright(standardised, left, region, weight, both_signs=both_signs, threads=threads)
    faint = standardised if bright is None else standardised - bright
    likely = np.zeros_like(region)
    _scan(
        faint,
        left,
        seeds,
        thresholds or Thresholds(),
        (region, likely),
        weight,
        both_signs=both_signs,
        threads=threads,
    )
    _extend(region, likely, threads)
    return Found(_soft_edge(region, threads), weight)


def _bright(
    standardised: Array,
    left: NDArray[np.floating],
    region: NDArray[np.bool_],
    weight: Array,
    *,
    both_signs: bool,
    threads: int,
) -> Array | None:
    """Bright emission at the fine scales, to be taken off before coarse kernels spread it; None: there is none.

    Twice, because smoothing leaves a bright core's own detail behind.
    """
    scales = tuple(min(n - 1, most) for n, most in zip(left.shape, _BRIGHT_SCALES, strict=True))
    fine = left[: scales[0] + 1, : scales[1] + 1]
    seeds = np.full((2, *fine.shape), _BRIGHT.seed)
    total: Array | None = None
    for _ in range(2):
        data = standardised if total is None else standardised - total
        grown = np.zeros_like(region)
        part = _scan(
            data, fine, seeds, _BRIGHT, (grown, grown), weight, both_signs=both_signs, threads=threads
        )
        if not grown.any():
            break
        region |= grown
        part *= _soft_edge(grown, threads)
        total = part if total is None else total + part
    return total


def _scan(
    data: Array,
    left: NDArray[np.floating],
    seeds: NDArray[np.floating],
    thresholds: Thresholds,
    regions: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    weight: Array,
    *,
    both_signs: bool,
    threads: int,
) -> Array:
    """Pilot from every scale, fine to coarse; grown seeds, sure and likely, are added to `regions`."""
    pilot, rest = np.zeros_like(data), np.ones_like(data)
    hits, any_hit = np.empty(data.shape, np.uint8), np.zeros(len(data), np.bool_)
    scales = (left.shape[0] - 1, left.shape[1] - 1)
    cubes = scaling_cubes(data, spatial_scales=scales[0], spectral_scales=scales[1], threads=threads)
    for (j2, j1), smoothed in cubes:
        rise = thresholds.finer * (1 - (j2 + j1) / max(sum(scales), 1))
        # single voxels are seeds but never their own pilot: nothing was averaged there
        low = thresholds.low + rise if j2 or j1 else _NEVER
        high = thresholds.high + rise if j2 or j1 else 2 * _NEVER
        tuning = tuple(np.float32(value) for value in (left[j2, j1], *seeds[:, j2, j1], low, high))
        run_ranges(
            lambda a, b, s=smoothed, t=tuning: kernels.absorb_scale(  # type: ignore[misc]
                s, *t, both_signs, pilot, rest, hits, any_hit, a, b
            ),
            len(data),
            threads=threads,
        )
        _grow(hits, any_hit, regions, grown_by(j2, j1, thresholds.grow), threads)
    np.maximum(weight, 1 - rest, out=weight)
    return pilot


def seed_levels(
    noise: NoiseModel, scales: tuple[int, int], seed: float = Thresholds.seed
) -> NDArray[np.float64]:
    """Thresholds of each scale, in sigma of the smoothed noise, shape (2, spatial + 1, spectral + 1).

    First what starts a region, then what extends one nearby. All expect the same number of noise peaks a voxel, that
    of white noise above `seed`: smoother noise has fewer peaks. The number is the Euler characteristic density of a
    Gaussian field (Adler 1981; Worsley et al. 1992, J. Cereb. Blood Flow Metab. 12, 900) with the second spectral
    moments of the noise model, at most one independent value a voxel.
    """
    spectral = noise.cube_shape[0] > 1
    levels = [_seed_levels(_Covariance(noise), scales, level, spectral) for level in (seed, seed - _NEARBY)]
    return np.stack(levels)


def peak_density(level: NDArray[np.floating] | float, *, spectral: bool) -> NDArray[np.float64]:
    """Noise peaks a resolution element above `level` sigma in three dimensions, or in two without a spectrum."""
    t = np.asarray(level, np.float64)
    shape = (t**2 - 1) / (2 * np.pi) ** 2 if spectral else t / (2 * np.pi) ** 1.5
    return np.asarray(shape * np.exp(-(t**2) / 2))


def grown_by(j2: int, j1: int, grow: float) -> tuple[int, int, int]:
    """Half widths (channel, y, x) of the box a seed of scale (j2, j1) grows to.

    The B3 scaling function of level j has a standard deviation of ``sqrt((4**j - 1) / 3)`` samples.
    """
    spatial, spectral = (np.sqrt((4.0**j - 1) / 3) for j in (j2, j1))
    pixels = max(1, round(grow * max(spatial, 1.5)))
    return round(grow * spectral), pixels, pixels


def noise_left(noise: NoiseModel, scales: tuple[int, int]) -> NDArray[np.float32]:
    """Standard deviation that unit noise keeps after each smoothing, shape (spatial + 1, spectral + 1)."""
    return _noise_left(_Covariance(noise), scales)


def band_noise(noise: NoiseModel, scales: tuple[int, int], wavelet: str = "starlet") -> NDArray[np.float32]:
    """Standard deviation that unit noise has in each sub-band, shape (spatial + 1, spectral + 1)."""
    return _band_noise(_Covariance(noise), scales, wavelet).copy()


def halo(shape: tuple[int, int, int], thresholds: Thresholds | None = None) -> tuple[int, int, int]:
    """How far (channel, y, x) a search looks: smoothing, growth and soft edge of all its scans."""
    spatial, spectral = search_scales(shape)
    fine = (min(spatial, _BRIGHT_SCALES[0]), min(spectral, _BRIGHT_SCALES[1]))
    bright = _scan_halo(fine, _BRIGHT.grow, shape[0])
    last = _scan_halo((spatial, spectral), (thresholds or Thresholds()).grow, shape[0])
    channels, pixels = (2 * near + far + reach for near, far, reach in zip(bright, last, _REACH, strict=True))
    return channels, pixels, pixels


def emission_halo(shape: tuple[int, int, int], noise: NoiseModel) -> tuple[int, int, int]:
    """How far (channel, y, x) ``find_emission`` looks, and the way back from white noise."""
    channels, y, x = halo(shape)
    filters = filters_for(noise)
    beyond = 0 if filters is None else filters.reach + filters.spread
    return channels, y + beyond, x + beyond


def _scan_halo(scales: tuple[int, int], grow: float, channels: int) -> tuple[int, int]:
    grown = grown_by(*scales, grow)
    edge = tuple(int(4 * width + 0.5) for width in _EDGE)
    spatial, spectral = (2 * (2**j - 1) for j in scales)
    return spectral + grown[0] + (edge[1] if channels > 1 else 0), spatial + grown[1] + edge[0]


def find_emission(
    data: Array,
    valid: NDArray[np.bool_],
    noise: NoiseModel,
    *,
    seed: float = Thresholds.seed,
    at_all_scales: float | None = None,
    both_signs: bool = False,
    threads: int = 1,
) -> Emission:
    """Whiten a block and search it.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Over sigma, 0 where there is no coverage.
    valid : ndarray of bool, same shape
        Where there is.
    noise : NoiseModel
        Of the block.
    seed : float
        See ``seed_levels``.
    at_all_scales : float, optional
        One significance that starts a region at every scale, in place of those of `seed`.
    both_signs : bool
        Find absorption as well as emission.
    threads : int
        Threads of this call.
    """
    white = whiten(data, valid, noise, threads=threads)
    scales = search_scales(noise.cube_shape)  # of the cube: tiles agree
    seeds = seed_levels(white.noise, scales, seed)
    found = search(
        white.data,
        noise_left(white.noise, scales),
        seeds=seeds if at_all_scales is None else np.full(seeds.shape, at_all_scales),
        both_signs=both_signs,
        threads=threads,
    )
    # what is found where the noise is white is as wide as beam and source where it is not
    spread = 0 if white.filters is None else white.filters.spread
    support = dilate(found.support, (0, spread, spread), threads=threads) if spread else found.support
    return Emission(white, found, support & valid)


def support(
    block: Array, noise: NoiseModel, *, both_signs: bool = False, threads: int = 1
) -> NDArray[np.bool_]:
    """The emission found in a block by its noise model, bool (channel, y, x); False without coverage.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x), float32
        In the unit of the noise model, NaN where there is no coverage.
    noise : NoiseModel
        Of the block.
    """
    data, valid = standardise(block, noise.sigma())
    return find_emission(data, valid, noise, both_signs=both_signs, threads=threads).support


def standardise(block: Array, sigma: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Data over sigma with 0 where there is no coverage or no sigma, and where there is both."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = block / sigma
    valid = np.isfinite(ratio)
    if not valid.all():
        ratio[~valid] = 0
    return ratio, valid


class _Covariance:
    """A noise model as a key of the cache: only its correlations count."""

    def __init__(self, noise: NoiseModel) -> None:
        self.noise = noise
        self._key = (noise.spatial_acf.tobytes(), noise.spectral_acf.tobytes(), noise.spatial_acf.shape)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Covariance) and self._key == other._key


@lru_cache(maxsize=64)
def _seed_levels(
    covariance: _Covariance, scales: tuple[int, int], seed: float, spectral: bool
) -> NDArray[np.float64]:
    planes, rows = smoothing_kernels(*scales)
    noise = covariance.noise
    across = [_slope(noise, plane, None, axis=0) * _slope(noise, plane, None, axis=1) for plane in planes]
    along = [_slope(noise, None, row, axis=0) if spectral else 1.0 for row in rows]
    wanted = peak_density(seed, spectral=spectral) / np.outer(across, along)
    low, high = np.full(wanted.shape, _LEAST), np.full(wanted.shape, max(seed, _LEAST))
    for _ in range(40):
        middle = (low + high) / 2
        common = peak_density(middle, spectral=spectral) > wanted
        low, high = np.where(common, middle, low), np.where(common, high, middle)
    return np.asarray((low + high) / 2, np.float64)


def _slope(
    noise: NoiseModel, spatial: NDArray[np.float64] | None, spectral: NDArray[np.float64] | None, *, axis: int
) -> float:
    """Standard deviation of the smoothed noise's difference between neighbours over its own, at most 1."""
    kernel = np.asarray(spatial if spatial is not None else spectral)
    wide = np.pad(kernel, [(1, 1) if k == axis else (0, 0) for k in range(kernel.ndim)])
    step = wide - np.roll(wide, 1, axis=axis)
    pair = ((step, None), (kernel, None)) if spatial is not None else ((None, step), (None, kernel))
    moved, whole = (noise.filtered_sigma(*one) for one in pair)
    return min(moved / whole, 1.0)


@lru_cache(maxsize=64)
def _noise_left(covariance: _Covariance, scales: tuple[int, int]) -> NDArray[np.float32]:
    planes, rows = smoothing_kernels(*scales)
    return separable_sigma(covariance.noise, planes, rows)


@lru_cache(maxsize=64)
def _band_noise(covariance: _Covariance, scales: tuple[int, int], wavelet: str) -> NDArray[np.float32]:
    return separable_sigma(covariance.noise, *band_kernels(*scales, spectral=wavelet))


def separable_sigma(
    noise: NoiseModel, spatial: list[NDArray[np.float64]], spectral: list[NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Sigma that unit noise keeps after every pair of a spatial and a spectral kernel."""
    planes = [noise.filtered_sigma(kernel, None) for kernel in spatial]
    rows = [noise.filtered_sigma(None, kernel) for kernel in spectral]
    return np.outer(planes, rows).astype(np.float32)


def _grow(
    hits: NDArray[np.uint8],
    any_hit: NDArray[np.bool_],
    regions: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    half: tuple[int, int, int],
    threads: int,
) -> None:
    channels = np.flatnonzero(any_hit)
    if not channels.size:
        return
    around = slice(max(0, channels[0] - half[0]), channels[-1] + half[0] + 1)
    for region, least in zip(regions, (kernels.SURE, kernels.LIKELY), strict=True):
        region[around] |= dilate(hits[around] >= least, half, threads=threads)


def _extend(region: NDArray[np.bool_], likely: NDArray[np.bool_], threads: int) -> None:
    """Add to the sure regions what is likely within reach of them."""
    channels = np.flatnonzero(region.any(axis=(1, 2)))
    if not channels.size:
        return
    half = (_REACH[0] if len(region) > 1 else 0, _REACH[1], _REACH[1])
    around = slice(max(0, channels[0] - half[0]), channels[-1] + half[0] + 1)
    region[around] |= likely[around] & dilate(region[around], half, threads=threads)


def _soft_edge(region: NDArray[np.bool_], threads: int) -> Array:
    soft = region.astype(np.float32)
    channels = np.flatnonzero(region.any(axis=(1, 2)))
    if not channels.size:
        return soft
    reach = int(4 * _EDGE[1] + 0.5)
    # twice the reach: what the border of this cut mirrors is zero
    around = slice(max(0, channels[0] - 2 * reach), channels[-1] + 2 * reach + 1)
    spectral = _EDGE[1] if len(region) > 1 else 0.0
    soft[around] = gaussian(
        soft[around], spatial=_EDGE[0], spectral=spectral, border="mirror", threads=threads
    )
    return soft
