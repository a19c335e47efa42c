"""A method on a corner of the cube, within a second: the engine on a crop, with the noise of the whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoise.cube import Cube, Region
from denoise.cube.crop import crop
from denoise.engine import CancelToken, RunOptions
from denoise.engine.conditioning import resolve_continuum
from denoise.engine.progress import Monitor
from denoise.noise import NoiseModel
from napari_denoise.part import held, run_part

_AROUND = 16  # pixels beside the box that the method sees too
_VOXELS = 1 << 20  # denoised at most; fewer channels where the box is large
_LEAST = 16  # channels


@dataclass(frozen=True, eq=False)
class Preview:
    """What a method makes of a box.

    Attributes
    ----------
    region : Region
        The box and the channels, in the cube.
    cube : Cube
        Its result: shape of `region`.
    result : Result
        Of the run on the crop around it.
    seconds : float
    """

    region: Region
    cube: Cube
    result: Any
    seconds: float


def region_of(cube: Cube, box: tuple[slice, slice], channel: int, options: RunOptions) -> Region:
    """The box, the current channel and as many around it as a second allows; all where a continuum is subtracted."""
    pixels = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    channels = cube.shape[0]
    count = min(channels, max(_LEAST, _VOXELS // pixels))
    if resolve_continuum(cube, options.continuum) != "none":
        count = channels
    first = min(max(0, channel - count // 2), channels - count)
    return slice(first, first + count), *box


def preview(
    cube: Cube, noise: NoiseModel, options: RunOptions, region: Region, token: CancelToken | None = None
) -> Preview:
    """Run a method on a region.

    Parameters
    ----------
    cube : Cube
        Shape (channel, y, x).
    noise : NoiseModel
        Of the whole cube.
    options : RunOptions
        What to do. What a method learns from a cube (components, scales) it learns from the crop here.
    region : Region
        What is wanted; the method sees some pixels more around it.
    token : CancelToken, optional

    Raises
    ------
    DenoiseError
        As a run: no data in the region, a parameter out of range.
    """
    start = time.perf_counter()
    outer = _with_margin(region, cube.shape)
    quick = options.model_copy(update={"uncertainty": 0})  # errors would take many times as long
    result = run_part(held(cube, outer), noise.window(outer), quick, Monitor(None, token))
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, outer, strict=True))
    cube_part = crop(result.cube, (inner[0], inner[1], inner[2]))
    pixels = np.ascontiguousarray(cube_part.data)
    return Preview(region, cube_part.with_pixels(pixels), result, time.perf_counter() - start)


def _with_margin(region: Region, shape: tuple[int, int, int]) -> Region:
    rows, columns = (
        slice(max(0, part.start - _AROUND), min(size, part.stop + _AROUND))
        for part, size in zip(region[1:], shape[1:], strict=True)
    )
    return region[0], rows, columns
