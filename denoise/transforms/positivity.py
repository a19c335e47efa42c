"""Emission without negative values that keeps its flux."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms.smoothing import box_mean
from denoise.transforms.starlet import Array

BOX = (3, 12)  # half widths over which what cutting adds is taken back: channels, pixels
_ROUNDS = 2


def without_negatives(data: Array, support: NDArray[np.bool_], *, threads: int = 1) -> Array:
    """Set negative values to zero and take what that adds from the values around them.

    Cutting negatives alone keeps the noise where it is positive and brightens every source. Here what cutting adds is
    spread over the support within a box and subtracted; that makes new, smaller negatives, and is done twice.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Finite, 0 outside the support.
    support : ndarray of bool, same shape
        Where flux may be taken.
    threads : int
        Threads of this call.

    Returns
    -------
    ndarray, float32, nowhere negative
    """
    out = np.maximum(data, 0)
    channels = np.flatnonzero(support.any(axis=(1, 2)))
    if not channels.size or not (data < 0).any():
        return out
    reach = 2 * BOX[0] if len(data) > 1 else 0
    # beyond the reach of the boxes there is nothing: what they mirror at the cut is zero
    part = slice(max(0, channels[0] - reach), channels[-1] + reach + 1)
    half = (BOX[0] if len(data) > 1 else 0, BOX[1], BOX[1])
    inside = support[part]
    room = box_mean(inside, half, threads=threads)
    values = data[part]
    for _ in range(_ROUNDS):
        added = np.divide(np.maximum(-values, 0), room, out=np.zeros_like(room), where=inside)
        values = np.maximum(values, 0) - box_mean(added, half, threads=threads) * inside
    out[part] = np.maximum(values, 0)
    return out


def halo(channels: int) -> tuple[int, int]:
    """How far (channels, pixels) a value looks."""
    return (_ROUNDS * BOX[0] if channels > 1 else 0), _ROUNDS * BOX[1]
