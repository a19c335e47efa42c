"""Scenes, the sky before noise: what is in the field, and how it looks through a beam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.simulate.beams import (
    FWHM_TO_SIGMA,
    Beam,
    FloatArray,
    along_axes,
    apply_transfer,
    beam_area,
    beam_transfer,
    cell_transfer,
    padded_shape,
)
from denoise.simulate.clouds import Component, grid_clouds, line_profiles
from denoise.simulate.discs import Galaxy
from denoise.simulate.fields import noise_power
from denoise.simulate.structures import STRUCTURES, Structure

Cube = NDArray[np.float32]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """What is in a field.

    Attributes
    ----------
    galaxies : tuple of Galaxy
        Rotating discs, the main one first.
    structures : tuple of Ring, Shell, Outflow, Halo or Tail
        Everything else that emits lines.
    continuum : float
        Peak of a compact continuum source on the first component, in units of the line's peak.
    absorption : float
        Depth of an absorption line in it, as a fraction.
    """

    galaxies: tuple[Galaxy, ...] = ()
    structures: tuple[Structure, ...] = ()
    continuum: float = 0.0
    absorption: float = 0.0

    @property
    def components(self) -> tuple[Component, ...]:
        """Galaxies, then structures."""
        return (*self.galaxies, *self.structures)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values, see `from_dict`."""
        return {
            "galaxies": [asdict(one) for one in self.galaxies],
            "structures": [{"type": type(one).__name__.lower(), **asdict(one)} for one in self.structures],
            "continuum": self.continuum,
            "absorption": self.absorption,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scene:
        """Scene of what `as_dict` gave; other keys are ignored."""
        structures = []
        for entry in values["structures"]:
            fields = _with_tuples(entry)
            structures.append(STRUCTURES[fields.pop("type")](**fields))
        galaxies = tuple(Galaxy(**_with_tuples(entry)) for entry in values["galaxies"])
        return cls(galaxies, tuple(structures), values["continuum"], values["absorption"])


def render_scene(
    scene: Scene,
    shape: Shape,
    beam: Beam,
    *,
    rng: np.random.Generator,
    clouds: int = 20000,
    coverage: FloatArray | None = None,
    hanning: bool = False,
) -> Cube:
    """Noise-free cube (channel, y, x) of a scene, its maximum scaled to 1 (all zero if nothing emits).

    Parameters
    ----------
    scene : Scene
        What is in the field.
    shape : tuple of int
        (channel, y, x).
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees.
    rng : numpy.random.Generator
        Places the clouds.
    clouds : int
        Clouds a component.
    coverage : ndarray, shape (2, samples), optional
        (u, v) of visibilities: the scene is seen through their dirty beam, with its sidelobes, and without
        any total flux; else through the Gaussian beam.
    hanning : bool
        Channels are Hanning smoothed.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
    """
    parts = scene.components
    truth = render_galaxies(
        parts, shape, beam=beam, clouds=clouds, rng=rng, coverage=coverage, hanning=hanning
    )
    if scene.continuum > 0 and parts:
        peak = scene.continuum * truth.max()
        truth += continuum_source(
            parts[0], shape, beam, peak=peak, depth=scene.absorption, coverage=coverage, hanning=hanning
        )
    peak = truth.max(initial=0.0)
    return truth / peak if peak > 0 else truth


def render_galaxies(
    galaxies: Sequence[Component],
    shape: Shape,
    *,
    beam: Beam | None,
    clouds: int,
    rng: np.random.Generator,
    coverage: FloatArray | None = None,
    hanning: bool = False,
) -> Cube:
    """Noise-free cube (channel, y, x) of these components after the beam, in flux per voxel.

    ``beam=None``: none. The field is computed with a margin, so that sources beyond its edge leak in. See
    `render_scene` for the rest.
    """
    nchan, ny, nx = shape
    padded = (ny, nx) if beam is None else _padded((ny, nx), beam, coverage)
    origin = ((padded[0] - ny) // 2, (padded[1] - nx) // 2)
    sky = np.zeros((nchan, *padded), np.float32)
    brightest = max((one.flux for one in galaxies), default=1.0)
    for one in galaxies:
        drawn = one.sample(int(clouds * _effort(one, brightest)), rng)
        sky += grid_clouds(
            drawn,
            flux=one.flux,
            dispersion=one.dispersion,
            shape=(nchan, *padded),
            origin=origin,
            hanning=hanning,
        )
    if beam is None:
        return sky
    lit = np.flatnonzero(sky.any(axis=(1, 2)))
    truth = np.zeros(shape, np.float32)
    if lit.size:
        transfer = beam_or_dirty_transfer(padded, beam, coverage) / cell_transfer(padded)
        smooth = apply_transfer(sky[lit], transfer)
        truth[lit] = smooth[:, origin[0] : origin[0] + ny, origin[1] : origin[1] + nx]
    return truth


def beam_or_dirty_transfer(shape: tuple[int, int], beam: Beam, coverage: FloatArray | None) -> FloatArray:
    """Transfer function of the unit-sum beam, or of the dirty beam with the same peak."""
    if coverage is None:
        return beam_transfer(beam, shape)
    return noise_power(shape, beam, family="imaged", coverage=coverage) / beam_area(beam)


def continuum_source(
    galaxy: Component,
    shape: Shape,
    beam: Beam,
    *,
    peak: float,
    depth: float,
    coverage: FloatArray | None = None,
    hanning: bool = False,
) -> Cube:
    """Continuum of an unresolved source, with an absorption line ``depth`` of it deep.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        ``peak`` off the line; the line is as wide as the galaxy's dispersion.
    """
    channel = galaxy.centre[0]
    profile = line_profiles(
        np.array([channel]), dispersion=galaxy.dispersion, nchan=shape[0], hanning=hanning
    )
    line = profile[:, 0]
    spectrum = peak * (1.0 - depth * line / max(line.max(), 1e-30))
    spot = _spot(galaxy.centre[1:], shape[1:], beam, coverage)
    return np.asarray(spectrum[:, None, None] * spot, dtype=np.float32)


def aperture_of(components: Sequence[Component], shape: Shape, beam: Beam) -> NDArray[np.bool_]:
    """Union of the components' circles, each at least as wide as the beam's major axis; shape (y, x)."""
    y, x = np.ogrid[: shape[1], : shape[2]]
    inside = np.zeros(shape[1:], bool)
    for one in components:
        for row, column, radius in one.circles():
            inside |= (y - row) ** 2 + (x - column) ** 2 <= max(radius, beam[0]) ** 2
    return inside


def _spot(
    place: Sequence[float], shape: Sequence[int], beam: Beam, coverage: FloatArray | None
) -> FloatArray:
    """Unit-peak image of a point source through the beam or the dirty beam."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = y - place[0], x - place[1]
    if coverage is None:
        u, v = along_axes(y, x, beam[2])
        return np.asarray(np.exp(-0.5 * ((u / beam[0]) ** 2 + (v / beam[1]) ** 2) / FWHM_TO_SIGMA**2))
    padded = _padded((shape[0], shape[1]), beam, coverage)
    power = noise_power(padded, beam, family="imaged", coverage=coverage)
    fy, fx = np.fft.fftfreq(padded[0])[:, None], np.fft.rfftfreq(padded[1])[None, :]
    shift = np.exp(-2j * math.pi * (fy * place[0] + fx * place[1]))
    return np.asarray(np.fft.irfft2(power * shift, s=padded)[: shape[0], : shape[1]])


def _padded(shape: tuple[int, int], beam: Beam, coverage: FloatArray | None) -> tuple[int, int]:
    """Sidelobes reach over the whole field, a Gaussian beam does not."""
    if coverage is None:
        return padded_shape(shape, beam)
    return padded_shape((2 * shape[0], 2 * shape[1]), beam)


def _effort(one: Component, brightest: float) -> float:
    """Faint companions need fewer clouds, what spans many beams more."""
    return min(1.0, max(0.2, one.flux / brightest)) * min(6.0, max(1.0, (one.size / 15.0) ** 2))


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
