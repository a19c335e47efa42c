"""Sources to inject: what the beam makes of a point or a rotating disc, a file, or the emission that was found.

Each template is a few stamps of peak 1 that differ in orientation and in where the centre lies within a voxel.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, read
from denoise.errors import DenoiseWarning, InputError, UsageError
from denoise.noise import NoiseModel
from denoise.simulate import Beam, Galaxy, render_galaxies
from denoise.simulate.beams import FWHM_TO_SIGMA, along_axes
from denoise.simulate.clouds import line_profiles

Block = NDArray[np.float32]
Shape = tuple[int, int, int]

FOUND = "as found"
FOOTPRINT = 0.01  # of the peak: where fluxes are summed
CORE = 0.5  # of the peak: where a source must be found
_TRIM = 0.005  # of the peak: fainter skirts are left out
_STAMPS = 8
_NYQUIST = 2.0  # pixels a beam has at least: narrower sources are no image of the sky
_INCLINATION = 50.0
_CLOUDS = 12000


@dataclass(frozen=True)
class Template:
    """A kind of source.

    Attributes
    ----------
    name : str
        In words, with size and width.
    size : float or None
        Diameter in beams, 0 for unresolved; None where it is what it is.
    width : float or None
        Line width (FWHM) in channels; None for an image, or where it is what it is.
    stamps : tuple of ndarray, shape (channel, y, x), float32
        Peak 1; the middle voxel is the place.
    """

    name: str
    size: float | None
    width: float | None
    stamps: tuple[Block, ...]

    @property
    def extent(self) -> Shape:
        """Largest extent (channel, y, x) of its stamps."""
        c, y, x = (max(stamp.shape[axis] for stamp in self.stamps) for axis in range(3))
        return c, y, x

    @property
    def core_extent(self) -> Shape:
        """Extent of what is above half the peak, symmetric about the place."""
        reach = [0, 0, 0]
        for stamp in self.stamps:
            for axis, at in enumerate(np.nonzero(stamp >= CORE)):
                middle = stamp.shape[axis] // 2
                reach[axis] = max(reach[axis], int(np.abs(at - middle).max()))
        return 2 * reach[0] + 1, 2 * reach[1] + 1, 2 * reach[2] + 1


def source_beam(cube: Cube, noise: NoiseModel) -> tuple[Beam, str]:
    """The beam of the sources (FWHM in pixels, degrees) and where it is from.

    The cube's own; without one the core of the autocorrelation of its noise, which for imaged visibilities is the
    beam (for smoothed white noise it is sqrt(2) wider); at least two pixels.
    """
    beams = cube.beams
    if beams is not None and beams.pixels is not None and np.isfinite(beams.pixels).all():
        major, minor, angle = beams.pixels
        if minor >= _NYQUIST:
            return (major, minor, angle), "the beam of the cube"
        return (max(major, _NYQUIST), max(minor, _NYQUIST), angle), "the beam of the cube, at least 2 pixels"
    along_y, along_x = (max(_NYQUIST, width) for width in noise.correlation_fwhm)
    beam = (along_y, along_x, 0.0) if along_y >= along_x else (along_x, along_y, 90.0)
    return beam, "no beam is stated: the correlation of the noise, at least 2 pixels (--beam)"


def unresolved(beam: Beam, width: float | None, rng: np.random.Generator) -> Template:
    """A point seen through the beam, with a Gaussian line of this FWHM (channels); None: an image."""
    name = "unresolved" if width is None else f"unresolved, {width:.3g} channels"
    return Template(name, 0.0, width, tuple(_point(beam, width, rng) for _ in range(_STAMPS)))


def _point(beam: Beam, width: float | None, rng: np.random.Generator) -> Block:
    shift = rng.uniform(-0.5, 0.5, 3)
    half = math.ceil(1.6 * beam[0]) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    u, v = along_axes(y - shift[1], x - shift[2], beam[2])
    sky = 16.0 ** -((u / beam[0]) ** 2 + (v / beam[1]) ** 2)
    return trimmed(_line(width, shift[0])[:, None, None] * sky[None])


def _line(width: float | None, shift: float) -> NDArray[np.float64]:
    """Gaussian line integrated over channels, shape (2 k + 1,)."""
    if width is None:
        return np.ones(1)
    sigma = width * FWHM_TO_SIGMA
    half = math.ceil(4.0 * sigma) + 1
    profile = line_profiles(np.array([half + shift]), dispersion=sigma, nchan=2 * half + 1)
    return np.asarray(profile[:, 0])


def disc(beam: Beam, size: float, width: float | None, rng: np.random.Generator) -> Template:
    """Rotating exponential discs of diameter 2 R_e = `size` beams, seen through the beam, at any position angle.

    Their inclination is 50 degrees, and the rotation makes the line about `width` channels wide (FWHM).
    """
    name = f"disc, {size:.3g} beams" + ("" if width is None else f", {width:.3g} channels")
    return Template(name, size, width, tuple(_disc(beam, size, width, rng) for _ in range(_STAMPS)))


def _disc(beam: Beam, size: float, width: float | None, rng: np.random.Generator) -> Block:
    radius = size * math.sqrt(beam[0] * beam[1]) / 2.0
    half = math.ceil(4.0 * radius + 1.6 * beam[0]) + 2
    deep = 0 if width is None else math.ceil(1.5 * width) + 3
    shift = rng.uniform(-0.5, 0.5, 3)
    galaxy = Galaxy(
        flux=1.0,
        centre=(deep + (0.0 if width is None else shift[0]), half + shift[1], half + shift[2]),
        effective_radius=radius,
        scale_height=0.1 * radius,
        inclination=_INCLINATION,
        position_angle=rng.uniform(0.0, 360.0),
        velocity=0.0 if width is None else 0.45 * width / math.sin(math.radians(_INCLINATION)),
        turnover=0.3 * radius,
        dispersion=0.15 if width is None else max(0.3, 0.15 * width),
    )
    shape = (2 * deep + 1, 2 * half + 1, 2 * half + 1)
    return trimmed(render_galaxies([galaxy], shape, beam=beam, clouds=_CLOUDS, rng=rng))


def file_template(path: Path, like: Cube) -> Template:
    """A source from a FITS file on the cube's own pixel grid; taken as it is, its middle is the place.

    Raises
    ------
    InputError
        It cannot be read, or has no positive voxel.
    UsageError
        It is larger than the cube.
    """
    with warnings.catch_warnings():  # of its header nothing is used
        warnings.simplefilter("ignore", DenoiseWarning)
        values = np.nan_to_num(read(path).read()).astype(np.float64)
    if not values.max(initial=0.0) > 0:
        raise InputError("the template has no positive voxel", value=str(path), action="give another file")
    stamp = trimmed(values)
    if any(have > room for have, room in zip(stamp.shape, like.shape, strict=True)):
        raise UsageError(
            "the template is larger than the cube",
            value=f"{stamp.shape}, cube {like.shape}",
            action="cut it, or give one on the cube's own grid of (channel, y, x)",
        )
    return Template(f"template {path.name}", None, None, (stamp,))


def found_template(output: Block, inside: NDArray[np.bool_]) -> Template | None:
    """The emission that a method found, as a source.

    Parameters
    ----------
    output : ndarray, shape (channel, y, x)
        What the method made of the cube, or of a part of it.
    inside : ndarray of bool, same shape
        The region of one source.

    Returns
    -------
    Template or None
        None where nothing there is positive.
    """
    values = np.where(inside, np.nan_to_num(output), 0.0).astype(np.float64)
    if not values.max(initial=0.0) > 0:
        return None
    return Template(FOUND, None, None, (trimmed(values),))


def trimmed(values: NDArray[Any]) -> Block:
    """Values over their peak, cut to a box of odd extents about what is above half a per cent of it."""
    scaled = values / values.max()
    spans = []
    for axis, at in enumerate(np.nonzero(scaled > _TRIM)):
        first, last = int(at.min()), int(at.max()) + 1
        if (last - first) % 2 == 0:
            last, first = (last + 1, first) if last < scaled.shape[axis] else (last, first - 1)
        spans.append(slice(max(first, 0), last))
    cut = scaled[tuple(spans)]
    odd = [(0, 1 - size % 2) for size in cut.shape]  # the source fills an axis of even length
    return np.pad(cut, odd).astype(np.float32)
