"""Box sums and dilation of cubes: compiled, one thread, without the GIL; for `denoise.noise.sources`.

Sums are added term by term, not as a running difference, so that a bright source leaves no rounding behind
it; rows are added as a whole, which vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from denoise.compiled import compiled


def _box_planes_py(block: Any, width: Any) -> Any:
    nchan, ny, nx = block.shape
    half = width // 2
    out = np.zeros_like(block)
    rows = np.zeros((ny, nx), dtype=block.dtype)
    scale = block.dtype.type(1.0 / (width * width))
    for c in range(nchan):
        rows[:] = 0
        for y in range(ny):
            for shift in range(-half, half + 1):
                low, high = max(0, -shift), min(nx, nx - shift)
                source, target = block[c, y, low + shift :], rows[y, low:]
                for x in range(high - low):
                    target[x] += source[x]
        for y in range(ny):
            target = out[c, y]
            for k in range(max(0, y - half), min(ny, y + half + 1)):
                source = rows[k]
                for x in range(nx):
                    target[x] += source[x]
            for x in range(nx):
                target[x] *= scale
    return out


def _box_channels_py(block: Any, width: Any) -> Any:
    nchan, ny, nx = block.shape
    half = width // 2
    out = np.zeros_like(block)
    scale = block.dtype.type(1.0 / width)
    for c in range(nchan):
        for y in range(ny):
            target = out[c, y]
            for k in range(max(0, c - half), min(nchan, c + half + 1)):
                source = block[k, y]
                for x in range(nx):
                    target[x] += source[x]
            for x in range(nx):
                target[x] *= scale
    return out


def _beyond_py(block: Any, limit: Any, hits: Any) -> Any:
    """Mark where |block| exceeds the limit; return how many and the smallest value per channel."""
    nchan, ny, nx = block.shape
    lowest = np.zeros(nchan, dtype=block.dtype)
    count = np.int64(0)
    for c in range(nchan):
        least = block.dtype.type(0)
        for y in range(ny):
            values, marks = block[c, y], hits[c, y]
            number = np.int64(0)
            for x in range(nx):
                hit = np.uint8(abs(values[x]) > limit)
                marks[x] = hit
                number += hit
                least = values[x] if values[x] < least else least
            count += number
        lowest[c] = least
    return count, lowest


def _grow_row_py(marks: Any, reach: Any) -> None:
    """Set every value within `reach` of one that is set."""
    nx = marks.size
    end = -1
    for x in range(nx):  # forward: 2 marks what is new, so that it does not spread on
        if marks[x] == 1:
            end = x + reach
        elif x <= end:
            marks[x] = 2
    start = nx
    for x in range(nx - 1, -1, -1):
        if marks[x] == 1:
            start = x - reach
        elif x >= start:
            marks[x] = 2
    for x in range(nx):
        marks[x] = marks[x] > 0


_grow_row = compiled(_grow_row_py)


def _grow_plane_py(marks: Any, reach: Any, out: Any) -> None:
    """Set every value of `out` within `reach` rows of one that is set in `marks`."""
    ny, nx = marks.shape
    count = np.zeros(nx, dtype=np.int32)
    for y in range(-reach, ny):
        if y + reach < ny:
            count += marks[y + reach]
        if y - reach - 1 >= 0:
            count -= marks[y - reach - 1]
        if y >= 0:
            out[y] = count > 0


_grow_plane = compiled(_grow_plane_py)


def _grow_py(hits: Any, reach: Any, mask: Any) -> None:
    """Add to `mask` every voxel within a box of half-widths `reach` of a hit; `hits` is overwritten."""
    nchan, ny, nx = hits.shape
    plane = np.zeros((ny, nx), dtype=np.uint8)
    for c in range(nchan):
        if not hits[c].any():
            continue
        for y in range(ny):
            _grow_row(hits[c, y], reach[2])
        _grow_plane(hits[c], reach[1], plane)
        for k in range(max(0, c - reach[0]), min(nchan, c + reach[0] + 1)):
            for y in range(ny):
                target, source = mask[k, y], plane[y]
                for x in range(nx):
                    target[x] |= source[x]


box_planes = compiled(_box_planes_py)
box_channels = compiled(_box_channels_py)
beyond = compiled(_beyond_py)
grow = compiled(_grow_py)
