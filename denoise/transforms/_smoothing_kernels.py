"""Compiled inner loops of separable smoothing and box maxima; ``smoothing`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel
from denoise.transforms._starlet_kernels import block_width, copy, fill, load, mirror, store

ZERO = np.float32(0)


@kernel
def border_index(index, size, mirrored):
    """Sample that stands for `index`; -1 for a zero."""
    if 0 <= index < size:
        return index
    return mirror(index, size) if mirrored else -1


@kernel
def accumulate(source, weight, out):
    """``out += weight * source`` on rows."""
    for i in range(out.shape[0]):
        out[i] += weight * source[i]


@kernel
def smooth_columns(data, out, taps, step, mirrored, first, last):
    """Correlate pixels first to last along channels with odd symmetric taps, `step` apart: (channel, pixel).

    `out` may be `data`: each block is read before it is written.
    """
    nchan, half = data.shape[0], taps.shape[0] // 2
    width = block_width(nchan)
    block = np.empty((nchan, width), np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        load(data, start, n, block)
        for k in range(nchan):
            row = out[k, start : start + n]
            row[:] = ZERO
            for t in range(-half, half + 1):
                at = border_index(k + t * step, nchan, mirrored)
                if at >= 0:
                    accumulate(block[at], taps[t + half], row)


@kernel
def smooth_planes(data, out, taps_y, taps_x, step, mirrored, first, last):
    """Correlate planes first to last along y and x with odd symmetric taps, `step` apart.

    `out` may be `data`: each plane is copied first.
    """
    ny, nx = data.shape[1], data.shape[2]
    half_y, half_x = taps_y.shape[0] // 2, taps_x.shape[0] // 2
    reach = half_x * step
    plane, pad = np.empty((ny, nx), np.float32), np.zeros(nx + 2 * reach, np.float32)
    ends = np.empty(2 * reach, np.int64)
    for i in range(reach):
        ends[i] = border_index(i - reach, nx, mirrored)
        ends[reach + i] = border_index(nx + i, nx, mirrored)
    for k in range(first, last):
        for y in range(ny):
            copy(data[k, y], plane[y])
        for y in range(ny):
            middle, row = pad[reach : reach + nx], out[k, y]
            middle[:] = ZERO
            for t in range(-half_y, half_y + 1):
                at = border_index(y + t * step, ny, mirrored)
                if at >= 0:
                    accumulate(plane[at], taps_y[t + half_y], middle)
            if mirrored:
                for i in range(reach):
                    pad[i] = middle[ends[i]]
                    pad[reach + nx + i] = middle[ends[reach + i]]
            row[:] = ZERO
            for t in range(2 * half_x + 1):
                accumulate(pad[t * step : t * step + nx], taps_x[t], row)


@kernel
def maximum(source, out):
    """``out = max(out, source)`` on rows."""
    for i in range(out.shape[0]):
        out[i] = source[i] if source[i] > out[i] else out[i]


@kernel
def widest_power(width):
    """Largest power of two that is at most `width`."""
    power = 1
    while 2 * power <= width:
        power *= 2
    return power


@kernel
def spread_rows(rows, half):
    """Row i becomes the maximum of rows i to i + 2 half, in log2 passes; the last 2 half rows are scrap."""
    count, power, span = rows.shape[0], widest_power(2 * half + 1), 1
    while span < power:
        for k in range(count - span):
            maximum(rows[k + span], rows[k])
        span *= 2
    rest = 2 * half + 1 - power
    for k in range(count - rest):
        maximum(rows[k + rest], rows[k])


@kernel
def spread_row(row, half):
    """The same along one row."""
    size, power, span = row.shape[0], widest_power(2 * half + 1), 1
    while span < power:
        maximum(row[span:], row[: size - span])
        span *= 2
    rest = 2 * half + 1 - power
    maximum(row[rest:], row[: size - rest])


@kernel
def max_columns(data, lowest, half, out, first, last):
    """Running maximum over ``2 half + 1`` channels, cut off at the ends, of pixels first to last."""
    nchan = data.shape[0]
    width = block_width(nchan)
    rows = np.empty((nchan + 2 * half, width), data.dtype)
    for start in range(first, last, width):
        n = min(width, last - start)
        fill(rows, lowest)
        for k in range(nchan):
            copy(data[k, start : start + n], rows[half + k, :n])
        spread_rows(rows, half)
        store(rows, n, start, out)


@kernel
def max_planes(data, lowest, half_y, half_x, out, first, last):
    """Running maximum over a (y, x) box, cut off at the borders, of planes first to last.

    `out` may be `data`.
    """
    ny, nx = data.shape[1], data.shape[2]
    rows = np.empty((ny + 2 * half_y, nx + 2 * half_x), data.dtype)
    for k in range(first, last):
        fill(rows, lowest)
        for y in range(ny):
            copy(data[k, y], rows[half_y + y, half_x : half_x + nx])
        spread_rows(rows, half_y)
        for y in range(ny):
            spread_row(rows[y], half_x)
            copy(rows[y], out[k, y])
