"""Read Zarr: plain arrays, and groups that `zarr_writer` made, with the header, beams and error they carry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table

from denoise.cube.arguments import NoiseSource
from denoise.cube.axes import find_axes
from denoise.cube.core import Cube
from denoise.cube.provenance import Provenance
from denoise.cube.sources import AxesSource
from denoise.cube.zarr_writer import BEAMS, CARDS, PROVENANCE, import_zarr
from denoise.errors import InputError, UsageError


def is_zarr(path: str | Path) -> bool:
    """Whether a path is a Zarr array or group."""
    return os.path.isdir(path) and any(
        os.path.exists(os.path.join(path, n)) for n in ("zarr.json", ".zarray", ".zgroup")
    )


def open_zarr(path: str, name: int | str | None) -> Any:
    """The array of this name, or the first with two axes longer than 1.

    Raises
    ------
    InputError
        No such array in the group.
    UsageError
        `name` is not one of them.
    """
    node: Any = import_zarr(path).open(path, mode="r")
    if hasattr(node, "ndim"):
        return node
    arrays = {str(k): a for k, a in node.arrays() if sum(n > 1 for n in a.shape) >= 2}
    if name is not None and str(name) not in arrays:
        raise UsageError(
            f"{path} has no array {name}", value=", ".join(arrays), action="give a name of these with --hdu"
        )
    if not arrays:
        raise InputError(f"{path} holds no array with two axes longer than 1", action="give a zarr array")
    return arrays[str(name)] if name is not None else arrays.get("DATA", next(iter(arrays.values())))


def zarr_cube(path: str, name: int | str | None, options: dict[str, Any], *, mask: Any) -> Cube:
    """Cube of a Zarr array; of a group written by this package also its metadata.

    Parameters
    ----------
    path, name
        See `open_zarr`.
    options : dict
        Of `Cube`; they win over what the group says.
    mask
        Of `Cube`.
    """
    array = open_zarr(path, name)
    if CARDS not in array.attrs:
        return Cube(array, mask=mask, path=path, **options)
    header = _header(array)
    axes = find_axes(array.shape, header, where=Path(path).name)
    group: Any = import_zarr(path).open(path, mode="r")
    if options["noise"] is None and "UNCERT" in group and array.basename == "DATA":
        options = {**options, "noise": NoiseSource("sigma", AxesSource(group["UNCERT"], axes), "UNCERT")}
    return Cube(
        AxesSource(array, axes),
        mask=mask,
        path=path,
        header=header,
        axes=axes,
        beam_table=_table(group.attrs.get(BEAMS)),
        **options,
    )


def zarr_provenance(path: str | Path) -> Provenance:
    """Provenance of a group written by this package.

    Raises
    ------
    InputError
        It has none.
    """
    parts: Any = import_zarr(path).open(os.fspath(path), mode="r").attrs.get(PROVENANCE)
    if parts is None:
        raise InputError(f"{path} has no provenance", action="give a file written by this package")
    return Provenance(parts["science"], parts["run"])


def _header(array: Any) -> fits.Header:
    return fits.Header.fromstring("".join(array.attrs[CARDS]))


def _table(columns: Any) -> Table | None:
    if columns is None:
        return None
    return Table(
        [
            Column(np.asarray(one["values"]), name=name, unit=one["unit"] or None)
            for name, one in columns.items()
        ]
    )
