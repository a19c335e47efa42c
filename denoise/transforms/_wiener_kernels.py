"""Compiled inner loops of the local Wiener gain; ``wiener`` is the interface.

For one spatial scale: ``power_columns`` squares the pilot's coefficients and averages them along channels,
``average_planes`` averages them over (y, x), ``gain_columns`` applies the gain to the data's
coefficients. Box sums along channels and y run in float64, so that what a bright source leaves behind is
far below float32.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel
from denoise.transforms._starlet_kernels import (
    add,
    analyse,
    block_width,
    fill,
    load,
    load_scale,
    mirror,
    mirrored_ends,
    rebuild,
)

ONE, ZERO = np.float32(1), np.float32(0)
WIENER, EMPIRICAL = range(2)


@kernel
def power_columns(details, power, halves, most, tables, filters, first, last):
    """Squares, at most ``most[j]``, averaged over ``2 * halves[j] + 1`` channels.

    power : (spectral scale, channel, pixel).
    """
    scales, nchan = tables.shape[0], details.shape[0]
    width = block_width(nchan)
    work = np.empty((3, nchan, width), np.float32)
    total = np.empty(width, np.float64)
    for start in range(first, last, width):
        n = min(width, last - start)
        load(details, start, n, work[0])
        for j in range(scales + 1):
            values = work[2] if j < scales else work[j % 2]
            if j < scales:
                analyse(work[j % 2], work[1 - j % 2], values, tables[j], filters[0], filters[1])
            for k in range(nchan):
                for i in range(width):
                    values[k, i] = min(values[k, i] * values[k, i], most[j])
            average_channels(values, halves[j], total, power[j], start, n)


@kernel
def mean_columns(data, half, out, first, last):
    """Running mean over ``2 * half + 1`` channels, mirrored, of pixels first to last: (channel, pixel)."""
    nchan = data.shape[0]
    width = block_width(nchan)
    values, total = np.empty((nchan, width), np.float32), np.empty(width, np.float64)
    for start in range(first, last, width):
        n = min(width, last - start)
        load(data, start, n, values)
        average_channels(values, half, total, out, start, n)


@kernel
def average_channels(values, half, total, out, start, n):
    """Running mean along channels, mirrored, into pixels start to start + n of `out`."""
    nchan, width = values.shape
    total[:] = 0.0
    for offset in range(-half, half + 1):
        k = mirror(offset, nchan)
        for i in range(width):
            total[i] += values[k, i]
    weight = 1.0 / (2 * half + 1)
    for k in range(nchan):
        line = out[k, start : start + n]
        for i in range(n):
            line[i] = total[i] * weight
        enter, leave = mirror(k + half + 1, nchan), mirror(k - half, nchan)
        for i in range(width):
            total[i] += np.float64(values[enter, i]) - np.float64(values[leave, i])


@kernel
def average_planes(power, low, ny, half, out_low, out_high, out, first, last):
    """Box mean over (y, x) with mirrored borders, of planes first to last.

    power : (plane, row, x), its first row is row `low` of the cube of `ny` rows; out : (plane, row, x)
    holds rows out_low to out_high.
    """
    nx = power.shape[2]
    total, pad = np.empty(nx, np.float64), np.empty(nx + 2 * half, np.float32)
    spare = np.zeros(nx + 2 * half, np.float32)
    weight = np.float32(1.0 / (2 * half + 1) ** 2)
    border = mirrored_ends(nx, half)
    for k in range(first, last):
        total[:] = 0.0
        for offset in range(-half, half + 1):
            y = mirror(out_low + offset, ny) - low
            for i in range(nx):
                total[i] += power[k, y, i]
        for y in range(out_low, out_high):
            middle = pad[half : half + nx]
            for i in range(nx):
                middle[i] = total[i]
            for i in range(half):
                pad[i] = pad[half + border[i]]
                pad[half + nx + i] = pad[half + border[half + i]]
            box_row(pad, half, spare, weight, out, k, y - out_low)
            if y + 1 < out_high:
                enter, leave = mirror(y + half + 1, ny) - low, mirror(y - half, ny) - low
                for i in range(nx):
                    total[i] += np.float64(power[k, enter, i]) - np.float64(power[k, leave, i])


@kernel
def box_row(pad, half, spare, weight, out, k, y):
    """Sums over 2 half + 1 neighbours from sums of 1, 2, 4, ... values, joined by the bits of the width."""
    nx, left = out.shape[2], 2 * half + 1
    now, following = pad, spare
    at, span = 0, 1
    row = out[k, y]
    row[:] = ZERO
    while left > 0:
        if left & 1:
            part = now[at : at + nx]
            for i in range(nx):
                row[i] += part[i]
            at += span
        left >>= 1
        if left > 0:
            shifted = now[span:]
            for i in range(now.shape[0] - span):
                following[i] = now[i] + shifted[i]
            now, following = following, now
            span *= 2
    for i in range(nx):
        row[i] *= weight


@kernel
def gain_columns(
    details, power, out, low, nx, sigma, noise, prior, keep, rule, tables, filters, fresh, first, last
):
    """Add one spatial scale of the data, each coefficient times its gain, to rows from `low` on of `out`.

    details : (channel, pixel); power : (spectral scale, channel, pixel); noise, prior : (spectral scale,).
    """
    scales, nchan = tables.shape[0], details.shape[0]
    width, dual = block_width(nchan), filters[1].shape[0] > 0
    kept = np.empty((scales + 1 if dual else 0, nchan, width), np.float32)
    work = np.empty((4, nchan, width), np.float32)
    scale = np.empty((nchan, width), np.float32)
    fill(scale, sigma[0, 0, 0])
    for start in range(first, last, width):
        n, at = min(width, last - start), low * nx + start
        total = work[3]
        fill(total, ZERO)
        if sigma.size > 1:
            load_scale(sigma, start, n, nx, low, scale)
        load(details, start, n, work[0])
        for j in range(scales + 1):
            values = work[2] if j < scales else work[j % 2]
            if j < scales:
                analyse(work[j % 2], work[1 - j % 2], values, tables[j], filters[0], filters[1])
            if dual:
                fill(kept[j], ZERO)
            apply_gain(
                values, power[j], start, n, scale, noise[j], prior[j], keep, rule, kept[j] if dual else total
            )
        if dual:
            rebuild(kept, work[0], work[1], tables, filters)
            add(kept[scales], total)
        for k in range(nchan):
            line = out[k, at : at + n]
            for i in range(n):
                line[i] = total[k, i] if fresh else line[i] + total[k, i]


@kernel
def apply_gain(values, power, start, n, sigma, noise, prior, keep, rule, out):
    """Add gain times coefficient; a gain of nothing over nothing is 1 (no noise: keep).

    The gain is never less than ``1 - keep s^2 / v^2``, the garrote of the coefficient v itself.
    """
    for k in range(values.shape[0]):
        line = power[k, start : start + n]
        if rule == WIENER:
            for i in range(n):
                p, s = line[i] * prior, noise * sigma[k, i]
                noisy, v = s * s, values[k, i]
                gain = p / (p + noisy)
                if v * v > keep * noisy:
                    gain = max(gain, ONE - keep * noisy / (v * v))
                out[k, i] += v * (gain if p > ZERO else (ZERO if s > ZERO else ONE))
        else:
            for i in range(n):
                p, s = line[i] * prior, noise * sigma[k, i]
                gain = (p - s * s) / p
                out[k, i] += values[k, i] * (gain if p > s * s else (ZERO if s > ZERO else ONE))
