"""Filters, sub-band layout, halos and impulse responses of the 2D-1D transform: what every backend agrees on.

Band (j2, j1) holds what spatial scale j2 and spectral scale j1 keep: ``0 <= j2 <= spatial_scales`` and
``0 <= j1 <= spectral_scales``, the last of each being the coarse (smoothest) one. Per-band numbers are
arrays of shape ``(spatial_scales + 1, spectral_scales + 1)``.

- ``default_scales(shape) -> (spatial, spectral)``; ``reference_scales(shape)`` is the published choice
- ``halo(spatial_scales, spectral_scales, spectral=) -> (channel, y, x)``
- ``band_kernels(...) -> (spatial, spectral)``: 2D and 1D impulse responses of every band, for
  ``NoiseModel.filtered_sigma``; ``smoothing_kernels`` the same for the scaling coefficients
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError

Taps = NDArray[np.float64]
B3 = np.array([1, 4, 6, 4, 1], np.float64) / 16


@dataclass(frozen=True, eq=False)
class Wavelet:
    """One level of an undecimated transform along one axis; all filters are odd-sized, symmetric and centred.

    Attributes
    ----------
    name : str
        ``"starlet"`` or ``"biorthogonal"``.
    low, high : ndarray
        Analysis filters; `low` has unit sum, so coarse coefficients are in the unit of the data.
    dual_low, dual_high : ndarray
        Synthesis filters: ``dual_low * low + dual_high * high = 1`` (perfect reconstruction).
    """

    name: str
    low: Taps
    high: Taps
    dual_low: Taps
    dual_high: Taps

    @property
    def reach(self) -> int:
        """Largest distance, in holes, at which any filter looks."""
        return max(len(taps) // 2 for taps in (self.low, self.high, self.dual_low, self.dual_high))


def _starlet() -> Wavelet:
    delta = np.array([0, 0, 1, 0, 0], np.float64)
    return Wavelet("starlet", B3, delta - B3, np.ones(1), np.ones(1))


def _biorthogonal() -> Wavelet:
    """The 7/9 filters of Cohen, Daubechies and Feauveau (1992), centred so that no axis flips are needed.

    With the high-pass filters taken as modulated duals, ``low dual_low + high dual_high = 1`` for every
    frequency, and symmetric filters keep the mirror symmetry of the borders: reconstruction is exact there
    too.
    """
    import pywt

    bank = pywt.Wavelet("bior4.4")
    low, dual = (_centred(np.asarray(taps)) / np.sqrt(2) for taps in (bank.dec_lo, bank.rec_lo))
    return Wavelet("biorthogonal", low, _modulated(dual), dual, _modulated(low))


def _centred(taps: Taps) -> Taps:
    """Without zero padding: the odd-sized symmetric core."""
    inside = np.flatnonzero(np.abs(taps) > 1e-12)
    core = taps[inside[0] : inside[-1] + 1]
    return np.asarray((core + core[::-1]) / 2, np.float64)


def _modulated(taps: Taps) -> Taps:
    centre = len(taps) // 2
    return np.asarray(taps * (-1.0) ** (np.arange(len(taps)) - centre), np.float64)


_WAVELETS: dict[str, Callable[[], Wavelet]] = {"starlet": _starlet, "biorthogonal": _biorthogonal}


@cache
def wavelet(name: str) -> Wavelet:
    """The spectral wavelet of this name.

    Raises
    ------
    ParameterError
        The name is not known.
    """
    if name not in _WAVELETS:
        known = ", ".join(_WAVELETS)
        raise ParameterError("unknown spectral wavelet", value=name, action=f"use one of: {known}")
    return _WAVELETS[name]()


def mirror_index(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices folded into ``0 <= i < size`` by repeated reflection about the end samples."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    folded = np.mod(index, period)
    return np.asarray(np.minimum(folded, period - folded), np.int64)


def tap_table(size: int, reach: int, step: int) -> NDArray[np.int64]:
    """Mirrored sample indices of every tap, shape (size, 2 * reach + 1)."""
    offsets = step * np.arange(-reach, reach + 1)
    return mirror_index(np.arange(size)[:, None] + offsets, size)


def default_scales(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Spatial and spectral scale counts for a cube (channel, y, x): at most 5 and 4, fewer on short axes.

    The coarsest smoothing, which spans ``4 * 2**(J - 1) + 1`` samples, stays shorter than the axis; an axis
    of one sample has no scales.
    """
    return min(5, _fitting(min(shape[1:]))), min(4, _fitting(shape[0]))


def _fitting(size: int) -> int:
    return max(0, int(np.log2(max(size - 1, 1) / 2)) if size > 2 else 0)


def reference_scales(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Scale counts of the published algorithm, coarse scale included: ``int(log2(ny))``, ``int(log2(nchan))``."""
    return int(np.log2(shape[1])), int(np.log2(shape[0]))


def halo(spatial_scales: int, spectral_scales: int, *, spectral: str = "starlet") -> tuple[int, int, int]:
    """How far (channel, y, x) the synthesis looks around itself when every coefficient is changed alone.

    Starlet: ``2 (2**J - 1)`` an axis, as the synthesis is a sum. Biorthogonal: the filters of analysis and of
    synthesis add up.
    """
    spatial = 2 * (2**spatial_scales - 1)
    filters = wavelet(spectral)
    per_level = 2 if spectral == "starlet" else 2 * filters.reach
    return per_level * (2**spectral_scales - 1), spatial, spatial


def band_kernels(
    spatial_scales: int, spectral_scales: int, *, spectral: str = "starlet"
) -> tuple[list[Taps], list[Taps]]:
    """Impulse responses of the bands: band (j2, j1) correlates data with ``spatial[j2]`` x ``spectral[j1]``.

    Returns
    -------
    spatial : list of ndarray, each (2 h + 1, 2 h + 1)
        One per spatial scale, coarse last.
    spectral : list of ndarray, each (2 h + 1,)
        One per spectral scale, coarse last.
    """
    lows = _cascade(wavelet("starlet").low, spatial_scales)
    planes = [np.outer(row, row) for row in lows]
    plane_bands = [_difference(a, b) for a, b in pairwise(planes)]
    filters = wavelet(spectral)
    smooth = _cascade(filters.low, spectral_scales)
    channel_bands = [np.convolve(smooth[j], _holes(filters.high, 2**j)) for j in range(spectral_scales)]
    return [*plane_bands, planes[-1]], [*channel_bands, smooth[-1]]


def smoothing_kernels(spatial_scales: int, spectral_scales: int) -> tuple[list[Taps], list[Taps]]:
    """Impulse responses of the B3 scaling coefficients ``c[j2, j1]``; index 0 is no smoothing (one tap)."""
    planes = [np.outer(row, row) for row in _cascade(B3, spatial_scales)]
    return planes, _cascade(B3, spectral_scales)


def _holes(taps: Taps, step: int) -> Taps:
    spread = np.zeros((len(taps) - 1) * step + 1)
    spread[::step] = taps
    return spread


def _cascade(low: Taps, scales: int) -> list[Taps]:
    """Impulse responses of the scaling coefficients at level 0 to `scales`."""
    levels = [np.ones(1)]
    for j in range(scales):
        levels.append(np.convolve(levels[-1], _holes(low, 2**j)))
    return levels


def _difference(fine: Taps, coarse: Taps) -> Taps:
    pad = (coarse.shape[0] - fine.shape[0]) // 2
    return np.asarray(np.pad(fine, pad) - coarse, np.float64)
