"""Where pixels come from: arrays, raw images inside files, and compressed files spooled to scratch.

Every source is lazy and picklable, opens its file for each block, and returns a fresh, native-endian,
C-contiguous block (channel, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise.cube.axes import AxisMap, plain_axes
from denoise.cube.rawread import read_slices
from denoise.cube.regions import Region, Shape, check_region
from denoise.errors import InputError, UsageError


@runtime_checkable
class PixelSource(Protocol):
    """What the package reads pixels from.

    Attributes
    ----------
    shape : tuple of int
        (channel, y, x); companions may have length 1 where they are the same along an axis.
    dtype : dtype
        float32 or float64: what `read` returns.
    """

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region (channel, y, x), a new array, NaN where there is no data."""


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Dtype that pixels of a given dtype come out as: float64 stays, everything else becomes float32.

    Raises
    ------
    InputError
        The dtype is not a number (complex, text, objects).
    """
    given = np.dtype(dtype)
    if given.kind not in "fiub":
        raise InputError("the pixels are not real numbers", value=given.name, action="give real numbers")
    return np.dtype(np.float64 if given.kind == "f" and given.itemsize >= 8 else np.float32)


@dataclass(frozen=True)
class ArraySource:
    """An array in memory, or anything that is sliced like one (memmap, zarr, dask).

    Parameters
    ----------
    array : array-like, shape (channel, y, x)
        Not copied and never written to.
    """

    array: Any

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        c, y, x = (int(n) for n in self.array.shape)
        return c, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return float_dtype(self.array.dtype)

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region, copied."""
        part = self.array[check_region(region, self.shape)]
        return np.array(part, dtype=self.dtype, order="C", copy=True)


@dataclass(frozen=True)
class AxesSource:
    """An array with other axes or another order, seen as (channel, y, x)."""

    array: Any
    axes: AxisMap

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.axes.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return float_dtype(self.array.dtype)

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region, copied."""
        part = self.array[self.axes.file_slices(check_region(region, self.shape))]
        return np.array(self.axes.of_part(np.asarray(part)), dtype=self.dtype, order="C", copy=True)


@dataclass(frozen=True)
class RawSource:
    """An uncompressed image inside a file, read block by block.

    Parameters
    ----------
    path : str
        The file.
    offset : int
        First byte of the image.
    stored : str
        dtype in the file, with its byte order, for example ``>f4``.
    axes : AxisMap
        What the axes of the image are.
    out : str
        dtype of the blocks.
    scale, zero : float
        BSCALE and BZERO.
    blank : int or None
        Integer that stands for "no data"; becomes NaN.
    """

    path: str
    offset: int
    stored: str
    axes: AxisMap
    out: str
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.axes.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return np.dtype(self.out)

    @property
    def nbytes(self) -> int:
        """Size of the image in the file."""
        return int(np.prod(self.axes.file_shape, dtype=np.int64)) * np.dtype(self.stored).itemsize

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region, scaled, NaN where blank.

        Raises
        ------
        InputError
            The file has gone or has become shorter since it was opened.
        """
        slices = self.axes.file_slices(check_region(region, self.shape))
        try:
            part = read_slices(self.path, self.offset, self.stored, self.axes.file_shape, slices)
        except (OSError, EOFError) as error:
            raise InputError(
                f"cannot read pixels of {self.path}",
                value=getattr(error, "strerror", None) or error,
                action="the file changed or went away: check it",
            ) from error
        return self._scaled(self.axes.of_part(part))

    def _scaled(self, stored: NDArray[Any]) -> NDArray[Any]:
        if self.blank is None and self.scale == 1.0 and self.zero == 0.0:
            return np.ascontiguousarray(stored, dtype=self.dtype)
        # float64: BZERO of unsigned integers and tiny BSCALE on 32-bit integers do not fit float32
        values = np.array(stored, dtype=np.float64, order="C", copy=True)
        values *= self.scale
        values += self.zero
        if self.blank is not None:
            values[stored == self.blank] = np.nan
        return values.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class NpySource:
    """A ``.npy`` file; opened for each block."""

    path: str
    axes: AxisMap
    out: str

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.axes.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return np.dtype(self.out)

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region, copied."""
        array = open_npy(self.path)
        part = self.axes.from_file(array, check_region(region, self.shape))
        return np.array(part, dtype=self.dtype, order="C", copy=True)


def open_npy(path: str | Path) -> NDArray[Any]:
    """Memory map of a ``.npy`` file; objects are never unpickled.

    Raises
    ------
    InputError
        It is not an array file.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}", value=error, action="give a .npy file of numbers") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"cannot read {path}", value="an .npz archive", action="give one array as .npy")
    return array


@dataclass(frozen=True)
class SpooledSource:
    """An image inside a compressed file: the file is decompressed to scratch at the first block."""

    image: RawSource
    spool: Spool

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.image.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return self.image.dtype

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region."""
        return replace(self.image, path=self.spool.prepare()).read(region)


class Spool(Protocol):
    """Something that makes a plain file of a compressed one, once."""

    nbytes: int

    def prepare(self, directory: str | None = None) -> str:
        """Path of the plain file; made at the first call."""


@dataclass(frozen=True)
class MappedSource:
    """A source whose blocks go through a pure function, for example a unit factor."""

    source: PixelSource
    function: Callable[[NDArray[Any]], NDArray[Any]]

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        return self.source.dtype

    def read(self, region: Region) -> NDArray[Any]:
        """Block of this region after the function."""
        return self.function(self.source.read(region))


def broadcast_region(region: Region, shape: Shape) -> Region:
    """Region of a companion whose axes of length 1 stand for the whole axis of the cube."""
    c, y, x = (slice(0, 1) if n == 1 else part for part, n in zip(region, shape, strict=True))
    return c, y, x


def check_broadcast(shape: Shape, cube: Shape, what: str) -> None:
    """Refuse a companion that does not fit the cube.

    Raises
    ------
    UsageError
        A length is neither 1 nor that of the cube.
    """
    if any(n not in (1, m) for n, m in zip(shape, cube, strict=True)):
        raise UsageError(
            f"{what} does not fit the cube of shape {cube}",
            value=shape,
            action="give the same (channel, y, x), or length 1 where it is constant",
        )


def as_source(data: Any, *, what: str = "the data") -> PixelSource:
    """Source of an array of 2 (y, x), 3 (channel, y, x) or more axes when the leading ones have length 1.

    Raises
    ------
    InputError
        Not real numbers, fewer than two axes, or more than three real ones.
    """
    if isinstance(data, PixelSource) and not isinstance(data, np.ndarray):
        return data
    array = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
    float_dtype(array.dtype)
    shape = tuple(int(n) for n in array.shape)
    if len(shape) < 2 or any(n == 0 for n in shape) or any(n > 1 for n in shape[:-3]):
        raise InputError(
            f"{what} is not a cube or an image",
            value=f"shape {shape}",
            action="give (channel, y, x) or (y, x)",
        )
    if len(shape) == 3:
        return ArraySource(array)
    if len(shape) == 2:
        return AxesSource(array, plain_axes((1, *shape), image=True))
    lead = len(shape) - 3
    return AxesSource(array, AxisMap(shape, lead, lead + 1, lead + 2, dict.fromkeys(range(lead), 0)))
