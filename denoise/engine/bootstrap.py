"""Errors of any method by parametric bootstrap, in the tile that is at work: nothing more is read, memory stays flat.

Draws of the noise model are added to the result, and denoised again (Efron & Tibshirani 1993, An Introduction to the
Bootstrap, ch. 6). In a draw the truth is known, it is the result: the scatter of the draws is the random part of the
error and their mean offset the bias. Both are those of a source that is as bright as the result; what a calibration on
simulations makes of them is `denoise.methods.errorbars`. A draw depends on absolute voxels alone, so that tiles agree.

UNCERT does not say how errors add up in a sum: the same draws give the error of the flux found, channel by channel and
whole, with every correlation, and the autocorrelation of the errors for all other sums (`Drawn`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Region
from denoise.engine.plan import Shape, Tile, region_shape
from denoise.engine.tiles import Blocks
from denoise.methods import Denoiser, Estimate, Sample
from denoise.methods.errorbars import error_curves, surroundings
from denoise.networks.calibration import Examined
from denoise.noise import NoiseModel
from denoise.transforms._jit import mapped, run_ranges
from denoise.transforms.smoothing import box_mean

Block = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LAGS = 12  # pixels and channels over which errors are correlated
_STREAM = 1 << 40  # keeps these draws apart from a method's own of the same seed
# channels and pixels that a draw looks around the emission found: with a halo twice as large, or whole, the errors of
# `ist` differ by less than a hundredth
_FAR = (6, 12, 12)
_CELL = (8, 16, 16)  # emission in neighbouring cells of this size shares a box
_SLAB = 16  # channels of noise drawn at once
_SMALL = 1 << 20  # voxels; threads inside of less wait for each other more than they help
_AT_ONCE = 1 << 17  # values that are transformed at once: they stay in the cache
_POOL = (1, 1, 1)  # half widths of the box over which the spread is averaged: 16 draws alone are 18 % off


class Drawn(NamedTuple):
    """What draws say of sums; over tiles it adds up.

    Attributes
    ----------
    flux : ndarray, shape (1 + draws, channel)
        Sum over the emission found in each channel: of the result, then of every draw.
    spatial : ndarray, shape (2 LAGS + 1, 2 LAGS + 1)
        Products of errors at lags (y, x).
    spectral : ndarray, shape (LAGS + 1,)
        Along the channels.
    """

    flux: Floats
    spatial: Floats
    spectral: Floats

    @classmethod
    def nothing(cls, draws: int, channels: int) -> Drawn:
        """Of no tile."""
        side = 2 * LAGS + 1
        return cls(np.zeros((1 + draws, channels)), np.zeros((side, side)), np.zeros(LAGS + 1))

    def plus(self, other: Drawn) -> Drawn:
        """The sum of both."""
        return Drawn(*(one + more for one, more in zip(self, other, strict=True)))

    def scaled(self, factor: float) -> Drawn:
        """With fluxes in another unit."""
        return self._replace(flux=self.flux * factor)

    @property
    def error(self) -> float:
        """1 sigma error of the flux found: scatter and bias of the draws, not calibrated."""
        return float(_scatter_and_bias(self.flux.sum(axis=1)))

    @property
    def errors(self) -> Floats:
        """The same of the flux found in each channel, shape (channel,)."""
        return np.asarray(_scatter_and_bias(self.flux))

    def correlation(self) -> tuple[Floats, Floats] | None:
        """Autocorrelation of the errors over lags (y, x) and over channels; None where no draw differed."""
        middle = self.spatial[LAGS, LAGS]
        if middle <= 0 or self.spectral[0] <= 0:
            return None
        return self.spatial / middle, self.spectral / self.spectral[0]


class Look(NamedTuple):
    """A block under draws of the noise.

    Attributes
    ----------
    seen : Examined
        Result and spread in units of sigma, and what a calibration looks at.
    offset : ndarray, shape (channel, y, x)
        Bias of the draws, in the unit of the noise, where the method is linear; else a zero that broadcasts.
    drawn : Drawn
        Sums over the core.
    """

    seen: Examined
    offset: Block
    drawn: Drawn


@dataclass(frozen=True)
class WithErrors(Estimate):
    """An estimate whose variance is the square of a 1 sigma error, and what draws say of sums.

    Attributes
    ----------
    drawn : Drawn
        Over the core of the tile.
    """

    drawn: Drawn = field(kw_only=True)


@dataclass(frozen=True)
class Bootstrap:
    """So many draws for each tile; picklable.

    Attributes
    ----------
    draws : int
        At least 2.
    seed : int
        Of the run.
    states : tuple
        What the method learned, from the cube or from redrawn ones; draws take turns.
    """

    draws: int
    seed: int
    states: tuple[Any, ...]

    def __call__(
        self,
        denoiser: Denoiser,
        tile: Tile,
        block: Block,
        noise: NoiseModel,
        estimate: Estimate,
        reach: Shape,
    ) -> WithErrors:
        """The estimate of a tile's outer region with its error, and what draws say of sums over its core.

        Parameters
        ----------
        denoiser : Denoiser
            What made the estimate.
        tile : Tile
            Errors are those of its core; beyond it they have no meaning.
        block : ndarray, shape (channel, y, x)
            The data, NaN where there is no coverage.
        noise : NoiseModel
            Of the block.
        estimate : Estimate
            Of the block.
        reach : tuple of int
            See `near`.
        """
        look = self.look(denoiser, tile, block, noise, estimate, reach)
        variance, seen = estimate.variance, look.seen
        if variance is None or not denoiser.info.error_bar:
            curves = error_curves(denoiser.info.name, denoiser.weights)
            error = seen.spread
            if curves is not None:
                error = curves.error(seen, positivity=denoiser.positivity, threads=denoiser.threads)
            variance = np.square(error * noise.sigma())
        elif denoiser.info.linear:
            variance = variance + np.square(look.offset)  # of the noise alone it is exact
        return WithErrors(
            estimate.data,
            np.asarray(variance, np.float32),
            seen.found,
            estimate.diagnostics,
            drawn=look.drawn,
        )

    def look(
        self,
        denoiser: Denoiser,
        tile: Tile,
        block: Block,
        noise: NoiseModel,
        estimate: Estimate,
        reach: Shape,
    ) -> Look:
        """What draws say, before any calibration; the parameters are those of a call."""
        result = final(estimate.data, denoiser)
        around = surroundings(
            block, noise, estimate.support, positivity=denoiser.positivity, threads=denoiser.threads
        )
        here = around.found & _inside(tile.inner, block.shape)
        drawn = Drawn.nothing(self.draws, noise.cube_shape[0])
        spread, offset = np.zeros_like(result), np.zeros((1, 1, 1), np.float32)
        boxes = _boxes(here, tile.inner, reach)
        if boxes:
            again = _Again(denoiser, block, noise, result, reach)
            scatter, bias, part = self._drawn(again, boxes, here)
            if denoiser.info.linear:
                offset = np.zeros_like(result)
            for box, one, two in zip(boxes, scatter, bias, strict=True):
                spread[box] = np.sqrt(one + two)
                if denoiser.info.linear:
                    offset[box] = np.sqrt(two)
            drawn.flux[:, _moved(slice(0, len(block)), noise.start[0])] = part.flux
            drawn = part._replace(flux=drawn.flux)
        return Look(around.examined(result, spread, noise.sigma()), offset, drawn)

    def _drawn(
        self, again: _Again, boxes: list[Region], found: Mask
    ) -> tuple[list[Block], list[Block], Drawn]:
        """Variance and squared bias in each box, averaged over neighbours, and the sums of all."""
        parts = [_Part(again.result[box]) for box in boxes]
        flux = np.zeros((1 + self.draws, len(found)))
        flux[0] = _sums(again.result, found)
        flux[1:] = flux[0]
        left = found.copy()
        inside = []
        for box in boxes:  # where boxes overlap, a voxel counts once
            inside.append(left[box].copy())
            left[box] = False
        for draw in range(self.draws):
            made = again.draw(boxes, draw, self.seed, self.states[draw % len(self.states)])
            for box, part, mask, off in zip(boxes, parts, inside, made, strict=True):
                flux[1 + draw, box[0]] += _sums(off, mask)
                part.add(off, pair=draw % 2 == 1)
        done = [part.finish(self.draws) for part in parts]
        spatial, spectral = (sum(part.products[k] for part in parts) for k in (0, 1))
        return [one for one, _ in done], [two for _, two in done], Drawn(flux, spatial, spectral)


class _Part:
    """Sums over the draws in one box: memory does not grow with their number."""

    def __init__(self, centre: Block) -> None:
        self.mean, self.squares = np.zeros_like(centre), np.zeros_like(centre)
        self.products: tuple[Any, Any] = (0.0, 0.0)
        self._previous = self.mean

    def add(self, off: Block, *, pair: bool) -> None:
        """What a draw differs by; `pair`: the draw before has no partner yet."""
        self.mean += off
        self.squares += np.square(off)
        if pair:  # two draws differ from each other by noise alone
            self._previous -= off
            self._count(_products(self._previous), 0.5)
        self._previous = off

    def finish(self, draws: int) -> tuple[Block, Block]:
        """Variance and squared bias."""
        self.mean /= draws
        self.squares /= draws
        scatter = np.maximum(self.squares - self.mean**2, 0) * np.float32(draws / (draws - 1))
        # the mean of few draws scatters itself
        bias = np.maximum(self.mean**2 - scatter / draws, 0)
        self._count(_products(np.sqrt(bias) * np.sign(self.mean)), draws // 2)
        return _pooled(scatter), _pooled(bias)

    def _count(self, more: tuple[Floats, Floats], weight: float) -> None:
        self.products = (self.products[0] + weight * more[0], self.products[1] + weight * more[1])


class _Again(NamedTuple):
    """A denoised block, and how to denoise parts of it again."""

    denoiser: Denoiser
    block: Block
    noise: NoiseModel
    result: Block
    reach: Shape

    def draw(self, boxes: list[Region], draw: int, seed: int, state: Any) -> list[Block]:
        """What the method makes of the result plus noise, less the result, in each box."""
        outer = [_grown(box, self.reach, self.block.shape) for box in boxes]
        hull = _hull(outer)
        data = redrawn(
            self.result[hull],
            self.block[hull],
            self.noise.window(hull),
            seed,
            draw,
            threads=self.denoiser.threads,
        )

        def made(at: int, denoiser: Denoiser) -> Block:
            region = outer[at]
            part = np.ascontiguousarray(data[_within(region, hull)])
            again = final(denoiser.apply(part, self.noise.window(region), state).data, denoiser)
            off = again[_within(boxes[at], region)]
            off -= self.result[boxes[at]]
            return off.copy()

        shapes = [region_shape(region) for region in outer]
        small, count = _side_by_side(self.denoiser, shapes, self.block.shape)
        alone = copy(self.denoiser)
        alone.threads = 1
        done = dict(zip(small, mapped(lambda at: made(at, alone), small, threads=count), strict=True))
        return [done[at] if at in done else made(at, self.denoiser) for at in range(len(boxes))]


def _side_by_side(denoiser: Denoiser, shapes: list[Shape], whole: tuple[int, ...]) -> tuple[list[int], int]:
    """Which boxes are denoised at the same time, one thread each, the largest first, and how many at a time.

    Together they take no more memory than the whole tile did. A method that can use a GPU has threads of its own.
    """
    small = [at for at, shape in enumerate(shapes) if prod(shape) <= _SMALL]
    if denoiser.info.device != ("cpu",) or len(small) < 2:
        return [], 1
    small.sort(key=lambda at: -prod(shapes[at]))
    needed = max(denoiser.workspace(shapes[at]) for at in small)
    c, y, x = whole
    count = min(denoiser.threads, denoiser.workspace((c, y, x)) // max(needed, 1))
    return (small, count) if count > 1 else ([], 1)


def _scatter_and_bias(flux: Floats) -> Any:
    """Of draws against the result, which comes first; draws without scatter have no error."""
    return np.hypot(flux[1:].std(axis=0, ddof=1), flux[1:].mean(axis=0) - flux[0])


def final(data: Block, denoiser: Denoiser) -> Block:
    """The result as users get it, 0 where there is no coverage."""
    known = np.nan_to_num(data, nan=0.0)
    return np.maximum(known, 0, out=known) if denoiser.positivity else known


def redrawn(
    result: Block, block: Block, noise: NoiseModel, seed: int, draw: int, *, threads: int = 1
) -> Block:
    """The result with a draw of the noise, NaN where the data are."""
    data = np.empty_like(result)

    def channels(first: int, last: int) -> None:
        region = (slice(first, last), slice(0, data.shape[1]), slice(0, data.shape[2]))
        data[first:last] = noise.sample(region, seed=seed + _STREAM, draw=draw)
        data[first:last] += result[first:last]

    run_ranges(channels, len(data), threads=threads, grain=_SLAB)
    data[np.isnan(block)] = np.nan
    return data


@dataclass
class RedrawnBlocks:
    """A source for a fit: the cube as it was denoised, with a draw of the noise.

    Attributes
    ----------
    blocks : Blocks
        Of the data.
    denoiser : Denoiser
        What denoises them.
    state : object
        What it learned from them.
    seed, draw : int
        Of the noise.
    """

    blocks: Blocks
    denoiser: Denoiser
    state: Any
    seed: int
    draw: int

    def __post_init__(self) -> None:
        self.shape = self.blocks.shape

    def __iter__(self) -> Iterator[Sample]:
        """One pass."""
        for sample in self.blocks:
            result = final(self.denoiser.apply(sample.data, sample.noise, self.state).data, self.denoiser)
            yield sample._replace(data=redrawn(result, sample.data, sample.noise, self.seed, self.draw))

    def tell(self, stage: str, done: int, total: int, seconds_left: float | None = None) -> None:
        """As the blocks do."""
        self.blocks.tell(stage, done, total, seconds_left)


def _inside(region: Region, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[region] = True
    return mask


def near(denoiser: Denoiser, shape: Shape, noise: NoiseModel) -> Shape:
    """How far draws look around what they are made for: the halo of the method, cut to what errors need (`_FAR`)."""
    halo = denoiser.halo(shape, noise)
    far = [n if h is None else min(h, most) for n, h, most in zip(shape, halo, _FAR, strict=True)]
    return far[0], far[1], far[2]


def _boxes(mask: Mask, within: Region, reach: Shape) -> list[Region]:
    """Boxes around the clusters of a mask, in a region; one around all where that is less work."""
    from scipy import ndimage

    if not mask.any():
        return []
    cells = np.zeros([-(-n // c) for n, c in zip(mask.shape, _CELL, strict=True)], bool)
    cells[tuple(at // c for at, c in zip(np.nonzero(mask), _CELL, strict=True))] = True
    labels, count = ndimage.label(cells, np.ones((3, 3, 3)))
    boxes = []
    for number, coarse in enumerate(ndimage.find_objects(labels), start=1):
        fine = tuple(slice(s.start * c, s.stop * c) for s, c in zip(coarse, _CELL, strict=True))
        own = np.kron(labels[coarse] == number, np.ones(_CELL, bool))
        part = mask[fine]
        boxes.append(_box(part & own[tuple(slice(0, n) for n in part.shape)], fine, within))
    single = _box(mask, (slice(0, None),) * 3, within)
    work = sum(_volume(_grown(box, reach, mask.shape)) for box in boxes)
    return boxes if count > 1 and work < _volume(_grown(single, reach, mask.shape)) else [single]


def _box(mask: Mask, place: Sequence[slice], within: Region) -> Region:
    """The smallest box around a mask that starts at `place`, and what is averaged with it, in a region."""
    sides = []
    for axis, (start, limits, margin) in enumerate(zip(place, within, _POOL, strict=True)):
        at = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis))) + start.start
        first, last = int(at[0]) - margin, int(at[-1]) + 1 + margin
        sides.append(slice(max(limits.start, first), min(limits.stop, last)))
    return sides[0], sides[1], sides[2]


def _grown(box: Region, reach: Shape, shape: tuple[int, ...]) -> Region:
    c, y, x = (
        slice(max(0, part.start - far), min(n, part.stop + far))
        for part, far, n in zip(box, reach, shape, strict=True)
    )
    return c, y, x


def _hull(regions: Sequence[Region]) -> Region:
    c, y, x = (
        slice(min(part.start for part in axis), max(part.stop for part in axis))
        for axis in zip(*regions, strict=True)
    )
    return c, y, x


def _within(box: Region, region: Region) -> Region:
    c, y, x = (_moved(part, -whole.start) for part, whole in zip(box, region, strict=True))
    return c, y, x


def _volume(region: Region) -> int:
    return prod(part.stop - part.start for part in region)


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _sums(values: NDArray[Any], mask: Mask) -> Floats:
    """Sum over a mask in each channel."""
    return np.asarray(np.einsum("cyx,cyx->c", values, mask, dtype=np.float64))


def _pooled(variance: Block) -> Block:
    """The variance, averaged over neighbours."""
    half = (_POOL[0] if len(variance) > 1 else 0, *_POOL[1:])
    return np.maximum(box_mean(variance, half), 0)


def _products(values: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Products at lags (y, x), and along the channels, summed over everything; cyclic ends are padded away."""
    from scipy import fft

    size = [fft.next_fast_len(n + LAGS, real=True) for n in values.shape[1:]]
    spectrum = np.zeros((size[0], size[1] // 2 + 1))
    many = max(1, _AT_ONCE // prod(size))
    for first in range(0, len(values), many):
        parts = fft.rfft2(values[first : first + many], s=size)
        spectrum += (np.square(parts.real) + np.square(parts.imag)).sum(axis=0, dtype=np.float64)
    lags = np.arange(-LAGS, LAGS + 1)
    spatial = fft.irfft2(spectrum, s=size)[np.ix_(lags % size[0], lags % size[1])]
    spatial[np.abs(lags) >= values.shape[1]] = 0
    spatial[:, np.abs(lags) >= values.shape[2]] = 0
    spectral, rows = np.zeros(LAGS + 1), values.reshape(len(values), -1)
    for lag in range(min(LAGS + 1, len(values))):
        spectral[lag] = np.vecdot(rows[lag:], rows[: len(rows) - lag]).sum(dtype=np.float64)
    return spatial, spectral
