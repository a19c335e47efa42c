"""The 2D-1D transform in plain NumPy: slow, short, and what every fast kernel is tested against.

Source: Starck, Fadili & Murtagh (2007, IEEE TIP 16, 297) for the isotropic undecimated starlet; Starck et al.
(2009, A&A 504, 641) and Floer & Winkel (2012, PASA 29, 244) for its product with a 1D spectral transform.

Arrays are (channel, y, x); bands are (spatial scale, spectral scale, channel, y, x), coarse last. Borders are
mirrored about the first and last sample (scipy's ``"mirror"``), repeatedly where the filter is longer than
the axis. NaN spreads over every coefficient that looks at it: fill it before.

- ``forward(data, *, spatial_scales, spectral_scales, spectral="starlet") -> bands``
- ``synthesis(bands, *, spectral=) -> data``: ``synthesis(forward(x)) == x``
- ``adjoint(bands, *, spectral=) -> data``: the exact transpose of ``forward``, borders included
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.transforms.wavelets import Taps, tap_table, wavelet

Array = NDArray[Any]


def correlate(data: Array, taps: Taps, axis: int, step: int) -> Array:
    """Correlation along `axis` with `taps` spread by `step`, mirrored borders."""
    moved = np.moveaxis(data, axis, 0)
    table = tap_table(moved.shape[0], len(taps) // 2, step)
    result = np.zeros_like(moved)
    for t, weight in enumerate(taps.astype(data.dtype)):
        result += weight * moved[table[:, t]]
    return np.moveaxis(result, 0, axis)


def transpose(data: Array, taps: Taps, axis: int, step: int) -> Array:
    """The transpose of ``correlate`` with the same arguments."""
    moved = np.moveaxis(data, axis, 0)
    table = tap_table(moved.shape[0], len(taps) // 2, step)
    result = np.zeros_like(moved)
    for t, weight in enumerate(taps.astype(data.dtype)):
        np.add.at(result, table[:, t], weight * moved)
    return np.moveaxis(result, 0, axis)


def _smooth(plane: Array, step: int) -> Array:
    low = wavelet("starlet").low
    return correlate(correlate(plane, low, 1, step), low, 2, step)


def _smooth_transpose(plane: Array, step: int) -> Array:
    low = wavelet("starlet").low
    return transpose(transpose(plane, low, 2, step), low, 1, step)


def spatial_forward(data: Array, scales: int) -> list[Array]:
    """Starlet on (y, x): `scales` details, then the coarse one."""
    details, current = [], data
    for j in range(scales):
        smooth = _smooth(current, 2**j)
        details.append(current - smooth)
        current = smooth
    return [*details, current]


def spectral_forward(data: Array, scales: int, spectral: str = "starlet") -> list[Array]:
    """Undecimated 1D transform along channels: `scales` details, then the coarse one."""
    filters, details, current = wavelet(spectral), [], data
    for j in range(scales):
        details.append(correlate(current, filters.high, 0, 2**j))
        current = correlate(current, filters.low, 0, 2**j)
    return [*details, current]


def forward(data: Array, *, spatial_scales: int, spectral_scales: int, spectral: str = "starlet") -> Array:
    """Every sub-band.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        float32 or float64, finite.
    spatial_scales, spectral_scales : int
        Number of detail scales; 0 keeps that axis as it is.
    spectral : {"starlet", "biorthogonal"}
        Filters along channels.

    Returns
    -------
    ndarray, shape (spatial_scales + 1, spectral_scales + 1, channel, y, x)
        In the unit of the data.
    """
    rows = [spectral_forward(w, spectral_scales, spectral) for w in spatial_forward(data, spatial_scales)]
    return np.stack([np.stack(row) for row in rows])


def spectral_synthesis(bands: Array, spectral: str = "starlet") -> Array:
    """Inverse of ``spectral_forward``: bands (scale, channel, y, x) to (channel, y, x)."""
    filters, current = wavelet(spectral), bands[-1]
    for j in range(len(bands) - 2, -1, -1):
        smooth = correlate(current, filters.dual_low, 0, 2**j)
        current = smooth + correlate(bands[j], filters.dual_high, 0, 2**j)
    return np.asarray(current)


def synthesis(bands: Array, *, spectral: str = "starlet") -> Array:
    """The cube (channel, y, x) whose bands these are; a plain sum for the starlet."""
    return np.asarray(sum(spectral_synthesis(row, spectral) for row in bands))


def adjoint(bands: Array, *, spectral: str = "starlet") -> Array:
    """Transpose of ``forward``: ``<forward(x), b> == <x, adjoint(b)>``."""
    rows = [_spectral_adjoint(row, spectral) for row in bands]
    current = rows[-1]
    for j in range(len(rows) - 2, -1, -1):
        current = rows[j] + _smooth_transpose(current - rows[j], 2**j)
    return np.asarray(current)


def _spectral_adjoint(bands: Array, spectral: str) -> Array:
    filters, current = wavelet(spectral), bands[-1]
    for j in range(len(bands) - 2, -1, -1):
        high = transpose(bands[j], filters.high, 0, 2**j)
        current = transpose(current, filters.low, 0, 2**j) + high
    return np.asarray(current)
