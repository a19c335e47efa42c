"""Rotating Sersic discs as clouds of gas.

Radii follow the Sersic light profile, heights an exponential, velocities the rotation curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from denoise.errors import ParameterError
from denoise.simulate.beams import FloatArray
from denoise.simulate.clouds import (
    Circle,
    Clouds,
    exponential_height,
    low_discrepancy,
    on_sky,
    sine_cosine,
)

Curve = Literal["arctan", "flat", "rising", "freeman", "universal"]  # new ones at the end: sets are fixed
CURVE_NAMES: tuple[Curve, ...] = get_args(Curve)
Place = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class Galaxy:
    """One rotating disc.

    Attributes
    ----------
    flux : float
        Sum over the whole cube before the beam, any unit.
    centre : tuple of float
        Systemic velocity (channels), y and x (pixels).
    effective_radius : float
        Half-light radius R_e of the face-on disc, pixels.
    index : float
        Sersic index n (> 0.36).
    scale_height : float
        h_z of ``exp(-|z| / h_z)``, pixels.
    inclination : float
        Degrees; 0 is face-on, 90 edge-on.
    position_angle : float
        Receding side of the major axis, degrees from +y towards -x.
    velocity : float
        Rotation velocity far out (of "freeman": at its maximum), channels.
    turnover : float
        Radius scale of the curve, pixels; "rising" takes R_e.
    curve : {"arctan", "flat", "rising", "freeman", "universal"}
        Shape of the rotation curve, see `rotation_velocity`.
    dispersion : float
        Turbulent velocity dispersion, channels.
    clumpiness : float
        Fraction of the flux that sits in clumps, 0 to 1.
    clumps : int
        Number of clumps.
    """

    flux: float
    centre: tuple[float, float, float]
    effective_radius: float
    index: float = 1.0
    scale_height: float = 0.5
    inclination: float = 45.0
    position_angle: float = 0.0
    velocity: float = 5.0
    turnover: float = 1.0
    curve: Curve = "arctan"
    dispersion: float = 0.6
    clumpiness: float = 0.0
    clumps: int = 12

    def __post_init__(self) -> None:
        if self.index <= 0.36 or self.effective_radius <= 0 or self.dispersion < 0 or self.scale_height < 0:
            raise ParameterError(
                "a disc needs index > 0.36, effective_radius > 0, dispersion and scale_height >= 0",
                value=self,
                action="give numbers within these limits",
            )
        if self.curve not in CURVE_NAMES:
            raise ParameterError(
                f"rotation curve must be one of {', '.join(CURVE_NAMES)}",
                value=self.curve,
                action="choose one of these",
            )

    @property
    def size(self) -> float:
        """R_e, pixels."""
        return self.effective_radius

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds, see `sample_clouds`."""
        return sample_clouds(self, count, rng)

    def circles(self) -> list[Circle]:
        """One circle (y, x, radius) of 2 R_e."""
        return [(self.centre[1], self.centre[2], 2.0 * self.effective_radius)]


def sersic_b(n: float) -> float:
    """``b_n`` that makes R_e the half-light radius, for n > 0.36.

    Source: Ciotti & Bertin 1999, A&A 352, 447, equation 18.
    """
    series = (2 * n, -1 / 3, 4 / (405 * n), 46 / (25515 * n**2), 131 / (1148175 * n**3))
    return sum(series) - 2194697 / (30690717750 * n**4)


def rotation_velocity(
    radius: FloatArray, *, velocity: float, turnover: float, curve: Curve = "arctan"
) -> FloatArray:
    """Rotation velocity at each radius.

    Parameters
    ----------
    radius : ndarray
        Pixels.
    velocity : float
        Scale of the curve, channels.
    turnover : float
        Radius scale, pixels.
    curve : {"arctan", "flat", "rising", "freeman", "universal"}
        ``2/pi arctan(R / turnover)``; the same everywhere; in proportion up to twice the turnover, then flat;
        the self-gravitating exponential disc of scale length ``turnover``, which declines beyond 2.15 of them
        (`velocity` is its maximum; Freeman 1970, ApJ 160, 811, equation 10); the universal curve of an L*
        spiral with that scale length (`velocity` is that at 3.2 of them; Persic, Salucci & Stel 1996,
        MNRAS 281, 27, equation 14).

    Returns
    -------
    ndarray, like `radius`
        Channels.
    """
    if curve == "flat":
        return np.full_like(radius, velocity)
    if curve == "rising":
        return velocity * np.minimum(radius / (2.0 * turnover), 1.0)
    if curve == "freeman":
        return velocity * _freeman(radius / turnover)
    if curve == "universal":
        return velocity * _universal(radius / (3.2 * turnover))
    return velocity * (2.0 / math.pi) * np.arctan(radius / turnover)


def _freeman(scaled: FloatArray) -> FloatArray:
    """Curve of an exponential disc at radii in scale lengths, maximum 1."""
    from scipy.special import i0e, i1e, k0e, k1e

    y = np.maximum(scaled, 1e-6) / 2.0
    return np.asarray(y * np.sqrt(np.maximum(i0e(y) * k0e(y) - i1e(y) * k1e(y), 0.0)) / 0.439912)


def _universal(x: FloatArray) -> FloatArray:
    """Universal curve for L = L* at radii in optical radii, 1 at 1."""
    disc = 0.72 * 1.97 * x**1.22 / (x**2 + 0.78**2) ** 1.43
    halo = 1.6 * math.exp(-0.4) * x**2 / (x**2 + 1.5**2)
    return np.asarray(np.sqrt(disc + halo) / 1.024149)


def sample_clouds(galaxy: Galaxy, count: int, rng: np.random.Generator) -> Clouds:
    """Draw clouds from the disc, projected on the sky; the faint outskirts get more and fainter clouds.

    Parameters
    ----------
    galaxy : Galaxy
        The disc.
    count : int
        Number of clouds.
    rng : numpy.random.Generator
        Shifts the low-discrepancy points, places the clumps.
    """
    points = low_discrepancy(count, rng)
    share = 1.0 - points[0]
    points[0] = 1.0 - share**2  # light fraction: its derivative, 2 (1 - p), is what a cloud carries
    x, y, z = _in_disc(galaxy, points)
    if galaxy.clumpiness > 0:
        x, y, z = _into_clumps(galaxy, share, (x, y, z), rng)
    radius = np.hypot(x, y)
    sine, cosine = sine_cosine(galaxy.inclination)
    curve = rotation_velocity(
        radius, velocity=galaxy.velocity, turnover=_turnover(galaxy), curve=galaxy.curve
    )
    along = curve * sine * np.divide(x, radius, out=np.zeros_like(x), where=radius > 0)
    row, column = on_sky(galaxy.centre, x, y * cosine - z * sine, galaxy.position_angle)
    return Clouds(galaxy.centre[0] + along, row, column, share / share.sum())


def _in_disc(galaxy: Galaxy, points: FloatArray) -> Place:
    radius = galaxy.effective_radius * sersic_radii(points[0], galaxy.index)
    phase = 2.0 * math.pi * points[1]
    height = exponential_height(points[2], galaxy.scale_height)
    return radius * np.cos(phase), radius * np.sin(phase), height


def sersic_radii(quantiles: FloatArray, n: float) -> FloatArray:
    """Radii, in R_e, that hold these fractions of the light of a Sersic disc, cut at 99.95 % of it."""
    from scipy.special import gammainc, gammaincinv

    last = 0.9995
    grid = np.linspace(0.0, gammaincinv(2 * n, last), 2048)
    inside = gammainc(2 * n, grid) / last
    return np.asarray((np.interp(quantiles, inside, grid) / sersic_b(n)) ** n)


def _into_clumps(galaxy: Galaxy, share: FloatArray, place: Place, rng: np.random.Generator) -> Place:
    """Move part of the clouds to clumps that follow the disc; each clump has its own share of the flux."""
    anchors = np.searchsorted(np.cumsum(share), rng.random(galaxy.clumps) * 0.999 * share.sum())
    weights = rng.exponential(size=galaxy.clumps)
    chosen = rng.random(share.size) < galaxy.clumpiness
    clump = anchors[rng.choice(galaxy.clumps, size=int(chosen.sum()), p=weights / weights.sum())]
    spread = 0.08 * galaxy.effective_radius
    moved = tuple(axis.copy() for axis in place)
    for axis, size in zip(moved, (spread, spread, min(spread, galaxy.scale_height)), strict=True):
        axis[chosen] = axis[clump] + rng.normal(scale=size, size=clump.size)
    return moved[0], moved[1], moved[2]


def _turnover(galaxy: Galaxy) -> float:
    return galaxy.effective_radius if galaxy.curve == "rising" else max(galaxy.turnover, 1e-6)
