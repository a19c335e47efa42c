"""Gaussian beams on the pixel grid: image, transfer function and convolution.

A beam is ``(major, minor, pa)``: full widths at half maximum in pixels and the position angle of the major
axis in degrees, from +y towards -x (north through east on the sky).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError

Beam = tuple[float, float, float]
FloatArray = NDArray[np.float64]

_TOGETHER = 4
FWHM_TO_SIGMA = 1.0 / math.sqrt(8.0 * math.log(2.0))


def checked_beam(beam: tuple[float, float, float]) -> Beam:
    """Return the beam as floats, or refuse it.

    Raises
    ------
    ParameterError
        A width is not positive and finite, or the major axis is shorter than the minor one.
    """
    major, minor, angle = (float(value) for value in beam)
    if not (0 < minor <= major < math.inf and math.isfinite(angle)):
        raise ParameterError(
            "beam must be (major, minor, angle) with 0 < minor <= major, in pixels and degrees",
            value=beam,
            action="give the longer axis first, as (5, 4, 30)",
        )
    return major, minor, angle


def along_axes(y: FloatArray, x: FloatArray, angle: float) -> tuple[FloatArray, FloatArray]:
    """Offsets along the major and minor axis of an ellipse at this position angle (degrees)."""
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return y * cosine - x * sine, y * sine + x * cosine


def beam_image(beam: Beam, *, half: int | None = None) -> FloatArray:
    """Beam of unit peak on a (2 half + 1, 2 half + 1) grid, centred; ``half`` defaults to two major FWHM."""
    major, minor, angle = checked_beam(beam)
    half = math.ceil(2 * major) if half is None else half
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    u, v = along_axes(y, x, angle)
    return np.asarray(16.0 ** -((u / major) ** 2 + (v / minor) ** 2))


def beam_area(beam: Beam) -> float:
    """Solid angle of the beam in pixels."""
    major, minor, _ = checked_beam(beam)
    return 2.0 * math.pi * major * minor * FWHM_TO_SIGMA**2


def beam_transfer(beam: Beam, shape: tuple[int, int]) -> FloatArray:
    """Fourier transform of the unit-sum beam at the frequencies of ``rfft2`` for this shape (y, x)."""
    major, minor, angle = checked_beam(beam)
    fy, fx = _frequencies(shape)
    u, v = along_axes(fy, fx, angle)
    variance = (u * major * FWHM_TO_SIGMA) ** 2 + (v * minor * FWHM_TO_SIGMA) ** 2
    return np.asarray(np.exp(-2.0 * math.pi**2 * variance))


def cell_transfer(shape: tuple[int, int]) -> FloatArray:
    """Fourier transform of the triangular cell of bilinear gridding: dividing by it undoes the broadening.

    Source: Hockney & Eastwood 1988, Computer Simulation Using Particles, section 5-3.
    """
    fy, fx = _frequencies(shape)
    return np.asarray((np.sinc(fy) * np.sinc(fx)) ** 2)


def apply_transfer(planes: NDArray[np.float32], transfer: FloatArray) -> NDArray[np.float32]:
    """Multiply planes (..., y, x) by a transfer function; periodic, so pad first."""
    from scipy import fft

    factors, size = transfer.astype(np.float32), planes.shape[-2:]
    stack = planes.reshape(-1, *size)
    out = np.empty(stack.shape, np.float32)
    for first in range(0, len(stack), _TOGETHER):  # a few planes at a time stay in the cache
        spectrum = fft.rfft2(stack[first : first + _TOGETHER])
        spectrum *= factors
        out[first : first + _TOGETHER] = fft.irfft2(spectrum, s=size, overwrite_x=True)
    return out.reshape(planes.shape)


def convolve_beam(cube: NDArray[np.float32], beam: Beam) -> NDArray[np.float32]:
    """Convolve every channel of a cube (channel, y, x) with the unit-sum beam; nothing comes in from outside.

    The sum over the plane, and so the flux per pixel, is kept up to what the beam carries over the edge.
    """
    ny, nx = cube.shape[-2:]
    shape = padded_shape((ny, nx), beam)
    padded = np.zeros((*cube.shape[:-2], *shape), np.float32)
    padded[..., :ny, :nx] = cube
    return np.ascontiguousarray(apply_transfer(padded, beam_transfer(beam, shape))[..., :ny, :nx])


def padded_shape(shape: tuple[int, int], beam: Beam) -> tuple[int, int]:
    """Shape (y, x) large enough that the periodic beam does not reach around, and fast to transform."""
    from scipy.fft import next_fast_len

    margin = math.ceil(3.5 * checked_beam(beam)[0])
    return next_fast_len(shape[0] + margin, real=True), next_fast_len(shape[1] + margin, real=True)


def _frequencies(shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    fy = np.fft.fftfreq(shape[0]).astype(np.float64)[:, None]
    return fy, np.fft.rfftfreq(shape[1]).astype(np.float64)[None, :]
