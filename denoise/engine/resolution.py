"""How sharp a result is whose method smooths by a fixed kernel: the input's beam with that kernel, for the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from denoise.cube import Cube

CARD = "EFFRES"


@dataclass(frozen=True)
class Resolution:
    """What a fixed kernel of unit sum leaves of the input's resolution.

    Attributes
    ----------
    kernel : tuple of float
        FWHM along (channel, y, x), in channels and pixels; 0: none.
    fwhm : tuple of float or None
        Major and minor FWHM of the result in arcseconds, of the median beam where there is one for each channel; None
        where the input's beam or the size of its pixels is not known, or where nothing is smoothed on the sky.
    per_beam : bool
        Whether the unit is per beam: it stays per beam of the input.
    """

    kernel: tuple[float, float, float]
    fwhm: tuple[float, float] | None
    per_beam: bool = False

    def cards(self) -> dict[str, Any]:
        """``EFFRES``: geometric mean of the FWHM, arcseconds; nothing where it is not known."""
        if self.fwhm is None:
            return {}
        return {CARD: (round(float(np.sqrt(np.prod(self.fwhm))), 6), "[arcsec] FWHM after smoothing")}

    def history(self) -> list[str]:
        """The same in words, and the kernel."""
        channel, y, x = self.kernel
        lines = []
        if y or x:
            known = "its resolution is not known" if self.fwhm is None else self._stated()
            lines.append(f"Smoothed by a Gaussian of FWHM {y:.3g} x {x:.3g} pixels (y, x); {known}.")
        if channel:
            lines.append(f"Smoothed along the spectral axis by a Gaussian of FWHM {channel:.3g} channels.")
        return lines

    def _stated(self) -> str:
        major, minor = self.fwhm or (np.nan, np.nan)
        unit = ", the unit stays per input beam" if self.per_beam else ""
        return f"effective resolution {major:.4g} x {minor:.4g} arcsec{unit}"


def resolution_of(cube: Cube, kernel: tuple[float, float, float] | None) -> Resolution | None:
    """The resolution of a result.

    Parameters
    ----------
    cube : Cube
        The input. Where its header has ``EFFRES`` that is its resolution, and not its beam.
    kernel : tuple of float or None
        FWHM along (channel, y, x) of the kernel, in channels and pixels.

    Returns
    -------
    Resolution or None
        None without a kernel.
    """
    if kernel is None or not any(kernel):
        return None
    scale, beam = cube.pixel_scale, _resolution_before(cube)
    fwhm = None
    if scale is not None and beam is not None and (kernel[1] or kernel[2]):
        major, minor = smoothed_beam(beam, kernel[1:])
        fwhm = major * scale, minor * scale
    return Resolution(kernel, fwhm, "beam" in cube.unit_text)


def _resolution_before(cube: Cube) -> tuple[float, float, float] | None:
    """(major, minor, pa) of the input: FWHM in pixels, degrees."""
    header, scale = cube.header, cube.pixel_scale
    known = None if header is None else header.get(CARD)
    if scale is not None and isinstance(known, int | float) and known > 0:
        return known / scale, known / scale, 0.0
    return None if cube.beams is None else cube.beams.pixels


def smoothed_beam(beam: tuple[float, float, float], kernel: tuple[float, float]) -> tuple[float, float]:
    """Major and minor FWHM of a Gaussian beam after a Gaussian kernel along y and x: covariances add.

    Parameters
    ----------
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
    kernel : tuple of float
        FWHM along (y, x) in pixels.
    """
    angle = np.deg2rad(beam[2])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    squared = axes @ np.diag(np.square(beam[:2])) @ axes.T + np.diag(np.square(kernel))
    minor, major = np.sqrt(np.linalg.eigvalsh(squared))
    return float(major), float(minor)
