"""Principal components of a stream of spectra: one pass, float64, the smaller of two matrices.

``Scatter`` accumulates ``X'X`` of spectra (rows) that arrive in blocks; while there are fewer spectra than
channels it keeps the spectra themselves and works with ``XX'``, which has the same eigenvalues (Gram matrix).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]


class Scatter:
    """Sum of outer products of spectra.

    Accumulated in float64: with float32 sums near-degenerate components would depend on the tiles.

    Parameters
    ----------
    nchan : int
        Length of a spectrum.
    """

    def __init__(self, nchan: int) -> None:
        self.nchan = nchan
        self.count = 0
        self._blocks: list[list[Doubles]] = []
        self._matrix: Doubles | None = None
        self._cross: list[Doubles] = []

    def add(self, spectra: Floats, *partners: Floats) -> None:
        """Add spectra, shape (spaxel, channel), finite, and others of the same spaxels for `regressed`."""
        self.count += len(spectra)
        block = [np.array(each, np.float64) for each in (spectra, *partners)]
        if self._matrix is None and self.count < self.nchan:
            self._blocks.append(block)
            return
        self._flush()
        self._accumulate(block)

    def regressed(self, values: Doubles, vectors: Doubles) -> list[Doubles]:
        """Spectra (channel, K) of each partner Y that go with the components' maps X V: ``Y'X V / values``."""
        if self._matrix is None:
            maps = self._spectra() @ vectors
            partners = zip(*(block[1:] for block in self._blocks), strict=True)
            return [np.asarray(np.concatenate(rows).T @ maps / values) for rows in partners]
        return [np.asarray(cross @ vectors / values) for cross in self._cross]

    def matrix(self) -> Doubles:
        """``X'X``, shape (channel, channel)."""
        if self._matrix is None:
            spectra = self._spectra()
            return np.asarray(spectra.T @ spectra)
        lower = np.tril(self._matrix)
        return np.asarray(lower + np.tril(self._matrix, -1).T)

    def components(self, limit: int) -> tuple[Doubles, Doubles]:
        """The largest eigenvalues of ``X'X``, falling, and their eigenvectors.

        Parameters
        ----------
        limit : int
            At most so many; never more than there are spectra or channels.

        Returns
        -------
        values : ndarray, shape (component,)
        vectors : ndarray, shape (channel, component)
            Orthonormal; the largest entry of each is positive, so that they do not depend on the library.
        """
        limit = min(limit, self.nchan, self.count)
        if limit == 0:
            return np.zeros(0), np.zeros((self.nchan, 0))
        values, vectors = self._gram(limit) if self._matrix is None else _largest(self._matrix, limit)
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        return values, vectors * np.where(signs == 0, 1.0, signs)

    def _gram(self, limit: int) -> tuple[Doubles, Doubles]:
        spectra = self._spectra()
        values, left = _largest(spectra @ spectra.T, limit)
        real = values > values[0] * 1e-12 if values[0] > 0 else np.zeros(len(values), bool)
        values, left = values[real], left[:, real]
        return values, spectra.T @ left / np.sqrt(values)

    def _spectra(self) -> Doubles:
        return np.concatenate([np.zeros((0, self.nchan)), *(block[0] for block in self._blocks)])

    def _flush(self) -> None:
        if self._matrix is None:
            self._matrix = np.zeros((self.nchan, self.nchan), order="F")
            for block in self._blocks:
                self._accumulate(block)
            self._blocks = []

    def _accumulate(self, block: list[Doubles]) -> None:
        from scipy.linalg.blas import dsyrk

        rows, *partners = block
        # rows.T is Fortran-ordered as BLAS wants it; only the lower triangle is written, in place
        self._matrix = dsyrk(1.0, rows.T, beta=1.0, c=self._matrix, lower=1, overwrite_c=1)
        products = [np.asarray(each.T @ rows) for each in partners]
        self._cross = [a + b for a, b in zip(self._cross, products, strict=True)] if self._cross else products


def _largest(matrix: Doubles, limit: int) -> tuple[Doubles, Doubles]:
    """Largest eigenvalues of a symmetric matrix (its lower triangle), falling, and eigenvectors."""
    from scipy.linalg import eigh

    size = len(matrix)
    subset = None if limit == size else (size - limit, size - 1)
    values, vectors = eigh(matrix, lower=True, subset_by_index=subset, check_finite=False)
    return values[::-1], vectors[:, ::-1]
