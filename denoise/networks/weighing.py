"""What a network sees of a block, and the sum of the sub-bands by its answer, without storing a sub-band.

The same numbers, to rounding, as `scalespace.scale_space` and `unet3d.weighed`, with which networks are trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.networks import _kernels as kernels
from denoise.networks.scalespace import BANDS, INPUTS, KNEE, Array, Grid, NoiseNumbers
from denoise.transforms._jit import run_ranges
from denoise.transforms.gates import SIDE, brightness, strength
from denoise.transforms.starlet import layout, prepared, spatial_forward, strip_rows

_MEMORY = 3.0  # of the details of a strip of rows, in units of the data


class Shares(NamedTuple):
    """What a network says of a block, on the positions of its grid.

    Attributes
    ----------
    gains : ndarray, shape (channel, y / 2, x / 2, 25), float32
    correction : ndarray, shape (channel, y / 2, x / 2, 4), float32
    log_variance : ndarray, shape (channel, y / 2, x / 2, 1), float32
        See ``unet3d.Answer``.
    """

    gains: Array
    correction: Array
    log_variance: Array


class _Strip(NamedTuple):
    """Spatial details (scale, channel, pixel) of the rows of a block from `low` on."""

    low: int
    rows: int
    details: Array


def seen(white: Array, noise: NoiseNumbers, grid: Grid, *, threads: int = 1) -> Array:
    """Inputs of a network, as ``ScaleSpace.inputs``.

    Parameters
    ----------
    white : ndarray, shape (channel, y, x), float32
        Whitened, finite, in units of its sigma.
    noise : NoiseNumbers
        Of the block.
    grid : Grid
        Of the block.
    threads : int
        Threads of this call; the result does not depend on it.
    """
    depth, height, width = grid.padded[0], grid.padded[1] // 2, grid.padded[2] // 2
    out = np.zeros((depth, height, width, INPUTS), np.float32)
    near = brightness(strength(white, noise.left, threads=threads))
    out[..., BANDS] = grid.positions(near).mean(axis=-1)
    flat = out.reshape(depth, height * width, INPUTS)
    inverse, tables = np.ascontiguousarray(1 / noise.left), _tables(len(white), noise)
    for strip in _strips(white, noise, grid, threads):
        cells = _pooled(strip, grid, width, threads)
        place = _integers(grid.front[0], width * ((strip.low + grid.front[1]) // 2))
        see = partial(kernels.see, cells, inverse, np.float32(KNEE), tables, place, flat)
        run_ranges(see, cells.shape[2], threads=threads, grain=256)
    return out


def weighed_sum(
    white: Array, noise: NoiseNumbers, grid: Grid, shares: Shares, floor: float, *, threads: int = 1
) -> Array:
    """Sum of the sub-bands times their gains, plus the correction, as ``unet3d.weighed``: (channel, y, x), float32.

    Parameters
    ----------
    white, noise, grid, threads
        As for ``seen``.
    shares : Shares
        Of the network.
    floor : float
        A coefficient c keeps at least ``1 - (floor noise / c)^2``.
    """
    out = np.empty(white.shape, np.float32)
    width = grid.padded[2] // 2
    gains, correction = (part.reshape(grid.padded[0], -1, part.shape[-1]) for part in shares[:2])
    limits = np.square(np.float32(floor) * noise.bands).reshape(SIDE, SIDE)
    tables = _tables(len(white), noise)
    for strip in _strips(white, noise, grid, threads):
        place = _integers(strip.low, *grid.front, width)
        weigh = partial(kernels.weigh, strip.details, tables, gains, correction, limits, place, out)
        run_ranges(weigh, strip.details.shape[2], threads=threads, grain=256)
    return out


def _strips(white: Array, noise: NoiseNumbers, grid: Grid, threads: int) -> Iterator[_Strip]:
    """Strips that do not cut a position in two."""
    block, scales = prepared(white), noise.scales[0]
    reach = layout(len(block), *noise.scales, "starlet").reach
    rows = strip_rows(block.shape, reach=reach, arrays=scales + 1, memory=_MEMORY)
    rows += rows % 2
    buffer = np.empty((scales + 1) * len(block) * min(rows, block.shape[1]) * block.shape[2], np.float32)
    for low in range(-(grid.front[1] % 2), block.shape[1], rows):
        first, last = max(0, low), min(block.shape[1], low + rows)
        yield _Strip(
            first, last - first, spatial_forward(block, scales, first, last, threads=threads, buffer=buffer)
        )


def _pooled(strip: _Strip, grid: Grid, width: int, threads: int) -> Array:
    """Details of positions: (scale, channel, position)."""
    scales, channels, pixels = strip.details.shape
    before = (strip.low + grid.front[1]) % 2
    cells = np.empty((scales, channels, (before + strip.rows + 1) // 2, width), np.float32)
    pool = partial(
        kernels.pool, strip.details, np.int64(pixels // strip.rows), _integers(before, grid.front[2]), cells
    )
    run_ranges(pool, channels, threads=threads)
    return cells.reshape(scales, channels, -1)


def _tables(channels: int, noise: NoiseNumbers) -> NDArray[np.int64]:
    return layout(channels, *noise.scales, "starlet").tables


def _integers(*values: int) -> tuple[np.int64, ...]:
    """For kernels, which are compiled for one type of number only."""
    return tuple(np.int64(value) for value in values)
