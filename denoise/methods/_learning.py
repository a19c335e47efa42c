"""Learn the spectral basis of `pca` and `ica` in one pass over the cube.

Decomposing the raw spaxels finds nothing in a faint cube: a source carries too little of the variance. So the
spectra that count are those where the scale-space search found emission, smoothed to the size of the beam and to
a line's width, cut to the channels in which it was found. How many components are kept is decided by Horn's parallel
analysis (Horn 1965, Psychometrika 30, 179): the k-th eigenvalue has to exceed the k-th eigenvalue of draws of
the noise model that went through the same smoothing and the same masks. Independent rows (Marchenko-Pastur) are not
assumed, since neighbouring spaxels share their noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from denoise.methods._components import Array, Basis, Doubles, Mask, find, starlet_scales
from denoise.methods._scatter import Scatter
from denoise.methods.contract import Parameters, Sample, Source
from denoise.metrics import expected_flukes
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.smoothing import gaussian

MATCHED = (1.0, 1.5)  # sigma of the smoothing before the decomposition: channels, pixels
MOST = 20  # components kept at most
DRAWS = 4  # draws of the noise for the null
_LEAST_NOISE = 0.05  # smallest eigenvalue of the spectral noise correlation that is whitened

Components = Literal["auto"]


class ComponentParameters(Parameters):
    """What `pca` and `ica` can be told."""

    n_components: Annotated[int, Field(ge=1, le=100)] | Components = Field(
        "auto",
        description="number of components kept; auto: those that exceed draws of the noise model",
    )
    flukes: float = Field(
        0.3,
        gt=0,
        le=100,
        description="chance peaks of pure noise accepted as emission, at most so many expected in the cube",
    )
    spatial_scales: int = Field(3, ge=1, le=6, description="starlet scales of the component maps")
    strength: float = Field(
        1.5,
        ge=0,
        le=10,
        description="noise variances that the estimate around a voxel must exceed to be kept",
    )


class Spectra(NamedTuple):
    """Where emission was found in the core of one block: smoothed, masked spectra and those of noise draws."""

    data: Array
    draws: list[Array]


class Whitening(NamedTuple):
    """The spectral correlation of the noise T, its root L (``L L' = T``) and inverse; None where it is white."""

    root: Doubles | None
    inverse: Doubles | None


def whitening(noise: NoiseModel) -> Whitening:
    """Root of the correlation between channels, eigenvalues kept above a floor (smoothed noise has none left)."""
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
    """The basis of principal components; with none found, K = 0 and everything is noise."""
    nchan = source.shape[0]
    level, scales = fluke_level(parameters.flukes, noise), detection.search_scales(source.shape)
    total, null = Scatter(nchan), [Scatter(nchan) for _ in range(DRAWS)]
    white = whitening(noise)
    for sample in source:
        region = find(*_standardised(sample), scales=scales, level=level, both_signs=not positivity)
        for spectra in _spectra(
            sample, region, seed, draws=DRAWS if parameters.n_components == "auto" else 0
        ):
            total.add(_whitened(spectra.data, white))
            for scatter, draw in zip(null, spectra.draws, strict=False):
                scatter.add(_whitened(draw, white))
    vectors = select(total, null, parameters.n_components)
    return Basis(
        analysis=np.asarray(vectors.T if white.inverse is None else vectors.T @ white.inverse, np.float32),
        synthesis=np.asarray(vectors if white.root is None else white.root @ vectors, np.float32),
        covariance=np.eye(vectors.shape[1]),
        scales=scales,
        spatial_scales=starlet_scales(parameters.spatial_scales, source.shape),
        seed_level=level,
        strength=parameters.strength,
        positivity=positivity,
    )


def select(total: Scatter, null: list[Scatter], wanted: int | Components) -> Doubles:
    """Eigenvectors kept, shape (channel, K): the number wanted, or those beyond every draw of the null.

    At least one where anything was found: the search has shown that there is emission.
    """
    values, vectors = total.components(MOST if wanted == "auto" else int(wanted))
    if wanted != "auto" or not len(values):
        return vectors
    highest = np.zeros(len(values))
    for scatter in null:
        drawn = scatter.components(len(values))[0]
        highest[: len(drawn)] = np.maximum(highest[: len(drawn)], drawn)
    beyond = np.append(values > highest, False)
    return vectors[:, : max(1, int(np.argmin(beyond)))]


def _standardised(sample: Sample) -> tuple[Array, NoiseModel]:
    return detection.standardise(sample.data, sample.noise.sigma())[0], sample.noise


def _spectra(sample: Sample, region: Array, seed: int, *, draws: int) -> Iterator[Spectra]:
    """Spectra of the core's spaxels with emission, shape (spaxel, channel), and the same of noise; or nothing."""
    mask = np.zeros(region.shape, bool)
    mask[sample.core] = region[sample.core] > 0.5
    if not mask.any():
        return
    window = _window(mask.any(axis=0))
    mask, noise = mask[window], sample.noise.window(window)
    sigma = noise.sigma()
    data, known = detection.standardise(sample.data[window], sigma)
    mask &= known
    spaxels = mask.any(axis=0)

    def chosen(values: Array) -> Array:
        smooth = gaussian(values, spatial=MATCHED[1], spectral=MATCHED[0] if len(values) > 1 else 0.0)
        return np.ascontiguousarray((smooth * mask)[:, spaxels].T)

    drawn = (detection.standardise(noise.sample(seed=seed, draw=k), sigma)[0] for k in range(draws))
    yield Spectra(chosen(data), [chosen(np.where(known, each, np.float32(0))) for each in drawn])


def _window(spaxels: Mask) -> tuple[slice, slice, slice]:
    """All channels of the box around some spaxels, and what the smoothing needs beyond it."""
    reach = int(4 * MATCHED[1] + 0.5)
    found = (np.flatnonzero(spaxels.any(axis=axis)) for axis in (1, 0))
    y, x = (slice(max(0, int(at[0]) - reach), int(at[-1]) + reach + 1) for at in found)
    return slice(None), y, x


def _whitened(spectra: Array, white: Whitening) -> Array:
    return spectra if white.inverse is None else spectra @ white.inverse.astype(np.float32)
