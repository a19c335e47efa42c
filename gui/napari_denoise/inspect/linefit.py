"""A Gaussian line on a constant, fitted with the errors of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.metrics import Measurement

Floats = NDArray[np.float64]
TO_FWHM = float(np.sqrt(8 * np.log(2)))
REQUIRED = 20.0  # gain in chi squared over a constant: noise alone passes in less than 1 % of spectra of 100 channels
_FEWEST = 6  # channels: two more than there are parameters
_DENSE = 600  # channels up to which the covariance is solved
_WIDTHS = (1, 2, 3, 5, 8, 12, 18, 27, 40)


@dataclass(frozen=True, eq=False)
class LineFit:
    """A line, each number with its 1-sigma error.

    Attributes
    ----------
    centre, fwhm : Measurement
        In the unit of the spectral axis.
    flux : Measurement
        Area under the Gaussian, unit of the spectrum times that of the axis; negative: absorption.
    level : Measurement
        The constant, unit of the spectrum.
    chi2 : float
        Reduced chi squared.
    gain : float
        By how much chi squared falls below that of a constant alone.
    """

    centre: Measurement
    fwhm: Measurement
    flux: Measurement
    level: Measurement
    chi2: float
    gain: float

    def curve(self, x: Floats) -> Floats:
        """The line at coordinates `x`, unit of the spectrum."""
        sigma = self.fwhm.value / TO_FWHM
        shape = np.exp(-0.5 * ((x - self.centre.value) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        return np.asarray(self.level.value + self.flux.value * shape)


def fit_line(x: Floats, y: Floats, error: Floats, *, spectral_acf: Floats | None = None) -> LineFit | str:
    """Fit ``level + flux * Gaussian``, averaged over the width of each channel.

    Parameters
    ----------
    x : ndarray, shape (channel,)
        Centre of each channel, monotonic.
    y, error : ndarray, shape (channel,)
        Spectrum and its 1-sigma noise, same unit; channels that are not finite or have no error take no part.
    spectral_acf : ndarray, optional
        Correlation of the noise along the channels, 1 at lag 0.

    Returns
    -------
    LineFit or str
        The line, or in words why there is none.
    """
    use = np.isfinite(x) & np.isfinite(y) & np.isfinite(error) & (error > 0)
    if np.count_nonzero(use) < _FEWEST:
        return (
            f"no line fit: it needs {_FEWEST} channels with data and noise, here are {np.count_nonzero(use)}"
        )
    return _Problem(x, y, error, use, np.ones(1) if spectral_acf is None else spectral_acf).solve()


class _Problem:
    """The fit in channels and units of the typical error: fluxes of 1e-20 and frequencies of 1e11 alike."""

    def __init__(self, x: Floats, y: Floats, error: Floats, use: NDArray[np.bool_], acf: Floats) -> None:
        self.unit = float(np.median(error[use]))
        self.step = float(np.median(np.abs(np.diff(x))))
        self.middle = float(x[use].mean())
        self.x = (x[use] - self.middle) / self.step
        self.half = 0.5 * np.abs(np.gradient(x))[use] / self.step
        self.y, self.error = y[use] / self.unit, error[use] / self.unit
        self.covariance = _covariance(np.flatnonzero(use), self.error, acf)

    def solve(self) -> LineFit | str:
        start, flat = self._start(), self._constant_chi2()
        try:
            with np.errstate(all="ignore"):
                best, spread = _quietly(self._model, self.x, self.y, start, self.covariance)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return "no line to fit: the fit did not settle"
        chi2 = self._chi2(self.y - self._model(self.x, *best))
        return self._judged(best, np.sqrt(np.diag(spread)), chi2, flat - chi2)

    def _model(self, x: Floats, centre: float, sigma: float, flux: float, level: float) -> Floats:
        from scipy.special import ndtr

        sigma = max(abs(sigma), 1e-3)
        below, above = (x - self.half - centre) / sigma, (x + self.half - centre) / sigma
        return np.asarray(level + flux * (ndtr(above) - ndtr(below)) / (2 * self.half))

    def _start(self) -> tuple[float, float, float, float]:
        """The box of channels that stands out most, over all widths."""
        level = float(np.median(self.y))
        best = (0.0, float(self.x[0]), 1.0, 1.0)
        for width in (w for w in _WIDTHS if w <= max(1, self.x.size // 2)):
            box = np.ones(width)
            sums = np.convolve(self.y - level, box, mode="valid")
            noise = np.sqrt(np.convolve(self.error**2, box, mode="valid"))
            place = int(np.argmax(np.abs(sums / noise)))
            strength = float(abs(sums[place] / noise[place]))
            if strength > best[0]:
                middle = float(self.x[place : place + width].mean())
                best = strength, middle, max(width / TO_FWHM, 0.4), float(sums[place])
        return best[1], best[2], best[3], level

    def _constant_chi2(self) -> float:
        weight = self._weighted(np.ones(self.y.size))
        return self._chi2(self.y - float(weight @ self.y) / float(weight.sum()))

    def _chi2(self, residual: Floats) -> float:
        return float(residual @ self._weighted(residual))

    def _weighted(self, values: Floats) -> Floats:
        if self.covariance.ndim == 1:
            return np.asarray(values / self.covariance**2)
        return np.asarray(np.linalg.solve(self.covariance, values))

    def _judged(self, best: Floats, errors: Floats, chi2: float, gain: float) -> LineFit | str:
        centre, sigma, flux, level = (float(v) for v in best)
        sigma = max(abs(sigma), 1e-3)
        if not (gain >= REQUIRED and np.isfinite(errors).all()):
            return f"no line to fit: the best one stands out by {np.sqrt(max(gain, 0)):.1f}σ only"
        if not self.x.min() - 0.5 <= centre <= self.x.max() + 0.5:
            return "no line to fit: the best one lies outside the selected channels"
        if sigma * TO_FWHM > np.ptp(self.x) + 1:
            return "no line to fit: the best one is wider than the selected channels"
        axis, area = self.step, self.unit * self.step
        return LineFit(
            Measurement(self.middle + centre * axis, errors[0] * axis),
            Measurement(sigma * TO_FWHM * axis, errors[1] * TO_FWHM * axis),
            Measurement(flux * area, errors[2] * area),
            Measurement(level * self.unit, errors[3] * self.unit),
            chi2 / max(1, self.x.size - 4),
            gain,
        )


def _quietly(model: Any, x: Floats, y: Floats, start: Any, covariance: Floats) -> Any:
    """The fit; a covariance that cannot be had comes back infinite, without scipy's warning."""
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        return curve_fit(model, x, y, start, sigma=covariance, absolute_sigma=True, maxfev=2000)


def _covariance(channels: NDArray[np.intp], error: Floats, acf: Floats) -> Floats:
    """Errors of the channels (1D), or their covariance (2D) where their noise is correlated.

    Of many channels, errors that a line wider than the correlation has from the full covariance.
    """
    if acf.size == 1:
        return error
    if channels.size <= _DENSE:
        lag = np.abs(channels[:, None] - channels[None, :])
        full = np.where(lag < acf.size, acf[np.minimum(lag, acf.size - 1)], 0.0) * np.outer(error, error)
        if np.linalg.eigvalsh(full)[0] > 1e-6 * np.square(error).min():
            return np.asarray(full)
    return np.asarray(error * np.sqrt(max(1.0 + 2.0 * float(acf[1:].sum()), 0.1)))
