"""Beams: one for the cube or one per plane, with the bad ones kept and named."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray

from denoise.errors import DenoiseWarning, UsageError

_NUMBER = r"[-+]?\d*\.?\d+(?:[eEdD][-+]?\d+)?"
_AIPS = re.compile(rf"BMAJ\s*=\s*({_NUMBER})\s+BMIN\s*=\s*({_NUMBER})\s+BPA\s*=\s*({_NUMBER})")


@dataclass(frozen=True)
class Beams:
    """Gaussian beams of a cube.

    Attributes
    ----------
    major, minor, pa : ndarray, shape (n,)
        FWHM and position angle (north to east) in degrees; n is 1 or the number of channels; NaN where bad.
        NaN throughout when the beam was given in pixels.
    pixels : tuple of float or None
        (major, minor, pa) of the median valid beam: FWHM in pixels, angle in degrees from +y towards -x. None
        when the pixel scale is not known.
    origin : str
        Where it was read.
    """

    major: NDArray[np.float64]
    minor: NDArray[np.float64]
    pa: NDArray[np.float64]
    pixels: tuple[float, float, float] | None = None
    origin: str = ""

    @property
    def per_plane(self) -> bool:
        """Whether there is one beam per plane."""
        return self.major.size > 1

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which planes have a usable beam."""
        return np.isfinite(self.major) & np.isfinite(self.minor)

    @property
    def median(self) -> tuple[float, float, float]:
        """Major and minor axis and position angle (degrees) of the valid beam whose area is the median."""
        rows = np.flatnonzero(self.valid)
        if rows.size == 0:
            return float("nan"), float("nan"), float("nan")
        area = self.major[rows] * self.minor[rows]
        row = rows[np.argsort(area, kind="stable")[(rows.size - 1) // 2]]
        return float(self.major[row]), float(self.minor[row]), float(self.pa[row])

    @property
    def spread(self) -> float:
        """Largest relative difference of a valid beam's area from the median's, 0 for one beam."""
        major, minor, _ = self.median
        area = (self.major * self.minor)[self.valid] / (major * minor) if self.valid.any() else np.ones(1)
        return float(np.max(np.abs(area - 1.0)))


def make_beams(
    major: Any, minor: Any, pa: Any, *, scale: NDArray[np.float64] | None, origin: str, where: str
) -> Beams | None:
    """Beams from degrees; bad ones (missing, zero, negative, not finite) become NaN and are reported.

    Parameters
    ----------
    major, minor, pa : array-like, shape (n,)
        Degrees.
    scale : ndarray, shape (2, 2), or None
        Matrix from pixels (x, y) to degrees (east, north).

    Returns
    -------
    Beams or None
        None if no beam is usable.
    """
    a, b, angle = (np.array(np.atleast_1d(v), dtype=np.float64) for v in (major, minor, pa))
    bad = ~(np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0))
    angle = np.where(np.isfinite(angle), angle, 0.0)
    if bad.any():
        _warn_bad(a, b, bad, where)
    a, b = np.where(bad, np.nan, np.maximum(a, b)), np.where(bad, np.nan, np.minimum(a, b))
    angle = np.where(bad, np.nan, angle)
    if bad.all():
        return None
    beams = Beams(a, b, angle, None, origin)
    pixels = None if scale is None else sky_to_pixels(beams.median, scale)
    return Beams(a, b, angle, pixels, origin)


def _warn_bad(
    major: NDArray[np.float64], minor: NDArray[np.float64], bad: NDArray[np.bool_], where: str
) -> None:
    rows = np.flatnonzero(bad)
    table = major.size > 1  # BEAMS tables are in arcseconds, headers in degrees
    which, factor, unit = (
        (f"of channels {ranges(rows)}", 3600, "arcsec") if table else ("in the header", 1, "deg")
    )
    seen = f"BMAJ={factor * major[rows[0]]:g} {unit}, BMIN={factor * minor[rows[0]]:g} {unit}"
    warnings.warn(
        f"{where}: the beam {which} is not usable (found: {seen}); it is taken as unknown there; "
        "give --beam if you know it",
        DenoiseWarning,
        stacklevel=3,
    )


def warn_missing(where: str, unit: str) -> None:
    """Say that data per beam come without a beam."""
    warnings.warn(
        f"{where}: the unit is {unit} but the file gives no beam; give --beam if you know it",
        DenoiseWarning,
        stacklevel=4,
    )


def ranges(channels: Iterable[int]) -> str:
    """Channel numbers as text, runs as 3-7."""
    parts: list[list[int]] = []
    for c in channels:
        if parts and c == parts[-1][1] + 1:
            parts[-1][1] = int(c)
        else:
            parts.append([int(c), int(c)])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def sky_to_pixels(beam: tuple[float, float, float], scale: NDArray[np.float64]) -> tuple[float, float, float]:
    """Ellipse (major, minor, pa) in degrees on the sky as an ellipse in pixels.

    The covariance is carried through the linear map, so pixels may be rotated, flipped or not square. The
    angle comes out in degrees from +y towards -x, in [0, 180).
    """
    major, minor, pa = beam
    angle = np.deg2rad(pa)
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([np.cos(angle), -np.sin(angle)])
    sky = major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)
    inverse = np.linalg.inv(scale)
    values, vectors = np.linalg.eigh(inverse @ sky @ inverse.T)
    x, y = vectors[:, 1]
    turned = float(np.rad2deg(np.arctan2(-x, y))) % 180.0
    return float(np.sqrt(values[1])), float(np.sqrt(values[0])), turned


def table_beams(table: Table, *, nchan: int, plane: int = 0) -> tuple[NDArray[np.float64], ...] | None:
    """(major, minor, pa) in degrees, shape (nchan,), of a CASA BEAMS table; NaN for channels not in it."""
    names = {str(n).upper(): n for n in table.colnames}
    if "BMAJ" not in names or "BMIN" not in names:
        return None
    rows = np.arange(len(table))
    if "POL" in names and len(np.unique(table[names["POL"]])) > 1:
        rows = rows[np.asarray(table[names["POL"]]) == plane]
    channel = np.asarray(table[names["CHAN"]])[rows] if "CHAN" in names else np.arange(rows.size)
    inside = (channel >= 0) & (channel < nchan)
    out = []
    for name, default in (("BMAJ", "deg"), ("BMIN", "deg"), ("BPA", "deg")):
        values = np.full(nchan, np.nan)
        if name in names:
            column = table[names[name]]
            unit = u.Unit(column.unit or default)
            values[channel[inside]] = np.asarray(column, dtype=np.float64)[rows][inside] * unit.to(u.deg)
        out.append(values)
    return tuple(out)


def history_beam(history: Sequence[str]) -> tuple[float, float, float] | None:
    """Last beam (degrees) that AIPS CLEAN wrote into HISTORY, or None."""
    found = [m for line in history if (m := _AIPS.search(str(line)))]
    if not found:
        return None
    a, b, pa = (float(v.upper().replace("D", "E")) for v in found[-1].groups())
    return a, b, pa


def parse_beam(beam: Any, *, scale: NDArray[np.float64] | None) -> Beams:
    """Beam given by the user.

    Parameters
    ----------
    beam : radio_beam.Beam, Beams, str, or sequence of one to three numbers or quantities
        (major, minor, pa). Plain numbers are FWHM in pixels and degrees; they are accepted only when there is
        no WCS. Text such as ``"0.3arcsec,0.2arcsec,30deg"`` or ``"5pix"``.

    Raises
    ------
    UsageError
        Not a beam, not positive, or numbers without a unit although there is a WCS.
    """
    if isinstance(beam, Beams):
        return beam
    if all(hasattr(beam, n) for n in ("major", "minor", "pa")):
        beam = (beam.major, beam.minor, beam.pa)
    if isinstance(beam, str):
        beam = [part for part in re.split(r"[,\s]+", beam.strip()) if part]
    parts = [beam] if np.isscalar(beam) or (isinstance(beam, u.Quantity) and beam.isscalar) else list(beam)
    try:
        values = [u.Quantity(p) for p in parts]
        return _given(values, scale)
    except (TypeError, ValueError, u.UnitConversionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            "the beam is not understood", value=beam, action='use "0.3arcsec,0.2arcsec,30deg"'
        ) from error


def _given(values: list[u.Quantity], scale: NDArray[np.float64] | None) -> Beams:
    if not 1 <= len(values) <= 3:
        raise UsageError(
            "the beam needs one to three numbers", value=len(values), action="give major,minor,pa"
        )
    major, minor = values[0], values[1] if len(values) > 1 else values[0]
    pa = values[2] if len(values) > 2 else 0 * u.deg
    angle = float(pa.value if pa.unit == u.dimensionless_unscaled else pa.to_value(u.deg))
    if not (np.isfinite(major.value) and np.isfinite(minor.value) and major.value > 0 and minor.value > 0):
        raise UsageError("the beam is not positive", value=f"{major}, {minor}", action="give FWHM above 0")
    if major.unit == u.dimensionless_unscaled and scale is not None:
        raise UsageError(
            "the beam needs a unit because the cube has a WCS",
            value=f"{major}, {minor}",
            action='use "0.3arcsec,0.2arcsec,30deg" or "5pix,4pix,30deg"',
        )
    if major.unit in (u.dimensionless_unscaled, u.pix):
        nan = np.full(1, np.nan)
        pixels = (max(major.value, minor.value), min(major.value, minor.value), angle)
        return Beams(nan, nan, nan, (float(pixels[0]), float(pixels[1]), angle), "given in pixels")
    a, b = major.to_value(u.deg), minor.to_value(u.deg)
    made = make_beams(max(a, b), min(a, b), angle, scale=scale, origin="given", where="--beam")
    if made is None:
        raise UsageError("the beam is not usable", value=f"{major}, {minor}", action="give FWHM above 0")
    return made
