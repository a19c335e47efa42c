"""Compiled medians with gaps and line masks of spectra (spaxel, channel); ``continuum`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel


@kernel
def select(values, count, rank):
    """Value of this rank among the first `count` values, which are reordered (Hoare's quickselect)."""
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@kernel
def median(values, spare):
    """Median of a row, NaN left out; NaN of nothing."""
    count = 0
    for i in range(values.shape[0]):
        if not np.isnan(values[i]):
            spare[count] = values[i]
            count += 1
    if count == 0:
        return np.nan
    upper = select(spare, count, count // 2)
    return upper if count % 2 else 0.5 * (upper + select(spare, count, count // 2 - 1))


@kernel
def row_medians(spectra, out):
    """Median of each spectrum, NaN left out."""
    spare = np.empty(spectra.shape[1], np.float64)
    for s in range(spectra.shape[0]):
        out[s] = median(spectra[s], spare)


@kernel
def line_masks(residual, widths, clip, free):
    """Mark channels that hold no line.

    For each odd width, a running mean beyond `clip` robust sigma of the running means marks all channels
    under it: so faint wide lines and the wings of bright ones go too. A spectrum that would lose more than
    half of its channels keeps its half of least residual.
    """
    size = residual.shape[1]
    mean, spare = np.empty(size, np.float64), np.empty(size, np.float64)
    for s in range(residual.shape[0]):
        row, known, lost = residual[s], 0, 0
        for k in range(size):
            free[s, k] = not np.isnan(row[k])
            known += free[s, k]
        for width in widths:
            flag_row(row, width, clip, mean, spare, free[s])
        for k in range(size):
            lost += (not free[s, k]) and not np.isnan(row[k])
        if 2 * lost > known:
            for k in range(size):
                mean[k] = abs(row[k])
            middle = median(mean, spare)
            for k in range(size):
                free[s, k] = mean[k] <= middle


@kernel
def flag_row(row, width, clip, mean, spare, free):
    """One width of ``line_masks`` on one spectrum."""
    size, half = row.shape[0], width // 2
    total, count = 0.0, 0
    for k in range(-half, size):
        if k + half < size and not np.isnan(row[k + half]):
            total += row[k + half]
            count += 1
        if k - half - 1 >= 0 and not np.isnan(row[k - half - 1]):
            total -= row[k - half - 1]
            count -= 1
        if k >= 0:  # a window with gaps scatters as its fewer values do
            mean[k] = abs(total) / np.sqrt(count) if 2 * count > width else np.nan
    stride = max(1, half)  # running means next to each other say the same
    limit = clip * 1.4826 * median(mean[::stride].copy(), spare)
    for k in range(size):
        if mean[k] > limit:
            for i in range(max(0, k - half), min(size, k + half + 1)):
                free[i] = False


@kernel
def position(window, count, value):
    """Where `value` is, or belongs, in the sorted window."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def running_medians(spectra, half, least, out):
    """Median over ``2 half + 1`` channels, cut off at the ends, NaN left out: (spaxel, channel).

    NaN where fewer than `least` values are in the window.
    """
    size = spectra.shape[1]
    window = np.empty(2 * half + 2, np.float64)
    for s in range(spectra.shape[0]):
        count = 0
        for k in range(size + half):
            if k < size and not np.isnan(spectra[s, k]):
                at = position(window, count, spectra[s, k])
                for i in range(count, at, -1):
                    window[i] = window[i - 1]
                window[at] = spectra[s, k]
                count += 1
            old = k - 2 * half - 1
            if old >= 0 and not np.isnan(spectra[s, old]):
                for i in range(position(window, count, spectra[s, old]), count - 1):
                    window[i] = window[i + 1]
                count -= 1
            if k >= half:
                middle = 0.5 * (window[(count - 1) // 2] + window[count // 2]) if count >= least else np.nan
                out[s, k - half] = middle


@kernel
def fill_gaps(spectra):
    """Replace NaN by the line between its neighbours, or the nearest value at the ends, in place."""
    size = spectra.shape[1]
    for s in range(spectra.shape[0]):
        last = -1
        for k in range(size):
            if np.isnan(spectra[s, k]):
                continue
            for i in range(last + 1, k):
                left = spectra[s, last] if last >= 0 else spectra[s, k]
                part = (i - last) / (k - last) if last >= 0 else 1.0
                spectra[s, i] = left + part * (spectra[s, k] - left)
            last = k
        for i in range(last + 1, size):
            spectra[s, i] = spectra[s, last] if last >= 0 else np.nan
