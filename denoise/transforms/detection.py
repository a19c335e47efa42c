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
from denoise.transforms._jit import run_ranges
from denoise.transforms.bitmask import BitMask, scan, take_off
from denoise.transforms.smoothing import correlate, gaussian
from denoise.transforms.wavelets import B3, band_kernels, default_scales, smoothing_kernels
from denoise.transforms.whitening import Whitened, filters_for, whiten
from denoise.transforms.windows import windows_around

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

SEED = 5.5  # a voxel that is as rare as one above it in white noise starts a region, see ``seed_levels``
_NEARBY = 0.8  # so much less is enough to extend a region, within a reach of channels and pixels
_REACH = (3, 8)
_GROW = 0.6  # a seed grows by this many standard deviations of its kernel
# significance beyond which so many fine smoothings are taken off before coarser ones
_BRIGHT, _BRIGHT_SCALES = 7.0, 2
_FAINT = (3.0, 1.5)  # significance of the coarsest scale that counts as faint emission; the finest needs more
_EDGE = (1.5, 1.0)  # sigma of the soft edge of a region: pixels, channels
_LEAST = 3.0  # no seed below this many sigma, however large its kernel
_MOST = (3, 3)  # coarsest kernels: 4.6 pixels and 4.6 channels sigma


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes
    ----------
    region : ndarray, shape (channel, y, x), float32
        1 inside the grown regions, 0 outside, with a soft edge.
    faint : ndarray of bool, same shape, or None
        Where any smoothing is significant enough to belong to a region nearby.
    """

    region: Array
    faint: Mask | None

    @property
    def support(self) -> Mask:
        """The emission found: inside a grown region.

        Not voxel by voxel: a voxel chosen because it is high is high by its noise too, and a flux summed over
        such voxels would be biased.
        """
        mask: Mask = self.region > 0.5
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
    valid : ndarray of bool, shape (channel, y, x)
        Where there is coverage.
    support : ndarray of bool, shape (channel, y, x)
        The emission found in the block as it was: as wide as the beam makes it.
    """

    white: Whitened
    found: Found
    valid: NDArray[np.bool_]
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
    both_signs: bool = False,
    faint: bool = False,
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
    both_signs : bool
        Find absorption as well as emission.
    faint : bool
        Whether fainter emission is asked for too.
    threads : int
        Threads of this call.
    """
    shape = (standardised.shape[0], standardised.shape[1], standardised.shape[2])
    sure, likely, weak = (BitMask(shape, threads=threads) for _ in range(3))
    plane = _without_bright(standardised, left, sure, both_signs)
    levels = _levels(left, seeds, faint)
    for j2 in range(len(left)):
        if j2:
            plane = correlate(plane, spatial_taps=B3, step=2 ** (j2 - 1), threads=threads)
        bits, hit = scan(plane, levels[j2], both_signs=both_signs, threads=threads)
        for j1 in range(left.shape[1]):
            for kind, mask in ((0, sure), (1, likely)):
                if hit[j1, kind]:
                    mask.join_grown(bits[j1, kind], grown_by(j2, j1))
            if faint:
                weak.join(bits[j1, 2])
    near = sure.grown((_REACH[0] if shape[0] > 1 else 0, _REACH[1], _REACH[1]))
    near.meet(likely)
    sure.join(near.bits)
    return Found(_soft_edge(sure.booleans(), threads), weak.booleans() if faint else None)


def _levels(left: NDArray[np.floating], seeds: NDArray[np.floating], faint: bool) -> Array:
    """What starts a region, extends one and is faint emission, shape (spatial + 1, spectral + 1, 2 or 3)."""
    levels = [seeds[0] * left, seeds[1] * left]
    if faint:
        j2, j1 = np.indices(left.shape)
        share = (j2 + j1) / max(left.shape[0] + left.shape[1] - 2, 1)
        weak = (_FAINT[0] + _FAINT[1] * (1 - share)) * left
        weak[0, 0] = np.inf  # single voxels are seeds, but no evidence of anything faint
        levels.append(weak)
    return np.stack(levels, axis=-1).astype(np.float32)


def _without_bright(data: Array, left: NDArray[np.floating], region: BitMask, both_signs: bool) -> Array:
    """The data less their own smoothing where that is bright, which is added to the region.

    What is left there has little flux, so that coarse kernels do not spread bright emission over what is around it.
    """
    rest, out, threads = data, np.empty_like(data), region.threads
    for level in range(1, _BRIGHT_SCALES + 1):
        at = min(level, left.shape[0] - 1), min(level, left.shape[1] - 1)
        smooth = rest
        for j in range(at[0]):
            smooth = correlate(smooth, spatial_taps=B3, step=2**j, threads=threads)
        limit = _BRIGHT * float(left[at])
        bits = take_off(rest, smooth, limit, out, scales=at[1], both_signs=both_signs, threads=threads)
        if bits is not None:
            region.join_grown(bits, grown_by(*at))
            rest = out
    return rest


def seed_levels(noise: NoiseModel, scales: tuple[int, int], seed: float = SEED) -> NDArray[np.float64]:
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


def grown_by(j2: int, j1: int) -> tuple[int, int, int]:
    """Half widths (channel, y, x) of the box a seed of scale (j2, j1) grows to.

    The B3 scaling function of level j has a standard deviation of ``sqrt((4**j - 1) / 3)`` samples.
    """
    spatial, spectral = (np.sqrt((4.0**j - 1) / 3) for j in (j2, j1))
    pixels = max(1, round(_GROW * max(spatial, 1.5)))
    return round(_GROW * spectral), pixels, pixels


def noise_left(noise: NoiseModel, scales: tuple[int, int]) -> NDArray[np.float32]:
    """Standard deviation that unit noise keeps after each smoothing, shape (spatial + 1, spectral + 1)."""
    return _noise_left(_Covariance(noise), scales)


def band_noise(noise: NoiseModel, scales: tuple[int, int], wavelet: str = "starlet") -> NDArray[np.float32]:
    """Standard deviation that unit noise has in each sub-band, shape (spatial + 1, spectral + 1)."""
    return _band_noise(_Covariance(noise), scales, wavelet).copy()


def halo(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """How far (channel, y, x) a search looks: smoothing, growth, what is near, and soft edge."""
    spatial, spectral = search_scales(shape)
    grown, edge = grown_by(spatial, spectral), [int(4 * width + 0.5) for width in _EDGE]
    bright = sum(2 * (2**level - 1) for level in range(1, _BRIGHT_SCALES + 1))
    channels = 2 * (2**spectral - 1) + bright + grown[0] + ((edge[1] + _REACH[0]) if shape[0] > 1 else 0)
    pixels = 2 * (2**spatial - 1) + bright + grown[1] + edge[0] + _REACH[1]
    return channels, pixels, pixels


def emission_halo(shape: tuple[int, int, int], noise: NoiseModel) -> tuple[int, int, int]:
    """How far (channel, y, x) ``find_emission`` looks, and the way back from white noise."""
    channels, y, x = halo(shape)
    filters = filters_for(noise)
    beyond = 0 if filters is None else filters.reach + filters.spread
    return channels, y + beyond, x + beyond


def find_emission(
    data: Array,
    valid: NDArray[np.bool_],
    noise: NoiseModel,
    *,
    seed: float = SEED,
    at_all_scales: float | None = None,
    both_signs: bool = False,
    faint: bool = False,
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
    faint : bool
        See ``search``.
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
        faint=faint,
        threads=threads,
    )
    # what is found where the noise is white is as wide as beam and source where it is not
    return Emission(white, found, valid, white.widened(found.support, threads) & valid)


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
    data, valid = standardise(block, noise.sigma(), threads=threads)
    return find_emission(data, valid, noise, both_signs=both_signs, threads=threads).support


def standardise(block: Array, sigma: Array, *, threads: int = 1) -> tuple[Array, NDArray[np.bool_]]:
    """Data over sigma with 0 where there is no coverage or no sigma, and where there is both."""
    ratio, valid = np.empty(block.shape, np.float32), np.empty(block.shape, np.bool_)
    sigma = np.broadcast_to(sigma, block.shape)

    def planes(first: int, last: int) -> None:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for k in range(first, last):
                np.divide(block[k], sigma[k], out=ratio[k])
                np.isfinite(ratio[k], out=valid[k])
                if not valid[k].all():
                    ratio[k][~valid[k]] = 0

    run_ranges(planes, len(block), threads=threads)
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


def _soft_edge(region: NDArray[np.bool_], threads: int) -> Array:
    soft = np.zeros(region.shape, np.float32)
    channels, pixels = (int(4 * width + 0.5) for width in (_EDGE[1], _EDGE[0]))
    spectral = _EDGE[1] if len(region) > 1 else 0.0
    # twice the reach: what the borders of the windows mirror is zero
    for window in windows_around(region, (2 * channels, 2 * pixels), threads=threads):
        soft[window] = gaussian(
            region[window], spatial=_EDGE[0], spectral=spectral, border="mirror", threads=threads
        )
    return soft
