"""Is the science kept: moments, spectrum, faint sources, resolution. Arrays are (channel, y, x) in one unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.apertures import emission_mask
from denoise.metrics.moments import integrated_spectrum, moment_maps

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Beam = tuple[float, float, float]

FIDELITY_KEYS = (
    "moment0_error",
    "moment1_error",
    "moment2_error",
    "spectrum_error",
    "completeness",
    "beam_broadening",
)
FOUND = 0.5  # share of a source's flux that counts as found
_FWHM = math.sqrt(8 * math.log(2))
_BLUR = np.linspace(0.0, 1.0, 21)  # of the FWHM of the beam, tried


class SourceWindow(NamedTuple):
    """Where one source is: centre (channel, y, x), half width in channels, radius in pixels."""

    centre: tuple[float, float, float]
    channels: float
    radius: float

    def mask(self, shape: tuple[int, int, int]) -> Mask:
        """Voxels of the source: a cylinder."""
        c, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
        sky = (y - self.centre[1]) ** 2 + (x - self.centre[2]) ** 2 <= self.radius**2
        return np.asarray(sky & (np.abs(c - self.centre[0]) <= self.channels))


def fidelity(
    truth: Array, denoised: Array, *, aperture: Mask, blurred: Array, sources: Sequence[SourceWindow] = ()
) -> dict[str, float | None]:
    """Every number of this module, by the names of ``FIDELITY_KEYS``; None where it is undefined.

    Parameters
    ----------
    truth, denoised : ndarray, shape (channel, y, x)
    aperture : ndarray of bool, shape (y, x)
    blurred : ndarray
        See `blurred_moments`: of the truth, so that it is worked out once for many outputs.
    sources : sequence of SourceWindow
        Sources of which some may be lost; none: completeness is undefined.
    """
    moments = moment_errors(truth, denoised)
    return {
        "moment0_error": moments[0],
        "moment1_error": moments[1],
        "moment2_error": moments[2],
        "spectrum_error": spectrum_error(truth, denoised, aperture),
        "completeness": completeness(truth, denoised, sources),
        "beam_broadening": beam_broadening(truth, denoised, blurred),
    }


def moment_errors(truth: Array, denoised: Array) -> tuple[float | None, float | None, float | None]:
    """Errors of moment 0 (relative), 1 and 2 (channels), where the truth's moment 0 exceeds a tenth of its peak.

    Moment 0: RMS difference over the truth's RMS there. Moments 1 and 2: median absolute difference weighted by the
    truth's moment 0 (a pixel with hardly any flux can have any moment 1); pixels where the output has no flux do
    not count. All within the truth's emission (above 5 % of its peak), so that noise outside does not count.
    """
    emission = emission_mask(truth)
    if not emission.any():
        return None, None, None
    true, found = moment_maps(truth, mask=emission), moment_maps(denoised, mask=emission)
    bright = np.nan_to_num(true.moment0) > 0.1 * np.nanmax(true.moment0)
    difference = np.nan_to_num(found.moment0 - true.moment0)[bright]
    level = math.sqrt(float(np.mean(true.moment0[bright] ** 2)))
    zeroth = math.sqrt(float(np.mean(difference**2))) / level
    others = [
        _weighted_median(np.abs(a - b), true.moment0, bright)
        for a, b in ((found.moment1, true.moment1), (found.moment2, true.moment2))
    ]
    return zeroth, others[0], others[1]


def _weighted_median(size: Array, weight: Array, where: Mask) -> float | None:
    use = where & np.isfinite(size)
    if not use.any():
        return None
    order = np.argsort(size[use])
    share = np.cumsum(weight[use][order])
    return float(size[use][order][int(np.searchsorted(share, 0.5 * share[-1]))])


def spectrum_error(truth: Array, denoised: Array, aperture: Mask) -> float | None:
    """RMS difference of the integrated spectra over the peak of the true one, after both are scaled to sum 1.

    The shape alone: the flux is another number. Cubes (channel, y, x), aperture (y, x); NaN counts as zero. None where
    either has no positive flux.
    """
    spectra = [np.nan_to_num(integrated_spectrum(cube, aperture)) for cube in (truth, denoised)]
    sums = [float(s.sum()) for s in spectra]
    if not min(sums) > 0:
        return None
    true, found = (s / total for s, total in zip(spectra, sums, strict=True))
    return math.sqrt(float(np.mean((found - true) ** 2))) / float(true.max())


def completeness(truth: Array, denoised: Array, sources: Sequence[SourceWindow]) -> float | None:
    """Share of the sources of which the output holds at least half the flux, each in its own window.

    Cubes (channel, y, x) in one unit; NaN in the output counts as no flux. None where no source has any.
    """
    found = []
    for source in sources:
        mask = source.mask(truth.shape)
        flux = float(truth[mask].sum(dtype=np.float64))
        if flux > 0:
            found.append(float(np.nansum(denoised[mask], dtype=np.float64)) >= FOUND * flux)
    return float(np.mean(found)) if found else None


def blurred_moments(truth: Array, beam: Beam) -> NDArray[np.float64]:
    """Moment 0 within the truth's emission of the truth blurred by ever wider circular Gaussians.

    Parameters
    ----------
    truth : ndarray, shape (channel, y, x)
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees; the widest blur has its mean FWHM.

    Returns
    -------
    ndarray, float64, shape (blur, y, x)
        Not blurred first.
    """
    from scipy.ndimage import gaussian_filter

    emission = emission_mask(truth)
    lit = emission.any(axis=(1, 2))
    planes, inside = truth[lit], emission[lit]
    widths = _BLUR * math.sqrt(beam[0] * beam[1]) / _FWHM
    return np.stack(
        [
            np.where(inside, gaussian_filter(planes, (0, w, w)) if w else planes, 0.0).sum(
                axis=0, dtype=np.float64
            )
            for w in widths
        ]
    )


def beam_broadening(truth: Array, denoised: Array, blurred: Array) -> float | None:
    """FWHM of the output's effective beam over that of the input, 1 or more.

    The circular Gaussian is found that, put on the truth's moment 0, fits the output's best, with a free factor:
    ``sqrt(1 + (blur / beam)^2)`` with FWHM each. Up to a blur of one beam; both moments within the truth's emission.

    Parameters
    ----------
    truth, denoised : ndarray, shape (channel, y, x)
    blurred : ndarray, shape (blur, y, x)
        Of the truth, see `blurred_moments`.
    """
    emission = emission_mask(truth)
    output = np.where(emission, np.nan_to_num(denoised), 0.0).sum(axis=0, dtype=np.float64)
    if not output.any():
        return None
    power = (output**2).sum()
    misfits = [1.0 - float((one * output).sum()) ** 2 / float((one**2).sum() * power) for one in blurred]
    return math.sqrt(1.0 + _lowest(_BLUR, np.array(misfits)) ** 2)


def _lowest(at: Array, values: Array) -> float:
    """Where the parabola through the least value and its neighbours is lowest."""
    k = int(np.argmin(values))
    if k in (0, len(values) - 1):
        return float(at[k])
    left, here, right = (float(v) for v in values[k - 1 : k + 2])
    return float(at[k] + 0.5 * (at[1] - at[0]) * (left - right) / (left - 2 * here + right))
