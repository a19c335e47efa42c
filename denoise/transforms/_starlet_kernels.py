"""Compiled inner loops of the 2D-1D transform; ``starlet`` is the interface.

Two stages. ``spatial_details`` takes one channel at a time through all spatial scales, its rows in cache.
``*_columns`` takes a block of neighbouring pixels with all their channels through the spectral scales,
applies the rule to each coefficient and adds it up, so that no sub-band is ever stored. Both work on rows
low to high of the cube only; the caller bounds memory by choosing how many.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

C0, C1, C2 = np.float32(0.375), np.float32(0.25), np.float32(0.0625)
ONE, ZERO, TINY = np.float32(1), np.float32(0), np.float32(1e-33)
SOFT, HARD, GARROTE, FIRM, LINEAR, REWEIGHTED = range(6)

BLOCK_VALUES = 32768  # float32 values of one column buffer: three of them stay in a core's own cache


@kernel
def mirror(index, size):
    """Index folded into the axis by reflection about its end samples."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index = index % period
    return min(index, period - index)


@kernel
def mirrored_ends(size, reach):
    """Where the `reach` samples before the first and after the last come from."""
    ends = np.empty(2 * reach, np.int64)
    for i in range(reach):
        ends[i] = mirror(i - reach, size)
        ends[reach + i] = mirror(size + i, size)
    return ends


@kernel
def smooth_row(source, at, ny, offset, step, pad, pad_index, out):
    """One row of the next scaling plane: B3 along y into a padded row, then along x."""
    nx = out.shape[0]
    a = source[mirror(at - 2 * step, ny) - offset]
    b = source[mirror(at - step, ny) - offset]
    c = source[at - offset]
    d = source[mirror(at + step, ny) - offset]
    e = source[mirror(at + 2 * step, ny) - offset]
    reach = 2 * step
    middle = pad[reach : reach + nx]
    for i in range(nx):
        middle[i] = C0 * c[i] + C1 * (b[i] + d[i]) + C2 * (a[i] + e[i])
    for i in range(reach):
        pad[i] = pad[reach + pad_index[i]]
        pad[reach + nx + i] = pad[reach + pad_index[reach + i]]
    p0 = pad[0:nx]
    p1 = pad[step : step + nx]
    p3 = pad[reach + step : reach + step + nx]
    p4 = pad[2 * reach : 2 * reach + nx]
    for i in range(nx):
        out[i] = C0 * middle[i] + C1 * (p1[i] + p3[i]) + C2 * (p0[i] + p4[i])


@kernel
def detail_plane(source, offset, target, start, stop, low, high, ny, step, detail):
    """Rows start to stop of the next scaling plane into `target`, and rows low to high of the detail."""
    nx = target.shape[1]
    pad = np.empty(nx + 4 * step, np.float32)
    pad_index = mirrored_ends(nx, 2 * step)
    for y in range(start, stop):
        row = target[y - start]
        smooth_row(source, y, ny, offset, step, pad, pad_index, row)
        if low <= y < high:
            fine, out = source[y - offset], detail[y - low]
            for i in range(nx):
                out[i] = fine[i] - row[i]


@kernel
def spatial_details(data, details, low, high, first, last):
    """Starlet details of rows low to high of channels first to last: details (scale, channel, row, x)."""
    scales = details.shape[0] - 1
    ny, nx = data.shape[1], data.shape[2]
    reach = 2 * ((1 << scales) - 1)
    size = min(ny, high + reach) - max(0, low - reach)
    spare = np.empty((2, size, nx), np.float32)
    for k in range(first, last):
        source, offset, left = data[k], 0 * low, reach  # a literal 0 would be compiled on its own
        for j in range(scales):
            left -= 2 << j
            start, stop = max(0, low - left), min(ny, high + left)
            target = spare[j % 2] if j < scales - 1 else details[scales, k]
            detail_plane(source, offset, target, start, stop, low, high, ny, 1 << j, details[j, k])
            source, offset = target, start
        if scales == 0:
            for y in range(low, high):
                copy(data[k, y], details[0, k, y - low])


@kernel
def shrink_rows(rule, values, level, sigma, shape, previous, previous_level, out):  # noqa: PLR0912 - a loop a rule
    """Add the changed coefficients to `out`; the threshold is ``level * sigma``."""
    nchan, width = out.shape
    if rule == SOFT:
        for k in range(nchan):
            for i in range(width):
                v, t = values[k, i], level * sigma[k, i]
                c = v if v < t else t
                c = c if c > -t else -t
                out[k, i] += v - c
    elif rule == HARD:
        for k in range(nchan):
            for i in range(width):
                v = values[k, i]
                out[k, i] += ZERO if abs(v) <= level * sigma[k, i] else v
    elif rule == GARROTE:
        for k in range(nchan):
            for i in range(width):
                v, t = values[k, i], level * sigma[k, i]
                out[k, i] += ZERO if abs(v) <= t else v - t * (t / v)
    elif rule == FIRM:
        steep = shape / (shape - ONE)
        for k in range(nchan):
            for i in range(width):
                v, t = values[k, i], level * sigma[k, i]
                a = abs(v)
                r = (a - t) * steep
                r = a if r > a else r
                out[k, i] += ZERO if a <= t else (r if v > ZERO else -r) + ZERO * v
    elif rule == LINEAR:
        for k in range(nchan):
            for i in range(width):
                out[k, i] += level * values[k, i]
    elif rule == REWEIGHTED:
        for k in range(nchan):
            for i in range(width):
                v, a = values[k, i], abs(previous[k, i])
                t, q = level * sigma[k, i], previous_level * sigma[k, i]
                t = t * (q / (a + TINY)) if a > q else t
                c = v if v < t else t
                c = c if c > -t else -t
                out[k, i] += v - c


@kernel
def analyse(current, smooth, detail, table, low, high):
    """Next scaling coefficients and detail along channels, of a block (channel, pixel).

    Rows are indexed, not sliced: a slice costs two atomic counter updates, which is what a short row takes.
    """
    if high.shape[0] > 0:
        filter_rows(current, table, low, smooth)
        filter_rows(current, table, high, detail)
        return
    nchan, width = current.shape
    for k in range(nchan):
        a, b, d, e = table[k, 0], table[k, 1], table[k, 3], table[k, 4]
        for i in range(width):
            inner, outer = current[b, i] + current[d, i], current[a, i] + current[e, i]
            smooth[k, i] = C0 * current[k, i] + C1 * inner + C2 * outer
        for i in range(width):  # its own loop: with two outputs the compiler gives up on vectors
            detail[k, i] = current[k, i] - smooth[k, i]


@kernel
def filter_rows(rows, table, taps, out):
    """``out[k] = sum_t taps[t] rows[table[k, t]]`` for symmetric taps."""
    nchan, width = rows.shape
    centre, half = table.shape[1] // 2, taps.shape[0] // 2
    for k in range(nchan):
        for i in range(width):
            out[k, i] = taps[half] * rows[k, i]
        for t in range(half):
            a, b, weight = table[k, centre - half + t], table[k, centre + half - t], taps[t]
            for i in range(width):
                out[k, i] += weight * (rows[a, i] + rows[b, i])


@kernel
def copy(source, out):
    """One row; an assignment between arrays would make the compiler bring in its error messages."""
    for i in range(out.shape[0]):
        out[i] = source[i]


@kernel
def fill(block, value):
    """Every value of a block."""
    for k in range(block.shape[0]):
        for i in range(block.shape[1]):
            block[k, i] = value


@kernel
def store(block, n, start, out):
    """The first n pixels of a block into pixels start to start + n of all channels."""
    for k in range(out.shape[0]):
        copy(block[k], out[k, start : start + n])


@kernel
def load(source, start, n, out):
    """Pixels start to start + n of all channels into a block; what is left of the block becomes zero."""
    width = out.shape[1]
    for k in range(source.shape[0]):
        line = source[
            k, start : start + n
        ]  # an index "start + i" may wrap around for the compiler: no vectors
        for i in range(n):
            out[k, i] = line[i]
        for i in range(n, width):
            out[k, i] = ZERO


@kernel
def load_scale(sigma, start, n, nx, low, out):
    """Sigma of pixels start to start + n (flat, counted from row `low`), broadcast over axes of size one."""
    nchan, ny, width = sigma.shape
    for k in range(out.shape[0]):
        plane = sigma[k if nchan > 1 else 0]
        for i in range(n):
            y, x = (start + i) // nx + low, (start + i) % nx
            out[k, i] = plane[y if ny > 1 else 0, x if width > 1 else 0]


@kernel
def block_width(nchan):
    """Pixels taken together in a column block."""
    return max(16, BLOCK_VALUES // nchan // 16 * 16)


@kernel
def shrink_columns(
    details, previous, out, low, nx, sigma, level, previous_level, shape, rule, tables, filters, first, last
):
    """Spectral transform, rule and synthesis of pixels first to last (flat index into the rows of `details`).

    details, previous : (scale, channel, pixel); previous has no pixels where the rule needs none.
    out : (channel, pixel of the cube), rows of `nx` pixels from `low` on are written.
    filters : (low, high, dual_low, dual_high); an empty high marks the starlet, whose synthesis is a sum.
    """
    scales, nchan = tables.shape[0], details.shape[1]
    width = block_width(nchan)
    dual, both = filters[1].shape[0] > 0, previous.shape[2] > 0
    kept = np.empty((scales + 1 if dual else 0, nchan, width), np.float32)
    work = np.empty((6 if both else 3, nchan, width), np.float32)
    scale = np.empty((nchan, width), np.float32)
    fill(scale, sigma[0, 0, 0])
    total = np.empty((nchan, width), np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        fill(total, ZERO)
        if sigma.size > 1:
            load_scale(sigma, start, n, nx, low, scale)
        for j2 in range(details.shape[0]):
            load(details[j2], start, n, work[0])
            if both:
                load(previous[j2], start, n, work[3])
            shrink_block(
                work, scale, level[j2], previous_level[j2], shape, rule, tables, filters, kept, total
            )
        store(total, n, low * nx + start, out)


@kernel
def shrink_block(work, scale, level, previous_level, shape, rule, tables, filters, kept, total):
    """One spatial scale of ``shrink_columns``: adds to `total`.

    Work: data, spare, detail, then the same three of the previous iterate where there is one.
    """
    scales = tables.shape[0]
    both, dual = work.shape[0] > 3, filters[1].shape[0] > 0
    for j in range(scales + 1):
        a, b, values = work[j % 2], work[1 - j % 2], work[2]
        pa, pb, before = (work[3 + j % 2], work[4 - j % 2], work[5]) if both else (a, b, values)
        if j == scales:
            values, before = a, pa
        target = kept[j] if dual else total
        if dual:
            fill(target, ZERO)
        if j < scales:
            analyse(a, b, values, tables[j], filters[0], filters[1])
            if both:
                analyse(pa, pb, before, tables[j], filters[0], filters[1])
        shrink_rows(rule, values, level[j], scale, shape, before, previous_level[j], target)
    if dual:
        rebuild(kept, work[0], work[1], tables, filters)
        add(kept[scales], total)


@kernel
def add(values, out):
    """``out += values``."""
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[k, i] += values[k, i]


@kernel
def rebuild(kept, a, b, tables, filters):
    """Spectral synthesis with the dual filters; the result replaces the coarse band in `kept`."""
    scales = tables.shape[0]
    for level in range(scales):
        j = scales - 1 - level
        filter_rows(kept[scales], tables[j], filters[2], a)
        filter_rows(kept[j], tables[j], filters[3], b)
        fill(kept[scales], ZERO)
        add(a, kept[scales])
        add(b, kept[scales])


@kernel
def band_columns(details, bands, tables, filters, first, last):
    """All spectral bands of pixels first to last: bands (spatial, spectral, channel, pixel)."""
    scales, nchan = tables.shape[0], details.shape[1]
    width = block_width(nchan)
    work = np.empty((3, nchan, width), np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        for j2 in range(details.shape[0]):
            load(details[j2], start, n, work[0])
            for j in range(scales):
                analyse(work[j % 2], work[1 - j % 2], work[2], tables[j], filters[0], filters[1])
                store(work[2], n, start, bands[j2, j])
            store(work[scales % 2], n, start, bands[j2, scales])
