"""Random galaxies of each kind: the ranges of the project's toy set (``toy-discs v1``).

Ranges are fixed: a change makes a new version. Lengths are pixels, velocities channels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from denoise.errors import ParameterError
from denoise.simulate.discs import CURVE_NAMES, Galaxy

TOY_RANGES = "toy-discs v1"
Kind = Literal["disc", "unresolved", "multi", "merger", "empty", "filled"]


def draw_galaxies(
    rng: np.random.Generator, kind: Kind, *, shape: tuple[int, int, int], fwhm: float
) -> list[Galaxy]:
    """Draw the galaxies of one cube, the main one first.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all parameters.
    kind : {"disc", "unresolved", "multi", "merger", "empty", "filled"}
        One disc; one disc smaller than the beam; a disc with one to three companions around it; two discs in
        contact with a bridge of clumps; nothing; a disc and a haze that fill field and band.
    shape : tuple of int
        (channel, y, x).
    fwhm : float
        Geometric mean FWHM of the beam, pixels.
    """
    if kind not in get_args(Kind):
        raise ParameterError(
            f"kind must be one of {', '.join(get_args(Kind))}", value=kind, action="choose one of these"
        )
    if kind == "empty":
        return []
    if kind == "filled":
        disc = _filling_disc(rng, shape)
        return [disc, _haze(disc, shape)]
    main = draw_disc(rng, shape, fwhm, resolved=kind != "unresolved")
    if kind == "multi":
        return [main, *(draw_companion(rng, main, fwhm) for _ in range(rng.integers(1, 4)))]
    if kind == "merger":
        return _merger(rng, main, fwhm)
    return [main]


def draw_disc(
    rng: np.random.Generator, shape: tuple[int, int, int], fwhm: float, *, resolved: bool
) -> Galaxy:
    """One disc anywhere in the field, its line anywhere that keeps most of it inside the band."""
    largest = min(2.4 * fwhm, 0.15 * min(shape[1:]))
    radius = log_uniform(rng, fwhm, max(largest, 1.1 * fwhm)) if resolved else fwhm * rng.uniform(0.3, 0.8)
    inclination = math.degrees(math.acos(rng.uniform(0.0, 1.0)))
    # the observed width is drawn, not the rotation: face-on discs would otherwise all be one channel wide
    half_width = rng.uniform(0.1, 0.2) * shape[0]
    return Galaxy(
        flux=1.0,
        centre=draw_position(rng, shape, half_width),
        effective_radius=radius,
        index=log_uniform(rng, 0.8, 3.5),
        scale_height=radius * rng.uniform(0.05, 0.25),
        inclination=inclination,
        position_angle=rng.uniform(0.0, 360.0),
        velocity=half_width / max(math.sin(math.radians(inclination)), 0.3),
        turnover=radius * log_uniform(rng, 0.05, 0.5),
        curve=CURVE_NAMES[rng.choice(3, p=(0.6, 0.25, 0.15))],
        dispersion=log_uniform(rng, 0.2, 0.9),
        clumpiness=float(rng.choice((0.0, 1.0), p=(0.3, 0.7)) * rng.uniform(0.1, 0.5)),
        clumps=int(rng.integers(5, 40)),
    )


def draw_position(
    rng: np.random.Generator, shape: tuple[int, int, int], half_width: float
) -> tuple[float, float, float]:
    """Velocity, y and x of a source anywhere in the field."""
    nchan, ny, nx = shape
    margin = 0.5 * min(half_width, nchan - 1)  # of a single channel there is the middle only
    channel = rng.uniform(margin, nchan - 1 - margin)
    return (
        float(channel),
        float(rng.uniform(0.08, 0.92) * (ny - 1)),
        float(rng.uniform(0.08, 0.92) * (nx - 1)),
    )


def draw_companion(rng: np.random.Generator, main: Galaxy, fwhm: float) -> Galaxy:
    """A smaller disc within reach, offset in velocity, with its own orientation."""
    distance = rng.uniform(1.5, 3.5) * max(main.effective_radius, fwhm)
    angle = rng.uniform(0.0, 2.0 * math.pi)
    shift = rng.normal(scale=0.6 * max(main.velocity, 2.0))
    channel, y, x = main.centre
    radius = main.effective_radius * rng.uniform(0.2, 0.7)
    return replace(
        main,
        flux=main.flux * log_uniform(rng, 0.1, 0.7),
        centre=(channel + shift, y + distance * math.sin(angle), x + distance * math.cos(angle)),
        effective_radius=radius,
        index=log_uniform(rng, 0.6, 2.0),
        scale_height=radius * rng.uniform(0.05, 0.3),
        inclination=math.degrees(math.acos(rng.uniform(0.0, 1.0))),
        position_angle=rng.uniform(0.0, 360.0),
        velocity=main.velocity * rng.uniform(0.3, 0.8),
        turnover=radius * log_uniform(rng, 0.05, 0.5),
        dispersion=log_uniform(rng, 0.3, 1.5),
    )


def _merger(rng: np.random.Generator, main: Galaxy, fwhm: float) -> list[Galaxy]:
    """Two discs in contact, and a turbulent bridge of blobs between them."""
    second = replace(draw_companion(rng, main, fwhm), flux=main.flux * rng.uniform(0.4, 1.0))
    start, end = np.array(main.centre), np.array(second.centre)
    steps = np.linspace(0.25, 0.75, int(rng.integers(2, 5)))
    share = main.flux * rng.uniform(0.05, 0.3) / steps.size
    bridge = []
    for step in steps:
        channel, y, x = start + step * (end - start) + rng.normal(scale=(0.5, 1.0, 1.0))
        blob = replace(
            second,
            flux=share,
            centre=(float(channel), float(y), float(x)),
            effective_radius=max(0.4 * second.effective_radius, 0.5),
            index=1.0,
            velocity=0.5,
            dispersion=1.0,
        )
        bridge.append(blob)
    return [main, second, *bridge]


def _filling_disc(rng: np.random.Generator, shape: tuple[int, int, int]) -> Galaxy:
    """A disc larger than the field, its rotation spread over the band."""
    nchan, ny, nx = shape
    return Galaxy(
        flux=1.0,
        centre=((nchan - 1) / 2, (ny - 1) / 2, (nx - 1) / 2),
        effective_radius=0.45 * max(ny, nx),
        index=rng.uniform(0.6, 1.0),
        scale_height=0.02 * max(ny, nx),
        inclination=rng.uniform(30.0, 60.0),
        position_angle=rng.uniform(0.0, 360.0),
        velocity=0.5 * nchan,
        turnover=0.3 * max(ny, nx),
        dispersion=0.08 * nchan,
    )


def _haze(disc: Galaxy, shape: tuple[int, int, int]) -> Galaxy:
    """Turbulent gas all over the field and the band."""
    return replace(
        disc,
        flux=3.0 * disc.flux,
        effective_radius=0.6 * max(shape[1:]),
        index=0.5,
        inclination=0.0,
        velocity=0.0,
        dispersion=0.4 * shape[0],
    )


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
