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
# pixels beyond which nothing matters: patch, averaged image of scale 1 and its smoothing, its patches, search
REACH = 3 + 6 + 1 + 6 + EDGE
PIXELS = SIDE * SIDE  # of a patch


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest neighbours of every patch of an image at one scale.

    Attributes
    ----------
    planes : ndarray, shape (plane, y, x), float32
        What the patches are cut from.
    own : int
        The plane whose patches these are.
    step : int
        Pixels between samples: 1 or 2.
    distances : ndarray, shape (patches along y, along x, 14), float32
        Sums of squared differences over the patch, ascending; the first is the patch itself, 0.
    offsets : ndarray, same shape, int32
        Where the neighbours are in the flattened planes, relative to the patch.
    """

    planes: Array
    own: int
    step: int
    distances: Array
    offsets: NDArray[np.int32]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches along y and x."""
        return self.distances.shape[0], self.distances.shape[1]

    def cut(self, image: Array, first: int, last: int) -> Array:
        """The same patches without neighbours, shape (1, patch, 49), of an image that the grid just covers."""
        (rows, across), width, far = (
            np.divmod(np.arange(first, last), self.grid[1]),
            image.shape[1],
            3 * self.step,
        )
        found = np.empty((1, last - first, PIXELS), np.float32)
        places, nothing = (rows + far) * width + across + far, np.zeros((last - first, 1), np.int32)
        kernels.gather(image.reshape(-1), places, nothing, np.int64(width), np.int64(self.step), found)
        return found

    def patches(self, first: int, last: int, out: Array | None = None) -> Array:
        """Patches first to last - 1 in raster order with their neighbours, shape (14, patch, 49), float32."""
        (_, height, width), columns = self.planes.shape, self.grid[1]
        rows, across = np.divmod(np.arange(first, last), columns)
        places = (self.own * height + rows + EDGE) * width + across + EDGE
        found = np.empty((KEPT, last - first, PIXELS), np.float32) if out is None else out
        offsets = self.offsets.reshape(-1, KEPT)[first:last]
        kernels.gather(self.planes.reshape(-1), places, offsets, np.int64(width), np.int64(self.step), found)
        return found


def find_neighbours(
    planes: Array, scale: int, own: int = 0, *, grain: float = 0.0, threads: int = 1
) -> Neighbours:
    """Search images for what is like patches of one of them.

    Parameters
    ----------
    planes : ndarray, shape (plane, y, x), float32
        Finite, with ``BORDER`` pixels around what is wanted: more than 76 along both axes.
    scale : int
        0 or 1.
    own : int
        The plane whose patches are wanted; the window is searched in all.
    grain : float
        Distances are those of values rounded to multiples of this (scale 1: of half of it); 0: not rounded. Which of
        two patches is nearer then hardly ever depends on the last digit of the data: tiles and units do not matter.
    threads : int
        Threads of this call; the result does not depend on it.
    """
    _, ny, nx = planes.shape
    seen = np.ascontiguousarray([smoothed(one) for one in planes] if scale else planes, np.float32)
    shape = ny - 2 * EDGE, nx - 2 * EDGE, KEPT
    distances, offsets = np.empty(shape, np.float32), np.zeros(shape, np.int32)
    step = np.float32(grain / (scale + 1))
    rough = np.rint(seen / step) * step if grain else seen
    task = partial(kernels.search, rough, np.int64(own), np.int64(scale + 1), distances, offsets)
    run_ranges(task, -(-shape[0] // ROWS), threads=threads)
    return Neighbours(seen, own, scale + 1, distances, offsets)


def smoothed(image: Array) -> Array:
    """An image convolved with [1 2 1] / 4 along both axes; mirrored at its sides."""
    padded = np.pad(image, 1, mode="reflect")
    half, quarter = np.float32(0.5), np.float32(0.25)
    rows = half * padded[1:-1] + quarter * (padded[:-2] + padded[2:])
    return np.asarray(half * rows[:, 1:-1] + quarter * (rows[:, :-2] + rows[:, 2:]), np.float32)


def with_border(planes: Array) -> Array:
    """Planes (plane, y, x) with ``BORDER`` mirrored pixels around them, whatever their size."""
    sides = (BORDER, BORDER)
    return np.ascontiguousarray(np.pad(planes, ((0, 0), sides, sides), mode="reflect"))
