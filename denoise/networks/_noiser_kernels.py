"""The NoiSER network on one channel map, compiled: one hidden row at a time, which stays in the processor's cache."""

from __future__ import annotations

import numpy as np

from denoise.compiled import compiled

SLOPE = 0.2  # of the activation below zero

# missing pixels were filled: no NaN comes here
_OPTIONS = {"fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


def _add_rows(padded, first, bias, second, out, low, high):  # type: ignore[no-untyped-def]
    """Add ``second * leaky(first * padded + bias)`` to the rows `low` to `high` of `out`.

    `padded` (y + 4, x + 4) is the map with two more pixels on every side; `first` and `second` (hidden, 9) are 3 x 3
    kernels; `bias` (hidden,); `out` (y, x).
    """
    width = out.shape[1]
    hidden = np.empty(width + 2, np.float32)
    slope = np.float32(SLOPE)
    for row in range(low, high + 2):  # of the hidden map: it reaches the output rows row - 2 to row
        above, here, below = padded[row], padded[row + 1], padded[row + 2]
        for k in range(first.shape[0]):
            a, b, c = first[k, 0], first[k, 1], first[k, 2]
            d, e, f = first[k, 3], first[k, 4], first[k, 5]
            g, h, i = first[k, 6], first[k, 7], first[k, 8]
            add = bias[k]
            for x in range(width + 2):
                value = add + a * above[x] + b * above[x + 1] + c * above[x + 2]
                value += d * here[x] + e * here[x + 1] + f * here[x + 2]
                value += g * below[x] + h * below[x + 1] + i * below[x + 2]
                hidden[x] = max(value, slope * value)
            for tap in range(3):
                target = row - tap
                if low <= target < high:
                    p, q, r = second[k, 3 * tap], second[k, 3 * tap + 1], second[k, 3 * tap + 2]
                    line = out[target]
                    for x in range(width):
                        line[x] += p * hidden[x] + q * hidden[x + 1] + r * hidden[x + 2]


add_rows = compiled(_add_rows, **_OPTIONS)


def _add_filter(padded, taps, out, low, high):  # type: ignore[no-untyped-def]
    """Add the correlation of `padded` with `taps` (5, 5) to the rows `low` to `high` of `out`."""
    for row in range(low, high):
        line = out[row]
        for j in range(5):
            a, b, c, d, e = taps[j, 0], taps[j, 1], taps[j, 2], taps[j, 3], taps[j, 4]
            here = padded[row + j]
            for x in range(out.shape[1]):
                line[x] += a * here[x] + b * here[x + 1] + c * here[x + 2] + d * here[x + 3] + e * here[x + 4]


add_filter = compiled(_add_filter, **_OPTIONS)
