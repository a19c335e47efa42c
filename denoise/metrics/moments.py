"""Moment maps and integrated spectra, before and after alike. NaN voxels carry nothing and spread nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.errors import ParameterError


class Moments(NamedTuple):
    """Moment maps (y, x), float64; NaN where a spaxel has no usable voxel (1 and 2: no positive flux).

    Attributes
    ----------
    moment0 : ndarray
        Integrated line, unit of the data times the unit of the spectral axis.
    moment1 : ndarray
        Intensity-weighted mean, unit of the spectral axis.
    moment2 : ndarray
        Intensity-weighted standard deviation (root of the second moment), unit of the spectral axis.
    """

    moment0: NDArray[np.float64]
    moment1: NDArray[np.float64]
    moment2: NDArray[np.float64]


def moment_maps(
    data: NDArray[Any], axis: ArrayLike | None = None, *, mask: NDArray[np.bool_] | None = None
) -> Moments:
    """Moments 0, 1 and 2 along the spectral axis.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        Cube; NaN voxels are left out.
    axis : array_like, shape (channel,), optional
        Centre of each channel, monotonic; channel numbers if not given. Channels may differ in width.
    mask : ndarray of bool, optional
        Voxels to use, (channel, y, x); without one, noise in empty channels dominates moments 1 and 2.
    """
    values = _axis_values(axis, data.shape[0])
    width = np.abs(np.gradient(values)) if values.size > 1 else np.ones(1)
    use = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    weight = np.where(use, data, 0.0).astype(np.float64) * width[:, None, None]
    moment0 = np.where(use.any(axis=0), weight.sum(axis=0), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = np.where(moment0 > 0, moment0, np.nan)
        moment1 = np.tensordot(values, weight, axes=1) / flux
        variance = (weight * (values[:, None, None] - moment1) ** 2).sum(axis=0) / flux
        moment2 = np.sqrt(np.where(variance >= 0, variance, np.nan))
    return Moments(moment0, moment1, moment2)


def integrated_spectrum(data: NDArray[Any], aperture: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Sum over the aperture (y, x) in each channel, unit of the data x pixels.

    NaN where a channel has no voxel. Divide by the beam's area in pixels to turn Jy/beam into Jy.
    """
    inside = np.ones(data.shape[1:], bool) if aperture is None else aperture
    values = data[:, inside].astype(np.float64)
    finite = np.isfinite(values)
    return np.where(finite.any(axis=1), np.where(finite, values, 0.0).sum(axis=1), np.nan)


def _axis_values(axis: ArrayLike | None, count: int) -> NDArray[np.float64]:
    values = np.arange(count, dtype=np.float64) if axis is None else np.asarray(axis, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ParameterError(
            f"the spectral axis needs {count} finite values, one a channel",
            value=values.shape,
            action="give the coordinate of every channel, or None for channel numbers",
        )
    return values
