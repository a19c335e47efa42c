"""Compiled inner loops of the scale-space search, on masks of one bit a voxel; ``detection`` is the interface.

A mask is an array of 64-bit words (channel, y, word); bit i of word w is x = 64 w + i, bits beyond the row are 0.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel
from denoise.transforms._smoothing_kernels import ZERO, smooth_rows
from denoise.transforms._starlet_kernels import copy

WORD = 64
SPAN, SPAN_VALUES = 8, 1 << 16  # words of a row taken together, at most; values of all their channels: cached
NONE, UNIT = np.uint64(0), np.uint64(1)


@kernel
def span_of(nchan, words):
    """Words of a row that are smoothed along channels together."""
    return max(1, min(SPAN, words, SPAN_VALUES // (nchan * WORD)))


@kernel
def rows_of(nchan, words):
    """Rows that are smoothed along channels together: of short rows several, or most of the time goes to calls."""
    return max(1, span_of(nchan, SPAN) // words)


@kernel
def mark(smoothed, level, both, bits, first, last):
    """Planes first to last: set the bits of the voxels above `level`, or beyond it on either side."""
    ny, nx = smoothed.shape[1], smoothed.shape[2]
    found = False
    for c in range(first, last):
        for y in range(ny):
            found = mark_row(smoothed[c, y], nx, level, both, bits[c, y]) or found
    return found


@kernel
def mark_row(values, size, level, both, bits):
    """The same of the first `size` values of a row; whether there is any."""
    found = NONE
    for w in range(-(-size // WORD)):
        word, start = NONE, w * WORD
        for i in range(min(WORD, size - start)):
            value = values[start + i]
            value = abs(value) if both else value
            word |= np.uint64(value > level) << np.uint64(i)
        bits[w] = word
        found |= word
    return found != NONE


@kernel
def exceeds(values, size, level, both):
    """Whether any of the first `size` values of a row does: several times faster than marking it."""
    count = np.int32(0)
    for i in range(size):
        value = abs(values[i]) if both else values[i]
        count += np.int32(value > level)
    return count > 0


@kernel
def scan(plane, tap, levels, both, bits, found, first, last):
    """Rows first to last: smooth along channels, scale after scale, and set the bits of what exceeds the levels.

    plane : (channel, y, x), smoothed in space; levels : (scale, kind); bits : (scale, kind, channel, y, word);
    found : (scale, kind), set where there is any. Beyond the ends there are zeros.
    """
    nchan, nx, words = plane.shape[0], plane.shape[2], bits.shape[4]
    scales, kinds = levels.shape
    span, rows = span_of(nchan, words), rows_of(nchan, words)
    width = span * WORD
    zeros = np.zeros(rows * width, np.float32)
    now, following = np.zeros((nchan, rows * width), np.float32), np.zeros((nchan, rows * width), np.float32)
    for y in range(first, last, rows):
        count = min(rows, last - y)
        for word in range(0, words, span):
            size = min(width, nx - word * WORD)
            load_rows(plane, y, count, word * WORD, size, width, now)
            for scale in range(scales):
                if scale > 0:
                    for c in range(nchan):
                        smooth_rows(now, c, tap, 2 ** (scale - 1), False, zeros, following[c])
                    now, following = following, now
                lowest = levels[scale].min()
                for c in range(nchan):
                    if not exceeds(now[c], (count - 1) * width + size, lowest, both):
                        bits[scale, :, c, y : y + count, word : word + span] = NONE
                        continue
                    for kind in range(kinds):
                        for r in range(count):
                            row = bits[scale, kind, c, y + r, word : word + span]
                            if mark_row(now[c, r * width :], size, levels[scale, kind], both, row):
                                found[scale, kind] = True


@kernel
def load_rows(data, y, count, start, size, width, out):
    """Part of some rows of every channel side by side, `width` apart: (channel, value)."""
    for c in range(data.shape[0]):
        for r in range(count):
            copy(data[c, y + r, start : start + size], out[c, r * width : r * width + size])


@kernel
def take_off(data, smooth, tap, scales, level, both, bits, out, first, last):
    """Rows first to last: smooth along channels; what exceeds `level` is marked and taken off the data.

    smooth : (channel, y, x), the data smoothed in space; out : ``data - smooth`` where marked, else ``data``, may be
    `data`. Whether there is any.
    """
    nchan, nx, words = data.shape[0], data.shape[2], bits.shape[2]
    span, rows, found = span_of(nchan, words), rows_of(nchan, words), False
    width = span * WORD
    zeros = np.zeros(rows * width, np.float32)
    now, following = np.zeros((nchan, rows * width), np.float32), np.zeros((nchan, rows * width), np.float32)
    for y in range(first, last, rows):
        count = min(rows, last - y)
        for word in range(0, words, span):
            start = word * WORD
            size = min(width, nx - start)
            load_rows(smooth, y, count, start, size, width, now)
            for scale in range(scales):
                for c in range(nchan):
                    smooth_rows(now, c, tap, 2**scale, False, zeros, following[c])
                now, following = following, now
            for c in range(nchan):
                for r in range(count):
                    row = now[c, r * width : r * width + size]
                    found = mark_row(row, size, level, both, bits[c, y + r, word : word + span]) or found
                    less_bright(data[c, y + r, start:], row, level, both, out[c, y + r, start:])
    return found


@kernel
def less_bright(values, smooth, level, both, out):
    """A row less its smoothing where that exceeds `level`."""
    for i in range(smooth.shape[0]):
        value = abs(smooth[i]) if both else smooth[i]
        out[i] = values[i] - (smooth[i] if value > level else ZERO)


@kernel
def unmark(bits, out, first, last):
    """Planes first to last of the mask as booleans."""
    for c in range(first, last):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                out[c, y, x] = (bits[c, y, x // WORD] >> np.uint64(x % WORD)) & UNIT != NONE


@kernel
def widen_planes(bits, half_y, half_x, ends, out, first, last):
    """Planes first to last grown by a box of half widths (y, x): `out`, which is not `bits`.

    ends : (word,) the bits that a row has.
    """
    ny, words = bits.shape[1], bits.shape[2]
    row = np.empty(ny * words, np.uint64)
    for c in range(first, last):
        out[c] = NONE
        low, high = ny, 0
        for y in range(ny):
            if widen_row(bits, c, y, half_x, ends, row):
                low, high = min(low, y), y + 1
        target = out[c].reshape(-1)
        for shift in range(-half_y, half_y + 1):
            start, stop = max(0, low + shift), min(ny, high + shift)
            if start < stop:
                place = slice((start - shift) * words, (stop - shift) * words)
                join_rows(row[place], target[start * words : stop * words])


@kernel
def widen_row(bits, c, y, half, ends, out):
    """Row y of plane c grown by `half` bits to both sides, at most 63, into its place in `out`; whether it has any."""
    words, found = bits.shape[2], NONE
    for w in range(words):
        word = bits[c, y, w]
        found |= word
        before = bits[c, y, w - 1] if w > 0 else NONE
        after = bits[c, y, w + 1] if w + 1 < words else NONE
        wide = word
        if word | before | after != NONE:
            for k in range(1, half + 1):
                up, down = np.uint64(k), np.uint64(WORD - k)
                wide |= (word << up) | (before >> down) | (word >> up) | (after << down)
        out[y * words + w] = wide & ends[w]
    return found != NONE


@kernel
def join_rows(source, out):
    """``out |= source`` for one row of words."""
    for i in range(out.shape[0]):
        out[i] |= source[i]


@kernel
def join_channels(bits, half, out, first, last):
    """Rows first to last: add to `out`, which is not `bits`, what is there within `half` channels."""
    nchan, words = bits.shape[0], bits.shape[2]
    for c in range(nchan):
        for y in range(first, last):
            target = out[c, y]
            for other in range(max(0, c - half), min(nchan, c + half + 1)):
                for w in range(words):
                    target[w] |= bits[other, y, w]
