"""The part of a cube about its brightest emission, for work that the whole is too large for."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from denoise.check.recovery.study import part_that_fits
from denoise.check.regions.null import part_of_rig
from denoise.check.rig import Rig
from denoise.cube import Region, blocks, full_region

Floats = NDArray[np.float64]

_BLOCK = 1 << 22  # voxels read at once
_NEARLY = 0.02  # of what is bright
_BRIGHT = 4.0  # sigma of a voxel that counts as bright


def brightest_part(rig: Rig, voxels: int) -> Region:
    """The part with at most so many voxels that holds most of what is bright; all of a cube that is no larger.

    All channels if it can be: the field is cut first, down to squares of 64 pixels, then the band.

    Parameters
    ----------
    rig : Rig
        Its data and their noise; voxels are bright above 4 sigma, by what they exceed it.
    voxels : int
        At least 1.
    """
    if prod(rig.shape) <= voxels:
        return full_region(rig.shape)
    lengths = [part.stop - part.start for part in part_that_fits(rig.shape, voxels)]
    sky, _ = _brightness(rig)
    y, x = _best(sky, (lengths[1], lengths[2]))
    rows, columns = slice(y, y + lengths[1]), slice(x, x + lengths[2])
    _, band = _brightness(part_of_rig(rig, (slice(0, rig.shape[0]), rows, columns)))
    (first,) = _best(band, (lengths[0],))
    return slice(first, first + lengths[0]), rows, columns


def _brightness(rig: Rig) -> tuple[Floats, Floats]:
    """What exceeds 4 sigma, in sigma: summed over the channels, shape (y, x), and over the sky, shape (channel,)."""
    sky, band = np.zeros(rig.shape[1:]), np.zeros(rig.shape[0])
    for region in blocks(rig.shape, voxels=_BLOCK):
        rig.monitor.check()
        with np.errstate(invalid="ignore", divide="ignore"):
            over = np.nan_to_num(rig.data(region) / rig.noise.sigma(region) - _BRIGHT, posinf=0.0)
        over = np.maximum(over, 0.0)
        sky[region[1:]] += over.sum(axis=0)
        band[region[0]] += over.sum(axis=(1, 2))
    return sky, band


def _best(values: Floats, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """First index of the window of these lengths with the largest sum.

    Of windows that hold nearly as much the one whose middle is nearest to the centre of what is bright.
    """
    total = np.pad(values, [(1, 0)] * values.ndim)
    for axis in range(values.ndim):
        total = np.cumsum(total, axis=axis)
    for axis, length in enumerate(lengths):
        count = total.shape[axis] - length
        total = np.take(total, np.arange(length, length + count), axis) - np.take(
            total, np.arange(count), axis
        )
    nearly = np.argwhere(total >= (1 - _NEARLY) * total.max())
    window = tuple(slice(at, at + length) for at, length in zip(nearly[0], lengths, strict=True))
    inside = values[window] if values[window].any() else np.ones(lengths)
    centre = [
        at
        + float(
            np.average(np.arange(length), weights=inside.sum(axis=tuple(np.delete(range(values.ndim), axis))))
        )
        for axis, (at, length) in enumerate(zip(nearly[0], lengths, strict=True))
    ]
    apart = nearly + (np.array(lengths) - 1) / 2 - centre
    return tuple(int(at) for at in nearly[np.argmin(np.square(apart).sum(axis=1))])
