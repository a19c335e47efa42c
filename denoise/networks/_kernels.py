"""Compiled inner loops of the scale space as a network takes it, and of the weighed sum; ``weighing`` is the interface.

A few neighbouring pixels, or positions of two by two, with all their channels at a time: the spectral smoothings stay
in cache, and no sub-band is ever stored.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._gate_kernels import LANES, significances, slot, smoothings
from denoise.transforms._jit import kernel

ZERO, ONE, QUARTER = np.float32(0), np.float32(1), np.float32(0.25)
TINY = np.float32(1e-12)


@kernel
def pool(details, nx, front, out, first, last):
    """Mean of two by two pixels of channels first to last, zeros around the block.

    details : (spatial scale, channel, pixel), rows of `nx` pixels.
    front : zeros before the first (row, column).
    out : (spatial scale, channel, row, column).
    """
    rows = details.shape[2] // nx
    for a in range(details.shape[0]):
        for k in range(first, last):
            cells = out[a, k]
            for y in range(cells.shape[0]):
                for x in range(cells.shape[1]):
                    cells[y, x] = ZERO
            for y in range(rows):
                line, target = details[a, k, y * nx : (y + 1) * nx], cells[(y + front[0]) // 2]
                for x in range(nx):
                    target[(x + front[1]) // 2] += QUARTER * line[x]


@kernel
def see(details, inverse, knee, tables, place, out, first, last):
    """Bent significances of positions first to last.

    details : (spatial scale, channel, position).
    place : first channel and first position in `out`.
    out : (channel, position, input).
    """
    spatial, spectral = details.shape[0], tables.shape[0] + 1
    levels = np.empty((spatial, spectral, details.shape[1], LANES), np.float32)
    seen = np.empty((inverse.size, LANES), np.float32)
    for start in range(first, last, LANES):
        n = min(LANES, last - start)
        smoothings(details, start, n, tables, levels)
        for k in range(details.shape[1]):
            significances(levels, k, inverse, knee, seen)
            target = out[k + place[0], start + place[1] : start + place[1] + n]
            for i in range(n):
                for b in range(inverse.size):
                    target[i, b] = seen[b, i]


@kernel
def weigh(details, tables, gains, correction, limits, place, out, first, last):
    """Sum of the bands of pixels first to last times their gains, plus the correction.

    details : (spatial scale, channel, pixel), rows of as many pixels as `out` has.
    gains, correction : (channel, position, 25 or 4), see ``unet3d.Answer``.
    limits : (5, 5): a coefficient c keeps at least ``1 - limit / c^2``.
    place : first row in `out`, zeros before its first (channel, row, column), positions in a row.
    out : (channel, y, x).
    """
    nchan, nx = details.shape[1], out.shape[2]
    spatial, spectral, side = details.shape[0], tables.shape[0] + 1, limits.shape[1]
    levels = np.empty((spatial, spectral, nchan, LANES), np.float32)
    total, gain = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    at, inner = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    flat = out.reshape(nchan, -1)
    for start in range(first, last, LANES):
        n = min(LANES, last - start)
        smoothings(details, start, n, tables, levels)
        for i in range(n):
            y, x = (start + i) // nx + place[0] + place[2], (start + i) % nx + place[3]
            at[i], inner[i] = (y // 2) * place[4] + x // 2, (y % 2) * 2 + x % 2
        for k in range(nchan):
            shares, added = gains[k + place[1]], correction[k + place[1]]
            for i in range(n):
                total[i] = added[at[i], inner[i]]
            for a in range(spatial):
                for b in range(spectral):
                    row, column = slot(a, spatial, side), slot(b, spectral, side)
                    for i in range(n):
                        gain[i] = shares[at[i], row * side + column]
                    fine, coarse = levels[a, b, k], levels[a, min(b + 1, spectral - 1), k]
                    add_kept(fine, coarse, b == spectral - 1, gain, limits[row, column], total)
            target = flat[k, place[0] * nx + start : place[0] * nx + start + n]
            for i in range(n):
                target[i] = total[i]


@kernel
def add_kept(fine, coarse, last, gain, limit, total):
    """Add the band ``fine - coarse`` (of the last: `fine`) times its gain."""
    for i in range(LANES):
        c = fine[i] if last else fine[i] - coarse[i]
        total[i] += max(gain[i], ONE - limit / max(c * c, TINY)) * c
