"""Masks of one bit a voxel: growing and joining them costs a fraction of what it costs on booleans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms import _detection_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.wavelets import B3

Array = NDArray[np.float32]
Words = NDArray[np.uint64]
Shape = tuple[int, int, int]


class BitMask:
    """A mask of a block (channel, y, x), changed in place; `threads` of every call change its time only."""

    def __init__(self, shape: Shape, *, threads: int = 1) -> None:
        self.shape, self.threads = shape, threads
        words = -(-shape[2] // kernels.WORD)
        self.bits = np.zeros((shape[0], shape[1], words), np.uint64)
        ends = np.full(words, ~np.uint64(0))
        if shape[2] % kernels.WORD:
            ends[-1] = (np.uint64(1) << np.uint64(shape[2] % kernels.WORD)) - np.uint64(1)
        self._ends = ends

    def mark(self, data: Array, level: float, *, both_signs: bool) -> bool:
        """Become where the data exceed the level, on either side of zero if asked; whether there is such a voxel."""
        found: list[bool] = []
        limit = np.float32(level)
        run_ranges(
            lambda a, b: found.append(kernels.mark(data, limit, both_signs, self.bits, a, b)),
            len(data),
            threads=self.threads,
        )
        return any(found)

    def grown(self, half_widths: tuple[int, int, int]) -> BitMask:
        """Grown by a box of these half widths (channel, y, x)."""
        out = BitMask(self.shape, threads=self.threads)
        out.join_grown(self.bits, half_widths)
        return out

    def join_grown(self, bits: Words, half_widths: tuple[int, int, int]) -> None:
        """Become either this or what the bits of another mask are, grown."""
        half_c, half_y, half_x = half_widths
        wide = np.empty_like(bits)
        run_ranges(
            lambda a, b: kernels.widen_planes(bits, half_y, half_x, self._ends, wide, a, b),
            self.shape[0],
            threads=self.threads,
        )
        run_ranges(
            lambda a, b: kernels.join_channels(wide, half_c, self.bits, a, b),
            self.shape[1],
            threads=self.threads,
        )

    def join(self, bits: Words) -> None:
        """Become either this or the bits of another mask."""
        self.bits |= bits

    def meet(self, other: BitMask) -> None:
        """Become both."""
        self.bits &= other.bits

    def booleans(self) -> NDArray[np.bool_]:
        """As an array of bool, shape (channel, y, x)."""
        out = np.empty(self.shape, np.bool_)
        run_ranges(lambda a, b: kernels.unmark(self.bits, out, a, b), self.shape[0], threads=self.threads)
        return out


def scan(
    plane: Array, levels: Array, *, both_signs: bool, threads: int = 1
) -> tuple[Words, NDArray[np.bool_]]:
    """Bits of what exceeds some levels at each smoothing along channels (B3, zeros beyond the ends).

    Parameters
    ----------
    plane : ndarray, shape (channel, y, x), float32
        The data, smoothed in space.
    levels : ndarray, shape (scale, kind), float32
        Levels at each scale along channels, from none on.
    both_signs : bool
        Beyond a level on either side of zero.
    threads : int
        Threads of this call.

    Returns
    -------
    bits : ndarray of uint64, shape (scale, kind, channel, y, word)
    found : ndarray of bool, shape (scale, kind)
        Whether there is any.
    """
    nchan, ny, nx = plane.shape
    bits = np.empty((*levels.shape, nchan, ny, -(-nx // kernels.WORD)), np.uint64)
    found = np.zeros(levels.shape, np.bool_)
    tap = B3.astype(np.float32)
    run_ranges(
        lambda a, b: kernels.scan(plane, tap, levels, both_signs, bits, found, a, b), ny, threads=threads
    )
    return bits, found


def take_off(
    data: Array, smooth: Array, level: float, out: Array, *, scales: int, both_signs: bool, threads: int = 1
) -> Words | None:
    """Less its smoothing where that is bright: into `out`, which may be `data`.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
    smooth : ndarray, same shape
        The data, smoothed in space.
    level : float
        What is bright, after smoothing along channels too.
    out : ndarray, same shape
        The result.
    scales : int
        Scales of that smoothing (B3, zeros beyond the ends).
    both_signs : bool
        On either side of zero.
    threads : int
        Threads of this call.

    Returns
    -------
    ndarray of uint64, shape (channel, y, word), or None
        The bits of what is bright.
    """
    nchan, ny, nx = data.shape
    bits = np.empty((nchan, ny, -(-nx // kernels.WORD)), np.uint64)
    tap, limit = B3.astype(np.float32), np.float32(level)
    found: list[bool] = []
    run_ranges(
        lambda a, b: found.append(
            kernels.take_off(data, smooth, tap, scales, limit, both_signs, bits, out, a, b)
        ),
        ny,
        threads=threads,
    )
    return bits if any(found) else None
