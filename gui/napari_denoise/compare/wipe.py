"""A wipe: one picture of two cubes, the first up to a cut and the second beyond it; numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_denoise.lazy import Lazy
from napari_denoise.world import World

Line = Literal["vertical", "horizontal"]


@dataclass(frozen=True)
class Cut:
    """Where two cubes meet.

    Attributes
    ----------
    axis : int
        Of the cube that is cut: 1 (rows) or 2 (columns).
    size : int
        Pixels along it.
    flipped : bool
        Whether pixels run against the screen: the first cube then takes the last of them.
    """

    axis: int
    size: int
    flipped: bool

    def place(self, share: float) -> int:
        """Pixels of the first cube for its share of the picture, 0 to 1."""
        return round(min(max(share, 0.0), 1.0) * self.size)

    def share(self, pixel: float) -> float:
        """Share of the first cube when the cut runs through a pixel coordinate (centres are whole numbers)."""
        along = (pixel + 0.5) / self.size
        return float(min(max(1 - along if self.flipped else along, 0.0), 1.0))

    def edge(self, share: float) -> float:
        """Pixel coordinate of the cut, between two pixels."""
        place = self.place(share)
        return (self.size - place if self.flipped else place) - 0.5


def cut_of(world: World, shape: Sequence[int], line: Line) -> Cut:
    """How a line on the screen, north up and east to the left, cuts the pixels.

    Parameters
    ----------
    world : World
        Where the cubes lie; a field that is turned by a right angle is cut along its other axis.
    shape : sequence of int
        Of the cubes (channel, y, x).
    line : {"vertical", "horizontal"}
        The first cube is on the left of a vertical line, below a horizontal one.
    """
    row = world.matrix[2 if line == "vertical" else 1, 1:]
    axis = 1 + int(np.argmax(np.abs(row)))
    # offsets grow to the left and upwards
    flipped = bool(row[axis - 1] > 0) if line == "vertical" else bool(row[axis - 1] < 0)
    return Cut(axis, shape[axis], flipped)


class _Joined(Lazy):
    """Two lazy arrays of one shape: the first up to `edge` along an axis, the second from there."""

    def __init__(self, first: Lazy, second: Lazy, axis: int, edge: int) -> None:
        super().__init__(first.shape, np.result_type(first.dtype, second.dtype))
        self._first, self._second = first, second
        self._axis, self._edge = axis, edge

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Of each its part."""
        along = region[self._axis]
        cut = min(max(self._edge, along.start), along.stop)
        halves = ((self._first, slice(along.start, cut)), (self._second, slice(cut, along.stop)))
        parts = [
            lazy.read((*region[: self._axis], part, *region[self._axis + 1 :]))
            for lazy, part in halves
            if part.start < part.stop
        ]
        return np.concatenate(parts, axis=self._axis, dtype=self.dtype)


def wiped(first: Lazy, second: Lazy, cut: Cut, share: float) -> Lazy:
    """The two as one lazy array: nothing is read now, later the planes that are shown.

    Parameters
    ----------
    first, second : Lazy
        Of one shape, (channel, y, x), or (y, x) of images; NaN stay.
    cut : Cut
        Which axis.
    share : float
        Of the first, 0 to 1.
    """
    place = cut.place(share)
    if place in (0, cut.size):
        return first if place else second
    edge = cut.size - place if cut.flipped else place
    pair = (second, first) if cut.flipped else (first, second)
    return _Joined(*pair, cut.axis - (3 - first.ndim), edge)


def cut_line(cut: Cut, shape: Sequence[int], share: float) -> NDArray[np.float64]:
    """Ends of the line between the two, pixel coordinates (y, x), shape (2, 2)."""
    edge = cut.edge(share)
    ends = np.array([[-0.5, -0.5], [shape[1] - 0.5, shape[2] - 0.5]])
    ends[:, cut.axis - 1] = edge
    return ends
