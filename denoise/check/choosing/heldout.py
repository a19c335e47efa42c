"""The error of a method on a cube without truth: data with noise that the method has not seen stand for the truth.

With y the data, of noise covariance C, and z drawn from N(0, C), the noises of ``y + a z`` and ``y - z / a`` are
independent. So for any method f, with weights w that know nothing of the second,

    sum w ((y - z/a - f(y + a z))^2 - (z/a)^2 - sigma^2) / sigma^2

estimates its squared error at ``sqrt(1 + a^2)`` times the noise without bias, in sigma^2 of the data (Oliveira, Lei &
Tibshirani 2021, arXiv:2111.09447; for training: Pang et al. 2021, CVPR, p. 2043). A second observation of the same
field does the same at the noise of the first. It holds as far as C is the covariance of the noise: correlations that
the noise model lacks are taken for emission.

Two methods are compared under the same draws: what is common to both cancels, and given the two outputs the error of
their difference follows from C alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.null import dilated
from denoise.check.rig import Rig
from denoise.errors import UsageError
from denoise.metrics import Measurement, sum_error
from denoise.noise import NoiseModel
from denoise.noise.model import full_width
from denoise.transforms import detection

Block = NDArray[np.float32]
Floats = NDArray[np.float64]

AMPLITUDE = 0.5  # a: what the method sees has 1.12 times the noise
BRIGHT = 1.0  # sigma of a voxel of the emission itself
FIRST_DRAW = 20_000  # of the noise, from here: others use those below
_LEAST = (4, 8, 8)  # channels and pixels of a block
_WIDTHS = 3.0  # and at least so many correlation widths, for the noise of blocks to be independent


class Trial(NamedTuple):
    """Data to denoise, and others to hold the result against.

    Attributes
    ----------
    seen : ndarray, shape (channel, y, x)
        In the unit of the data, NaN without coverage.
    target : ndarray, shape (channel, y, x)
        Over sigma of the data, 0 without coverage.
    known : ndarray, shape (channel, y, x)
        Squared error that the truth itself would have against the target, in sigma squared.
    weight : ndarray, shape (channel, y, x)
        Of the voxels, 1 in all: half or more for the emission that is found in `seen` and what is around it, the rest
        for the sky. 0 without coverage.
    spread : ndarray or float
        1 sigma of the target's own noise, over sigma of the data.
    """

    seen: Block
    target: Block
    known: Block
    weight: Block
    spread: Block | float


@dataclass(frozen=True)
class HeldOut(ABC):
    """Trials on one cube.

    Attributes
    ----------
    base : Rig
        The cube.
    draws : int
        How many trials there are.
    """

    base: Rig
    draws: int = 1

    @abstractmethod
    def trial(self, draw: int) -> Trial:
        """One of them, always the same."""

    @property
    def rig(self) -> Rig:
        """The cube with the noise of what is seen."""
        return self.base

    @property
    def target_noise(self) -> NoiseModel:
        """Noise that all targets share."""
        return self.base.noise

    @property
    def excess(self) -> float:
        """Variance of what is new in the noise of each target, over that of what all share."""
        return 0.0

    def error(self, variances: Sequence[float]) -> float:
        """Standard error of a mean over trials, from the variance of each with the shared noise alone."""
        return float(np.sqrt((1.0 + self.excess / self.draws) * np.mean(variances)))

    @cached_property
    def sigma(self) -> Block:
        """1 sigma of the data, shape (channel, y, x), NaN where unknown."""
        return _known_sigma(self.base.noise)

    @cached_property
    def unit(self) -> NoiseModel:
        """Noise as correlated as that of the target, with a sigma of 1 everywhere."""
        return self.target_noise.unit()

    @cached_property
    def cuts(self) -> tuple[NDArray[np.intp], ...]:
        """Where blocks of some correlation widths begin, along each axis: their noise is independent."""
        noise = self.target_noise
        widths = (full_width(noise.spectral_acf), *noise.correlation_fwhm)
        sides = [max(least, ceil(_WIDTHS * width)) for least, width in zip(_LEAST, widths, strict=True)]
        return tuple(np.arange(0, size, side) for size, side in zip(noise.shape, sides, strict=True))

    def scaled(self, pixels: Block) -> Block:
        """Data or an output (channel, y, x) over sigma of the data, 0 where it is not known."""
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(np.asarray(pixels / self.sigma, np.float32))

    def weight(self, seen: Block) -> Block:
        """Weight of the voxels (channel, y, x), 1 in all, from what is seen alone.

        Emission found by the noise model, grown by the correlation of the noise and 2 channels, has a weight of 1 a
        voxel before it is normalised, all of the sky together at most as much. Without emission all are alike.
        """
        rig, known = self.rig, np.isfinite(seen) & np.isfinite(self.sigma)
        found = emission_of(rig, seen) & known
        near = dilated(found, rig.noise.correlation_fwhm) & known
        count = np.count_nonzero(near)
        sky = np.count_nonzero(known) - count
        share = min(1.0, count / sky) if count and sky else 1.0
        weight = np.where(near, 1.0, share) * known
        return normalised(weight)


class Recorrupted(HeldOut):
    """Trials from draws of the noise model, see the module."""

    @cached_property
    def rig(self) -> Rig:
        """The cube with the noise of what is seen."""
        return replace(self.base, noise=self.base.noise.scaled(float(np.hypot(1.0, AMPLITUDE))))

    @property
    def excess(self) -> float:
        """Variance of z / a over that of the data."""
        return 1.0 / AMPLITUDE**2

    def trial(self, draw: int) -> Trial:
        """Data plus and minus the same noise."""
        data, drawn = self.base.data(), self.base.sample(FIRST_DRAW + draw)
        seen = data + np.float32(AMPLITUDE) * drawn
        off = self.scaled(drawn) / np.float32(AMPLITUDE)
        return Trial(seen, self.scaled(data) - off, 1 + np.square(off), self.weight(seen), 1.0)


@dataclass(frozen=True)
class Halves(HeldOut):
    """One trial: a second observation of the same field, with noise of its own.

    Attributes
    ----------
    other : Rig
        The second.

    Raises
    ------
    UsageError
        The two differ in shape, or are the same.
    """

    other: Rig = field(kw_only=True)

    def __post_init__(self) -> None:
        check_same_shape(self.base, self.other)
        if np.array_equal(self.base.data(), self.other.data(), equal_nan=True):
            raise UsageError(
                "both halves hold the same data",
                value=self.other.cube.name,
                action="give a half with noise of its own",
            )

    @property
    def target_noise(self) -> NoiseModel:
        """Of the second half."""
        return self.other.noise

    def trial(self, draw: int) -> Trial:
        """The first half is seen, the second is the target."""
        seen, target = self.base.data(), self.other.data()
        spread = self.scaled(_known_sigma(self.other.noise))
        both = np.where(np.isfinite(target) & (spread > 0), seen, np.float32(np.nan))
        return Trial(seen, self.scaled(target), np.square(spread), self.weight(both), spread)


def check_same_shape(one: Rig, other: Rig) -> None:
    """Refuse a second half that is not on the grid of the first.

    Raises
    ------
    UsageError
    """
    if one.shape != other.shape:
        raise UsageError(
            "the second half has another shape",
            value=f"{other.shape}, the first {one.shape}",
            action="give two halves of the same data, on one grid",
        )


def emission_of(rig: Rig, pixels: Block) -> NDArray[np.bool_]:
    """The emission that the noise model of a rig finds in pixels (channel, y, x), in the unit of its data."""
    # fluxes may be as small as 1e-20
    per_unit, both = 1.0 / rig.noise.typical, rig.options.positivity != "on"
    block, noise = np.asarray(pixels * per_unit, np.float32), rig.noise.scaled(per_unit)
    found = detection.support(block, noise, both_signs=both, threads=rig.threads)
    return np.asarray(found & np.isfinite(pixels))


def normalised(weight: NDArray[Any]) -> Block:
    """Weights that are 1 in all; zeros stay."""
    total = float(weight.sum(dtype=np.float64))
    return np.asarray(weight / total if total > 0 else weight, np.float32)


class Marks(NamedTuple):
    """One output against the target, over blocks: sums of the squared error less what is known, and of the weight."""

    sums: Floats
    weights: Floats


def marks_of(trial: Trial, output: Block, held: HeldOut) -> Marks:
    """The squared error of an output (channel, y, x) in the unit of the data."""
    off = np.square(trial.target - held.scaled(output), dtype=np.float64) - trial.known
    return Marks(_block_sums(trial.weight * off, held.cuts), _block_sums(trial.weight, held.cuts))


def error_of(marks: Sequence[Marks]) -> Measurement:
    """Mean squared error over trials in sigma squared, its standard error from the scatter of the blocks."""
    sums = np.mean([one.sums for one in marks], axis=0)
    weights = np.mean([one.weights for one in marks], axis=0)
    value, used = float(sums.sum()), weights > 0
    count = int(used.sum())
    if count < 2:
        return Measurement(value, float("nan"))
    spread = np.square(sums - value * weights)[used].sum() * count / (count - 1)
    return Measurement(value, float(np.sqrt(spread)))


def difference_of(
    trial: Trial, output: Block, other: Block, held: HeldOut, *, weight: Block | None = None
) -> tuple[float, float]:
    """Squared error of an output less that of another, and the variance that target noise gives it.

    Given the two outputs it is exact, for the noise that all targets share (`HeldOut.error` adds the rest).

    Parameters
    ----------
    trial : Trial
        What both were made of.
    output, other : ndarray, shape (channel, y, x)
        In the unit of the data.
    held : HeldOut
        Where the trial is from.
    weight : ndarray, optional
        Of the voxels, in place of that of the trial; from what was seen alone.
    """
    one, two = held.scaled(output), held.scaled(other)
    change = (trial.weight if weight is None else weight) * (one - two).astype(np.float64)
    value = float((change * (one + two - 2 * trial.target)).sum())
    return value, sum_error(2 * change * trial.spread, held.unit) ** 2


def bright_weight(trial: Trial, held: HeldOut) -> Block:
    """Weight, 1 in all, of the emission itself: where `ist` shows it above 1 sigma in what was seen.

    What is found is wider: it holds the voxels that were added up to find it. The same for all methods, and not from
    the output of one that is judged: where that is bright it is wrong more often than elsewhere. 0 everywhere where
    nothing is so bright.
    """
    return normalised(bright_voxels(held.rig, trial.seen))


def bright_voxels(rig: Rig, pixels: Block | None = None) -> NDArray[np.bool_]:
    """Where `ist` shows emission or absorption of more than 1 sigma in pixels, or the data, shape (channel, y, x)."""
    update = {"method": "ist", "parameters": {}}
    shown = replace(rig, options=rig.options.model_copy(update=update)).apply(pixels)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(shown / _known_sigma(rig.noise)) > BRIGHT)


def _known_sigma(noise: NoiseModel) -> Block:
    sigma = noise.sigma()
    return np.where(sigma > 0, sigma, np.nan).astype(np.float32)


def _block_sums(values: NDArray[np.floating], cuts: tuple[NDArray[np.intp], ...]) -> Floats:
    out = np.asarray(values, np.float64)
    for axis, starts in enumerate(cuts):
        out = np.add.reduceat(out, starts, axis=axis)
    return out.ravel()
