"""Smooth data with weights from another image of them, so that every sum over a neighbourhood is kept.

``out_p = y_p + sum_q K_pq (y_q - y_p) / N`` with ``K_pq = k(q - p) c(g_p - g_q)``: k a Gaussian, g the guide, c Tukey's
biweight (1 where the guide is the same, 0 where it differs by `edge` or more; Perona & Malik 1990, IEEE PAMI 12, 629,
for a step of diffusion with such edges), N the sum of k. K is symmetric, so the rows and the columns of the weights
both sum to 1: the mean of the data is kept exactly, whatever the guide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms._jit import kernel, run_ranges
from denoise.transforms.smoothing import gaussian_taps

Array = NDArray[np.float32]

TRUNCATE = 2.5  # sigma where the Gaussian ends


def reach(width: tuple[float, float]) -> tuple[int, int]:
    """Pixels along y and x that the result looks around itself."""
    y, x = (len(gaussian_taps(one, truncate=TRUNCATE)) // 2 for one in width)
    return y, x


def guided_mean(
    data: Array, guide: Array, *, width: tuple[float, float], edge: float, threads: int = 1
) -> Array:
    """Smooth each channel map where its guide is smooth.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        NaN takes no part and stays.
    guide : ndarray, same shape, float32
        Finite.
    width : tuple of float
        Sigma of the Gaussian along y and x, in pixels.
    edge : float
        Difference of the guide across which nothing is exchanged.
    threads : int
        The result does not depend on it.

    Returns
    -------
    ndarray, same shape, float32
        Its sum over all voxels that are not NaN is that of the data.
    """
    taps = [gaussian_taps(one, truncate=TRUNCATE) for one in width]
    weights = np.outer(taps[0], taps[1]).astype(np.float32)
    out, scale = np.empty_like(data), np.float32(1 / edge**2)
    rows = data.shape[1]
    run_ranges(
        lambda first, last: _smooth(data, guide, weights / weights.sum(), scale, out, rows, first, last),
        data.shape[0] * rows,
        threads=threads,
        grain=16,
    )
    return out


@kernel
def _smooth(data, guide, weights, scale, out, rows, first, last):  # type: ignore[no-untyped-def]
    ny, nx = data.shape[1:]
    ry, rx = weights.shape[0] // 2, weights.shape[1] // 2
    for place in range(first, last):
        c, y = place // rows, place % rows
        for x in range(nx):
            here, level, total = data[c, y, x], guide[c, y, x], np.float32(0)
            for j in range(max(0, y - ry), min(ny, y + ry + 1)):
                for i in range(max(0, x - rx), min(nx, x + rx + 1)):
                    step = guide[c, j, i] - level
                    open_ = np.float32(1) - step * step * scale
                    other = data[c, j, i]
                    if open_ > 0 and np.isfinite(other):
                        total += weights[j - y + ry, i - x + rx] * open_ * open_ * (other - here)
            out[c, y, x] = here + total
