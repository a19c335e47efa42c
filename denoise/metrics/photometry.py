"""Numbers without a truth: flux with its error, peak SNR, noise before and after, the residual."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.accuracy import mad_sigma
from denoise.noise import NoiseModel

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class Measurement(NamedTuple):
    """A value and its 1-sigma error, same unit."""

    value: float
    error: float


class ResidualStatistics(NamedTuple):
    """What is left, in units of the noise model's sigma.

    Attributes
    ----------
    mean, std, mad : float
        Mean, standard deviation and 1.4826 MAD of residual / sigma: 0, 1, 1 for noise as modelled.
    skewness, kurtosis : float
        Third and excess fourth standardised moments; 0 for Gaussian noise.
    acf_difference : float
        Largest difference between the residual's spatial autocorrelation and the model's, at lags 1 to 8
        along y and along x.
    spectral_acf_difference : float
        The same along the spectral axis, lags 1 to 3.
    """

    mean: float
    std: float
    mad: float
    skewness: float
    kurtosis: float
    acf_difference: float
    spectral_acf_difference: float


def sum_error(weights: Array, noise: NoiseModel) -> float:
    """Standard deviation of ``sum(weights * noise)`` with all correlations, in the unit of the data.

    ``sqrt(u' R u)`` with u = weights x sigma and R the spatial times the spectral autocorrelation.

    Parameters
    ----------
    weights : ndarray, shape (channel, y, x)
        Weights, or a mask.
    noise : NoiseModel
        Of the same shape; voxels without a sigma do not count.
    """
    from scipy.signal import fftconvolve

    window = _bounding_box(weights != 0)
    if window is None:
        return 0.0
    u = weights[window] * np.nan_to_num(noise.sigma(window).astype(np.float64))
    spread = fftconvolve(u, noise.spatial_acf[None], mode="same", axes=(1, 2))
    lags = noise.spectral_acf[: u.shape[0]]
    total = float((u * spread).sum()) * float(lags[0])
    for lag in range(1, lags.size):
        total += 2.0 * float(lags[lag]) * float((u[lag:] * spread[:-lag]).sum())
    return float(np.sqrt(max(total, 0.0)))


def masked_flux(data: Array, mask: Mask, noise: NoiseModel, *, beam_area: float = 1.0) -> Measurement:
    """Sum over a mask and its error from the noise of the data.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        NaN voxels are left out.
    mask : ndarray of bool
        (channel, y, x), or (y, x) for all channels.
    noise : NoiseModel
        Noise of ``data``. The error of a *denoised* sum is not less than this: denoising moves errors into
        correlations and bias.
    beam_area : float
        Pixels a beam: turns Jy/beam into Jy.
    """
    use = np.broadcast_to(mask, data.shape) & np.isfinite(data)
    value = float(data[use].sum(dtype=np.float64))
    return Measurement(value / beam_area, sum_error(use, noise) / beam_area)


def peak_snr(data: Array, noise: NoiseModel) -> float:
    """Largest value of data / sigma.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        NaN is left out, and so is what has no sigma.
    noise : NoiseModel
        Of the data, same unit and shape.

    Returns
    -------
    float
        NaN where nothing is finite.
    """
    ratio = _standardised(data, noise)
    finite = ratio[np.isfinite(ratio)]
    return float(finite.max()) if finite.size else float("nan")


def background_noise(noisy: Array, denoised: Array, background: Mask | None = None) -> tuple[float, float]:
    """1.4826 MAD of the background before and after, unit of the data (0 after: the method left zeros).

    Parameters
    ----------
    noisy, denoised : ndarray, shape (channel, y, x)
        One unit; each is measured where it is finite.
    background : ndarray of bool, optional
        (channel, y, x), or (y, x) for all channels: free of emission. None: every voxel.

    Returns
    -------
    tuple of float
        NaN where no voxel is left.
    """
    before, after = mad_sigma(noisy, background), mad_sigma(denoised, background)
    return float("nan") if before is None else before, float("nan") if after is None else after


def residual_statistics(residual: Array, noise: NoiseModel, mask: Mask | None = None) -> ResidualStatistics:
    """Moments and autocorrelation of residual / sigma, against the noise model.

    Parameters
    ----------
    residual : ndarray, shape (channel, y, x)
        Input minus denoised.
    noise : NoiseModel
        Noise of the input.
    mask : ndarray of bool, optional
        Voxels to look at; all finite ones if not given.
    """
    scaled = _standardised(residual, noise)
    if mask is not None:
        scaled = np.where(mask, scaled, np.nan)
    values = scaled[np.isfinite(scaled)]
    if values.size < 2:
        return ResidualStatistics(*(float("nan"),) * 7)
    mean, std = float(values.mean()), float(values.std())
    unit = (values - mean) / (std or 1.0)
    rows, columns = noise.spatial_acf.shape[0] // 2, noise.spatial_acf.shape[1] // 2
    along_y, along_x = noise.spatial_acf[rows + 1 :, columns], noise.spatial_acf[rows, columns + 1 :]
    spatial = [_acf_gap(scaled - mean, 1, along_y, 8), _acf_gap(scaled - mean, 2, along_x, 8)]
    return ResidualStatistics(
        mean=mean,
        std=std,
        mad=mad_sigma(values) or 0.0,
        skewness=float((unit**3).mean()),
        kurtosis=float((unit**4).mean() - 3.0),
        acf_difference=float(np.max(spatial)),
        spectral_acf_difference=_acf_gap(scaled - mean, 0, noise.spectral_acf[1:], 3),
    )


def _acf_gap(values: Array, axis: int, model: Array, lags: int) -> float:
    """Largest difference of the autocorrelation from the model's (0 beyond its end) at lags 1 to ``lags``."""
    power = float(np.nanmean(values**2))
    gaps = [0.0]
    moved = np.moveaxis(values, axis, 0)
    for lag in range(1, min(lags, moved.shape[0] - 1) + 1):
        product = moved[lag:] * moved[:-lag]
        if power > 0 and np.isfinite(product).any():
            expected = float(model[lag - 1]) if lag <= model.size else 0.0
            gaps.append(abs(float(np.nanmean(product)) / power - expected))
    return max(gaps)


def _standardised(data: Array, noise: NoiseModel) -> NDArray[np.float64]:
    sigma = noise.sigma().astype(np.float64)
    known = np.broadcast_to(sigma > 0, data.shape)
    return np.asarray(np.divide(data, sigma, out=np.full(data.shape, np.nan), where=known))


def _bounding_box(mask: Mask) -> tuple[slice, slice, slice] | None:
    found = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if not all(axis.size for axis in found):
        return None
    c, y, x = (slice(int(axis[0]), int(axis[-1]) + 1) for axis in found)
    return c, y, x
