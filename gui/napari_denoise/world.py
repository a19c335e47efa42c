"""Where the pixels of a cube lie in the viewer: velocity (or wavelength, frequency), and offsets on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.report.labels import SpectralLabel, spectral_label
from denoise.report.sky import SkyFrame, sky_frame

# names that both astropy and napari's units know
_UNITS = {
    "km / s": "km/s",
    "GHz": "GHz",
    "MHz": "MHz",
    "Angstrom": "angstrom",
    "nm": "nm",
    "um": "um",
    "mm": "mm",
}
PIXEL = "pixel"
_STRAIGHT = 1e-6  # of a pixel's size: less is rounding, not a rotated field


@dataclass(frozen=True)
class World:
    """The linear map from pixels (channel, y, x) to what the viewer shows.

    Attributes
    ----------
    matrix : ndarray, shape (3, 3)
        Of one pixel along each axis: spectral unit, offset to the north, offset to the east.
    origin : ndarray, shape (3,)
        Of the first pixel.
    units, names : tuple of str
        Of the three axes.
    spectral : SpectralLabel
        Exact coordinate of every channel, which the map only approximates on an axis that is not linear.
    sky : SkyFrame
        Of the field.
    image : bool
        One channel: the layer has two axes.
    """

    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]
    units: tuple[str, str, str]
    names: tuple[str, str, str]
    spectral: SpectralLabel
    sky: SkyFrame
    image: bool

    def placed(self, start: Sequence[float] = (0, 0, 0)) -> dict[str, Any]:
        """Arguments of a napari layer whose first pixel is `start` (channel, y, x) of the cube."""
        used = slice(1 if self.image else 0, 3)
        matrix = self.matrix[used, used]
        origin = (self.origin + self.matrix @ np.asarray(start, float))[used]
        where: dict[str, Any] = {"units": self.units[used], "axis_labels": self.names[used]}
        size = np.abs(matrix).max()
        if np.abs(matrix - np.diag(np.diag(matrix))).max() > _STRAIGHT * size:
            affine = np.eye(len(matrix) + 1)
            affine[:-1, :-1], affine[:-1, -1] = matrix, origin
            return {**where, "affine": affine}
        return {**where, "scale": np.diag(matrix), "translate": origin}

    @property
    def pixel_size(self) -> float:
        """Side of a pixel on the sky, in the unit of the two last axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[1:, 1:]))))

    def channel(self, point: Sequence[float]) -> int:
        """The channel of the cube that is nearest to a point of the viewer."""
        return int(np.clip(round(float(self.pixel(point)[0])), 0, self.spectral.values.size - 1))

    def pixel(self, point: Sequence[float]) -> NDArray[np.float64]:
        """Pixel (channel, y, x) of a point of the viewer, whose last axes are those of this map."""
        given = np.zeros(3)
        held = min(3, len(point))
        given[3 - held :] = np.asarray(point, float)[len(point) - held :]
        if held < 3:
            given[0] = self.origin[0]
        return np.asarray(np.linalg.solve(self.matrix, given - self.origin), np.float64)


def world_of(cube: Cube) -> World:
    """The map of a cube; pixels where the file states no world coordinates."""
    spectral, sky = spectral_label(cube.spectral_axis, cube.shape[0]), _in_arcsec(cube)
    start, step, unit = _spectral_line(spectral)
    corner = np.array(sky.offsets(0.0, 0.0))
    matrix = np.zeros((3, 3))
    matrix[0, 0] = step
    # (x, y) to (east, north) becomes (y, x) to (north, east)
    matrix[1:, 1:] = sky.matrix[::-1, ::-1]
    east, north = (label.split(" (")[0] for label in sky.labels)
    names = (spectral.short[0].upper() + spectral.short[1:], north, east)
    side = "arcsec" if sky.on_sky else PIXEL
    return World(
        matrix,
        np.array([start, corner[1], corner[0]]),
        (unit, side, side),
        names,
        spectral,
        sky,
        cube.is_image,
    )


def _in_arcsec(cube: Cube) -> SkyFrame:
    """The frame of the field in arcseconds whatever its size: all layers of a viewer have the same units."""
    frame = sky_frame(cube.wcs, cube.shape[1:])
    if frame.arcsec is None:
        return frame
    return SkyFrame(frame.matrix * frame.arcsec, frame.centre, "arcsec", frame.labels, frame.origin, 1.0)


def _spectral_line(spectral: SpectralLabel) -> tuple[float, float, str]:
    """First value, step and napari's unit of the straight line through the channels; channels without one."""
    values = spectral.values
    unit = None if spectral.native is None else _UNITS.get(spectral.native.to_string())
    if unit is None or not np.isfinite(values).all():
        return 0.0, 1.0, PIXEL
    step = float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
    return float(values[0]), step or 1.0, unit
