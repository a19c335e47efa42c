"""Sigma per channel from few beams: what differs more than sampling lets it stays, the rest is pooled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shrink(sigma: Array, independent: Array) -> Array:
    """Empirical-Bayes estimate of sigma per channel.

    The logarithms of the measured sigmas scatter by the channels' own differences and by the sampling error
    ``1 / sqrt(2 N)``. The first is what is left of the scatter after the second; each channel moves towards
    the pooled value in that proportion (Efron and Morris 1975, JASA 70, 311), and all the way if the scatter
    is what sampling gives. A channel off by more than 4 errors keeps nearly its own value.

    Parameters
    ----------
    sigma : ndarray, shape (nchan,)
        Measured sigma; NaN where nothing was measured.
    independent : ndarray, shape (nchan,)
        Number of independent samples behind each.

    Returns
    -------
    ndarray, shape (nchan,)
        NaN only if no channel was measured; channels without a value take one from their neighbours.
    """
    good = np.isfinite(sigma) & (sigma > 0) & (independent >= 2)
    if not good.any():
        return np.full(sigma.shape, np.nan)
    weight = np.where(good, independent, 0.0)
    pooled = float(np.sqrt(np.sum(weight[good] * sigma[good] ** 2) / weight.sum()))
    error2 = 1.0 / (2.0 * np.maximum(independent, 2.0))
    deviation = np.where(good, np.log(np.where(good, sigma, 1.0) / pooled), 0.0)
    excess = np.sum(weight * (deviation**2 - error2)) / weight.sum()
    chi2 = float(np.mean(deviation[good] ** 2 / error2[good]))
    if chi2 < 1.0 + 3.0 * np.sqrt(2.0 / np.count_nonzero(good)):
        excess = 0.0
    own = np.maximum(excess, 0.0) / (max(excess, 0.0) + error2)
    alone = 1.0 - 16.0 * error2 / np.maximum(deviation**2, 1e-30)
    result = pooled * np.exp(np.maximum(own, alone).clip(0.0, 1.0) * deviation)
    return result if excess == 0 else _fill(result, good)


def _fill(sigma: Array, good: NDArray[np.bool_]) -> Array:
    place = np.arange(sigma.size)
    return np.asarray(np.exp(np.interp(place, place[good], np.log(sigma[good]))))


def unmix(variance: Array, taps: Array, step: int, nchan: int) -> Array:
    """Variance per channel from the variance of differences, each a mean of ``order + 1`` channels.

    A few Richardson-Lucy iterations: positive, and a constant stays one.

    Parameters
    ----------
    variance : ndarray, shape (nchan - order * step,)
        NaN where nothing was measured.
    taps : ndarray, shape (order + 1,)
        Of the difference; their squares sum to one.
    """
    offsets = step * np.arange(taps.size)
    weight = np.square(taps)
    good = np.isfinite(variance) & (variance > 0)
    seen = np.where(good, variance, 0.0)
    norm = np.zeros(nchan)
    for offset, w in zip(offsets, weight, strict=True):
        norm[offset : offset + variance.size] += w * good
    estimate = np.full(nchan, float(seen[good].mean()) if good.any() else np.nan)
    for _ in range(8):
        model = sum(w * estimate[o : o + variance.size] for o, w in zip(offsets, weight, strict=True))
        ratio = np.where(good, seen / model, 0.0)
        update = np.zeros(nchan)
        for offset, w in zip(offsets, weight, strict=True):
            update[offset : offset + variance.size] += w * ratio
        estimate = np.where(norm > 0, estimate * update / np.where(norm > 0, norm, 1.0), estimate)
    # the first and last channels hardly enter any difference: they take their neighbours' value
    known = norm > 0.3
    place = np.arange(nchan)
    return np.asarray(np.interp(place, place[known], estimate[known])) if known.any() else estimate
