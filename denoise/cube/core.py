"""The cube: pixels (channel, y, x) read on demand, with everything its file says about them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from denoise.cube.arguments import NoiseSource, make_companion, make_masks, make_noise, unit_text, unwrapped
from denoise.cube.axes import AxisMap, plain_axes
from denoise.cube.beams import Beams, history_beam, make_beams, parse_beam, table_beams, warn_missing
from denoise.cube.fits_reader import FitsLayout
from denoise.cube.masks import ArrayMask, Mask, any_mask, as_mask, excluded_channels
from denoise.cube.regions import Region, Shape, blocks, check_region
from denoise.cube.sources import PixelSource, Spool, as_source
from denoise.cube.spectral import SpectralAxis, spectral_axis
from denoise.cube.units import parse_unit
from denoise.cube.wcs import celestial_matrix, make_wcs, pixel_arcsec, spectral_values
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.cube.inspection import Inspection

_KEEP = object()


class Cube:
    """A spectral cube or an image.

    Parameters
    ----------
    data : ndarray or PixelSource
        (channel, y, x) or (y, x), real numbers; not copied, never written to. float64 stays, anything else is
        read as float32.
    mask : array-like, Mask or sequence of Mask, optional
        True: no coverage, NaN in the output. (channel, y, x), (y, x) or (channel,).
    exclude : array-like, str or a list of them, optional
        True: not used when noise is estimated and emission detected. Text is ranges: see `excluded_channels`.
    wcs : WCS, optional
        Of the header's axes; default: made from `header`.
    unit : str or Unit, optional
        Default: BUNIT of `header`.
    beam : optional
        (major, minor, pa): FWHM in pixels if there is no WCS, else angles or a ``radio_beam.Beam``; pa in
        degrees from +y towards -x (north to east on the sky).
    noise : NoiseSource, array-like or float, optional
        Arrays are `noise_kind`, "sigma" by default.
    gain : array-like or PixelSource, optional
        Primary beam response, 1 at its centre; broadcasts to the cube.
    psf : array-like or PixelSource, optional
        Point spread function (dirty beam), one plane or one per channel.
    header : Header, optional
        Its cards go to the output.
    rest : str or Quantity, optional
        Rest frequency or wavelength; wins over the header.
    name, path : str, optional
        For messages and `checksum`.

    Raises
    ------
    InputError
        The data is not a cube or an image.
    UsageError
        A companion does not fit the data.
    """

    def __init__(
        self,
        data: Any,
        *,
        mask: Any = None,
        exclude: Any = None,
        wcs: WCS | None = None,
        unit: Any = None,
        beam: Any = None,
        noise: Any = None,
        noise_kind: str | None = None,
        gain: Any = None,
        psf: Any = None,
        header: fits.Header | None = None,
        rest: Any = None,
        name: str | None = None,
        path: str | Path | None = None,
        axes: AxisMap | None = None,
        layout: FitsLayout | None = None,
        beam_table: Table | None = None,
        spools: tuple[Spool, ...] = (),
    ) -> None:
        data, mask, unit = unwrapped(data, mask, unit)
        self._source = as_source(data)
        image = axes is None and getattr(data, "ndim", 3) == 2
        self.axes: AxisMap = axes or plain_axes(self._source.shape, image=image)
        self.header: fits.Header | None = header
        self.layout: FitsLayout | None = layout
        self.path: Path | None = None if path is None else Path(path)
        self.name: str = name or (self.path.name if self.path else "array")
        self._given_wcs = wcs
        self._given_beam = beam
        self._rest = rest
        self.beam_table: Table | None = beam_table
        self._spools = spools
        self.unit_dropped: bool = False
        self.unit_text: str = unit_text(unit, header, layout)
        self.unit: u.UnitBase | None = unit if isinstance(unit, u.UnitBase) else parse_unit(self.unit_text)
        self._masks: tuple[Mask, ...] = make_masks(mask, self.shape)
        self.gain: PixelSource | None = make_companion(gain, self.shape, "the gain")
        self.psf: PixelSource | None = None if psf is None else as_source(psf, what="the PSF")
        self.noise_source: NoiseSource | None = make_noise(noise, noise_kind, self.shape)
        self.beams: Beams | None = self._find_beams()
        self._exclude = self._find_excluded(exclude)

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 if the data is stored so, else float32; what comes out and what is written."""
        return self._source.dtype

    @property
    def is_image(self) -> bool:
        """Whether there is one channel only."""
        return self.shape[0] == 1

    @property
    def data(self) -> NDArray[Any]:
        """All pixels, shape (channel, y, x), NaN where there is no coverage."""
        return self.read()

    @property
    def source(self) -> PixelSource:
        """The pixels before the mask."""
        return self._source

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The masks whose union is "no coverage"; NaN in the data adds to them."""
        return self._masks

    def read(self, region: Region | None = None) -> NDArray[Any]:
        """Pixels of a region: a new array (channel, y, x), native byte order, NaN where there is no coverage.

        Raises
        ------
        UsageError
            The region leaves the cube.
        """
        checked = check_region(region, self.shape)
        block = self._source.read(checked)
        infinite = np.isinf(block)
        if infinite.any():
            np.copyto(block, np.nan, where=infinite)
        for mask in self._masks:
            flagged = mask.read(checked)
            if flagged.any():
                np.copyto(block, np.nan, where=flagged)
        return block

    def excluded(self, region: Region | None = None) -> NDArray[np.bool_]:
        """Voxels not to be used when noise is estimated and emission detected, shape of the region."""
        checked = check_region(region, self.shape)
        return any_mask(self._exclude, checked)

    @property
    def has_exclusions(self) -> bool:
        """Whether anything is excluded."""
        return bool(self._exclude)

    def psf_image(self) -> NDArray[Any] | None:
        """The point spread function as an image (y, x): the middle channel's, or None."""
        if self.psf is None:
            return None
        middle = self.psf.shape[0] // 2
        region = (slice(middle, middle + 1), slice(0, self.psf.shape[1]), slice(0, self.psf.shape[2]))
        return np.asarray(self.psf.read(region)[0])

    @cached_property
    def wcs(self) -> WCS | None:
        """World coordinates of the full header, or None."""
        if self._given_wcs is not None or self.header is None:
            return self._given_wcs
        return make_wcs(self.header)

    @cached_property
    def pixel_matrix(self) -> NDArray[np.float64] | None:
        """Matrix from pixels (x, y) to degrees (east, north), shape (2, 2)."""
        return celestial_matrix(self.wcs, self.axes)

    @property
    def pixel_scale(self) -> float | None:
        """Side of a pixel in arcseconds (of a square of its area)."""
        return pixel_arcsec(self.pixel_matrix)

    @cached_property
    def spectral_axis(self) -> SpectralAxis | None:
        """The spectral axis, or None where the header has none."""
        if self.axes.channel is None:
            return None
        header = self.header
        if header is None:
            if self.wcs is None:
                return None
            header = self.wcs.to_header()
        number = len(self.axes.file_shape) - self.axes.channel
        values = spectral_values(self.wcs, self.axes, header)
        return spectral_axis(header, number=number, size=self.shape[0], values=values, rest=self._rest)

    def with_pixels(
        self, pixels: Any, *, unit: Any = None, noise: Any = _KEEP, keep_mask: bool = True
    ) -> Cube:
        """A cube with other pixels and the same metadata; for results.

        Parameters
        ----------
        pixels : array-like or PixelSource, shape (channel, y, x)
            Of this cube's shape. Its own NaN stay.
        unit : str or Unit, optional
            Of the new pixels.
        noise : NoiseSource, array-like or None, optional
            Noise of the new pixels; by default that of this cube.
        keep_mask : bool
            Whether voxels without coverage here are NaN there too.

        Raises
        ------
        UsageError
            The shape differs.
        """
        source = as_source(pixels)
        if source.shape != self.shape:
            raise UsageError(
                "the pixels do not fit the cube", value=source.shape, action=f"give shape {self.shape}"
            )
        other = self._copy()
        other._source = source
        if not keep_mask:
            other._masks = ()
        if noise is not _KEEP:
            other.noise_source = make_noise(noise, None, self.shape)
        if unit is not None:
            other.unit_text = unit.to_string() if isinstance(unit, u.UnitBase) else str(unit)
            other.unit = unit if isinstance(unit, u.UnitBase) else parse_unit(other.unit_text)
        return other

    def without_unit(self) -> Cube:
        """The same cube for pixels that have no unit; none is written, and its noise is not theirs."""
        other = self._copy()
        other.unit_text, other.unit, other.noise_source = "", None, None
        other.unit_dropped = True
        return other

    def with_mask(self, *masks: Any) -> Cube:
        """The same cube with more voxels marked as "no coverage"."""
        other = self._copy()
        other._masks = (*self._masks, *(m for mask in masks for m in make_masks(mask, self.shape)))
        return other

    def inspect(self, *, allow_constant: bool = False) -> Inspection:
        """One pass over the pixels; see `inspection.inspect`.

        Raises
        ------
        InputError
            One pixel, all NaN, all zero, or constant.
        """
        from denoise.cube.inspection import inspect

        return inspect(self, allow_constant=allow_constant)

    def checked(self, *, allow_constant: bool = False) -> Cube:
        """The same cube after `inspect`, with zeros outside the field marked as "no coverage".

        Raises
        ------
        InputError
            As `inspect`.
        """
        found = self.inspect(allow_constant=allow_constant)
        return self if found.blanks is None else self.with_mask(found.blanks)

    @property
    def stored_as_integer(self) -> bool:
        """Whether the file or the array holds integers."""
        if self.layout is not None and self.header is not None:
            return int(self.header.get("BITPIX", -32)) > 0
        dtype = getattr(getattr(self._source, "array", None), "dtype", None)
        return dtype is not None and np.dtype(dtype).kind in "iu"

    @property
    def scratch_bytes(self) -> int:
        """Scratch space that a compressed input takes, 0 for a plain one."""
        return sum(spool.nbytes for spool in self._spools)

    def prepare(self, directory: str | None = None) -> None:
        """Uncompress a compressed input now, to `directory` or the system's scratch folder.

        Blocks do it by themselves; do it before the cube goes to other processes, so that they share it.
        """
        for spool in self._spools:
            spool.prepare(directory)

    def plain_path(self) -> str:
        """File to copy whole HDUs from: the input, or its uncompressed copy."""
        if self.layout is None:
            raise UsageError(
                "the cube does not come from a FITS file",
                value=self.name,
                action="write it as FITS and read it again",
            )
        if self.layout.compressed:
            return self._spools[0].prepare()
        return self.layout.path

    def _copy(self) -> Cube:
        other = object.__new__(Cube)
        other.__dict__.update(self.__dict__)
        return other

    def __getstate__(self) -> dict[str, Any]:
        # a WCS made from the header is made again: it pickles slowly
        state = self.__dict__.copy()
        state.pop("wcs", None)
        return state

    def to_spectral_cube(self) -> Any:
        """See `convert.to_spectral_cube`."""
        from denoise.cube import convert

        return convert.to_spectral_cube(self)

    @classmethod
    def from_spectral_cube(cls, cube: Any, **options: Any) -> Cube:
        """See `convert.from_spectral_cube`."""
        from denoise.cube import convert

        return convert.from_spectral_cube(cube, **options)

    def to_nddata(self, *, uncertainty: Cube | None = None) -> Any:
        """See `convert.to_nddata`."""
        from denoise.cube import convert

        return convert.to_nddata(self, uncertainty=uncertainty)

    @classmethod
    def from_nddata(cls, data: Any, **options: Any) -> Cube:
        """See `convert.from_nddata`."""
        from denoise.cube import convert

        return convert.from_nddata(data, **options)

    def checksum(self) -> str:
        """SHA-256 of the input: of the file as it is on disk, or of the pixels as they are read."""
        digest = hashlib.sha256()
        if self.path is not None and self.path.is_file():
            with self.path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
        else:
            digest.update(f"{self.shape}{self.dtype.str}".encode())
            for region in blocks(self.shape, voxels=1 << 22):
                digest.update(np.ascontiguousarray(self.read(region)).data)
        return f"sha256:{digest.hexdigest()}"

    def __repr__(self) -> str:
        c, y, x = self.shape
        unit = self.unit_text or "not stated"
        return f"<Cube {self.name}: {c} channels x {y} x {x}, {self.dtype.name}, unit {unit}>"

    def _find_beams(self) -> Beams | None:
        if self._given_beam is not None:
            return parse_beam(self._given_beam, scale=self.pixel_matrix)
        if self.beam_table is not None:
            columns = table_beams(self.beam_table, nchan=self.shape[0], plane=self._stokes_plane())
            if columns is not None:
                return make_beams(*columns, scale=self.pixel_matrix, origin="BEAMS", where=self.name)
        return self._header_beam()

    def _header_beam(self) -> Beams | None:
        if self.header is None:
            return None
        if "BMAJ" in self.header:
            major = _float(self.header["BMAJ"])
            minor = _float(self.header.get("BMIN", major))
            found, origin = (major, minor, _float(self.header.get("BPA", 0.0))), "BMAJ"
        else:
            past = history_beam(list(self.header["HISTORY"])) if "HISTORY" in self.header else None
            if past is None:
                if self.layout is not None and self.unit is not None and u.beam in self.unit.bases:
                    warn_missing(self.name, self.unit_text)
                return None
            found, origin = past, "HISTORY (AIPS CLEAN)"
        return make_beams(*found, scale=self.pixel_matrix, origin=origin, where=self.name)

    def _stokes_plane(self) -> int:
        return max(self.axes.picked.values(), default=0)

    def _find_excluded(self, exclude: Any) -> tuple[Mask, ...]:
        if exclude is None:
            return ()
        if isinstance(exclude, str):
            channels = excluded_channels(exclude, self.spectral_axis, self.shape[0])
            return (ArrayMask(channels[:, None, None]),)
        if isinstance(exclude, (list, tuple)) and any(
            isinstance(e, str) or hasattr(e, "shape") for e in exclude
        ):
            return tuple(mask for e in exclude for mask in self._find_excluded(e))
        return (as_mask(exclude, self.shape, what="the exclusion mask"),)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
