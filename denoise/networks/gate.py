"""Whether a fine-tuned network may take the place of the one it came from.

It must be better on blocks of the data that nothing was trained or chosen on, by more than two standard errors, and
keep the flux of faint sources put into the cube's own noise: the least squared error alone is a posterior mean, which
drops them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.networks.blocks import FEWEST, Region
from denoise.networks.losses import coloured, pixels
from denoise.networks.pairs import Pair, Sky, as_pair, tile_at, tile_shape
from denoise.networks.pool import Pool
from denoise.networks.scalespace import Array, Shape
from denoise.networks.unet3d import Answer, ScaleSpaceUNet, weighed
from denoise.transforms.whitening import Whitened, whiten

ERRORS = 2.0  # standard errors by which the score must improve
FLUX = 0.05  # change of the faint flux that is allowed
_FAINT = (3.0, 6.0)  # peak SNR of the sources put in
_CHANNELS = (3.0, 8.0)  # FWHM of their lines
_WIDE = 2.0  # every other one is so much wider than the beam
_EDGE = 0.05  # of the peak: where a source ends
_SOURCES = 0xFA147  # stream of the seed


class Score(NamedTuple):
    """How much the squared error fell.

    Attributes
    ----------
    gain, error : float
        Mean over the voxels that judge, in sigma squared of what the network sees, and its standard error from the
        scatter of the blocks.
    before : float
        Mean squared error against the noisy target before; the noise of the target is most of it.
    blocks, voxels : int
        That judge.
    """

    gain: float
    error: float
    before: float
    blocks: int
    voxels: int


class Flux(NamedTuple):
    """Flux of injected faint sources, as shares of the truth, and the ratio of the two with its standard error."""

    before: float
    after: float
    ratio: float
    error: float
    sources: int


class Squares(NamedTuple):
    """Of every block that was looked at, in the order of their numbers: summed squared errors, and voxels."""

    sums: NDArray[np.float64]
    voxels: NDArray[np.float64]


def errors_of(answer: Answer, pair: Pair, device: str, floor: float) -> Tensor:
    """Result less target (channel, y, x) with the correlation put back."""
    bands, noise, target, valid, colour = (
        torch.from_numpy(part)[None].to(device)
        for part in (pair.bands, pair.noise, pair.target, pair.valid, pair.colour)
    )
    left = pixels(weighed(answer, bands, noise, floor) - target) * valid
    return coloured(left, colour)[0]


def answer_to(network: torch.nn.Module, pair: Pair, device: str) -> Answer:
    """What the network says of a pair."""
    inputs, numbers = (torch.from_numpy(part)[None].to(device) for part in (pair.inputs, pair.numbers))
    with torch.autocast("cuda", torch.bfloat16, enabled=inputs.is_cuda):
        answer: Answer = network(inputs, numbers)
    return answer


def squares(
    network: ScaleSpaceUNet, pool: Pool, use: int, draws: int, *, device: str, floor: float
) -> Squares:
    """Squared errors of a network on all blocks for one use."""

    def errors() -> Iterator[tuple[Array, NDArray[np.int64]]]:
        for scored in pool.scored(use, draws):
            with torch.no_grad():
                wrong = errors_of(answer_to(network, scored.pair, device), scored.pair, device, floor)
            yield wrong.cpu().numpy(), scored.blocks

    return summed(errors())


def summed(errors: Iterable[tuple[Array, NDArray[np.int64]]]) -> Squares:
    """Squares of arrays of errors with the number of the block of each, -1: of none."""
    totals: defaultdict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for wrong, blocks in errors:
        used = blocks >= 0
        square = np.square(wrong[used], dtype=np.float64)
        numbers, at = np.unique(blocks[used], return_inverse=True)
        both = np.stack([np.bincount(at, square, len(numbers)), np.bincount(at, minlength=len(numbers))])
        for number, part in zip(numbers.tolist(), both.T, strict=True):
            totals[number] += part
    sums = np.array([totals[number] for number in sorted(totals)]).reshape(-1, 2)
    return Squares(sums[:, 0], sums[:, 1])


def compare(before: Squares, after: Squares) -> Score:
    """The gain, and its error as that of a ratio of sums over blocks; no gain with fewer than two."""
    gained, size = before.sums - after.sums, before.voxels
    count, total = len(size), size.sum()
    if count < 2:
        return Score(0.0, 0.0, 0.0, count, int(total))
    gain = gained.sum() / total
    spread = np.square(gained - gain * size).sum() * count / (count - 1)
    level = before.sums.sum() / total
    return Score(float(gain), float(np.sqrt(spread) / total), float(level), count, int(total))


def faint_flux(
    network: ScaleSpaceUNet, skies: tuple[Sky, ...], wanted: Shape, count: int, seed: int, *, floor: float
) -> NDArray[np.float64]:
    """Flux of faint sources in draws of the noise of the cubes, in turn: result and truth, shape (count, 2)."""
    device = str(next(network.parameters()).device)

    def measured(injected: Injected) -> tuple[float, float]:
        # a block on its own: its first voxel is on the grid
        shape = injected.bright.shape
        tile = tile_at((0, 0, 0), tile_shape(wanted, injected.sky.shape), shape)
        pair = as_pair(injected.white, np.ones(shape, np.bool_), injected.truth, tile)
        with torch.no_grad():
            wrong = errors_of(answer_to(network, pair, device), pair, device, floor).cpu().numpy()
        truth = coloured(pixels(torch.from_numpy(pair.target)[None]), torch.from_numpy(pair.colour)[None])
        padding = [(0, n - have) for n, have in zip(wrong.shape, shape, strict=True)]
        return flux_of(truth[0].numpy(), wrong, np.pad(injected.bright, padding))

    return np.array(
        [measured(one) for one in injections(skies, lambda sky: tile_shape(wanted, sky.shape), count, seed)]
    )


class Injected(NamedTuple):
    """A faint source in a draw of noise.

    Attributes
    ----------
    sky : Sky
        Whose noise it is.
    bright : ndarray of bool, shape (channel, y, x)
        Where the source is.
    inner : Region
        Of the block: within which the source lies.
    white : Whitened
        In noise.
    truth : ndarray, shape (channel, y, x), float32
        Alone, whitened.
    """

    sky: Sky
    bright: NDArray[np.bool_]
    inner: Region
    white: Whitened
    truth: Array


def injections(
    skies: Sequence[Sky], size: Callable[[Sky], Shape], count: int, seed: int, *, around: int = 0
) -> Iterator[Injected]:
    """Faint sources in draws of the noise of the cubes, in turn; every other one of a cube is wide.

    Parameters
    ----------
    skies : sequence of Sky
        Their data are not read.
    size : callable
        Shape (channel, y, x) within which the source lies.
    count : int
        Of sources.
    seed : int
        Fixes them, their places and the noise.
    around : int
        Pixels without source around that, cut at the borders of the cube.
    """
    for number in range(count):
        sky, wide = skies[number % len(skies)], number // len(skies) % 2
        rng = np.random.default_rng((seed, _SOURCES, number))
        inner, outer = _place(rng, size(sky), sky.shape, around)
        begins = [i.start - o.start for i, o in zip(inner, outer, strict=True)]
        shape = tuple(part.stop - part.start for part in inner)
        where = tuple(slice(at, at + n) for at, n in zip(begins, shape, strict=True))
        noise = sky.draw_noise(outer, seed=seed + _SOURCES, draw=number)
        source = np.zeros_like(noise)
        source[where] = _source(rng, shape, sky.beam * _WIDE**wide)
        valid, model = np.ones(source.shape, np.bool_), sky.unit_noise(outer)
        white, truth = whiten(source + noise, valid, model), whiten(source, valid, model).data
        bright = source > _EDGE * source.max()
        yield Injected(sky, bright, (where[0], where[1], where[2]), white, truth)


def flux_of(truth: Array, wrong: Array, bright: NDArray[np.bool_]) -> tuple[float, float]:
    """Flux of a result and of the truth in a mask; `wrong` is the result less the truth."""
    flux = truth[bright].sum(dtype=np.float64)
    return float(flux + wrong[bright].sum(dtype=np.float64)), float(flux)


def compare_flux(before: NDArray[np.float64], after: NDArray[np.float64]) -> Flux:
    """Shares of the true flux, and their ratio with its error over the sources."""
    one, two, truth = before[:, 0], after[:, 0], before[:, 1]
    ratio = two.sum() / one.sum() if one.sum() > 0 else float("nan")
    count = len(one)
    spread = np.square(two - ratio * one).sum() * count / (count - 1)
    error = float(np.sqrt(spread) / one.sum()) if one.sum() > 0 else float("nan")
    return Flux(float(one.sum() / truth.sum()), float(two.sum() / truth.sum()), float(ratio), error, count)


def flux_is_kept(flux: Flux) -> bool:
    """Within 5 per cent of what it was, or nearer to all of it."""
    low, high = min(flux.before, 1.0) * (1 - FLUX), max(flux.before, 1.0) * (1 + FLUX)
    return low <= flux.after <= high


def passes(score: Score, flux: Flux) -> bool:
    """Whether the gate lets a network pass."""
    return score.blocks >= FEWEST and score.gain > ERRORS * score.error and flux_is_kept(flux)


def in_words(gain: float, error: float, blocks: int, before: float, after: float) -> str:
    """The numbers of a ``Score`` and a ``Flux`` that decided."""
    improved = gain / error if error > 0 else 0.0
    few = "" if blocks >= FEWEST else f" ({FEWEST} needed)"
    return (
        f"on {blocks} blocks{few} that it did not see the squared error falls by "
        f"{gain:.3g} +- {error:.2g} sigma^2 a voxel ({improved:.1f} standard errors; more than {ERRORS:g} needed); "
        f"injected faint sources keep {100 * after:.1f} % of their flux, "
        f"{100 * before:.1f} % before ({100 * FLUX:g} % of change allowed)"
    )


def _place(rng: np.random.Generator, size: Shape, shape: Shape, around: int) -> tuple[Region, Region]:
    """A region of a cube, at most of this size, and the same with what is around it in the plane."""
    room = [max(0, n - length) for n, length in zip(shape, size, strict=True)]
    start = [int(rng.integers(n + 1)) for n in room]
    inner = [slice(at, min(at + length, n)) for at, length, n in zip(start, size, shape, strict=True)]
    outer = [
        slice(max(0, part.start - more), min(n, part.stop + more))
        for part, n, more in zip(inner, shape, (0, around, around), strict=True)
    ]
    return (inner[0], inner[1], inner[2]), (outer[0], outer[1], outer[2])


def _source(rng: np.random.Generator, shape: tuple[int, ...], fwhm: float) -> Array:
    """A Gaussian (channel, y, x) in the inner part, its peak that of a faint source."""
    line = float(rng.uniform(*_CHANNELS))
    source = np.ones(shape)
    for axis, (n, width) in enumerate(zip(shape, (line, fwhm, fwhm), strict=True)):
        if n > 1:
            centre = rng.uniform(0.3, 0.7) * (n - 1)
            profile = np.exp(-4 * np.log(2) * np.square((np.arange(n) - centre) / width))
            source *= profile.reshape([-1 if k == axis else 1 for k in range(3)])
    low, high = np.log(_FAINT)
    return np.asarray(source * np.exp(rng.uniform(low, high)), np.float32)
