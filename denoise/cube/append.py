"""Add an image to a FITS file that is complete: the file with it replaces the file without it in one step."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
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
from denoise.cube.cards import BLOCK, header_bytes
from denoise.cube.core import Cube
from denoise.cube.headers import extension_header
from denoise.cube.regions import Region, blocks
from denoise.errors import DenoiseError, ResourceError, UsageError

_STORED = ">f4"
_BLOCK = 1 << 22  # voxels
_SLACK = 1 << 20


def append_image(
    path: str | Path,
    cube: Cube,
    name: str,
    block_of: Callable[[Region], NDArray[Any]],
    *,
    unit: str = "",
    cards: Mapping[str, Any] | None = None,
) -> Path:
    """Append an image as large as the data, float32, with the coordinates of the data, block by block.

    Parameters
    ----------
    path : str or Path
        An output of this package in FITS.
    cube : Cube
        Its data.
    name : str
        EXTNAME.
    block_of : callable
        Gives the block (channel, y, x) of a region.
    unit : str
        BUNIT.
    cards : mapping, optional
        More header cards.

    Raises
    ------
    UsageError
        The file is not FITS.
    ResourceError
        Not enough space, or it cannot be written; the file is as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(
            f"{name} is written to FITS files only", value=path.name, action="name a .fits output"
        )
    axes = cube.axes.output()
    header = header_bytes(
        extension_header(cube, axes, _STORED, name=name, unit=unit, extra=dict(cards or {}))
    )
    start = path.stat().st_size
    image = StoredImage(start + len(header), _STORED, axes)
    size = image.offset + image.nbytes + (-image.nbytes % BLOCK)
    _check_space(path, size)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(path, part)
        handle = os.open(part, os.O_RDWR)
        try:
            allocate(handle, size)
            write_all(handle, memoryview(header), start)
        finally:
            os.close(handle)
        writer = BlockWriter(os.fspath(part), {name: image})
        for region in blocks(cube.shape, voxels=_BLOCK):
            writer.write(name, region, np.asarray(block_of(region), np.float32))
        publish(part, path, overwrite=True)
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, DenoiseError):
            raise
        raise write_error(error, path) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _check_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size + _SLACK:
        raise ResourceError(
            f"not enough space in {path.parent} to add to {path.name}",
            value=f"{free} bytes free, {size + _SLACK} needed",
            action="free space",
        )
