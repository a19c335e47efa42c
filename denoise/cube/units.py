"""Units as files spell them. What is ambiguous stays unknown: a unit is never guessed."""

from __future__ import annotations

import re
import warnings
from typing import Any

from astropy import units as u

# Tokens seen in real headers that no unit format of astropy accepts, and their one possible meaning.
_TOKENS = {
    "JY": "Jy",
    "BEAM": "beam",
    "PIXEL": "pix",
    "DEGREE": "deg",
    "DEGREES": "deg",
    "DEG": "deg",
    "HZ": "Hz",
    "KHZ": "kHz",
    "GHZ": "GHz",
    "KELVIN": "K",
    "KELVINS": "K",
    "KM": "km",
    "M": "m",
    "S": "s",
    "SR": "sr",
    "ARCSEC": "arcsec",
    "ANGSTROM": "Angstrom",
    "ANGSTROMS": "Angstrom",
    "ELECTRONS": "electron",
    "ELECTRON": "electron",
    "COUNTS": "count",
    "DN": "adu",
    "MICRON": "um",
    "MICRONS": "um",
}
_FORMATS = ("fits", "generic", "cds", "ogip")


def parse_unit(text: str | None) -> u.UnitBase | None:
    """Unit written in a header, or None where it is missing or not understood.

    Upper-case spellings (``JY/BEAM``) are accepted where they have one meaning; ``MJY`` (milli or mega?) has
    two and gives None. ``A`` next to ``erg`` is read as Angstrom, not ampere.
    """
    if text is None or not str(text).strip():
        return None
    plain = _angstrom(str(text).strip())
    return _try(plain) or _try(_retoken(plain))


def _try(text: str) -> u.UnitBase | None:
    for name in _FORMATS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return u.Unit(text, format=name, parse_strict="raise")
            except (ValueError, TypeError, AttributeError):
                continue
    return None


def _retoken(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda m: _TOKENS.get(m.group().upper(), m.group()), text)


def _angstrom(text: str) -> str:
    if not re.search(r"\berg", text, flags=re.IGNORECASE):
        return text
    return re.sub(r"(?<![A-Za-z])A(?![A-Za-z])", "Angstrom", text)


def relation(companion: u.UnitBase | None, data: u.UnitBase | None) -> str:
    """How a companion's unit relates to the data's: "sigma", "variance", "weight" or "unknown"."""
    if companion is None or data is None:
        return "unknown"
    wanted: dict[str, Any] = {"sigma": data, "variance": data**2, "weight": data**-2}
    if data.decompose() == u.dimensionless_unscaled:
        return "unknown"
    for kind, unit in wanted.items():
        if companion.is_equivalent(unit):
            return kind if _same_scale(companion, unit) else "unknown"
    return "unknown"


def _same_scale(a: u.UnitBase, b: u.UnitBase) -> bool:
    return bool(abs(a.to(b) - 1.0) < 1e-6)
