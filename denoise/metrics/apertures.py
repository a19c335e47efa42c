"""Where to measure: apertures on the sky, the emission, the surroundings of the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError

Mask = NDArray[np.bool_]


def circular_aperture(shape: tuple[int, int], *, centre: tuple[float, float], diameter: float) -> Mask:
    """Pixels (y, x) whose centres lie within a circle; centre (y, x) and diameter in pixels.

    Raises
    ------
    ParameterError
        The diameter is not above 0.
    """
    if not diameter > 0:
        raise ParameterError(
            "an aperture needs a positive diameter, in pixels",
            value=diameter,
            action="give a diameter above 0",
        )
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= (diameter / 2.0) ** 2)


def aperture_diameter(effective_radius: float, fwhm: float) -> float:
    """Diameter of the protocol's aperture, ``2 max(2 R_e, FWHM)``, in pixels, as both arguments are.

    Source: Lahiry et al. 2026, arXiv:2602.10893.
    """
    return 2.0 * max(2.0 * effective_radius, fwhm)


def emission_mask(truth: NDArray[Any], *, fraction: float = 0.05) -> Mask:
    """Voxels (channel, y, x) where the truth is above this fraction of its peak; none where that is not positive.

    NaN is left out.
    """
    peak = np.nanmax(truth, initial=0.0)
    return np.asarray(truth > fraction * peak) if peak > 0 else np.zeros(truth.shape, bool)


def near_truth(
    truth: NDArray[Any],
    beam: tuple[float, float, float],
    *,
    beams: float = 2.0,
    fraction: float = 0.01,
    channels: int = 2,
) -> Mask:
    """Voxels within so many beams, and so many channels, of truth above a fraction of its peak.

    Parameters
    ----------
    truth : ndarray, shape (channel, y, x)
        Noise-free cube; absorption counts as truth as well.
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
    beams : float
        Distance in FWHM along each axis of the beam.
    fraction : float
        Fainter truth is taken as none: 1 % of the peak is below a tenth of sigma up to peak SNR 10.
    channels : int
        Distance along the spectral axis.
    """
    from scipy import ndimage

    peak = np.nanmax(np.abs(truth), initial=0.0)
    if peak <= 0:
        return np.zeros(truth.shape, bool)
    core = np.abs(truth) > fraction * peak
    near = np.zeros_like(core)
    footprint = _ellipse(beam, beams)
    for channel in np.flatnonzero(core.any(axis=(1, 2))):
        near[channel] = _dilated(core[channel], footprint)
    return np.asarray(ndimage.maximum_filter1d(near, 2 * channels + 1, axis=0, mode="constant"))


def _ellipse(beam: tuple[float, float, float], beams: float) -> NDArray[np.float32]:
    major, minor, angle = beam
    half = math.ceil(beams * major)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    u, v = y * cosine - x * sine, y * sine + x * cosine
    return np.asarray((u / major) ** 2 + (v / minor) ** 2 <= beams**2, dtype=np.float32)


def _dilated(mask: Mask, footprint: NDArray[np.float32]) -> Mask:
    """Dilation by counting neighbours in the Fourier domain: the footprint is too large for a direct pass."""
    from scipy.signal import fftconvolve

    return np.asarray(fftconvolve(mask.astype(np.float32), footprint, mode="same") > 0.5)
