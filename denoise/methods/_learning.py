"""Learn the spectral basis of `pca` and `ica` in one pass over the cube.

Decomposing the raw spaxels finds nothing in a faint cube: a source carries too little of the variance. So the
spectra that count are those where the scale-space search found emission, smoothed to about the beam and the
width of a line, cut to the channels in which it was found. How many components are kept is decided by parallel
analysis (Horn 1965, Psychometrika 30, 179): the k-th eigenvalue has to exceed the k-th eigenvalue of draws of the
noise model that went through the same smoothing and the same masks. Independent rows (Marchenko-Pastur) are not
assumed: neighbouring spaxels share their noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from denoise.methods._components import Array, Basis, Doubles, Mask, find, starlet_scales, window_around
from denoise.methods._scatter import Scatter
from denoise.methods.contract import Parameters, Source
from denoise.metrics import expected_flukes
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.smoothing import gaussian

MATCHED = (1.0, 1.5)  # sigma of the smoothing before the decomposition: channels, pixels
MOST = 20  # components kept at most, if their number is not given
DRAWS = 4  # draws of the noise for the null
_LEAST_NOISE = 0.05  # smallest eigenvalue of the noise's spectral correlation that is whitened

Automatic = Literal["auto"]


class ComponentParameters(Parameters):
    """What `pca` and `ica` can be told."""

    n_components: Annotated[int, Field(ge=1, le=100)] | Automatic = Field(
        "auto",
        description="number of components kept; auto: those that exceed draws of the noise model",
    )
    flukes: float = Field(
        1.0,
        gt=0,
        le=100,
        description="chance peaks of pure noise taken for emission: at most so many expected in the whole cube",
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


def fluke_level(flukes: float, noise: NoiseModel) -> float:
    """Significance that at most `flukes` peaks of pure noise are expected to exceed in the whole cube."""
    low, high = 3.0, 9.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if expected_flukes(middle, noise) > flukes else (low, middle)
    return high


def learn(
    source: Source, noise: NoiseModel, parameters: ComponentParameters, *, positivity: bool, seed: int
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
    """
    nchan, white = source.shape[0], whitening(noise)
    empty = Basis(
        analysis=np.zeros((0, nchan), np.float32),
        synthesis=np.zeros((nchan, 0), np.float32),
        covariance=np.zeros((0, 0)),
        scales=detection.search_scales(source.shape),
        spatial_scales=starlet_scales(parameters.spatial_scales, source.shape),
        level=fluke_level(parameters.flukes, noise),
        strength=parameters.strength,
        positivity=positivity,
    )
    draws = DRAWS if parameters.n_components == "auto" else 0
    total, null = Scatter(nchan), [Scatter(nchan) for _ in range(draws)]
    for found in emission(source, empty):
        total.add(white.applied(found.spectra(found.data)))
        for k, scatter in enumerate(null):
            scatter.add(white.applied(found.spectra(found.draw(seed, k))))
    vectors = select(total, null, parameters.n_components)
    return replace(
        empty,
        analysis=np.asarray(vectors.T if white.inverse is None else vectors.T @ white.inverse, np.float32),
        synthesis=np.asarray(vectors if white.root is None else white.root @ vectors, np.float32),
        covariance=np.eye(vectors.shape[1]),
    )


def select(total: Scatter, null: list[Scatter], wanted: int | Automatic) -> Doubles:
    """Eigenvectors kept, shape (channel, K): the number wanted, or those beyond every draw of the null.

    At least one where anything was found: the search has shown that there is emission.
    """
    values, vectors = total.components(MOST if wanted == "auto" else wanted)
    if wanted != "auto" or not len(values):
        return vectors
    highest = np.zeros(len(values))
    for scatter in null:
        drawn = scatter.components(len(values))[0]
        highest[: len(drawn)] = np.maximum(highest[: len(drawn)], drawn)
    beyond = np.append(values > highest, False)
    return vectors[:, : max(1, int(np.argmin(beyond)))]


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

    def draw(self, seed: int, k: int) -> Array:
        """A draw of the noise, over sigma."""
        drawn, _ = detection.standardise(self.noise.sample(seed=seed, draw=k), self.noise.sigma())
        return np.where(self.known, drawn, np.float32(0))

    def spectra(self, values: Array) -> Array:
        """Smoothed spectra of the spaxels with emission, zero in channels without, shape (spaxel, channel)."""
        spectral = MATCHED[0] if len(values) > 1 else 0.0
        smooth = gaussian(values, spatial=MATCHED[1], spectral=spectral)
        return np.ascontiguousarray((smooth * self.mask)[:, self.spaxels].T)


def emission(source: Source, basis: Basis) -> Iterator[Emission]:
    """The emission found in each block of one pass."""
    for sample in source:
        sigma = np.broadcast_to(sample.noise.sigma(), sample.data.shape)
        data, known = detection.standardise(sample.data, sigma)
        both = not basis.positivity
        region = find(data, sample.noise, scales=basis.scales, level=basis.level, both_signs=both)
        mask = np.zeros(region.shape, bool)
        mask[sample.core] = (region[sample.core] > 0.5) & known[sample.core]
        if mask.any():
            window = window_around(mask.any(axis=0), int(4 * MATCHED[1] + 0.5))
            yield Emission(data[window], mask[window], known[window], sample.noise.window(window))
