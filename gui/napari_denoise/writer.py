"""Save a layer as FITS or Zarr, with the header and the coordinates of the cube it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from denoise.cube import Cube, write
from denoise.errors import UsageError
from napari_denoise.layers import KEY, Entry


def write_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Save one image layer.

    A denoised layer brings its whole run: residual, noise, error bar where there is one, and provenance. Any other
    layer of ours is written with the header of its cube, one of another plugin without coordinates.

    Parameters
    ----------
    path : str
        Ends in ``.fits`` or ``.zarr``; an existing file is refused.
    data : array
        Of the layer: two or three axes.
    meta : dict
        napari's: its ``metadata`` names the cube.

    Raises
    ------
    OutputExistsError
        The file exists.
    UsageError
        The layer has more than three axes, or Zarr was asked for and it is no denoised one.
    """
    entry = meta.get("metadata", {}).get(KEY)
    if isinstance(entry, Entry) and entry.result is not None and entry.role in ("denoised", "display"):
        return [str(save_result(entry.result, path))]
    if isinstance(entry, Entry):
        cube = entry.cube
    else:
        if np.ndim(data) not in (2, 3):
            raise UsageError(
                "the layer is no cube and no image", value=f"{np.ndim(data)} axes", action="save one channel"
            )
        cube = Cube(np.asarray(data), name=Path(path).name)
    if path.lower().endswith(".zarr"):
        raise UsageError(
            "Zarr is for denoised layers", value=Path(path).name, action="save this layer as .fits"
        )
    write(cube, path)
    return [path]


def save_result(result: Any, path: str | Path, *, overwrite: bool = False) -> Path:
    """A run as ``denoise run`` writes it: residual, noise, and the error bar where there is one."""
    save = ("residual", "noise") if result.uncertainty is None else ("uncert", "residual", "noise")
    written: Path = result.write(path, save=() if result.display else save, overwrite=overwrite)
    return written
