"""The cubes of a suite: named before they are made, and made one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.benchmark.suite import Bin, Simulated, Suite
from denoise.cube import Cube
from denoise.errors import InputError
from denoise.metrics import Observation as Observed
from denoise.metrics import SourceWindow
from denoise.noise import NoiseModel
from denoise.simulate import HANNING_ACF, Observation, Scene, Simulation, draw_scene, observe

Array = NDArray[np.float32]
MOST_TRIES = 1000


@dataclass(frozen=True)
class Case:
    """One cube of a suite, before it is made.

    Attributes
    ----------
    group, bin : str
        Panel and peak SNR bin, as shown.
    number, draw : int
        Which cube of the bin, and which draw of its noise.
    name : str
        What is denoised, for people.
    snr : tuple of float
        Range of the peak SNR.
    """

    group: str
    bin: str
    number: int
    draw: int = 0
    name: str = ""
    snr: Bin = (math.nan, math.nan)

    @property
    def key(self) -> str:
        """Names the case within its suite."""
        return f"{self.group}/{self.bin}/{self.number}/{self.draw}"


class Half(NamedTuple):
    """What stands for the truth where there is none: an independent observation, and the variance of its noise."""

    data: Array
    variance: Array


@dataclass(frozen=True)
class Made:
    """A cube to denoise, and what is known of it.

    Attributes
    ----------
    cube : Cube
        What the methods get.
    observation : Observation
        Truth (or what stands for it), noise, beam, aperture, sigma.
    noise : NoiseModel or None
        Of the noise as it was made; None: not known exactly.
    observed : ndarray or None
        The truth is itself an observation: 1 sigma of its noise, shape (channel, y, x).
    other : Half or None
        There is no truth, but an independent half.
    support : ndarray of bool or None
        With it: the emission found in the half that is denoised, shape (channel, y, x).
    sources : tuple of SourceWindow
        Sources of which some may be lost.
    facts : dict
        Columns of the table.
    """

    cube: Cube
    observation: Observed
    noise: NoiseModel | None = None
    observed: Array | None = None
    other: Half | None = None
    support: NDArray[np.bool_] | None = None
    sources: tuple[SourceWindow, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def list_cases(suite: Suite, data: Path | None = None) -> list[Case]:
    """Every case, in the order of the table.

    Parameters
    ----------
    suite : Suite
    data : Path, optional
        Folder of the files that a suite on real data names.

    Raises
    ------
    InputError
        The suite needs a folder of data, or a file is missing.
    """
    source = suite.cases
    if isinstance(source, Simulated):
        return [
            Case(group, label(snr), number, draw, f"{group} {number}", snr)
            for group in source.groups
            for snr in source.snr_bins
            for number in range(suite.cubes)
            for draw in range(source.draws)
        ]
    from denoise.benchmark import files

    return files.list_cases(source, data)


def make_case(suite: Suite, case: Case, data: Path | None = None) -> Made:
    """Make one case; the same suite gives the same bytes."""
    source = suite.cases
    if isinstance(source, Simulated):
        return _simulated(suite, source, case)
    from denoise.benchmark import files

    return files.make_case(suite, source, case, data)


def label(snr: Bin) -> str:
    """A bin of peak SNR as it is shown."""
    return f"{snr[0]:g}" if snr[0] == snr[1] else f"{snr[0]:g}-{snr[1]:g}"


def _simulated(suite: Suite, source: Simulated, case: Case) -> Made:
    """Beam, scene and its clouds from the cube's seed; the noise from the draw's."""
    group, snr_bin = list(source.groups).index(case.group), list(source.snr_bins).index(case.snr)
    entropy = (suite.seed, suite.version, group, snr_bin, case.number)
    rng = np.random.default_rng(entropy)
    beam = Observation(beam_range=source.beam).drawn_beam(rng)
    kinds = source.groups[case.group]
    kind = str(rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
    snr = float(rng.uniform(*case.snr))
    scene = _scene(rng, kind, case.group, source.shape, math.sqrt(beam[0] * beam[1]))
    seen = Observation(
        source.shape,
        beam,
        peak_snr=snr,
        noise=source.family(case.group),
        **source.observation,
    )
    made = observe(scene, seen, _seed(*entropy, 0), kind=kind)
    if case.draw:
        noise = observe(Scene(()), seen, _seed(*entropy, case.draw)).noise
        made = replace(made, noise=noise, noisy=made.truth + np.float32(made.sigma) * noise)
    one = Observed(
        case.name, made.truth, made.noisy - made.truth, made.beam_pixels, made.aperture, made.sigma
    )
    cube = Cube(made.noisy, beam=made.beam_pixels, gain=made.gain)
    facts = {"kind": kind, "peak_snr": round(snr, 4)}
    return Made(cube, one, _noise(made), sources=_windows(made), facts=facts)


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _scene(rng: np.random.Generator, kind: str, group: str, shape: Any, fwhm: float) -> Scene:
    """Scene of the kind; in the groups of the published protocol, drawn until the main galaxy is of that size.

    Resolved: 2 R_e above the FWHM of the beam (Lahiry et al. 2026).
    """
    for _ in range(MOST_TRIES):
        scene = draw_scene(rng, kind, shape=shape, fwhm=fwhm)  # type: ignore[arg-type]
        if group not in ("resolved", "unresolved") or not scene.galaxies:
            return scene
        if (2 * scene.galaxies[0].effective_radius > fwhm) == (group == "resolved"):
            return scene
    raise InputError(f"no galaxy of kind {kind!r} is {group}", action="mend the groups of the suite")


def _noise(made: Simulation) -> NoiseModel | None:
    """The noise as it was made; None where it follows the counts."""
    seen, shape = made.observation, made.truth.shape
    if seen.counts is not None:
        return None
    fields: dict[str, Any] = {"spectral_acf": HANNING_ACF} if seen.hanning else {}
    if made.gain is not None:
        with np.errstate(divide="ignore"):
            relative = np.where(made.gain >= seen.cutoff, 1 / made.gain, np.nan)
        fields["relative"] = relative.astype(np.float32)
    if made.dirty_beam is not None:
        return NoiseModel.from_psf(shape, made.channel_sigma, made.dirty_beam, **fields)
    if seen.noise == "white":
        return NoiseModel.white(shape, made.channel_sigma, **fields)
    family: Any = "imaged" if seen.noise == "imaged_gaussian" else "white_convolved"
    return NoiseModel.from_beam(shape, made.channel_sigma, made.beam_pixels, family, **fields)


def _windows(made: Simulation) -> tuple[SourceWindow, ...]:
    """One window a galaxy: half its light across the sky, its rotation and dispersion along the channels."""
    least = 0.5 * math.sqrt(made.beam_pixels[0] * made.beam_pixels[1])
    return tuple(
        SourceWindow(
            tuple(one["centre"]),
            one["velocity"] * math.sin(math.radians(one["inclination"])) + max(2 * one["dispersion"], 1.0),
            max(one["effective_radius"], least),
        )
        for one in made.parameters["galaxies"]
    )
