"""Sigma per channel from few beams: what differs more than sampling lets it stays, the rest is pooled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LEAST = 0.1  # of the mean variance around a channel


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


def mix(variance: Array, weights: Array, first: int, count: int) -> Array:
    """Weighted means of neighbours, ``sum_k w[k] v[c + first + k]``, weights renormalised at the ends.

    Parameters
    ----------
    variance : ndarray, shape (nchan, ...)
    weights : ndarray, shape (taps,)
    first : int
        Where the first weight lies from the channel of the output.
    count : int
        Channels of the output.
    """
    out = np.zeros((count, *variance.shape[1:]))
    norm = np.zeros(count)
    for w, inner, outer in _overlaps(weights, first, variance.shape[0], count):
        out[outer] += w * variance[inner]
        norm[outer] += w
    return np.asarray(out / norm.reshape(-1, *(1,) * (variance.ndim - 1)))


def _overlaps(weights: Array, first: int, nchan: int, count: int) -> Iterator[tuple[float, slice, slice]]:
    for k in np.nonzero(weights)[0]:
        shift = first + int(k)
        low, high = max(0, -shift), min(count, nchan - shift)
        if high > low:
            yield float(weights[k]), slice(low + shift, high + shift), slice(low, high)


def unmix(variance: Array, weights: Array, first: int, nchan: int) -> Array:
    """Variance per channel from weighted means of neighbours: the inverse of `mix`.

    Richardson-Lucy iterations: positive, and a constant stays one.

    Parameters
    ----------
    variance : ndarray, shape (count,)
        NaN where nothing was measured.
    weights, first
        As in `mix`.
    nchan : int
        Channels of the result.
    """
    good = np.isfinite(variance) & (variance > 0)
    if not good.any():
        return np.full(nchan, np.nan)
    estimate, norm = np.full(nchan, float(variance[good].mean())), np.zeros(nchan)
    overlaps = list(_overlaps(weights, first, nchan, variance.size))
    for w, inner, outer in overlaps:
        norm[inner] += w * good[outer]
    # no channel is much quieter than all means that it enters: what is not measured must not run away
    floor = _LEAST * mix(
        np.where(good, variance, variance[good].mean()), weights[::-1], 1 - first - weights.size, nchan
    )
    for _ in range(20):
        ratio = np.where(good, variance / mix(estimate, weights, first, variance.size), 0.0)
        update = np.zeros(nchan)
        for w, inner, outer in overlaps:
            update[inner] += w * ratio[outer]
        estimate = np.where(norm > 0, estimate * update / np.where(norm > 0, norm, 1.0), estimate)
        estimate = np.maximum(estimate, floor)
    # the first and last channels hardly enter any difference: they take their neighbours' value
    known = norm > 0.3 * norm.max()
    place = np.arange(nchan)
    return np.asarray(np.interp(place, place[known], estimate[known]))
