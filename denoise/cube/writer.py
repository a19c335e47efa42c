"""Write FITS block by block, from one process or many; the file appears under its name only when it is whole.

Headers are written first, the data is preallocated, blocks go to computed offsets with ``pwrite``, so the
order and the number of writers do not change a byte.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from denoise.cube.blockwriter import (
    BlockWriter,
    StoredImage,
    allocate,
    publish,
    sync_folder,
    write_all,
    write_error,
)
from denoise.cube.cards import BLOCK, CARDS_A_BLOCK, header_blocks, header_bytes, history_cards
from denoise.cube.core import Cube
from denoise.cube.hdus import HduRecord
from denoise.cube.headers import data_headers, extension_header, small_header
from denoise.cube.provenance import Provenance, provenance_hdu
from denoise.cube.regions import Region
from denoise.cube.unfinished import Unfinished
from denoise.errors import DenoiseError, OutputExistsError, ResourceError, UsageError

Layout = Literal["default", "like-input"]
_COPY = 1 << 22
_SLACK = 1 << 20  # provenance and rounding of the file system


@dataclass(frozen=True)
class Extension:
    """One more image of the output.

    Attributes
    ----------
    pixels : ndarray or None
        Small arrays, written at once; None: streamed with `CubeWriter.write`.
    unit : str or None
        BUNIT; None: that of the data.
    name : str or None
        EXTNAME; None: the key it was asked for with.
    cards : mapping
        More header cards: values, or pairs of a value and its comment.
    """

    pixels: NDArray[Any] | None = None
    unit: str | None = None
    name: str | None = None
    cards: Mapping[str, Any] = field(default_factory=dict)


class CubeWriter(Unfinished):
    """Makes a FITS file like the one a cube came from.

    Use it as a context manager: leaving it without an error completes the file, an error removes it.

    Parameters
    ----------
    path : str or Path
        The output.
    template : Cube
        Gives shape, dtype, axes, cards, beams. float64 if the input was, else float32.
    extensions : mapping of str to None, ndarray or Extension, optional
        UNCERT, RESIDUAL, NOISE...: None for images as large as the data, written block by block; arrays are
        stored at once.
    history : iterable of str
        HISTORY lines.
    room : int
        Cards kept for HISTORY lines that come before the end, see `add_history`.
    cards : mapping, optional
        Cards to set in the data header: values, or pairs of a value and its comment.
    provenance : Provenance, optional
        May also be set before the end, see `set_provenance`.
    layout : {"default", "like-input"}
        "like-input": UNCERT takes the name and the kind (variance, weight) of the input's noise extension,
        and its DQ or MASK is copied.
    overwrite : bool
        Replace an existing file, at the end, in one step.

    Raises
    ------
    OutputExistsError
        The output exists.
    ResourceError
        Not enough space, or the folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        template: Cube,
        extensions: Mapping[str, Any] | None = None,
        history: Iterable[str] = (),
        room: int = 0,
        cards: Mapping[str, Any] | None = None,
        provenance: Provenance | None = None,
        layout: Layout = "default",
        overwrite: bool = False,
    ) -> None:
        super().__init__(path, overwrite=overwrite)
        self.template = template
        self._provenance = provenance
        self._history: list[str] = []
        self._lock = threading.Lock()
        check_output(self.path, overwrite=overwrite)
        if template.path is not None and self.path.exists() and self.path.samefile(template.path):
            raise UsageError("the output is the input", value=path, action="choose another name")
        if layout not in ("default", "like-input"):
            raise UsageError("unknown layout", value=layout, action="use default or like-input")
        self._plan = _Plan(template, extensions or {}, list(history), dict(cards or {}), layout, room)
        self._left = {name: int(np.prod(i.shape, dtype=np.int64)) for name, i in self._plan.images.items()}

    @property
    def nbytes(self) -> int:
        """Size of the output, without the PROVENANCE table."""
        return self._plan.size

    def open(self) -> None:
        """Make the temporary file: space, headers, everything that is copied."""
        self._temporary = self._beside()
        try:
            self._check_space(self.path.parent)
            handle = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            try:
                allocate(handle, self._plan.size)
                for offset, data in self._plan.fixed:
                    write_all(handle, memoryview(data), offset)
                for record, offset in self._plan.copied:
                    self._copy(handle, record, offset)
            finally:
                os.close(handle)
        except OSError as error:
            self.abort()
            if isinstance(error, DenoiseError):
                raise
            raise write_error(error, self.path) from error
        except BaseException:
            self.abort()
            raise

    def _check_space(self, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if free < self._plan.size + _SLACK:
            raise ResourceError(
                f"not enough space in {folder} for {self.path.name}",
                value=f"{free} bytes free, {self._plan.size + _SLACK} needed",
                action="free space or choose another folder",
            )

    def _copy(self, handle: int, record: HduRecord, offset: int) -> None:
        with open(self.template.plain_path(), "rb") as file:
            file.seek(record.start)
            left = record.end - record.start
            while left > 0:
                chunk = file.read(min(left, _COPY)) or b"\0" * left
                write_all(handle, memoryview(chunk), offset)
                offset, left = offset + len(chunk), left - len(chunk)

    def workers(self) -> BlockWriter:
        """What a worker needs to write regions; report what it wrote with `account`."""
        if self._temporary is None:
            raise UsageError("the writer is not open", action="use it as a context manager")
        return BlockWriter(os.fspath(self._temporary), self._plan.images)

    def write(self, name: str, region: Region, block: NDArray[Any]) -> None:
        """Write a block (channel, y, x) of the image `name` ("DATA" or a key of `extensions`)."""
        self.account(name, self.workers().write(name, region, block))

    def account(self, name: str, voxels: int) -> None:
        """Note that a worker wrote this many voxels; the file is complete when all are."""
        with self._lock:
            self._left[name] -= voxels

    def set_provenance(self, provenance: Provenance) -> None:
        """Set the PROVENANCE table, any time before the end."""
        self._provenance = provenance

    def add_history(self, lines: Iterable[str]) -> None:
        """More HISTORY lines, any time before the end; what the room does not hold is cut off."""
        self._history += lines

    def _finish(self, temporary: Path) -> None:
        handle = os.open(temporary, os.O_WRONLY)
        try:
            if self._history:
                offset, header = self._plan.header_with(self._history)
                write_all(handle, memoryview(header), offset)
            if self._provenance is not None:
                write_all(handle, memoryview(_table_bytes(provenance_hdu(self._provenance))), self._plan.size)
            os.fsync(handle)
        finally:
            os.close(handle)
        publish(temporary, self.path, overwrite=self.overwrite)
        sync_folder(self.path.parent)

    def _remove(self, temporary: Path) -> None:
        temporary.unlink(missing_ok=True)


def is_zarr_output(path: Path) -> bool:
    """Whether a folder is what an earlier run wrote, and so may be replaced like a file."""
    return path.suffix.lower() == ".zarr" and (path / "zarr.json").is_file()


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot or must not be written, before any work.

    Raises
    ------
    OutputExistsError, ResourceError, UsageError
        It exists; its folder does not exist or cannot be written; its name asks for compression.
    """
    if path.suffix.lower() in (".gz", ".bz2", ".xz", ".fz", ".zip"):
        raise UsageError(
            "compressed output is not written", value=path.name, action="use a name that ends in .fits"
        )
    if path.is_dir() and not is_zarr_output(path):
        raise UsageError("the output is a folder", value=path, action="give a file name")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            "the output exists", value=path, action="choose another name or use --overwrite"
        )
    folder = path.parent
    if not folder.is_dir():
        raise ResourceError(
            "the folder of the output does not exist", value=folder, action="make it, or choose another"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ResourceError(
            "the folder of the output cannot be written", value=folder, action="choose another folder"
        )


def _table_bytes(hdu: fits.BinTableHDU) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    return file.getvalue()[BLOCK:]


class _Plan:
    """Every byte of the output that does not depend on the pixels, and where the pixels go."""

    def __init__(
        self,
        cube: Cube,
        extensions: Mapping[str, Any],
        history: list[str],
        cards: dict[str, Any],
        layout: Layout,
        room: int,
    ) -> None:
        self.cube = cube
        self.images: dict[str, StoredImage] = {}
        self.fixed: list[tuple[int, bytes]] = []
        self.copied: list[tuple[HduRecord, int]] = []
        self.size = 0
        self.stored = ">f8" if cube.dtype.itemsize == 8 else ">f4"
        self.axes = cube.axes.output()
        primary, data = data_headers(cube, self.axes, self.stored, history, cards)
        if primary is not None:
            self._add(header_bytes(primary))
        self._header = self.size, data, header_blocks(len(data) + room)
        self._image("DATA", header_bytes(data, self._header[2]), self.stored)
        for name, value in extensions.items():
            self._extension(name, value, layout)
        for record in _carried(cube, layout):
            self.copied.append((record, self.size))
            self.size += record.end - record.start
        copied = () if cube.layout is None else cube.layout.carried
        if cube.beam_table is not None and not any(record.name == "BEAMS" for record in copied):
            self._add(_table_bytes(fits.BinTableHDU(cube.beam_table, name="BEAMS")))

    def header_with(self, history: list[str]) -> tuple[int, bytes]:
        """Where the data's header lies, and the header with as many of these lines as it has room for."""
        offset, cards, blocks = self._header
        free = blocks * CARDS_A_BLOCK - 1 - len(cards)
        return offset, header_bytes([*cards, *history_cards(history)[:free]], blocks)

    def _add(self, data: bytes) -> None:
        self.fixed.append((self.size, data))
        self.size += len(data)

    def _image(self, name: str, header: bytes, stored: str, power: int = 1) -> None:
        self._add(header)
        image = StoredImage(self.size, stored, self.axes, power)
        self.images[name] = image
        self.size += image.nbytes + (-image.nbytes % BLOCK)

    def _extension(self, name: str, value: Any, layout: Layout) -> None:
        if name in self.images:
            raise UsageError("the output has two images of one name", value=name, action="rename one")
        given = as_extension(value)
        if given.pixels is not None:
            self._small(name, given, given.pixels)
            return
        extname, unit, power = given.name or name, given.unit, 1
        if layout == "like-input" and name == "UNCERT" and given.name is None:
            extname, unit, power = _like_input(self.cube, unit)
        # variances of 1e-20 fluxes underflow in float32
        stored = self.stored if power == 1 else ">f8"
        header = extension_header(self.cube, self.axes, stored, name=extname, unit=unit, extra=given.cards)
        self._image(name, header_bytes(header), stored, power)

    def _small(self, name: str, given: Extension, pixels: NDArray[Any]) -> None:
        stored = ">f8" if pixels.dtype.itemsize == 8 else ">f4"
        header = small_header(
            self.cube, pixels.shape, stored, name=given.name or name, unit=given.unit, extra=given.cards
        )
        data = np.ascontiguousarray(pixels, dtype=stored).tobytes()
        self._add(header_bytes(header) + data + b"\0" * (-len(data) % BLOCK))


def as_extension(value: Any) -> Extension:
    """What was given for an extension: None or True, an array, or an Extension."""
    if isinstance(value, Extension):
        return value
    return Extension(pixels=None if value is None or value is True else np.asarray(value))


def _carried(cube: Cube, layout: Layout) -> list[HduRecord]:
    if cube.layout is None:
        return []
    flags = [cube.layout.mask] if layout == "like-input" and cube.layout.mask is not None else []
    return [*cube.layout.carried, *flags]


def _like_input(cube: Cube, unit: str | None) -> tuple[str, str | None, int]:
    """Name, unit and power of the input's own noise extension, for sigma to be written in its place."""
    record = None if cube.layout is None else cube.layout.noise
    if record is None or cube.noise_source is None:
        return "UNCERT", unit, 1
    power = {"variance": 2, "weight": -2}.get(cube.noise_source.kind, 1)
    written = str(record.header.get("BUNIT") or "")
    return record.name, (written if written and power != 1 else unit), power
