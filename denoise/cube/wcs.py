"""World coordinates of odd headers: clean what the standard does not know, never change what it does."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from denoise.cube.axes import AxisMap, axis_code
from denoise.cube.units import parse_unit

_ARCSEC = 3600.0


def make_wcs(header: fits.Header) -> WCS | None:
    """WCS of a whole header, or None where there is none or it cannot be understood.

    Units in capitals are translated and a CTYPE that stops the parser (``FREQ-OHEL``) loses its suffix, in a
    copy: the cards of the file stay as they are. Lookup-table distortions are left out.
    """
    if not any(str(k).startswith(("CRVAL", "CRPIX", "CTYPE")) for k in header):
        return None
    for clean in (_translate_units, _simplify_types):
        copy = clean(header)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return WCS(copy, naxis=None)
        except Exception as error:  # noqa: BLE001 - wcslib raises many kinds; the last resort is no WCS
            if clean is _simplify_types and not isinstance(error, (KeyboardInterrupt, SystemExit)):
                return None
    return None


def _translate_units(header: fits.Header) -> fits.Header:
    out = _wcs_cards(header)
    for key in [k for k in out if str(k).startswith("CUNIT")]:
        unit = parse_unit(str(out[key]))
        out[key] = "" if unit is None else unit.to_string("fits")
    return out


def _simplify_types(header: fits.Header) -> fits.Header:
    out = _translate_units(header)
    for key in [k for k in out if str(k).startswith("CTYPE")]:
        code = axis_code(out[key])
        if "-" in str(out[key]) and len(str(out[key]).replace("-", " ").split()[-1]) > 3:
            out[key] = code
    return out


def _wcs_cards(header: fits.Header) -> fits.Header:
    out = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for card in header.cards:
            key = str(card.keyword)
            if key in ("", "HISTORY", "COMMENT", "END") or key.startswith(
                ("CPDIS", "CQDIS", "D2IMDIS", "DP", "DQ", "D2IM")
            ):
                continue
            try:
                out[key] = card.value
            except (ValueError, fits.VerifyError):
                continue
    return out


def celestial_matrix(wcs: WCS | None, axes: AxisMap) -> NDArray[np.float64] | None:
    """Matrix (2, 2) from pixels (x, y) to degrees (east, north) at the reference point; None if unknown."""
    if wcs is None or axes.x is None or axes.y is None:
        return None
    n = len(axes.file_shape)
    if wcs.naxis < max(n - axes.x, n - axes.y):
        return None
    lon, lat = wcs.wcs.lng, wcs.wcs.lat
    if (lon, lat) != (n - 1 - axes.x, n - 1 - axes.y):
        return None
    full = wcs.pixel_scale_matrix
    matrix = np.array(full[np.ix_([lon, lat], [lon, lat])], dtype=np.float64)
    for row, axis in enumerate((lon, lat)):
        unit = wcs.wcs.cunit[axis]
        matrix[row] *= unit.to("deg") if str(unit) else 1.0
    return matrix if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 0 else None


def pixel_arcsec(matrix: NDArray[np.float64] | None) -> float | None:
    """Side of a square of the pixel's area, in arcseconds."""
    return None if matrix is None else float(np.sqrt(abs(np.linalg.det(matrix))) * _ARCSEC)


def spectral_values(wcs: WCS | None, axes: AxisMap, header: Any) -> NDArray[np.float64] | None:
    """Channel centres of a non-linear spectral axis (``WAVE-LOG``, ``VOPT-F2W``, ``FELO-HEL``), else None.

    In the unit that wcslib gives, converted back to the CUNIT of the file.
    """
    if wcs is None or axes.channel is None:
        return None
    number = len(axes.file_shape) - axes.channel
    ctype = str(header.get(f"CTYPE{number}") or "").upper()
    algorithm = ctype[5:8] if len(ctype) >= 8 else ""
    if algorithm not in {"LOG", "TAB", "GRI", "GRA"} and not (len(algorithm) == 3 and algorithm[1] == "2"):
        return None
    if wcs.wcs.spec != number - 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = wcs.sub(["spectral"])
        pixels = np.arange(axes.shape[0], dtype=np.float64)
        values = np.asarray(part.all_pix2world(pixels[:, None], 0), dtype=np.float64)[:, 0]
    written = parse_unit(str(header.get(f"CUNIT{number}") or ""))
    native = part.wcs.cunit[0]
    return values * native.to(written) if written is not None and str(native) else values


def pixels_apart(one: WCS | None, two: WCS | None, file_shape: tuple[int, ...]) -> float:
    """How far apart, in pixels of `two`, the corners of two arrays of this shape (NumPy order) lie.

    0 where either has no coordinates; infinite where they have not the same axes, or no corner is on both.
    """
    if one is None or two is None:
        return 0.0
    if one.naxis != two.naxis or list(one.wcs.ctype) != list(two.wcs.ctype):
        return float("inf")
    corners = np.array(list(product(*((0, n - 1) for n in file_shape[::-1]))), np.float64)[:, : one.naxis]
    there = two.wcs_world2pix(one.wcs_pix2world(corners, 0), 0)
    away = np.abs(there - corners)
    return float(np.nanmax(away)) if np.isfinite(away).any() else float("inf")
