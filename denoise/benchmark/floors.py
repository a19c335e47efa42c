"""Rows that every table has: so that each number has a floor and a ceiling.

``noisy`` and ``zeros`` know nothing. The oracles know the truth: they are limits of what Gaussian smoothing and what
gains of single coefficients can do, not methods.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from denoise.metrics import emission_mask, rmse
from denoise.noise import NoiseModel
from denoise.transforms import detection, starlet, wavelets

Array = NDArray[np.float32]
SPATIAL = (0.3, 0.5, 0.7, 0.9, 1.2, 1.6)  # sigma of the Gaussian in FWHM of the beam
SPECTRAL = (0.0, 0.5, 1.0, 1.5, 2.5)  # channels


def gauss_oracle(noisy: Array, truth: Array, beam: tuple[float, float, float]) -> Array:
    """The Gaussian smoothing, circular on the sky, with the least RMSE in the emission (in all, if there is none).

    Parameters
    ----------
    noisy, truth : ndarray, shape (channel, y, x), float32
        One unit; the truth picks the widths, out of 30 pairs and no smoothing at all.
    beam : tuple of float
        (major, minor, pa), FWHM in pixels.
    """
    emission = emission_mask(truth) if truth.any() else None
    best, least = noisy, rmse(noisy, truth, emission) or 0.0
    for smooth in _smoothings(noisy, float(np.sqrt(beam[0] * beam[1]))):
        error = rmse(smooth, truth, emission) or 0.0
        if error < least:
            best, least = smooth, error
    return best


def _smoothings(noisy: Array, fwhm: float) -> Iterator[Array]:
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    for spatial in SPATIAL:
        sky = gaussian_filter(noisy, (0, spatial * fwhm, spatial * fwhm))
        for spectral in SPECTRAL:
            yield gaussian_filter1d(sky, spectral, axis=0) if spectral else sky


def wiener_oracle(noisy: Array, truth: Array, noise: NoiseModel) -> Array:
    """Each coefficient of the 2D-1D starlet times ``t^2 / (t^2 + s^2)``, t the truth's coefficient, s its noise.

    Parameters
    ----------
    noisy, truth : ndarray, shape (channel, y, x), float32
        One unit.
    noise : NoiseModel
        Of ``noisy``: gives s.
    """
    spatial, spectral = wavelets.default_scales(noisy.shape)
    sigma = noise.sigma()
    data, wanted = (
        starlet.forward(
            np.ascontiguousarray(cube / sigma, np.float32), spatial_scales=spatial, spectral_scales=spectral
        )
        for cube in (noisy, truth)
    )
    level = detection.band_noise(noise, (spatial, spectral))[:, :, None, None, None]
    power = np.square(wanted)
    return np.asarray((data * (power / (power + np.square(level)))).sum(axis=(0, 1)) * sigma, np.float32)
