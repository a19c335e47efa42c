"""Take away what is not noise but smooth: differences along the spectral axis, continuum, sky level.

The normalised difference of order n and step m, ``sum_k (-1)^k C(n, k) y[c + k m] / sqrt(C(2n, n))``, leaves
white noise at unit gain and suppresses emission of line width s by ``(m / s)^n``. For noise whose memory
along the spectral axis is shorter than m channels its variance is exactly the variance of the noise. So the
variance as a function of m rises to a plateau where the memory of the noise ends, and rises again where
emission comes in: the plateau is the noise.
"""

from __future__ import annotations

from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
MAX_STEP = 16


def weights(order: int) -> NDArray[np.float64]:
    """Taps of the difference of this order, unit sum of squares."""
    taps = np.array([(-1.0) ** k * comb(order, k) for k in range(order + 1)])
    return np.asarray(taps / np.sqrt(comb(2 * order, order)))


def order_for(nchan: int, step: int = 1) -> int:
    """Highest useful order (4, 2 or 1) for so many channels; 0 if there is none."""
    for order in (4, 2, 1):
        if nchan >= order * step + max(1, order // 2):
            return order
    return 0


def difference(block: Block, step: int, order: int) -> Block:
    """Normalised difference along the first axis, order * step channels shorter; NaN where a term is NaN."""
    taps = weights(order).astype(block.dtype)
    count = block.shape[0] - order * step
    out: Block = taps[0] * block[:count]
    for k in range(1, order + 1):
        out += taps[k] * block[k * step : k * step + count]
    return out


def memory_acf(variances: NDArray[np.float64], step: int, order: int) -> NDArray[np.float64]:
    """Spectral ACF of noise with memory below `step` from the variances of the differences of steps 1 to
    `step`.

    ``V(m) / V(step) = sum_j a(j) rho(j m)``, `a` the autocorrelation of the taps, rho zero from lag `step`
    on: linear in rho.

    Parameters
    ----------
    variances : ndarray, shape (>= step,)
        Variance of the difference of step 1, 2, ...

    Returns
    -------
    ndarray, shape (step,)
        Lag zero first.
    """
    if step == 1:
        return np.ones(1)
    auto = np.correlate(weights(order), weights(order), mode="full")[order:]
    system = np.zeros((step - 1, step - 1))
    for m in range(1, step):
        for j in range(1, order + 1):
            if j * m < step:
                system[m - 1, j * m - 1] += 2.0 * auto[j]
    known = variances[: step - 1] / variances[step - 1] - auto[0]
    rho = np.linalg.lstsq(system, known, rcond=1e-6)[0]
    return np.concatenate([[1.0], np.clip(rho, -0.95, 0.95)])


def plateau(spread: NDArray[np.float64], *, tolerance: float) -> int | None:
    """Step at which the spread of the differences stops rising: the memory of the noise ends there.

    Parameters
    ----------
    spread : ndarray
        Standard deviation of the difference of step 1, 2, ...
    tolerance : float
        Relative rise that still counts as none.

    Returns
    -------
    int or None
        None: it rises all the way.
    """
    for k in range(len(spread) - 1):
        later = spread[k + 1 : k + 3] / spread[k] - 1.0
        if later[0] <= tolerance and later[-1] <= 2.0 * tolerance:
            return k + 1
    return None


def continuum(block: Block, width: int) -> Block:
    """Robust continuum per spaxel: medians of runs of about `width` channels, linear between their centres.

    NaN where a spaxel has no finite value in the run on either side.
    """
    nchan = block.shape[0]
    edges = np.linspace(0, nchan, max(2, round(nchan / width)) + 1).round().astype(int)
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    nodes = np.stack([_median_plane(block[a:b]) for a, b in pairwise(edges)])
    place = np.clip(np.arange(nchan), centres[0], centres[-1])
    left = np.clip(np.searchsorted(centres, place, side="right") - 1, 0, len(centres) - 2)
    share = ((place - centres[left]) / (centres[left + 1] - centres[left])).astype(block.dtype)[:, None, None]
    return np.asarray((1 - share) * nodes[left] + share * nodes[left + 1], dtype=block.dtype)


def _median_plane(run: Block) -> Block:
    covered = np.isfinite(run)
    if covered.all():
        return np.asarray(np.median(run, axis=0))
    empty = ~covered.any(axis=0)
    plane = np.nanmedian(np.where(empty, 0, run), axis=0)
    return np.asarray(np.where(empty, np.nan, plane), dtype=run.dtype)


def sky(image: NDArray[Any], usable: NDArray[np.bool_], *, box: int) -> NDArray[np.float32]:
    """Smooth background of one plane: medians of the usable pixels in boxes, interpolated linearly.

    Boxes with less than a fifth usable take the median of the others.
    """
    from scipy.ndimage import map_coordinates

    ny, nx = image.shape
    rows, columns = (np.linspace(0, n, max(1, round(n / box)) + 1).round().astype(int) for n in (ny, nx))
    mesh = np.full((len(rows) - 1, len(columns) - 1), np.nan)
    for i, (a, b) in enumerate(pairwise(rows)):
        for j, (c, d) in enumerate(pairwise(columns)):
            good = usable[a:b, c:d]
            if good.mean() > 0.2:
                mesh[i, j] = np.median(image[a:b, c:d][good])
    whole = np.median(image[usable]) if usable.any() else 0.0
    mesh[~np.isfinite(mesh)] = np.nanmedian(mesh) if np.isfinite(mesh).any() else whole
    at = [(np.arange(n) + 0.5) / n * m - 0.5 for n, m in zip((ny, nx), mesh.shape, strict=True)]
    grid = np.meshgrid(*at, indexing="ij")
    return np.asarray(map_coordinates(mesh, grid, order=1, mode="nearest"), dtype=np.float32)
