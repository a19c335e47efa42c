"""The NoiSER network on one channel map, compiled: two hidden rows at a time, which stay in the processor's cache."""

from __future__ import annotations

import numpy as np

from denoise.compiled import compiled

SLOPE = 0.2  # of the activation below zero

# missing pixels were filled: no NaN comes here
_OPTIONS = {"fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


def _add_rows(padded, first, bias, second, out):  # type: ignore[no-untyped-def]
    """Add ``second * leaky(first * padded + bias)`` to the rows of `out`.

    `padded` (y + 4, x + 4) is a map with two more pixels on every side; `first` and `second` (hidden, 9) are 3 x 3
    kernels, an even number of them; `bias` (hidden,); `out` (y + 4, x), of which the first and the last two rows are
    left with sums of no meaning. Two hidden rows at a time share what is loaded, which takes most of the time.
    """
    width = out.shape[1]
    one, two = np.empty(width + 2, np.float32), np.empty(width + 2, np.float32)
    slope = np.float32(SLOPE)
    for row in range(out.shape[0] - 2):  # of the hidden map: it reaches three rows of the output
        above, here, below = padded[row], padded[row + 1], padded[row + 2]
        last, middle, early = out[row], out[row + 1], out[row + 2]
        for k in range(0, first.shape[0], 2):
            a, b, c = first[k, 0], first[k, 1], first[k, 2]
            d, e, f = first[k, 3], first[k, 4], first[k, 5]
            g, h, i = first[k, 6], first[k, 7], first[k, 8]
            aa, bb, cc = first[k + 1, 0], first[k + 1, 1], first[k + 1, 2]
            dd, ee, ff = first[k + 1, 3], first[k + 1, 4], first[k + 1, 5]
            gg, hh, ii = first[k + 1, 6], first[k + 1, 7], first[k + 1, 8]
            add, more = bias[k], bias[k + 1]
            for x in range(width + 2):
                value = add + a * above[x] + b * above[x + 1] + c * above[x + 2]
                value += d * here[x] + e * here[x + 1] + f * here[x + 2]
                value += g * below[x] + h * below[x + 1] + i * below[x + 2]
                one[x] = max(value, slope * value)
                value = more + aa * above[x] + bb * above[x + 1] + cc * above[x + 2]
                value += dd * here[x] + ee * here[x + 1] + ff * here[x + 2]
                value += gg * below[x] + hh * below[x + 1] + ii * below[x + 2]
                two[x] = max(value, slope * value)
            a, b, c = second[k, 0], second[k, 1], second[k, 2]
            d, e, f = second[k, 3], second[k, 4], second[k, 5]
            g, h, i = second[k, 6], second[k, 7], second[k, 8]
            aa, bb, cc = second[k + 1, 0], second[k + 1, 1], second[k + 1, 2]
            dd, ee, ff = second[k + 1, 3], second[k + 1, 4], second[k + 1, 5]
            gg, hh, ii = second[k + 1, 6], second[k + 1, 7], second[k + 1, 8]
            for x in range(width):
                u, v, w = one[x], one[x + 1], one[x + 2]
                t, y, z = two[x], two[x + 1], two[x + 2]
                early[x] += a * u + b * v + c * w + aa * t + bb * y + cc * z
                middle[x] += d * u + e * v + f * w + dd * t + ee * y + ff * z
                last[x] += g * u + h * v + i * w + gg * t + hh * y + ii * z


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
