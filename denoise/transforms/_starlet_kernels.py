"""Compiled inner loops of the 2D-1D transform; ``starlet`` is the interface.

Two stages. ``spatial_details`` takes one channel at a time through all spatial scales, its rows in cache.
``*_columns`` takes a block of neighbouring pixels with all their channels through the spectral scales, applies the
rule to each coefficient and adds it up, so that no sub-band is ever stored. Both work on rows low to high of the
cube only; the caller bounds memory by choosing how many.
"""

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

C0, C1, C2 = np.float32(0.375), np.float32(0.25), np.float32(0.0625)
ONE, ZERO, TINY = np.float32(1), np.float32(0), np.float32(1e-33)
SOFT, HARD, GARROTE, FIRM, LINEAR, REWEIGHTED, KEEP = range(7)
BLOCK_VALUES = 16384  # float32 values of one column buffer: three of them stay in a core's own cache


@kernel
def mirror(index, size):  # type: ignore[no-untyped-def]
    """Index folded into the axis by reflection about its end samples."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index = index % period
    return min(index, period - index)


@kernel
def smooth_row(source, at, ny, offset, step, pad, pad_index, out):  # type: ignore[no-untyped-def]
    """One row of the next scaling plane: B3 along y into a padded row, then along x."""
    nx = out.shape[0]
    a = source[mirror(at - 2 * step, ny) - offset]
    b = source[mirror(at - step, ny) - offset]
    c = source[at - offset]
    d = source[mirror(at + step, ny) - offset]
    e = source[mirror(at + 2 * step, ny) - offset]
    reach = 2 * step
    for i in range(nx):
        pad[reach + i] = C0 * c[i] + C1 * (b[i] + d[i]) + C2 * (a[i] + e[i])
    for i in range(reach):
        pad[i] = pad[reach + pad_index[i]]
        pad[reach + nx + i] = pad[reach + pad_index[reach + i]]
    p0 = pad[0:nx]
    p1 = pad[step : step + nx]
    p2 = pad[reach : reach + nx]
    p3 = pad[reach + step : reach + step + nx]
    p4 = pad[2 * reach : 2 * reach + nx]
    for i in range(nx):
        out[i] = C0 * p2[i] + C1 * (p1[i] + p3[i]) + C2 * (p0[i] + p4[i])


@kernel
def detail_plane(source, offset, target, start, stop, low, high, ny, step, detail):  # type: ignore[no-untyped-def]
    """Rows start to stop of the next scaling plane into `target`, and rows low to high of the detail."""
    nx = target.shape[1]
    pad = np.empty(nx + 4 * step, np.float32)
    pad_index = np.empty(4 * step, np.int64)
    for i in range(2 * step):
        pad_index[i] = mirror(i - 2 * step, nx)
        pad_index[2 * step + i] = mirror(nx + i, nx)
    for y in range(start, stop):
        row = target[y - start]
        smooth_row(source, y, ny, offset, step, pad, pad_index, row)
        if low <= y < high:
            fine, out = source[y - offset], detail[y - low]
            for i in range(nx):
                out[i] = fine[i] - row[i]


@kernel
def spatial_details(data, details, low, high, first, last):  # type: ignore[no-untyped-def]
    """Starlet details of rows low to high of channels first to last: details (scale, channel, row, x)."""
    scales = details.shape[0] - 1
    ny, nx = data.shape[1], data.shape[2]
    reach = 2 * (2**scales - 1)
    size = min(ny, high + reach) - max(0, low - reach)
    spare = np.empty((2, size, nx), np.float32)
    for k in range(first, last):
        source, offset, left = data[k], 0, reach
        for j in range(scales):
            left -= 2 * 2**j
            start, stop = max(0, low - left), min(ny, high + left)
            target = spare[j % 2] if j < scales - 1 else details[scales, k]
            detail_plane(source, offset, target, start, stop, low, high, ny, 2**j, details[j, k])
            source, offset = target, start
        if scales == 0:
            details[0, k] = data[k, low:high]


@kernel
def shrink_row(rule, values, level, scale, shape, previous, previous_level, out):  # type: ignore[no-untyped-def]
    """Add the changed coefficients of one row to `out`; the threshold is ``level * scale``."""
    n = values.shape[0]
    if rule == SOFT:
        for i in range(n):
            v, t = values[i], level * scale[i]
            c = v if v < t else t
            c = c if c > -t else -t
            out[i] += v - c
    elif rule == HARD:
        for i in range(n):
            v = values[i]
            out[i] += ZERO if abs(v) <= level * scale[i] else v
    elif rule == GARROTE:
        for i in range(n):
            v, t = values[i], level * scale[i]
            out[i] += ZERO if abs(v) <= t else v - t * t / v
    elif rule == FIRM:
        for i in range(n):
            v, t = values[i], level * scale[i]
            a = abs(v)
            r = (a - t) * (shape / (shape - ONE))
            r = a if r > a else r
            out[i] += ZERO if a <= t else (r if v > ZERO else -r) + ZERO * v
    elif rule == LINEAR:
        for i in range(n):
            out[i] += level * values[i]
    elif rule == REWEIGHTED:
        for i in range(n):
            v, a = values[i], abs(previous[i])
            t = level * scale[i]
            q = previous_level * scale[i]
            t = t * q / (a + TINY) if a > q else t
            c = v if v < t else t
            c = c if c > -t else -t
            out[i] += v - c
    else:
        for i in range(n):
            out[i] += values[i]


@kernel
def analyse(current, smooth, table, low, high, k, detail):  # type: ignore[no-untyped-def]
    """Row k of the next scaling coefficients and of the detail, along channels."""
    n = current.shape[1]
    centre = low.shape[0] // 2
    out = smooth[k]
    if high.shape[0] == 0:  # starlet: the detail is the difference
        a, b, c = current[table[k, 0]], current[table[k, 1]], current[k]
        d, e = current[table[k, 3]], current[table[k, 4]]
        for i in range(n):
            s = C0 * c[i] + C1 * (b[i] + d[i]) + C2 * (a[i] + e[i])
            out[i] = s
            detail[i] = c[i] - s
        return
    filter_row(current, table, low, k, centre, out)
    filter_row(current, table, high, k, centre, detail)


@kernel
def filter_row(rows, table, taps, k, centre, out):  # type: ignore[no-untyped-def]
    """``out = sum_t taps[t] rows[table[k, t]]`` for symmetric taps."""
    half = taps.shape[0] // 2
    here = rows[k]
    for i in range(out.shape[0]):
        out[i] = taps[half] * here[i]
    for t in range(half):
        a, b, weight = rows[table[k, centre - half + t]], rows[table[k, centre + half - t]], taps[t]
        for i in range(out.shape[0]):
            out[i] += weight * (a[i] + b[i])


@kernel
def load(source, start, n, out):  # type: ignore[no-untyped-def]
    """Pixels start to start + n of all channels into a block; what is left of the block becomes zero."""
    width = out.shape[1]
    for k in range(source.shape[0]):
        row, line = out[k], source[k, start : start + n]
        for i in range(n):
            row[i] = line[i]
        for i in range(n, width):
            row[i] = ZERO


@kernel
def load_scale(sigma, start, n, nx, low, out):  # type: ignore[no-untyped-def]
    """Sigma of pixels start to start + n (flat, counted from row `low`), broadcast over axes of size one."""
    nchan, ny, width = sigma.shape
    for k in range(out.shape[0]):
        plane = sigma[k if nchan > 1 else 0]
        for i in range(n):
            y, x = (start + i) // nx + low, (start + i) % nx
            out[k, i] = plane[y if ny > 1 else 0, x if width > 1 else 0]


@kernel
def block_width(nchan):  # type: ignore[no-untyped-def]
    """Pixels taken together in a column block."""
    return max(16, BLOCK_VALUES // nchan // 16 * 16)


@kernel
def shrink_columns(  # type: ignore[no-untyped-def]
    details, previous, out, low, sigma, level, previous_level, shape, rule, tables, filters, first, last
):
    """Spectral transform, rule and synthesis of pixels first to last (flat index into the rows of `details`).

    details, previous : (scale, channel, pixel); previous has no pixels where the rule needs none.
    out : (channel, y, x), rows from `low` on are written. filters: (low, high, dual_low, dual_high); an empty high
    marks the starlet, whose synthesis is a sum.
    """
    scales, nchan, nx = tables.shape[0], details.shape[1], out.shape[2]
    flat = out.reshape(nchan, out.shape[1] * nx)
    width = block_width(nchan)
    dual, both = filters[1].shape[0] > 0, previous.shape[2] > 0
    kept = np.empty((scales + 1 if dual else 0, nchan, width), np.float32)
    work = np.empty((4 if both else 2, nchan, width), np.float32)
    scale = np.full((nchan, width), sigma[0, 0, 0], np.float32)
    total = np.empty((nchan, width), np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        total[:] = ZERO
        if sigma.size > 1:
            load_scale(sigma, start, n, nx, low, scale)
        for j2 in range(details.shape[0]):
            load(details[j2], start, n, work[0])
            if both:
                load(previous[j2], start, n, work[2])
            shrink_block(
                work, scale, level[j2], previous_level[j2], shape, rule, tables, filters, kept, total
            )
        for k in range(nchan):
            at = low * nx + start
            flat[k, at : at + n] = total[k, :n]


@kernel
def shrink_block(  # type: ignore[no-untyped-def]
    work, scale, level, previous_level, shape, rule, tables, filters, kept, total
):
    """One spatial scale of ``shrink_columns``: adds to `total`. Work: data, spare, previous, spare."""
    scales, nchan = tables.shape[0], total.shape[0]
    both, dual = work.shape[0] > 2, filters[1].shape[0] > 0
    values, before = np.empty(total.shape[1], np.float32), np.empty(total.shape[1], np.float32)
    for j in range(scales + 1):
        a, b = work[j % 2], work[1 - j % 2]
        pa, pb = (work[2 + j % 2], work[3 - j % 2]) if both else (a, b)
        target = kept[j] if dual else total
        if dual:
            target[:] = ZERO
        for k in range(nchan):
            row, old = a[k], pa[k]
            if j < scales:
                analyse(a, b, tables[j], filters[0], filters[1], k, values)
                row = values
                if both:
                    analyse(pa, pb, tables[j], filters[0], filters[1], k, before)
                    old = before
            shrink_row(rule, row, level[j], scale[k], shape, old, previous_level[j], target[k])
    if dual:
        rebuild(kept, tables, filters, work[0], values)
        for k in range(nchan):
            row, line = total[k], kept[scales, k]
            for i in range(row.shape[0]):
                row[i] += line[i]


@kernel
def rebuild(kept, tables, filters, spare, row):  # type: ignore[no-untyped-def]
    """Spectral synthesis with the dual filters; the result replaces the coarse band in `kept`."""
    scales, nchan = tables.shape[0], kept.shape[1]
    centre = tables.shape[2] // 2
    for level in range(scales):
        j = scales - 1 - level
        for k in range(nchan):
            filter_row(kept[scales], tables[j], filters[2], k, centre, spare[k])
            filter_row(kept[j], tables[j], filters[3], k, centre, row)
            line = spare[k]
            for i in range(row.shape[0]):
                line[i] += row[i]
        kept[scales] = spare


@kernel
def band_columns(details, bands, tables, filters, first, last):  # type: ignore[no-untyped-def]
    """All spectral bands of pixels first to last: bands (spatial, spectral, channel, pixel)."""
    scales, nchan = tables.shape[0], details.shape[1]
    width = block_width(nchan)
    work = np.empty((2, nchan, width), np.float32)
    values = np.empty(width, np.float32)
    for start in range(first, last, width):
        n = min(width, last - start)
        for j2 in range(details.shape[0]):
            load(details[j2], start, n, work[0])
            for j in range(scales):
                for k in range(nchan):
                    analyse(work[j % 2], work[1 - j % 2], tables[j], filters[0], filters[1], k, values)
                    bands[j2, j, k, start : start + n] = values[:n]
            bands[j2, scales, :, start : start + n] = work[scales % 2][:, :n]
