"""Compiled inner loops of the scale-space search, on masks of one bit a voxel; ``detection`` is the interface.

A mask is an array of 64-bit words (channel, y, word); bit i of word w is x = 64 w + i, bits beyond the row are 0.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

WORD = 64
NONE, UNIT = np.uint64(0), np.uint64(1)


@kernel
def mark(smoothed, level, both, bits, first, last):
    """Planes first to last: set the bits of the voxels above `level`, or beyond it on either side."""
    ny, nx = smoothed.shape[1], smoothed.shape[2]
    found = False
    for c in range(first, last):
        for y in range(ny):
            for w in range(bits.shape[2]):
                word, start = NONE, w * WORD
                for i in range(min(WORD, nx - start)):
                    value = smoothed[c, y, start + i]
                    value = abs(value) if both else value
                    word |= np.uint64(value > level) << np.uint64(i)
                bits[c, y, w] = word
                found = found or word != NONE
    return found


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
    row = np.empty((ny, words), np.uint64)
    for c in range(first, last):
        for y in range(ny):
            widen_row(bits[c, y], half_x, ends, row[y])
        for y in range(ny):
            for w in range(words):
                word = NONE
                for other in range(max(0, y - half_y), min(ny, y + half_y + 1)):
                    word |= row[other, w]
                out[c, y, w] = word


@kernel
def widen_row(row, half, ends, out):
    """One row of words grown by `half` bits to both sides, at most 63."""
    words = row.shape[0]
    for w in range(words):
        before = row[w - 1] if w > 0 else NONE
        after = row[w + 1] if w + 1 < words else NONE
        word = row[w]
        for k in range(1, half + 1):
            up, down = np.uint64(k), np.uint64(WORD - k)
            word |= (row[w] << up) | (before >> down) | (row[w] >> up) | (after << down)
        out[w] = word & ends[w]


@kernel
def widen_channels(bits, half, out, first, last):
    """Rows first to last of all channels grown by `half` channels: `out`, which is not `bits`."""
    nchan, words = bits.shape[0], bits.shape[2]
    for c in range(nchan):
        for y in range(first, last):
            for w in range(words):
                out[c, y, w] = bits[c, y, w]
            for other in range(max(0, c - half), min(nchan, c + half + 1)):
                for w in range(words):
                    out[c, y, w] |= bits[other, y, w]
