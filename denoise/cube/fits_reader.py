"""Open a FITS file: choose its image, name its axes, find its companions, without reading a pixel."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from denoise.cube.axes import AxisMap, find_axes
from denoise.cube.companions import (
    MASK_NAMES,
    NOISE_NAMES,
    choose_data,
    find_companion,
    noise_kind,
    unusable_bits,
)
from denoise.cube.hdus import FitsFile, HduRecord, scan
from denoise.cube.masks import SourceMask
from denoise.cube.sources import PixelSource, RawSource, SpooledSource, float_dtype
from denoise.cube.spool import StreamSpool, TileSpool
from denoise.errors import InputError

# HDUs that the WCS cards of the data refer to, and the beams: they go with the data wherever it goes
_CARRIED = frozenset(("BEAMS", "WCSDVARR", "D2IMARR", "WCS-TABLE", "WCS-TAB"))


@dataclass(frozen=True)
class FitsLayout:
    """What the writer needs to give a file its shape back.

    Attributes
    ----------
    path : str
        The input file.
    compressed : bool
        Whether it is compressed as a whole.
    hdu : int
        Which HDU held the data.
    axes : AxisMap
        Its axes.
    primary_cards, data_cards : bytes
        80-byte cards of the primary header and of the data's; the same if the data is in the primary HDU.
    carried : tuple of HduRecord
        HDUs copied byte for byte: beams, lookup tables of the WCS.
    noise, mask : HduRecord or None
        The noise and flag companions.
    """

    path: str
    compressed: bool
    hdu: int
    axes: AxisMap
    primary_cards: bytes
    data_cards: bytes
    carried: tuple[HduRecord, ...] = ()
    noise: HduRecord | None = None
    mask: HduRecord | None = None


@dataclass(frozen=True)
class OpenedFits:
    """Everything known of an image in a FITS file before its pixels are read."""

    source: PixelSource
    header: fits.Header
    axes: AxisMap
    layout: FitsLayout
    beams: Table | None = None
    mask: SourceMask | None = None
    noise: tuple[PixelSource, str, str] | None = None
    spools: tuple[StreamSpool | TileSpool, ...] = field(default=())


def open_fits(
    path: str | Path, *, hdu: int | str | None = None, stokes: int | str | None = None
) -> OpenedFits:
    """Open the image of a FITS file, lazily.

    Parameters
    ----------
    hdu : int or str, optional
        Number or name of the HDU; default: see `companions.choose_data`.
    stokes : int or str, optional
        Plane of a real Stokes axis.

    Raises
    ------
    InputError
        Not readable, or no image in it.
    UsageError
        `hdu` or `stokes` does not exist.
    """
    file = scan(path)
    where = Path(file.path).name
    data = choose_data(file.hdus, hdu=hdu, where=where)
    axes = find_axes(data.shape, data.header, stokes=stokes, where=where)
    opener = _Opener(file)
    mask = _mask(file, data, axes, opener)
    noise = _noise(file, data, axes, opener)
    layout = _layout(file, data, axes, mask, noise)
    return OpenedFits(
        source=opener.source(data, axes),
        header=data.header,
        axes=axes,
        layout=layout,
        beams=_beam_table(file),
        mask=None if mask is None else mask[1],
        noise=None if noise is None else noise[1],
        spools=tuple(opener.spools),
    )


class _Opener:
    """Makes sources of the images of one file; a compressed file is spooled once for all of them."""

    def __init__(self, file: FitsFile) -> None:
        self.file = file
        self.spools: list[StreamSpool | TileSpool] = []
        self._whole: StreamSpool | None = None

    def source(self, record: HduRecord, axes: AxisMap, *, flags: bool = False) -> PixelSource:
        if record.kind == "compressed":
            return self._tiles(record, axes, flags=flags)
        raw = _raw(self.file.path, record, axes, flags=flags)
        if not self.file.compressed:
            return raw
        if self._whole is None:
            self._whole = StreamSpool(self.file.path, self.file.plain_size)
            self.spools.append(self._whole)
        return SpooledSource(raw, self._whole)

    def _tiles(self, record: HduRecord, axes: AxisMap, *, flags: bool) -> PixelSource:
        if self.file.compressed:
            raise InputError(
                f"{self.file.path} is compressed twice",
                value="tiles inside a compressed file",
                action="uncompress it first",
            )
        out = _out_dtype(record, flags=flags)
        stored = ">i8" if flags and out.kind == "i" else ">f8" if out.itemsize == 8 else ">f4"
        spool = TileSpool(self.file.path, record.index, record.shape, stored)
        self.spools.append(spool)
        return SpooledSource(RawSource(self.file.path, 0, stored, axes, out.str), spool)


def _out_dtype(record: HduRecord, *, flags: bool) -> np.dtype[Any]:
    stored = np.dtype(record.stored)
    return np.dtype(np.int64) if flags and stored.kind in "iu" else float_dtype(stored)


def _raw(path: str, record: HduRecord, axes: AxisMap, *, flags: bool) -> RawSource:
    header = record.header
    out = _out_dtype(record, flags=flags)
    blank = header.get("BLANK") if np.dtype(record.stored).kind in "iu" and not flags else None
    scale, zero = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
    value = int(blank) if isinstance(blank, (int, float)) else None
    return RawSource(path, record.data, record.stored, axes, out.str, scale, zero, value)


def _mask(
    file: FitsFile, data: HduRecord, axes: AxisMap, opener: _Opener
) -> tuple[HduRecord, SourceMask] | None:
    found = find_companion(file.hdus, data, axes, MASK_NAMES)
    if found is None:
        return None
    record, fitted = found
    return record, SourceMask(opener.source(record, fitted, flags=True), unusable_bits(file.hdus[0]))


def _noise(
    file: FitsFile, data: HduRecord, axes: AxisMap, opener: _Opener
) -> tuple[HduRecord, tuple[PixelSource, str, str]] | None:
    found = find_companion(file.hdus, data, axes, NOISE_NAMES)
    if found is None:
        return None
    record, fitted = found
    kind = noise_kind(record, data, file.hdus[0])
    return record, (opener.source(record, fitted), kind, record.name)


def _layout(file: FitsFile, data: HduRecord, axes: AxisMap, mask: Any, noise: Any) -> FitsLayout:
    carried = tuple(r for r in file.hdus if r.role in _CARRIED and r is not data)
    return FitsLayout(
        path=file.path,
        compressed=file.compressed,
        hdu=data.index,
        axes=axes,
        primary_cards=file.hdus[0].cards,
        data_cards=data.cards,
        carried=carried,
        noise=None if noise is None else noise[0],
        mask=None if mask is None else mask[0],
    )


def _beam_table(file: FitsFile) -> Table | None:
    index = next((r.index for r in file.hdus if r.name == "BEAMS" and r.kind == "other"), None)
    if index is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(file.path, memmap=False) as hdus:
            return Table(hdus[index].data) if hdus[index].columns.units is None else Table.read(hdus[index])
