"""Cut a cube into tiles that fit the memory budget: cores, each read with the halo the method asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod

import numpy as np

from denoise.cube import Cube
from denoise.errors import ResourceError
from denoise.methods import Denoiser
from denoise.noise import NoiseModel, memory_of_estimate
from denoise.transforms import detection

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]

MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Tile:
    """One unit of work: `core` is written, `outer` (core and halo, cut at the cube's edge) is read."""

    core: Region
    outer: Region

    @property
    def inner(self) -> Region:
        """Where the core lies inside the outer block."""
        pairs = zip(self.core, self.outer, strict=True)
        c, y, x = (slice(core.start - outer.start, core.stop - outer.start) for core, outer in pairs)
        return c, y, x

    @property
    def outer_shape(self) -> Shape:
        """Shape (channel, y, x) of the block that is read."""
        return region_shape(self.outer)


@dataclass(frozen=True)
class Plan:
    """How a cube is worked through, and what it costs.

    Attributes
    ----------
    shape : tuple of int
        The cube (channel, y, x).
    core : tuple of int
        Largest core of a tile.
    halo : tuple of int
        Channels, rows and columns read around a core.
    layout : str
        "whole", "row strips", "square tiles" or "spectral blocks".
    tiles : tuple of Tile
        In the order they are run.
    passes : int
        How often the input is read: the method's fit passes, the noise pass and the run itself.
    itemsize : int
        Bytes of one voxel in the input.
    peak_memory : int
        Bytes above the imports' own that the largest tile needs.
    budget : int
        Bytes that were allowed.
    scratch : int
        Bytes of temporary files.
    output : int
        Bytes written.
    """

    shape: Shape
    core: Shape
    halo: Shape
    layout: str
    tiles: tuple[Tile, ...]
    passes: int
    itemsize: int
    peak_memory: int
    budget: int
    scratch: int
    output: int

    @property
    def bytes_read(self) -> int:
        """Bytes read from the input over all passes."""
        once = sum(prod(tile.outer_shape) for tile in self.tiles)
        return self.itemsize * (once * (self.passes - 1) + prod(self.shape))

    def describe(self) -> dict[str, str]:
        """The plan in words, for ``--dry-run``."""
        return {
            "cube (channel, y, x)": " x ".join(map(str, self.shape)),
            "tiles": f"{len(self.tiles)} ({self.layout})",
            "core of a tile": " x ".join(map(str, self.core)),
            "halo (channel, y, x)": " x ".join(map(str, self.halo)),
            "passes over the input": str(self.passes),
            "bytes read": readable_bytes(self.bytes_read),
            "peak memory": f"{readable_bytes(self.peak_memory)} of {readable_bytes(self.budget)} allowed",
            "scratch": readable_bytes(self.scratch),
            "output": readable_bytes(self.output),
        }


def make_plan(
    cube: Cube,
    denoiser: Denoiser,
    noise: NoiseModel,
    budget: int,
    *,
    conditioned: bool,
    estimated: bool = False,
    separate: bool = False,
) -> Plan:
    """Tiles of a run and what they cost.

    Parameters
    ----------
    cube : Cube
        What is denoised.
    denoiser : Denoiser
        Declares halo and workspace.
    noise : NoiseModel
        The halo may depend on it.
    budget : int
        Bytes.
    conditioned : bool
        Whether a conditioned copy exists.
    estimated : bool
        Whether the noise is estimated in this run, which takes memory of its own before the first tile.
    separate : bool
        Whether other processes do the tiles: a conditioned copy of any size is a file then.
    """
    halo = _joint_halo(cube.shape, denoiser, noise)
    itemsize = cube.dtype.itemsize

    def need(shape: Shape) -> int:
        # the block read, its scaled copy, the estimate, sigma and the support
        return denoiser.workspace(shape) + int(np.prod(shape)) * (itemsize + 4 + 8 + 4 + 1)

    size = int(np.prod(cube.shape))
    held = size // 8 + (size * itemsize if conditioned and size * itemsize <= budget // 4 else 0)
    before = memory_of_estimate(cube.shape) if estimated else 0
    core, layout = choose_core(cube.shape, halo, need, budget - held)
    whole = tuple(n if h is None else h for n, h in zip(cube.shape, halo, strict=True))
    tiles = make_tiles(cube.shape, core, (whole[0], whole[1], whole[2]))
    return Plan(
        shape=cube.shape,
        core=core,
        halo=(whole[0], whole[1], whole[2]),
        layout=layout,
        tiles=tiles,
        passes=denoiser.passes + 2,
        itemsize=itemsize,
        peak_memory=held + max(before, *(need(tile.outer_shape) for tile in tiles)),
        budget=budget,
        scratch=size * itemsize if conditioned and (separate or size * itemsize > budget // 4) else 0,
        output=size * itemsize,
    )


def _joint_halo(
    shape: Shape, denoiser: Denoiser, noise: NoiseModel
) -> tuple[int | None, int | None, int | None]:
    pairs = zip(denoiser.halo(shape, noise), detection.emission_halo(shape, noise), strict=True)
    c, y, x = (None if mine is None else max(mine, other) for mine, other in pairs)
    return c, y, x


def region_shape(region: Region) -> Shape:
    """Shape (channel, y, x) of a region."""
    c, y, x = (part.stop - part.start for part in region)
    return c, y, x


def readable_bytes(count: float) -> str:
    """Bytes with a decimal unit, three significant digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def make_tiles(shape: Shape, core: Shape, halo: Shape) -> tuple[Tile, ...]:
    """Tiles of at most `core` voxels a side that cover `shape` once, x fastest."""
    axes = [list(_spans(*axis)) for axis in zip(shape, core, halo, strict=True)]
    return tuple(
        Tile((c[0], y[0], x[0]), (c[1], y[1], x[1])) for c, y, x in product(axes[0], axes[1], axes[2])
    )


def _spans(length: int, core: int, halo: int) -> Iterator[tuple[slice, slice]]:
    # equal parts rather than full ones and a rest: a sliver would be nearly all halo
    parts = ceil(length / core)
    edges = [round(i * length / parts) for i in range(parts + 1)]
    for start, stop in pairwise(edges):
        yield slice(start, stop), slice(max(0, start - halo), min(length, stop + halo))


def choose_core(
    shape: Shape, halo: tuple[int | None, int | None, int | None], need: Callable[[Shape], int], budget: int
) -> tuple[Shape, str]:
    """The largest core whose block with halo needs no more than `budget` bytes.

    Row strips come first, because a FITS cube is read an order of magnitude faster in whole rows than in
    squares; then squares over all channels; then blocks of channels. An axis whose halo is None is never cut.

    Parameters
    ----------
    shape : tuple of int
        The cube (channel, y, x).
    halo : tuple of int or None
        Halo on each axis; None: the whole axis is needed.
    need : callable
        Bytes needed for a block of a given outer shape.
    budget : int
        Bytes allowed.

    Returns
    -------
    core, layout : tuple of int, str

    Raises
    ------
    ResourceError
        Not even the smallest tile fits; the message says what it needs.
    """
    smallest = None
    for layout, core in _candidates(shape, halo):
        outer = _outer(shape, core, halo)
        smallest = need(outer) if smallest is None else min(smallest, need(outer))
        if need(outer) <= budget:
            return core, layout
    raise ResourceError(
        f"the smallest tile of this {'x'.join(map(str, shape))} cube needs {readable_bytes(smallest or 0)}",
        value=f"{readable_bytes(budget)} allowed",
        action="allow more memory or choose a method or parameters with a smaller halo",
    )


def _outer(shape: Shape, core: Shape, halo: tuple[int | None, int | None, int | None]) -> Shape:
    c, y, x = (n if h is None else min(n, k + 2 * h) for n, k, h in zip(shape, core, halo, strict=True))
    return c, y, x


def _candidates(shape: Shape, halo: tuple[int | None, int | None, int | None]) -> Iterator[tuple[str, Shape]]:
    channels, rows, columns = shape
    yield "whole", shape
    if halo[1] is not None:
        for part in _halvings(rows):
            # a strip thinner than its halo reads more halo than core: squares or channel blocks do better
            if part >= min(rows, halo[1]):
                yield "row strips", (channels, part, columns)
        if halo[2] is not None:
            for part in _halvings(max(rows, columns)):
                yield "square tiles", (channels, min(part, rows), min(part, columns))
    if halo[0] is not None:
        side = (rows if halo[1] is None else min(rows, 64), columns if halo[2] is None else min(columns, 64))
        for part in _halvings(channels):
            yield "spectral blocks", (part, rows, columns)
            yield "spectral blocks", (part, *side)


def _halvings(length: int) -> Iterator[int]:
    while length > 1:
        length = ceil(length / 2)
        yield length
