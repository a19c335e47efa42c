"""Learn the spectral basis of `pca` and `ica` in one pass over the cube.

Decomposing the raw spaxels finds nothing in a faint cube: a source carries too little of the variance. So
the spectra that count are those where the scale-space search found emission, smoothed to about the beam and
the width of a line, cut to the channels in which it was found. How many components are kept is decided by
parallel analysis (Horn 1965, Psychometrika 30, 179): the k-th eigenvalue has to exceed the k-th eigenvalue
of draws of the noise model that went through the same smoothing and the same masks. Independent rows
(Marchenko-Pastur) are not assumed: neighbouring spaxels share their noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from denoise.cores import one_blas_thread
from denoise.methods._components import Array, Basis, Doubles, Mask, find, starlet_scales, window_around
from denoise.methods._scatter import Scatter
from denoise.methods.contract import Parameters, Source
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.smoothing import gaussian

MATCHED = (1.0, 1.5)  # sigma of the smoothing before the decomposition: channels, pixels
MOST = 20  # components kept at most, if their number is not given
DRAWS = 4  # draws of the noise for the null
SURE = 3.0  # standard deviations of the null's eigenvalues that a component has to exceed
_LEAST_NOISE = 0.05  # smallest eigenvalue of the noise's spectral correlation that is whitened

Automatic = Literal["auto"]


class ComponentParameters(Parameters):
    """What `pca` and `ica` can be told."""

    n_components: Annotated[int, Field(ge=1, le=100)] | Automatic = Field(
        "auto",
        description="number of components kept; auto: those that exceed draws of the noise model",
    )
    threshold: float = Field(
        detection.SEED,
        ge=3,
        le=20,
        description="a voxel, or a smoothed one, that is as rare in noise as one of white noise above this many "
        "sigma starts a region of emission",
    )
    spatial_scales: int = Field(3, ge=1, le=6, description="starlet scales of the component maps")
    strength: float = Field(
        1.0, ge=0, le=10, description="variances that the power of the estimate around a voxel has to exceed"
    )


class Whitening(NamedTuple):
    """Root L of the noise's correlation between channels (``L L' = T``) and its inverse; None: white."""

    root: Doubles | None
    inverse: Doubles | None

    def applied(self, spectra: Array) -> Array:
        """Spectra (spaxel, channel) whose noise is white."""
        return spectra if self.inverse is None else spectra @ self.inverse.astype(np.float32)


def whitening(noise: NoiseModel) -> Whitening:
    """Symmetric root of the noise's correlation between channels, its eigenvalues kept above a floor."""
    acf = noise.spectral_acf[: noise.shape[0]]
    if not np.any(acf[1:]):
        return Whitening(None, None)
    from scipy.linalg import toeplitz

    column = np.zeros(noise.shape[0])
    column[: len(acf)] = acf
    values, vectors = np.linalg.eigh(toeplitz(column))
    values = np.maximum(values, _LEAST_NOISE)
    return Whitening((vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T)


def learn(
    source: Source,
    noise: NoiseModel,
    parameters: ComponentParameters,
    *,
    positivity: bool,
    seed: int,
    threads: int = 1,
) -> Basis:
    """Principal components of the emission; with nothing found, none.

    Parameters
    ----------
    source : Source
        Read once.
    noise : NoiseModel
        Of the whole cube.
    parameters : ComponentParameters
        Of the method.
    positivity : bool
        Only emission is looked for.
    seed : int
        Of the noise draws.
    threads : int
        Threads of this call; the basis does not depend on it.
    """
    nchan, white = source.shape[0], whitening(noise)
    empty = Basis(
        analysis=np.zeros((0, nchan), np.float32),
        synthesis=np.zeros((nchan, 0), np.float32),
        covariance=np.zeros((0, 0)),
        scales=detection.search_scales(source.shape),
        spatial_scales=starlet_scales(parameters.spatial_scales, source.shape),
        threshold=parameters.threshold,
        strength=parameters.strength,
        positivity=positivity,
    )
    total, *null = (Scatter(nchan, threads=threads) for _ in range(1 + DRAWS))
    for found in emission(source, empty, threads=threads):
        smooth, sharp = (white.applied(each) for each in found.spectra(found.data, threads=threads))
        drawn = list(_drawn(found, white, seed, threads))
        total.add(smooth, sharp, *(pair[1] for pair in drawn))
        for scatter, pair in zip(null, drawn, strict=True):
            scatter.add(pair[0])
    vectors = select(total, null, parameters.n_components)
    return replace(
        empty,
        analysis=np.asarray(vectors.T if white.inverse is None else vectors.T @ white.inverse, np.float32),
        synthesis=np.asarray(vectors if white.root is None else white.root @ vectors, np.float32),
        covariance=np.eye(vectors.shape[1]),
    )


def _drawn(found: Emission, white: Whitening, seed: int, threads: int) -> Iterator[list[Array]]:
    """Spectra of draws of the noise, treated as those of the data: a draw a thread."""
    # made before the threads, which share its colouring kernel
    noise = found.noise.unit()

    def spectra(k: int) -> list[Array]:
        values = noise.sample(seed=seed, draw=k)
        if not found.known.all():
            values[~found.known] = 0
        return [white.applied(each) for each in found.spectra(values)]

    with one_blas_thread(), ThreadPoolExecutor(min(threads, DRAWS)) as pool:
        yield from pool.map(spectra, range(DRAWS))


def select(total: Scatter, null: list[Scatter], wanted: int | Automatic) -> Doubles:
    """Orthonormal spectra kept, shape (channel, K): the number wanted, or as many as exceed the null.

    At least one where anything was found: the search has shown that there is emission. The rule errs towards
    keeping, because eigenvalues of noise after some of signal are compared with the null's later ones: a spectrum of
    noise costs little, its map is noise and the gains remove it; a spectrum of signal lost is flux lost.
    """
    values, vectors = total.components(MOST if wanted == "auto" else wanted)
    kept = len(values)
    if wanted == "auto" and kept:
        drawn = np.zeros((len(null), kept))
        for row, scatter in zip(drawn, null, strict=True):
            eigenvalues = scatter.components(kept)[0]
            row[: len(eigenvalues)] = eigenvalues
        beyond = np.append(values > null_levels(drawn), False)
        kept = max(1, int(np.argmin(beyond)))
    return sharpened(total, values[:kept], vectors[:, :kept])


def sharpened(total: Scatter, values: Doubles, vectors: Doubles) -> Doubles:
    """Orthonormal spectra without the smoothing along channels, as far as the noise allows.

    Smoothed spectra are broader than the lines, and projecting on them would add flux (9 % for a line as wide as
    the smoothing). The unsmoothed ones follow from regression on the components' maps; the same regression
    of noise draws tells how much of the difference is noise, and each spectrum takes the share that is not
    (James and Stein).
    """
    if not len(values):
        return vectors
    sharp, *drawn = total.regressed(values, vectors)
    difference = sharp - vectors
    noise = np.mean([np.sum(each**2, axis=0) for each in drawn], axis=0)
    power = np.sum(difference**2, axis=0)
    share = np.maximum(power - noise, 0) / np.maximum(power, np.finfo(float).tiny)
    return np.asarray(np.linalg.qr(vectors + share * difference)[0])


def null_levels(drawn: Doubles) -> Doubles:
    """What the k-th eigenvalue of noise stays below, from draws (draw, k): mean and `SURE` deviations.

    The relative spread is pooled over k: few draws then give a better limit than their largest value does.
    """
    mean = drawn.mean(axis=0)
    spread = (
        np.sqrt(np.mean(drawn.var(axis=0, ddof=1)[mean > 0] / mean[mean > 0] ** 2)) if mean.any() else 0.0
    )
    return np.asarray(mean * (1 + SURE * spread))


class Emission(NamedTuple):
    """A window of one block around the emission found in its core.

    Attributes
    ----------
    data : ndarray, shape (channel, y, x), float32
        Over sigma, 0 where not known.
    mask : ndarray of bool, same shape
        Emission of the core, and of it alone.
    known : ndarray of bool, same shape
        Where there are data and sigma.
    noise : NoiseModel
        Of the window.
    """

    data: Array
    mask: Mask
    known: Mask
    noise: NoiseModel

    @property
    def spaxels(self) -> Mask:
        """Spaxels (y, x) with emission."""
        return np.asarray(self.mask.any(axis=0))

    def spectra(self, values: Array, *, threads: int = 1) -> tuple[Array, Array]:
        """Spectra of the spaxels with emission (spaxel, channel), zero in channels without.

        Smoothed in space and along channels, and in space alone.
        """
        sharp = gaussian(values, spatial=MATCHED[1], threads=threads)
        smooth = gaussian(sharp, spectral=MATCHED[0], threads=threads) if len(values) > 1 else sharp
        spaxels = self.spaxels
        mask = self.mask[:, spaxels]
        # views with the spaxels of a channel side by side, as they come: turning them round takes longer than BLAS does
        return (smooth[:, spaxels] * mask).T, (sharp[:, spaxels] * mask).T


def emission(source: Source, basis: Basis, *, threads: int = 1) -> Iterator[Emission]:
    """The emission found in each block of one pass."""
    for sample in source:
        sigma = np.broadcast_to(sample.noise.sigma(), sample.data.shape)
        data, known = detection.standardise(sample.data, sigma, threads=threads)
        both = not basis.positivity
        region, _ = find(
            data,
            sample.noise,
            scales=basis.scales,
            threshold=basis.threshold,
            both_signs=both,
            threads=threads,
        )
        mask = np.zeros(region.shape, bool)
        mask[sample.core] = (region[sample.core] > 0.5) & known[sample.core]
        if mask.any():
            window = window_around(np.asarray(mask.any(axis=0)), int(4 * MATCHED[1] + 0.5))
            yield Emission(data[window], mask[window], known[window], sample.noise.window(window))
