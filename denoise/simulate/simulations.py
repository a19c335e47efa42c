"""Simulated observations: truth, noise and the noisy cube, all from one seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError
from denoise.simulate.beams import (
    FWHM_TO_SIGMA,
    Beam,
    along_axes,
    apply_transfer,
    beam_transfer,
    cell_transfer,
    checked_beam,
    padded_shape,
)
from denoise.simulate.discs import Galaxy, grid_clouds, line_profiles, sample_clouds
from denoise.simulate.fields import NoiseFamily, earth_rotation_tracks, noise_field
from denoise.simulate.populations import Kind, draw_galaxies

Cube = NDArray[np.float32]
Shape = tuple[int, int, int]

TOY_SHAPE: Shape = (40, 96, 96)
TUNING_KINDS: tuple[Kind, ...] = ("disc", "unresolved", "multi", "merger", "disc")


@dataclass(frozen=True)
class Simulation:
    """One simulated observation.

    Attributes
    ----------
    truth : ndarray, shape (channel, y, x), float32
        Noise-free cube after the beam; its maximum is 1 (all zero for an empty field).
    noise : ndarray, shape (channel, y, x), float32
        Noise of unit expected standard deviation.
    noisy : ndarray, shape (channel, y, x), float32
        ``truth + sigma * noise``.
    beam_pixels : tuple of float
        (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
    sigma : float
        Noise level: 1 / peak SNR.
    aperture : ndarray, shape (y, x), bool
        Union of the circles of diameter 2 max(2 R_e, major FWHM) on the galaxies.
    parameters : dict
        Everything that was drawn, JSON-ready.
    """

    truth: Cube
    noise: Cube
    noisy: Cube
    beam_pixels: Beam
    sigma: float
    aperture: NDArray[np.bool_]
    parameters: dict[str, Any] = field(repr=False)


def simulate_cube(
    seed: int,
    *,
    shape: Shape = TOY_SHAPE,
    kind: Kind = "disc",
    beam: Beam | None = None,
    peak_snr: float = 5.0,
    noise: NoiseFamily = "white_convolved",
    galaxies: Sequence[Galaxy] | None = None,
    continuum: float = 0.0,
    absorption: float = 0.0,
    clouds: int = 20000,
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
    kind : {"disc", "unresolved", "multi", "merger", "empty", "filled"}
        What is in the field (see `draw_galaxies`).
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

    Raises
    ------
    ParameterError
        Unknown kind or noise, a beam or a number out of range.
    """
    _check(seed, shape, peak_snr, continuum, absorption)
    streams = [np.random.default_rng((seed, stream)) for stream in range(5)]
    beam = _draw_beam(streams[0]) if beam is None else checked_beam(beam)
    fwhm = math.sqrt(beam[0] * beam[1])
    if galaxies is None:
        galaxies = draw_galaxies(streams[1], kind, shape=shape, fwhm=fwhm)
    truth = render_galaxies(galaxies, shape, beam=beam, clouds=clouds, rng=streams[2])
    if continuum > 0 and galaxies:
        truth += continuum_source(galaxies[0], shape, beam, peak=continuum * truth.max(), depth=absorption)
    truth = _peak_one(truth)
    coverage = earth_rotation_tracks(streams[3], beam) if noise == "imaged" else None
    unit = noise_field(streams[4], shape, beam, family=noise, coverage=coverage)
    sigma = 1.0 / peak_snr
    parameters = {
        "seed": seed,
        "kind": kind,
        "shape": list(shape),
        "beam": list(beam),
        "peak_snr": peak_snr,
        "noise": noise,
        "continuum": continuum,
        "absorption": absorption,
        "galaxies": [asdict(galaxy) for galaxy in galaxies],
    }
    noisy = truth + np.float32(sigma) * unit
    return Simulation(truth, unit, noisy, beam, sigma, _aperture(galaxies, shape, beam), parameters)


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
        snr = peak_snr if isinstance(peak_snr, (int, float)) else _uniform(cube_seed, *peak_snr)
        yield simulate_cube(
            cube_seed, kind=TUNING_KINDS[k % len(TUNING_KINDS)], peak_snr=float(snr), noise=noise
        )


def render_galaxies(
    galaxies: Sequence[Galaxy], shape: Shape, *, beam: Beam | None, clouds: int, rng: np.random.Generator
) -> Cube:
    """Noise-free cube (channel, y, x) of these galaxies after the beam, in flux per voxel.

    ``beam=None``: none. The field is computed with a margin, so that sources beyond its edge leak in.
    """
    nchan, ny, nx = shape
    padded = (ny, nx) if beam is None else padded_shape((ny, nx), beam)
    origin = ((padded[0] - ny) // 2, (padded[1] - nx) // 2)
    field_of_view = np.zeros((nchan, *padded), np.float32)
    brightest = max((galaxy.flux for galaxy in galaxies), default=1.0)
    for galaxy in galaxies:
        drawn = sample_clouds(galaxy, int(clouds * _effort(galaxy, brightest)), rng)
        field_of_view += grid_clouds(
            drawn, flux=galaxy.flux, dispersion=galaxy.dispersion, shape=field_of_view.shape, origin=origin
        )
    if beam is None:
        return field_of_view
    lit = np.flatnonzero(field_of_view.any(axis=(1, 2)))
    truth = np.zeros(shape, np.float32)
    if lit.size:
        transfer = beam_transfer(beam, padded) / cell_transfer(padded)
        smooth = apply_transfer(field_of_view[lit], transfer)
        truth[lit] = smooth[:, origin[0] : origin[0] + ny, origin[1] : origin[1] + nx]
    return truth


def continuum_source(galaxy: Galaxy, shape: Shape, beam: Beam, *, peak: float, depth: float) -> Cube:
    """Continuum of an unresolved source, with an absorption line ``depth`` of it deep.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        ``peak`` off the line; the line is as wide as the galaxy's dispersion.
    """
    nchan, ny, nx = shape
    channel, y0, x0 = galaxy.centre
    y, x = np.mgrid[:ny, :nx].astype(float)
    u, v = along_axes(y - y0, x - x0, beam[2])
    spot = np.exp(-0.5 * ((u / beam[0]) ** 2 + (v / beam[1]) ** 2) / FWHM_TO_SIGMA**2)
    line = line_profiles(np.array([channel]), dispersion=galaxy.dispersion, nchan=nchan)[:, 0]
    spectrum = peak * (1.0 - depth * line / max(line.max(), 1e-30))
    return np.asarray(spectrum[:, None, None] * spot, dtype=np.float32)


def _effort(galaxy: Galaxy, brightest: float) -> float:
    """Faint companions need fewer clouds, discs over many beams more."""
    return min(1.0, max(0.2, galaxy.flux / brightest)) * min(
        6.0, max(1.0, (galaxy.effective_radius / 15.0) ** 2)
    )


def _peak_one(truth: Cube) -> Cube:
    peak = truth.max(initial=0.0)
    return truth / peak if peak > 0 else truth


def _aperture(galaxies: Sequence[Galaxy], shape: Shape, beam: Beam) -> NDArray[np.bool_]:
    y, x = np.ogrid[: shape[1], : shape[2]]
    inside = np.zeros(shape[1:], bool)
    for galaxy in galaxies:
        radius = max(2.0 * galaxy.effective_radius, beam[0])
        inside |= (y - galaxy.centre[1]) ** 2 + (x - galaxy.centre[2]) ** 2 <= radius**2
    return inside


def _draw_beam(rng: np.random.Generator) -> Beam:
    mean, ratio = rng.uniform(4.0, 5.0), rng.uniform(0.65, 1.0)
    return float(mean / math.sqrt(ratio)), float(mean * math.sqrt(ratio)), float(rng.uniform(0.0, 180.0))


def _uniform(seed: int, low: float, high: float) -> float:
    return float(np.random.default_rng((seed, 99)).uniform(low, high))


def _check(seed: int, shape: Shape, peak_snr: float, continuum: float, absorption: float) -> None:
    if seed < 0:
        raise ParameterError("seed must not be negative", value=seed)
    if len(shape) != 3 or min(shape) < 1:
        raise ParameterError("shape must be (channel, y, x), each at least 1", value=shape)
    if not (peak_snr > 0 and math.isfinite(peak_snr)):
        raise ParameterError("peak_snr must be positive and finite", value=peak_snr)
    if continuum < 0 or not 0 <= absorption <= 1:
        raise ParameterError(
            "continuum must not be negative and absorption must lie in 0 to 1", value=(continuum, absorption)
        )
