"""Independent components of the emission, with their maps denoised."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from denoise.methods import _learning
from denoise.methods._components import Basis
from denoise.methods.contract import MethodInfo, Source
from denoise.methods.pca import Pca
from denoise.noise import NoiseModel

Doubles = NDArray[np.float64]

SPAXELS = 65536  # spectra that the rotation is learned from, at most
_ITERATIONS = 200
_TOLERANCE = 1e-8  # tight, so that the last digits of the input do not decide when to stop

_CITATION = """@article{hyvarinen1999,
  author = {Hyv{\\"a}rinen, A.}, title = {Fast and robust fixed-point algorithms for independent
    component analysis},
  journal = {IEEE Transactions on Neural Networks}, volume = {10}, pages = {626}, year = {1999},
  doi = {10.1109/72.761722}}"""


class Ica(Pca):
    """Independent component analysis of the emission, maps shrunk in space.

    The subspace and the number of components are those of `pca`; FastICA (Hyvarinen 1999) then turns them
    into the components whose maps are least Gaussian, learned from the spaxels with emission, as far as a
    rotation of components with uncorrelated noise can. Only the coordinates in which maps are shrunk differ
    from `pca`.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="ica",
        summary="Independent spectra of the emission and their denoised maps",
        citation=_CITATION,
        passes=2,
        variance=True,
        diagnostics={"components": "max"},
    )

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> Basis:
        """Learn the subspace in one pass and the rotation in another."""
        basis = super().fit(source, noise, seed=seed)
        if basis.size < 2:
            return basis
        return rotated(basis, unmixing(scores(source, basis, threads=self.threads), seed=seed))


def scores(source: Source, basis: Basis, *, threads: int = 1) -> Doubles:
    """Components of the spaxels with emission, shape (spaxel, K), in the order of their place in the cube.

    Of more than `SPAXELS` every n-th is kept, counted by place, so that tiles do not matter.
    """
    places, values = [np.zeros(0, np.int64)], [np.zeros((0, basis.size), np.float32)]
    for found in _learning.emission(source, basis, threads=threads):
        _, y0, x0 = found.noise.start
        y, x = np.nonzero(found.spaxels)
        places.append((y + y0) * source.shape[2] + x + x0)
        values.append(found.spectra(found.data, threads=threads)[0] @ basis.analysis.T)
    order = np.argsort(place := np.concatenate(places))
    step = -(-len(place) // SPAXELS) if len(place) else 1
    return np.concatenate(values)[order[::step]].astype(np.float64)


def unmixing(components: Doubles, *, seed: int) -> Doubles:
    """Matrix (K, K) that makes the components (spaxel, K) as independent as FastICA finds.

    The mean is not subtracted from what it is applied to: maps stay zero where there is no emission. The
    identity, if there are too few spaxels to tell components apart.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    size = components.shape[1]
    if len(components) < 4 * size or np.linalg.matrix_rank(components - components.mean(axis=0)) < size:
        return np.eye(size)
    search = FastICA(size, whiten="unit-variance", max_iter=_ITERATIONS, tol=_TOLERANCE, random_state=seed)
    with warnings.catch_warnings():
        # any rotation of the subspace is a valid one: a search that stopped early only shrinks less well
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(components)
    return np.asarray(search.components_, np.float64)


def rotated(basis: Basis, matrix: Doubles) -> Basis:
    """The basis in the orthogonal coordinates closest to those of `matrix` (its polar factor).

    Orthogonal, so that the noise of the components stays uncorrelated: shrinking maps that share their
    noise one by one would lose a fifth of the flux.
    """
    rows = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    left, _, right = np.linalg.svd(rows)
    rotation = left @ right
    return replace(
        basis,
        analysis=np.asarray(rotation @ basis.analysis, np.float32),
        synthesis=np.asarray(basis.synthesis @ rotation.T, np.float32),
        covariance=rotation @ basis.covariance @ rotation.T,
    )
