"""Noise of unit expected standard deviation, with the correlations of real and of toy observations."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from denoise.cores import one_blas_thread
from denoise.errors import ParameterError
from denoise.simulate.beams import (
    Beam,
    FloatArray,
    apply_transfer,
    beam_transfer,
    checked_beam,
    padded_shape,
)

NoiseFamily = Literal["white_convolved", "imaged", "imaged_gaussian", "white"]


def noise_field(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    beam: Beam,
    *,
    family: NoiseFamily = "white_convolved",
    coverage: FloatArray | None = None,
) -> NDArray[np.float32]:
    """Gaussian noise, unit sigma in expectation, independent between channels.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the white noise.
    shape : tuple of int
        (channel, y, x).
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees.
    family : {"white_convolved", "imaged", "imaged_gaussian", "white"}
        White noise convolved with the beam (autocorrelation ``4^-(s/FWHM)^2``); noise of imaged
        visibilities, whose autocorrelation is the dirty beam of ``coverage``; the same with a Gaussian
        dirty beam (``16^-(s/FWHM)^2``); or white.
    coverage : ndarray, shape (2, samples), optional
        (u, v) of the visibilities in cycles per pixel, for "imaged" (see `earth_rotation_tracks`).

    Returns
    -------
    ndarray, shape (channel, y, x), float32
        Values at the borders are correlated like all others: the field is cut out of a larger periodic one.
    """
    if family not in get_args(NoiseFamily):
        raise ParameterError(
            f"noise must be one of {', '.join(get_args(NoiseFamily))}",
            value=family,
            action="choose one of these",
        )
    if family == "white":
        return rng.standard_normal(shape, dtype=np.float32)
    nchan, ny, nx = shape
    padded = padded_shape((ny, nx), beam)
    white = rng.standard_normal((nchan, *padded), dtype=np.float32)
    power = noise_power(padded, beam, family=family, coverage=coverage)
    return np.ascontiguousarray(apply_transfer(white, np.sqrt(power))[:, :ny, :nx])


def noise_power(
    shape: tuple[int, int], beam: Beam, *, family: NoiseFamily, coverage: FloatArray | None = None
) -> FloatArray:
    """Power spectrum at the frequencies of ``rfft2`` for this shape (y, x), mean 1 over the full plane."""
    if family == "white":
        return np.ones((shape[0], shape[1] // 2 + 1))
    if family == "imaged" and coverage is None:
        raise ParameterError(
            "noise of imaged visibilities needs their (u, v) coverage",
            action="give coverage, as earth_rotation_tracks makes it",
        )
    if family == "imaged" and coverage is not None:
        power = gridded_weights(coverage, shape)
    else:
        transfer = beam_transfer(beam, shape)
        power = transfer**2 if family == "white_convolved" else transfer
    return np.asarray(power / _plane_mean(power, shape[1]))


def noise_acf(power: FloatArray, shape: tuple[int, int], half: int) -> FloatArray:
    """Autocorrelation (2 half + 1, 2 half + 1), centre 1, of noise with this power spectrum."""
    acf = np.fft.irfft2(power, s=shape)
    acf = np.roll(acf, (half, half), axis=(0, 1))[: 2 * half + 1, : 2 * half + 1]
    return np.asarray(acf / acf[half, half])


def earth_rotation_tracks(
    rng: np.random.Generator, beam: Beam, *, antennas: int = 24, steps: int = 160
) -> FloatArray:
    """(u, v) samples, in cycles per pixel, of a random array that tracks a source.

    They are scaled so that the naturally weighted beam has the given FWHM along both axes.

    Source: Thompson, Moran & Swenson 2017, Interferometry and Synthesis in Radio Astronomy, equation 4.1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws antenna positions, declination and hour angles.
    beam : tuple of float
        (major, minor, pa).
    antennas, steps : int
        Antennas, and integrations along the track.

    Returns
    -------
    ndarray, shape (2, samples)
        u (along x) and v (along y); the conjugate samples are left out.
    """
    major, minor, angle = checked_beam(beam)
    east, north = rng.normal(size=(2, antennas))
    latitude, declination = rng.uniform(-0.8, 0.8, 2)
    first, second = np.triu_indices(antennas, 1)
    de, dn = east[first] - east[second], north[first] - north[second]
    bx, by, bz = -math.sin(latitude) * dn, de, math.cos(latitude) * dn
    hour = np.linspace(-1, 1, steps)[:, None] * rng.uniform(0.4, 1.4)
    u = np.sin(hour) * bx + np.cos(hour) * by
    v = math.sin(declination) * (np.sin(hour) * by - np.cos(hour) * bx) + math.cos(declination) * bz
    p, q = _whitened(np.stack([u.ravel(), v.ravel()]))
    p, q = _scaled(p, major), _scaled(q, minor)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return np.stack([q * cosine - p * sine, p * cosine + q * sine])


def gridded_weights(coverage: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Natural weights of the visibilities and their conjugates on the rfft2 grid of this shape (y, x).

    Samples beyond the Nyquist frequency are dropped.
    """
    ny, nx = shape
    u, v = np.concatenate([coverage, -coverage], axis=1)
    column, row = np.rint(u * nx).astype(int), np.rint(v * ny).astype(int)
    keep = (column >= 0) & (column < (nx + 1) // 2) & (np.abs(row) < (ny + 1) // 2)
    index = (row[keep] % ny) * (nx // 2 + 1) + column[keep]
    counts = np.bincount(index, minlength=ny * (nx // 2 + 1))
    return counts.reshape(ny, nx // 2 + 1).astype(float)


def _whitened(samples: FloatArray) -> FloatArray:
    """Decorrelate u and v: an affine map of the array that makes the beam round."""
    with one_blas_thread():
        second = samples @ samples.T / samples.shape[1]
        return np.asarray(np.linalg.solve(np.linalg.cholesky(second), samples))


def _scaled(component: FloatArray, width: float) -> FloatArray:
    """Scale one component of the samples so that the beam's FWHM along that axis is ``width`` pixels."""
    trial = np.linspace(0.0, 0.4, 128)
    # golden-ratio steps: an even subset whatever the numbers of antennas and integrations
    some = ((np.arange(2500) * 0.6180339887498949) % 1.0 * component.size).astype(int)
    beam = np.ones(trial.size)
    for first in range(0, trial.size, 16):  # as far as the half maximum, no further
        part = slice(first, first + 16)
        beam[part] = np.cos(2.0 * math.pi * trial[part, None] * component[some]).mean(axis=1)
        if (beam[part] < 0.5).any():
            break
    below = int(np.argmax(beam < 0.5))
    half = np.interp(0.5, beam[[below, below - 1]], trial[[below, below - 1]])
    return component * (2.0 * half / width)


def _plane_mean(power: FloatArray, nx: int) -> float:
    """Mean over the full Fourier plane of a half-plane array."""
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1.0
    if nx % 2 == 0:
        twice[-1] = 1.0
    return float((power * twice).sum() / (power.shape[0] * nx))
