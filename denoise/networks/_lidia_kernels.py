"""Compiled inner loops of the neighbour search; ``neighbours`` is the interface."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from denoise.transforms._jit import kernel

KEPT, RADIUS, SIDE = 14, 14, 7  # neighbours, of a window of 29 x 29, patches of 7 x 7
EDGE = 35  # pixels from the side of an image to the first patch centre
ROWS = 16  # of patches at a time: their squares and lists stay in cache


@kernel
def search(planes, own, step, distances, offsets, first, last):
    """Nearest patches of rows of patches first * ROWS to last * ROWS, sorted; the patch itself comes first.

    planes : (plane, y, x), with the window in each; the patches are centred EDGE and more from the sides of `own`.
    step : 1 or 2 pixels between the samples of a patch, and between the patches of the window.
    distances : (patch row, patch column, KEPT), float32: sums of squared differences.
    offsets : same shape, int32: places in the flattened planes, relative to the patch.
    """
    rows, columns = distances.shape[0], distances.shape[1]
    far = (SIDE - 1) * step
    squares = np.empty((ROWS + far, columns + far), np.float32)
    across = np.empty((ROWS + far, columns), np.float32)
    sums = np.empty((ROWS, columns), np.float32)
    for block in range(first, last):
        top = block * ROWS
        count = min(ROWS, rows - top)
        for y in range(top, top + count):
            for x in range(columns):
                for k in range(KEPT):
                    distances[y, x, k] = np.float32(np.inf)
        side, size = 2 * RADIUS + 1, planes.shape[1] * planes.shape[2]
        y0, x0 = top + EDGE - 3 * step, EDGE - 3 * step
        # the patch itself before all that are as near
        for turn in range(-1, side * side * planes.shape[0]):
            plane = own if turn < 0 else turn // (side * side)
            dy = 0 if turn < 0 else (turn % (side * side) // side - RADIUS) * step
            dx = 0 if turn < 0 else (turn % side - RADIUS) * step
            if turn >= 0 and plane == own and dy == 0 and dx == 0:
                continue
            _squares(planes[own], planes[plane, dy + y0 :, dx + x0 :], y0, x0, count + far, squares)
            _sums(squares, step, count, across, sums)
            offset = (plane - own) * size + dy * planes.shape[2] + dx
            _insert(sums, count, offset, distances[top : top + count], offsets[top:])


@kernel
def _squares(image, moved, y0, x0, rows, out):
    for y in range(rows):
        one, other, line = image[y0 + y], moved[y], out[y]
        for x in range(line.size):
            d = one[x0 + x] - other[x]
            line[x] = d * d


@kernel
def _sums(squares, step, count, across, out):
    """Sums over 7 x 7 samples, from the outside in.

    No running sums, so that they do not depend on where a tile begins; and the same to the last bit for mirrored data:
    at a mirrored border distances are equal in pairs, and rounding must not say which is less.
    """
    columns = out.shape[1]
    for y in range(count + 6 * step):
        line, total = squares[y], across[y]
        for x in range(columns):
            outer = (line[x] + line[x + 6 * step]) + (line[x + step] + line[x + 5 * step])
            total[x] = (outer + (line[x + 2 * step] + line[x + 4 * step])) + line[x + 3 * step]
    for y in range(count):
        a, b, c, d = across[y], across[y + step], across[y + 2 * step], across[y + 3 * step]
        e, f, g = across[y + 4 * step], across[y + 5 * step], across[y + 6 * step]
        total = out[y]
        for x in range(columns):
            total[x] = (((a[x] + g[x]) + (b[x] + f[x])) + (c[x] + e[x])) + d[x]


@kernel
def _insert(sums, count, offset, distances, offsets):
    for y in range(count):
        line = sums[y]
        for x in range(line.size):
            value = line[x]
            if value < distances[y, x, KEPT - 1]:
                near, where = distances[y, x], offsets[y, x]
                k = KEPT - 1
                while k > 0 and value < near[k - 1]:
                    near[k], where[k] = near[k - 1], where[k - 1]
                    k -= 1
                near[k], where[k] = value, offset


@kernel
def gather(flat, places, offsets, width, step, out):
    """Patches of some centres and of their neighbours.

    flat : the planes, flattened.
    places : (patch,), places of the centres.
    offsets : (patch, KEPT).
    width : of a plane.
    out : (KEPT, patch, SIDE * SIDE), float32.
    """
    for n in range(out.shape[0]):
        for p in range(places.size):
            corner = places[p] + offsets[p, n] - 3 * step * (width + 1)
            target = out[n, p]
            for i in range(SIDE):
                start = corner + i * step * width
                for j in range(SIDE):
                    target[i * SIDE + j] = flat[start + j * step]


@kernel
def overlap(patches, weights, columns, total, weight):
    """Weighted sum of patches (patch, SIDE * SIDE) of a grid of so many columns where they lie, and of the weights."""
    for p in range(patches.shape[0]):
        row, column = p // columns, p % columns
        for i in range(SIDE):
            for j in range(SIDE):
                total[row + i, column + j] += weights[p] * patches[p, i * SIDE + j]
                weight[row + i, column + j] += weights[p]
