"""Compiled passes over blocks: thinning, counting, sums; without the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np

from denoise.compiled import compiled


def _thin_py(block: Any, step: Any, whole: Any, picks: Any, means: Any, lowest: Any, covered: Any) -> None:
    """Fill `picks` (centre of each step x step pixels) and `means`; update `lowest` and `covered`.

    Means are sums over the number of all pixels if `whole`, else over that of the finite ones, NaN if none.
    """
    nchan, ny, nx = block.shape
    column, number = np.empty(nx, block.dtype), np.empty(nx, block.dtype)
    low = np.empty(nx, block.dtype)
    zero, one = block.dtype.type(0), block.dtype.type(1)
    each = block.dtype.type(1.0 / (step * step))
    for c in range(nchan):
        low[:] = 0
        for j in range(means.shape[1]):
            column[:] = 0
            number[:] = 0
            last = min(j * step + step, ny)
            for y in range(j * step, last):
                values, seen = block[c, y], covered[y]
                for x in range(nx):  # by elements, which vectorises
                    value = values[x]
                    known = not np.isnan(value)
                    column[x] += value if known else zero
                    number[x] += one if known else zero
                    seen[x] |= np.uint8(known)
                    low[x] = value if value < low[x] else low[x]
            centre = block[c, min(j * step + step // 2, ny - 1)]
            for i in range(means.shape[2]):
                total, share = zero, zero
                for x in range(i * step, min(i * step + step, nx)):
                    total += column[x]
                    share += number[x]
                means[c, j, i] = total * each if whole else total / share
                picks[c, j, i] = centre[min(i * step + step // 2, nx - 1)]
        lowest[c] = min(lowest[c], low.min())


def _tally_py(noise: Any, mask: Any, width: Any, counts: Any, squares: Any, numbers: Any) -> None:
    """Count ``|noise|`` per channel in bins of `width`, and add squares per pixel; both sides of zero apart.

    Parameters
    ----------
    noise, mask : ndarray, shape (channel, y, x)
        NaN and what is masked do not count.
    counts : ndarray of int64, shape (2, channel, bins)
        Values beyond the last bin are left out.
    squares, numbers : ndarray, shape (2, y, x)
    """
    nchan, ny, nx = noise.shape
    bins = counts.shape[2]
    scale = noise.dtype.type(1.0 / width)
    for c in range(nchan):
        for y in range(ny):
            for x in range(nx):
                value = noise[c, y, x]
                if mask[c, y, x] or np.isnan(value):
                    continue
                side = 0 if value < 0 else 1
                squares[side, y, x] += value * value
                numbers[side, y, x] += 1
                place = abs(value) * scale
                if place < bins:
                    counts[side, c, int(place)] += 1


def _below_py(values: Any, limit: Any) -> Any:
    """Sum of the squares, and number, of the values nearer to zero than the limit; NaN do not count."""
    total, number = 0.0, 0
    for k in range(values.size):
        value = float(values[k])
        if abs(value) < limit:
            total += value * value
            number += 1
    return total, number


def _neighbours_py(noise: Any, limit: Any, rows: Any, columns: Any) -> None:
    """Add what the correlation across boundaries of rows and of columns is made of.

    Parameters
    ----------
    noise : ndarray, shape (channel, y, x)
        NaN and what is beyond the limit do not count.
    rows, columns : ndarray, shapes (4, y - 1) and (4, x - 1)
        Products of the neighbours on both sides, squares before it, squares after it, number of pairs.
    """
    nchan, ny, nx = noise.shape
    for c in range(nchan):
        for y in range(ny):
            for x in range(nx):
                value = noise[c, y, x]
                if not abs(value) < limit:
                    continue
                for axis in range(2):
                    inside = y + 1 < ny if axis == 0 else x + 1 < nx
                    if not inside:
                        continue
                    other = noise[c, y + 1, x] if axis == 0 else noise[c, y, x + 1]
                    if not abs(other) < limit:
                        continue
                    sums, at = (rows, y) if axis == 0 else (columns, x)
                    sums[0, at] += value * other
                    sums[1, at] += value * value
                    sums[2, at] += other * other
                    sums[3, at] += 1


thin = compiled(_thin_py, error_model="numpy")
tally = compiled(_tally_py)
neighbours = compiled(_neighbours_py)
below = compiled(_below_py)
