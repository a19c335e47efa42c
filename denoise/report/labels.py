"""Numbers as the report prints them; units and axes are those of `denoise.check.quantities`."""

from __future__ import annotations

from typing import Any

import numpy as np

from denoise.check.quantities import (
    UNSTATED,
    ApertureUnit,
    SpectralLabel,
    aperture_unit,
    mean_unit,
    moment0_unit,
    spectral_label,
    unit_text,
)

__all__ = [
    "UNSTATED",
    "ApertureUnit",
    "SpectralLabel",
    "aperture_unit",
    "mean_unit",
    "moment0_unit",
    "number",
    "power_of_ten",
    "size_text",
    "spectral_label",
    "unit_text",
    "with_unit",
]


def size_text(shape: tuple[int, int, int]) -> str:
    """A shape (channel, y, x) in words: "96 × 64 pixels, 40 channels"; an image without its channel."""
    nchan, ny, nx = shape
    return f"{nx:,} × {ny:,} pixels" + ("" if nchan == 1 else f", {nchan:,} channels")


def with_unit(value: str, unit: str) -> str:
    """A number, already text, with its unit: "3 Jy", "3 × 10⁻²⁰ erg", "3 (unit not stated)"."""
    if unit == UNSTATED:
        return f"{value} ({UNSTATED})"
    if unit == "no unit":
        return value
    return f"{value} × {unit}" if unit.startswith("10") else f"{value} {unit}"


def number(value: Any, digits: int = 3) -> str:
    """A value as a person would write it: `digits` significant digits, words for None and NaN."""
    if value is None:
        return "undefined"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    return _decimal(float(value), digits) if isinstance(value, (float, np.floating)) else str(value)


def _decimal(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return "undefined"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return _plain(value, digits).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}×{power_of_ten(int(exponent))}".replace("-", "−")


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{decimals}f}"


def power_of_ten(exponent: int) -> str:
    """Ten with a raised exponent, as text."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
