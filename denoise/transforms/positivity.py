"""Emission without negative values that keeps its flux."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.transforms import _positivity_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import box_mean
from denoise.transforms.starlet import Array
from denoise.transforms.windows import windows_around

BOX = (3, 12)  # half widths over which what cutting adds is taken back: channels, pixels
_ROUNDS = 2


def without_negatives(data: Array, support: NDArray[np.bool_], *, threads: int = 1) -> Array:
    """Set negative values to zero and take what that adds from the values around them.

    Cutting negatives alone keeps the noise where it is positive and brightens every source. Here what cutting adds is
    spread over the support within a box and subtracted; that makes new, smaller negatives, and is done twice.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Finite.
    support : ndarray of bool, same shape
        Where flux may be taken; outside, the result is 0.
    threads : int
        Threads of this call.

    Returns
    -------
    ndarray, float32, nowhere negative
    """
    out = np.zeros_like(data)
    reach = BOX[0] if len(data) > 1 else 0
    # only what is within the boxes' reach of the support counts there
    for window in windows_around(support, (reach, BOX[1]), threads=threads):
        _cut(data[window], support[window], (reach, BOX[1], BOX[1]), out[window], threads)
    return out


def _cut(
    data: Array, inside: NDArray[np.bool_], half: tuple[int, int, int], out: Array, threads: int
) -> None:
    """The same of one part of the data, into `out`."""
    room = box_mean(inside, half, threads=threads)
    added = np.empty_like(room)
    values = data
    for _ in range(_ROUNDS):
        _on_planes(kernels.lacking, (values, inside, room, added), threads)
        mean = box_mean(added, half, threads=threads)
        _on_planes(kernels.taken_back, (values, inside, mean, out), threads)
        values = out
    _on_planes(kernels.clip, (out,), threads)


def _on_planes(kernel: Callable[..., object], arrays: tuple[NDArray[Any], ...], threads: int) -> None:
    run_ranges(lambda a, b: kernel(*arrays, a, b), len(arrays[0]), threads=threads)


def halo(channels: int) -> tuple[int, int]:
    """How far (channels, pixels) a value looks."""
    return (_ROUNDS * BOX[0] if channels > 1 else 0), _ROUNDS * BOX[1]
