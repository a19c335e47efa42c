"""What a FITS file holds: one record per HDU, read from the headers alone."""

from __future__ import annotations

import lzma
import os
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from denoise.cube.spool import compression
from denoise.errors import InputError

_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    fits.VerifyError,
)


@dataclass(frozen=True)
class HduRecord:
    """One HDU, without its data.

    Attributes
    ----------
    index, name, version : int, str, int
        Place in the file, EXTNAME in capitals, EXTVER.
    kind : {"image", "compressed", "other"}
        An image stored plainly, a tile-compressed one, or anything else.
    header : Header
        As astropy presents it (that of the image for a compressed one).
    cards : bytes
        The same header as 80-byte cards, byte for byte as in the file where it is stored plainly.
    shape : tuple of int
        NumPy order; empty if there is no data.
    start, data, end : int
        First byte of the header, of the data, and the first byte after the HDU.
    """

    index: int
    name: str
    version: int
    kind: str
    header: fits.Header
    cards: bytes
    shape: tuple[int, ...]
    start: int
    data: int
    end: int

    @property
    def real_axes(self) -> int:
        """Number of axes longer than 1."""
        return sum(n > 1 for n in self.shape)

    @property
    def stored(self) -> str:
        """Dtype of the pixels in the file."""
        return _STORED[int(self.header["BITPIX"])]

    @property
    def group(self) -> str:
        """What ties companions together: the part of the name before the last dot."""
        return self.name.rpartition(".")[0]

    @property
    def role(self) -> str:
        """The part of the name after the last dot."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class FitsFile:
    """Headers of a FITS file.

    Attributes
    ----------
    path : str
        The file.
    hdus : sequence of HduRecord
        Its HDUs.
    plain_size : int
        Bytes of the uncompressed file, by its headers.
    compressed : bool
        Whether the file as a whole is compressed.
    """

    path: str
    hdus: Sequence[HduRecord]
    plain_size: int
    compressed: bool


def scan(path: str | Path) -> FitsFile:
    """Read every header of a FITS file, compressed or not; reads no pixels of a plain file.

    Raises
    ------
    InputError
        Missing, empty, not FITS, damaged, or cut short.
    """
    name = os.fspath(path)
    _check_file(name)
    opener = compression(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(name, memmap=False, lazy_load_hdus=True) as hdus:
                records = [_record(i, hdu, name, plain=opener is None) for i, hdu in enumerate(hdus)]
    except _UNREADABLE as error:
        raise InputError(
            f"{name} is not a readable FITS file", value=error, action="check the file or get it again"
        ) from error
    size = max(r.end for r in records)
    _check_length(name, records, opener is not None)
    return FitsFile(name, records, size, opener is not None)


def _check_file(name: str) -> None:
    try:
        size = os.stat(name).st_size
        with open(name, "rb") as file:
            file.read(1)
    except OSError as error:
        raise InputError(
            f"cannot open {name}", value=error.strerror, action="check the name and the permissions"
        ) from error
    if size == 0:
        raise InputError(f"{name} is empty", value="0 bytes", action="check the file or get it again")


def _record(index: int, hdu: Any, path: str, *, plain: bool) -> HduRecord:
    info = hdu.fileinfo() if hasattr(hdu, "fileinfo") else None
    if info is None:
        raise ValueError(f"HDU {index} is not standard FITS")
    compressed = isinstance(hdu, fits.CompImageHDU)
    image = isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU)) and not isinstance(hdu, fits.GroupsHDU)
    kind = "compressed" if compressed else "image" if image else "other"
    header = hdu.header.copy()
    start, data = int(info["hdrLoc"]), int(info["datLoc"])
    cards = _raw_cards(path, start, data) if plain and not compressed else _text_cards(header)
    naxis = int(header.get("NAXIS", 0)) if kind != "other" else 0
    shape = tuple(int(header.get(f"NAXIS{n}", 0)) for n in range(naxis, 0, -1))
    version = int(header.get("EXTVER", 1)) if str(header.get("EXTVER", 1)).lstrip("-").isdigit() else 1
    return HduRecord(
        index,
        str(hdu.name or "").upper(),
        version,
        kind,
        header,
        cards,
        shape,
        start,
        data,
        data + int(info["datSpan"]),
    )


def _raw_cards(path: str, start: int, stop: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(stop - start)


def _text_cards(header: fits.Header) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(header.tostring(padding=False)).encode("ascii", "replace")


def _check_length(name: str, records: Sequence[HduRecord], compressed: bool) -> None:
    if compressed:
        return
    size = os.stat(name).st_size
    last = records[-1]
    padding = 2879 if last.end > last.data else 0
    if size < last.end - padding or any(size < r.end for r in records[:-1]):
        raise InputError(
            f"{name} is cut short",
            value=f"{size} bytes, its headers promise {last.end}",
            action="get the file again",
        )


def is_data(record: HduRecord) -> bool:
    """Whether an HDU is an image with at least two axes longer than 1."""
    return (
        record.kind in ("image", "compressed") and record.real_axes >= 2 and all(n > 0 for n in record.shape)
    )
