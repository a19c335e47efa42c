"""Clouds of gas, and how they are gridded into a cube; everything that emits is sampled by clouds.

Low-discrepancy points make what is sampled smooth; the line profile of turbulent gas is integrated over each
channel analytically.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.cores import one_blas_thread
from denoise.simulate.beams import FloatArray

SUBCHANNELS = 4  # velocity cells a channel: the gridding error is far below any dispersion used
HANNING = (0.25, 0.5, 0.25)
HANNING_ACF = np.array([1.0, 2.0 / 3.0, 1.0 / 6.0])  # of channels that were smoothed by these weights
Circle = tuple[float, float, float]


class Clouds(NamedTuple):
    """Velocity (channels), y and x (pixels) of clouds, and each one's share of the flux (sum 1)."""

    velocity: FloatArray
    y: FloatArray
    x: FloatArray
    share: FloatArray


class Component(Protocol):
    """What a scene is made of: `Galaxy` and the structures."""

    @property
    def flux(self) -> float:
        """Sum over the whole cube before the beam."""

    @property
    def centre(self) -> tuple[float, float, float]:
        """Velocity (channels), y and x (pixels)."""

    @property
    def dispersion(self) -> float:
        """Turbulent velocity dispersion, channels."""

    @property
    def size(self) -> float:
        """Half-light radius or what corresponds to it, pixels."""

    def sample(self, count: int, rng: np.random.Generator) -> Clouds:
        """Draw about `count` clouds."""

    def circles(self) -> list[Circle]:
        """Circles (y, x, radius) in pixels that hold nearly all of its light."""


def grid_clouds(
    clouds: Clouds,
    *,
    flux: float,
    dispersion: float,
    shape: tuple[int, int, int],
    origin: tuple[int, int] = (0, 0),
    hanning: bool = False,
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
    hanning : bool
        Channels are Hanning smoothed.

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        In the unit of ``flux`` per voxel.
    """
    from denoise.simulate._kernels import deposit

    nchan, ny, nx = shape
    velocity, y, x, share = _inside(clouds, dispersion, shape, origin)
    if not share.size:
        return np.zeros(shape, np.float32)
    first = math.floor(velocity.min() * SUBCHANNELS) / SUBCHANNELS
    cells = math.floor((velocity.max() - first) * SUBCHANNELS) + 2
    fine = np.zeros((cells, ny, nx))
    deposit((velocity - first) * SUBCHANNELS, y, x, share, fine)
    profile = line_profiles(
        first + np.arange(cells) / SUBCHANNELS, dispersion=dispersion, nchan=nchan, hanning=hanning
    )
    scaled = np.empty((cells, ny * nx), np.float32)
    np.multiply(fine.reshape(cells, -1), flux, out=scaled, casting="same_kind")
    with one_blas_thread():
        return np.asarray((profile.astype(np.float32) @ scaled).reshape(shape))


def _inside(
    clouds: Clouds, dispersion: float, shape: tuple[int, int, int], origin: tuple[int, int]
) -> Clouds:
    """Clouds that reach the cube, at their indices (y, x) in it."""
    nchan, ny, nx = shape
    reach = 5.0 * dispersion + 1.0
    y, x = clouds.y + origin[0], clouds.x + origin[1]
    keep = (clouds.velocity > -reach) & (clouds.velocity < nchan - 1 + reach)
    keep &= (y >= 0) & (y < ny - 1) & (x >= 0) & (x < nx - 1)
    return Clouds(clouds.velocity[keep], y[keep], x[keep], clouds.share[keep])


def line_profiles(
    velocity: FloatArray, *, dispersion: float, nchan: int, hanning: bool = False
) -> FloatArray:
    """Fraction of a Gaussian line at each velocity that falls in each channel, shape (nchan, velocities).

    The variance that gridding in velocity has added already is taken off. With `hanning` the channels are
    smoothed by 1/4, 1/2, 1/4, those at the ends too: the spectrometer has more channels than the cube.
    """
    from scipy.special import erf

    gridding = 1.0 / (6.0 * SUBCHANNELS**2)
    sigma = math.sqrt(max(dispersion**2 - gridding, 1e-8))
    more = 1 if hanning else 0
    channels = np.arange(-more, nchan + more + 1)
    edges = (channels[:, None] - 0.5 - velocity[None, :]) / (sigma * math.sqrt(2.0))
    profile = np.asarray(np.diff(erf(edges), axis=0) / 2.0)
    return smooth_channels(profile) if hanning else profile


def smooth_channels(values: NDArray[Any]) -> NDArray[Any]:
    """Hanning smoothing along the first axis; two channels fewer come out."""
    side, middle = values.dtype.type(HANNING[0]), values.dtype.type(HANNING[1])
    return np.asarray(side * (values[:-2] + values[2:]) + middle * values[1:-1])


def low_discrepancy(count: int, rng: np.random.Generator) -> FloatArray:
    """Points (3, count) that fill the unit cube evenly, with a random shift.

    Additive recurrence with the powers of the root of ``g^4 = g + 1`` (Roberts 2018).
    """
    g = 1.2207440846057596
    alpha = np.array([1 / g, 1 / g**2, 1 / g**3])
    points = rng.random(3)[:, None] + alpha[:, None] * np.arange(1, count + 1)
    points -= np.floor(points)
    return np.asarray(points)


def normal_quantile(fraction: FloatArray) -> FloatArray:
    """Standard normal deviates of these fractions."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(fraction, 1e-6, 1 - 1e-6)))


def exponential_height(fraction: FloatArray, scale: float) -> FloatArray:
    """Heights whose density falls as ``exp(-|z| / scale)``."""
    signed = 2.0 * fraction - 1.0
    return np.asarray(-np.sign(signed) * np.log1p(-np.abs(signed) * (1 - 1e-6)) * scale)


def on_sky(
    centre: tuple[float, float, float], along: FloatArray, minor: FloatArray, position_angle: float
) -> tuple[FloatArray, FloatArray]:
    """Pixel coordinates y and x of offsets along an axis at this angle, and across it.

    The axis is at `position_angle` degrees from +y towards -x, the offset across points to +x at angle 0.
    """
    sine, cosine = sine_cosine(position_angle)
    return (
        np.asarray(centre[1] + along * cosine + minor * sine),
        np.asarray(centre[2] - along * sine + minor * cosine),
    )


def sine_cosine(degrees: float) -> tuple[float, float]:
    """Sine and cosine of an angle in degrees."""
    return math.sin(math.radians(degrees)), math.cos(math.radians(degrees))


def equal_shares(count: int) -> FloatArray:
    """Shares of clouds that are all alike."""
    return np.full(count, 1.0 / count)
