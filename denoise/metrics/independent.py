"""Errors without a noise-free truth: against an independent half, or against an observation of high SNR.

Both correct for the noise of what they compare with. Arrays are (channel, y, x) in one unit; masks may be (y, x).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.accuracy import usable

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def half_rmse_ratio(
    half: Array, variance: Array | float, noisy: Array, denoised: Array, mask: Mask | None = None
) -> float | None:
    """RMSE ratio of a denoised half, measured against the other half.

    The other half b = t + n_b is independent of both, so that ``<(x - b)^2> - <var n_b>`` is the mean square error
    of x, for the output and for its input (Lehtinen et al. 2018, arXiv:1803.04189, use the same identity to train).

    Parameters
    ----------
    half : ndarray
        The other half: same sky, independent noise.
    variance : ndarray or float
        Of its noise, broadcastable to the cube.
    noisy, denoised : ndarray
        The half that was denoised, and the result.
    mask : ndarray of bool, optional
        Chosen without looking at ``half``, or the ratio is biased.

    Returns
    -------
    float or None
        1 is what the input had; 0 where noise makes the output's mean square error negative; None where that of
        the input is.
    """
    use = usable(mask, half, noisy, denoised)
    own = _mean(np.broadcast_to(np.asarray(variance, np.float64), half.shape), use)
    before, after = (_mean(np.square(np.subtract(x, half, dtype=np.float64)), use) for x in (noisy, denoised))
    return _root_ratio(after - own, before - own)


def observed_rmse_ratio(
    observed: Array, sigma: Array | float, noisy: Array, denoised: Array, mask: Mask | None = None
) -> float | None:
    """RMSE ratio where the truth is itself an observation, to which noise like its own was added.

    With observation o = t + m, added noise n, output d: ``<(d - t)^2> = <(d - o)^2> - (1 - 2 g) <m^2>``, where
    ``g = <d n> / <n n>`` is the share of the noise that the method lets through: of m as of n, because a method
    cannot tell them apart.

    Parameters
    ----------
    observed : ndarray
        The observation of high SNR.
    sigma : ndarray or float
        1 sigma of its noise, broadcastable to the cube.
    noisy, denoised : ndarray
        The observation with noise added, and the result.
    mask : ndarray of bool, optional

    Returns
    -------
    float or None
        As in `half_rmse_ratio`.
    """
    use = usable(mask, observed, noisy, denoised)
    own = _mean(np.square(np.broadcast_to(np.asarray(sigma, np.float64), observed.shape)), use)
    added = np.subtract(noisy, observed, dtype=np.float64)
    strength = _mean(added**2, use)
    if not strength > 0:
        return None

    def error(x: Array) -> float:
        passed = _mean(x * added, use) - _mean(observed * added, use)
        apart = _mean(np.square(np.subtract(x, observed, dtype=np.float64)), use)
        return apart - (1.0 - 2.0 * passed / strength) * own

    return _root_ratio(error(denoised), error(noisy))


def _mean(values: Array, use: Mask) -> float:
    chosen = values[use]
    return float(chosen.mean(dtype=np.float64)) if chosen.size else math.nan


def _root_ratio(above: float, below: float) -> float | None:
    if not below > 0 or math.isnan(above):
        return None
    return math.sqrt(max(above, 0.0) / below)
