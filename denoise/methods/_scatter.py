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

_NOTHING = 1e-12  # eigenvalues below this share of the first are rounding


class Scatter:
    """Sum of outer products of spectra.

    Parameters
    ----------
    nchan : int
        Length of a spectrum.
    dtype : type
        Of the products within one block; sums over blocks are float64 in any case. float32 is twice as fast, but
        lets near-degenerate components depend on how the spectra were cut into blocks.
    """

    def __init__(self, nchan: int, *, dtype: type[np.floating[Any]] = np.float64) -> None:
        self.nchan = nchan
        self.dtype = dtype
        self.count = 0
        self._blocks: list[list[Floats]] = []
        self._matrix: Doubles | None = None
        self._cross: list[Doubles] = []

    def add(self, spectra: Floats, *partners: Floats) -> None:
        """Add spectra, shape (spaxel, channel), finite, and others of the same spaxels for `regressed`."""
        self.count += len(spectra)
        block: list[Floats] = [np.asarray(each, self.dtype) for each in (spectra, *partners)]
        if self._matrix is None and self.count < self.nchan:
            self._blocks.append([np.array(each, np.float64) for each in block])
            return
        self._accumulate(block, self._flushed())

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
        return self._matrix

    def components(self, limit: int) -> tuple[Doubles, Doubles]:
        """The largest eigenvalues of ``X'X``, falling, and their eigenvectors.

        Parameters
        ----------
        limit : int
            At most so many; never more than the rank.

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
        real = values > _NOTHING * values[0]
        values, vectors = values[real], vectors[:, real]
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        return values, vectors * np.where(signs == 0, 1.0, signs)

    def _gram(self, limit: int) -> tuple[Doubles, Doubles]:
        spectra = self._spectra()
        values, left = _largest(spectra @ spectra.T, limit)
        return values, spectra.T @ left / np.sqrt(np.maximum(values, np.finfo(float).tiny))

    def _spectra(self) -> Doubles:
        return np.concatenate([np.zeros((0, self.nchan)), *(block[0] for block in self._blocks)])

    def _flushed(self) -> Doubles:
        if self._matrix is None:
            self._matrix = np.zeros((self.nchan, self.nchan))
            for block in self._blocks:
                self._accumulate(block, self._matrix)
            self._blocks = []
        return self._matrix

    def _accumulate(self, block: list[Floats], matrix: Doubles) -> None:
        rows, *partners = block
        matrix += rows.T @ rows  # a product with its own transpose: BLAS does half the work
        products = [np.asarray(each.T @ rows, np.float64) for each in partners]
        self._cross = [a + b for a, b in zip(self._cross, products, strict=True)] if self._cross else products


def _largest(matrix: Doubles, limit: int) -> tuple[Doubles, Doubles]:
    """Largest eigenvalues of a symmetric matrix, falling, and eigenvectors."""
    from scipy.linalg import eigh

    size = len(matrix)
    subset = None if limit == size else (size - limit, size - 1)
    values, vectors = eigh(matrix, lower=True, subset_by_index=subset, check_finite=False)
    return values[::-1], vectors[:, ::-1]
