"""Connected regions of a cube that is read in slabs: labels of each slab, joined where slabs touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers, Shape, slabs


@dataclass(frozen=True)
class Piece:
    """Bounding box, size and brightest voxel of a connected set of voxels.

    Attributes
    ----------
    low, high : tuple of int
        First voxel (channel, y, x) of the box and the first after it.
    voxels : int
        Size.
    peak : float
        Largest value in sigma, with its sign.
    at : tuple of int
        Where it is.
    """

    low: Shape
    high: Shape
    voxels: int
    peak: float
    at: Shape

    def join(self, other: Piece) -> Piece:
        """The two as one."""
        best = self if abs(self.peak) >= abs(other.peak) else other
        low = tuple(min(a, b) for a, b in zip(self.low, other.low, strict=True))
        high = tuple(max(a, b) for a, b in zip(self.high, other.high, strict=True))
        return Piece(low, high, self.voxels + other.voxels, best.peak, best.at)  # type: ignore[arg-type]


def label_cube(readers: Readers, level: float) -> list[Piece]:
    """Connected sets (six neighbours) of output voxels beyond `level` sigma of the input's noise, of both signs.

    The cube is read in slabs of rows; a set that crosses several is one. NaN and excluded voxels belong to none.
    """
    joined = _Joined()
    for box in slabs(readers.shape):
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = readers.lines(box)[1] / readers.sigma(box)
        scaled = np.where(np.isfinite(scaled) & ~readers.excluded(box), scaled, 0.0)
        for sign in (1, -1):
            joined.add(scaled, sign, level, box[1].start)
    return joined.finish()


class _Joined:
    """Union-find over the sets of all slabs."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.pieces: list[Piece] = []
        self.last: dict[int, NDArray[np.intp]] = {}

    def add(self, scaled: NDArray[Any], sign: int, level: float, start: int) -> None:
        from scipy.ndimage import label

        labels, count = label(sign * scaled > level)
        first = len(self.parent)
        self.parent += range(first, first + count)
        self.pieces += _measured(labels, count, scaled, start)
        ids = np.where(labels > 0, labels.astype(np.intp) + (first - 1), -1)
        if sign in self.last:
            self._touch(self.last[sign], ids[:, 0])
        self.last[sign] = ids[:, -1].copy()

    def _touch(self, below: NDArray[np.intp], above: NDArray[np.intp]) -> None:
        both = (below >= 0) & (above >= 0)
        for a, b in np.unique(np.stack([below[both], above[both]], axis=1), axis=0):
            self.parent[self._root(int(b))] = self._root(int(a))

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def finish(self) -> list[Piece]:
        whole: dict[int, Piece] = {}
        for i, piece in enumerate(self.pieces):
            root = self._root(i)
            whole[root] = whole[root].join(piece) if root in whole else piece
        return list(whole.values())


def _measured(labels: NDArray[Any], count: int, scaled: NDArray[Any], start: int) -> list[Piece]:
    from scipy.ndimage import find_objects

    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    pieces = []
    for i, (c, y, x) in enumerate(find_objects(labels), start=1):
        values = np.where(labels[c, y, x] == i, scaled[c, y, x], 0.0)
        place = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
        low = int(c.start), int(y.start) + start, int(x.start)
        high = int(c.stop), int(y.stop) + start, int(x.stop)
        at = int(place[0]) + low[0], int(place[1]) + low[1], int(place[2]) + low[2]
        pieces.append(Piece(low, high, int(sizes[i]), float(values[place]), at))
    return pieces
