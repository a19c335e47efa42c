"""Robust statistics of noise: pure functions on arrays, NaN ignored, constants for a Gaussian."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.errors import NoiseError

Array = NDArray[Any]
About = Literal["median", "zero"]

#: Quartile of the standard normal distribution: the median of ``|z|``.
QUARTILE = 0.6744897501960817
_START = 65536  # values of which the median is taken that the iteration starts from


def mad_std(values: Array, *, about: About, axis: int | tuple[int, ...] | None = None) -> Any:
    """Standard deviation of a Gaussian from the median absolute deviation, NaN ignored.

    Parameters
    ----------
    values : ndarray
        Any shape and unit; the result has the same unit.
    about : {"median", "zero"}
        ``"median"``: deviations from the median, for data with an unknown level. ``"zero"``: from zero, for
        noise whose mean is known to be zero (residuals, line-free channels of an interferometer).
    axis : int or tuple of int, optional
        Axes to reduce; default all.

    Returns
    -------
    float or ndarray
        ``1.4826 median(|values - centre|)``; NaN where nothing is finite.
    """
    if about not in ("median", "zero"):
        raise NoiseError(
            "the centre of a median absolute deviation", value=about, action="use 'median' or 'zero'"
        )
    data = np.asarray(values, dtype=np.float64)
    if axis is None:
        data = data[np.isfinite(data)]
        return _mad(data, about) if data.size else float("nan")
    return _mad_along(data, about, axis)


def _mad(finite: Array, about: About) -> float:
    centre = float(np.median(finite)) if about == "median" else 0.0
    return float(np.median(np.abs(finite - centre))) / QUARTILE


def _mad_along(data: Array, about: About, axis: int | tuple[int, ...]) -> Array:
    axes = (axis,) if isinstance(axis, int) else axis
    empty = ~np.isfinite(data).any(axis=axes, keepdims=True)
    filled = np.where(empty, 0.0, np.where(np.isfinite(data), data, np.nan))
    if about == "median":
        filled = filled - np.nanmedian(filled, axis=axes, keepdims=True)
    spread = np.nanmedian(np.abs(filled), axis=axes, keepdims=True) / QUARTILE
    return np.asarray(np.squeeze(np.where(empty, np.nan, spread), axis=axes))


def truncated_variance(clip: Array | float) -> Array:
    """Variance of a standard normal variable given ``|z| < clip``."""
    from scipy.special import erf

    limit = np.asarray(clip, dtype=np.float64)
    inside = erf(limit / np.sqrt(2.0))
    return np.asarray(1.0 - 2.0 * limit * np.exp(-0.5 * limit * limit) / np.sqrt(2.0 * np.pi) / inside)


def clipped_std(values: Array, *, clip: float = 3.0, iterations: int = 30) -> float:
    """Standard deviation about zero of a Gaussian core with contaminated tails, NaN ignored.

    Values beyond ``clip`` times the current estimate are left out, and the variance of what is left is
    divided by the variance of a Gaussian truncated there, so that pure noise comes out unbiased (97 %
    efficient at clip 3).

    Parameters
    ----------
    values : ndarray
        Zero-mean values.
    clip : float
        Where to truncate, in standard deviations.
    iterations : int
        Most iterations; it stops at a relative change of 1e-4.

    Returns
    -------
    float
        The estimate; NaN if nothing is finite.
    """
    from denoise.noise._kernels import below

    flat = np.ascontiguousarray(values).ravel()
    some = np.abs(flat[:: max(1, flat.size // _START)])
    some = some[np.isfinite(some)]
    some = some if some.size else np.abs(flat[np.isfinite(flat)])
    if not some.size:
        return float("nan")
    variance = (float(np.median(some)) / QUARTILE) ** 2
    constant = float(truncated_variance(clip))
    for _ in range(iterations):
        total, number = below(flat, clip * np.sqrt(variance))
        update = total / number / constant if number else variance
        done = abs(update - variance) <= 2e-4 * variance
        variance = update
        if done:
            break
    return float(np.sqrt(variance))
