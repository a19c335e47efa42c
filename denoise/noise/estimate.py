"""Estimate the noise of a cube: robustly, without a mask, in blocks of channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cores import Spread, no_check, usable_cores
from denoise.errors import DenoiseWarning, NoiseError
from denoise.noise import channels, covariance, known
from denoise.noise.breaks import find_seams
from denoise.noise.count import Counted, Seen, Totals, count_block, in_order, see
from denoise.noise.fieldmap import Cells, relative_map
from denoise.noise.guess import Guess, first_guess
from denoise.noise.histogram import clipped_sigma
from denoise.noise.known import Given, Use, given_by
from denoise.noise.model import NoiseModel
from denoise.noise.scout import Memory, Part, Scout, find_memory, forgetful, scout, start, without_memory
from denoise.noise.seams import Seams
from denoise.noise.statistics import mad_std
from denoise.noise.stream import Check, Core, CubeLike, Region, Shape, View, blocks, windows
from denoise.noise.thinning import step_for

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_FEWEST = 20  # usable voxels below which there is no estimate
_SCOUT_VOXELS = 1_000_000
_BLOCK_VOXELS = 1 << 20  # not by the memory allowed: the noise must not depend on it
_THINNED = 4  # times more voxels in a block that is thinned, at most
_TASKS = 2048  # for other processes, at most: to hand one out takes longer than to count a block
_PIECE = 4  # pieces in which a block is read
_PER_SIDE = 200  # values on either side of zero below which the sides are not compared
_PER_CHANNEL = 4.0  # independent samples below which channels are not told apart
_PER_CELL = 12.0  # independent samples in a cell of the map


def estimate_noise(
    cube: CubeLike,
    *,
    psf: NDArray[Any] | None = None,
    companion: Use = "trust",
    block_voxels: int = _BLOCK_VOXELS,
    threads: int | None = None,
    spread: Spread | None = None,
    check: Check = lambda: None,
) -> NoiseModel:
    """Noise of a cube: sigma per channel and position, spatial and spectral correlation.

    Emission that is smooth along the channels is told from noise by spectral differences, whose spread stops
    rising where the memory of the noise ends (`denoise.noise.detrend`). Sources, positive or negative, are
    then excluded on several scales (`denoise.noise.sources`), and sigma and both ACFs are measured on what
    is left, if that agrees with the differences; else on what a running fit along the channels leaves.
    Channels are pooled as far as they agree. Seams across which noise does not continue
    (`denoise.noise.breaks`) are left out of the ACF.

    Parameters
    ----------
    cube : Cube
        With shape, read, excluded, noise_source and gain; NaN where there is no coverage.
    psf : ndarray, shape (ny, nx), optional
        Dirty beam: the spatial ACF of naturally weighted visibility noise, used instead of the measured one.
    companion : {"trust", "scale", "ignore"}
        What to do with the file's own noise array: take it as it is; scale it to the measured level; leave
        it.
    block_voxels : int
        Voxels read at once, about.
    threads : int, optional
        Threads that compute; None: one for each usable core. The result does not depend on it.
    spread : callable, optional
        Does the pass over the whole cube in other processes, which read the pixels themselves. The result does
        not depend on it.
    check : callable, optional
        Called between blocks; what it raises ends the estimate.

    Returns
    -------
    NoiseModel

    Raises
    ------
    NoiseError
        Fewer than 20 usable voxels, or data that are constant.

    Warns
    -----
    DenoiseWarning
        The companion differs from the measured noise by more than 1.5, or its kind had to be guessed.
    """
    given = given_by(cube, use=companion)
    view = _view(cube, given, check)
    acf = None if psf is None else covariance.psf_acf(psf)
    regions = windows(cube.shape, voxels=_SCOUT_VOXELS)
    raw = [view.read(region) for region in regions]
    seams = find_seams(view)
    parts = [
        Part(r, view.sigma(region), _seams_of(region, seams)) for r, region in zip(raw, regions, strict=True)
    ]
    memory = find_memory(raw)
    if not memory.sigma > 0:
        memory = replace(memory, sigma=_spread(raw))
    learn = partial(_learn, view, parts, acf=acf, voxels=block_voxels)
    guess, found = learn(forgetful(memory), fixed=given.sigma is not None)
    if memory.way.step > 1 and not without_memory(found):
        trial = learn(memory, fixed=given.sigma is not None)
        # if only the differences speak for a memory, narrow lines explain them as well
        if not trial[1].way.linear:
            guess, found = trial
    del raw, parts, learn
    step = step_for(cube.shape, found.width) if int(np.prod(cube.shape)) > _SCOUT_VOXELS else 1
    thinned = (-(-cube.shape[1] // step), -(-cube.shape[2] // step))
    cells = Cells.of(thinned, smallest=_cell_size(found, cube.shape[0], step))
    totals = Totals.of(cube.shape, cells)
    work = _Pass(view, guess, found, cells, step, block_voxels)
    results: Iterator[Counted]
    if spread is None:
        results = in_order(work.count, map(work.see, work.items()), threads=threads or usable_cores())
    else:
        apart, items = replace(work, view=replace(view, check=no_check)), work.items()
        each = -(-len(items) // _TASKS)
        groups = [items[first : first + each] for first in range(0, len(items), each)]
        results = chain.from_iterable(spread(apart.count_all, groups))
    for counted in results:
        totals.add(counted)
    return replace(_finish(view, guess, found, totals, cells, step, given), seams=seams)


def memory_of_estimate(shape: Shape) -> int:
    """Bytes that `estimate_noise` takes for a cube of this shape with the block size it has by default."""
    # measured: 33 bytes a voxel where the cube is looked at whole, else the windows or the blocks; and the map
    return 40 * min(int(np.prod(shape)), _SCOUT_VOXELS) + 10 * shape[1] * shape[2]


def _learn(
    view: View,
    parts: list[Part],
    memory: Memory,
    *,
    acf: Array | None,
    voxels: int,
    fixed: bool,
) -> tuple[Guess, Scout]:
    """First guess of sigma, and what hides the noise, for noise with this memory."""
    early = start([p for p in parts if np.isfinite(p.raw).any()], memory, psf_acf=acf)
    guess = first_guess(view, early, voxels, fixed=fixed)
    regions = windows(view.shape, voxels=_SCOUT_VOXELS)
    guessed = [replace(p, sigma=p.sigma * guess.of(region)) for p, region in zip(parts, regions, strict=True)]
    view.check()
    return guess, scout(guessed, memory, early.spatial_acf, psf_acf=acf)


def _seams_of(region: Region, seams: Seams) -> Seams:
    """The seams inside a region, counted from its first pixel."""
    rows, columns = region[1:]
    size = (rows.stop - rows.start, columns.stop - columns.start)
    return seams.within((rows.start, columns.start), size)


@dataclass(frozen=True)
class _Pass:
    """The pass over the whole cube, block by block; picklable with the cube."""

    view: View
    guess: Guess
    found: Scout
    cells: Cells
    step: int
    voxels: int

    def items(self) -> list[tuple[Region, Core]]:
        """The blocks; thinned ones hold more of the cube in the same memory."""
        halo, margin = max(8, self.found.way.halo), int(2 * self.found.width) + 2
        size = self.voxels * int(np.clip(self.step**2 // 2, 1, _THINNED))
        shape = self.view.shape
        return list(blocks(shape, voxels=size, halo=halo, margin=margin, step=self.step))

    def count_all(self, items: Sequence[tuple[Region, Core]]) -> list[Counted]:
        """Read and count some blocks."""
        return [self.count(self.see(item)) for item in items]

    def see(self, item: tuple[Region, Core]) -> Seen:
        """Read a block."""
        return see(self._read, *item, self.found, step=self.step, voxels=self.voxels // _PIECE)

    def count(self, seen: Seen) -> Counted:
        """Count what was read."""
        return count_block(seen, self.found, self.cells)

    def _read(self, region: Region) -> Part:
        sigma = self.view.sigma(region) * self.guess.of(region) * np.float32(self.found.sigma)
        return Part(self.view.read(region), sigma)


def _view(cube: CubeLike, given: Given, check: Check) -> View:
    """View with a unit that brings the data near one; refuses data without noise."""
    usable, sizes, zeros = 0, [], True
    for region in windows(cube.shape, voxels=_SCOUT_VOXELS):
        check()
        block = np.asarray(cube.read(region))
        block = block[np.isfinite(block) & ~np.asarray(cube.excluded(region))]
        if zeros and _padded(block):
            zeros = False
        block = block if zeros else block[block != 0]
        usable += block.size
        if block.size:
            sizes.append(max(float(np.std(block, dtype=np.float64)), float(np.ptp(block)) * 1e-6))
    if usable < _FEWEST:
        raise NoiseError(
            "too few voxels to estimate the noise from",
            value=f"{usable} usable",
            action=f"at least {_FEWEST} finite voxels that are not excluded are needed",
        )
    if not max(sizes) > 0:
        raise NoiseError(
            "the data are constant: there is no noise to estimate", action="check the input and its mask"
        )
    return View(cube, given.sigma, float(np.median([s for s in sizes if s > 0])), zeros, check)


def _padded(values: NDArray[Any]) -> bool:
    """Whether exact zeros among values with decimals are so many that they must be padding."""
    if np.count_nonzero(values == 0) <= 1e-3 * values.size:
        return False
    other = values[values != 0]
    share = 1.0 - other.size / max(1, values.size)
    return bool(share > 1e-3 and other.size and np.mean(other == np.round(other)) < 0.5)


def _spread(raw: list[Block]) -> float:
    flat = np.concatenate([p[np.isfinite(p)] for p in raw])
    return max(float(mad_std(flat, about="median")), float(flat.std()) * 1e-3)


def _finish(
    view: View, guess: Guess, found: Scout, totals: Totals, cells: Cells, step: int, given: Given
) -> NoiseModel:
    """Join the counts into a model."""
    sampled = found.thinned(step)
    # a known sigma was divided by the unit as the data were, so that their ratio has none
    channel = _channel_sigma(totals, guess, sampled)
    if not np.isfinite(channel).any():
        channel = _without_noise(guess, found)
    channel = channel * (view.unit if given.sigma is None else 1.0)
    relative = guess.relative
    if given.sigma is None:
        middle, relative = _normalised(
            _product(relative, _field(totals, sampled, cells, view.shape)), totals.covered
        )
        channel = channel * middle
    fields: dict[str, Any] = {
        "shape": view.shape,
        "channel_sigma": channel,
        "relative": relative,
        "spatial_acf": found.spatial_acf,
        "spectral_acf": found.way.acf,
        "origin": f"measured, {found.way.name}",
        "details": {
            "noise_share": totals.noisy / max(1, totals.usable),
            "independent_samples": sampled.samples(totals.noisy),
        },
    }
    model = _with_given(fields, given)
    low, high = (_pooled(c) for c in (totals.histograms.negative, totals.histograms.positive))
    both = _pooled(totals.histograms.negative + totals.histograms.positive)
    level = float(model.details.get("measured_sigma", model.typical))
    low, high = (level * side / both if both > 0 and side > 0 else level for side in (low, high))
    return replace(model, tails=totals.deepest.verdict(low, high))


def _without_noise(guess: Guess, found: Scout) -> Array:
    """Sigma where no voxel is free of sources: that of the differences, said aloud."""
    warnings.warn(
        DenoiseWarning(
            "no voxel looks like noise alone: sigma is that of channel differences, an upper limit"
        ),
        stacklevel=4,
    )
    return guess.channel * found.sigma


def _cell_size(found: Scout, nchan: int, step: int) -> float:
    """Side of a cell, in pixels of the thinned field, with enough independent samples for its variance."""
    enough = float(np.sqrt(_PER_CELL / found.thinned(step).samples(max(1, nchan))))
    return max(4.0 / step, 2.0 * found.width / step, enough)


def _product(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of two maps; one stored number if both are flat, because a plane may be as large as memory allows."""
    flat = one.strides == other.strides == (0, 0)
    return np.broadcast_to(one[0, 0] * other[0, 0], one.shape) if flat else one * other


def _normalised(
    relative: NDArray[np.float32], covered: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float32]]:
    """Median of the map where there are data, and the map over it, NaN elsewhere; one stored number if it is flat."""
    if relative.strides == (0, 0):
        return float(relative[0, 0]), np.broadcast_to(np.float32(1.0), relative.shape)
    middle = float(np.median(relative[covered], overwrite_input=True))
    if np.ptp(relative) == 0:
        return middle, np.broadcast_to(np.float32(1.0), relative.shape)
    relative /= np.float32(middle)
    relative[~covered] = np.nan
    return middle, relative


def _pooled(counts: NDArray[np.int64]) -> float:
    return float(clipped_sigma(counts.sum(axis=0, keepdims=True))[0])


def _side(totals: Totals, found: Scout) -> NDArray[np.int64]:
    """Counts of both sides of zero if they agree, else of the side with less spread."""
    below, above = totals.histograms.negative, totals.histograms.positive
    low, high = _pooled(below), _pooled(above)
    if min(below.sum(), above.sum()) < _PER_SIDE:
        return np.asarray(below + above)
    margin = 0.01 + 3.0 / np.sqrt(max(found.samples(totals.noisy), 1.0) / 2.0)
    if not (np.isfinite(low) and np.isfinite(high)) or abs(np.log(high / low)) < margin:
        return np.asarray(below + above)
    return below if low < high else above


def _channel_sigma(totals: Totals, guess: Guess, found: Scout) -> Array:
    """Sigma per channel in the unit of the view, pooled as far as the channels agree."""
    counts, way = _side(totals, found), found.way
    samples = counts.sum(axis=1) / float(np.sum(found.spatial_acf**2))
    measured = samples > 0
    if not measured.any():
        return np.full(guess.channel.size, np.nan)
    if np.median(samples[measured]) < _PER_CHANNEL:
        return guess.channel * _pooled(counts) * found.sigma
    nchan = guess.channel.size
    own = slice(way.shift, nchan - way.halo + way.shift) if way.name == "difference" else slice(0, nchan)
    ratio = (clipped_sigma(counts) * found.sigma)[own]
    if not way.linear:
        return channels.shrink(ratio * guess.channel, samples)
    expected = np.sqrt(channels.mix(guess.channel**2, *way.mixing(), ratio.size))
    spread = channels.shrink(ratio * expected, samples[own])
    return np.sqrt(channels.unmix(spread**2, *way.mixing(), nchan))


def _field(totals: Totals, found: Scout, cells: Cells, shape: Shape) -> NDArray[np.float32]:
    """Map from the cells; where the two sides of zero disagree, from the side with less."""
    low, high = totals.squares / np.maximum(totals.counts, 1.0)
    number = totals.counts.sum(axis=0)
    samples = number * found.samples(1.0)
    variance = np.where(number > 0, totals.squares.sum(axis=0) / np.maximum(number, 1.0), np.nan)
    apart = np.abs(np.log(np.maximum(high, 1e-6) / np.maximum(low, 1e-6))) > 9.0 / np.sqrt(
        np.maximum(samples, 1.0)
    )
    both = totals.counts.min(axis=0) > 0
    variance = np.where(apart & both, np.minimum(low, high), variance)
    return relative_map(variance, samples, cells, shape[1:])


def _with_given(fields: dict[str, Any], given: Given) -> NoiseModel:
    """Model on top of the file's own sigma, checked against the measured one."""
    if given.sigma is None:
        return NoiseModel(**fields)
    measured = NoiseModel(**{**fields, "pixels": given.sigma})
    if given.kind == "gain":
        return replace(measured, origin=measured.origin + ", 1/gain")
    factor = float(np.nanmedian(measured.channel_sigma))
    as_given = replace(measured, channel_sigma=np.ones_like(measured.channel_sigma), origin=given.label)
    if not 1.0 / known.MISMATCH <= factor <= known.MISMATCH:
        warnings.warn(
            DenoiseWarning(
                f"{given.label} gives a typical sigma of {as_given.typical:.4g}, the data have "
                f"{measured.typical:.4g}: a factor {max(factor, 1 / factor):.2g}; "
                "companion 'scale' (--companion scale) scales it to the data, 'ignore' measures instead"
            ),
            stacklevel=4,
        )
    details = {**fields["details"], "measured_over_given": factor, "measured_sigma": measured.typical}
    if given.use == "scale":
        return replace(measured, origin=f"{given.label}, scaled to the data", details=details)
    return replace(as_given, details=details)
