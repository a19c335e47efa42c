"""Patches of an image and their nearest neighbours, at one of the two scales of LIDIA.

Vaksman, Elad, Milanfar 2020, arXiv:1911.07167: for every patch of 7 x 7 samples the 14 nearest of a window of 29 x 29
patches, itself included. Scale 1 is the image smoothed by [1 2 1] / 4 along both axes, with two pixels between samples
and between patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from denoise.networks import _lidia_kernels as kernels
from denoise.networks._lidia_kernels import EDGE, KEPT, ROWS, SIDE
from denoise.transforms._jit import run_ranges

Array = NDArray[np.float32]

BORDER = EDGE + SIDE // 2  # pixels around an image that its result needs
PIXELS = SIDE * SIDE  # of a patch


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest neighbours of every patch of an image at one scale.

    Attributes
    ----------
    image : ndarray, shape (y, x), float32
        What the patches are cut from.
    step : int
        Pixels between samples: 1 or 2.
    distances : ndarray, shape (patches along y, along x, 14), float32
        Sums of squared differences over the patch, ascending; the first is the patch itself, 0.
    offsets : ndarray, same shape, int32
        Where the neighbours are in the flattened image, relative to the patch.
    """

    image: Array
    step: int
    distances: Array
    offsets: NDArray[np.int32]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches along y and x."""
        return self.distances.shape[0], self.distances.shape[1]

    def patches(self, first: int, last: int, out: Array | None = None) -> Array:
        """Patches first to last - 1 in raster order with their neighbours, shape (14, patch, 49), float32."""
        width, columns = self.image.shape[1], self.grid[1]
        rows, across = np.divmod(np.arange(first, last), columns)
        places = (rows + EDGE) * width + across + EDGE
        found = np.empty((KEPT, last - first, PIXELS), np.float32) if out is None else out
        offsets = self.offsets.reshape(-1, KEPT)[first:last]
        kernels.gather(self.image.reshape(-1), places, offsets, np.int64(width), np.int64(self.step), found)
        return found


def find_neighbours(image: Array, scale: int, *, threads: int = 1) -> Neighbours:
    """Search an image.

    Parameters
    ----------
    image : ndarray, shape (y, x), float32
        Finite, with ``BORDER`` pixels around what is wanted: more than 76 along both axes.
    scale : int
        0 or 1.
    threads : int
        Threads of this call; the result does not depend on it.
    """
    ny, nx = image.shape
    seen = np.ascontiguousarray(smoothed(image) if scale else image, np.float32)
    shape = ny - 2 * EDGE, nx - 2 * EDGE, KEPT
    distances, offsets = np.empty(shape, np.float32), np.zeros(shape, np.int32)
    task = partial(kernels.search, seen, np.int64(scale + 1), distances, offsets)
    run_ranges(task, -(-shape[0] // ROWS), threads=threads)
    return Neighbours(seen, scale + 1, distances, offsets)


def smoothed(image: Array) -> Array:
    """An image convolved with [1 2 1] / 4 along both axes; mirrored at its sides."""
    padded = np.pad(image, 1, mode="reflect")
    half, quarter = np.float32(0.5), np.float32(0.25)
    rows = half * padded[1:-1] + quarter * (padded[:-2] + padded[2:])
    return np.asarray(half * rows[:, 1:-1] + quarter * (rows[:, :-2] + rows[:, 2:]), np.float32)


def with_border(image: Array) -> Array:
    """An image (y, x) with ``BORDER`` mirrored pixels around it, whatever its size."""
    return np.ascontiguousarray(np.pad(image, BORDER, mode="reflect"))
