"""Position-velocity diagrams: a cube cut along a path on the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Read = Callable[[tuple[slice, slice, slice]], NDArray[Any]]
_LONGEST = 1 << 14  # samples along a path
_SLAB = 1 << 23  # voxels read at once


@dataclass(frozen=True, eq=False)
class Path:
    """Samples along a path, about a pixel apart.

    Attributes
    ----------
    points : ndarray, shape (sample, width, 2)
        Pixels (y, x), across the path `width` of them.
    offset : ndarray, shape (sample,)
        Distance from the start of the path on the sky.
    """

    points: Floats
    offset: Floats


def path_along(vertices: Floats, matrix: Floats, *, width: int = 1) -> Path | None:
    """Samples along straight pieces between `vertices`; None: it has no length.

    Parameters
    ----------
    vertices : ndarray, shape (n, 2)
        Pixels (y, x).
    matrix : ndarray, shape (2, 2)
        Offset on the sky of one pixel along (y, x).
    width : int
        Pixels across the path to average over.
    """
    steps = np.diff(np.asarray(vertices, float), axis=0)
    length = np.hypot(*steps.T)
    along = np.concatenate([[0.0], np.cumsum(length)])
    if not np.isfinite(along).all() or along[-1] < 1e-6:
        return None
    count = min(_LONGEST, max(2, round(along[-1]) + 1))
    at = np.linspace(0, along[-1], count)
    middle = np.stack([np.interp(at, along, vertices[:, i]) for i in (0, 1)], axis=1)
    piece = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(steps) - 1)
    used = np.maximum(length[piece], 1e-12)[:, None]
    across = np.stack([-steps[piece, 1], steps[piece, 0]], axis=1) / used
    shift = np.arange(width) - (width - 1) / 2
    sky = np.concatenate([[0.0], np.cumsum(np.hypot(*(matrix @ steps.T)))])
    return Path(middle[:, None, :] + shift[None, :, None] * across[:, None, :], np.interp(at, along, sky))


def cut(
    read: Read, shape: tuple[int, int, int], path: Path, *, check: Callable[[], None] | None = None
) -> Floats:
    """Brightness along the path in every channel, linear between pixels.

    Parameters
    ----------
    read : callable
        Gives a region of the cube.
    shape : tuple of int
        Of the cube (channel, y, x).
    path : Path
        Where.
    check : callable, optional
        Called before each slab of channels; raises to stop.

    Returns
    -------
    ndarray, shape (channel, sample)
        Unit of the data. Pixels without data, or outside the field, take no part: the others of the two by two around a
        point are weighted anew, and where there is none the value is NaN.
    """
    rows, columns = (_span(path.points[..., i], shape[i + 1]) for i in (0, 1))
    if rows is None or columns is None:
        return np.full((shape[0], path.offset.size), np.nan)
    depth = max(1, _SLAB // ((rows.stop - rows.start) * (columns.stop - columns.start)))
    found = np.empty((shape[0], path.offset.size))
    for first in range(0, shape[0], depth):
        if check is not None:
            check()
        part = slice(first, min(first + depth, shape[0]))
        found[part] = _sampled(
            read((part, rows, columns)), path.points - np.array([rows.start, columns.start])
        )
    return found


def _span(places: Floats, size: int) -> slice | None:
    low, high = max(0, int(np.floor(places.min()))), min(size, int(np.floor(places.max())) + 2)
    return slice(low, high) if low < high else None


def _sampled(block: NDArray[Any], points: Floats) -> Floats:
    """Weighted means over the four pixels around each point and over the width of the path."""
    floor = np.floor(points).astype(int)
    part = points - floor
    total = np.zeros((block.shape[0], len(points)))
    weights = np.zeros_like(total)
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = floor[..., 0] + dy, floor[..., 1] + dx
            share = np.abs(1 - dy - part[..., 0]) * np.abs(1 - dx - part[..., 1])
            inside = (y >= 0) & (y < block.shape[1]) & (x >= 0) & (x < block.shape[2])
            values = block[:, np.where(inside, y, 0), np.where(inside, x, 0)].astype(float)
            weight = np.where(np.isfinite(values) & inside, share, 0.0)
            total += np.where(weight > 0, values * weight, 0.0).sum(axis=2)
            weights += weight.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(weights > 1e-9, total / weights, np.nan))
