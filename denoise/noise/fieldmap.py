"""How the noise varies over the field: a smooth map where the data show one, else flat.

The logarithm of the variance in cells is fitted by a polynomial in x and y (a Gaussian primary beam is
exactly of second degree), of the degree that the Bayesian information criterion prefers; what is left and
significant after it (mosaics, exposure maps) is added smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_CELLS = 16  # most cells along an axis
_FEWEST = 6  # independent samples below which a cell does not count
_ROWS = 64  # of the map, at once
_GAINED = 35.0  # chi2 that five terms of a quadratic must explain: by chance one in a million
_WORTH = 0.03  # variations of sigma smaller than this are not worth a map


@dataclass(frozen=True)
class Cells:
    """Edges of the cells along y and x."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, shape: tuple[int, int], *, smallest: float) -> Cells:
        """At most 16 x 16 cells, none smaller than `smallest` pixels across."""
        counts = [int(np.clip(n // max(smallest, 1.0), 1, _CELLS)) for n in shape]
        rows, columns = (
            np.linspace(0, n, k + 1).round().astype(np.int64) for n, k in zip(shape, counts, strict=True)
        )
        return cls(rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells along y and x."""
        return len(self.rows) - 1, len(self.columns) - 1

    def sums(self, plane: NDArray[Any], first_row: int = 0) -> Array:
        """Sums of a plane over the cells; the plane may start at a later row and end earlier."""
        out = np.zeros(self.shape)
        by_column = np.add.reduceat(plane.astype(np.float64), self.columns[:-1], axis=1)
        cell = np.searchsorted(self.rows, first_row + np.arange(plane.shape[0]), side="right") - 1
        np.add.at(out, cell, by_column)
        return out

    def centres(self) -> tuple[Array, Array]:
        """Centres of the cells, y and x, each from -1 to 1 over the field."""
        y, x = ((e[:-1] + e[1:]) / e[-1] - 1.0 for e in (self.rows.astype(float), self.columns.astype(float)))
        return np.meshgrid(y, x, indexing="ij")[0], np.meshgrid(y, x, indexing="ij")[1]


def relative_map(
    variance: Array, independent: Array, cells: Cells, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Relative sigma over the field from the variance in cells.

    Parameters
    ----------
    variance : ndarray, shape of the cells
        NaN where unknown.
    independent : ndarray, shape of the cells
        Independent samples behind each.
    cells : Cells
    shape : (int, int)
        Of the field.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Around 1; all ones (one stored number, read-only) if the variation is not significant or below 3 %.
    """
    good = np.isfinite(variance) & (variance > 0) & (independent >= _FEWEST)
    flat = np.broadcast_to(np.float32(1.0), shape)
    count = int(np.count_nonzero(good))
    if count < 6:
        return flat
    weight = 0.5 * independent[good]  # inverse variance of a log variance
    logs = np.log(variance[good])
    logs = logs - np.sum(weight * logs) / weight.sum()
    y, x = cells.centres()
    place = np.stack([y[good], x[good]], axis=1)
    if not _varies(place, logs, weight):
        return flat
    smoother = _best(place, logs, weight, max(2.0 / n for n in cells.shape))
    grid = [np.linspace(-1, 1, 2 * n + 1) for n in cells.shape]
    nodes = np.stack([g.ravel() for g in np.meshgrid(*grid, indexing="ij")], axis=1)
    fitted = np.clip(smoother(nodes), logs.min() - 0.2, logs.max() + 0.3)
    return _upsample(np.exp(0.5 * fitted).reshape(grid[0].size, grid[1].size), shape)


def _varies(place: Array, logs: Array, weight: Array) -> bool:
    """Whether the cells scatter more than sampling lets them, in all or along a quadratic, and by enough."""
    count = logs.size
    total = float(np.sum(weight * logs**2))
    scatter = total / (count - 1) > 1.0 + 4.0 * np.sqrt(2.0 / count)
    intrinsic = (total - (count - 1)) / float(weight.sum())
    if scatter and intrinsic > (2 * _WORTH) ** 2:
        return True
    if count < 12:
        return False
    y, x = place.T
    basis = np.stack([np.ones(count), y, x, y * y, y * x, x * x], axis=1)
    root = np.sqrt(weight)
    fitted = basis @ np.linalg.lstsq(basis * root[:, None], logs * root, rcond=None)[0]
    gained = total - float(np.sum(weight * (logs - fitted) ** 2))
    return bool(gained > _GAINED and np.std(fitted) > 2 * _WORTH)


@dataclass(frozen=True)
class _LocalQuadratic:
    """Weighted quadratic around every point, weights falling as a Gaussian of this width."""

    place: Array
    values: Array
    weight: Array
    width: float

    def __call__(self, at: Array) -> Array:
        """Fitted values at positions, shape (points, 2)."""
        return np.asarray(self._rows(at) @ self.values)

    def _rows(self, at: Array) -> Array:
        step = self.place[None] - at[:, None]
        far = np.sum(step**2, axis=2) / self.width**2
        # relative to the nearest cell, so that points off the coverage extrapolate instead of failing
        kernel = self.weight * np.exp(-0.5 * (far - far.min(axis=1, keepdims=True)))
        y, x = step[..., 0] / self.width, step[..., 1] / self.width
        basis = np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], axis=2)
        normal = np.einsum("pni,pn,pnj->pij", basis, kernel, basis)
        total = normal[:, 0, 0]
        ridge = np.diag([0.0, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2])
        solved = np.linalg.inv(normal + total[:, None, None] * (ridge + 1e-12 * np.eye(6)))
        return np.asarray(np.einsum("pj,pnj,pn->pn", solved[:, 0], basis, kernel))

    def score(self) -> float:
        """Mean squared error of predicting each cell from the others."""
        rows = self._rows(self.place)
        left = (self.values - rows @ self.values) / np.maximum(1.0 - np.diag(rows), 1e-3)
        return float(np.sum(self.weight * left**2) / self.weight.sum())


def _best(place: Array, logs: Array, weight: Array, cell: float) -> _LocalQuadratic:
    widths = [w for w in (1.0, 1.5, 2.2, 3.3, 5.0, 8.0) if w * cell < 1.5] + [3.0 / cell]
    tried = [_LocalQuadratic(place, logs, weight, w * cell) for w in widths]
    return min(tried, key=_LocalQuadratic.score)


def _upsample(values: Array, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Linear between nodes that lie at the borders and in between."""
    from scipy.ndimage import map_coordinates

    y, x = ((np.arange(n) + 0.5) / n * (k - 1) for n, k in zip(shape, values.shape, strict=True))
    out = np.empty(shape, np.float32)
    for top in range(0, shape[0], _ROWS):  # the places take four times what the map does
        rows = slice(top, top + _ROWS)
        places = np.meshgrid(y[rows], x, indexing="ij")
        map_coordinates(values, places, order=1, mode="nearest", output=out[rows])
    return out
