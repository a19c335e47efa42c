"""Compiled inner loops of separable smoothing, box means and box maxima; ``smoothing`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel
from denoise.transforms._starlet_kernels import block_width, copy, fill, load, mirror, mirrored_ends, store

ZERO = np.float32(0)
STRIP_VALUES = 4096  # values of rows that are smoothed together: cached


@kernel
def border_index(index, size, mirrored):
    """Sample that stands for `index`; -1 for a zero."""
    if 0 <= index < size:
        return index
    return mirror(index, size) if mirrored else -1


@kernel
def weigh_five(far_left, left, middle, right, far_right, taps, out):
    """``out`` becomes the sum of five rows weighted with symmetric taps, in one pass."""
    outer, inner, centre = taps[0], taps[1], taps[2]
    for i in range(out.shape[0]):
        near, far = left[i] + right[i], far_left[i] + far_right[i]
        out[i] = centre * middle[i] + inner * near + outer * far


@kernel
def scale_row(source, weight, out):
    """``out = weight * source`` on rows."""
    for i in range(out.shape[0]):
        out[i] = weight * source[i]


@kernel
def accumulate_pair(left, right, weight, out):
    """``out += weight * (left + right)`` on rows."""
    for i in range(out.shape[0]):
        out[i] += weight * (left[i] + right[i])


@kernel
def row_at(rows, index, mirrored, zeros):
    """The row that stands for `index`: one of `rows`, or zeros."""
    at = border_index(index, rows.shape[0], mirrored)
    return rows[at] if at >= 0 else zeros


@kernel
def smooth_rows(rows, k, taps, step, mirrored, zeros, out):
    """Row k correlated across `rows` with odd symmetric taps, `step` apart."""
    half = taps.shape[0] // 2
    if half == 2:
        weigh_five(
            row_at(rows, k - 2 * step, mirrored, zeros),
            row_at(rows, k - step, mirrored, zeros),
            rows[k],
            row_at(rows, k + step, mirrored, zeros),
            row_at(rows, k + 2 * step, mirrored, zeros),
            taps,
            out,
        )
        return
    scale_row(rows[k], taps[half], out)
    for t in range(1, half + 1):
        left, right = (
            row_at(rows, k - t * step, mirrored, zeros),
            row_at(rows, k + t * step, mirrored, zeros),
        )
        accumulate_pair(left, right, taps[half + t], out)


@kernel
def smooth_shifted(values, taps, step, out):
    """``out[i]`` becomes the sum of values i, i + step, i + 2 step, ... weighted with odd symmetric taps."""
    half, size = taps.shape[0] // 2, out.shape[0]
    reach = half * step
    middle = values[reach : reach + size]
    if half == 2:
        left, right = values[step : step + size], values[3 * step : 3 * step + size]
        weigh_five(values[:size], left, middle, right, values[4 * step : 4 * step + size], taps, out)
        return
    scale_row(middle, taps[half], out)
    for t in range(1, half + 1):
        left, right = values[reach - t * step :], values[reach + t * step :]
        accumulate_pair(left[:size], right[:size], taps[half + t], out)


@kernel
def smooth_columns(data, out, taps, step, mirrored, first, last):
    """Correlate pixels first to last along channels with odd symmetric taps, `step` apart: (channel, pixel).

    `out` may be `data`: each block is read before it is written.
    """
    nchan = data.shape[0]
    width = block_width(nchan)
    block, zeros = np.empty((nchan, width), np.float32), np.zeros(width, np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        load(data, start, n, block)
        for k in range(nchan):
            smooth_rows(block, k, taps, step, mirrored, zeros, out[k, start : start + n])


@kernel
def smooth_planes(data, out, taps_y, taps_x, step, mirrored, first, last):
    """Correlate planes first to last along y and x with odd symmetric taps, `step` apart.

    `out` may be `data`: each plane is copied first.
    """
    ny, nx = data.shape[1], data.shape[2]
    reach, above = taps_x.shape[0] // 2 * step, taps_y.shape[0] // 2 * step
    width = nx + 2 * reach
    some = max(1, min(ny, STRIP_VALUES // width))
    # one long row of all rows, borders included: of short rows most of the time goes to calls and to odd ends
    plane = np.zeros((ny + 2 * above) * width, np.float32)
    middle, done = np.zeros(some * width + 2 * reach, np.float32), np.empty(some * width, np.float32)
    ends = np.empty(2 * reach, np.int64)
    for i in range(reach):
        ends[i] = border_index(i - reach, nx, mirrored)
        ends[reach + i] = border_index(nx + i, nx, mirrored)
    for k in range(first, last):
        for y in range(-above, ny + above):
            at = border_index(y, ny, mirrored)
            if at < 0:
                continue
            row = plane[(y + above) * width : (y + above + 1) * width]
            inside = row[reach : reach + nx]
            copy(data[k, at], inside)
            if mirrored:
                for i in range(reach):
                    row[i] = inside[ends[i]]
                    row[reach + nx + i] = inside[ends[reach + i]]
        for y in range(0, ny, some):
            count = min(some, ny - y)
            size = count * width
            smooth_shifted(plane[y * width :], taps_y, step * width, middle[:size])
            smooth_shifted(middle, taps_x, step, done[:size])
            for r in range(count):
                copy(done[r * width : r * width + nx], out[k, y + r])


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


@kernel
def mean_columns(data, half, out, first, last):
    """Running mean over ``2 * half + 1`` channels, mirrored, of pixels first to last: (channel, pixel)."""
    nchan = data.shape[0]
    width = block_width(nchan)
    values, total = np.empty((nchan, width), np.float32), np.empty(width, np.float64)
    for start in range(first, last, width):
        n = min(width, last - start)
        load(data, start, n, values)
        average_channels(values, half, total, out, start, n)


@kernel
def average_channels(values, half, total, out, start, n):
    """Running mean along channels, mirrored, into pixels start to start + n of `out`."""
    nchan, width = values.shape
    total[:] = 0.0
    for offset in range(-half, half + 1):
        k = mirror(offset, nchan)
        for i in range(width):
            total[i] += values[k, i]
    weight = 1.0 / (2 * half + 1)
    for k in range(nchan):
        line = out[k, start : start + n]
        for i in range(n):
            line[i] = total[i] * weight
        enter, leave = mirror(k + half + 1, nchan), mirror(k - half, nchan)
        for i in range(width):
            total[i] += np.float64(values[enter, i]) - np.float64(values[leave, i])


@kernel
def average_planes(power, low, ny, half, out_low, out_high, out, first, last):
    """Box mean over (y, x) with mirrored borders, of planes first to last.

    power : (plane, row, x), its first row is row `low` of the cube of `ny` rows; out : (plane, row, x)
    holds rows out_low to out_high.
    """
    nx = power.shape[2]
    width = nx + 2 * half
    some = max(1, min(out_high - out_low, STRIP_VALUES // width))  # rows as one long row, see `smooth_planes`
    total, pad = np.empty(nx, np.float64), np.empty(some * width, np.float32)
    spare, done = np.zeros(some * width, np.float32), np.empty(some * width - 2 * half, np.float32)
    weight = np.float32(1.0 / (2 * half + 1) ** 2)
    border = mirrored_ends(nx, half)
    for k in range(first, last):
        total[:] = 0.0
        for offset in range(-half, half + 1):
            y = mirror(out_low + offset, ny) - low
            for i in range(nx):
                total[i] += power[k, y, i]
        for start in range(out_low, out_high, some):
            count = min(some, out_high - start)
            for r in range(count):
                y, row = start + r, pad[r * width : (r + 1) * width]
                padded_row(total, half, border, row)
                if y + 1 < out_high:
                    enter, leave = mirror(y + half + 1, ny) - low, mirror(y - half, ny) - low
                    move(total, power[k, enter], power[k, leave])
            size = count * width
            box_row(pad[:size], half, spare[:size], weight, done[: size - 2 * half])
            for r in range(count):
                copy(done[r * width : r * width + nx], out[k, start + r - out_low])


@kernel
def padded_row(total, half, border, out):
    """A row with `half` mirrored values more on either side, in single precision."""
    nx = total.shape[0]
    middle = out[half : half + nx]
    for i in range(nx):
        middle[i] = total[i]
    for i in range(half):
        out[i] = middle[border[i]]
        out[half + nx + i] = middle[border[half + i]]


@kernel
def move(total, enter, leave):
    """Add what enters a running sum and take off what leaves it."""
    for i in range(total.shape[0]):
        total[i] += np.float64(enter[i]) - np.float64(leave[i])


@kernel
def box_row(pad, half, spare, weight, out):
    """Sums over 2 half + 1 neighbours from sums of 1, 2, 4, ... values, joined by the bits of the width."""
    size, left = out.shape[0], 2 * half + 1
    now, following = pad, spare
    at, span = 0, 1
    out[:] = ZERO
    while left > 0:
        if left & 1:
            part = now[at : at + size]
            for i in range(size):
                out[i] += part[i]
            at += span
        left >>= 1
        if left > 0:
            shifted = now[span:]
            for i in range(now.shape[0] - span):
                following[i] = now[i] + shifted[i]
            now, following = following, now
            span *= 2
    for i in range(size):
        out[i] *= weight
