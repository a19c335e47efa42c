"""Errors of any method by parametric bootstrap, in the tile that is at work: nothing more is read, memory stays flat.

Draws of the noise model are added to the result, and denoised again (Efron & Tibshirani 1993, An Introduction to the
Bootstrap, ch. 6). In a draw the truth is known, it is the result: the scatter of the draws is the random part of the
error and their mean offset the bias. Both are those of a source that is as bright as the result; what a calibration on
simulations makes of them is `denoise.methods.errorbars`. A draw depends on absolute voxels alone, so that tiles agree.

UNCERT does not say how errors add up in a sum: the same draws give the error of the flux found, channel by channel and
whole, with every correlation, and the autocorrelation of the errors for all other sums (`Drawn`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Region
from denoise.engine.plan import Shape, Tile
from denoise.engine.tiles import Blocks
from denoise.methods import Denoiser, Estimate, Sample
from denoise.methods.errorbars import error_curves, examined, with_spread
from denoise.networks.calibration import Examined
from denoise.noise import NoiseModel
from denoise.transforms.smoothing import box_mean

Block = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LAGS = 12  # pixels and channels over which errors are correlated
_STREAM = 1 << 40  # keeps these draws apart from a method's own of the same seed
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

    def error_of(self, channels: slice = slice(None)) -> float:
        """1 sigma error of the flux found in these channels: scatter and bias of the draws, not calibrated."""
        flux = self.flux[:, channels].sum(axis=1)
        return float(np.hypot(flux[1:].std(ddof=1), flux[1:].mean() - flux[0]))

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
        Bias of the draws, in the unit of the noise; 0 outside the box of the emission found.
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
            Halo of the method (channel, y, x).
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
        seen = examined(
            result, block, noise, estimate.support, positivity=denoiser.positivity, threads=denoiser.threads
        )
        here = seen.found & _inside(tile.inner, block.shape)
        box = _box(here, tile.inner)
        spread, offset = np.zeros_like(result), np.zeros_like(result)
        drawn = Drawn.nothing(self.draws, noise.cube_shape[0])
        if box is not None:
            around = _Around(denoiser, block, noise, result, reach)
            spread[box], offset[box], part = self._drawn(around, box, here[box])
            drawn.flux[:, _moved(box[0], noise.start[0])] = part.flux
            drawn = part._replace(flux=drawn.flux)
        return Look(with_spread(seen, np.hypot(spread, offset), noise.sigma()), offset, drawn)

    def _drawn(self, around: _Around, box: Region, found: Mask) -> tuple[Block, Block, Drawn]:
        """Scatter and offset in a box, averaged over neighbours, and the sums of this box."""
        centre = around.result[box]
        mean, squares = np.zeros(centre.shape), np.zeros(centre.shape)
        flux, previous = [_sums(centre, found)], None
        spatial, spectral = np.zeros((2 * LAGS + 1,) * 2), np.zeros(LAGS + 1)
        for draw in range(self.draws):
            off = around.draw(box, draw, self.seed, self.states[draw % len(self.states)]) - centre
            mean += off
            squares += np.square(off, dtype=np.float64)
            flux.append(flux[0] + _sums(off, found))
            if previous is not None and draw % 2:
                more = _products((off - previous) / np.sqrt(2.0))
                spatial, spectral = spatial + more[0], spectral + more[1]
            previous = off
        mean /= self.draws
        scatter = np.maximum(squares / self.draws - mean**2, 0) * self.draws / (self.draws - 1)
        # the mean of few draws scatters itself
        bias = np.maximum(mean**2 - scatter / self.draws, 0)
        both = _products(np.sqrt(bias) * np.sign(mean))
        pairs = self.draws // 2
        drawn = Drawn(np.array(flux), spatial / pairs + both[0], spectral / pairs + both[1])
        return _pooled(scatter), _pooled(bias), drawn


class _Around(NamedTuple):
    """A denoised block, and how to denoise parts of it again."""

    denoiser: Denoiser
    block: Block
    noise: NoiseModel
    result: Block
    reach: Shape

    def draw(self, box: Region, draw: int, seed: int, state: Any) -> Block:
        """What the method makes in `box` of the result plus noise."""
        outer = tuple(
            slice(max(0, part.start - far), min(length, part.stop + far))
            for part, far, length in zip(box, self.reach, self.block.shape, strict=True)
        )
        region: Region = (outer[0], outer[1], outer[2])
        noise = self.noise.window(region)
        data = redrawn(self.result[region], self.block[region], noise, seed, draw)
        inner = tuple(_moved(part, -whole.start) for part, whole in zip(box, region, strict=True))
        return final(self.denoiser.apply(data, noise, state).data, self.denoiser)[inner]


def final(data: Block, denoiser: Denoiser) -> Block:
    """The result as users get it, 0 where there is no coverage."""
    known = np.nan_to_num(data, nan=0.0)
    return np.maximum(known, 0, out=known) if denoiser.positivity else known


def redrawn(result: Block, block: Block, noise: NoiseModel, seed: int, draw: int) -> Block:
    """The result with a draw of the noise, NaN where the data are."""
    data = result + noise.sample(seed=seed + _STREAM, draw=draw)
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


def _box(mask: Mask, within: Region) -> Region | None:
    """The smallest box around a mask and what is averaged with it, in a region; None: the mask is empty."""
    sides = []
    for axis, (limits, margin) in enumerate(zip(within, _POOL, strict=True)):
        at = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        if not at.size:
            return None
        sides.append(slice(max(limits.start, at[0] - margin), min(limits.stop, at[-1] + 1 + margin)))
    return sides[0], sides[1], sides[2]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _sums(values: NDArray[Any], mask: Mask) -> Floats:
    """Sum over a mask in each channel."""
    return np.asarray(np.einsum("cyx,cyx->c", values, mask, dtype=np.float64))


def _pooled(variance: Floats) -> Block:
    """Root of the variance, averaged over neighbours."""
    half = (_POOL[0] if len(variance) > 1 else 0, *_POOL[1:])
    return np.sqrt(np.maximum(box_mean(variance.astype(np.float32), half), 0))


def _products(values: Floats) -> tuple[Floats, Floats]:
    """Products at lags (y, x), and along the channels, summed over everything; cyclic ends are padded away."""
    from scipy import fft

    size = [fft.next_fast_len(n + LAGS, real=True) for n in values.shape[1:]]
    spectrum = np.zeros((size[0], size[1] // 2 + 1))
    for plane in values:
        spectrum += np.abs(fft.rfft2(plane, s=size)) ** 2
    lags = np.arange(-LAGS, LAGS + 1)
    spatial = fft.irfft2(spectrum, s=size)[np.ix_(lags % size[0], lags % size[1])]
    spatial[np.abs(lags) >= values.shape[1]] = 0
    spatial[:, np.abs(lags) >= values.shape[2]] = 0
    spectral = np.zeros(LAGS + 1)
    for lag in range(min(LAGS + 1, len(values))):
        spectral[lag] = np.vdot(values[lag:], values[: len(values) - lag])
    return spatial, spectral
