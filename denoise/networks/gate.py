"""Whether a fine-tuned network may take the place of the one it came from.

It must be better on blocks of the data that nothing was trained or chosen on, by more than two standard errors, and
keep the flux of faint sources put into the cube's own noise: the least squared error alone is a posterior mean, which
drops them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.networks.losses import coloured, pixels
from denoise.networks.pairs import Pair, Sky, as_pair, tile_at, tile_shape
from denoise.networks.pool import Pool
from denoise.networks.scalespace import Array, Shape
from denoise.networks.unet3d import Answer, ScaleSpaceUNet, weighed
from denoise.transforms.whitening import whiten

ERRORS, FLUX = (
    2.0,
    0.05,
)  # standard errors by which the score must improve; change of the faint flux that is allowed
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
    totals: defaultdict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for scored in pool.scored(use, draws):
        with torch.no_grad():
            wrong = errors_of(answer_to(network, scored.pair, device), scored.pair, device, floor)
        used = scored.blocks >= 0
        square = np.square(wrong.cpu().numpy()[used], dtype=np.float64)
        numbers, at = np.unique(scored.blocks[used], return_inverse=True)
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
    rows = np.empty((count, 2))
    for number in range(count):
        # every sky has narrow and wide ones
        sky, wide = skies[number % len(skies)], number // len(skies) % 2
        pair, truth = _injected(sky, wanted, number, seed, fwhm=sky.beam * _WIDE**wide)
        with torch.no_grad():
            answer = answer_to(network, pair, device)
            wrong = errors_of(answer, pair, device, floor).cpu().numpy()
        inside = truth > _EDGE * truth.max()
        colour = torch.from_numpy(pair.colour)[None]
        wanted_flux = coloured(pixels(torch.from_numpy(pair.target)[None]), colour)[0].numpy()[inside]
        rows[number] = (wanted_flux + wrong[inside]).sum(dtype=np.float64), wanted_flux.sum(dtype=np.float64)
    return rows


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


def _injected(sky: Sky, wanted: Shape, number: int, seed: int, *, fwhm: float) -> tuple[Pair, Array]:
    """A faint source in a draw of noise, and the source alone (channel, y, x) over sigma."""
    rng = np.random.default_rng((seed, _SOURCES, number))
    size = tile_shape(wanted, sky.shape)
    room = [max(0, n - length) for n, length in zip(sky.shape, size, strict=True)]
    start = [int(rng.integers(n + 1)) for n in room]
    region = [slice(at, min(at + length, n)) for at, length, n in zip(start, size, sky.shape, strict=True)]
    place = (region[0], region[1], region[2])
    source = _source(rng, tuple(part.stop - part.start for part in place), fwhm)
    noise = sky.draw_noise(place, seed=seed + _SOURCES, draw=number)
    valid, model = np.ones(source.shape, np.bool_), sky.unit_noise(place)
    white, truth = whiten(source + noise, valid, model), whiten(source, valid, model).data
    # a block on its own: its first voxel is on the grid
    tile = tile_at((0, 0, 0), size, source.shape)
    pair = as_pair(white, valid, truth, tile)
    shape = pair.valid.shape
    return pair, np.pad(source, [(0, n - have) for n, have in zip(shape, source.shape, strict=True)])


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
