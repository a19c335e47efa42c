"""Compare an array that should be noise with the noise model: its ACF, and how white it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.noise import correlation, covariance
from denoise.noise.model import NoiseModel
from denoise.noise.statistics import mad_std

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AcfComparison:
    """Measured ACF beside the model's, at the same lags.

    Attributes
    ----------
    lags, spectral_lags : ndarray of int
        0, 1, 2, ... pixels; channels.
    along_y, along_x, spectral : ndarray
        Measured.
    model_y, model_x, model_spectral : ndarray
        Of the model; zero beyond its reach.
    sigma_ratio : float
        Robust sigma of data over model (1.4826 times the median of ``|z|``, about zero).
    whiteness : float
        Root mean square of measured less model over all lags shown but zero, in units of its sampling error:
        about 1 if the array is noise of this model.
    """

    lags: NDArray[np.int64]
    along_y: Array
    along_x: Array
    model_y: Array
    model_x: Array
    spectral_lags: NDArray[np.int64]
    spectral: Array
    model_spectral: Array
    sigma_ratio: float
    whiteness: float


def residual_acf(
    model: NoiseModel,
    block: NDArray[Any],
    *,
    mask: NDArray[np.bool_] | None = None,
    lags: int = 12,
    spectral_lags: int = 6,
) -> AcfComparison:
    """ACF of a residual in units of sigma, beside the model's.

    Parameters
    ----------
    model : NoiseModel
        Of the shape of `block`.
    block : ndarray, shape (channel, y, x)
        Residual in the unit of the model; NaN does not count.
    mask : ndarray of bool, shape of `block`, optional
        True where it is not to be looked at.
    lags, spectral_lags : int
        Largest lags, at most a third of the axis.

    Returns
    -------
    AcfComparison
    """
    ratio = np.asarray(block / model.sigma(), dtype=np.float32)
    if mask is not None:
        ratio = np.where(mask, np.float32(np.nan), ratio)
    most = max(1, min(lags, min(block.shape[1:]) // 3))
    along = max(0, min(spectral_lags, block.shape[0] // 3))
    products, pairs = correlation.spatial_sums(ratio, most, model.local_seams)
    plane = correlation.normalised(products, pairs)
    expected = covariance.resize_centred(model.spatial_acf, plane.shape)
    cy, cx = (n // 2 for n in plane.shape)
    spectral = correlation.normalised(*correlation.spectral_sums(ratio, along))
    expected_spectral = np.zeros(along + 1)
    expected_spectral[: model.spectral_acf.size] = model.spectral_acf[: along + 1]
    samples = correlation.independent_samples(float(pairs[cy, cx]), model.spatial_acf, model.spectral_acf)
    deviation = np.concatenate(
        [
            (plane - expected)[cy + 1 :, cx],
            (plane - expected)[cy, cx + 1 :],
            (spectral - expected_spectral)[1:],
        ]
    )
    return AcfComparison(
        lags=np.arange(cy + 1),
        along_y=plane[cy:, cx],
        along_x=plane[cy, cx:],
        model_y=expected[cy:, cx],
        model_x=expected[cy, cx:],
        spectral_lags=np.arange(along + 1),
        spectral=spectral,
        model_spectral=expected_spectral,
        sigma_ratio=float(mad_std(ratio, about="zero")),
        whiteness=float(np.sqrt(np.mean(deviation**2) * max(samples, 1.0))),
    )
