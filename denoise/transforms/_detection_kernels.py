"""Compiled inner loop of the scale-space search; ``detection`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

ZERO, ONE = np.float32(0), np.float32(1)
NONE, LIKELY, SURE = np.uint8(0), np.uint8(1), np.uint8(2)


@kernel
def absorb_scale(smoothed, left, seed, near, low, high, both, pilot, rest, hits, any_hit, first, last):
    """Let planes first to last of one smoothed cube into the pilot where they are significant.

    `rest` is the weight that finer scales have left; `hits` says which voxels exceed the seed (SURE) or what counts
    near one (LIKELY), `any_hit` in which channels.
    """
    inverse, width = ONE / left, ONE / (high - low)
    ny, nx = smoothed.shape[1], smoothed.shape[2]
    for c in range(first, last):
        found = False
        for y in range(ny):
            for x in range(nx):
                value = smoothed[c, y, x]
                significance = value * inverse
                if both:
                    significance = abs(significance)
                hits[c, y, x] = SURE if significance > seed else (LIKELY if significance > near else NONE)
                found = found or significance > near
                t = min(max((significance - low) * width, ZERO), ONE)
                weight = rest[c, y, x] * (t * t * (np.float32(3) - np.float32(2) * t))
                pilot[c, y, x] += weight * value
                rest[c, y, x] -= weight
        any_hit[c] = found
