"""Units and axes of what is measured in a cube: spectral labels, fluxes in apertures, maps."""

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
    native : Unit or None
        Astropy unit of `values`; None where the file does not say.
    unit : str
        The same as text; "channel" without a spectral axis.
    text : str
        Full axis label: quantity, convention, frame and unit.
    short : str
        Name of the quantity alone.
    red_grows : bool
        Whether larger values recede (velocity, wavelength) or not (frequency).
    """

    values: NDArray[np.float64]
    width: NDArray[np.float64]
    native: Any
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
    native : Unit or None
        Astropy unit of the result; None where the data have none.
    unit : str
        The same as text.
    name : str
        What it is: "flux density in the aperture", "mean brightness in the aperture".
    """

    factor: float
    mean: bool
    native: Any
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
    return str(unit.to_string("unicode", fraction=False)).removeprefix("1×")


def spectral_label(axis: Any, nchan: int) -> SpectralLabel:
    """The spectral axis of a cube (a ``SpectralAxis`` or None) for plotting.

    Velocities where the axis is one, or where the file states a rest value and they stay below a tenth of
    light; native units otherwise. Convention and frame are what the file states, and what it does not state
    is said so.
    """
    if axis is None:
        channels = np.arange(nchan, dtype=float)
        return SpectralLabel(channels, np.ones(nchan), None, "channel", "Channel", "channel", True)
    from astropy import units as u

    speeds = axis.velocity()
    if speeds is not None and (axis.is_velocity or np.nanmedian(np.abs(speeds)) < _FAST):
        values, native, label = np.asarray(speeds, float), u.km / u.s, str(axis.velocity_label)
    else:
        (values, native), label = _readable(np.asarray(axis.values, float), axis.unit), str(axis.label)
    unit = (
        UNSTATED if native is None else str(native.to_string("unicode", fraction="inline")).replace(" ", "")
    )
    words = label.rsplit(" [", maxsplit=1)[0]
    width = np.abs(np.gradient(values)) if nchan > 1 else np.ones(1)
    short = words.rsplit(",", maxsplit=1)[0]
    red = native is None or not native.is_equivalent(u.Hz)
    text = f"{words[0].upper()}{words[1:]} ({unit})"
    return SpectralLabel(values, width, native, unit, text, short, red)


def _readable(values: NDArray[np.float64], unit: Any) -> tuple[NDArray[np.float64], Any]:
    """Values in a unit that reads well: km/s, GHz or MHz, Å, µm or mm; others as they are."""
    if unit is None:
        return values, None
    from astropy import units as u

    unit = u.Unit(unit)
    middle = float(np.nanmedian(np.abs(values)))
    scales = {
        u.m / u.s: (u.km / u.s, u.km / u.s, 0.0),
        u.Hz: (u.MHz, u.GHz, 3e9),
        u.m: (u.AA, u.um if middle * (unit.to(u.m) if unit.is_equivalent(u.m) else 1) < 1e-4 else u.mm, 1e-6),
    }
    for base, (small, large, limit) in scales.items():
        if unit.is_equivalent(base):
            target = small if middle * unit.to(base) < limit else large
            return values * unit.to(target), target
    return values, unit


def moment0_unit(unit: Any, text: str, label: SpectralLabel, *, image: bool) -> str:
    """Unit of the sum over channels of intensity (`unit`; `text` if that is None) times channel width."""
    if image:
        return text
    if unit is not None and label.native is not None:
        from astropy import units as u

        # by custom last: Jy beam⁻¹ km s⁻¹; a flux per Å times Å loses its Å
        density = any(base.is_equivalent(label.native) for base in u.Unit(unit).bases)
        return unit_text(unit * label.native) if density else f"{text} {unit_text(label.native)}"
    intensity = "data unit" if text == UNSTATED else text
    width = "spectral unit (not stated)" if label.unit == UNSTATED else label.unit
    return f"{intensity} × {width}"


def aperture_unit(cube: Any) -> ApertureUnit:
    """What a spectrum in an aperture is in.

    Flux per beam becomes a flux where the beam is known; surface brightness per solid angle is summed times
    the pixel's; fluxes per pixel are summed; brightness temperatures, unknown units, and fluxes per beam
    without a beam are averaged.
    """
    mean = mean_unit(cube, "Mean in the aperture")
    if cube.unit is None:
        return mean
    from astropy import units as u

    unit = u.Unit(cube.unit)
    parts = dict(zip((str(b) for b in unit.bases), unit.powers, strict=True))
    if parts.get("beam") == -1:
        area = _beam_area(cube)
        return mean if area is None else _summed(1 / area, unit * u.beam, "Flux density in the aperture")
    for name, angle in (("arcsec", u.arcsec**2), ("arcmin", u.arcmin**2), ("deg", u.deg**2), ("sr", u.sr)):
        if name in parts and _is_flux(unit * angle, u):
            side = cube.pixel_scale
            area = None if side is None else float(((side * u.arcsec) ** 2).to_value(angle))
            return mean if area is None else _summed(area, unit * angle, "Flux density in the aperture")
    return _summed(1.0, unit, "Flux in the aperture (sum of pixels)") if _is_flux(unit, u) else mean


def mean_unit(cube: Any, name: str) -> ApertureUnit:
    """The average of the voxels, in the unit of the data."""
    return ApertureUnit(1.0, True, cube.unit, unit_text(cube.unit, cube.unit_text), name)


def _summed(factor: float, unit: Any, name: str) -> ApertureUnit:
    return ApertureUnit(factor, False, unit, unit_text(unit), name)


def _is_flux(unit: Any, u: Any) -> bool:
    """Whether a unit adds up over pixels: fluxes, flux densities, counts, and their rates."""
    area = u.s * u.cm**2
    known = (u.Jy, u.W / u.m**2, u.W / u.m**3, u.ph / area, u.ph / area / u.AA, u.electron, u.adu, u.ct)
    return any(unit.is_equivalent(k) or unit.is_equivalent(k / u.s) for k in known)


def _beam_area(cube: Any) -> float | None:
    """Area of the median beam in pixels: pi / (4 ln 2) x major x minor."""
    if cube.beams is None:
        return None
    major, minor, _ = cube.beams.pixels
    area = float(np.pi / (4 * np.log(2)) * major * minor)
    return area if np.isfinite(area) and area > 0 else None
