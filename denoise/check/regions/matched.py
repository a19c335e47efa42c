"""What a cube holds under a filter: signal to noise by the noise model, its correlations included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.photometry import sum_error
from denoise.metrics.regions import gaussian_template, weighted_shape
from denoise.noise import NoiseModel

Floats = NDArray[np.float64]
Window = tuple[slice, slice, slice]


class Match(NamedTuple):
    """A Gaussian filter of a region's own centre and widths, and what the two cubes hold under it.

    Attributes
    ----------
    snr, snr_output : float
        Of the input and of the output, in units of the filtered noise of the input; positive where they have the
        sign of the region.
    area : float
        Of the filter on the sky, in pixels: ``4 pi`` times the root of the determinant of its covariance.
    line_width : float
        Sigma of the filter, in channels.
    """

    snr: float
    snr_output: float
    area: float
    line_width: float


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


def match_region(
    weight: Floats, window: Window, scaled: tuple[NDArray[Any], NDArray[Any]], noise: NoiseModel, sign: int
) -> Match:
    """Filter both cubes with the Gaussian that has the moments of a region (see `denoise.metrics.regions`).

    The region's detailed shape would fit the noise that it was found in; its moments are few numbers.

    Parameters
    ----------
    weight : ndarray, shape (channel, y, x)
        Of the region's voxels, not negative, zero elsewhere.
    window : tuple of slice
        Where `weight` lies in `scaled`.
    scaled : tuple of ndarray, shape (channel, y, x)
        Input and output in sigma; NaN is no data.
    noise : NoiseModel
        Gives the correlations.
    sign : {1, -1}
        Of the region.
    """
    centre, covariance, line_width = weighted_shape(weight, window)
    snr, snr_output = gaussian_snr(centre, covariance, line_width, scaled, noise)
    area = 4.0 * math.pi * math.sqrt(float(np.linalg.det(covariance)))
    return Match(sign * snr, sign * snr_output, area, line_width)


def gaussian_snr(
    centre: tuple[float, float, float],
    covariance: Floats,
    line_width: float,
    scaled: Sequence[NDArray[Any]],
    noise: NoiseModel,
) -> list[float]:
    """Signal to noise of each cube under a Gaussian, where the first one has data.

    Parameters
    ----------
    centre : tuple of float
        (channel, y, x).
    covariance : ndarray, shape (2, 2)
        On the sky, in (y, x), pixels squared.
    line_width : float
        Sigma, in channels.
    scaled : sequence of ndarray, shape (channel, y, x)
        In sigma; NaN is no data.
    noise : NoiseModel
        Gives the correlations.
    """
    line, sky, wide = gaussian_template(centre, covariance, line_width, scaled[0].shape)
    known = np.isfinite(scaled[0][wide])
    spread = _spread(line, sky, known, noise)
    if spread == 0:
        return [0.0] * len(scaled)
    parts = [np.where(known, np.nan_to_num(part[wide]), 0.0) for part in scaled]
    return [float(np.einsum("c,yx,cyx->", line, sky, part)) / spread for part in parts]


def _spread(line: Floats, sky: Floats, known: NDArray[np.bool_], noise: NoiseModel) -> float:
    """Standard deviation of the filtered noise of unit sigma; exact with voxels missing, where it takes longer."""
    if known.all():
        return noise.filtered_sigma(sky, line)
    return sum_error(np.where(known, line[:, None, None] * sky, 0.0), unit_noise(noise, known.shape))


def unit_noise(noise: NoiseModel, shape: tuple[int, int, int]) -> NoiseModel:
    """Noise of sigma 1 with the correlations of `noise`."""
    return NoiseModel(
        shape,
        np.ones(shape[0]),
        np.broadcast_to(np.float32(1), shape[1:]),
        noise.spatial_acf,
        noise.spectral_acf,
    )
