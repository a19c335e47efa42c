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
_CELLS = 24  # most cells along an axis
_WORTH = 0.03  # variations of sigma smaller than this are not worth a map


@dataclass(frozen=True)
class Cells:
    """Edges of the cells along y and x."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, shape: tuple[int, int], *, smallest: float) -> Cells:
        """At most 24 x 24 cells, none smaller than `smallest` pixels across."""
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
    good = np.isfinite(variance) & (variance > 0) & (independent >= 8)
    flat = np.broadcast_to(np.float32(1.0), shape)
    if np.count_nonzero(good) < 6:
        return flat
    logs = np.log(np.where(good, variance, 1.0))
    weight = np.where(good, 0.5 * independent, 0.0)  # inverse variance of a log variance
    logs = logs - np.sum(weight * logs) / weight.sum()
    count = int(np.count_nonzero(good))
    chi2 = float(np.sum(weight * logs**2)) / (count - 1)
    intrinsic = float(np.sum(weight * logs**2) - (count - 1)) / weight.sum()
    if chi2 < 1.0 + 4.0 * np.sqrt(2.0 / count) or intrinsic < (2 * _WORTH) ** 2:
        return flat
    coefficients, degree = _fit(logs, weight, cells)
    y, x = (np.linspace(-1, 1, 2 * n + 1)[1::2] for n in shape)
    fitted = _evaluate(coefficients, degree, y[:, None], x[None, :])
    rest = _rest(logs, weight, coefficients, degree, cells)
    if rest is not None:
        fitted = fitted + _upsample(rest, cells, shape)
    low, high = logs[good].min(), logs[good].max()
    return np.exp(0.5 * np.clip(fitted, low - 0.2, high + 0.5)).astype(np.float32)


def _terms(degree: int, y: Any, x: Any) -> list[Any]:
    return [y**i * x**j for i in range(degree + 1) for j in range(degree + 1 - i)]


def _evaluate(coefficients: Array, degree: int, y: Any, x: Any) -> Array:
    terms = (c * t for c, t in zip(coefficients, _terms(degree, y, x), strict=True))
    return np.asarray(sum(terms) + np.zeros(np.broadcast(y, x).shape))


def _fit(logs: Array, weight: Array, cells: Cells) -> tuple[Array, int]:
    y, x = cells.centres()
    best: tuple[float, Array, int] | None = None
    used, root = weight > 0, np.sqrt(weight)
    for degree in (0, 1, 2, 4):
        design = np.stack([np.broadcast_to(t, y.shape)[used] for t in _terms(degree, y, x)], axis=1)
        if design.shape[1] * 2 > design.shape[0]:
            break
        scaled = design * root[used][:, None]
        solution = np.linalg.lstsq(scaled, logs[used] * root[used], rcond=None)[0]
        chi2 = float(np.sum((scaled @ solution - logs[used] * root[used]) ** 2))
        score = chi2 + design.shape[1] * np.log(design.shape[0])
        if best is None or score < best[0]:
            best = (score, solution, degree)
    return (best[1], best[2]) if best else (np.zeros(1), 0)


def _rest(logs: Array, weight: Array, coefficients: Array, degree: int, cells: Cells) -> Array | None:
    """What the polynomial leaves, smoothed over 3 x 3 cells and shrunk; None if not significant."""
    from scipy.ndimage import uniform_filter

    y, x = cells.centres()
    left = np.where(weight > 0, logs - _evaluate(coefficients, degree, y, x), 0.0)
    count = np.count_nonzero(weight) - coefficients.size
    chi2 = float(np.sum(weight * left**2)) / max(1, count)
    if chi2 < 1.0 + 6.0 * np.sqrt(2.0 / max(1, count)):
        return None
    total = uniform_filter(weight, 3, mode="constant")
    mean = uniform_filter(weight * left, 3, mode="constant") / np.where(total > 0, total, 1.0)
    return np.asarray(mean * (1.0 - 1.0 / chi2))


def _upsample(values: Array, cells: Cells, shape: tuple[int, int]) -> Array:
    from scipy.ndimage import map_coordinates

    at = [(np.arange(n) + 0.5) / n * k - 0.5 for n, k in zip(shape, values.shape, strict=True)]
    return np.asarray(map_coordinates(values, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest"))
