"""To and from the containers of other packages; each is imported only here, only when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray

from denoise.cube.arguments import NoiseSource
from denoise.cube.axes import AxisMap
from denoise.cube.core import Cube
from denoise.cube.regions import Region, Shape, check_region
from denoise.cube.sources import ArraySource, float_dtype
from denoise.errors import InputError, UsageError


@dataclass(frozen=True)
class SpectralCubeSource:
    """Pixels of a SpectralCube, its mask applied, read by region."""

    cube: Any

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        c, y, x = (int(n) for n in self.cube.shape)
        return c, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the blocks."""
        return float_dtype(self.cube.unmasked_data[:1, :1, :1].dtype)

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region, NaN where masked."""
        block = self.cube.filled_data[check_region(region, self.shape)]
        return np.array(u.Quantity(block).value, dtype=self.dtype, order="C", copy=True)


def from_spectral_cube(cube: Any, **options: Any) -> Cube:
    """Cube of a ``spectral_cube.SpectralCube`` or one with varying beams; its mask becomes NaN.

    Parameters
    ----------
    **options
        Passed to `Cube`: noise, gain, exclude...
    """
    source = SpectralCubeSource(cube)
    header = cube.header.copy()
    table = _beam_table(cube.beams) if hasattr(cube, "beams") else None
    # a cube in memory keeps no file, so the axes are those of the header: channel, latitude, longitude
    axes = AxisMap(source.shape, 0, 1, 2, {})
    return Cube(source, header=header, axes=axes, beam_table=table, name="SpectralCube", **options)


def _beam_table(beams: Any) -> Table:
    table = Table()
    table["BMAJ"] = np.asarray(beams.major.to_value(u.arcsec), dtype=np.float32)
    table["BMIN"] = np.asarray(beams.minor.to_value(u.arcsec), dtype=np.float32)
    table["BPA"] = np.asarray(beams.pa.to_value(u.deg), dtype=np.float32)
    for name, unit in (("BMAJ", "arcsec"), ("BMIN", "arcsec"), ("BPA", "deg")):
        table[name].unit = unit
    table["CHAN"] = np.arange(len(table), dtype=np.int32)
    table["POL"] = np.zeros(len(table), dtype=np.int32)
    return table


def to_spectral_cube(cube: Cube) -> Any:
    """``spectral_cube.SpectralCube`` of a cube, in memory, with its mask as NaN and its beams.

    Raises
    ------
    InputError
        The package is not installed, or the cube has no celestial and spectral coordinates.
    """
    try:
        from radio_beam import Beam, Beams
        from spectral_cube import SpectralCube, VaryingResolutionSpectralCube
    except ImportError as error:
        raise InputError(
            "spectral-cube is not installed", action="pip install astro-denoise[cube]"
        ) from error
    wcs = None if cube.wcs is None else cube.wcs.sub(["longitude", "latitude", "spectral"])
    if wcs is None or wcs.naxis != 3:
        raise InputError(f"{cube.name} has no celestial and spectral coordinates", action="give a WCS")
    data = cube.read() * (cube.unit or u.dimensionless_unscaled)
    mine = cube.beams
    if mine is not None and mine.per_plane:
        beams = Beams(major=mine.major * u.deg, minor=mine.minor * u.deg, pa=mine.pa * u.deg)
        return VaryingResolutionSpectralCube(data, wcs=wcs, beams=beams, meta={"BUNIT": cube.unit_text})
    beam = None
    if mine is not None and mine.valid.any():
        beam = Beam(mine.major[0] * u.deg, mine.minor[0] * u.deg, mine.pa[0] * u.deg)
    return SpectralCube(data, wcs=wcs, beam=beam, meta={"BUNIT": cube.unit_text})


_UNCERTAINTIES = {"std": "sigma", "var": "variance", "ivar": "weight"}


def from_nddata(data: Any, **options: Any) -> Cube:
    """Cube of an ``NDData`` (NDDataArray, CCDData, ...): its mask, unit, WCS, header and uncertainty.

    Raises
    ------
    UsageError
        Its uncertainty is of a kind that is not known.
    """
    noise = None
    if data.uncertainty is not None and "noise" not in options:
        kind = _UNCERTAINTIES.get(str(data.uncertainty.uncertainty_type))
        if kind is None:
            seen = data.uncertainty.uncertainty_type
            raise UsageError(
                "the uncertainty is of an unknown kind", value=seen, action="give std, var or ivar"
            )
        array = np.asarray(data.uncertainty.array)
        noise = NoiseSource(
            kind, ArraySource(array[None] if array.ndim == 2 else array), "NDData uncertainty"
        )
    header = data.meta if hasattr(data.meta, "cards") else None
    given: dict[str, Any] = {"noise": noise, "header": header, "wcs": _full_wcs(data.wcs), "name": "NDData"}
    return Cube(np.asarray(data.data), mask=data.mask, unit=data.unit, **{**given, **options})


def _full_wcs(wcs: Any) -> Any:
    return wcs if hasattr(wcs, "wcs") else None


def to_nddata(cube: Cube, *, uncertainty: Cube | None = None) -> Any:
    """``NDDataArray`` of a cube, in memory: (channel, y, x), or (y, x) for an image without a spectral axis.

    Parameters
    ----------
    uncertainty : Cube, optional
        1 sigma; by default the cube's own noise where its kind is known.
    """
    from astropy.nddata import InverseVariance, NDDataArray, StdDevUncertainty, VarianceUncertainty

    flat = cube.axes.channel is None
    data = cube.read()
    kinds = {"sigma": StdDevUncertainty, "variance": VarianceUncertainty, "weight": InverseVariance}
    error = None
    if uncertainty is not None:
        error = StdDevUncertainty(_shaped(uncertainty.read(), cube, flat=flat))
    elif cube.noise_source is not None and cube.noise_source.kind in kinds:
        own = cube.noise_source.pixels
        error = kinds[cube.noise_source.kind](
            _shaped(own.read(check_region(None, own.shape)), cube, flat=flat)
        )
    pixels = data[0] if flat else data
    wcs = cube.wcs if cube.wcs is not None and cube.wcs.naxis == pixels.ndim and cube.axes.ordinary else None
    unit = cube.unit or u.dimensionless_unscaled
    meta = {} if cube.header is None else cube.header.copy()
    return NDDataArray(pixels, uncertainty=error, mask=np.isnan(pixels), unit=unit, wcs=wcs, meta=meta)


def _shaped(array: NDArray[Any], cube: Cube, *, flat: bool) -> NDArray[Any]:
    full = np.broadcast_to(array, cube.shape)
    return np.array(full[0] if flat else full)
