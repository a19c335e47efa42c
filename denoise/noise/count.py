"""The pass over the whole cube: mask the sources, count what is left, and note the lowest values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from denoise.noise.fieldmap import Cells
from denoise.noise.histogram import BINS, WIDTH, TailHistograms
from denoise.noise.scout import Part, Scout
from denoise.noise.sources import Scale, Search, search
from denoise.noise.stream import Core, Region, Shape
from denoise.noise.tails import Deepest
from denoise.noise.thinning import Thinned, pick

Array = NDArray[np.float64]
S = TypeVar("S")
T = TypeVar("T")


@dataclass
class Totals:
    """What a pass over the cube leaves: counts per channel, squares per cell, minima per scale.

    Attributes
    ----------
    histograms : TailHistograms
    squares, counts : ndarray, shape (2, cells)
        Of negative and of positive values.
    covered : ndarray of bool, shape (y, x)
        Spaxels with any data.
    usable, noisy : int
        Values looked at, and those off the sources.
    deepest : Deepest
    """

    histograms: TailHistograms
    squares: Array
    counts: Array
    covered: NDArray[np.bool_]
    usable: int = 0
    noisy: int = 0
    deepest: Deepest = field(default_factory=Deepest)

    @classmethod
    def of(cls, shape: Shape, cells: Cells) -> Totals:
        """Nothing yet."""
        squares, counts = np.zeros((2, 2, *cells.shape))
        return cls(TailHistograms.empty(shape[0]), squares, counts, np.zeros(shape[1:], bool))

    def add(self, counted: Counted) -> None:
        """Take in a block."""
        self.histograms.add(counted.histograms, counted.first)
        self.squares += counted.squares
        self.counts += counted.counts
        top = counted.top
        self.covered[top : top + len(counted.covered)] |= counted.covered
        self.usable += counted.usable
        self.noisy += int(counted.counts.sum())
        self.deepest.add(counted.lowest, counted.channels, counted.pixels)


@dataclass(frozen=True)
class Counted:
    """What one block adds to `Totals`; `top` is its first row, `first` its first channel in the histograms."""

    top: int
    covered: NDArray[np.bool_]
    lowest: Mapping[Scale, NDArray[np.float32]]
    channels: slice
    pixels: int
    first: int
    histograms: NDArray[np.int64]
    squares: Array
    counts: Array
    usable: int


@dataclass(frozen=True)
class Seen:
    """A block, thinned: the data in units of sigma, and for detrending the data as they are.

    Attributes
    ----------
    region, core : Region, Core
        Where the block lies, and what it answers for.
    ratio : Thinned
        Data over sigma.
    raw : Thinned or None
        The data, if something is to be taken off them.
    sigma : ndarray
        At the pixels picked, axes of 1 repeated.
    """

    region: Region
    core: Core
    ratio: Thinned
    raw: Thinned | None
    sigma: NDArray[np.float32]


def see(
    read: Callable[[Region], Part], region: Region, core: Core, found: Scout, *, step: int, voxels: int
) -> Seen:
    """Read a block in pieces of about so many voxels and thin it."""
    nchan, ny, nx = (s.stop - s.start for s in region)
    ratio = Thinned.empty((nchan, ny, nx), step, whole=True)
    raw = None if found.way.name == "direct" else Thinned.empty((nchan, ny, nx), step, whole=False)
    sigmas, count = [], max(1, voxels // (ny * nx))
    for first in range(0, nchan, count):
        last = min(nchan, first + count)
        channels = slice(region[0].start + first, region[0].start + last)
        part = read((channels, region[1], region[2]))
        if raw is not None:
            raw.fill(part.raw, first)
        sigmas.append(pick(np.broadcast_to(part.sigma, (last - first, *part.sigma.shape[1:])), step))
        ratio.fill(np.divide(part.raw, part.sigma, out=part.raw), first)
    return Seen(region, core, ratio, raw, np.concatenate(sigmas))


def count_block(seen: Seen, found: Scout, cells: Cells) -> Counted:
    """Mask the sources of a block and count what is left of its core.

    Parameters
    ----------
    seen : Seen
    found : Scout
    cells : Cells
        Of the thinned field.
    """
    core, step, shift = seen.core, seen.ratio.step, found.way.shift
    search_of_data, noise, mask = _noise(seen, found)
    lowest = search_of_data.lowest
    lowest[search_of_data.single] = seen.ratio.lowest
    own = slice(max(0, core.channels.start - shift), min(noise.shape[0], core.channels.stop - shift))
    own = slice(own.start, max(own.start, own.stop))
    rows = slice(core.rows.start // step, -(-core.rows.stop // step))
    kept = noise[own, rows]
    histograms, squares, counts = _tally(kept, mask[own, rows])
    top = seen.region[1].start + core.rows.start
    covered = seen.ratio.covered[core.rows]
    return Counted(
        top=top,
        covered=covered,
        lowest=lowest,
        channels=core.channels,
        pixels=covered.size,
        first=seen.region[0].start + own.start + shift,
        histograms=histograms,
        squares=np.stack([cells.sums(plane, top // step) for plane in squares]),
        counts=np.stack([cells.sums(plane, top // step) for plane in counts]),
        usable=int(np.isfinite(kept).sum()),
    )


def _noise(seen: Seen, found: Scout) -> tuple[Search, NDArray[np.float32], NDArray[np.bool_]]:
    """Search of the data as they are; the detrended noise, and the mask of its sources."""
    ratio, step = seen.ratio, seen.ratio.step
    shape = ratio.picks.shape
    data = search(ratio.picks, found.scales(shape, raw=True, step=step), means=ratio.means, step=step)
    if seen.raw is None:
        return data, ratio.picks, data.mask
    way = found.way.thinned(step)
    picks = Part(seen.raw.picks, seen.sigma)
    noise = picks.normal(way)
    wide = noise if step == 1 else Part(seen.raw.means, seen.sigma).normal(way)
    mask = search(noise, found.scales(noise.shape, step=step), means=wide, step=step).mask
    return data, picks.normal(way, mask) if way.name in ("offset", "sky") else noise, mask


def _tally(noise: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array, Array]:
    from denoise.noise import _kernels

    counts = np.zeros((2, noise.shape[0], BINS), np.int64)
    squares, numbers = np.zeros((2, 2, *noise.shape[1:]))
    _kernels.tally(noise, mask.view(np.uint8), WIDTH, counts, squares, numbers)
    return counts, squares, numbers


def in_order(work: Callable[[S], T], items: Iterable[S], *, threads: int) -> Iterator[T]:
    """Results of `work` on each of the items, in order, at most `threads` in hand.

    The items are made in the caller's thread, so that only one thread reads.
    """
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        pending: deque[Future[T]] = deque()
        for one in items:
            pending.append(pool.submit(work, one))
            if len(pending) >= threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
