"""The rows of the table: what is measured in the aperture and in the full field, and the lines fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from denoise.metrics import Measurement
from denoise.report.labels import number, power_of_ten, unit_text
from napari_denoise.inspect.linefit import LineFit
from napari_denoise.inspect.measure import Measured

_UNKNOWN = "–"
Value = float | Measurement | None


class NumberRow(NamedTuple):
    """One quantity: its value (with its error, where one is known) before and after; None: undefined.

    Attributes
    ----------
    name, unit : str
        "" for numbers without a unit.
    before, after : float, Measurement or None
        As measured.
    note : str
        What it is, or why it is missing.
    """

    name: str
    unit: str
    before: Value
    after: Value
    note: str = ""

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def cells(self) -> tuple[str, str]:
        """The two values as text."""
        return text(self.before), text(self.after)


def text(value: Value) -> str:
    """A value as the table shows it, its error with as many decimals."""
    if value is None:
        return _UNKNOWN
    if not isinstance(value, Measurement):
        return number(value) if np.isfinite(value) else _UNKNOWN
    if not np.isfinite(value.value):
        return _UNKNOWN
    return with_error(value) if np.isfinite(value.error) else number(value.value)


def with_error(value: Measurement) -> str:
    """As text, such as "1.234 ± 0.012": the error with two significant digits."""
    size = max(abs(value.value), abs(value.error))
    if size == 0 or not np.isfinite(size):
        return f"{number(value.value)} ± {number(value.error)}"
    power = 0 if 1e-2 <= size < 1e5 else int(np.floor(np.log10(size)))
    best, error = value.value / 10.0**power, abs(value.error) / 10.0**power
    digits = 2 if error == 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    shown = f"{best:.{digits}f} ± {error:.{digits}f}".replace("-", "−")
    return f"({shown})×{power_of_ten(power)}" if power else shown


def number_rows(measured: Measured, channels: slice) -> list[NumberRow]:
    """Rows of an aperture: flux over a range of channels, the rest over all channels."""
    pair, found = measured.pair, measured.numbers
    flux = measured.fluxes(channels)
    unit = unit_text(pair.before.unit, pair.before.unit_text)
    name = "Mean" if pair.unit.mean else "Flux"
    weak = "; the input is below 3σ: this is a ratio of noise" if flux.weak else ""
    rows = [
        NumberRow(name, pair.flux_unit, flux.before, flux.after, _flux_note(measured)),
        NumberRow(f"{name} ratio", "", None, flux.ratio, f"denoised / input{weak}"),
        NumberRow("Noise", unit, *found.noise, _noise_note(measured)),
        NumberRow("Peak SNR", "", *found.peak_snr, "brightest voxel over the noise there"),
        NumberRow("SNR gain", "", None, found.gain, "peak SNR after / before; – where exact zeros are left"),
    ]
    return rows if pair.after is not None else [rows[0], *rows[2:4]]


def fit_rows(measured: Measured, fits: tuple[LineFit | None, LineFit | None]) -> list[NumberRow]:
    """Rows of the lines fitted before and after."""
    pair = measured.pair
    axis = pair.spectral.unit
    units = {"centre": axis, "fwhm": axis, "flux": pair.flux_unit}
    names = {"centre": "Centre", "fwhm": "FWHM", "flux": "Line flux"}
    before, after = ({key: None if fit is None else getattr(fit, key) for key in names} for fit in fits)
    note = "Gaussian on a constant; errors from the noise of the input, for both"
    return [NumberRow(names[key], units[key], before[key], after[key], note) for key in names]


def _flux_note(measured: Measured) -> str:
    pair = measured.pair
    how = "mean over the aperture" if pair.unit.mean else "sum over the aperture"
    channels = "" if pair.before.is_image else ", over the selected channels"
    error = (
        "; that of the input stands for both: a denoised sum is not surer" if pair.after is not None else ""
    )
    return f"{how}{channels}; the error holds all correlations of the noise{error}"


def _noise_note(measured: Measured) -> str:
    pair = measured.pair
    model = "of the noise model" if pair.noise is not None else "robust spread"
    if pair.after is None:
        return f"1σ of a voxel, {model}"
    after = "median error" if pair.error is not None else "robust spread outside the emission found"
    return f"1σ of a voxel: {model}; denoised: {after} (0: exact zeros are left)"
