"""Gaussian smoothing matched to the beam: the baseline that every other method has to beat."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from denoise.methods.contract import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters
from denoise.noise import NoiseModel
from denoise.transforms.smoothing import correlate, gaussian, gaussian_taps

FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
TRUNCATE = 4.0
FINEST = 2.0  # FWHM in pixels of a critically sampled point source, where the noise itself is white

_CITATION = """@book{bracewell2000,
  author = {Bracewell, R. N.}, title = {The Fourier Transform and Its Applications},
  edition = {3}, publisher = {McGraw-Hill}, year = {2000}}"""


class SmoothParameters(Parameters):
    """What `smooth` can be told."""

    fwhm: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="FWHM of the spatial Gaussian in pixels; "
        "none: that of the kernel that colours the noise, at least 2",
    )
    spectral_fwhm: float = Field(
        0.0, ge=0, le=1000, description="FWHM of the Gaussian along the spectral axis in channels; 0: none"
    )


class Smooth(Denoiser):
    """Unit-sum Gaussian, with missing voxels weighed out: ``(k * x m) / (k * m)``.

    A linear filter: it keeps the unit per input beam, broadens the resolution to
    ``sqrt(beam^2 + fwhm^2)``, and its variance is exact for stationary noise.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="smooth",
        summary="Gaussian smoothing with the width of the beam: linear, the baseline to beat",
        citation=_CITATION,
        variance=True,
        linear=True,
    )
    Parameters: ClassVar[type[Parameters]] = SmoothParameters

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """The kernels end at four sigma."""
        radii = [int(TRUNCATE * width + 0.5) for width in (self._spectral(shape[0]), *self._spatial(noise))]
        return Halo(*radii)

    def kernel_fwhm(self, noise: NoiseModel) -> tuple[float, float, float]:
        """Of the Gaussian, in channels and pixels."""
        sigmas = self._spectral(noise.cube_shape[0]), *self._spatial(noise)
        channel, y, x = (FWHM_PER_SIGMA * sigma for sigma in sigmas)
        return channel, y, x

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Sum and weight, once for the data and once for the variance, float32."""
        return 32 * int(np.prod(shape))

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Smooth one block; NaN stays where it was and spreads nowhere."""
        spatial, spectral = self._spatial(noise), self._spectral(noise.cube_shape[0])
        smoothed = gaussian(block, spatial=spatial, spectral=spectral, skip_nan=True, truncate=TRUNCATE)
        return Estimate(smoothed, smoothed_variance(block, noise, spatial=spatial, spectral=spectral))

    def _spatial(self, noise: NoiseModel) -> tuple[float, float]:
        """Sigma of the kernel along y and x, in pixels."""
        if self.parameters.fwhm is not None:
            width = self.parameters.fwhm / FWHM_PER_SIGMA
            return width, width
        return beam_widths(noise)

    def _spectral(self, nchan: int) -> float:
        return 0.0 if nchan == 1 else self.parameters.spectral_fwhm / FWHM_PER_SIGMA


def beam_widths(noise: NoiseModel) -> tuple[float, float]:
    """Sigma along y and x, in pixels, of the kernel that colours the noise: as wide as the beam."""
    # the ACF of noise coloured by a kernel is that kernel with itself: wider by the square root of two
    y, x = (max(FINEST, width / math.sqrt(2)) / FWHM_PER_SIGMA for width in noise.correlation_fwhm)
    return y, x


def smoothed_variance(
    block: Block, noise: NoiseModel, *, spatial: tuple[float, float], spectral: float
) -> NDArray[np.float32]:
    """Variance of the normalised Gaussian mean of noise.

    ``F^2 (k^2 * m sigma^2) / (sum(k^2) (k * m)^2)`` with F from ``NoiseModel.filtered_sigma``: exact far from
    missing voxels where sigma is constant, and everywhere for white noise. Beside missing voxels it is up to
    1.5 times too large for correlated noise, which had fewer independent samples to lose.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        Only where it is NaN matters.
    noise : NoiseModel
        Of the block.
    spatial, spectral : float
        Sigma of the kernel in pixels (along y and x) and in channels.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        In the unit of the noise squared; NaN where the block is NaN or sigma unknown.
    """
    taps = [gaussian_taps(width, truncate=TRUNCATE) for width in (*spatial, spectral)]
    left = noise.filtered_sigma(np.outer(taps[0], taps[1]), taps[2])
    sigma = np.broadcast_to(noise.sigma(), block.shape)
    known = np.isfinite(block) & np.isfinite(sigma)
    squared = [tap**2 / np.sum(tap**2) for tap in taps]
    power = correlate(
        np.where(known, sigma, np.float32(0)) ** 2,
        spatial_taps=(squared[0], squared[1]),
        spectral_taps=squared[2],
    )
    weight = correlate(known, spatial_taps=(taps[0], taps[1]), spectral_taps=taps[2])
    variance = np.full(block.shape, np.nan, np.float32)
    np.divide(np.float32(left**2) * power, weight**2, out=variance, where=known)
    return variance
