"""A tile that the memory of a device, or of this machine, does not hold is denoised in halves, and those in halves.

The engine cannot know what a method takes on a device that others use too. Which errors mean that memory ran out is
told by their class and words: no library of a device is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Region
from denoise.engine.bootstrap import Drawn, WithErrors
from denoise.engine.plan import Shape, Tile, region_shape
from denoise.errors import ResourceError
from denoise.methods import Denoiser, Estimate
from denoise.noise import NoiseModel

Floats = NDArray[np.floating]
Part = tuple[Tile, Estimate]

MERGE: dict[str, Callable[[float, float], float]] = {"sum": lambda a, b: a + b, "max": max, "worst": min}

# allocators of torch and of its CUDA libraries, of C++
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "bad_alloc")
_HELPS = 0.9  # a half that needs more than this share of the whole is no help: it is nearly all halo


class CoreEstimate(NamedTuple):
    """What a method makes of the core of a tile: as in `Estimate`, over the core alone.

    `drawn`: what draws of the noise say of sums over it; None without draws. `short`: what was said when the memory ran
    out; "" if it did not.
    """

    data: Floats
    variance: Floats | None
    support: NDArray[np.bool_] | None
    numbers: Mapping[str, float]
    drawn: Drawn | None = None
    short: str = ""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory: MemoryError, or what torch and CUDA libraries raise."""
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or any(words in said for words in _WORDS)
    )


def estimate_core(
    apply: Callable[[Tile, Floats, NoiseModel], Estimate],
    tile: Tile,
    block: Floats,
    noise: NoiseModel,
    halo: Shape,
    denoiser: Denoiser,
) -> CoreEstimate:
    """Denoise a tile, in parts with the whole halo each where the memory does not suffice.

    Parameters
    ----------
    apply : callable
        Denoises a block, given the tile whose outer region it is, and its noise model.
    tile : Tile
        The tile.
    block : ndarray, shape (channel, y, x)
        Its outer region.
    noise : NoiseModel
        Of the whole cube, in the unit of the block.
    halo : tuple of int
        Of the method; every part keeps it.
    denoiser : Denoiser
        Says how its numbers are merged.

    Raises
    ------
    ResourceError
        Not even parts with little more than their halo fit.
    """
    parts, short = [], ""
    todo = [tile]
    while todo:
        part = todo.pop(0)
        estimate, said = _attempt(
            apply, part, block[_inside(part.outer, tile.outer)], noise.window(part.outer)
        )
        if estimate is None:
            todo = _halves(part, halo, said) + todo
            short = short or said
        else:
            parts.append((part, estimate))
    return _joined(tile, parts, denoiser)._replace(short=short)


def _attempt(
    apply: Callable[[Tile, Floats, NoiseModel], Estimate], part: Tile, block: Floats, noise: NoiseModel
) -> tuple[Estimate | None, str]:
    try:
        return apply(part, block, noise), ""
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        # the words alone: the error holds the frames, and with them the memory, of what failed
        return None, " ".join(str(error).split()) or type(error).__name__


def _halves(tile: Tile, halo: Shape, said: str) -> list[Tile]:
    """The tile cut across the axis that makes the larger half smallest."""
    cuts = [_cut(tile, halo, axis) for axis in range(3) if tile.core[axis].stop - tile.core[axis].start > 1]
    best = min(cuts, key=_largest, default=[tile])
    if _largest(best) > _HELPS * prod(tile.outer_shape):
        size = " x ".join(map(str, tile.outer_shape))
        raise ResourceError(
            f"the memory does not hold a tile of {size}, and its halves are nearly all halo",
            value=said,
            action="free memory, or choose a method or parameters with a smaller halo",
        )
    return best


def _largest(tiles: list[Tile]) -> int:
    return max(prod(tile.outer_shape) for tile in tiles)


def _cut(tile: Tile, halo: Shape, axis: int) -> list[Tile]:
    whole = tile.core[axis]
    middle = (whole.start + whole.stop) // 2
    return [_part(tile, halo, axis, half) for half in (slice(whole.start, middle), slice(middle, whole.stop))]


def _part(tile: Tile, halo: Shape, axis: int, core: slice) -> Tile:
    limits = tile.outer[axis]
    outer = slice(max(limits.start, core.start - halo[axis]), min(limits.stop, core.stop + halo[axis]))
    return Tile(_with(tile.core, axis, core), _with(tile.outer, axis, outer))


def _with(region: Region, axis: int, part: slice) -> Region:
    c, y, x = (part if number == axis else old for number, old in enumerate(region))
    return c, y, x


def _inside(region: Region, outer: Region) -> Region:
    return Tile(region, outer).inner


def _joined(tile: Tile, parts: list[Part], denoiser: Denoiser) -> CoreEstimate:
    sums = [one.drawn for _, one in parts if isinstance(one, WithErrors)]
    drawn = reduce(Drawn.plus, sums) if sums else None
    if len(parts) == 1:
        only = parts[0][1]
        return CoreEstimate(
            only.data[tile.inner],
            None if only.variance is None else only.variance[tile.inner],
            None if only.support is None else only.support[tile.inner],
            only.diagnostics,
            drawn,
        )
    numbers: dict[str, float] = {}
    for _, estimate in parts:
        merge_numbers(numbers, estimate.diagnostics, denoiser)
    return CoreEstimate(
        _filled(tile, ((part, one.data) for part, one in parts)),
        _filled(tile, ((part, one.variance) for part, one in parts)),
        _filled(tile, ((part, one.support) for part, one in parts)),
        numbers,
        drawn,
    )


def _filled(tile: Tile, parts: Iterator[tuple[Tile, NDArray[Any] | None]]) -> Any:
    """The cores of the parts in one array; None where a part has none."""
    whole = None
    for part, block in parts:
        if block is None:
            return None
        if whole is None:
            whole = np.empty(region_shape(tile.core), block.dtype)
        whole[_inside(part.core, tile.core)] = block[part.inner]
    return whole


def merge_numbers(known: dict[str, float], more: Mapping[str, float], denoiser: Denoiser) -> None:
    """Add the numbers of a block to those known, each by the reduction that the method declares."""
    for name, value in more.items():
        how = denoiser.info.diagnostics[name]
        known[name] = value if name not in known else MERGE[how](known[name], value)
