"""Fewer voxels with the same statistics: one pixel of each small square, and the mean of the square.

Neighbouring pixels of correlated noise say the same: of noise whose ACF has the full width w, one pixel in
every w / 2.5 keeps all but 1e-4 of what its squares tell about sigma (the ACF's square sampled that finely
sums to its integral). White noise is thinned where a channel has pixels in plenty. Means of the squares keep
what larger boxes are to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
_PER_WIDTH = 2.5
_PLENTY = 16384  # pixels of a channel: sigma within .6 %
_MOST = 3  # pixels across for white noise: a box of the size of a point source


@dataclass(frozen=True)
class Thinned:
    """A block seen through squares of `step` x `step` pixels; filled piece by piece.

    Attributes
    ----------
    picks : ndarray, shape (channel, ceil(y / step), ceil(x / step))
        The central pixel of each square, NaN without data.
    means : ndarray, shape of `picks`
        Mean of each square; the picks themselves with `step` 1.
    lowest : ndarray, shape (channel,)
        Least value of all pixels, at most zero.
    covered : ndarray of bool, shape (y, x)
        Spaxels with any data.
    step : int
    whole : bool
        Whether pixels without data count as zero in a mean; else they do not count.
    """

    picks: Block
    means: Block
    lowest: Block
    covered: NDArray[np.bool_]
    step: int
    whole: bool

    @classmethod
    def empty(cls, shape: tuple[int, int, int], step: int, *, whole: bool) -> Thinned:
        """For a block (channel, y, x); without data so far."""
        picks = np.empty((shape[0], -(-shape[1] // step), -(-shape[2] // step)), np.float32)
        means = picks if step == 1 else np.empty_like(picks)
        lowest, covered = np.zeros(shape[0], np.float32), np.zeros(shape[1:], bool)
        return cls(picks, means, lowest, covered, step, whole)

    def fill(self, piece: Block, first: int) -> None:
        """Take in some channels of the block, from `first` on."""
        from denoise.noise import _kernels

        own = slice(first, first + piece.shape[0])
        picks, means, lowest = self.picks[own], self.means[own], self.lowest[own]
        covered = self.covered.view(np.uint8)
        if self.step == 1:  # what the kernel writes as means is not wanted
            means = np.empty_like(picks)
        _kernels.thin(piece, self.step, self.whole, picks, means, lowest, covered)


def step_for(shape: tuple[int, int, int], width: float) -> int:
    """Side of the squares for a cube (channel, y, x) and noise whose ACF is `width` pixels wide."""
    free = int(width / _PER_WIDTH)
    plenty = min(_MOST, int(np.sqrt(shape[1] * shape[2] / _PLENTY)))
    return int(np.clip(max(free, plenty), 1, max(1, min(shape[1:]) // 16)))


def pick(sigma: NDArray[Any], step: int) -> NDArray[Any]:
    """An array (channel, y, x), axes of 1 repeated, at the pixels that `thin` picks."""
    if step == 1:
        return sigma
    rows, columns = (
        np.minimum(np.arange(0, n, step) + step // 2, n - 1) if n > 1 else np.zeros(1, int)
        for n in sigma.shape[1:]
    )
    return sigma[:, rows[:, None], columns]
