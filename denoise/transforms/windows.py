"""Where in a large block there is anything to do: boxes around the parts of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms._jit import run_ranges

Window = tuple[slice, slice, slice]

_CELL = 16  # pixels; boxes are made of such squares


def windows_around(mask: NDArray[np.bool_], reach: tuple[int, int], *, threads: int = 1) -> list[Window]:
    """Boxes that do not overlap and hold all of the mask, with at least `reach` around it inside the block.

    Parameters
    ----------
    mask : ndarray of bool, shape (channel, y, x)
    reach : (int, int)
        Channels and pixels around what is in the mask.
    threads : int
        Threads of this call.

    Returns
    -------
    list of (slice, slice, slice)
        Empty where the mask is.
    """
    from scipy import ndimage

    cells = _cells(mask, threads)
    if not cells.any():
        return []
    wide = ndimage.maximum_filter(cells, 2 * -(-reach[1] // _CELL) + 1, mode="constant")
    whole = [(slice(0, wide.shape[0]), slice(0, wide.shape[1]))]
    boxes = whole if wide.all() else _apart(wide)
    return [
        (_channels(mask[:, y, x], reach[0]), y, x) for y, x in (_pixels(box, mask.shape) for box in boxes)
    ]


def _cells(mask: NDArray[np.bool_], threads: int) -> NDArray[np.bool_]:
    """Which squares of `_CELL` pixels hold anything, shape (cell, cell)."""
    seen = np.zeros(mask.shape[1:], np.bool_)

    def rows(first: int, last: int) -> None:
        mask[:, first:last].any(axis=0, out=seen[first:last])

    run_ranges(rows, len(seen), threads=threads)
    ny, nx = mask.shape[1:]
    wide = np.pad(seen, ((0, -ny % _CELL), (0, -nx % _CELL)))
    grid = wide.reshape(wide.shape[0] // _CELL, _CELL, wide.shape[1] // _CELL, _CELL)
    return np.asarray(grid.any(axis=(1, 3)))


def _apart(cells: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Boxes around the connected parts; those that touch are joined."""
    from scipy import ndimage

    number = 0
    while True:
        boxes: list[tuple[slice, slice]] = ndimage.find_objects(ndimage.label(cells, np.ones((3, 3)))[0])
        if len(boxes) == number:
            return boxes
        number, cells = len(boxes), cells.copy()
        for box in boxes:
            cells[box] = True


def _pixels(box: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
    y, x = (
        slice(part.start * _CELL, min(part.stop * _CELL, n)) for part, n in zip(box, shape[1:], strict=True)
    )
    return y, x


def _channels(mask: NDArray[np.bool_], reach: int) -> slice:
    found = np.flatnonzero(mask.any(axis=(1, 2)))
    return slice(max(0, int(found[0]) - reach), int(found[-1]) + reach + 1)
