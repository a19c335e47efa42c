"""Autocorrelation functions (ACF) of noise: from beams, made valid, and their colouring kernels.

A spatial ACF is a 2D array of odd shape (2h + 1, 2w + 1), lag zero (value 1) in the centre, point-symmetric.
A spectral ACF is a 1D array, lag zero first. Both belong to stationary noise of unit variance.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.errors import NoiseError

Array = NDArray[np.float64]
Family = Literal["white_convolved", "imaged"]

#: Largest half-width of a spatial ACF, in pixels.
MAX_LAG = 64
_CORE_ERROR = 2e-3  # how far a colouring kernel's own ACF may be from the one wanted


def beam_acf(beam_pixels: tuple[float, float, float], *, family: Family = "white_convolved") -> Array:
    """ACF of noise seen through a Gaussian beam.

    Parameters
    ----------
    beam_pixels : (float, float, float)
        FWHM of the major and minor axis in pixels, position angle in degrees from +y towards -x (north to
        east).
    family : {"white_convolved", "imaged"}
        ``white_convolved``: white noise convolved with the beam, ACF ``4^-(s/FWHM)^2`` (simulations);
        ``imaged``: visibility noise with natural weighting, ACF the beam itself, ``16^-(s/FWHM)^2``.

    Returns
    -------
    ndarray of float64, shape (2h + 1, 2h + 1)
        Out to where it falls below 1e-4.
    """
    major, minor, angle = (float(v) for v in beam_pixels)
    if not (np.isfinite([major, minor, angle]).all() and major > 0 and minor > 0):
        raise NoiseError(
            "the beam is not valid", value=beam_pixels, action="give FWHM > 0 in pixels and an angle"
        )
    base = {"white_convolved": 4.0, "imaged": 16.0}.get(family)
    if base is None:
        raise NoiseError(
            "unknown family of beam noise", value=family, action="use 'white_convolved' or 'imaged'"
        )
    half = int(np.clip(np.ceil(max(major, minor) * np.sqrt(np.log(1e4) / np.log(base))), 1, MAX_LAG))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    theta = np.deg2rad(angle)
    along = y * np.cos(theta) - x * np.sin(theta)
    across = y * np.sin(theta) + x * np.cos(theta)
    return np.asarray(base ** -((along / major) ** 2 + (across / minor) ** 2))


def psf_acf(psf: NDArray[Any], *, floor: float = 0.02, half: int | None = None) -> Array:
    """ACF of naturally weighted visibility noise: the dirty beam itself, made a valid ACF.

    Parameters
    ----------
    psf : ndarray, shape (ny, nx)
        Dirty beam, its peak anywhere; NaN counts as zero.
    floor : float
        The ACF reaches out to the last lag where the PSF exceeds this.
    half : int, optional
        Half-width to use instead.

    Returns
    -------
    ndarray of float64, shape (2h + 1, 2h + 1)
    """
    image = np.nan_to_num(np.asarray(psf, dtype=np.float64).squeeze())
    if image.ndim != 2 or not image.size or image.max() <= 0:
        raise NoiseError(
            "the PSF must be one 2D image with a positive peak",
            value=np.shape(psf),
            action="give one plane of the dirty beam",
        )
    y0, x0 = np.unravel_index(int(np.argmax(image)), image.shape)
    room = min(y0, x0, image.shape[0] - 1 - y0, image.shape[1] - 1 - x0, MAX_LAG)
    image = image[y0 - room : y0 + room + 1, x0 - room : x0 + room + 1] / image[y0, x0]
    return valid_acf(crop_acf(0.5 * (image + image[::-1, ::-1]), half or reach(image, floor=floor)))


def reach(acf: Array, *, floor: float = 0.02) -> int:
    """Largest lag, along either axis, at which a 2D ACF exceeds `floor` in absolute value (at least 1)."""
    centre = np.array(acf.shape) // 2
    above = np.argwhere(np.abs(acf) > floor) - centre
    return max(1, int(np.abs(above).max(initial=0)))


def crop_acf(acf: Array, half: int) -> Array:
    """Central part of a 2D ACF, at most `half` pixels around lag zero."""
    cy, cx = acf.shape[0] // 2, acf.shape[1] // 2
    hy, hx = min(half, cy), min(half, cx)
    return acf[cy - hy : cy + hy + 1, cx - hx : cx + hx + 1]


def taper_acf(acf: Array, *, start: float = 0.7) -> Array:
    """Bring a 2D ACF smoothly to zero between `start` of its half-width and its border."""
    half = np.array(acf.shape) // 2
    y, x = (np.abs(np.arange(-h, h + 1)) / (h + 1.0) for h in half)
    radius = np.hypot(y[:, None], x[None, :])
    ramp = np.clip((1.0 - radius) / (1.0 - start), 0.0, 1.0)
    return np.asarray(acf * np.sin(0.5 * np.pi * ramp) ** 2)


def valid_acf(acf: Array) -> Array:
    """Nearest ACF that some noise can have: unit at lag zero, power spectrum nowhere negative.

    On a periodic grid the eigenvalues are the power spectrum, and the nearest correlation in the
    least-squares sense (Higham 2002, IMA J. Numer. Anal. 22, 329) is the projection of the spectrum onto the
    simplex.

    Parameters
    ----------
    acf : ndarray, shape (2h + 1, 2w + 1) or (k + 1,)
        A 1D array is a spectral ACF, lag zero first.

    Returns
    -------
    ndarray of float64, shape of `acf`
    """
    if acf.ndim == 1:
        two_sided = np.concatenate([acf[:0:-1], acf])[None, :]
        return valid_acf(two_sided)[0, acf.size - 1 :].copy()
    power = _power(np.asarray(acf, dtype=np.float64))
    full = np.fft.fftshift(np.fft.ifft2(power).real)
    hy, hx = acf.shape[0] // 2, acf.shape[1] // 2
    cy, cx = full.shape[0] // 2, full.shape[1] // 2
    return np.ascontiguousarray(full[cy - hy : cy + hy + 1, cx - hx : cx + hx + 1])


def _power(acf: Array) -> Array:
    """Power spectrum (mean 1, nowhere negative) on a periodic grid of at least twice the width of `acf`."""
    from scipy.fft import next_fast_len

    sizes = [1 if n == 1 else int(next_fast_len(2 * n)) for n in acf.shape]
    grid = np.zeros(sizes)
    grid[: acf.shape[0], : acf.shape[1]] = acf
    grid = np.roll(grid, (-(acf.shape[0] // 2), -(acf.shape[1] // 2)), axis=(0, 1))
    return onto_simplex(np.fft.fft2(grid).real)


def onto_simplex(power: Array) -> Array:
    """Nearest array that is nowhere negative and has mean 1 (least squares)."""
    ordered = np.sort(power.ravel())[::-1]
    excess = (np.cumsum(ordered) - power.size) / np.arange(1, power.size + 1)
    count = int(np.nonzero(ordered > excess)[0][-1])
    return np.asarray(np.maximum(power - excess[count], 0.0))


def colouring_kernel(acf: Array) -> Array:
    """Finite kernel that turns white unit noise into unit noise with this ACF.

    The inverse transform of the square root of the power spectrum, cut where its own ACF is within 0.002 of
    the one wanted, normalised to unit sum of squares.

    Parameters
    ----------
    acf : ndarray, shape (2h + 1, 2w + 1) or (k + 1,)

    Returns
    -------
    ndarray of float64
        2D of odd shape for a 2D `acf`; 1D of odd size for a 1D one.
    """
    if acf.ndim == 1:
        return np.asarray(colouring_kernel(np.concatenate([acf[:0:-1], acf])[None, :])[0])
    whole = np.fft.fftshift(np.fft.ifft2(np.sqrt(_power(acf))).real)
    limit = [min(n - 1 - n // 2, n // 2) for n in whole.shape]
    kernel = np.ones((1, 1))
    for fraction in (0.0, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0):
        hy, hx = (int(np.ceil(fraction * h)) for h in limit)
        cy, cx = whole.shape[0] // 2, whole.shape[1] // 2
        kernel = whole[cy - hy : cy + hy + 1, cx - hx : cx + hx + 1]
        kernel = kernel / np.sqrt(np.sum(kernel**2))
        if np.abs(resize_centred(autocorrelate(kernel), acf.shape) - acf).max() < _CORE_ERROR:
            break
    return kernel


def autocorrelate(kernel: Array) -> Array:
    """Full autocorrelation of a 2D kernel, lag zero in the centre."""
    from scipy.signal import convolve

    return np.asarray(convolve(kernel, kernel[::-1, ::-1], mode="full"))


def resize_centred(image: Array, shape: tuple[int, ...]) -> Array:
    """Crop or zero-pad a 2D array of odd shape about its centre."""
    out = np.zeros(shape)
    take = [min(a, b) // 2 for a, b in zip(image.shape, shape, strict=True)]
    src = tuple(slice(n // 2 - t, n // 2 + t + 1) for n, t in zip(image.shape, take, strict=True))
    dst = tuple(slice(n // 2 - t, n // 2 + t + 1) for n, t in zip(shape, take, strict=True))
    out[dst] = image[src]
    return out


def filtered_variance(acf: Array, kernel: Array) -> float:
    """Variance of unit noise with this ACF after correlation: ``sum(acf * autocorr(kernel))``.

    Parameters
    ----------
    acf : ndarray, shape (2h + 1, 2w + 1) or (k + 1,)
    kernel : ndarray
        2D of any shape for a 2D `acf`, else 1D; may be wider or narrower than the ACF.
    """
    if acf.ndim == 1:
        acf = np.concatenate([acf[:0:-1], acf])[None, :]
    taps = np.atleast_2d(np.asarray(kernel, dtype=np.float64))
    if acf.size == 1:  # white: thousands of kernels are asked for, and a transform of each costs most of it
        return float(acf.item() * np.sum(taps**2))
    return max(0.0, float(np.sum(resize_centred(autocorrelate(taps), acf.shape) * acf)))


def whitening_kernels(acf: Array, *, floor: float) -> tuple[Array, Array, Array]:
    """Kernels that take the correlation out of unit noise with this ACF, and put it back.

    The first has the transfer function ``1 / sqrt(P + floor max(P))`` with P the noise power spectrum, scaled so that
    the noise keeps unit variance; the second is its inverse. Where P is below the floor the noise stays as weak as it
    is: what is not known about its power there cannot be amplified.

    Parameters
    ----------
    acf : ndarray, shape (2h + 1, 2w + 1)
        Spatial ACF.
    floor : float
        Share of the largest power, > 0.

    Returns
    -------
    whiten, colour : ndarray of float64
        2D of odd shape, cut where they fall below 1e-4 and 1e-3 of their largest value: a longer second one brings
        nothing back more exactly.
    left : ndarray
        ACF of the noise after the first.
    """
    half = max(acf.shape) // 2
    power = _power(resize_centred(acf, (4 * half + 1, 4 * half + 1)))
    transfer = 1.0 / np.sqrt(power + floor * power.max())
    transfer /= np.sqrt(np.mean(power * transfer**2))
    return _cut(transfer, 1e-4), _cut(1.0 / transfer, 1e-3), _cut(power * transfer**2, 1e-3)


def _cut(transfer: Array, least: float) -> Array:
    """Impulse response of a real transfer function, cut where it stays below `least` of its largest value."""
    whole = np.fft.fftshift(np.fft.ifft2(transfer).real)
    centre = np.array(whole.shape) // 2
    far = np.abs(np.argwhere(np.abs(whole) > least * np.abs(whole).max()) - centre).max(axis=0)
    hy, hx = np.minimum(far, centre - 1)
    return np.ascontiguousarray(
        whole[centre[0] - hy : centre[0] + hy + 1, centre[1] - hx : centre[1] + hx + 1]
    )
