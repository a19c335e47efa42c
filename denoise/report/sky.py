"""Where a pixel lies on the sky: offsets from the centre of the field, east to the left and north up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ARCSEC = 3600.0
_UNITS = (("arcsec", 1.0, 600.0), ("arcmin", 60.0, 18000.0), ("deg", 3600.0, np.inf))
_NICE = (1.0, 2.0, 5.0, 10.0)
_AXES = {"RA": ("RA offset", "Dec offset"), "GLON": ("Galactic longitude offset", "Galactic latitude offset")}


@dataclass(frozen=True)
class SkyFrame:
    """A linear map from pixels to offsets on the sky about the centre of the field.

    Attributes
    ----------
    matrix : ndarray, shape (2, 2)
        Offset (towards increasing longitude, towards north) for one pixel along (x, y), in `unit`.
    centre : tuple of float
        The pixel (x, y) whose offset is zero.
    unit : str
        "arcsec", "arcmin", "deg" or "pixel".
    labels : tuple of str
        Names of the two axes, unit included.
    origin : str
        Where offset zero is on the sky, in words; empty without a celestial WCS.
    arcsec : float or None
        Arcseconds in one `unit`; None for pixels.
    """

    matrix: NDArray[np.float64]
    centre: tuple[float, float]
    unit: str
    labels: tuple[str, str]
    origin: str
    arcsec: float | None

    @property
    def on_sky(self) -> bool:
        """Whether the offsets are angles on the sky."""
        return self.arcsec is not None

    def offsets(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offsets of the pixel coordinates `x`, `y` (arrays that broadcast)."""
        dx, dy = np.asarray(x, float) - self.centre[0], np.asarray(y, float) - self.centre[1]
        (a, b), (c, d) = self.matrix
        return a * dx + b * dy, c * dx + d * dy

    def limits(
        self, extent: tuple[float, float, float, float]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Axis limits that hold the pixels (x0, x1, y0, y1); longitude runs from left to right downwards."""
        x, y = self.offsets(np.array([extent[0], extent[1]] * 2), np.repeat(extent[2:], 2))
        xlim, ylim = (float(x.min()), float(x.max())), (float(y.min()), float(y.max()))
        return (xlim[::-1] if self.on_sky else xlim), ylim


def sky_frame(wcs: Any, shape: tuple[int, int]) -> SkyFrame:
    """The frame of a field of `shape` (y, x); pixel offsets where `wcs` (an astropy WCS or None) has no sky
    axes.

    The map is the local one at the centre of the field: for fields of many degrees the axes are approximate.
    """
    centre = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    local = _local(wcs, centre)
    if local is None:
        return SkyFrame(np.eye(2), (0.0, 0.0), "pixel", ("x (pixel)", "y (pixel)"), "", None)
    matrix, origin, names = local
    width = float(np.abs(matrix @ np.diag([shape[1], shape[0]])).sum(axis=1).max())
    unit, size = next((name, size) for name, size, top in _UNITS if width <= top)
    return SkyFrame(
        matrix / size, centre, unit, (f"{names[0]} ({unit})", f"{names[1]} ({unit})"), origin, size
    )


def _local(wcs: Any, centre: tuple[float, float]) -> tuple[NDArray[np.float64], str, tuple[str, str]] | None:
    if wcs is None or not getattr(wcs, "has_celestial", False):
        return None
    celestial = wcs.celestial
    x, y = np.array([0.0, 0.5, -0.5, 0, 0]) + centre[0], np.array([0.0, 0, 0, 0.5, -0.5]) + centre[1]
    world = celestial.wcs_pix2world(np.stack([x, y], axis=1), 0)
    lon, lat = world[:, celestial.wcs.lng], world[:, celestial.wcs.lat]
    step = (np.stack([lon, lat])[:, [1, 3]] - np.stack([lon, lat])[:, [2, 4]] + 180) % 360 - 180
    step[0] *= np.cos(np.deg2rad(lat[0]))
    if not np.all(np.isfinite(step)) or abs(np.linalg.det(step)) == 0:
        return None
    names = _AXES.get(
        celestial.wcs.ctype[celestial.wcs.lng].split("-")[0], ("longitude offset", "latitude offset")
    )
    return step * _ARCSEC, _origin(celestial, float(lon[0]), float(lat[0])), names


def _origin(celestial: Any, lon: float, lat: float) -> str:
    from astropy.coordinates import Angle

    frame = str(celestial.wcs.radesys or "").strip()
    if celestial.wcs.ctype[celestial.wcs.lng].startswith("RA"):
        ra = Angle(lon, "deg").to_string("hourangle", sep=":", precision=2, pad=True)
        dec = Angle(lat, "deg").to_string("deg", sep=":", precision=1, pad=True, alwayssign=True)
        return f"RA {ra}, Dec {dec}" + (f" ({frame})" if frame else "")
    return f"longitude {lon:.5f}°, latitude {lat:+.5f}°"


def nice_length(width: float) -> float:
    """A round length of 1, 2 or 5 times a power of ten, about a fifth of `width`."""
    goal = width / 5
    decade = 10.0 ** np.floor(np.log10(goal))
    return float(max(step * decade for step in _NICE if step * decade <= goal * 1.001))


def beam_shape(beams: Any, frame: SkyFrame) -> tuple[float, float, float] | None:
    """The median beam in the frame: major and minor axis in its unit, angle of the major axis from +x to +y;
    or None.

    On the sky the position angle runs from north through east, which is the direction of growing right
    ascension; in pixels from +y towards decreasing x. A beam known only in pixels is carried through the
    frame's matrix.
    """
    if beams is None:
        return None
    major, minor, pa = beams.median
    if frame.arcsec is not None and np.isfinite(major) and np.isfinite(minor):
        size = _ARCSEC / frame.arcsec
        return float(major * size), float(minor * size), 90.0 - float(np.nan_to_num(pa))
    if beams.pixels is None:
        return None
    return _through(frame.matrix, *(float(v) for v in beams.pixels))


def _through(
    matrix: NDArray[np.float64], major: float, minor: float, pa: float
) -> tuple[float, float, float] | None:
    """An ellipse in pixels (angle from +y towards -x) after a linear map."""
    if not (np.isfinite(major) and np.isfinite(minor) and minor > 0):
        return None
    angle = np.deg2rad(90.0 + pa)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    spread = matrix @ (major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)) @ matrix.T
    values, vectors = np.linalg.eigh(spread)
    turned = float(np.rad2deg(np.arctan2(vectors[1, 1], vectors[0, 1])))
    return float(np.sqrt(values[1])), float(np.sqrt(values[0])), turned
