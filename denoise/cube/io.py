"""Read and write cubes: one function each, whatever the file is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denoise.cube.arguments import NoiseSource
from denoise.cube.core import Cube
from denoise.cube.crop import crop as cut
from denoise.cube.crop import crop_region
from denoise.cube.fits_reader import OpenedFits, open_fits
from denoise.cube.masks import SourceMask
from denoise.cube.regions import blocks
from denoise.cube.sources import AxesSource, NpySource, PixelSource, as_source, float_dtype, open_npy
from denoise.cube.zarr_reader import is_zarr, open_zarr, zarr_cube
from denoise.errors import InputError

_NO_MASK = ("none", "off")
_WITH_HDU = re.compile(r"^(?P<path>.+)\[(?P<hdu>[^\[\]]+)\]$")
_BLOCK = 1 << 22


def read(
    path: str | Path,
    *,
    hdu: int | str | None = None,
    stokes: int | str | None = None,
    mask: Any = None,
    exclude: Any = None,
    noise: Any = None,
    noise_kind: str | None = None,
    gain: Any = None,
    beam: Any = None,
    rest: Any = None,
    psf: Any = None,
    crop: str | None = None,
) -> Cube:
    """Open a cube or an image; headers are read now, pixels when they are asked for.

    FITS with any number of axes when two or three are longer than 1, in any order; ``.gz``, ``.bz2``, ``.xz``
    and tile-compressed ``.fz``; ``.npy``; zarr arrays, and the groups that this package writes.

    Parameters
    ----------
    path : str or Path
        The file.
    hdu : int or str, optional
        Number or name of the HDU (or of the array in a zarr group); default: SCI, DATA or FLUX, else the
        first image.
    stokes : int or str, optional
        Plane of a real Stokes axis: a number from 0, or a name such as "I".
    mask : str, array-like or False, optional
        Voxels without coverage: a file or an array, any value but 0 marks a voxel. By default a DQ or MASK
        companion in the file is used; False or "none" ignores it. NaN are always without coverage.
    exclude : str, array-like or a list of them, optional
        Voxels not used in estimation: a file, an array, or ranges (see `excluded_channels`).
    noise : str, array-like or NoiseSource, optional
        Noise of the data; wins over a STAT, ERR or weight companion in the file.
    noise_kind : {"sigma", "variance", "weight"}, optional
        What the noise is; wins over what its unit and name say.
    gain : str or array-like, optional
        Primary beam response of data corrected for it.
    beam : optional
        See `Cube`; wins over the header.
    rest : str or Quantity, optional
        Rest frequency or wavelength; wins over the header.
    psf : str or array-like, optional
        Point spread function.
    crop : str, optional
        The part to keep, see `crop_region`; companions are given for the whole and cut with it.

    A file name may carry its HDU: ``"noise.fits[STAT]"``.

    Returns
    -------
    Cube
        Lazy and picklable.

    Raises
    ------
    InputError
        The file cannot be read, or holds no cube or image.
    UsageError
        An option does not fit the file.
    """
    cube = _open(path, hdu, stokes, mask, exclude, noise, noise_kind, gain, beam, rest, psf)
    return cube if crop is None else cut(cube, crop_region(crop, cube))


def _open(
    path: str | Path,
    hdu: int | str | None,
    stokes: int | str | None,
    mask: Any,
    exclude: Any,
    noise: Any,
    noise_kind: str | None,
    gain: Any,
    beam: Any,
    rest: Any,
    psf: Any,
) -> Cube:
    text, inner = _split_hdu(path)
    chosen = hdu if hdu is not None else inner
    options: dict[str, Any] = {
        "noise": _noise_option(noise, noise_kind, stokes),
        "noise_kind": noise_kind,
        "gain": _image_option(gain, stokes),
        "psf": _image_option(psf, stokes),
        "exclude": _exclude_option(exclude, stokes),
        "beam": beam,
        "rest": rest,
    }
    own_mask = _mask_option(mask, stokes)
    if is_zarr(text):
        return zarr_cube(text, chosen, options, mask=own_mask)
    if text.lower().endswith(".npy"):
        return Cube(_npy(text), mask=own_mask, path=text, **options)
    return _fits_cube(open_fits(text, hdu=chosen, stokes=stokes), mask, own_mask, options, text)


def read_checked(path: str | Path, **options: Any) -> Cube:
    """`read`, then one pass over the pixels: zeros outside the field become "no coverage".

    Raises
    ------
    InputError
        As `read`; also for one pixel, all NaN and all zero. Constant pixels can be read; a run refuses them.
    """
    return read(path, **options).checked(allow_constant=True)


def _fits_cube(opened: OpenedFits, mask: Any, own_mask: Any, options: dict[str, Any], path: str) -> Cube:
    ignore = mask is False or str(mask).lower() in _NO_MASK if isinstance(mask, (bool, str)) else False
    masks = [m for m in (None if mask is not None else opened.mask, own_mask) if m is not None and not ignore]
    if options["noise"] is None and opened.noise is not None:
        pixels, kind, label = opened.noise
        options = {**options, "noise": NoiseSource(kind, pixels, label)}
    return Cube(
        opened.source,
        mask=masks or None,
        header=opened.header,
        axes=opened.axes,
        layout=opened.layout,
        beam_table=opened.beams,
        spools=opened.spools,
        path=path,
        **options,
    )


def _split_hdu(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    text = os.fspath(path)
    match = _WITH_HDU.match(text)
    if match is None or os.path.exists(text):
        return text, None
    return match["path"], match["hdu"]


def _companion(path: str, stokes: int | str | None) -> PixelSource:
    text, inner = _split_hdu(path)
    if is_zarr(text):
        return as_source(open_zarr(text, inner))
    if text.lower().endswith(".npy"):
        return _npy(text)
    return open_fits(text, hdu=inner, stokes=stokes).source


def _image_option(value: Any, stokes: int | str | None) -> Any:
    return _companion(os.fspath(value), stokes) if isinstance(value, (str, os.PathLike)) else value


def _noise_option(value: Any, kind: str | None, stokes: int | str | None) -> Any:
    if not isinstance(value, (str, os.PathLike)):
        return value
    text, inner = _split_hdu(value)
    return NoiseSource(kind or "unknown", _companion(os.fspath(value), stokes), inner or Path(text).name)


def _mask_option(value: Any, stokes: int | str | None) -> Any:
    if value is None or value is False or (isinstance(value, str) and value.lower() in _NO_MASK):
        return None
    return SourceMask(_image_option(value, stokes)) if isinstance(value, (str, os.PathLike)) else value


def _exclude_option(value: Any, stokes: int | str | None) -> Any:
    if isinstance(value, (list, tuple)) and any(isinstance(v, (str, os.PathLike)) for v in value):
        return [_exclude_option(v, stokes) for v in value]
    if isinstance(value, os.PathLike) or (isinstance(value, str) and os.path.exists(_split_hdu(value)[0])):
        return SourceMask(_image_option(value, stokes))
    if isinstance(value, str) and value.lower().endswith((".fits", ".fits.gz", ".fit", ".npy")):
        raise InputError("cannot open the exclusion mask", value=value, action="check the name")
    return value


def _npy(path: str) -> NpySource:
    array = open_npy(path)
    source = as_source(array)
    if isinstance(source, AxesSource):
        return NpySource(path, source.axes, float_dtype(array.dtype).str)
    from denoise.cube.axes import plain_axes

    return NpySource(path, plain_axes(source.shape), float_dtype(array.dtype).str)


def write(
    cube: Cube,
    path: str | Path,
    *,
    overwrite: bool = False,
    extensions: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write a cube to FITS, block by block, with the cards and the axes of the file it came from.

    Parameters
    ----------
    extensions : mapping of str to Cube or ndarray, optional
        More images to write: cubes of the same shape are streamed.
    **options
        Passed to `CubeWriter`.

    Raises
    ------
    OutputExistsError
        The file is there and `overwrite` is false.
    ResourceError
        No space, or the folder cannot be written.
    """
    from denoise.cube.writer import CubeWriter

    streams = {k: v for k, v in (extensions or {}).items() if isinstance(v, Cube)}
    planned = {k: None if k in streams else v for k, v in (extensions or {}).items()}
    with CubeWriter(path, template=cube, extensions=planned, overwrite=overwrite, **options) as writer:
        for name, source in {"DATA": cube, **streams}.items():
            for region in blocks(cube.shape, voxels=_BLOCK):
                writer.write(name, region, source.read(region))
    return Path(path)
