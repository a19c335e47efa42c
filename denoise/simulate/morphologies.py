"""Scenes of any kind, and the ranges of what the toy set lacks (``unseen-morphology v1``, ``compact v1``).

Ranges are fixed: a change makes a new version. Lengths are pixels or beams (geometric mean FWHM), velocities
channels or fractions of the band, R_e and V those of the disc in the field.

=========  ====================================================================================================
kind       ranges
=========  ====================================================================================================
ring       radius 1.3 to 2.6 beams, at most 0.22 of the field; sigma of the width 0.08 to 0.25 radii;
           inclination 0 to 70; V sin i 0.1 to 0.2 of the band; in 3 of 10 an arc of 150 to 300 degrees; in half
           of them a nucleus (disc of R_e 0.3 beams) with 0.1 to 0.5 of the ring's flux
tails      two smooth discs as in a toy merger, R_e 0.5 to 1 beam, the second with 0.4 to 1 of the first one's flux;
           a bridge with 0.1 to 0.3 of it, and one or two tails of 5 to 9 beams with 0.4 to 1 of their disc's flux,
           bent by 30 to 90 degrees, fading 0.3 to 1.5, sigma 0.2 to 0.5 beams
outflow    a toy disc and two cones at right angles to it: length 0.7 to 1.6 R_e, opening 20 to 50, velocity 0.1
           to 0.2 of the band, dispersion 0.03 to 0.07 of it, 0.3 to 0.9 of the disc's flux
shell      a toy disc with one to three bubbles of 1 to 2 beams radius and 0.5 to 1.5 of its flux, within 3 beams
           of it; expansion 0.06 to 0.15 of the band, sigma of the shell 0.05 to 0.12 radii
halo       a toy disc (R_e of 1 to 2.4 beams) in gas of 2 to 3.5 R_e, index 0.5 to 1, axis ratio 0.5 to 1, with 1
           to 4 times its flux, dispersion 0.05 to 0.1 of the band, edge-to-edge gradient up to V
absorber   an unresolved toy disc with a continuum of 0.3 to 1.5 line peaks, absorbed to 0.3 to 1 of it
continuum  one to four toy discs, half of them unresolved, with a flat spectrum and next to no line
compact    one to four sources as surveys find them: Gaussians of R_e 0.01 to 0.25 beams, axis ratio 0.4 to 1, flux
           within a factor of 3; Gaussian lines of sigma 0.5 to 4 channels, a gradient of up to two of them to R_e
=========  ====================================================================================================

Rings, tails and shells lie in the inner 60 % of the field, all else anywhere, as in the toy set.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from denoise.errors import ParameterError
from denoise.simulate.discs import Galaxy
from denoise.simulate.populations import (
    TOY_RANGES,
    Kind,
    draw_companion,
    draw_disc,
    draw_galaxies,
    draw_position,
    log_uniform,
)
from denoise.simulate.scenes import Scene, Shape
from denoise.simulate.structures import Halo, Outflow, Ring, Shell, Tail

UNSEEN_RANGES, COMPACT_RANGES = "unseen-morphology v1", "compact v1"
Morphology = Literal["ring", "tails", "outflow", "shell", "halo", "absorber", "continuum"]
SceneKind = Literal[Kind, Morphology, "compact"]
TOY_KINDS: tuple[Kind, ...] = get_args(Kind)
UNSEEN_KINDS: tuple[Morphology, ...] = get_args(Morphology)
ALL_KINDS: tuple[SceneKind, ...] = get_args(SceneKind)


def draw_scene(rng: np.random.Generator, kind: SceneKind, *, shape: Shape, fwhm: float) -> Scene:
    """Draw a scene of one kind.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all parameters.
    kind : str
        Of the toy set ("disc", "unresolved", "multi", "merger", "empty", "filled", see `draw_galaxies`), or
        "ring", "tails" (mergers with a bridge and tidal tails), "outflow", "shell", "halo", "absorber",
        "continuum", "compact" (see the module).
    shape : tuple of int
        (channel, y, x).
    fwhm : float
        Geometric mean FWHM of the beam, pixels.

    Raises
    ------
    ParameterError
        Unknown kind.
    """
    if kind in TOY_KINDS:
        return Scene(tuple(draw_galaxies(rng, kind, shape=shape, fwhm=fwhm)))
    if kind not in _DRAW:
        raise ParameterError(
            f"kind must be one of {', '.join(ALL_KINDS)}",
            value=kind,
            action="choose one of these",
        )
    return _DRAW[kind](rng, shape, fwhm)


def ranges_of(kind: str) -> str:
    """Name and version of the ranges that scenes of this kind are drawn from."""
    if kind == "compact":
        return COMPACT_RANGES
    return UNSEEN_RANGES if kind in UNSEEN_KINDS else TOY_RANGES


def _ring(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    radius = min(fwhm * rng.uniform(1.3, 2.6), 0.22 * min(shape[1:]))
    inclination = math.degrees(math.acos(rng.uniform(math.cos(math.radians(70.0)), 1.0)))
    half_width = rng.uniform(0.1, 0.2) * shape[0]
    ring = Ring(
        flux=1.0,
        centre=_inner_position(rng, shape, half_width),
        radius=radius,
        width=radius * rng.uniform(0.08, 0.25),
        inclination=inclination,
        position_angle=rng.uniform(0.0, 360.0),
        velocity=half_width / max(math.sin(math.radians(inclination)), 0.3),
        dispersion=log_uniform(rng, 0.3, 0.9),
        arc=float(rng.choice((360.0, rng.uniform(150.0, 300.0)), p=(0.7, 0.3))),
    )
    if rng.random() < 0.5:
        return Scene(structures=(ring,))
    nucleus = Galaxy(
        flux=rng.uniform(0.1, 0.5),
        centre=ring.centre,
        effective_radius=0.3 * fwhm,
        inclination=ring.inclination,
        position_angle=ring.position_angle,
        velocity=ring.velocity,
        turnover=0.1 * fwhm,
        dispersion=ring.dispersion,
    )
    return Scene((nucleus,), (ring,))


def _tails(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    main, other = (
        replace(one, effective_radius=fwhm * rng.uniform(0.5, 1.0), clumpiness=0.0)
        for one in _pair(rng, shape, fwhm)
    )
    width = fwhm * rng.uniform(0.2, 0.5)
    bridge = Tail(
        flux=rng.uniform(0.1, 0.3),
        start=main.centre,
        bend=_between(main.centre, other.centre, rng, fwhm),
        end=other.centre,
        width=width,
        dispersion=log_uniform(rng, 0.4, 1.2),
    )
    outward = math.atan2(main.centre[1] - other.centre[1], main.centre[2] - other.centre[2])
    tails = [_tail(rng, main, outward, fwhm, width)]
    if rng.random() < 0.5:
        tails.append(_tail(rng, other, outward + math.pi, fwhm, width))
    return Scene((main, other), (bridge, *tails))


def _pair(rng: np.random.Generator, shape: Shape, fwhm: float) -> tuple[Galaxy, Galaxy]:
    """Two discs within reach of each other, the first one well inside the field."""
    main = replace(draw_disc(rng, shape, fwhm, resolved=True), centre=_inner_position(rng, shape, 4.0))
    return main, replace(draw_companion(rng, main, fwhm), flux=rng.uniform(0.4, 1.0))


def _tail(rng: np.random.Generator, galaxy: Galaxy, heading: float, fwhm: float, width: float) -> Tail:
    """A tail that leaves a galaxy in this direction and curls."""
    length = fwhm * rng.uniform(5.0, 9.0)
    turn = float(rng.choice((-1.0, 1.0))) * math.radians(rng.uniform(30.0, 90.0))
    drift = rng.normal(scale=0.5 * max(galaxy.velocity, 2.0))
    bend = _moved(galaxy.centre, heading, 0.55 * length, 0.3 * drift)
    return Tail(
        flux=galaxy.flux * rng.uniform(0.4, 1.0),
        start=galaxy.centre,
        bend=bend,
        end=_moved(bend, heading + turn, 0.55 * length, 0.7 * drift),
        width=width,
        flare=rng.uniform(0.0, 0.8),
        fading=rng.uniform(0.3, 1.5),
        dispersion=log_uniform(rng, 0.4, 1.2),
    )


def _outflow(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    disc = draw_disc(rng, shape, fwhm, resolved=True)
    wind = Outflow(
        flux=rng.uniform(0.3, 0.9),
        centre=disc.centre,
        length=disc.effective_radius * rng.uniform(0.7, 1.6),
        opening=rng.uniform(20.0, 50.0),
        inclination=disc.inclination,
        position_angle=disc.position_angle,
        velocity=shape[0] * rng.uniform(0.1, 0.2),
        dispersion=shape[0] * rng.uniform(0.03, 0.07),
    )
    return Scene((disc,), (wind,))


def _shell(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    disc = replace(draw_disc(rng, shape, fwhm, resolved=True), centre=_inner_position(rng, shape, 4.0))
    shells = []
    for _ in range(rng.integers(1, 4)):
        radius = fwhm * rng.uniform(1.0, 2.0)
        away = fwhm * rng.uniform(0.0, 3.0)
        shift = rng.normal(scale=0.05 * shape[0])
        shell = Shell(
            flux=rng.uniform(0.5, 1.5),
            centre=_moved(disc.centre, rng.uniform(0.0, 2.0 * math.pi), away, shift),
            radius=radius,
            thickness=radius * rng.uniform(0.05, 0.12),
            velocity=shape[0] * rng.uniform(0.06, 0.15),
            dispersion=log_uniform(rng, 0.3, 0.9),
        )
        shells.append(shell)
    return Scene((disc,), tuple(shells))


def _halo(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    disc = draw_disc(rng, shape, fwhm, resolved=True)
    radius = disc.effective_radius * rng.uniform(2.0, 3.5)
    halo = Halo(
        flux=rng.uniform(1.0, 4.0),
        centre=disc.centre,
        effective_radius=radius,
        index=rng.uniform(0.5, 1.0),
        axis_ratio=rng.uniform(0.5, 1.0),
        position_angle=rng.uniform(0.0, 360.0),
        gradient=rng.uniform(-0.5, 0.5) * disc.velocity / radius,
        dispersion=shape[0] * rng.uniform(0.05, 0.1),
    )
    return Scene((disc,), (halo,))


def _absorber(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    disc = draw_disc(rng, shape, fwhm, resolved=False)
    return Scene((disc,), continuum=rng.uniform(0.3, 1.5), absorption=rng.uniform(0.3, 1.0))


def _continuum(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    count = rng.integers(1, 5)
    discs = [draw_disc(rng, shape, fwhm, resolved=bool(rng.random() < 0.5)) for _ in range(count)]
    return Scene(tuple(discs), continuum=1e3)


def _compact(rng: np.random.Generator, shape: Shape, fwhm: float) -> Scene:
    return Scene(structures=tuple(_compact_source(rng, shape, fwhm) for _ in range(rng.integers(1, 5))))


def _compact_source(rng: np.random.Generator, shape: Shape, fwhm: float) -> Halo:
    dispersion, radius = log_uniform(rng, 0.5, 4.0), fwhm * log_uniform(rng, 0.01, 0.25)
    return Halo(
        flux=log_uniform(rng, 1 / 3, 1.0),
        centre=draw_position(rng, shape, 2.0 * dispersion),
        effective_radius=radius,
        index=0.5,
        axis_ratio=rng.uniform(0.4, 1.0),
        position_angle=rng.uniform(0.0, 360.0),
        gradient=rng.uniform(-2.0, 2.0) * dispersion / radius,
        dispersion=dispersion,
    )


def _inner_position(rng: np.random.Generator, shape: Shape, half_width: float) -> tuple[float, float, float]:
    """A place in the inner 60 % of the field: what is large would be cut else."""
    channel, _, _ = draw_position(rng, shape, half_width)
    y, x = (float(rng.uniform(0.2, 0.8) * (size - 1)) for size in shape[1:])
    return channel, y, x


def _between(
    one: tuple[float, float, float], two: tuple[float, float, float], rng: np.random.Generator, fwhm: float
) -> tuple[float, float, float]:
    """Half-way, moved aside by up to about a beam."""
    channel, y, x = ((a + b) / 2.0 for a, b in zip(one, two, strict=True))
    return channel, y + fwhm * rng.normal(scale=0.6), x + fwhm * rng.normal(scale=0.6)


def _moved(
    place: tuple[float, float, float], heading: float, distance: float, shift: float
) -> tuple[float, float, float]:
    """A place further on in a direction (radians from +x towards +y), and shifted in velocity."""
    channel, y, x = place
    return channel + shift, y + distance * math.sin(heading), x + distance * math.cos(heading)


_DRAW = {
    "ring": _ring,
    "tails": _tails,
    "outflow": _outflow,
    "shell": _shell,
    "halo": _halo,
    "absorber": _absorber,
    "continuum": _continuum,
    "compact": _compact,
}
