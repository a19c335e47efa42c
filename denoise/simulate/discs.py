"""Rotating Sersic discs as clouds of gas, gridded into a cube.

A disc is sampled by clouds: their radii follow the Sersic light profile, their heights an exponential, their
velocities the rotation curve. Low-discrepancy points make the sampled disc smooth; the line profile of
turbulent gas is integrated over each channel analytically.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError
from denoise.simulate.beams import FloatArray

Curve = Literal["arctan", "flat", "rising"]
CURVE_NAMES: tuple[Curve, ...] = get_args(Curve)
Place = tuple[FloatArray, FloatArray, FloatArray]
SUBCHANNELS = 4  # velocity cells a channel: the gridding error is far below any dispersion used


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
        Rotation velocity far out, channels.
    turnover : float
        Radius scale of the arctan curve, pixels.
    curve : {"arctan", "flat", "rising"}
        Shape of the rotation curve.
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
            )
        if self.curve not in CURVE_NAMES:
            raise ParameterError("rotation curve must be arctan, flat or rising", value=self.curve)


class Clouds(NamedTuple):
    """Velocity (channels), y and x (pixels) of clouds, and each one's share of the flux (sum 1)."""

    velocity: FloatArray
    y: FloatArray
    x: FloatArray
    share: FloatArray


def sersic_b(n: float) -> float:
    """``b_n`` that makes R_e the half-light radius, for n > 0.36.

    Source: Ciotti & Bertin 1999, A&A 352, 447, equation 18.
    """
    series = (2 * n, -1 / 3, 4 / (405 * n), 46 / (25515 * n**2), 131 / (1148175 * n**3))
    return sum(series) - 2194697 / (30690717750 * n**4)


def rotation_velocity(
    radius: FloatArray, *, velocity: float, turnover: float, curve: Curve = "arctan"
) -> FloatArray:
    """Rotation velocity at this radius: arctan, flat, or rising in proportion up to twice the turnover."""
    if curve == "flat":
        return np.full_like(radius, velocity)
    if curve == "rising":
        return velocity * np.minimum(radius / (2.0 * turnover), 1.0)
    return velocity * (2.0 / math.pi) * np.arctan(radius / turnover)


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
    sine, cosine = _sine_cosine(galaxy.inclination)
    curve = rotation_velocity(
        radius, velocity=galaxy.velocity, turnover=_turnover(galaxy), curve=galaxy.curve
    )
    along = curve * sine * np.divide(x, radius, out=np.zeros_like(x), where=radius > 0)
    minor = y * cosine - z * sine
    sin_pa, cos_pa = _sine_cosine(galaxy.position_angle)
    channel, row, column = galaxy.centre
    return Clouds(
        channel + along,
        row + x * cos_pa + minor * sin_pa,
        column - x * sin_pa + minor * cos_pa,
        share / share.sum(),
    )


def grid_clouds(
    clouds: Clouds,
    *,
    flux: float,
    dispersion: float,
    shape: tuple[int, int, int],
    origin: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Add up clouds in a cube (channel, y, x): bilinear on the sky, lines integrated over each channel.

    Parameters
    ----------
    clouds : Clouds
        Positions; clouds outside the cube are lost, with their flux.
    flux : float
        Flux of all clouds together.
    dispersion : float
        Velocity dispersion of the line, channels.
    shape : tuple of int
        Shape of the cube.
    origin : tuple of int
        Index (y, x) that position 0 has in the cube.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        In the unit of ``flux`` per voxel.
    """
    nchan, ny, nx = shape
    reach = 5.0 * dispersion + 1.0
    keep = (clouds.velocity > -reach) & (clouds.velocity < nchan - 1 + reach)
    keep &= (clouds.y + origin[0] >= 0) & (clouds.y + origin[0] < ny - 1)
    keep &= (clouds.x + origin[1] >= 0) & (clouds.x + origin[1] < nx - 1)
    if not keep.any():
        return np.zeros(shape, np.float32)
    velocity, y, x, share = (
        clouds.velocity[keep],
        clouds.y[keep] + origin[0],
        clouds.x[keep] + origin[1],
        clouds.share[keep],
    )
    first = math.floor(velocity.min() * SUBCHANNELS) / SUBCHANNELS
    cells = math.floor((velocity.max() - first) * SUBCHANNELS) + 2
    fine = flux * _trilinear((velocity - first) * SUBCHANNELS, y, x, share, (cells, ny, nx))
    profile = line_profiles(first + np.arange(cells) / SUBCHANNELS, dispersion=dispersion, nchan=nchan)
    cube = profile.astype(np.float32) @ fine.reshape(cells, ny * nx).astype(np.float32)
    return np.asarray(cube.reshape(shape))


def line_profiles(velocity: FloatArray, *, dispersion: float, nchan: int) -> FloatArray:
    """Fraction of a Gaussian line at each velocity that falls in each channel, shape (nchan, velocities).

    The variance that gridding in velocity has added already is taken off.
    """
    from scipy.special import erf

    gridding = 1.0 / (6.0 * SUBCHANNELS**2)
    sigma = math.sqrt(max(dispersion**2 - gridding, 1e-8))
    edges = (np.arange(nchan + 1)[:, None] - 0.5 - velocity[None, :]) / (sigma * math.sqrt(2.0))
    return np.asarray(np.diff(erf(edges), axis=0) / 2.0)


def low_discrepancy(count: int, rng: np.random.Generator) -> FloatArray:
    """Points (3, count) that fill the unit cube evenly, with a random shift.

    Additive recurrence with the powers of the root of ``g^4 = g + 1`` (Roberts 2018).
    """
    g = 1.2207440846057596
    alpha = np.array([1 / g, 1 / g**2, 1 / g**3])
    return np.asarray((rng.random(3)[:, None] + alpha[:, None] * np.arange(1, count + 1)) % 1.0)


def _in_disc(galaxy: Galaxy, points: FloatArray) -> Place:
    radius = galaxy.effective_radius * sersic_radii(points[0], galaxy.index)
    phase = 2.0 * math.pi * points[1]
    signed = 2.0 * points[2] - 1.0
    height = -np.sign(signed) * np.log1p(-np.abs(signed) * (1 - 1e-6)) * galaxy.scale_height
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


def _sine_cosine(degrees: float) -> tuple[float, float]:
    return math.sin(math.radians(degrees)), math.cos(math.radians(degrees))


def _trilinear(
    c: FloatArray, y: FloatArray, x: FloatArray, share: FloatArray, shape: tuple[int, int, int]
) -> FloatArray:
    """Add up shares in cells with linear weights on all three axes (cloud in cell)."""
    low = [np.floor(axis).astype(np.intp) for axis in (c, y, x)]
    frac = [axis - cell for axis, cell in zip((c, y, x), low, strict=True)]
    base = (low[0] * shape[1] + low[1]) * shape[2] + low[2]
    index, weight = [], []
    for corner in range(8):
        bits = (corner >> 2 & 1, corner >> 1 & 1, corner & 1)
        sides = [f if bit else 1.0 - f for f, bit in zip(frac, bits, strict=True)]
        index.append(base + (bits[0] * shape[1] + bits[1]) * shape[2] + bits[2])
        weight.append(share * sides[0] * sides[1] * sides[2])
    size = shape[0] * shape[1] * shape[2]
    total = np.bincount(np.concatenate(index), weights=np.concatenate(weight), minlength=size)
    return np.asarray(total.reshape(shape))
