"""Emission without negative values that keeps its flux."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.transforms import _positivity_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.flux import BOX
from denoise.transforms.smoothing import box_mean
from denoise.transforms.starlet import Array
from denoise.transforms.windows import windows_around

_ROUNDS = 2
# share of a box that is above the level: with less the next level is not to be trusted
_FEWEST = np.float32(0.002)


def without_negatives(data: Array, support: NDArray[np.bool_], *, threads: int = 1) -> Array:
    """The nearest cube without negative values that has the flux of the data in the box around every voxel.

    Cutting negatives alone keeps the noise where it is positive and brightens every source. The nearest point with
    x >= 0 and a given sum is ``max(data - t, 0)`` (Held, Wolfe & Crowder 1974, Math. Program. 6, 62); here the level
    t is that of the box, found by two Newton steps from below, so that bright voxels lose no more than faint ones.

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
    level, excess, above = (np.zeros_like(out) for _ in range(3))
    for _ in range(_ROUNDS):
        _on_planes(kernels.excess, (data, inside, level, excess, above), threads)
        too_much, share = (box_mean(part, half, threads=threads) for part in (excess, above))
        _on_planes(kernels.raised, (too_much, share, _FEWEST, level), threads)
    _on_planes(kernels.cut, (data, inside, level, out), threads)


def _on_planes(kernel: Callable[..., object], arrays: tuple[Any, ...], threads: int) -> None:
    run_ranges(lambda a, b: kernel(*arrays, a, b), len(arrays[0]), threads=threads)


def halo(channels: int) -> tuple[int, int]:
    """How far (channels, pixels) a value looks."""
    return (_ROUNDS * BOX[0] if channels > 1 else 0), _ROUNDS * BOX[1]
