"""Measure autocorrelations of what is noise, with a mask, and make them valid models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.noise import covariance
from denoise.noise.seams import NONE, Seams

Array = NDArray[np.float64]
_FLOOR = 0.02  # an ACF below this is not followed further
_TOGETHER = 1 << 18  # pixels of planes that are transformed together


def spatial_sums(block: NDArray[Any], half: int, seams: Seams = NONE) -> tuple[Array, Array]:
    """Sums of products and numbers of pairs at lags (y, x) up to `half`, over all planes; NaN pairs, and those
    across a seam, do not count.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        Zero-mean noise.
    half : int
        Largest lag, in pixels.
    seams : Seams, optional
        Of the block.

    Returns
    -------
    products, pairs : ndarray, shape (2h + 1, 2w + 1)
        h, w at most the size of a plane less one.
    """
    shape = (block.shape[1], block.shape[2])
    if not seams:
        return _sums(block, half)
    sums = [_sums(block[:, rows, columns], half) for rows, columns in seams.pieces(shape)]
    size = tuple(2 * min(half, n - 1) + 1 for n in shape)
    products, pairs = (np.sum([covariance.resize_centred(s[k], size) for s in sums], axis=0) for k in (0, 1))
    return products, pairs


def _sums(block: NDArray[Any], half: int) -> tuple[Array, Array]:
    """The same without seams."""
    from scipy import fft

    ny, nx = block.shape[1:]
    hy, hx = min(half, ny - 1), min(half, nx - 1)
    size = (int(fft.next_fast_len(ny + hy, real=True)), int(fft.next_fast_len(nx + hx, real=True)))
    power, cover = np.zeros((size[0], size[1] // 2 + 1)), np.zeros((size[0], size[1] // 2 + 1))
    whole = 0
    for planes in np.array_split(block, -(-block.shape[0] * size[0] * size[1] // _TOGETHER)):
        good = np.isfinite(planes)
        power += _power(np.where(good, planes, np.float32(0)), size)
        full = good.all(axis=(1, 2))
        some = good[~full & good.any(axis=(1, 2))]
        whole += int(full.sum())
        if len(some):
            cover += _power(some.astype(np.float32), size)
    rows, columns = np.arange(-hy, hy + 1), np.arange(-hx, hx + 1)
    products, pairs = (fft.irfft2(a, s=size)[np.ix_(rows, columns)] for a in (power, cover))
    pairs += whole * np.outer(ny - np.abs(rows), nx - np.abs(columns))
    return np.asarray(products), np.asarray(np.maximum(pairs.round(), 0.0))


def _power(planes: NDArray[np.float32], size: tuple[int, int]) -> Array:
    """Power spectra added over planes; single precision is good to 1e-6 of the largest."""
    from scipy import fft

    spectrum = fft.rfft2(planes, s=size)
    parts = (np.einsum("cyx,cyx->yx", p, p, dtype=np.float64) for p in (spectrum.real, spectrum.imag))
    return np.asarray(sum(parts))


def spectral_sums(block: NDArray[Any], lags: int) -> tuple[Array, Array]:
    """Sums of products and numbers of pairs at lags 0 to `lags` channels; NaN pairs do not count."""
    products, pairs = np.zeros(lags + 1), np.zeros(lags + 1)
    good = np.isfinite(block)
    filled = np.where(good, block, np.float32(0))
    for lag in range(min(lags, block.shape[0] - 1) + 1):
        stop = block.shape[0] - lag
        products[lag] = np.einsum("cyx,cyx->", filled[:stop], filled[lag:], dtype=np.float64)
        pairs[lag] = np.count_nonzero(good[:stop] & good[lag:])
    return products, pairs


def normalised(products: Array, pairs: Array, *, fewest: float = 30.0) -> Array:
    """ACF from sums: mean product at each lag over the mean square; zero where there are too few pairs."""
    enough = pairs >= fewest
    mean = np.where(enough, products / np.maximum(pairs, 1.0), 0.0)
    zero = tuple(n // 2 for n in mean.shape) if mean.ndim == 2 else (0,)
    return np.asarray(mean / mean[zero]) if mean[zero] > 0 else np.zeros_like(mean)


def spatial_model(acf: Array, independent: float) -> Array:
    """Valid ACF from a measured one: followed until it is below .02 or the sampling error, then brought to
    zero.

    Parameters
    ----------
    acf : ndarray, shape (2h + 1, 2w + 1)
        Measured.
    independent : float
        Number of independent samples behind it.
    """
    floor = max(_FLOOR, 2.0 / np.sqrt(max(independent, 1.0)))
    end = _extent(acf, floor)
    if end == 0:
        return np.ones((1, 1))
    wide = covariance.crop_acf(acf, max(end + 2, int(np.ceil(1.45 * end))))
    return covariance.valid_acf(covariance.taper_acf(wide, start=min(0.9, end / (max(wide.shape) // 2 + 1))))


def _extent(acf: Array, floor: float) -> int:
    """First radius, in pixels, from which the ACF averaged over rings stays below the floor for two rings."""
    cy, cx = (n // 2 for n in acf.shape)
    y, x = np.mgrid[-cy : cy + 1, -cx : cx + 1]
    radius = np.hypot(y, x).round().astype(int).ravel()
    size = np.abs(acf).ravel()
    rings = np.bincount(radius, np.square(size)) / np.bincount(radius)
    above = np.sqrt(rings[: max(cy, cx) + 1]) > floor
    quiet = np.nonzero(~above[:-1] & ~above[1:])[0]
    return int(quiet[0]) - 1 if quiet.size else max(cy, cx)


def spectral_model(acf: Array, independent: float) -> Array:
    """Valid spectral ACF from a measured one: cut at the first lag below .02 or twice the sampling error."""
    floor = max(_FLOOR, 2.0 / np.sqrt(max(independent, 1.0)))
    small = np.nonzero(np.abs(acf) < floor)[0]
    kept = acf[: int(small[0])] if small.size else acf
    if kept.size <= 1:
        return np.ones(1)
    ramp = np.ones(kept.size)
    if not small.size:  # still correlated at the last lag: bring it to zero
        ramp = np.cos(0.5 * np.pi * np.clip(np.arange(kept.size) / kept.size - 0.5, 0, 0.5) * 2) ** 2
    return covariance.valid_acf(kept * ramp)


def independent_samples(count: float, spatial_acf: Array, spectral_acf: Array) -> float:
    """Independent squares among `count` correlated values: ``N / (sum rho_xy^2 * sum rho_c^2)``."""
    spectral = 2.0 * float(np.sum(spectral_acf**2)) - 1.0
    return count / (float(np.sum(spatial_acf**2)) * spectral)
