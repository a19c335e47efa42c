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
from denoise.metrics import Observation, SourceWindow
from denoise.noise import NoiseModel
from denoise.simulate import Simulation, draw_galaxies, simulate_cube

Array = NDArray[np.float32]
MOST_TRIES = 1000
FAMILIES = {"white_convolved": "white_convolved", "imaged_gaussian": "imaged", "white": "white"}


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
    observation: Observation
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
    return f"{snr[0]:g}-{snr[1]:g}"


def _simulated(suite: Suite, source: Simulated, case: Case) -> Made:
    """Beam and galaxies from the cube's seed; the noise from the draw's."""
    group, snr_bin = list(source.groups).index(case.group), list(source.snr_bins).index(case.snr)
    entropy = (suite.seed, suite.version, group, snr_bin, case.number)
    rng = np.random.default_rng(entropy)
    beam = _beam(rng, source.beam)
    fwhm = math.sqrt(beam[0] * beam[1])
    kinds = source.groups[case.group]
    kind = str(rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
    snr = float(rng.uniform(*case.snr))
    galaxies = _galaxies(rng, kind, case.group, source.shape, fwhm)
    options: dict[str, Any] = {"shape": source.shape, "beam": beam, "peak_snr": snr, "noise": source.noise}
    made = simulate_cube(_seed(*entropy, 0), galaxies=galaxies, **options, **source.setting)
    if case.draw:
        noise = simulate_cube(_seed(*entropy, case.draw), galaxies=[], **options).noise
        made = replace(made, noise=noise, noisy=made.truth + np.float32(made.sigma) * noise)
    return _made(made, case, kind, snr, source.noise)


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _galaxies(rng: np.random.Generator, kind: str, group: str, shape: Any, fwhm: float) -> list[Any]:
    """Galaxies of the kind; in the groups of the published protocol, drawn until the main one is of that size.

    Resolved: 2 R_e above the FWHM of the beam (Lahiry et al. 2026).
    """
    for _ in range(MOST_TRIES):
        galaxies = draw_galaxies(rng, kind, shape=shape, fwhm=fwhm)  # type: ignore[arg-type]
        if group not in ("resolved", "unresolved") or not galaxies:
            return galaxies
        if (2 * galaxies[0].effective_radius > fwhm) == (group == "resolved"):
            return galaxies
    raise InputError(f"no galaxy of kind {kind!r} is {group}", action="mend the groups of the suite")


def _made(made: Simulation, case: Case, kind: str, snr: float, family: str) -> Made:
    sigma = np.float32(made.sigma)
    observation = Observation(
        case.name, made.truth, made.noise * sigma, made.beam_pixels, made.aperture, made.sigma
    )
    noise = None
    if family in FAMILIES:
        noise = NoiseModel.from_beam(
            made.truth.shape,
            made.sigma,
            made.beam_pixels,
            FAMILIES[family],  # type: ignore[arg-type]
        )
    facts = {"kind": kind, "peak_snr": round(snr, 4)}
    cube = Cube(made.noisy, beam=made.beam_pixels)
    return Made(cube, observation, noise, sources=_windows(made), facts=facts)


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


def _beam(rng: np.random.Generator, mean: Bin) -> tuple[float, float, float]:
    fwhm, ratio = rng.uniform(*mean), rng.uniform(0.65, 1.0)
    return float(fwhm / math.sqrt(ratio)), float(fwhm * math.sqrt(ratio)), float(rng.uniform(0.0, 180.0))
