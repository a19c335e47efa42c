"""Compiled inner loops of the gated synthesis; ``gates`` is the interface.

A row of neighbouring pixels with all their channels at a time: the spectral smoothings of every spatial detail stay in
cache, and each voxel that counts goes through the small network that turns its significances into gains.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel
from denoise.transforms._starlet_kernels import C0, C1, C2, copy, load

ONE, ZERO, HALF = np.float32(1), np.float32(0), np.float32(0.5)
LANES = 32
LEAST = np.float32(0.02)  # weight of a region below which there is none


@kernel
def gate_columns(details, region, bright, out, low, nx, call, network, tables, first, last):
    """Gated sum of the bands of pixels first to last (flat index into the rows of `details`).

    details : (spatial scale, channel, pixel).
    region, bright, out : (channel, pixel of the cube); rows of `nx` pixels from `low` on are read and written.
    call : (inverse, noise, knee, keep).
    network : (weights of significances, of region and brightness, bias, second layer, its bias); see ``gains``.
    """
    nchan, spatial, spectral = details.shape[1], details.shape[0], tables.shape[0] + 1
    levels = np.empty((spatial, spectral, nchan, LANES), np.float32)
    inputs = np.zeros((network[0].shape[1], LANES), np.float32)
    others = np.zeros((network[1].shape[1], LANES), np.float32)
    hidden = np.empty((4, network[0].shape[0], LANES), np.float32)
    logits = np.empty((2, network[3].shape[0], LANES), np.float32)
    for start in range(first, last, LANES):
        n, at = min(LANES, last - start), low * nx + start
        busy = False
        for k in range(nchan):
            busy = busy or counts(region[k, at : at + n])
        if busy:
            smoothings(details, start, n, tables, levels)
        for k in range(nchan):
            share, target = region[k, at : at + n], out[k, at : at + n]
            for i in range(n):
                target[i] = ZERO
            if busy and counts(share):
                significances(levels, k, call[0], call[2], inputs[: call[0].size])
                for i in range(n):
                    others[0, i], others[1, i] = share[i], bright[k, at + i]
                gains(inputs, others, network, hidden, logits)
                add_gated(levels, k, logits[0], share, call, target)


@kernel
def counts(share):
    """Whether any of these voxels is in a region."""
    most = ZERO
    for i in range(share.shape[0]):
        most = max(most, share[i])
    return most > LEAST


@kernel
def smoothings(details, start, n, tables, levels):
    """Spectral smoothings ``levels[spatial scale, level]`` of the details of pixels start to start + n."""
    for a in range(details.shape[0]):
        load(details[a], start, n, levels[a, 0])
        for j in range(tables.shape[0]):
            smoothed(levels[a, j], tables[j], levels[a, j + 1])


@kernel
def smoothed(fine, table, out):
    """B3 smoothing along channels of a block (channel, lane); a function of its own, or it is not vectorised."""
    nchan, width = fine.shape
    for k in range(nchan):
        p, q, r, t = table[k, 0], table[k, 1], table[k, 3], table[k, 4]
        for i in range(width):
            inner, outer = fine[q, i] + fine[r, i], fine[p, i] + fine[t, i]
            out[k, i] = C0 * fine[k, i] + C1 * inner + C2 * outer


@kernel
def significances(levels, k, inverse, knee, out):
    """Scaling coefficients of channel k over their noise, bent to stay below `knee`: (spatial x spectral, lane).

    Level a of the spatial smoothing is the sum of all details from a on; a cube with fewer scales repeats its coarsest.
    """
    spatial, spectral = levels.shape[0], levels.shape[1]
    side_2, side_1 = inverse.shape
    bend = ONE / knee
    for b in range(side_1):
        source = min(b, spectral - 1)
        for a in range(side_2):
            copy(levels[min(a, spatial - 1), source, k], out[a * side_1 + b])
        for a in range(side_2, spatial):  # more scales than the network knows: they belong to its coarsest
            accumulate(levels[a, source, k], out[(side_2 - 1) * side_1 + b])
        for a in range(min(side_2, spatial) - 2, -1, -1):
            accumulate(out[(a + 1) * side_1 + b], out[a * side_1 + b])
        for a in range(side_2):
            row, weight = out[a * side_1 + b], inverse[a, b]
            for i in range(row.shape[0]):
                s = row[i] * weight
                row[i] = s / (ONE + abs(s) * bend)


@kernel
def accumulate(values, out):
    """``out += values`` for one row."""
    for i in range(out.shape[0]):
        out[i] += values[i]


@kernel
def gains(inputs, others, network, hidden, logits):
    """Logits of the gains in ``logits[0]``: for the data or for their negative, whichever is larger.

    The first layer is linear in the significances, so that their negative costs no second one.
    """
    layer(network[0], inputs, hidden[0])
    layer(network[1], others, hidden[1])
    for h in range(hidden.shape[1]):
        for i in range(LANES):
            signed, plain = hidden[0, h, i], hidden[1, h, i] + network[2][h]
            hidden[2, h, i] = max(plain + signed, ZERO)
            hidden[3, h, i] = max(plain - signed, ZERO)
    layer(network[3], hidden[2], logits[0])
    layer(network[3], hidden[3], logits[1])
    for b in range(logits.shape[1]):
        for i in range(LANES):
            logits[0, b, i] = max(logits[0, b, i], logits[1, b, i]) + network[4][b]


@kernel
def layer(weights, inputs, out):
    """``weights inputs`` for all lanes.

    Two rows and four inputs at a time: what is loaded is used eight times. Numbers of both are multiples of that.
    """
    for h in range(0, weights.shape[0], 2):
        for i in range(LANES):
            out[h, i] = ZERO
            out[h + 1, i] = ZERO
        for d in range(0, weights.shape[1], 4):
            a0, a1, a2, a3 = weights[h, d], weights[h, d + 1], weights[h, d + 2], weights[h, d + 3]
            b0, b1, b2, b3 = (
                weights[h + 1, d],
                weights[h + 1, d + 1],
                weights[h + 1, d + 2],
                weights[h + 1, d + 3],
            )
            for i in range(LANES):
                x0, x1, x2, x3 = inputs[d, i], inputs[d + 1, i], inputs[d + 2, i], inputs[d + 3, i]
                out[h, i] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                out[h + 1, i] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3


@kernel
def add_gated(levels, k, logits, share, call, out):
    """Sum of the bands of channel k, each times its gain, into `out`.

    The gain is never less than ``1 - keep^2 s^2 / c^2``, the garrote of the coefficient c itself over its noise s.
    """
    inverse, noise, keep = call[0], call[1], call[3]
    spatial, spectral, width = levels.shape[0], levels.shape[1], out.shape[0]
    for a in range(spatial):
        slot_2 = slot(a, spatial, inverse.shape[0])
        for b in range(spectral):
            z = logits[slot_2 * inverse.shape[1] + slot(b, spectral, inverse.shape[1])]
            fine, coarse = levels[a, b, k], levels[a, min(b + 1, spectral - 1), k]
            last = b == spectral - 1
            least = keep * keep * noise[a, b] * noise[a, b]
            for i in range(width):
                c = fine[i] if last else fine[i] - coarse[i]
                gain = HALF * (ONE + z[i] / (ONE + abs(z[i])))
                power = c * c
                gain = max(gain, (power - least) / power) if power > least else gain
                out[i] += gain * c
    for i in range(width):
        out[i] *= share[i] if share[i] > LEAST else ZERO


@kernel
def slot(index, count, side):
    """Gain for a scale: the coarse one has the last, details beyond those that the network knows share one."""
    return side - 1 if index == count - 1 else min(index, side - 2)
