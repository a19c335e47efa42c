"""Principal components of a stream of spectra: one pass, the smaller of two matrices.

``Scatter`` accumulates ``X'X`` of spectra (rows) that arrive in blocks; while there are fewer spectra than
channels it keeps the spectra themselves and works with ``XX'``, which has the same eigenvalues (Gram matrix).

Products are single precision over at most `PIECE` spectra, summed in double. A piece whose mean outweighs its
scatter is shifted by that mean first and the shift is put back in double, so that what is lost is counted in units
of the scatter about the mean (some 1e-8 of its trace) and never of a large offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cores import one_blas_thread
from denoise.transforms._jit import mapped

Floats = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
_Product = Callable[..., tuple[Doubles, Doubles]]

PIECE = 4096  # spectra of one product: few enough that its rounding does not grow
_GROUPS = 4  # runs of pieces that are summed apart and may run at once

_NOTHING = 1e-12  # eigenvalues below this share of the first are rounding
_ROUNDING = 1e-7  # the same for sums of single precision products


class Scatter:
    """Sum of outer products of spectra.

    Parameters
    ----------
    nchan : int
        Length of a spectrum.
    threads : int
        Threads of `add`; the sums do not depend on it.
    """

    def __init__(self, nchan: int, *, threads: int = 1) -> None:
        self.nchan = nchan
        self.threads = threads
        self.count = 0
        self._blocks: list[list[Doubles]] = []
        self._matrix: Doubles | None = None
        self._sum = np.zeros(nchan)
        self._cross: list[Doubles] = []

    def add(self, spectra: Floats, *partners: Floats) -> None:
        """Add spectra, shape (spaxel, channel), finite, and others of the same spaxels for `regressed`."""
        self.count += len(spectra)
        block = [spectra, *partners]
        if len(spectra) == 0:
            return
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

    def covariance(self) -> Doubles:
        """Covariance of the spectra about their mean, over their number, shape (channel, channel)."""
        if self._matrix is None:
            return np.asarray(
                np.cov(self._spectra(), rowvar=False, bias=True).reshape(self.nchan, self.nchan)
            )
        mean = self._sum / self.count
        return np.asarray(self._matrix / self.count - np.outer(mean, mean))

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
        real = values > (_NOTHING if self._matrix is None else _ROUNDING) * values[0]
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

    def _accumulate(self, block: Sequence[Floats], matrix: Doubles) -> None:
        rows, *partners = block
        if partners and not self._cross:
            self._cross = [np.zeros((self.nchan, self.nchan)) for _ in partners]
        product, total = _summed(_scatter_of, [rows], self.threads)
        matrix += product
        self._sum += total
        for k, each in enumerate(partners):
            self._cross[k] += _summed(_cross_of, [each, rows], self.threads)[0]


def _summed(of: _Product, spectra: list[Floats], threads: int) -> tuple[Doubles, Doubles]:
    """Sum of a product over the pieces of some spectra (spaxel, channel), the same for any number of threads."""
    edges = range(0, len(spectra[0]), PIECE)
    groups = [edges[k * len(edges) // _GROUPS : (k + 1) * len(edges) // _GROUPS] for k in range(_GROUPS)]
    nchan = spectra[0].shape[1]

    def part(starts: range) -> tuple[Doubles, Doubles]:
        matrix, total = np.zeros((nchan, nchan)), np.zeros(nchan)
        for start in starts:
            product, more = of(*(np.asarray(each[start : start + PIECE], np.float32) for each in spectra))
            matrix += product
            total += more
        return matrix, total

    with one_blas_thread():
        matrices, totals = zip(*mapped(part, filter(len, groups), threads=threads), strict=True)
    return np.sum(matrices, axis=0), np.sum(totals, axis=0)


def _cross_of(left: Singles, right: Singles) -> tuple[Doubles, Doubles]:
    return np.asarray(left.T @ right, np.float64), np.zeros(left.shape[1])


def _scatter_of(rows: Singles) -> tuple[Doubles, Doubles]:
    """``X'X`` (channel, channel) and sum (channel,) of one piece of spectra (spaxel, channel)."""
    count = len(rows)
    product: NDArray[Any] = rows.T @ rows  # a product with its own transpose: BLAS does half the work
    total = (np.ones(count, np.float32) @ rows).astype(np.float64)
    if 2 * (total @ total) <= count * np.trace(product, dtype=np.float64):
        return product.astype(np.float64), total
    shift = (total / count).astype(np.float32)
    rows = rows - shift
    rest, moved = rows.sum(axis=0, dtype=np.float64), shift.astype(np.float64)
    across = np.outer(moved, rest)
    product = rows.T @ rows + (across + across.T + count * np.outer(moved, moved))
    return np.asarray(product, np.float64), rest + count * moved


def _largest(matrix: Doubles, limit: int) -> tuple[Doubles, Doubles]:
    """Largest eigenvalues of a symmetric matrix, falling, and eigenvectors."""
    from scipy.linalg import eigh

    size = len(matrix)
    subset = None if limit == size else (size - limit, size - 1)
    values, vectors = eigh(matrix, lower=True, subset_by_index=subset, check_finite=False)
    return values[::-1], vectors[:, ::-1]
