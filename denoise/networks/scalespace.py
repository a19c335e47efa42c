"""What the network sees and what it weighs: the 2D-1D scale space of whitened data, on a grid of half the pixels.

The undecimated starlet (`denoise.transforms.starlet`) is linear and its synthesis a sum, so a network that sees the
significance of the data at 5 x 5 smoothings gets a wide field of view and the integrated signal for nothing, and one
that returns a gain for each sub-band can keep or drop the data's own flux.

Two pixels by two become one position with four values ("sub-pixels", row by row): smoothed data need no finer grid, and
everything that follows costs a quarter. Positions start at even pixels of the whole cube, padded with zeros to what the
poolings of the network divide, so that tiles see the positions that the cube whole has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.noise import NoiseModel
from denoise.transforms import detection, starlet, wavelets
from denoise.transforms.gates import SIDE, brightness, padded, strength

Array = NDArray[np.float32]
Shape = tuple[int, int, int]

BANDS = SIDE**2
INPUTS = BANDS + 1  # significances, and how bright the surroundings are
NUMBERS = 2 * (SIDE - 1)  # of the noise: what it keeps at each spatial and spectral scale
KNEE = 4.0  # a significance s is seen as s / (1 + |s| / KNEE)
STEP: Shape = (4, 8, 8)  # channels and pixels that the poolings divide, of what is not an image
_NOTHING = 1e9  # noise of a band that a small cube lacks


@dataclass(frozen=True)
class Grid:
    """How a block lies on the grid of the whole cube.

    Attributes
    ----------
    shape : tuple of int
        Of the block (channel, y, x).
    front : tuple of int
        Zeros before it.
    padded : tuple of int
        Shape with zeros before and after.
    """

    shape: Shape
    front: Shape
    padded: Shape

    @classmethod
    def of(cls, shape: Shape, start: Shape = (0, 0, 0), *, image: bool = False) -> Grid:
        """Of a block that starts at `start` of its cube; of an image, whose only channel is not padded."""
        steps = (1, *STEP[1:]) if image else STEP
        front = tuple(at % step for at, step in zip(start, steps, strict=True))
        whole = tuple(
            -(-(n + before) // step) * step for n, before, step in zip(shape, front, steps, strict=True)
        )
        return cls(shape, (front[0], front[1], front[2]), (whole[0], whole[1], whole[2]))

    @property
    def inside(self) -> tuple[slice, slice, slice]:
        """The block in the padded array."""
        channels, rows, columns = (
            slice(first, first + n) for first, n in zip(self.front, self.shape, strict=True)
        )
        return channels, rows, columns

    def positions(self, values: NDArray[Any]) -> NDArray[Any]:
        """(..., channel, y, x) of the block as (channel, y / 2, x / 2, ..., 4), zeros around it."""
        lead = values.shape[:-3]
        whole = np.zeros((*lead, *self.padded), values.dtype)
        whole[(..., *self.inside)] = values
        depth, height, width = self.padded
        split = whole.reshape(*lead, depth, height // 2, 2, width // 2, 2)
        n = len(lead)
        order = (n, n + 1, n + 3, *range(n), n + 2, n + 4)
        return np.ascontiguousarray(split.transpose(order).reshape(depth, height // 2, width // 2, *lead, 4))

    def pixels(self, values: NDArray[Any]) -> NDArray[Any]:
        """The inverse, for one value a voxel: (channel, y / 2, x / 2, 4) as the block (channel, y, x)."""
        depth, height, width = self.padded
        split = values.reshape(depth, height // 2, width // 2, 2, 2).transpose(0, 1, 3, 2, 4)
        return np.ascontiguousarray(split.reshape(self.padded)[self.inside])


class NoiseNumbers(NamedTuple):
    """What the noise model says of every scale.

    Attributes
    ----------
    left : ndarray, shape (5, 5)
        Standard deviation that unit noise keeps after each smoothing.
    bands : ndarray, shape (25,)
        Standard deviation of unit noise in each sub-band; very large for a band that a small cube lacks.
    numbers : ndarray, shape (8,)
        Logarithms of what it keeps at spatial scales 1 to 4 and at spectral scales 1 to 4: what the network is told
        of beam and channel correlation.
    scales : tuple of int
        Spatial and spectral scales that the cube has.
    """

    left: Array
    bands: Array
    numbers: Array
    scales: tuple[int, int]


def noise_numbers(white: NoiseModel) -> NoiseNumbers:
    """Of whitened noise; the scales are those of the whole cube, so that tiles agree."""
    spatial, spectral = wavelets.default_scales(white.cube_shape)
    scales = min(spatial, SIDE - 1), min(spectral, SIDE - 1)
    left = padded(detection.noise_left(white, scales))
    numbers = np.log(np.concatenate([left[1:, 0], left[0, 1:]])).astype(np.float32)
    bands = _spread(detection.band_noise(white, scales), _NOTHING).ravel()
    return NoiseNumbers(left, bands, numbers, scales)


class ScaleSpace(NamedTuple):
    """A block as the network takes it.

    Attributes
    ----------
    inputs : ndarray, shape (channel, y / 2, x / 2, 26), float32
        Bent significances, spatial scale major, and how bright the surroundings are (`gates.brightness`), which has
        no sign.
    bands : ndarray, shape (channel, y / 2, x / 2, 25, 4), float32
        Sub-bands in units of sigma; their sum is the block.
    """

    inputs: Array
    bands: Array


def network_reach(blocks: Sequence[int]) -> tuple[int, int]:
    """How far (channels, pixels) a network with these blocks a level looks, convolutions and poolings."""
    channels = positions = 0
    for level, count in enumerate(blocks):
        step, coarsest = 2**level, level == len(blocks) - 1
        convolutions = count if coarsest else 2 * count
        channels += step * convolutions + step - 1
        positions += step * (convolutions + (level == 0)) + step - 1
    return channels, 2 * positions + 1


def scale_space(white: Array, noise: NoiseNumbers, grid: Grid, *, threads: int = 1) -> ScaleSpace:
    """Scale space of whitened data (channel, y, x): finite, in units of its sigma."""
    near = brightness(strength(white, noise.left, threads=threads))
    bands = _spread(
        starlet.forward(white, spatial_scales=noise.scales[0], spectral_scales=noise.scales[1]), 0
    )
    bands = grid.positions(bands.reshape(BANDS, *white.shape))
    seen = significances(bands, noise.left)
    around = grid.positions(near).mean(axis=-1, keepdims=True)
    return ScaleSpace(np.concatenate([seen, around], axis=-1), bands)


def significances(bands: Array, left: Array) -> Array:
    """Bent significances of the smoothings whose differences the sub-bands are: mean of four sub-pixels."""
    sums = bands.mean(axis=-1, dtype=np.float32)
    sums = sums.reshape(*sums.shape[:-1], SIDE, SIDE)
    for axis in (-2, -1):
        for scale in range(SIDE - 2, -1, -1):
            here, coarser = (np.take(sums, k, axis=axis) for k in (scale, scale + 1))
            _put(sums, scale, axis, here + coarser)
    sums /= left
    return np.asarray(sums / (1 + np.abs(sums) / np.float32(KNEE)), np.float32).reshape(
        *sums.shape[:-2], BANDS
    )


def _put(values: Array, index: int, axis: int, new: Array) -> None:
    if axis == -1:
        values[..., index] = new
    else:
        values[..., index, :] = new


def _spread(values: NDArray[Any], empty: float) -> Array:
    """Per-band values of a cube with fewer scales, where a network looks for them: details first, coarse last."""
    spatial, spectral = ([*range(n - 1), SIDE - 1] for n in values.shape[:2])
    out = np.full((SIDE, SIDE, *values.shape[2:]), empty, np.float32)
    out[np.ix_(spatial, spectral)] = values
    return out
