"""Apertures: a pixel, a circle, an ellipse or a polygon on the field, and the pixels that lie in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.report.labels import number

Kind = Literal["point", "circle", "ellipse", "polygon"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
KINDS: tuple[Kind, ...] = ("point", "circle", "ellipse", "polygon")


@dataclass(frozen=True, eq=False)
class Footprint:
    """The pixels of an aperture.

    Attributes
    ----------
    rows, columns : slice
        Their bounding box in the field.
    inside : ndarray of bool, shape (y, x) of the box
        True: in the aperture; at least one is.
    """

    rows: slice
    columns: slice
    inside: Mask

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.inside))

    def same_as(self, other: Footprint | None) -> bool:
        """Whether both hold the same pixels."""
        return (
            other is not None
            and (self.rows, self.columns) == (other.rows, other.columns)
            and np.array_equal(self.inside, other.inside)
        )


@dataclass(frozen=True, eq=False)
class Aperture:
    """A shape on the field.

    Attributes
    ----------
    kind : str
        "point", "circle", "ellipse" or "polygon".
    corners : ndarray, shape (n, 2)
        Pixels (y, x): corners of the polygon, or of the box about the circle, the ellipse or the pixel.
    """

    kind: Kind
    corners: Floats

    @property
    def centre(self) -> Floats:
        """Mean of the corners, pixel (y, x)."""
        return np.asarray(self.corners.mean(axis=0))

    @property
    def half_axes(self) -> tuple[Floats, Floats]:
        """Vectors (y, x) from the centre of a box to the middle of two sides, in pixels."""
        return (self.corners[1] - self.corners[0]) / 2, (self.corners[3] - self.corners[0]) / 2

    def at(self, point: ArrayLike) -> Aperture:
        """The same shape about another centre, pixel (y, x)."""
        return replace(self, corners=self.corners + (np.asarray(point, float) - self.centre))

    def rounded(self, matrix: Floats) -> Aperture:
        """The circle on the sky of the same area and centre.

        Parameters
        ----------
        matrix : ndarray, shape (2, 2)
            Offset on the sky of one pixel along (y, x).
        """
        a, b = (matrix @ axis for axis in self.half_axes)
        radius = float(np.sqrt(abs(a[0] * b[1] - a[1] * b[0])))
        return replace(circle(self.centre, radius, matrix), kind=self.kind)

    def footprint(self, shape: tuple[int, int]) -> Footprint | None:
        """Pixels of a field of `shape` (y, x) whose centres lie in the aperture; None: it lies outside the field.

        A point is the pixel it lies in, and so is a shape that holds no pixel's centre.
        """
        if not np.isfinite(self.corners).all():
            return None
        box = None if self.kind == "point" else self._box(shape)
        found = None if box is None else self._within(*box)
        return self._pixel(shape) if found is None else found

    def _box(self, shape: tuple[int, int]) -> tuple[slice, slice] | None:
        low, high = np.ceil(self.corners.min(axis=0)), np.floor(self.corners.max(axis=0))
        low, high = np.maximum(low, 0), np.minimum(high, np.array(shape) - 1)
        if (low > high).any():
            return None
        return slice(int(low[0]), int(high[0]) + 1), slice(int(low[1]), int(high[1]) + 1)

    def _within(self, rows: slice, columns: slice) -> Footprint | None:
        y, x = np.mgrid[rows, columns]
        points = np.stack([y.ravel(), x.ravel()], axis=1).astype(float)
        inside = (self._in_polygon(points) if self.kind == "polygon" else self._in_ellipse(points)).reshape(
            y.shape
        )
        ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not ys.size:
            return None
        part = inside[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        top, left = rows.start + int(ys[0]), columns.start + int(xs[0])
        return Footprint(slice(top, top + part.shape[0]), slice(left, left + part.shape[1]), part)

    def _in_polygon(self, points: Floats) -> Mask:
        from matplotlib.path import Path

        return np.asarray(Path(np.vstack([self.corners, self.corners[:1]])).contains_points(points))

    def _in_ellipse(self, points: Floats) -> Mask:
        axes = np.column_stack(self.half_axes)
        if abs(np.linalg.det(axes)) < 1e-12:
            return np.zeros(len(points), bool)
        unit = np.linalg.solve(axes, (points - self.centre).T)
        return np.asarray((unit**2).sum(axis=0) <= 1.0 + 1e-9)

    def _pixel(self, shape: tuple[int, int]) -> Footprint | None:
        y, x = (int(v) for v in np.floor(self.centre + 0.5))
        if not (0 <= y < shape[0] and 0 <= x < shape[1]):
            return None
        return Footprint(slice(y, y + 1), slice(x, x + 1), np.ones((1, 1), bool))

    def describe(self, matrix: Floats, unit: str) -> str:
        """In words: kind, centre in pixels, size on the sky.

        Parameters
        ----------
        matrix : ndarray, shape (2, 2)
            Offset on the sky of one pixel along (y, x).
        unit : str
            Of the offsets.
        """
        y, x = self.centre
        if self.kind == "point":
            return f"pixel (x, y) = ({np.floor(x + 0.5):.0f}, {np.floor(y + 0.5):.0f})"
        where = f"{self.kind}, centre pixel (x, y) = ({x:.1f}, {y:.1f})"
        if self.kind == "polygon":
            return f"{where}, {len(self.corners)} corners"
        a, b = (number(float(np.hypot(*(matrix @ axis)))) for axis in self.half_axes)
        return (
            f"{where}, radius {a} {unit}" if self.kind == "circle" else f"{where}, half-axes {a}, {b} {unit}"
        )


def whole(shape: tuple[int, int]) -> Footprint:
    """All pixels of a field (y, x)."""
    return Footprint(slice(0, shape[0]), slice(0, shape[1]), np.ones(shape, bool))


def point(centre: ArrayLike) -> Aperture:
    """The pixel (y, x)."""
    return Aperture(
        "point", _box_about(np.asarray(centre, float), np.array([0.5, 0.0]), np.array([0.0, 0.5]))
    )


def circle(centre: ArrayLike, radius: float, matrix: Floats) -> Aperture:
    """A circle on the sky.

    Parameters
    ----------
    centre : array_like
        Pixel (y, x).
    radius : float
        In the unit of `matrix`.
    matrix : ndarray, shape (2, 2)
        Offset on the sky of one pixel along (y, x).
    """
    return ellipse(centre, (radius, radius), matrix, kind="circle")


def ellipse(
    centre: ArrayLike, radii: tuple[float, float], matrix: Floats, *, kind: Kind = "ellipse"
) -> Aperture:
    """An ellipse whose half-axes on the sky (north, east) are `radii`, in the unit of `matrix`."""
    axes = np.linalg.inv(matrix) * np.asarray(radii, float)
    return Aperture(kind, _box_about(np.asarray(centre, float), axes[:, 0], axes[:, 1]))


def _box_about(centre: Floats, a: Floats, b: Floats) -> Floats:
    return np.stack([centre - a - b, centre + a - b, centre + a + b, centre - a + b])
