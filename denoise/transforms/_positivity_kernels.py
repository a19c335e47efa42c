"""Compiled inner loops of cutting negative values; ``positivity`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

ZERO, ONE = np.float32(0), np.float32(1)


@kernel
def excess(data, inside, level, out, above, first, last):
    """Planes first to last: what cutting at `level` leaves less what was there, and 1 where it leaves something."""
    for c in range(first, last):
        for y in range(data.shape[1]):
            for x in range(data.shape[2]):
                value, left = ZERO, ZERO
                if inside[c, y, x]:
                    value = data[c, y, x]
                    left = max(value - level[c, y, x], ZERO)
                out[c, y, x] = left - value
                above[c, y, x] = ONE if left > ZERO else ZERO


@kernel
def raised(too_much, share, fewest, level, first, last):
    """Planes first to last: the level raised so that what is too much goes, if all above it stay above."""
    for c in range(first, last):
        for y in range(level.shape[1]):
            for x in range(level.shape[2]):
                level[c, y, x] += max(too_much[c, y, x], ZERO) / max(share[c, y, x], fewest)


@kernel
def cut(data, inside, level, out, first, last):
    """Planes first to last: what is above the level, inside."""
    for c in range(first, last):
        for y in range(data.shape[1]):
            for x in range(data.shape[2]):
                out[c, y, x] = max(data[c, y, x] - level[c, y, x], ZERO) if inside[c, y, x] else ZERO
