"""Histograms of normalised noise per channel: robust estimates of a stream in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.noise.statistics import truncated_variance

Array = NDArray[np.float64]
BINS = 160
WIDTH = 0.05  # in units of the first guess of sigma: the last bin ends at 8


@dataclass
class TailHistograms:
    """Counts of ``|z|`` per channel, negative and positive values apart.

    Parameters
    ----------
    nchan : int
        Number of channels.
    """

    negative: NDArray[np.int64]
    positive: NDArray[np.int64]

    @classmethod
    def empty(cls, nchan: int) -> TailHistograms:
        """No counts yet."""
        return cls(np.zeros((nchan, BINS), np.int64), np.zeros((nchan, BINS), np.int64))

    def add(self, counts: NDArray[np.int64], first: int) -> None:
        """Add counts, shape (2, channel, bins), negative values first, of channels from `first` on."""
        own = slice(first, first + counts.shape[1])
        self.negative[own] += counts[0]
        self.positive[own] += counts[1]


def clipped_sigma(counts: NDArray[np.int64], *, clip: float = 3.0) -> Array:
    """Sigma about zero per row from counts of ``|z|``, truncated at `clip` sigma and corrected exactly.

    Bin centres stand for the values; the extra variance of a bin's width is taken off (Sheppard).

    Returns
    -------
    ndarray, shape (rows,)
        NaN for rows with fewer than 4 counts.
    """
    centre = (np.arange(BINS) + 0.5) * WIDTH
    number = np.cumsum(counts, axis=1, dtype=np.float64)
    square = np.cumsum(counts * centre**2, axis=1)
    enough = number[:, -1] >= 4
    sigma = np.where(enough, _median(number) / 0.6744897501960817, np.nan)
    for _ in range(40):
        reach = np.clip(np.where(enough, clip * sigma / WIDTH, 1.0), 1.0, BINS)
        last = np.minimum(reach.astype(int), BINS - 1)
        share = (reach - last)[:, None]
        inside, squares = (_partial(a, last[:, None], share) for a in (number, square))
        effective = reach * WIDTH / np.where(sigma > 0, sigma, 1.0)
        constant = truncated_variance(np.clip(effective, 0.5, 8.0))
        update = np.sqrt(np.maximum(squares / np.maximum(inside, 1.0) - WIDTH**2 / 12.0, 0.0) / constant)
        update = np.where(enough, update, np.nan)
        if np.allclose(update, sigma, rtol=1e-5, equal_nan=True):
            return np.asarray(update)
        sigma = update
    return np.asarray(sigma)


def _partial(cumulative: Array, last: NDArray[np.int64], share: Array) -> Array:
    """Cumulative sum up to a fractional bin."""
    before = np.take_along_axis(cumulative, np.maximum(last - 1, 0), axis=1)
    upto = np.take_along_axis(cumulative, last, axis=1)
    before = np.where(last > 0, before, 0.0)
    return np.asarray((before + share * (upto - before))[:, 0])


def _median(number: Array) -> Array:
    half = 0.5 * number[:, -1:]
    place = np.argmax(number >= half, axis=1)[:, None]
    upto = np.take_along_axis(number, place, axis=1)
    before = np.where(place > 0, np.take_along_axis(number, np.maximum(place - 1, 0), axis=1), 0.0)
    share = (half - before) / np.maximum(upto - before, 1.0)
    return np.asarray(((place + share) * WIDTH)[:, 0])
