"""Two layers against each other: what can be compared, their difference in sigma, and the part of a cube in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, PixelSource, Region
from denoise.errors import UsageError
from denoise.noise import NoiseModel
from napari_denoise.layers import Entry
from napari_denoise.world import World

SIDE = 128  # pixels: most of a preview's width and height
CONTEXT = 8  # channels on both sides of the one that is shown
_LEAST = 48  # pixels: a smaller box holds too little noise to judge a method by
_SAME = 0.5  # of a pixel: a larger shift between two layers is one


class DifferenceInSigma:
    """Pixels of (first - second) / sigma, read when they are shown.

    Parameters
    ----------
    first, second : PixelSource or Cube
        Of one shape (channel, y, x) and one unit.
    noise : NoiseModel
        Of the input, in that unit, for the same shape.
    """

    def __init__(self, first: PixelSource | Cube, second: PixelSource | Cube, noise: NoiseModel) -> None:
        self._first = first
        self._second = second
        self._noise = noise
        self.shape = first.shape
        self.dtype = np.dtype(np.float32)

    def read(self, region: Region) -> NDArray[np.float32]:
        """The difference over `region` (channel, y, x) in sigma; NaN where either is NaN or sigma unknown or zero."""
        # in double precision: fluxes of 1e-20 squared, or in other units, have no place in float32
        change = np.asarray(self._first.read(region), np.float64) - self._second.read(region)
        sigma = np.asarray(self._noise.sigma(region), np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = change / sigma
        found[~(sigma > 0) | ~np.isfinite(found)] = np.nan
        return np.asarray(found, np.float32)


def check_pair(first: Entry | None, second: Entry | None, *, units: bool = True) -> tuple[Entry, Entry]:
    """The two entries, if they can be laid over each other.

    Parameters
    ----------
    first, second : Entry or None
        What the chosen layers show.
    units : bool
        Whether they must have one unit too.

    Raises
    ------
    UsageError
        Nothing is chosen, twice the same, other shapes, other places, or other units.
    """
    if first is None or second is None:
        raise UsageError("two layers are needed", action="open a cube, denoise it, and choose A and B")
    if first is second:
        raise UsageError("A and B are the same layer", action="choose two layers")
    if first.cube.shape != second.cube.shape:
        seen = f"{_times(first.cube.shape)} and {_times(second.cube.shape)} voxels"
        raise UsageError("A and B differ in shape", value=seen, action="choose two layers of one cube")
    if not same_place(first.world, second.world, first.cube.shape):
        raise UsageError("A and B lie at different places", action="choose two layers of one field")
    if units:
        check_units(first, second)
    return first, second


def check_units(first: Entry, second: Entry) -> None:
    """Refuse values that have no unit in common.

    Raises
    ------
    UsageError
        One of them is for display only, or the units differ.
    """
    if "display" in (first.role, second.role):
        raise UsageError(
            "a layer for display only has no unit", action="compare it by eye: blink, wipe, side by side"
        )
    units = first.cube.unit_text, second.cube.unit_text
    if units[0] != units[1]:
        raise UsageError(
            "A and B differ in unit",
            value=" and ".join(u or "none" for u in units),
            action="choose two cubes of one unit",
        )


def same_place(first: World, second: World, shape: tuple[int, int, int]) -> bool:
    """Whether the corners of a cube of `shape` lie within half a pixel of each other in both maps."""
    size = np.abs(first.matrix).sum(axis=1)
    start = np.abs(first.origin - second.origin)
    steps = np.abs(first.matrix - second.matrix) @ (np.array(shape, float) - 1)
    return first.units == second.units and bool((start + steps <= _SAME * size).all())


def input_of(first: Entry, second: Entry | None = None) -> Cube | None:
    """The input that the layers come from: of an input layer itself, else the source of a result; None: not known."""
    pair = [one for one in (first, second) if one is not None]
    found = [one.cube for one in pair if one.role == "input"]
    found += [one.source for one in pair if one.source is not None]
    return found[0] if found else None


def known_noise(*entries: Entry | None) -> NoiseModel | None:
    """The noise that a run of one of the layers has used, in the unit of the data and for its shape; or None."""
    for entry in entries:
        result = None if entry is None else entry.result
        # the noise of a run on stabilised counts is in another unit
        if entry is not None and result is not None and result.stabiliser is None:
            noise: NoiseModel = result.noise
            if noise.shape == entry.cube.shape:
                return noise
    return None


def viewed_region(
    shape: tuple[int, int, int],
    channel: int,
    corners: NDArray[Any] | None = None,
    *,
    side: int = SIDE,
    context: int = CONTEXT,
) -> Region:
    """The part of a cube to try methods on: what is in view around a channel.

    Parameters
    ----------
    shape : tuple of int
        Of the cube (channel, y, x).
    channel : int
        The channel that is shown.
    corners : ndarray, shape (2, 2), optional
        First and last visible pixel (y, x); they may lie outside. None: the whole field.
    side : int
        Most pixels along y and x: of a larger view, its middle. A field that is not larger is taken whole.
    context : int
        Channels on both sides; fewer than that on one side at the ends of the cube are made up on the other.

    Returns
    -------
    Region
        Inside the cube.
    """
    nchan, ny, nx = shape
    low, high = ((0, 0), (ny - 1, nx - 1)) if corners is None else np.asarray(corners, float)
    depth = min(nchan, 2 * context + 1)
    first = min(max(0, channel - context), nchan - depth)
    return (
        slice(first, first + depth),
        _span(ny, float(low[0]), float(high[0]), side),
        _span(nx, float(low[1]), float(high[1]), side),
    )


def _span(size: int, low: float, high: float, side: int) -> slice:
    """Pixels of one axis around the middle of what is in view."""
    if size <= side:
        return slice(0, size)
    low, high = (min(max(0.0, v), size - 1.0) for v in sorted((low, high)))
    width = min(side, size, max(_LEAST, round(high - low) + 1))
    first = round((low + high + 1 - width) / 2)
    first = min(max(0, first), size - width)
    return slice(first, first + width)


def part_of(world: World, region: Region, *, image: bool) -> World:
    """The map of a part of a cube, at the same place and with the same zero of the offsets as the whole.

    Parameters
    ----------
    world : World
        Of the whole cube.
    region : Region
        The part (channel, y, x).
    image : bool
        Whether the part has one channel only.
    """
    start = np.array([s.start for s in region], float)
    spectral = replace(
        world.spectral, values=world.spectral.values[region[0]], width=world.spectral.width[region[0]]
    )
    centre = world.sky.centre[0] - start[2], world.sky.centre[1] - start[1]
    return replace(
        world,
        origin=world.origin + world.matrix @ start,
        spectral=spectral,
        sky=replace(world.sky, centre=centre),
        image=image,
    )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
