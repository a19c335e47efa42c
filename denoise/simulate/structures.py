"""What is in a field beside rotating discs: rings, shells, outflows, haloes, tails and bridges.

Each samples clouds as `Galaxy` does. Lengths are pixels, velocities channels, angles degrees; position angles
go from +y towards -x; inclinations are 0 face-on. ``flux`` is the sum over the whole cube before the beam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from denoise.errors import ParameterError
from denoise.simulate.beams import FloatArray
from denoise.simulate.clouds import (
    Circle,
    Clouds,
    equal_shares,
    exponential_height,
    low_discrepancy,
    normal_quantile,
    on_sky,
    sine_cosine,
)
from denoise.simulate.discs import sersic_radii

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Ring:
    """A rotating ring, or a part of one.

    Attributes
    ----------
    flux : float
    centre : tuple of float
        Velocity, y, x.
    radius : float
        Of the middle of the ring.
    width : float
        Gaussian sigma of the radii.
    inclination, position_angle : float
        As of `Galaxy`.
    velocity : float
        Rotation velocity.
    dispersion : float
        Velocity dispersion.
    scale_height : float
        h_z of ``exp(-|z| / h_z)``.
    arc : float
        Degrees of the ring that shine, from the receding side on.
    """

    flux: float
    centre: Point
    radius: float
    width: float = 1.0
    inclination: float = 30.0
    position_angle: float = 0.0
    velocity: float = 5.0
    dispersion: float = 0.6
    scale_height: float = 0.3
    arc: float = 360.0

    def __post_init__(self) -> None:
        _check(self, positive=("radius",), not_negative=("width", "dispersion", "scale_height"))

    @property
    def size(self) -> float:
        """Radius."""
        return self.radius

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds; low-discrepancy points, so that `rng` only shifts them."""
        points = low_discrepancy(count, rng)
        radius = np.abs(self.radius + self.width * normal_quantile(points[0]))
        phase = math.radians(self.arc) * points[1]
        x, y = radius * np.cos(phase), radius * np.sin(phase)
        z = exponential_height(points[2], self.scale_height)
        sine, cosine = sine_cosine(self.inclination)
        row, column = on_sky(self.centre, x, y * cosine - z * sine, self.position_angle)
        velocity = self.centre[0] + self.velocity * sine * np.cos(phase)
        return Clouds(velocity, row, column, equal_shares(count))

    def circles(self) -> list[Circle]:
        """One circle, two widths beyond the radius."""
        return [(self.centre[1], self.centre[2], self.radius + 2.0 * self.width)]


@dataclass(frozen=True)
class Shell:
    """An expanding bubble: a thin sphere whose near side approaches.

    Attributes
    ----------
    flux : float
    centre : tuple of float
        Velocity, y, x.
    radius : float
    thickness : float
        Gaussian sigma of the radii.
    velocity : float
        Expansion velocity.
    dispersion : float
        Velocity dispersion.
    """

    flux: float
    centre: Point
    radius: float
    thickness: float = 0.5
    velocity: float = 4.0
    dispersion: float = 0.6

    def __post_init__(self) -> None:
        _check(self, positive=("radius",), not_negative=("thickness", "dispersion"))

    @property
    def size(self) -> float:
        """Radius."""
        return self.radius

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds; low-discrepancy points, so that `rng` only shifts them."""
        points = low_discrepancy(count, rng)
        radius = np.abs(self.radius + self.thickness * normal_quantile(points[0]))
        depth = 2.0 * points[1] - 1.0  # cosine of the angle to the line of sight
        across = np.sqrt(1.0 - depth**2)
        phase = 2.0 * math.pi * points[2]
        row = self.centre[1] + radius * across * np.sin(phase)
        column = self.centre[2] + radius * across * np.cos(phase)
        return Clouds(self.centre[0] + self.velocity * depth, row, column, equal_shares(count))

    def circles(self) -> list[Circle]:
        """One circle, two sigma of the thickness beyond the radius."""
        return [(self.centre[1], self.centre[2], self.radius + 2.0 * self.thickness)]


@dataclass(frozen=True)
class Outflow:
    """Gas that leaves a galaxy along its axis in two cones: faint, broad wings of the line.

    Attributes
    ----------
    flux : float
    centre : tuple of float
        Velocity, y, x.
    length : float
        Scale of the distance from the centre: brightness falls as ``exp(-d / length)``, cut at four of them.
    opening : float
        Half opening angle of a cone; 90 is a spherical wind.
    inclination, position_angle : float
        Of the disc that it leaves at right angles; as of `Galaxy`.
    velocity : float
        Outflow velocity.
    dispersion : float
        Velocity dispersion of the wings.
    """

    flux: float
    centre: Point
    length: float
    opening: float = 35.0
    inclination: float = 45.0
    position_angle: float = 0.0
    velocity: float = 6.0
    dispersion: float = 2.0

    def __post_init__(self) -> None:
        _check(self, positive=("length",), not_negative=("dispersion",))
        if not 0 < self.opening <= 90:
            raise ParameterError(
                "opening must be above 0 and at most 90 degrees",
                value=self.opening,
                action="give an angle within these limits",
            )

    @property
    def size(self) -> float:
        """Scale length."""
        return self.length

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds; low-discrepancy points, so that `rng` only shifts them."""
        points = low_discrepancy(count, rng)
        distance = -self.length * np.log1p(-points[0] * (1.0 - math.exp(-4.0)))
        side = np.where(points[1] < 0.5, 1.0, -1.0)
        cone = 1.0 - (2.0 * points[1] % 1.0) * (1.0 - sine_cosine(self.opening)[1])
        phase = 2.0 * math.pi * points[2]
        around = np.sqrt(1.0 - cone**2)
        x, y, z = around * np.cos(phase), around * np.sin(phase), side * cone  # directions; z along the axis
        sine, cosine = sine_cosine(self.inclination)
        row, column = on_sky(
            self.centre, distance * x, distance * (y * cosine - z * sine), self.position_angle
        )
        velocity = self.centre[0] + self.velocity * (y * sine + z * cosine)
        return Clouds(velocity, row, column, equal_shares(count))

    def circles(self) -> list[Circle]:
        """One circle of two scale lengths."""
        return [(self.centre[1], self.centre[2], 2.0 * self.length)]


@dataclass(frozen=True)
class Halo:
    """Diffuse, turbulent gas with an elliptical Sersic profile on the sky and a velocity gradient.

    Attributes
    ----------
    flux : float
    centre : tuple of float
        Velocity, y, x.
    effective_radius : float
        Half-light radius along the major axis.
    index : float
        Sersic index (> 0.36); 0.5 is a Gaussian.
    axis_ratio : float
        Minor over major axis.
    position_angle : float
        Of the major axis.
    gradient : float
        Velocity gradient along the major axis, channels per pixel.
    dispersion : float
        Velocity dispersion.
    """

    flux: float
    centre: Point
    effective_radius: float
    index: float = 1.0
    axis_ratio: float = 1.0
    position_angle: float = 0.0
    gradient: float = 0.0
    dispersion: float = 2.0

    def __post_init__(self) -> None:
        _check(self, positive=("effective_radius", "axis_ratio"), not_negative=("dispersion",))
        if self.index <= 0.36:
            raise ParameterError(
                "index must be above 0.36",
                value=self.index,
                action="give a Sersic index, as 1 for an exponential",
            )

    @property
    def size(self) -> float:
        """R_e."""
        return self.effective_radius

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds, more and fainter ones in the outskirts."""
        points = low_discrepancy(count, rng)
        share = 1.0 - points[0]
        radius = self.effective_radius * sersic_radii(1.0 - share**2, self.index)
        phase = 2.0 * math.pi * points[1]
        along, across = radius * np.cos(phase), self.axis_ratio * radius * np.sin(phase)
        row, column = on_sky(self.centre, along, across, self.position_angle)
        return Clouds(self.centre[0] + self.gradient * along, row, column, share / share.sum())

    def circles(self) -> list[Circle]:
        """One circle of 2 R_e."""
        return [(self.centre[1], self.centre[2], 2.0 * self.effective_radius)]


@dataclass(frozen=True)
class Tail:
    """A tidal tail, or the bridge between two galaxies: a bent filament in space and velocity.

    The axis is the quadratic Bezier curve ``(1 - t)^2 start + 2 t (1 - t) bend + t^2 end``.

    Attributes
    ----------
    flux : float
    start, bend, end : tuple of float
        Velocity, y, x of the control points.
    width : float
        Gaussian sigma across.
    flare : float
        How much wider it gets: the sigma at the end is ``width (1 + flare)``.
    fading : float
        Brightness per unit of t falls as ``exp(-fading t)``; 0 is a bridge.
    dispersion : float
        Velocity dispersion.
    """

    flux: float
    start: Point
    bend: Point
    end: Point
    width: float = 1.0
    flare: float = 0.0
    fading: float = 0.0
    dispersion: float = 0.6

    def __post_init__(self) -> None:
        _check(self, positive=("width",), not_negative=("flare", "fading", "dispersion"))

    @property
    def centre(self) -> Point:
        """Velocity, y, x half-way along."""
        channel, y, x = (float(value[0]) for value in self.axis(np.array([0.5])))
        return channel, y, x

    @property
    def size(self) -> float:
        """Half the length of the axis on the sky."""
        _, y, x = self.axis(np.linspace(0, 1, 65))
        return float(np.hypot(np.diff(y), np.diff(x)).sum()) / 2.0

    def axis(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Velocity, y and x of the axis at these parameters from 0 to 1."""
        first, second, third = (1 - t) ** 2, 2 * t * (1 - t), t**2
        channel, y, x = (
            first * a + second * b + third * c
            for a, b, c in zip(self.start, self.bend, self.end, strict=True)
        )
        return channel, y, x

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw clouds; low-discrepancy points, so that `rng` only shifts them."""
        points = low_discrepancy(count, rng)
        t = points[0]
        if self.fading > 0:
            t = -np.log1p(-t * (1.0 - math.exp(-self.fading))) / self.fading
        channel, y, x = self.axis(t)
        width = self.width * (1.0 + self.flare * t)
        return Clouds(
            channel,
            y + width * normal_quantile(points[1]),
            x + width * normal_quantile(points[2]),
            equal_shares(count),
        )

    def circles(self) -> list[Circle]:
        """Circles of two sigma along the axis."""
        t = np.linspace(0.0, 1.0, 17)
        _, rows, columns = self.axis(t)
        widths = 2.0 * self.width * (1.0 + self.flare * t)
        return [(float(y), float(x), float(w)) for y, x, w in zip(rows, columns, widths, strict=True)]


Structure = Ring | Shell | Outflow | Halo | Tail
STRUCTURES: dict[str, type[Structure]] = {
    kind.__name__.lower(): kind for kind in (Ring, Shell, Outflow, Halo, Tail)
}


def _check(structure: object, *, positive: tuple[str, ...], not_negative: tuple[str, ...]) -> None:
    for name in (*positive, *not_negative):
        value = getattr(structure, name)
        if not math.isfinite(value) or value < 0 or (value == 0 and name in positive):
            least = "above 0" if name in positive else "at least 0"
            raise ParameterError(
                f"{name} of a {type(structure).__name__.lower()} must be {least}",
                value=value,
                action=f"give {name} a number {least}",
            )
