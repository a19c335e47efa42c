"""Whether error bars say how large the errors are: the shares of errors within 1 sigma and within limits of 95 %."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.accuracy import usable

Array = NDArray[Any]
Mask = NDArray[np.bool_]

LEVELS = ((0.68, 1.0), (0.95, 1.96))  # share of Gaussian errors within so many sigma
NOTHING = 0.01  # sigma of the noise: a truth below it is none, where the result is exactly zero


class Coverage(NamedTuple):
    """What a set of error bars covers.

    Attributes
    ----------
    within_1, within_2 : float
        Share of the errors within 1 sigma and within the limits of 95 %: .68 and .95 where the error bars are right.
    tails : float
        Quantile .95 over quantile .68 of error / sigma: 1.97 for Gaussian errors, more with heavy tails.
    """

    within_1: float
    within_2: float
    tails: float


def scored(truth: Array, estimate: Array, sigma: Array | float) -> Mask:
    """Where an error bar can be right or wrong: all but exact zeros where the truth is below a hundredth of `sigma`.

    There the error is nothing whatever the error bar says, and a method that sets most of a cube to zero would
    seem to cover all of it.

    Parameters
    ----------
    truth, estimate : ndarray, shape (channel, y, x)
        One unit.
    sigma : ndarray or float
        Noise of the data, same unit, broadcastable.
    """
    mask: Mask = (estimate != 0) | (np.abs(truth) >= NOTHING * np.asarray(sigma))
    return mask


def coverage(
    truth: Array,
    estimate: Array,
    uncertainty: Array,
    mask: Mask | None = None,
    *,
    limits: Array | float = LEVELS[1][1],
) -> Coverage | None:
    """Coverage of ``estimate`` plus and minus ``uncertainty`` in the mask; None where it holds no voxel.

    Parameters
    ----------
    truth, estimate, uncertainty : ndarray, shape (channel, y, x)
        One unit, `uncertainty` 1 sigma; voxels that are not finite in one of them are left out.
    mask : ndarray of bool, optional
        (channel, y, x), or (y, x) for all channels; None: every voxel.
    limits : ndarray or float
        How many `uncertainty` are said to hold 95 %; broadcastable.

    Raises
    ------
    ParameterError
        The shapes differ.
    """
    use = usable(mask, truth, estimate, uncertainty)
    if not use.any():
        return None
    wide = np.broadcast_to(limits, use.shape)[use]
    error = np.abs(estimate[use].astype(np.float64) - truth[use])
    sigma = uncertainty[use].astype(np.float64)
    shares = [float(np.mean(error <= factor * sigma)) for factor in (1.0, wide)]
    pull = np.divide(error, sigma, out=np.full_like(error, np.inf), where=sigma > 0)
    low, high = np.quantile(pull, [share for share, _ in LEVELS], method="higher")
    tails = float(high / low) if 0 < low < np.inf else float("nan")
    return Coverage(shares[0], shares[1], tails)
