"""What `pca` and `ica` share: a spectral basis learned where there is emission, component maps denoised in space.

A spaxel's spectrum over sigma, d, is written ``d = S z + noise`` with K components; ``z = A'd`` projects it. The maps
z(y, x) keep all the noise of the K-dimensional subspace (which is why published PCA leaves 85 % of it), so each map
is denoised: starlet coefficients times a Wiener gain g from a pilot, ``z' = sum_j g_j w_j(z)``. Back in the cube the
same is done once more along the spectrum: each voxel is weighted by the power of the estimate around it over its
variance. All of it is linear given the gains, so the variance is propagated exactly (`component_variance`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.methods.contract import Block, Estimate, Halo
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.smoothing import box_mean, dilate, gaussian
from denoise.transforms.starlet import forward
from denoise.transforms.wavelets import band_kernels, default_scales

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shape = tuple[int, int, int]

POWER = (1.0, 1.5)  # sigma of the neighbourhood of a voxel: channels, pixels
REACH = (3, 6)  # how far beyond a seeded region fainter emission is looked for: channels, pixels
MARGIN = (1, 2)  # how far that emission is widened
_LEAST_COVERAGE = 0.25  # directions of the basis less covered than this are not amplified to full size


@dataclass(frozen=True)
class Basis:
    """State of a fit: K spectra and how to project on them.

    Attributes
    ----------
    analysis : ndarray, shape (K, channel), float32
        Weights that turn a spectrum over sigma into components.
    synthesis : ndarray, shape (channel, K), float32
        Spectra of the components over sigma; ``analysis @ synthesis = 1``.
    covariance : ndarray, shape (K, K)
        Covariance of the components of unit noise.
    scales : (int, int)
        Coarsest scales of the search for emission.
    spatial_scales : int
        Starlet scales of the component maps.
    seed_level : float
        Significance above which emission is found, in sigma of the smoothed noise.
    strength : float
        Variances subtracted in the final weight.
    positivity : bool
        The emission is not negative.
    """

    analysis: Array
    synthesis: Array
    covariance: Doubles
    scales: tuple[int, int]
    spatial_scales: int
    seed_level: float
    strength: float
    positivity: bool

    @property
    def size(self) -> int:
        """Number of components."""
        return len(self.analysis)


def starlet_scales(asked: int, shape: Shape) -> int:
    """Spatial scales that fit the cube, at most `asked`."""
    return min(asked, default_scales(shape)[0])


def halo(shape: Shape, spatial_scales: int) -> Halo:
    """Search or first estimate, then starlet, gain window and neighbourhood of the second; all channels."""
    near = int(4 * POWER[1] + 0.5)
    starlet = 2 * (2**spatial_scales - 1)
    search = detection.halo(shape)[1] + REACH[1] + MARGIN[1] + near
    first = max(search, starlet + _half_width(spatial_scales)) + near
    pixels = first + starlet + _half_width(spatial_scales) + near
    return Halo(None, pixels, pixels)


def find(data: Array, noise: NoiseModel, *, scales: tuple[int, int], level: float, both_signs: bool) -> Array:
    """Where emission was found, 0 to 1 with a soft edge, shape (channel, y, x)."""
    left = detection.noise_left(noise, scales)
    thresholds = detection.Thresholds(seed=level)
    found = detection.search(data, left, thresholds=thresholds, both_signs=both_signs)
    seeded = found.region > 0.5
    if not seeded.any():
        return found.region
    spectral = len(data) > 1
    faint = dilate(seeded, (REACH[0] * spectral, REACH[1], REACH[1])) & (found.weight > 0.5)
    grown = dilate(faint, (MARGIN[0] * spectral, MARGIN[1], MARGIN[1])) | seeded
    return gaussian(grown, spatial=POWER[1], spectral=POWER[0] * spectral, border="mirror")


def denoise_components(block: Block, noise: NoiseModel, basis: Basis) -> Estimate:
    """Denoise one block with all channels.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x), float32
        NaN where there is no coverage.
    noise : NoiseModel
        Of the block, in its unit.
    basis : Basis
        From the fit.

    Returns
    -------
    Estimate
        Data and variance; NaN where the block is NaN or its sigma unknown. Zero where nothing was found.
    """
    sigma = noise.sigma()
    data, known = detection.standardise(block, sigma)
    region = find(data, noise, scales=basis.scales, level=basis.seed_level, both_signs=not basis.positivity)
    spaxels = region.any(axis=0)
    estimate = variance = np.zeros_like(data)
    if basis.size and spaxels.any():
        estimate, variance = _estimate(data, known, region, noise, basis)
    missing = np.float32(np.nan)
    return Estimate(
        np.where(known, estimate * sigma, missing),
        np.where(known, variance * sigma**2, missing),
        {"components": float(basis.size)},
    )


def _estimate(
    data: Array, known: Mask, region: Array, noise: NoiseModel, basis: Basis
) -> tuple[Array, Array]:
    """Two rounds: gains from the data's own power, then from the first estimate."""
    bands = _starlet(project(data, known, basis), basis.spatial_scales)
    products = band_products(noise, basis.spatial_scales)
    noise_power = np.outer(np.diag(products), np.diag(basis.covariance)).astype(np.float32)
    gains = _empirical_gains(bands, noise_power)
    estimate, _ = _rebuild(bands, gains, products, region, basis)
    if basis.positivity:
        np.maximum(estimate, 0, out=estimate)
    pilot = _starlet(np.tensordot(basis.analysis, estimate, 1), basis.spatial_scales)
    gains = _pilot_gains(pilot, noise_power)
    return _rebuild(bands, gains, products, region, basis)


def project(data: Array, known: Mask, basis: Basis) -> Array:
    """Component maps, shape (K, y, x), by least squares over the channels that each spaxel has.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        Over sigma, 0 where not known.
    known : ndarray of bool, same shape
    basis : Basis
    """
    maps = np.asarray(np.tensordot(basis.analysis, data, 1), np.float32)
    used = np.flatnonzero(basis.synthesis.any(axis=1))
    partial = known.any(axis=0) & ~known[used].all(axis=0)
    if partial.any():
        maps[:, partial] = _least_squares(data[:, partial], known[:, partial], basis).T
    return maps


def _least_squares(data: Array, known: Mask, basis: Basis) -> Array:
    """Components (spaxel, K) of spectra (channel, spaxel) with missing channels."""
    synthesis = basis.synthesis.astype(np.float64)
    root = np.linalg.cholesky(synthesis.T @ synthesis)
    spectra = np.linalg.solve(root, synthesis.T).T  # same span, orthonormal
    overlap = np.einsum("cs,ck,cl->skl", known.astype(np.float64), spectra, spectra, optimize=True)
    values, vectors = np.linalg.eigh(overlap)
    right = (data.T @ spectra)[:, None, :] @ vectors
    solved = (right / np.maximum(values, _LEAST_COVERAGE)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.linalg.solve(root.T, solved[:, 0].T).T.astype(np.float32)


def _starlet(maps: Array, scales: int) -> Array:
    """Starlet bands of every map, shape (scale + 1, K, y, x)."""
    return forward(maps, spatial_scales=scales, spectral_scales=0)[:, 0]


def band_products(noise: NoiseModel, scales: int) -> Doubles:
    """Covariance between the starlet bands of unit noise at one pixel, shape (scale + 1, scale + 1).

    From ``NoiseModel.filtered_sigma`` of each kernel and, by polarisation, of the sum of each pair.
    """
    kernels = [np.asarray(kernel) for kernel in band_kernels(scales, 0)[0]]
    half = max(len(kernel) for kernel in kernels) // 2
    kernels = [np.pad(kernel, half - len(kernel) // 2) for kernel in kernels]
    own = [noise.filtered_sigma(kernel, None) ** 2 for kernel in kernels]
    products = np.diag(own)
    for i, first in enumerate(kernels):
        for j in range(i):
            both = noise.filtered_sigma(first + kernels[j], None) ** 2
            products[i, j] = products[j, i] = 0.5 * (both - own[i] - own[j])
    return products


def _half_width(scale: int) -> int:
    """Half width of the window in which the power of a band is averaged, in pixels."""
    return min(2**scale + 1, 8)


def _empirical_gains(bands: Array, noise_power: Array) -> Array:
    gains = np.empty_like(bands)
    for j, band in enumerate(bands):
        half = _half_width(j)
        power = box_mean(band**2, (0, half, half))
        floor = noise_power[j][:, None, None]
        gains[j] = np.maximum(power - floor, 0) / np.maximum(power, floor)
    return gains


def _pilot_gains(pilot: Array, noise_power: Array) -> Array:
    gains = np.empty_like(pilot)
    for j, band in enumerate(pilot):
        half = min(2**j, 4)
        power = box_mean(band**2, (0, half, half))
        gains[j] = power / (power + noise_power[j][:, None, None])
    return gains


def _rebuild(
    bands: Array, gains: Array, products: Doubles, region: Array, basis: Basis
) -> tuple[Array, Array]:
    """Cube and variance from the bands of the maps, weighted by what stands out around each voxel."""
    maps = np.einsum("jkyx,jkyx->kyx", gains, bands)
    cube = np.asarray(np.tensordot(basis.synthesis, maps, 1), np.float32)
    variance = component_variance(gains, products, basis)
    weight = region * _standing_out(cube * region, variance * region**2, basis.strength)
    return cube * weight, variance * weight**2


def _standing_out(cube: Array, variance: Array, strength: float) -> Array:
    """Gain ``max(1 - strength <variance> / <cube^2>, 0)`` with means over the neighbourhood of each voxel."""
    spectral = POWER[0] if len(cube) > 1 else 0.0
    power, floor = (
        gaussian(values, spatial=POWER[1], spectral=spectral, border="mirror")
        for values in (cube**2, variance)
    )
    gain = np.zeros_like(power)
    np.divide(
        power - np.float32(strength) * floor, power, out=gain, where=power > np.float32(strength) * floor
    )
    return gain


def component_variance(gains: Array, products: Doubles, basis: Basis) -> Array:
    """Variance of each voxel, over sigma squared, of a cube rebuilt with these gains.

    ``var_c = sum_kl S_ck S_cl N_kl sum_ij C_ij g_ki g_lj`` with C the covariance between bands (`band_products`) and N
    that between components: exact, because the starlet synthesis is a plain sum of bands.

    Parameters
    ----------
    gains : ndarray, shape (scale + 1, K, y, x)
    products : ndarray, shape (scale + 1, scale + 1)
    basis : Basis

    Returns
    -------
    ndarray, shape (channel, y, x), float32
    """
    root = np.linalg.cholesky(products + 1e-9 * np.trace(products) * np.eye(len(products)))
    mixed = np.tensordot(root.T.astype(np.float32), gains, 1)
    first, second = np.tril_indices(basis.size)
    shared = basis.covariance[first, second] * np.where(first == second, 1, 2)
    counted = np.abs(shared) > 1e-6 * np.abs(shared).max(initial=0.0)
    first, second, shared = first[counted], second[counted], shared[counted]
    common = np.einsum("jpyx,jpyx->pyx", mixed[:, first], mixed[:, second])
    spectra = (shared * basis.synthesis[:, first] * basis.synthesis[:, second]).astype(np.float32)
    return np.maximum(np.tensordot(spectra, common, 1), 0)
