"""Simulated observations: truth, noise, the noisy cube and its halves, all from one seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise._version import __version__
from denoise.errors import ParameterError
from denoise.simulate.beams import Beam
from denoise.simulate.discs import Galaxy
from denoise.simulate.fields import NoiseFamily, earth_rotation_tracks
from denoise.simulate.morphologies import SceneKind, draw_scene, ranges_of
from denoise.simulate.observations import (
    TOY_SHAPE,
    NoiseLevels,
    Observation,
    count_photons,
    dirty_beam,
    gaussian_noise,
    noise_levels,
)
from denoise.simulate.populations import Kind
from denoise.simulate.scenes import Cube, Scene, Shape, aperture_of, render_galaxies, render_scene

TUNING_KINDS: tuple[Kind, ...] = ("disc", "unresolved", "multi", "merger", "disc")
_BEAM, _SCENE, _CLOUDS, _COVERAGE, _NOISE, _HALVES, _LEVELS, _PHOTONS = range(8)  # streams of the seed

__all__ = ["Simulation", "observe", "render_galaxies", "repeat", "simulate_cube", "tuning_set"]


@dataclass(frozen=True)
class Simulation:
    """One simulated observation.

    Attributes
    ----------
    truth : ndarray, shape (channel, y, x), float32
        Noise-free cube after the beam; its maximum is 1 (all zero for an empty field).
    noise : ndarray, shape (channel, y, x), float32
        Noise of unit expected standard deviation in a typical channel in the centre of the field; NaN where
        the primary beam is below the cutoff.
    noisy : ndarray, shape (channel, y, x), float32
        ``truth + sigma * noise``.
    beam_pixels : tuple of float
        (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
    sigma : float
        Noise level: 1 / peak SNR.
    aperture : ndarray, shape (y, x), bool
        Union of the circles of diameter 2 max(2 R_e, major FWHM) on the galaxies, and of those that hold the
        structures.
    parameters : dict
        Everything that was drawn, JSON-ready; `repeat` makes the same cube of it.
    observation : Observation
        How it was observed.
    half_a, half_b : ndarray, shape (channel, y, x), float32, or None
        Two independent observations of half the time, if asked for: sigma is sqrt(2) higher, their mean is
        `noisy`.
    gain : ndarray, shape (y, x), float32, or None
        Primary beam that the data are corrected for.
    channel_sigma : ndarray, shape (channel,)
        Noise of each channel in the centre of the field, in units of the truth.
    coverage : ndarray, shape (2, samples), or None
        (u, v) of imaged visibilities, cycles per pixel.
    """

    truth: Cube
    noise: Cube
    noisy: Cube
    beam_pixels: Beam
    sigma: float
    aperture: NDArray[np.bool_]
    parameters: dict[str, Any] = field(repr=False)
    observation: Observation = field(repr=False)
    half_a: Cube | None = field(default=None, repr=False)
    half_b: Cube | None = field(default=None, repr=False)
    gain: NDArray[np.float32] | None = field(default=None, repr=False)
    channel_sigma: NDArray[np.float64] = field(default_factory=lambda: np.ones(0), repr=False)
    coverage: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def dirty_beam(self) -> NDArray[np.float32] | None:
        """Dirty beam, peak 1, shape (2 y - 1, 2 x - 1): the noise's autocorrelation; None if not imaged."""
        if self.coverage is None:
            return None
        ny, nx = self.truth.shape[1:]
        return dirty_beam(self.coverage, self.beam_pixels, (ny, nx))


def simulate_cube(
    seed: int,
    *,
    shape: Shape = TOY_SHAPE,
    kind: SceneKind = "disc",
    beam: Beam | None = None,
    peak_snr: float = 5.0,
    noise: NoiseFamily = "white_convolved",
    galaxies: Sequence[Galaxy] | None = None,
    continuum: float = 0.0,
    absorption: float = 0.0,
    clouds: int = 20000,
    observation: Observation | None = None,
    halves: bool = False,
) -> Simulation:
    """Simulate one cube; the same arguments give the same bytes.

    Galaxies, beam and noise come from separate streams of the seed: another peak SNR or noise family keeps
    the truth, another kind keeps the noise of a given beam.

    Parameters
    ----------
    seed : int
        Non-negative.
    shape : tuple of int
        (channel, y, x).
    kind : str
        What is in the field (see `draw_scene`): "disc", "unresolved", "multi", "merger", "empty", "filled",
        "ring", "tails", "outflow", "shell", "halo", "absorber", "continuum", "compact".
    beam : tuple of float, optional
        (major, minor, pa); if not given, drawn: geometric mean 4 to 5 pixels, axis ratio 0.65 to 1.
    peak_snr : float
        max(truth) / sigma.
    noise : {"white_convolved", "imaged", "imaged_gaussian", "white"}
        See `noise_field`.
    galaxies : sequence of Galaxy, optional
        Put these in the field instead of drawing them; an empty sequence is an empty field.
    continuum : float
        Peak of a compact continuum source on the first galaxy, in units of the line's peak.
    absorption : float
        Depth of an absorption line, as a fraction of that continuum.
    clouds : int
        Clouds a galaxy; more make its faint parts smoother.
    observation : Observation, optional
        Everything about the observation, in place of `shape`, `beam`, `peak_snr` and `noise`.
    halves : bool
        Make the two half-data cubes too.

    Raises
    ------
    ParameterError
        Unknown kind or noise, a beam or a number out of range.
    """
    if continuum < 0 or not 0 <= absorption <= 1:
        raise ParameterError(
            "continuum must not be negative and absorption must lie in 0 to 1",
            value=(continuum, absorption),
            action="give numbers within these limits",
        )
    seen = observation or Observation(shape, beam, peak_snr=peak_snr, noise=noise)
    if galaxies is None:
        size = seen.drawn_beam(_stream(seed, _BEAM))
        scene = draw_scene(_stream(seed, _SCENE), kind, shape=seen.shape, fwhm=math.sqrt(size[0] * size[1]))
    else:
        scene = Scene(tuple(galaxies))
    if continuum > 0:
        scene = replace(scene, continuum=continuum, absorption=absorption)
    return observe(scene, seen, seed, kind=kind, clouds=clouds, halves=halves)


def observe(
    scene: Scene,
    observation: Observation,
    seed: int,
    *,
    kind: str = "",
    clouds: int = 20000,
    halves: bool = False,
) -> Simulation:
    """Observe a scene; the same arguments give the same bytes.

    Parameters
    ----------
    scene : Scene
        What is in the field.
    observation : Observation
        Beam, noise and the rest.
    seed : int
        Non-negative.
    kind : str
        Noted in the parameters.
    clouds : int
        Clouds a component; more make its faint parts smoother.
    halves : bool
        Make the two half-data cubes too; nothing else changes.

    Raises
    ------
    ParameterError
        A negative seed.
    """
    beam = observation.drawn_beam(_stream(seed, _BEAM))
    coverage = None
    if observation.noise == "imaged":
        coverage = earth_rotation_tracks(_stream(seed, _COVERAGE), beam)
    truth = render_scene(
        scene,
        observation.shape,
        beam,
        rng=_stream(seed, _CLOUDS),
        clouds=clouds,
        coverage=coverage if observation.dirty else None,
        hanning=observation.hanning,
    )
    levels = noise_levels(observation, _stream(seed, _LEVELS))
    noisy, noise, pair = _noisy(truth, observation, levels, beam, coverage, seed, halves)
    settings = {"kind": kind, "ranges": ranges_of(kind), "version": __version__, "seed": seed}
    return Simulation(
        truth,
        noise,
        noisy,
        beam,
        1.0 / observation.peak_snr,
        aperture_of(scene.components, observation.shape, beam),
        settings
        | observation.as_dict()
        | {"beam": list(beam), "clouds": clouds, "halves": halves}
        | scene.as_dict(),
        replace(observation, beam=beam),
        *pair,
        levels.gain,
        _channel_sigma(observation, levels),
        coverage,
    )


def repeat(parameters: Mapping[str, Any]) -> Simulation:
    """Make the cube again that these parameters, as stored beside it, describe.

    Raises
    ------
    KeyError
        An entry is missing.
    """
    return observe(
        Scene.from_dict(parameters),
        Observation.from_dict(parameters),
        parameters["seed"],
        kind=parameters["kind"],
        clouds=parameters["clouds"],
        halves=parameters["halves"],
    )


def tuning_set(
    n: int,
    peak_snr: float | tuple[float, float] = (2.5, 8.0),
    seed: int = 1,
    *,
    noise: NoiseFamily = "white_convolved",
) -> Iterator[Simulation]:
    """The fixed set for tuning methods, in the manner of ``toy-discs``, version 1.

    40 x 96 x 96, beams of 4 to 5 pixels; in turn one disc, an unresolved one, a group, a merger and one disc
    more; sources anywhere in the field. The first cubes of a longer set are those of a shorter one.

    Parameters
    ----------
    n : int
        Number of cubes.
    peak_snr : float or tuple of float
        One value, or a range to draw from uniformly.
    seed : int
        Names the set; cube k has the seed ``seed * 100000 + k``.
    noise : str
        Noise family.
    """
    for k in range(n):
        cube_seed = seed * 100_000 + k
        yield simulate_cube(
            cube_seed,
            kind=TUNING_KINDS[k % len(TUNING_KINDS)],
            peak_snr=drawn_snr(cube_seed, peak_snr),
            noise=noise,
        )


def drawn_snr(seed: int, peak_snr: float | tuple[float, float]) -> float:
    """Peak SNR of the cube with this seed: the value, or one drawn uniformly from the range."""
    if isinstance(peak_snr, (int, float)):
        return float(peak_snr)
    return float(np.random.default_rng((seed, 99)).uniform(*peak_snr))


def _stream(seed: int, number: int) -> np.random.Generator:
    if seed < 0:
        raise ParameterError(
            "seed must not be negative", value=seed, action="give a whole number of at least 0"
        )
    return np.random.default_rng((seed, number))


def _noisy(
    truth: Cube,
    observation: Observation,
    levels: NoiseLevels,
    beam: Beam,
    coverage: NDArray[np.float64] | None,
    seed: int,
    halves: bool,
) -> tuple[Cube, Cube, tuple[Cube | None, Cube | None]]:
    """Noisy cube, its noise in units of sigma, and the halves."""
    sigma = np.float32(1.0 / observation.peak_snr)
    if observation.counts is not None:
        whole, pair = count_photons(truth, observation, levels, _stream(seed, _PHOTONS), halves=halves)
        noise = ((whole - truth) / (1.0 / observation.peak_snr)).astype(np.float32)
        made = (None, None) if pair is None else (pair[0].astype(np.float32), pair[1].astype(np.float32))
        return whole.astype(np.float32), noise, made
    noise = gaussian_noise(observation, levels, beam, coverage, _stream(seed, _NOISE))
    noisy = truth + sigma * noise
    if not halves:
        return noisy, noise, (None, None)
    # sums and differences of two draws of one sigma are independent, with sqrt(2) of it
    other = sigma * gaussian_noise(observation, levels, beam, coverage, _stream(seed, _HALVES))
    return noisy, noise, (noisy + other, noisy - other)


def _channel_sigma(observation: Observation, levels: NoiseLevels) -> NDArray[np.float64]:
    sigma = 1.0 / observation.peak_snr
    if observation.counts is None:
        return np.asarray(sigma * levels.channel)
    counts = observation.counts
    electrons = np.sqrt(counts.background * levels.channel**2 + counts.read_noise**2)
    return np.asarray(sigma * electrons / counts.electrons)
