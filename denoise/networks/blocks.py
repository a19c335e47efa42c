"""Blocks of a cube, each for one use only: to train on, to choose the step by, to judge.

A source lies in blocks of all kinds, so that what is judged is like what was trained on, and none of it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from denoise.errors import InputError
from denoise.networks.scalespace import Shape
from denoise.noise import NoiseModel
from denoise.noise.model import full_width

Region = tuple[slice, slice, slice]

TRAIN, CHOOSE, JUDGE = 0, 1, 2
FEWEST = 8  # blocks that judge, for their scatter to be an error
_CHOOSING, _JUDGING = 0.2, 0.25  # shares of the blocks
_LEAST: Shape = (4, 16, 16)  # channels and pixels of a block
_WIDTHS = 3.0  # and at least so many correlation widths, for the noise of blocks to be independent


@dataclass(frozen=True, eq=False)
class Blocks:
    """How a cube is cut.

    Attributes
    ----------
    side : tuple of int
        Of a block (channel, y, x).
    rim : tuple of int
        Half the correlation width of the noise: at the sides of a block it is shared with what was trained on, and
        is left out of scores.
    uses : ndarray of int, shape (blocks along channel, y, x)
        TRAIN, CHOOSE or JUDGE.
    """

    side: Shape
    rim: Shape
    uses: NDArray[np.int8]

    @classmethod
    def of(cls, noise: NoiseModel, rng: np.random.Generator) -> Blocks:
        """Cut the cube of a noise model; which block is for what is drawn."""
        widths = (full_width(noise.spectral_acf), *noise.correlation_fwhm)
        sides, rims = [], []
        for length, width, least in zip(noise.shape, widths, _LEAST, strict=True):
            # full_width of white noise is 1
            correlated = length > 1 and width > 1
            sides.append(1 if length == 1 else max(least, ceil(_WIDTHS * width) if correlated else 0))
            rims.append(ceil(width / 2) if correlated else 0)
        return cls.cut(noise.shape, (sides[0], sides[1], sides[2]), (rims[0], rims[1], rims[2]), rng)

    @classmethod
    def cut(cls, shape: Shape, side: Shape, rim: Shape, rng: np.random.Generator) -> Blocks:
        """Cut a cube of this shape into blocks of a given size."""
        counts = [ceil(n / length) for n, length in zip(shape, side, strict=True)]
        return cls(side, rim, _drawn(counts, rng))

    @property
    def judges(self) -> int:
        """Number of blocks that judge."""
        return int((self.uses == JUDGE).sum())

    def numbers(self, region: Region, use: int) -> NDArray[np.int64]:
        """Number of the block of every voxel of a region (channel, y, x); -1 where it is for another use or a rim.

        Rims count where there is training.
        """
        axes = [self._along(*axis) for axis in zip(region, self.side, self.rim, strict=True)]
        inner = [inside for _, inside in axes]
        grid = np.ix_(*(index for index, _ in axes))
        numbers = np.ravel_multi_index(grid, self.uses.shape)
        wanted = self.uses[grid] == use
        if use != TRAIN:
            wanted &= inner[0][:, None, None] & inner[1][:, None] & inner[2]
        return np.where(wanted, numbers, -1)

    @staticmethod
    def _along(part: slice, side: int, rim: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        index, inside = np.divmod(np.arange(part.start, part.stop), side)
        return index, (inside >= rim) & (inside < side - rim)


def check_judges(judges: int) -> None:
    """Refuse data that too few blocks would judge.

    Raises
    ------
    InputError
        Fewer than 8.
    """
    if judges < FEWEST:
        raise InputError(
            "the data are too small to judge a fine-tuning by parts of them that it did not see",
            value=f"{judges} independent blocks for that, {FEWEST} needed",
            action="give larger cubes, or more of them",
        )


def _drawn(counts: list[int], rng: np.random.Generator) -> NDArray[np.int8]:
    total = int(np.prod(counts))
    order, uses = rng.permutation(total), np.full(total, TRAIN, np.int8)
    choosing, judging = round(_CHOOSING * total), round(_JUDGING * total)
    uses[order[:choosing]] = CHOOSE
    uses[order[choosing : choosing + judging]] = JUDGE
    return uses.reshape(counts)
