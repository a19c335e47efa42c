"""The spectral axis: what it measures, in which convention and frame, and when it is a velocity.

Nothing is guessed: an AIPS ``VELO-LSR`` axis without VELREF is a velocity whose convention is not stated, a
wavelength axis called LINEAR is neither air nor vacuum, and without a rest value there are no velocities.
Conventions: Greisen et al. 2006, A&A 446, 747, table 1; AIPS names: its section 3.5 and table 9.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import constants
from astropy import units as u
from numpy.typing import NDArray

from denoise.cube.axes import axis_code
from denoise.cube.units import parse_unit
from denoise.errors import UsageError

C_KMS: float = float(constants.c.to_value(u.km / u.s))

_KINDS = {
    "FREQ": "frequency",
    "VRAD": "radio velocity",
    "VOPT": "optical velocity",
    "VELO": "relativistic velocity",
    "ZOPT": "redshift",
    "BETA": "relativistic velocity over c",
    "WAVE": "vacuum wavelength",
    "AWAV": "air wavelength",
    "WAVN": "wavenumber",
    "ENER": "energy",
}
_SI = {
    "FREQ": "Hz",
    "VRAD": "m/s",
    "VOPT": "m/s",
    "VELO": "m/s",
    "WAVE": "m",
    "AWAV": "m",
    "WAVN": "1/m",
    "ENER": "J",
}
_CONVENTION = {"VRAD": "radio", "VOPT": "optical", "VELO": "relativistic"}
_AIPS_FRAMES = {
    "LSR": "LSRK",
    "LSRK": "LSRK",
    "LSRD": "LSRD",
    "HEL": "HELIOCEN",
    "OBS": "TOPOCENT",
    "GEO": "GEOCENTR",
}
_VELREF_FRAMES = {
    1: "LSRK",
    2: "HELIOCEN",
    3: "TOPOCENT",
    4: "LSRD",
    5: "GEOCENTR",
    6: "SOURCE",
    7: "GALACTOC",
}


@dataclass(frozen=True)
class SpectralAxis:
    """A spectral axis in its own unit.

    Attributes
    ----------
    values : ndarray, shape (channel,)
        Channel centres in `unit`.
    unit : Unit or None
        None when the file does not say and the standard has no default.
    ctype : str
        CTYPE as in the file.
    kind : str
        Words: "radio velocity", "air wavelength", "wavelength (air or vacuum not stated)"...
    convention : {"radio", "optical", "relativistic", "unknown"} or None
        For velocity axes; None for others.
    frame : str or None
        SPECSYS, or the frame an AIPS suffix or VELREF names; None when not stated.
    frame_origin : str
        Which card said so.
    rest : float or None
        Rest frequency in Hz or rest wavelength in m.
    rest_kind : {"frequency", "wavelength", "air wavelength"} or None
        What `rest` is.
    """

    values: NDArray[np.float64]
    unit: u.UnitBase | None
    ctype: str
    kind: str
    convention: str | None = None
    frame: str | None = None
    frame_origin: str = ""
    rest: float | None = None
    rest_kind: str | None = None

    @property
    def is_velocity(self) -> bool:
        """Whether the axis itself is a velocity."""
        return self.unit is not None and bool(self.unit.is_equivalent(u.m / u.s))

    @property
    def step(self) -> float:
        """Median channel width in `unit`, with its sign; NaN for one channel."""
        return float(np.median(np.diff(self.values))) if self.values.size > 1 else float("nan")

    @property
    def label(self) -> str:
        """Axis label: kind, frame and unit, with what is not stated said so."""
        frame = self.frame or "frame not stated"
        unit = f"{self.unit}" if self.unit is not None else "unit not stated"
        return f"{self.kind}, {frame} [{unit}]"

    @property
    def velocity_label(self) -> str:
        """Label of `velocity()`, or of the native axis when there are no velocities."""
        convention = self.velocity_convention
        if convention is None:
            return self.label
        words = "velocity (convention not stated)" if convention == "unknown" else f"{convention} velocity"
        return f"{words}, {self.frame or 'frame not stated'} [km / s]"

    @property
    def velocity_convention(self) -> str | None:
        """Convention of `velocity()` by default, None when there are no velocities.

        A velocity axis keeps its own; a frequency axis gives radio, a wavelength axis optical velocities, and
        both need a rest value.
        """
        if self.is_velocity:
            return self.convention or "unknown"
        if self.rest is None or self._metres() is None:
            return None
        return "radio" if self.unit is not None and self.unit.is_equivalent(u.Hz) else "optical"

    def velocity(self, convention: str | None = None) -> NDArray[np.float64] | None:
        """Velocities of the channels in km/s, shape (channel,), or None when they would be a guess.

        Parameters
        ----------
        convention : {"radio", "optical", "relativistic"}, optional
            Default: `velocity_convention`. Radio ``c (1 - f/f0)``, optical ``c (f0/f - 1)``, relativistic
            ``c (f0^2 - f^2) / (f0^2 + f^2)``.
        """
        own = self.velocity_convention
        if own is None:
            return None
        if self.is_velocity:
            speeds = np.asarray(self.values * self.unit.to(u.km / u.s), dtype=np.float64)  # type: ignore[union-attr]
            if convention in (None, own):
                return speeds
            return None if own == "unknown" else _speed(_ratio(speeds, own), str(convention))
        metres = self._metres()
        rest = self._rest_metres()
        return None if metres is None or rest is None else _speed(rest / metres, convention or own)

    def _metres(self) -> NDArray[np.float64] | None:
        """Wavelength of each channel, in the axis's own medium (air for AWAV)."""
        if self.unit is None:
            return None
        for target in (u.m, u.Hz, u.J, 1 / u.m):
            if self.unit.is_equivalent(target):
                with np.errstate(divide="ignore"):
                    lengths = (self.values * self.unit).to(u.m, equivalencies=u.spectral()).value
                return np.asarray(lengths, dtype=np.float64)
        return None

    def _rest_metres(self) -> float | None:
        if self.rest is None:
            return None
        metres = float(constants.c.value) / self.rest if self.rest_kind == "frequency" else self.rest
        air_axis = self.kind == "air wavelength"
        if air_axis and self.rest_kind in ("frequency", "wavelength"):
            return metres / air_index(metres)
        return metres


def air_index(metres: float) -> float:
    """Refractive index of air (15 C) at a vacuum wavelength: Ciddor 1996, Appl. Opt. 35, 1566, eq. 1.

    Not eq. 65 of Greisen et al. 2006, which is for air at 0 C: 4.5 km/s away from line lists and pipelines.
    """
    inverse2 = (metres * 1e6) ** -2
    return 1.0 + 0.05792105 / (238.0185 - inverse2) + 0.00167917 / (57.362 - inverse2)


def _speed(ratio: NDArray[np.float64], convention: str) -> NDArray[np.float64]:
    """Velocity in km/s of a frequency ratio f/f0."""
    if convention == "radio":
        return C_KMS * (1.0 - ratio)
    if convention == "optical":
        return C_KMS * (1.0 / ratio - 1.0)
    if convention == "relativistic":
        return C_KMS * (1.0 - ratio**2) / (1.0 + ratio**2)
    raise UsageError(
        "unknown velocity convention", value=convention, action="use radio, optical or relativistic"
    )


def _ratio(speeds: NDArray[np.float64], convention: str) -> NDArray[np.float64]:
    beta = speeds / C_KMS
    if convention == "radio":
        return 1.0 - beta
    return 1.0 / (1.0 + beta) if convention == "optical" else np.sqrt((1.0 - beta) / (1.0 + beta))


def spectral_axis(
    header: Mapping[str, Any],
    *,
    number: int,
    size: int,
    values: NDArray[np.float64] | None = None,
    rest: Any = None,
) -> SpectralAxis | None:
    """Spectral axis of FITS axis `number` (from 1), or None when its cards say nothing.

    Parameters
    ----------
    values : ndarray, shape (channel,), optional
        Channel centres from a WCS, for axes that are not linear, in the unit of the axis.
    rest : str, Quantity or float, optional
        Rest frequency or wavelength of the user; wins over the header. A wavelength is in the axis's medium.
    """
    ctype = str(header.get(f"CTYPE{number}") or "").strip()
    if not ctype and f"CRVAL{number}" not in header:
        return None
    code = axis_code(ctype)
    unit = _axis_unit(header, number, code)
    centres = _centres(header, number, size, code=code, unit=unit) if values is None else values
    kind, convention = _kind(code, ctype, unit, int(_number(header.get("VELREF")) or 0))
    frame, origin = _frame(header, ctype)
    value, what = parse_rest(rest, air=kind == "air wavelength") if rest is not None else _header_rest(header)
    return SpectralAxis(centres, unit, ctype, kind, convention, frame, origin, value, what)


def _axis_unit(header: Mapping[str, Any], number: int, code: str) -> u.UnitBase | None:
    written = header.get(f"CUNIT{number}")
    if written is not None and str(written).strip():
        return parse_unit(str(written))
    standard = _SI.get(code)
    return None if standard is None else u.Unit(standard)


def _centres(
    header: Mapping[str, Any], number: int, size: int, *, code: str, unit: u.UnitBase | None
) -> NDArray[np.float64]:
    start, step, reference = _line(header, number)
    offset = np.arange(1, size + 1, dtype=np.float64) - reference
    if code != "FELO" or unit is None or not unit.is_equivalent(u.m / u.s):
        return np.asarray(start + step * offset)
    # AIPS FELO: optical velocity, channels of equal frequency, CDELT holds at CRPIX; f/f0 = 1 / (1 + v/c),
    # whatever the rest frequency f0 is
    c = float(constants.c.to_value(unit))
    ratio = 1.0 / (1.0 + start / c)
    return np.asarray(c * (1.0 / (ratio - ratio**2 * step / c * offset) - 1.0))


def _line(header: Mapping[str, Any], number: int) -> tuple[float, float, float]:
    """CRVAL, step and CRPIX of an axis, with the defaults of the standard."""
    step = _number(header.get(f"CD{number}_{number}"))
    if step is None:
        diagonal = _number(header.get(f"PC{number}_{number}"))
        width = _number(header.get(f"CDELT{number}"))
        step = (1.0 if width is None else width) * (1.0 if diagonal is None else diagonal)
    start, reference = _number(header.get(f"CRVAL{number}")), _number(header.get(f"CRPIX{number}"))
    # the standard's default for CRPIX is 0, but a header without it counts from its first channel
    return start or 0.0, step, 1.0 if reference is None else reference


def _kind(code: str, ctype: str, unit: u.UnitBase | None, velref: int) -> tuple[str, str | None]:
    aips = "-" in ctype and ctype.upper().split("-")[-1] in _AIPS_FRAMES
    if code == "FELO":
        return "optical velocity on channels of equal frequency", "optical"
    if code in ("VELO", "VELOCITY") and (aips or velref or code == "VELOCITY"):
        if velref > 0 and code == "VELO":
            convention = "radio" if velref > 256 else "optical"
            return f"{convention} velocity", convention
        return "velocity (convention not stated)", "unknown"
    if code in _KINDS:
        return _KINDS[code], _CONVENTION.get(code)
    return _kind_of_unit(ctype, unit)


def _kind_of_unit(ctype: str, unit: u.UnitBase | None) -> tuple[str, str | None]:
    if ctype.upper().startswith(("LAMBDA", "WAVELENG")) or (unit is not None and unit.is_equivalent(u.m)):
        return "wavelength (air or vacuum not stated)", None
    if unit is not None and unit.is_equivalent(u.m / u.s):
        return "velocity (convention not stated)", "unknown"
    if unit is not None and unit.is_equivalent(u.Hz):
        return "frequency", None
    return ctype or "channel", None


def _frame(header: Mapping[str, Any], ctype: str) -> tuple[str | None, str]:
    written = str(header.get("SPECSYS") or "").strip()
    if written:
        return written, "SPECSYS"
    suffix = ctype.upper().split("-")[-1] if "-" in ctype else ""
    if suffix in _AIPS_FRAMES:
        return _AIPS_FRAMES[suffix], f"CTYPE {ctype}"
    velref = int(_number(header.get("VELREF")) or 0) % 256
    if velref in _VELREF_FRAMES:
        return _VELREF_FRAMES[velref], "VELREF"
    return None, ""


def _header_rest(header: Mapping[str, Any]) -> tuple[float | None, str | None]:
    for card in ("RESTFRQ", "RESTFREQ"):
        value = _number(header.get(card))
        if value is not None and value > 0:
            return value, "frequency"
    value = _number(header.get("RESTWAV"))
    return (value, "wavelength") if value is not None and value > 0 else (None, None)


def parse_rest(rest: Any, *, air: bool = False) -> tuple[float, str]:
    """Rest value of the user as (Hz, "frequency") or (m, "wavelength" or "air wavelength").

    Raises
    ------
    UsageError
        No unit, not positive, or not a frequency or a wavelength.
    """
    try:
        quantity = u.Quantity(rest)
    except (TypeError, ValueError):
        quantity = u.Quantity(math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for unit, kind in ((u.Hz, "frequency"), (u.m, "air wavelength" if air else "wavelength")):
            if quantity.unit.is_equivalent(unit) and np.isfinite(quantity.value) and quantity.value > 0:
                return float(quantity.to_value(unit)), kind
    raise UsageError(
        "the rest value is not understood", value=rest, action='use "115.2712 GHz" or "6562.8 Angstrom"'
    )


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return None
