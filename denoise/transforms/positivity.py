"""Emission without negative values that keeps its flux."""

from __future__ import annotations

import numpy as np

from denoise.transforms.smoothing import box_mean
from denoise.transforms.starlet import Array


def without_negatives(data: Array, half_widths: tuple[int, int, int], *, threads: int = 1) -> Array:
    """Set negative values to zero and take what that adds from the positive values around them.

    Cutting negatives alone keeps the noise where it is positive and brightens every source. With x the positive part, d
    what cutting added and B a box mean, the result is ``x (1 - B[d / B x])``: its sum is that of the data, within a
    box, as long as there is enough that is positive.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Finite.
    half_widths : (int, int, int)
        Of the box (channel, y, x): as far as values share their noise.
    threads : int
        Threads of this call.

    Returns
    -------
    ndarray, float32, nowhere negative
    """
    positive = np.maximum(data, 0)
    added = positive - data
    channels = np.flatnonzero(added.any(axis=(1, 2)))
    if not channels.size:
        return positive
    reach = 2 * half_widths[0]
    part = slice(max(0, channels[0] - reach), channels[-1] + reach + 1)
    around = box_mean(positive[part], half_widths, threads=threads)
    share = np.divide(added[part], around, out=np.zeros_like(around), where=around > 0)
    share = box_mean(np.minimum(share, 1), half_widths, threads=threads)
    positive[part] *= np.maximum(1 - share, 0)
    return positive
