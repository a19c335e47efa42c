"""Units, axis labels and numbers as the report prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSTATED = "unit not stated"
_FAST = 3e4  # km/s; faster than a tenth of light, a velocity axis says less than the frequency


@dataclass(frozen=True)
class SpectralLabel:
    """The spectral axis as the report shows it.

    Attributes
    ----------
    values : ndarray, shape (channel,)
        Coordinate of each channel in `unit`, scaled for reading (km/s rather than m/s).
    width : ndarray, shape (channel,)
        Width of each channel in `unit`, positive.
    unit : str
        Unit text; "channel" where the file does not say.
    text : str
        Full axis label: quantity, convention, frame and unit.
    short : str
        Name of the quantity alone.
    red_grows : bool
        Whether larger values recede (velocity, wavelength) or not (frequency).
    """

    values: NDArray[np.float64]
    width: NDArray[np.float64]
    unit: str
    text: str
    short: str
    red_grows: bool


@dataclass(frozen=True)
class ApertureUnit:
    """How the voxels of an aperture become one number: multiply their sum, or average them.

    Attributes
    ----------
    factor : float
        What the sum over the aperture is multiplied by (ignored for a mean).
    mean : bool
        Average instead of sum.
    unit : str
        Unit of the result.
    name : str
        What it is: "flux density in the aperture", "mean brightness in the aperture".
    """

    factor: float
    mean: bool
    unit: str
    name: str


def unit_text(unit: Any, text: str | None = None) -> str:
    """A unit for people, from an astropy unit; the file's own `text` where astropy does not know it."""
    if unit is None:
        return (text or "").strip() or UNSTATED
    from astropy import units as u

    unit = u.Unit(unit)
    if unit == u.dimensionless_unscaled:
        return "no unit"
    return str(unit.to_string("unicode", fraction=False)).replace("✕", "×")


def spectral_label(axis: Any, nchan: int) -> SpectralLabel:
    """The spectral axis of a cube (a ``SpectralAxis`` or None) for plotting.

    Velocities where the axis is one, or where the file states a rest value and they stay below a tenth of
    light; native units otherwise. Convention and frame are what the file states, and what it does not state
    is said so.
    """
    if axis is None:
        return SpectralLabel(
            np.arange(nchan, dtype=float), np.ones(nchan), "channel", "Channel", "channel", True
        )
    speeds = axis.velocity()
    if speeds is not None and (axis.is_velocity or np.nanmedian(np.abs(speeds)) < _FAST):
        values, unit, label = np.asarray(speeds, float), "km/s", str(axis.velocity_label)
    else:
        (values, unit), label = _readable(np.asarray(axis.values, float), axis.unit), str(axis.label)
    words = label.rsplit(" [", maxsplit=1)[0]
    width = np.abs(np.gradient(values)) if nchan > 1 else np.ones(1)
    short = words.rsplit(",", maxsplit=1)[0]
    red = unit not in ("GHz", "MHz", "Hz", "kHz")
    return SpectralLabel(values, width, unit, f"{words[0].upper()}{words[1:]} ({unit})", short, red)


def _readable(values: NDArray[np.float64], unit: Any) -> tuple[NDArray[np.float64], str]:
    if unit is None:
        return values, UNSTATED
    from astropy import units as u

    unit = u.Unit(unit)
    middle = float(np.nanmedian(np.abs(values * unit.to(unit.decompose(bases=u.si.bases)))))
    for target in _targets(unit, middle, u):
        if unit.is_equivalent(target):
            return values * unit.to(target), str(target.to_string("unicode", fraction=True))
    return values, str(unit.to_string("unicode", fraction=True))


def _targets(unit: Any, middle: float, u: Any) -> tuple[Any, ...]:
    """Units that read well: km/s; GHz or MHz; Å in the optical, µm in the infrared, mm for radio."""
    length = u.AA if middle < 1e-6 else u.um if middle < 1e-4 else u.mm
    return u.km / u.s, (u.GHz if middle > 3e9 else u.MHz), length


def moment0_unit(intensity: str, label: SpectralLabel, *, image: bool) -> str:
    """Unit of the sum over channels of intensity times channel width."""
    if image:
        return intensity
    return f"{'(' + intensity + ')' if ' ' in intensity else intensity} × {label.unit}"


def aperture_unit(cube: Any) -> ApertureUnit:
    """What a spectrum in an aperture is in: Jy for Jy/beam with a known beam, the sum for fluxes, else the
    mean.

    Brightness temperatures and unknown units are averaged; a flux per beam without a beam cannot become a
    flux and is averaged too; per-area surface brightness is summed times the pixel area.
    """
    text = unit_text(cube.unit, cube.unit_text)
    mean = ApertureUnit(1.0, True, text, "Mean in the aperture")
    if cube.unit is None:
        return mean
    from astropy import units as u

    unit = u.Unit(cube.unit)
    powers = {getattr(b, "name", ""): p for b, p in zip(unit.bases, unit.powers, strict=True)}
    if powers.get("beam") == -1:
        area = _beam_area(cube)
        flux = unit_text(unit * u.beam)
        return mean if area is None else ApertureUnit(1 / area, False, flux, "Flux density in the aperture")
    area_unit = next((b for b, p in zip(unit.bases, unit.powers, strict=True) if _is_area(b, p, u)), None)
    if area_unit is not None:
        if cube.pixel_scale is None:
            return mean
        area = float(
            ((float(cube.pixel_scale) * u.arcsec) ** 2).to_value(
                area_unit**2 if _is_angle(area_unit, u) else area_unit
            )
        )
        flux = unit_text(unit * (area_unit**2 if _is_angle(area_unit, u) else area_unit))
        return ApertureUnit(area, False, flux, "Flux density in the aperture")
    if _is_flux(unit, u):
        return ApertureUnit(1.0, False, text, "Flux in the aperture (sum of pixels)")
    return mean


def _is_angle(unit: Any, u: Any) -> bool:
    return bool(unit.is_equivalent(u.rad))


def _is_area(unit: Any, power: Any, u: Any) -> bool:
    """Whether ``unit ** power`` is one over a solid angle."""
    return bool(
        (power == -2 and _is_angle(unit, u))
        or (power == -1 and unit.is_equivalent(u.sr) and not _is_angle(unit, u))
    )


def _is_flux(unit: Any, u: Any) -> bool:
    known = (
        u.Jy,
        u.W / u.m**2,
        u.W / u.m**3,
        u.ph / u.s / u.cm**2,
        u.ph / u.s / u.cm**2 / u.AA,
        u.electron,
        u.adu,
        u.ct,
    )
    return any(unit.is_equivalent(k) or unit.is_equivalent(k / u.s) for k in known)


def _beam_area(cube: Any) -> float | None:
    """Area of the median beam in pixels: pi / (4 ln 2) x major x minor."""
    if cube.beams is None:
        return None
    major, minor, _ = cube.beams.pixels
    area = float(np.pi / (4 * np.log(2)) * major * minor)
    return area if np.isfinite(area) and area > 0 else None


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
    return f"{mantissa}×10{_superscript(int(exponent))}".replace("-", "−")


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{decimals}f}"


def _superscript(value: int) -> str:
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
