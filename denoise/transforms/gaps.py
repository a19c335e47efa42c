"""Bridge flagged channels, so that smoothing along the spectrum does not take them for empty sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms.starlet import Array

WIDEST = 4  # channels of a gap that is bridged


def bridged(data: Array, valid: NDArray[np.bool_]) -> Array:
    """Channels without any coverage filled linearly from their neighbours; longer gaps and the ends stay as they are.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
    valid : ndarray of bool, same shape
        Where there is coverage.
    """
    known = np.flatnonzero(valid.any(axis=(1, 2)))
    missing = np.setdiff1d(np.arange(known[0], known[-1]), known) if known.size else known
    if not missing.size:
        return data
    out = data.copy()
    for channel in missing:
        after = int(np.searchsorted(known, channel))
        low, high = int(known[after - 1]), int(known[after])
        if high - low <= WIDEST + 1:
            share = np.float32((channel - low) / (high - low))
            out[channel] = (1 - share) * data[low] + share * data[high]
    return out
