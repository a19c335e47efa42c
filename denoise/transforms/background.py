"""Smooth background of an image (y, x): clipped medians of a mesh, or a 2D polynomial; sources left out.

- ``clipped_median(pixels)``, ``sky_level(image)``, ``mesh_background(image, box=None)``,
  ``image_polynomial(image, order)``
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CLIP, _ROUNDS = 3.0, 12
_GROW = 2  # pixels around a source that are left out with it
# a sky is skewed when its upper half is so many standard errors wider than its lower one; the error of their ratio
# for n values of white noise, times sqrt(n)
_SKEWED, _HALVES = 3.0, 2.4
_SAME = (0.9, 1.15)  # spread below zero over that of differences of neighbours, where zero is the sky
_FEWEST = 200  # negative pixels that tell
_LEAST = 0.3  # a mesh cell with fewer of its pixels left is filled from its neighbours


def clipped_median(pixels: NDArray[Any]) -> float:
    """Median of what lies within 3 robust sigma of it, iterated; NaN left out, NaN if nothing is left."""
    kept = _clipped(pixels)
    return float(np.median(kept)) if kept.size else float("nan")


def sky_level(image: NDArray[Any]) -> float:
    """Level of the sky of an image (y, x): its clipped median, or less where emission fills the field.

    Sources that cover a small part are clipped. Those that cover most of the field are not: they raise the median and
    leave the values above it wider spread than those below. Then the sky is zero, if the negative pixels spread about
    zero as neighbours differ, because the sky is off the image already; else the mode ``2.5 median - 1.5 mean`` of what
    is left (Bertin & Arnouts 1996, A&AS 117, 393). NaN is left out; NaN if nothing is left. Where no pixel shows the
    sky, no number of the image does.
    """
    kept = _clipped(image)
    if kept.size == 0:
        return float("nan")
    middle = float(np.median(kept))
    above, below = kept[kept > middle] - middle, middle - kept[kept < middle]
    if not above.size or not below.size:
        return middle
    if np.median(above) <= (1 + _SKEWED * _HALVES / np.sqrt(kept.size)) * np.median(below):
        return middle
    if _zero_is_sky(np.asarray(image, np.float64)):
        return 0.0
    return min(middle, 2.5 * middle - 1.5 * float(kept.mean()))


def _zero_is_sky(image: Floats) -> bool:
    """Whether negative pixels spread about zero as noise does, by second differences, which emission spares."""
    negative = -image[image < 0]
    if negative.size < _FEWEST:
        return False
    along = [np.diff(image, 2, axis=axis).ravel() for axis in (0, 1)]
    steps = np.abs(np.concatenate(along))
    noise = np.median(steps[np.isfinite(steps)]) / np.sqrt(6) if np.isfinite(steps).any() else np.nan
    return bool(_SAME[0] * noise < np.median(negative) < _SAME[1] * noise)


def _clipped(pixels: NDArray[Any]) -> Floats:
    """What lies within 3 robust sigma of its own median."""
    kept: Floats = np.asarray(pixels, np.float64)[np.isfinite(pixels)]
    for _ in range(_ROUNDS):
        if kept.size == 0:
            break
        size = np.abs(kept - np.median(kept))
        inside = size <= _CLIP * 1.4826 * np.median(size)
        if inside.all():
            break
        kept = kept[inside]
    return kept


def source_free(image: Floats, background: Floats | float) -> NDArray[np.bool_]:
    """Pixels away from sources (anything beyond 3 robust sigma of the background), at least half of them."""
    from scipy import ndimage

    size = np.abs(image - background)
    known = np.isfinite(size)
    if not known.any():
        return known
    middle = float(np.median(size[known]))
    outside = known & (size > _CLIP * 1.4826 * middle)
    # single pixels are mostly noise: dropping them would thin out both tails, growing them the image
    groups = ndimage.binary_opening(outside, np.ones((2, 2)))
    grown = ndimage.binary_dilation(groups, iterations=_GROW) | outside
    free = known & ~grown
    return free if free.sum() > 0.5 * known.sum() else known & (size <= middle)


def mesh_background(image: Floats, box: int | None = None) -> Floats:
    """Cubic spline through clipped medians of square cells, sources left out.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        NaN = no data.
    box : int, optional
        Side of a cell in pixels, several times the size of a source; default an eighth of the shorter side,
        at least 32 pixels.

    Returns
    -------
    ndarray, shape (y, x)
        Finite everywhere, NaN only where the image has no data at all.
    """
    from scipy import ndimage

    side = box or max(32, min(image.shape) // 8)
    free = source_free(image, clipped_median(image))
    for _ in range(2):
        mesh = _mesh(np.where(free, image, np.nan), side)
        smooth = ndimage.median_filter(mesh, size=3, mode="nearest")
        background = _spline(smooth, image.shape)
        free = source_free(image, background)
    return background


def _edges(size: int, side: int) -> NDArray[np.int64]:
    return np.linspace(0, size, max(1, round(size / side)) + 1).round().astype(np.int64)


def _mesh(image: Floats, side: int) -> Floats:
    rows, columns = (_edges(size, side) for size in image.shape)
    mesh = np.full((len(rows) - 1, len(columns) - 1), np.nan)
    for i, j in np.ndindex(*mesh.shape):
        cell = image[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        if np.isfinite(cell).mean() >= _LEAST:
            mesh[i, j] = clipped_median(cell)
    return _filled(mesh, clipped_median(image))


def _filled(mesh: Floats, fallback: float) -> Floats:
    """Empty cells get the value of the nearest cell that has one."""
    from scipy import ndimage

    empty = ~np.isfinite(mesh)
    if empty.all():
        return np.full_like(mesh, fallback)
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return np.asarray(mesh[tuple(nearest)])


def _spline(mesh: Floats, shape: tuple[int, ...]) -> Floats:
    """Evaluate the mesh, whose values belong to the centres of the cells, at every pixel."""
    from scipy import ndimage

    places = [
        (np.arange(size) + 0.5) * cells / size - 0.5 for size, cells in zip(shape, mesh.shape, strict=True)
    ]
    grid = np.meshgrid(*places, indexing="ij")
    order = 3 if min(mesh.shape) > 3 else 1
    return np.asarray(ndimage.map_coordinates(mesh, grid, order=order, mode="nearest"), np.float64)


def image_polynomial(image: Floats, order: int) -> Floats:
    """Least-squares polynomial of total degree `order` in (y, x), sources left out, iterated."""
    y, x = (np.linspace(-1, 1, size) for size in image.shape)
    terms = np.polynomial.legendre.legvander2d(*np.meshgrid(y, x, indexing="ij"), [order, order])
    degree = np.add.outer(np.arange(order + 1), np.arange(order + 1)).ravel()
    basis = terms[..., degree <= order]
    background: Floats = np.full(image.shape, clipped_median(image))
    for _ in range(_ROUNDS):
        free = source_free(image, background)
        if free.sum() < 2 * basis.shape[-1]:
            break
        solution = np.linalg.lstsq(basis[free], image[free], rcond=None)[0]
        following = basis @ solution
        if np.allclose(following, background, rtol=1e-9, atol=0):
            break
        background = following
    return background
