"""Blocks to computed places of a file that is being made, and the file to its name when it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube.axes import AxisMap
from denoise.cube.regions import Region, Shape, check_region, outer_axes, region_shape, strides
from denoise.cube.sources import AxesSource
from denoise.errors import OutputExistsError, ResourceError, UsageError


@dataclass(frozen=True)
class StoredImage:
    """Where an image lies in the file, and how a block becomes its bytes."""

    offset: int
    stored: str
    axes: AxisMap
    power: int = 1  # 2: sigma is stored as variance, -2: as weight

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.axes.shape

    @property
    def nbytes(self) -> int:
        """Size without the padding."""
        return int(np.prod(self.axes.file_shape, dtype=np.int64)) * np.dtype(self.stored).itemsize

    def pieces(self, region: Region, block: NDArray[Any]) -> Iterator[tuple[int, memoryview]]:
        """Contiguous runs of a block: (offset in the file, bytes)."""
        values = block if self.power == 1 else np.asarray(block, dtype=np.float64) ** self.power
        ordered = np.ascontiguousarray(self.axes.to_file(values), dtype=self.stored)
        slices = self.axes.file_slices(region)
        outer = outer_axes(slices, self.axes.file_shape)
        size = np.dtype(self.stored).itemsize
        steps = strides(self.axes.file_shape, size)
        start = self.offset + sum(s.start * step for s, step in zip(slices, steps, strict=True))
        places = np.array(start)
        for count, step in zip(ordered.shape[:outer], steps, strict=False):
            places = places[..., None] + np.arange(count) * step
        # a tile of a large cube is hundreds of thousands of runs: nothing of numpy in the loop
        every, length = ordered.reshape(-1).data.cast("B"), ordered.nbytes // places.size
        for number, place in enumerate(places.ravel().tolist()):
            yield place, every[number * length : (number + 1) * length]


@dataclass(frozen=True)
class BlockWriter:
    """Writes regions of the images of an output that is being made; picklable, safe from several workers.

    Parameters
    ----------
    path : str
        The temporary file.
    images : mapping
        Where each image lies.
    """

    path: str
    images: Mapping[str, StoredImage]

    def write(self, name: str, region: Region, block: NDArray[Any]) -> int:
        """Write a block (channel, y, x) of one image; returns the number of voxels.

        Raises
        ------
        UsageError
            Unknown name, or the block does not fit the region.
        ResourceError
            The disk is full or has gone.
        """
        if name not in self.images:
            raise UsageError(
                "the output has no such image", value=name, action=f"use one of {', '.join(self.images)}"
            )
        image = self.images[name]
        checked = check_region(region, image.shape)
        if tuple(block.shape) != region_shape(checked):
            raise UsageError(
                "the block does not fit its region",
                value=f"{block.shape}, {region_shape(checked)}",
                action="write a block of the shape of its region (channel, y, x)",
            )
        try:
            handle = os.open(self.path, os.O_WRONLY)
            try:
                for offset, data in image.pieces(checked, block):
                    write_all(handle, data, offset)
            finally:
                os.close(handle)
        except OSError as error:
            raise write_error(error, self.path) from error
        return int(block.size)

    def view(self, name: str) -> AxesSource:
        """The pixels of an image as far as they are written, zeros elsewhere.

        The file stays readable through it after it got its final name, or was removed.

        Raises
        ------
        ResourceError
            The file has gone.
        """
        image = self.images[name]
        try:
            stored = np.memmap(
                self.path, dtype=image.stored, mode="r", offset=image.offset, shape=image.axes.file_shape
            )
        except OSError as error:
            raise write_error(error, self.path) from error
        return AxesSource(stored, image.axes)


def write_all(handle: int, data: memoryview, offset: int) -> None:
    """Write all bytes at an offset, however many calls it takes."""
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], offset + done)


def write_error(error: OSError, path: str | Path) -> ResourceError:
    """What to tell the user when the system refuses to write."""
    what = (
        "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "the output cannot be written"
    )
    return ResourceError(
        f"{what}: {path}", value=error.strerror or error, action="free space or choose another folder"
    )


def allocate(handle: int, size: int) -> None:
    """Reserve the whole file now, so that a full disk shows before the work."""
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.ftruncate(handle, size)  # a file system that cannot reserve space


def publish(temporary: Path, final: Path, *, overwrite: bool) -> None:
    """Give a complete file its name in one step.

    Raises
    ------
    OutputExistsError
        The name was taken meanwhile and `overwrite` is false.
    """
    if overwrite:
        os.replace(temporary, final)
        return
    try:
        os.link(temporary, final)  # fails if the name is taken, unlike rename
    except FileExistsError as error:
        raise OutputExistsError(
            "the output was made by another program", value=final, action="choose another name"
        ) from error
    except OSError:  # a file system without hard links
        if final.exists():
            raise OutputExistsError("the output exists", value=final, action="choose another name") from None
        os.rename(temporary, final)
        return
    temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the new name survive a crash, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EROFS):
            raise
    finally:
        os.close(handle)
