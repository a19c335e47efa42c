"""How close a denoised cube is to the truth: errors, flux, peak. Definitions of the published protocol.

Source: Lahiry et al. 2026, arXiv:2602.10893. Arrays are (channel, y, x) in one unit; masks may be (y, x) and
then hold for all channels. Voxels that are not finite in one of the arrays are left out. A number that the
data do not define (an empty mask, no flux, a background of zeros) is None, never infinite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError

Array = NDArray[Any]
Mask = NDArray[np.bool_]

MAD_TO_SIGMA = 1.482602218505602


def rmse(estimate: Array, truth: Array, mask: Mask | None = None) -> float | None:
    """Root mean square of ``estimate - truth`` in the mask, in the unit of the data.

    Parameters
    ----------
    estimate, truth : ndarray, shape (channel, y, x)
        One unit; voxels that are not finite in one of them are left out.
    mask : ndarray of bool, optional
        (channel, y, x), or (y, x) for all channels; None: every voxel.

    Returns
    -------
    float or None
        None where no voxel is left.

    Raises
    ------
    ParameterError
        The shapes differ.
    """
    use = usable(mask, estimate, truth)
    difference = estimate[use].astype(np.float64) - truth[use]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else None


def rmse_ratio(truth: Array, noisy: Array, denoised: Array, mask: Mask | None = None) -> float | None:
    """``RMSE(denoised - truth) / RMSE(noisy - truth)`` in the mask; 1 is what the input had.

    Parameters
    ----------
    truth, noisy, denoised : ndarray, shape (channel, y, x)
        One unit; voxels that are not finite in one of them are left out of both.
    mask : ndarray of bool, optional
        (channel, y, x), or (y, x) for all channels; None: every voxel.

    Returns
    -------
    float or None
        None where no voxel is left, or the input has no error.

    Raises
    ------
    ParameterError
        The shapes differ.
    """
    use = usable(mask, truth, noisy, denoised)
    return _ratio(rmse(denoised, truth, use), rmse(noisy, truth, use))


def flux_percent(truth: Array, denoised: Array, mask: Mask | None = None) -> float | None:
    """``100 sum(denoised) / sum(truth)`` in the mask, with its sign.

    Parameters
    ----------
    truth, denoised : ndarray, shape (channel, y, x)
        One unit; voxels that are not finite in one of them are left out.
    mask : ndarray of bool, optional
        (channel, y, x), or (y, x) for all channels; None: every voxel.

    Returns
    -------
    float or None
        None where the truth sums to zero.

    Raises
    ------
    ParameterError
        The shapes differ.
    """
    use = usable(mask, truth, denoised)
    ratio = _ratio(float(denoised[use].sum(dtype=np.float64)), float(truth[use].sum(dtype=np.float64)))
    return None if ratio is None else 100.0 * ratio


def peak_kept(truth: Array, denoised: Array) -> float | None:
    """``max(denoised) / max(truth)``, cubes (channel, y, x) in one unit: the peaks need not be the same voxel.

    What is not finite is left out; None where nothing is left, or the truth's peak is 0.
    """
    return _ratio(_largest(denoised), _largest(truth))


def peak_voxel_kept(truth: Array, denoised: Array) -> float | None:
    """Value of the denoised cube at the truth's brightest voxel, over the truth there.

    Cubes (channel, y, x) in one unit. None where one of them is not finite there, or the truth is zero.
    """
    if not np.isfinite(truth).any():
        return None
    brightest = np.unravel_index(np.nanargmax(truth), truth.shape)
    value = float(denoised[brightest])
    return _ratio(value, float(truth[brightest])) if np.isfinite(value) else None


def bright_mean_kept(truth: Array, denoised: Array, *, fraction: float = 0.5) -> float | None:
    """Mean of the denoised cube over the truth's, where the truth is above this fraction of its peak.

    Cubes (channel, y, x) in one unit; voxels that are not finite in one of them are left out. None where the truth has
    no positive peak.
    """
    peak = _largest(truth)
    if peak is None or peak <= 0:
        return None
    use = usable(truth > fraction * peak, truth, denoised)
    return _ratio(float(denoised[use].sum(dtype=np.float64)), float(truth[use].sum(dtype=np.float64)))


def mad_sigma(data: Array, mask: Mask | None = None) -> float | None:
    """1.4826 times the median absolute deviation from the median, in the unit of the data (channel, y, x).

    1 sigma of Gaussian noise, hardly moved by emission that fills a small share. Voxels that are not finite, or not in
    the mask, are left out; None where none is left.
    """
    values = data[usable(mask, data)]
    if not values.size:
        return None
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def mad_gain(noisy: Array, denoised: Array, background: Mask | None = None) -> float | None:
    """MAD of the background before over after; None where the method left zeros (infinite, so undefined).

    Cubes (channel, y, x) in one unit; each is measured where it is finite.
    """
    return _ratio(mad_sigma(noisy, background), mad_sigma(denoised, background))


def snr_gain(
    noisy: Array,
    denoised: Array,
    *,
    sigma: Array | float | None = None,
    uncertainty: Array | None = None,
    background: Mask | None = None,
) -> float | None:
    """Peak over noise after, divided by peak over noise before.

    Parameters
    ----------
    noisy, denoised : ndarray, shape (channel, y, x)
        Input and output, same unit; NaN is left out.
    sigma, uncertainty : optional
        1-sigma of the input and of the output, broadcastable to the cube: each is read at that cube's peak.
        With one of them missing, the MAD of the background stands for both, and zeros make it None.
    background : ndarray of bool, optional
        Voxels free of emission, for the MAD.
    """
    before, after = _largest(noisy), _largest(denoised)
    if before is None or after is None:
        return None
    if sigma is None or uncertainty is None:
        gain = mad_gain(noisy, denoised, background)
        peaks = _ratio(after, before)
        return None if gain is None or peaks is None else peaks * gain
    return _ratio(_snr_at_peak(denoised, uncertainty), _snr_at_peak(noisy, sigma))


def _snr_at_peak(data: Array, sigma: Array | float) -> float | None:
    peak = np.unravel_index(np.nanargmax(data), data.shape)
    return _ratio(float(data[peak]), float(np.broadcast_to(np.asarray(sigma), data.shape)[peak]))


def _largest(data: Array) -> float | None:
    finite = data[np.isfinite(data)]
    return float(finite.max()) if finite.size else None


def usable(mask: Mask | None, *arrays: Array) -> Mask:
    """Mask (channel, y, x): inside ``mask``, which may be (y, x), and finite in every array.

    Raises
    ------
    ParameterError
        The shapes differ.
    """
    shape = arrays[0].shape
    if any(array.shape != shape for array in arrays):
        raise ParameterError(
            "cubes to compare must have one shape",
            value=[array.shape for array in arrays],
            action="cut or regrid them to the same pixels first",
        )
    if mask is None:
        use = np.ones(shape, bool)
    elif mask.shape in (shape, shape[1:]):
        use = np.broadcast_to(mask, shape).copy()
    else:
        raise ParameterError(
            "a mask must be (y, x) or (channel, y, x) like the cube",
            value=mask.shape,
            action="give one that covers the pixels of the cube",
        )
    for array in arrays:
        use &= np.isfinite(array)
    return use


def _ratio(above: float | None, below: float | None) -> float | None:
    if above is None or below is None or below == 0 or not np.isfinite(below):
        return None
    return above / below
