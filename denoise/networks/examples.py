"""Simulated examples, each fixed by a seed: the cubes of step n are the same whatever makes them, and when.

Everything is in units of the noise. Sources lie anywhere in the field; an example is what the network sees of a noisy
cube, its sub-bands, and the truth as the whitening leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from denoise.networks.recipe import BatchShape, SimulationRecipe
from denoise.networks.scalespace import Array, Grid, noise_numbers, scale_space
from denoise.noise import NoiseModel
from denoise.noise.covariance import Family
from denoise.simulate import HANNING_ACF, Galaxy, Observation, Scene, Simulation, draw_scene, observe
from denoise.simulate.populations import log_uniform
from denoise.transforms.whitening import Filters, filters_for, whiten

TRAINING, VALIDATION, REHEARSAL, GUARDING = 0, 1, 2, 3  # streams of the seed
EMISSION, APERTURE, TOP = 1, 2, 4  # bits of the masks
FAINT, BRIGHT = 0.05, 0.7  # of the peak of the truth: where emission ends, where the peak begins
_LEAST_CHANNELS = 40  # of a simulated band; what is shorter is cut out of one
Choice = TypeVar("Choice", bound=str)


class Batch(NamedTuple):
    """Examples of one step, batch first; positions and sub-pixels as in ``scalespace``.

    Attributes
    ----------
    inputs : ndarray, shape (batch, channel, y / 2, x / 2, 26), float16
        See ``scalespace.ScaleSpace``.
    bands : ndarray, shape (batch, channel, y / 2, x / 2, 25, 4), float16
        Sub-bands.
    truth : ndarray, shape (batch, channel, y / 2, x / 2, 4), float16
        Whitened, in units of sigma.
    masks : ndarray, same shape, uint8
        Bits EMISSION, APERTURE, TOP.
    numbers : ndarray, shape (batch, 8), float32
        Of the noise.
    noise : ndarray, shape (batch, 25), float32
        Of the sub-bands.
    colour : ndarray, shape (batch, y, x / 2 + 1), float32
        Transfer function that takes whitened cubes back.
    snr : ndarray, shape (batch,), float32
        Peak SNR; 0 for an empty field.
    scene : ndarray, shape (batch,), float32
        Number of the scene: the same for cubes that differ in their noise alone.
    """

    inputs: NDArray[np.float16]
    bands: NDArray[np.float16]
    truth: NDArray[np.float16]
    masks: NDArray[np.uint8]
    numbers: Array
    noise: Array
    colour: Array
    snr: Array
    scene: Array


class Observed(NamedTuple):
    """One simulated cube in units of its noise.

    Attributes
    ----------
    truth, noisy : ndarray, shape (channel, y, x), float32
    aperture : ndarray of bool, shape (y, x)
    model : NoiseModel
        Of unit sigma.
    snr : float
        Peak SNR; 0 for an empty field.
    """

    truth: Array
    noisy: Array
    aperture: NDArray[np.bool_]
    model: NoiseModel
    snr: float


def make_batch(recipe: SimulationRecipe, seed: int, stream: int, step: int) -> Batch:
    """The examples of one step of one stream; the same arguments give the same bytes."""
    rng = np.random.default_rng((seed, stream, step))
    shares = np.array([one.weight for one in recipe.shapes])
    chosen: BatchShape = recipe.shapes[int(rng.choice(len(shares), p=shares / shares.sum()))]
    seeds = [int(one) for one in rng.integers(2**62, size=chosen.batch)]
    made = []
    for scene, one in enumerate(seeds[: -(-chosen.batch // 2)] if recipe.antithetic else seeds):
        cube = draw_observed(recipe, chosen.field or chosen.shape, one)
        for noisy in (cube, with_negated_noise(cube)) if recipe.antithetic else (cube,):
            cut = cut_around(noisy, chosen.shape, np.random.default_rng(one + 1))
            made.append(cut._replace(scene=np.asarray(scene, np.float32)))
    return Batch(*(np.stack(parts) for parts in zip(*made[: chosen.batch], strict=True)))


def with_negated_noise(cube: Observed) -> Observed:
    """The same scene in noise that is as likely."""
    return cube._replace(noisy=2 * cube.truth - cube.noisy)


def cut_around(cube: Observed, shape: tuple[int, int, int], rng: np.random.Generator) -> Batch:
    """One example, cut to `shape` so that the brightest voxel lies anywhere in its inner part."""
    whole = example(cube)
    size = cube.truth.shape
    if shape == size:
        return whole
    peak = np.unravel_index(int(cube.truth.argmax()), size) if cube.snr else rng.integers(size)
    first = []
    for at, have, want in zip(peak, size, shape, strict=True):
        offset = int(at) - int(rng.uniform(0.2, 0.8) * want)
        first.append(2 * (min(max(offset, 0), have - want) // 2))
    places = (
        slice(first[0], first[0] + shape[0]),
        *(slice(a // 2, (a + n) // 2) for a, n in zip(first[1:], shape[1:], strict=True)),
    )
    return whole._replace(
        inputs=whole.inputs[places],
        bands=whole.bands[places],
        truth=whole.truth[places],
        masks=whole.masks[places],
        colour=colour_transfer(filters_for(cube.model), shape[1:]),
    )


def example(cube: Observed) -> Batch:
    """One example, without the batch axis."""
    valid = np.ones(cube.truth.shape, np.bool_)
    white = whiten(cube.noisy, valid, cube.model)
    wanted = whiten(cube.truth, valid, cube.model).data
    numbers = noise_numbers(white.noise)
    grid = Grid.of(cube.truth.shape, image=len(cube.truth) == 1)
    space = scale_space(white.data, numbers, grid)
    return Batch(
        space.inputs.astype(np.float16),
        space.bands.astype(np.float16),
        grid.positions(wanted).astype(np.float16),
        grid.positions(_masks(cube)),
        numbers.numbers,
        numbers.bands,
        colour_transfer(filters_for(cube.model), cube.truth.shape[1:]),
        np.asarray(cube.snr, np.float32),
        np.zeros((), np.float32),
    )


def _masks(cube: Observed) -> NDArray[np.uint8]:
    peak = float(cube.truth.max())
    masks = np.zeros(cube.truth.shape, np.uint8)
    if peak > 0:
        masks[cube.truth > FAINT * peak] |= EMISSION
        masks[cube.truth > BRIGHT * peak] |= TOP
        masks[:, cube.aperture] |= APERTURE
    return masks


def colour_transfer(filters: Filters | None, plane: tuple[int, int]) -> Array:
    """Transfer function on a periodic plane (y, x) of the filter that puts the correlation back."""
    ny, nx = plane
    if filters is None:
        return np.ones((ny, nx // 2 + 1), np.float32)
    grid = np.zeros(plane)
    rows, columns = (
        (np.arange(n) - n // 2) % size for n, size in zip(filters.colour.shape, plane, strict=True)
    )
    np.add.at(grid, (rows[:, None], columns[None, :]), filters.colour)
    return np.asarray(np.fft.rfft2(grid).real, np.float32)


def draw_observed(recipe: SimulationRecipe, shape: tuple[int, int, int], seed: int) -> Observed:
    """Draw and observe one scene."""
    rng = np.random.default_rng(seed)
    kind, family = _drawn(rng, recipe.kinds), _drawn(rng, recipe.noise)
    snr = log_uniform(rng, *(recipe.bright_snr if rng.random() < recipe.bright else recipe.snr))
    beam = _beam(rng, recipe)
    band = (max(shape[0], _LEAST_CHANNELS), *shape[1:])
    scene = draw_scene(rng, kind, shape=band, fwhm=math.sqrt(beam[0] * beam[1]))
    if rng.random() < recipe.turbulent:
        scene = _turbulent(rng, scene)
    hanning = bool(shape[0] >= 12 and rng.random() < recipe.hanning)
    asked = Observation(band, beam, peak_snr=snr, noise=family, hanning=hanning)
    made = observe(scene, asked, int(rng.integers(2**31)), kind=kind)
    truth, noise = _cut(rng, made, shape[0])
    error = float(np.exp(recipe.sigma_error * rng.standard_normal()))
    truth = truth * np.float32(snr * error)
    model = _noise_model(truth.shape, made, family, hanning=hanning)
    found = snr if truth.any() else 0.0
    return Observed(truth, truth + noise * np.float32(error), made.aperture, model, found)


def _beam(rng: np.random.Generator, recipe: SimulationRecipe) -> tuple[float, float, float]:
    mean, ratio = rng.uniform(*recipe.usual_beam), rng.uniform(max(0.65, recipe.axis_ratio), 1)
    if rng.random() >= recipe.usual:
        mean, ratio = log_uniform(rng, *recipe.beam), rng.uniform(recipe.axis_ratio, 1)
    return mean / math.sqrt(ratio), mean * math.sqrt(ratio), float(rng.uniform(0, 180))


def _cut(rng: np.random.Generator, made: Simulation, channels: int) -> tuple[Array, Array]:
    """Channels of the band around the brightest one, the peak scaled to 1 again."""
    truth, noise = made.truth, made.noise
    if channels < len(truth):
        first = int(np.argmax(truth.sum(axis=(1, 2)))) - int(rng.integers(channels))
        first = min(max(first, 0), len(truth) - channels)
        truth, noise = (part[first : first + channels] for part in (truth, noise))
        peak = float(truth.max())
        truth = truth / np.float32(peak) if peak > 0 else truth
    return truth, noise


def _noise_model(shape: tuple[int, ...], made: Simulation, family: str, *, hanning: bool) -> NoiseModel:
    size = (shape[0], shape[1], shape[2])
    spectral = np.asarray(HANNING_ACF if hanning and size[0] > 1 else np.ones(1))
    if family == "white":
        return NoiseModel.white(size, 1.0, spectral_acf=spectral)
    if made.dirty_beam is not None:
        return NoiseModel.from_psf(size, 1.0, made.dirty_beam, spectral_acf=spectral)
    kind: Family = "imaged" if family == "imaged_gaussian" else "white_convolved"
    return NoiseModel.from_beam(size, 1.0, made.beam_pixels, kind, spectral_acf=spectral)


def _turbulent(rng: np.random.Generator, scene: Scene) -> Scene:
    """Thick, turbulent, larger discs, often with a diffuse halo."""
    wide, thick, large = log_uniform(rng, 1, 4), rng.uniform(1, 4), rng.uniform(1, 1.7)
    galaxies = [
        replace(
            one,
            dispersion=one.dispersion * wide,
            scale_height=one.scale_height * thick,
            effective_radius=one.effective_radius * large,
        )
        for one in scene.galaxies
    ]
    if galaxies and rng.random() < 0.6:
        galaxies.append(_halo_of(rng, galaxies[0]))
    return replace(scene, galaxies=tuple(galaxies))


def _halo_of(rng: np.random.Generator, disc: Galaxy) -> Galaxy:
    return replace(
        disc,
        flux=disc.flux * log_uniform(rng, 0.1, 1),
        effective_radius=disc.effective_radius * rng.uniform(1.3, 3),
        index=1.0,
        scale_height=disc.scale_height * 2,
        dispersion=disc.dispersion * rng.uniform(1, 2.5),
        clumpiness=0.0,
    )


def _drawn(rng: np.random.Generator, shares: Mapping[Choice, float]) -> Choice:
    names = sorted(shares)
    return names[int(rng.choice(len(names), p=[shares[name] for name in names]))]
