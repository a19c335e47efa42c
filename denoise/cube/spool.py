"""Compressed files made plain on scratch disk, once per process family, removed at the end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import threading
import warnings
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits

from denoise.errors import InputError, ResourceError

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_CHUNK = 1 << 22
_LOCK = threading.RLock()


def compression(path: str | Path) -> Callable[[str], Any] | None:
    """How to open a compressed file as a stream, or None if it is not compressed (by its first bytes).

    Raises
    ------
    InputError
        A compression that is not supported (LZW ``.Z``, zip).
    """
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, name in ((b"\x1f\x9d", "LZW (.Z)"), (b"PK\x03\x04", "zip")):
        if start.startswith(magic):
            raise InputError(
                f"{path} is compressed in a way that is not supported",
                value=name,
                action="uncompress it first",
            )
    return next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)


class _Spool:
    """Shared part: one scratch file, made under a lock, removed when the owner is collected or exits."""

    def __init__(self, path: str, nbytes: int) -> None:
        self.path = path
        self.nbytes = nbytes
        self._plain: str | None = None

    def prepare(self, directory: str | None = None) -> str:
        """Path of the plain file; made at the first call, in `directory` or the system's scratch folder.

        Raises
        ------
        InputError
            The compressed file is damaged.
        ResourceError
            Scratch is full or cannot be written.
        """
        with _LOCK:
            if self._plain is None or not os.path.exists(self._plain):
                self._plain = self._make(directory or tempfile.gettempdir())
            return self._plain

    def _make(self, directory: str) -> str:
        free = shutil.disk_usage(directory).free
        if free < self.nbytes:
            raise ResourceError(
                f"not enough scratch space in {directory} to uncompress {self.path}",
                value=f"{free} bytes free, {self.nbytes} needed",
                action="free some space or set TMPDIR to another folder",
            )
        handle, name = tempfile.mkstemp(prefix="denoise-", suffix=".spool", dir=directory)
        try:
            with os.fdopen(handle, "wb") as out:
                self._fill(out)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            os.unlink(name)
            raise InputError(
                f"{self.path} is damaged or cut short", value=error, action="get the file again"
            ) from error
        except OSError as error:
            os.unlink(name)
            raise ResourceError(
                f"cannot uncompress {self.path} to {directory}", value=error, action="check the disk"
            ) from error
        except BaseException:
            os.unlink(name)
            raise
        weakref.finalize(self, _remove, name, os.getpid())
        return name

    def _fill(self, out: IO[bytes]) -> None:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


def _remove(name: str, owner: int) -> None:
    # a forked child must not remove its parent's file
    if os.getpid() == owner and os.path.exists(name):
        os.unlink(name)


class StreamSpool(_Spool):
    """A whole file compressed by gzip, bzip2 or xz."""

    def _fill(self, out: IO[bytes]) -> None:
        opener = compression(self.path)
        if opener is None:
            raise InputError(f"{self.path} changed while it was read", action="run again")
        with opener(self.path) as stream:
            shutil.copyfileobj(stream, out, _CHUNK)
        if out.tell() < self.nbytes:
            raise EOFError(f"{out.tell()} bytes of {self.nbytes}")


class TileSpool(_Spool):
    """One tile-compressed image of a FITS file (``.fz``), stored as big-endian floats."""

    def __init__(self, path: str, hdu: int, shape: tuple[int, ...], stored: str) -> None:
        super().__init__(path, int(np.prod(shape, dtype=np.int64)) * np.dtype(stored).itemsize)
        self.hdu = hdu
        self.shape = shape
        self.stored = stored

    def _fill(self, out: IO[bytes]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(self.path, memmap=False) as hdus:
                image = hdus[self.hdu]
                step = self._step(image)
                for start in range(0, self.shape[0], step):
                    block = image.section[start : start + step]
                    out.write(np.ascontiguousarray(block, dtype=self.stored).tobytes())

    def _step(self, image: Any) -> int:
        # whole tiles, so that no tile is decompressed twice
        tile = int(image.tile_shape[0])
        plane = int(np.prod(self.shape[1:], dtype=np.int64)) * 8
        return tile * max(1, _CHUNK * 4 // max(1, tile * plane))
