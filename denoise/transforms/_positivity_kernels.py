"""Compiled inner loops of cutting negative values; ``positivity`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

ZERO = np.float32(0)


@kernel
def lacking(values, inside, room, out, first, last):
    """Planes first to last: what values below zero lack, over the share `room` of the box that is inside."""
    for c in range(first, last):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                below = inside[c, y, x] and values[c, y, x] < ZERO
                out[c, y, x] = -values[c, y, x] / room[c, y, x] if below else ZERO


@kernel
def taken_back(values, inside, mean, out, first, last):
    """Planes first to last: values without negatives, less the mean; 0 outside. `out` may be `values`."""
    for c in range(first, last):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                value = max(values[c, y, x], ZERO) - mean[c, y, x]
                out[c, y, x] = value if inside[c, y, x] else ZERO


@kernel
def clip(values, first, last):
    """Planes first to last without negatives, in place."""
    for c in range(first, last):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                values[c, y, x] = max(values[c, y, x], ZERO)
