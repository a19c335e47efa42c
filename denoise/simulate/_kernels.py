"""Compiled gridding of clouds; serial, without the GIL."""

from __future__ import annotations

from typing import Any

from denoise.compiled import compiled


def _deposit_py(c: Any, y: Any, x: Any, share: Any, cube: Any) -> None:
    """Add shares to the cells of `cube` with linear weights on all three axes (cloud in cell).

    Parameters
    ----------
    c, y, x, share : ndarray of float64, shape (clouds,)
        Positions in cells, at least 0 and less than size - 1; not checked.
    cube : ndarray of float64, shape (cells, y, x)
    """
    for corner in range(8):  # the outer loop: sums have the order, and so the bytes, of a bincount
        up_c, up_y, up_x = corner >> 2 & 1, corner >> 1 & 1, corner & 1
        for k in range(share.size):
            i, j, l = int(c[k]), int(y[k]), int(x[k])  # noqa: E741
            fc, fy, fx = c[k] - i, y[k] - j, x[k] - l
            weight = share[k] * (fc if up_c else 1.0 - fc)
            weight *= fy if up_y else 1.0 - fy
            weight *= fx if up_x else 1.0 - fx
            cube[i + up_c, j + up_y, l + up_x] += weight


deposit = compiled(_deposit_py, error_model="numpy")
