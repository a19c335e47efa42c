"""Cut a cube into tiles that fit the memory budget: cores, each read with the halo the method asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, inf, prod

import numpy as np

from denoise.cube import Cube, memory_of_inspection
from denoise.engine.account import mask_bytes
from denoise.errors import ResourceError
from denoise.methods import Denoiser
from denoise.noise import NoiseModel, memory_of_estimate
from denoise.transforms import detection

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]

MEBIBYTE = 1024**2
_CUT_ROWS = 1.1  # what reading pieces of rows costs, against denoising them
_FINER = 0.8
DRAW_BYTES = 40  # a voxel, beside those of the method: sums over the draws, and what a calibration looks at
REFITS = 4  # fits to redrawn cubes; the draws take turns
MASK_SHARE = 8  # the mask of the emission takes no more of the budget in memory, else it is in a file


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
        "whole", "row strips", "spatial tiles", "spectral blocks" or "blocks".
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

    @property
    def work(self) -> float:
        """Voxels that are denoised, halo included, for each voxel of the cube."""
        return sum(prod(tile.outer_shape) for tile in self.tiles) / prod(self.shape)

    def describe(self) -> dict[str, str]:
        """The plan in words, for ``--dry-run``."""
        return {
            "cube (channel, y, x)": " x ".join(map(str, self.shape)),
            "tiles": f"{len(self.tiles)} ({self.layout})",
            "core of a tile": " x ".join(map(str, self.core)),
            "halo (channel, y, x)": " x ".join(map(str, self.halo)),
            "voxels denoised": f"{self.work:.2f} x the cube",
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
    draws: int = 0,
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
    draws : int
        Of the noise, for the errors.
    """
    halo = _joint_halo(cube.shape, denoiser, noise)
    itemsize = cube.dtype.itemsize

    def need(shape: Shape) -> int:
        # the block read, its scaled copy, the estimate, sigma and the support
        more = DRAW_BYTES if draws else 0
        return denoiser.workspace(shape) + int(np.prod(shape)) * (itemsize + 4 + 8 + 4 + 1 + more)

    size = int(np.prod(cube.shape))
    copy = size * itemsize if conditioned else 0
    mask = mask_bytes(cube.shape)
    far, apart = mask > budget // MASK_SHARE, copy > budget // 4
    held = (0 if far else mask) + (0 if apart else copy) + noise.map_bytes
    before = max(memory_of_inspection(cube.shape), memory_of_estimate(cube.shape) if estimated else 0)
    core, layout = choose_core(cube.shape, halo, need, budget - held)
    whole = tuple(n if h is None else h for n, h in zip(cube.shape, halo, strict=True))
    tiles = make_tiles(cube.shape, core, (whole[0], whole[1], whole[2]))
    return Plan(
        shape=cube.shape,
        core=core,
        halo=(whole[0], whole[1], whole[2]),
        layout=layout,
        tiles=tiles,
        passes=denoiser.passes * (1 + min(draws, REFITS)) + 2,
        itemsize=itemsize,
        peak_memory=held + max(before, *(need(tile.outer_shape) for tile in tiles)),
        budget=budget,
        scratch=(mask if far else 0) + (copy if apart or separate else 0),
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
    """The core that makes the least work of those whose block with halo needs no more than `budget` bytes.

    The work is the voxels that are read and denoised for each voxel of a core; a row that is cut costs a little
    more, because a FITS cube is read faster in whole rows. An axis whose halo is None is never cut.

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
    axes = [list(_cuts(n, h)) for n, h in zip(shape, halo, strict=True)]
    best: Shape | None = None
    least, smallest = inf, None
    for core in product(axes[0], axes[1], axes[2]):
        outer = _outer(shape, core, halo)
        work = prod(outer) / prod(core) * (1.0 if core[2] == shape[2] else _CUT_ROWS)
        # of those that make the same work the larger, which come first
        if work >= least * (1 - 1e-9) and best is not None:
            continue
        needed = need(outer)
        smallest = needed if smallest is None else min(smallest, needed)
        if needed <= budget:
            best, least = core, work
    if best is None:
        raise ResourceError(
            f"the smallest tile of this {'x'.join(map(str, shape))} cube needs {readable_bytes(smallest or 0)}",
            value=f"{readable_bytes(budget)} allowed",
            action="allow more memory or choose a method or parameters with a smaller halo",
        )
    return best, _layout(shape, best)


def _outer(shape: Shape, core: Shape, halo: tuple[int | None, int | None, int | None]) -> Shape:
    c, y, x = (n if h is None else min(n, k + 2 * h) for n, k, h in zip(shape, core, halo, strict=True))
    return c, y, x


def _cuts(length: int, halo: int | None) -> Iterator[int]:
    """Lengths of a core on one axis, from all of it down to one, each about a fifth less than the one before."""
    part = length
    while part > 1 and halo is not None:
        yield part
        part = min(part - 1, round(part * _FINER))
    yield part


def _layout(shape: Shape, core: Shape) -> str:
    channels, rows, columns = (k < n for k, n in zip(core, shape, strict=True))
    if not (channels or rows or columns):
        return "whole"
    if channels:
        return "blocks" if rows or columns else "spectral blocks"
    return "spatial tiles" if columns else "row strips"
