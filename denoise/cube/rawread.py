"""Blocks of a raw image in a file, by plain reads.

A mapped file that another program shortens while it is copied ends the process (SIGBUS); a read that ends early is an
error that can be told.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise.cube.regions import outer_axes, strides

_GAP = 1 << 15  # bytes between two runs that are read over in less time than another read takes
_SPAN = 1 << 20  # bytes that are read over at a time


def read_slices(
    path: str | Path, offset: int, stored: DTypeLike, shape: Sequence[int], slices: Sequence[slice]
) -> NDArray[Any]:
    """A part of an image, as a new array in the byte order of this machine.

    Parameters
    ----------
    path : str or Path
        The file.
    offset : int
        First byte of the image.
    stored : dtype
        In the file, with its byte order.
    shape : sequence of int
        Of the image, slowest axis first.
    slices : sequence of slice
        The part: start and stop on each axis.

    Raises
    ------
    OSError, EOFError
        The file cannot be read; it ends before the part does.
    """
    dtype = np.dtype(stored)
    part = [one.stop - one.start for one in slices]
    outer = outer_axes(slices, shape)
    steps = strides(shape, dtype.itemsize)
    first = offset + sum(one.start * step for one, step in zip(slices, steps, strict=True))
    out = np.empty(part, dtype.newbyteorder("="))
    if not out.size:
        return out
    rows = out.reshape(prod(part[: outer - 1]), part[outer - 1], -1) if outer else out.reshape(1, 1, -1)
    step = steps[outer - 1] if outer else 0
    with open(path, "rb", buffering=0) as file:
        for number, index in enumerate(np.ndindex(*part[: max(0, outer - 1)])):
            start = first + sum(i * one for i, one in zip(index, steps, strict=False))
            _read_rows(file, start, step, dtype, rows[number])
    return out


def _read_rows(file: io.RawIOBase, start: int, step: int, dtype: np.dtype[Any], out: NDArray[Any]) -> None:
    """Runs of equal length, `step` bytes from each other, into the rows of a native array."""
    count, length = out.shape
    if step - length * dtype.itemsize > _GAP or count == 1:
        for number in range(count):
            _read(file, start + number * step, out[number])
            if not dtype.isnative:
                out[number].byteswap(inplace=True)
        return
    width = step // dtype.itemsize
    some = max(1, _SPAN // step)
    buffer = np.empty(min(some, count) * width, dtype)
    for number in range(0, count, some):
        now = min(some, count - number)
        # the last run alone is read to its end: behind it the file may end
        _read(file, start + number * step, buffer[: (now - 1) * width + length])
        out[number : number + now] = buffer[: now * width].reshape(now, width)[:, :length]


def _read(file: io.RawIOBase, start: int, into: NDArray[Any]) -> None:
    """Fill a contiguous array, however many calls it takes."""
    left = into.view(np.uint8).data
    file.seek(start)
    while left:
        got = file.readinto(left) or 0
        if not got:
            raise EOFError(f"the file ends {len(left)} bytes before the block does")
        left = left[got:]
