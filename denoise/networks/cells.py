"""Parts of single channels to go on training LIDIA with, kept in one pass over a cube of any size.

Channels are cut into cells, and cells of some neighbouring channels are one block, for one use (`blocks`): to train
on, to choose by, to judge. Of each use a number is kept, half of them where the data are brightest, half anywhere. What
is kept depends on the seed and the data, not on the tiles in which the cube comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from itertools import product
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.networks.blocks import CHOOSE, FEWEST, JUDGE, TRAIN, Blocks, Region
from denoise.networks.neighbours import BORDER, Array
from denoise.networks.pairs import Field, Mask, Sky
from denoise.networks.scalespace import Shape
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.whitening import filters_for, whiten

_KEPT = {TRAIN: 48, CHOOSE: 24, JUDGE: 96}
_MANY = 8 * FEWEST  # blocks from which on they are twice as wide: less of them is rim
_COVERED = 0.5  # of a cell must have data
_READ: Shape = (8, 256, 256)  # channels and pixels of a field at a time
_SQUARE, _BRIGHT = 4, 3.0  # pixels along a side of what is averaged, and sigma from which on it is bright


@dataclass(frozen=True, eq=False)
class Held:
    """Part of a cube in memory, in the unit of its noise model."""

    data: Array
    noise: NoiseModel

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.noise.shape

    def read(self, region: Region) -> Array:
        """Data of a region, NaN where there is no coverage."""
        return self.data[region]


class White(NamedTuple):
    """Whitened planes around a cell.

    Attributes
    ----------
    planes : ndarray, shape (plane, y, x), float32
        With ``BORDER`` pixels around the cell, mirrored beyond the cube.
    target : ndarray, shape (y, x), float32
        Of the cell.
    valid : ndarray of bool, shape (y, x)
        Where the cell has data.
    """

    planes: Array
    target: Array
    valid: Mask


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell with what is around it.

    Attributes
    ----------
    sky : Sky
        Its data, in the orientation in which their sum is positive: a cube and its negative train alike.
    own : int
        Its plane among those of the data; others are adjacent channels.
    inner : tuple of slice
        Rows and columns of the cell in the data.
    block : int
        Number of its block.
    bright : float
        Sum of what is bright in it, in sigma.
    """

    sky: Sky
    own: int
    inner: tuple[slice, slice]
    block: int
    bright: float

    def pair(self, *, seed: int, draw: int) -> White:
        """What the network sees, and a target with independent noise; see ``Sky.noisy``."""
        found = self.sky.noisy(_whole(self.sky.shape), seed=seed, draw=draw)
        seen, target = (whiten(part, found.valid, found.noise).data for part in (found.seen, found.target))
        return self._cut(seen, target[self.own], found.valid)

    def data(self) -> White:
        """The data themselves, as both."""
        data, valid = self._standard
        white = whiten(data, valid, self.sky.field.noise).data
        return self._cut(white, white[self.own], valid)

    def renoised(self, truth: Array, *, seed: int, draw: int) -> White:
        """A truth (plane, y, x) for whitened data, with ``BORDER`` pixels around the cell, in fresh noise."""
        region, valid = _whole(self.sky.shape), self._standard[1]
        noise = np.where(valid, self.sky.draw_noise(region, seed=seed, draw=draw), np.float32(0))
        white = whiten(noise, valid, self.sky.unit_noise(region)).data
        fresh = self._cut(white, white[self.own], valid)
        inner = truth[self.own][BORDER:-BORDER, BORDER:-BORDER]
        return White(truth + fresh.planes, inner, fresh.valid)

    @property
    def _standard(self) -> tuple[Array, Mask]:
        held = self.sky.field
        return detection.standardise(
            np.asarray(held.read(_whole(held.shape)), np.float32), held.noise.sigma()
        )

    def _cut(self, seen: Array, target: Array, valid: Mask) -> White:
        return White(framed(seen, self.inner), target[self.inner], valid[self.own][self.inner])


def framed(planes: Array, inner: tuple[slice, slice]) -> Array:
    """Rows and columns of planes (plane, y, x) with ``BORDER`` pixels around them, mirrored where there are none."""
    rows, columns = (_around(part, BORDER, n) for part, n in zip(inner, planes.shape[1:], strict=True))
    beyond = (0, 0), rows[1:], columns[1:]
    return np.ascontiguousarray(np.pad(planes[:, rows[0], columns[0]], beyond, mode="reflect"))


def _around(part: slice, more: int, size: int) -> tuple[slice, int, int]:
    """A wider slice, and by how much it would leave an axis of this size on either side."""
    low, high = part.start - more, part.stop + more
    return slice(max(0, low), min(size, high)), max(0, -low), max(0, high - size)


def _whole(shape: Shape) -> Region:
    c, y, x = (slice(0, n) for n in shape)
    return c, y, x


class _Place(NamedTuple):
    """A cell that may be kept; in the order of `rank`, then of a number drawn for it."""

    rank: float
    lot: float
    number: int
    cell: Cell


@dataclass(eq=False)
class Cells:
    """Cells that are kept of a cube.

    Parameters
    ----------
    noise : NoiseModel
        Of the whole cube.
    seed : int
        Fixes which blocks are for what, which cells are kept, and every draw of noise.
    beam : float
        FWHM of what is unresolved, in pixels.
    beside : int
        Adjacent channels on either side that are kept with a cell.
    other : Field or None
        An independent observation; None: noise is added to the only one.
    first : int
        Number of the first block.
    """

    noise: NoiseModel
    seed: int
    beam: float
    beside: int = 0
    other: Field | None = None
    first: int = 0
    blocks: Blocks = field(init=False)
    _bright: dict[int, list[_Place]] = field(init=False)
    _any: dict[int, list[_Place]] = field(init=False)
    _found: dict[int, list[Cell]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.blocks = blocks_of(self.noise, np.random.default_rng((self.seed, 0)))
        self._bright, self._any = {use: [] for use in _KEPT}, {use: [] for use in _KEPT}

    @property
    def sky(self) -> Sky:
        """The field without data, for draws of its noise."""
        return Sky(Held(np.empty((0, 0, 0), np.float32), self.noise), None, self.beam)

    @property
    def enough(self) -> bool:
        """Whether the cube has enough blocks to judge by."""
        return self.blocks.judges >= FEWEST

    @property
    def size(self) -> Shape:
        """Largest cell, with the channels kept with it."""
        _, y, x = self.blocks.side
        return (
            min(self.noise.shape[0], 1 + 2 * self.beside),
            min(y, self.noise.shape[1]),
            min(x, self.noise.shape[2]),
        )

    @property
    def reach(self) -> int:
        """Pixels around the middle of a cell that have to be read."""
        return ceil(max(self.size[1:]) / 2) + self.margin

    @property
    def margin(self) -> int:
        """Pixels around a cell that have to be read."""
        filters = filters_for(self.noise)
        return BORDER + (0 if filters is None else max(filters.whiten.shape) // 2)

    def look(self, data: NDArray[np.floating], noise: NoiseModel, core: Region) -> None:
        """Keep some of the cells whose middle is in the core of a block.

        Parameters
        ----------
        data : ndarray, shape (channel, y, x)
            With ``reach`` pixels and ``beside`` channels around the core, or up to the border of the cube.
        noise : NoiseModel
            Of the block.
        core : Region
            Of the block.
        """
        ratio, valid = detection.standardise(np.asarray(data, np.float32), noise.sigma())
        bounds = [part.indices(n)[:2] for part, n in zip(core, data.shape, strict=True)]
        core = slice(*bounds[0]), slice(*bounds[1]), slice(*bounds[2])
        begin = noise.start
        self._found.clear()
        for number, (channel, rows, columns) in self._inside(core, begin):
            here = channel - begin[0], _moved(rows, begin[1]), _moved(columns, begin[2])
            if valid[here].mean() < _COVERED:
                continue
            use = int(self.blocks.uses.flat[self._block(channel, rows, columns) - self.first])
            if use != TRAIN and self._shared(channel):
                continue
            bright = _brightness(ratio[here])
            lot = float(np.random.default_rng((self.seed, 2, number)).random())
            ranks = (bright, lot, number), (0.0, lot, number)
            for rank, kept in zip(ranks, (self._bright[use], self._any[use]), strict=True):
                if len(kept) < _KEPT[use] or rank > kept[0][:3]:
                    place = _Place(*rank, self._cell(channel, rows, columns, data, noise, bright))
                    (heappush if len(kept) < _KEPT[use] else heappushpop)(kept, place)

    def of(self, use: int) -> list[Cell]:
        """What is kept for a use, in the order of the cube."""
        if use not in self._found:
            self._found[use] = self._chosen(use)
        return self._found[use]

    def numbers(self, cell: Cell, valid: Mask) -> NDArray[np.int64]:
        """Number of the block for every pixel of a cell (y, x) that scores; -1 for the others.

        The sides are rims: the correlation is put back on a periodic field, and noise is shared across them.
        """
        inner, (_, y, x) = np.zeros_like(valid), self.blocks.rim
        inner[y : valid.shape[0] - y, x : valid.shape[1] - x] = True
        return np.where(valid & inner, cell.block, -1)

    def _chosen(self, use: int) -> list[Cell]:
        bright = sorted(self._bright[use], reverse=True)[: _KEPT[use] // 2]
        taken = {one.number for one in bright}
        rest = [one for one in sorted(self._any[use], reverse=True) if one.number not in taken]
        both = bright + rest[: _KEPT[use] - len(bright)]
        return [one.cell for one in sorted(both, key=lambda one: one.number)]

    def _inside(self, core: Region, begin: Shape) -> Iterator[tuple[int, tuple[int, slice, slice]]]:
        """Number and place in the cube of the cells whose middle is in a core."""
        _, ny, nx = self.noise.shape
        channels, *sides = (
            slice(part.start + at, part.stop + at) for part, at in zip(core, begin, strict=True)
        )
        rows, columns = (
            _along(n, side, part) for n, side, part in zip((ny, nx), self.blocks.side[1:], sides, strict=True)
        )
        counts = [ceil(n / side) for n, side in zip((ny, nx), self.blocks.side[1:], strict=True)]
        for channel in range(channels.start, channels.stop):
            for j, row in rows:
                for i, column in columns:
                    yield (channel * counts[0] + j) * counts[1] + i, (channel, row, column)

    def _shared(self, channel: int) -> bool:
        """Whether the noise of a channel is that of another block's too."""
        side, rim = self.blocks.side[0], self.blocks.rim[0]
        return not rim <= channel % side < side - rim

    def _block(self, channel: int, rows: slice, columns: slice) -> int:
        at = (channel, rows.start, columns.start)
        index = [one // side for one, side in zip(at, self.blocks.side, strict=True)]
        return self.first + int(np.ravel_multi_index(index, self.blocks.uses.shape))

    def _cell(
        self,
        channel: int,
        rows: slice,
        columns: slice,
        data: NDArray[np.floating],
        noise: NoiseModel,
        bright: float,
    ) -> Cell:
        wide = [slice(max(0, channel - self.beside), min(self.noise.shape[0], channel + self.beside + 1))]
        for part, n in zip((rows, columns), self.noise.shape[1:], strict=True):
            wide.append(_around(part, self.margin, n)[0])
        c, y, x = (_moved(part, at) for part, at in zip(wide, noise.start, strict=True))
        held = np.array(data[c, y, x], np.float32)
        inner = _moved(rows, wide[1].start), _moved(columns, wide[2].start)
        own = channel - wide[0].start
        sign = np.float32(-1 if np.nansum(np.ascontiguousarray(held[own][inner])) < 0 else 1)
        sky = Sky(
            Held(sign * held, noise.window((c, y, x))),
            self._other((wide[0], wide[1], wide[2]), sign),
            self.beam,
        )
        return Cell(sky, own, inner, self._block(channel, rows, columns), bright)

    def _other(self, region: Region, sign: np.float32) -> Held | None:
        if self.other is None:
            return None
        data = np.asarray(self.other.read(region), np.float32)
        return Held(sign * data, self.other.noise.window(region))


def gather(sky: Sky, seed: int, *, first: int = 0) -> Cells:
    """Cells of a field that is read by region, in one pass."""
    cells = Cells(sky.field.noise, seed, sky.beam, other=sky.other, first=first)
    for start in product(*(range(0, n, step) for n, step in zip(sky.shape, _READ, strict=True))):
        outer, inner = [], []
        for at, n, step, more in zip(start, sky.shape, _READ, (0, cells.reach, cells.reach), strict=True):
            low, stop = max(0, at - more), min(n, at + step)
            outer.append(slice(low, min(n, stop + more)))
            inner.append(slice(at - low, stop - low))
        region = outer[0], outer[1], outer[2]
        cells.look(sky.field.read(region), sky.field.noise.window(region), (inner[0], inner[1], inner[2]))
    return cells


def blocks_of(noise: NoiseModel, rng: np.random.Generator) -> Blocks:
    """Blocks of the cube of a noise model, wide ones where there are many."""
    blocks = Blocks.of(noise, rng)
    c, y, x = blocks.side
    wide = c, 2 * y, 2 * x
    if prod(ceil(n / side) for n, side in zip(noise.shape, wide, strict=True)) < _MANY:
        return blocks
    return Blocks.cut(noise.shape, wide, blocks.rim, rng)


def _along(size: int, side: int, core: slice) -> list[tuple[int, slice]]:
    """Cells along an axis whose middle is in the core: their numbers and places; none that is less than half a cell."""
    found = [(k, slice(k * side, min(size, (k + 1) * side))) for k in range(ceil(size / side))]
    whole = [one for one in found if 2 * (one[1].stop - one[1].start) >= min(side, size)]
    return [one for one in whole if core.start <= (one[1].start + one[1].stop) // 2 < core.stop]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start - by, part.stop - by)


def _brightness(ratio: Array) -> float:
    """Sum of the magnitudes of means over small squares that are bright, in sigma."""
    squares = [max(1, n // _SQUARE) for n in ratio.shape]
    used = [min(n, k * _SQUARE) for n, k in zip(ratio.shape, squares, strict=True)]
    part = np.ascontiguousarray(ratio[: used[0], : used[1]])
    means = np.abs(part.reshape(squares[0], -1, squares[1], used[1] // squares[1]).mean(axis=(1, 3)))
    return float(means[means > _BRIGHT].sum(dtype=np.float64))
