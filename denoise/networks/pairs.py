"""Pairs of noisy cubes for training without truth: what the network sees, and a target with independent noise.

Two observations of one field are such a pair (Noise2Noise, Lehtinen et al. 2018, arXiv:1803.04189). One observation y
whose noise has the covariance C makes one too (Recorrupted2Recorrupted, Pang et al. 2021, CVPR, p. 2043): with e drawn
from N(0, C), ``y + a e`` and ``y - e / a`` have noise of covariance zero with each other. That holds as far as C is the
noise's: what the noise model does not know of its correlation stays in both, and is learnt as if it were signal.

In both the squared error against the target is that against the truth and a number that no network changes. Everything
is in units of sigma of what the network sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import hypot
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.networks.blocks import TRAIN, Blocks, Region
from denoise.networks.examples import colour_transfer
from denoise.networks.scalespace import STEP, Array, Grid, Shape, noise_numbers, scale_space
from denoise.noise import NoiseModel
from denoise.transforms import detection
from denoise.transforms.gaps import bridged
from denoise.transforms.whitening import Whitened, whiten

RECORRUPTION = 0.5  # a: what the network sees has sqrt(1 + a^2) the noise, the target 1 / a of that
_AROUND: Shape = (
    8,
    24,
    24,
)  # channels and pixels around a tile that its scale space looks at; multiples of STEP
Mask = NDArray[np.bool_]


class Field(Protocol):
    """A cube read by region, in the unit of its noise model."""

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""

    @property
    def noise(self) -> NoiseModel:
        """Of the whole cube."""

    def read(self, region: Region, /) -> NDArray[np.floating]:
        """Data of a region, NaN where there is no coverage."""


class Noisy(NamedTuple):
    """What the network sees and the target, over sigma, 0 where not `valid`; and the noise of what it sees."""

    seen: Array
    target: Array
    valid: Mask
    noise: NoiseModel


class Pair(NamedTuple):
    """One tile, as the network takes it; positions and sub-pixels as in ``scalespace``, no batch axis.

    Attributes
    ----------
    inputs : ndarray, shape (channel, y / 2, x / 2, 26), float32
    bands : ndarray, shape (channel, y / 2, x / 2, 25, 4), float32
    target : ndarray, shape (channel, y / 2, x / 2, 4), float32
        Whitened.
    valid : ndarray of bool, shape (channel, y, x)
        Where there is coverage.
    numbers : ndarray, shape (8,), float32
        Of the noise.
    noise : ndarray, shape (25,), float32
        Of the sub-bands.
    colour : ndarray, shape (y, x / 2 + 1), float32
        Transfer function that takes whitened tiles back.
    """

    inputs: Array
    bands: Array
    target: Array
    valid: Mask
    numbers: Array
    noise: Array
    colour: Array


@dataclass(frozen=True, eq=False)
class Sky:
    """One field on the sky.

    Attributes
    ----------
    field : Field
        An observation.
    other : Field or None
        An independent one of the same field, in the same unit; None: noise is added to the only one.
    beam : float
        FWHM of what is unresolved, in pixels.
    """

    field: Field
    other: Field | None
    beam: float

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.field.shape

    def noisy(self, region: Region, *, seed: int, draw: int) -> Noisy:
        """The pair of a region: draw by draw other noise, or the two observations in turn."""
        if self.other is not None:
            one, two = (self.field, self.other) if draw % 2 == 0 else (self.other, self.field)
            sigma = one.noise.sigma(region)
            seen, valid = detection.standardise(_read(one, region), sigma)
            target, also = detection.standardise(_read(two, region), sigma)
            both = valid & also
            return _noisy(seen, target, both, one.noise.window(region))
        noise = self.field.noise
        data, valid = detection.standardise(_read(self.field, region), noise.sigma(region))
        added = self.draw_noise(region, seed=seed, draw=draw)
        a, whole = np.float32(RECORRUPTION), np.float32(hypot(1, RECORRUPTION))
        more = np.asarray((data + a * added) / whole, np.float32)
        less = np.asarray((data - added / a) / whole, np.float32)
        return _noisy(more, less, valid, noise.window(region))

    def draw_noise(self, region: Region, *, seed: int, draw: int) -> Array:
        """Noise of the first observation over its sigma."""
        return self._unit.sample(region, seed=seed, draw=draw)

    def unit_noise(self, region: Region) -> NoiseModel:
        """Its model for a region, sigma 1 everywhere."""
        return self._unit.window(region)

    @cached_property
    def _unit(self) -> NoiseModel:
        noise = self.field.noise
        ones = np.ones(noise.shape[0]), np.ones(noise.shape[1:], np.float32)
        return replace(noise, channel_sigma=ones[0], relative=ones[1], pixels=None, tails=None)


def _noisy(seen: Array, target: Array, valid: Mask, noise: NoiseModel) -> Noisy:
    nothing = np.float32(0)
    return Noisy(np.where(valid, seen, nothing), np.where(valid, target, nothing), valid, noise)


def _read(field: Field, region: Region) -> Array:
    return np.asarray(field.read(region), np.float32)


class Tile(NamedTuple):
    """A tile of a cube on the grid of the network.

    Attributes
    ----------
    core : Region
        Of the cube, a multiple of the grid's steps; may end beyond the cube.
    outer : Region
        What is read.
    """

    core: Region
    outer: Region

    @property
    def within(self) -> Region:
        """The core in the padded grid of what is read, in voxels."""
        c, y, x = (
            slice(core.start - outer.start, core.stop - outer.start)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        return c, y, x


def tile_shape(wanted: Shape, shape: Shape) -> Shape:
    """A tile of a cube of this shape: as wanted, or all of an axis that is shorter."""
    c, y, x = (min(want, room) for want, room in zip(wanted, _padded(shape), strict=True))
    return (c if shape[0] > 1 else 1), y, x


def tile_at(start: Shape, size: Shape, shape: Shape) -> Tile:
    """The tile that begins at `start`, moved to the grid and into the cube."""
    core, outer = [], []
    around = (_AROUND[0] if shape[0] > 1 else 0, *_AROUND[1:])
    axes = zip(start, size, shape, _padded(shape), _steps(shape), around, strict=True)
    for at, length, n, room, step, far in axes:
        first = min(max(at, 0), room - length) // step * step
        core.append(slice(first, first + length))
        outer.append(slice(max(0, first - far), min(n, first + length + far)))
    return Tile((core[0], core[1], core[2]), (outer[0], outer[1], outer[2]))


def make_pair(sky: Sky, tile: Tile, *, seed: int, draw: int) -> Pair:
    """The pair of a tile."""
    found = sky.noisy(tile.outer, seed=seed, draw=draw)
    white = whiten(found.seen, found.valid, found.noise)
    target = whiten(found.target, found.valid, found.noise).data
    return as_pair(white, found.valid, target, tile)


def as_pair(white: Whitened, valid: Mask, target: Array, tile: Tile) -> Pair:
    """A whitened block and a whitened target as the network takes them."""
    numbers = noise_numbers(white.noise)
    grid = Grid.of(white.data.shape, image=white.noise.cube_shape[0] == 1)
    space = scale_space(bridged(white.data, valid), numbers, grid)
    channels, rows, columns = tile.within
    places = (channels, *(slice(part.start // 2, part.stop // 2) for part in (rows, columns)))
    whole = np.zeros(grid.padded, np.bool_)
    whole[grid.inside] = valid
    plane = rows.stop - rows.start, columns.stop - columns.start
    return Pair(
        space.inputs[places],
        space.bands[places],
        grid.positions(target)[places],
        whole[tile.within],
        numbers.numbers,
        numbers.bands,
        colour_transfer(white.filters, plane),
    )


def block_numbers(blocks: Blocks, tile: Tile, shape: Shape, use: int) -> NDArray[np.int64]:
    """``Blocks.numbers`` of a tile's core, -1 beyond the cube.

    In scores the sides of a tile are rims too: the correlation is put back on a periodic field.
    """
    inside = [slice(part.start, min(part.stop, n)) for part, n in zip(tile.core, shape, strict=True)]
    found = blocks.numbers((inside[0], inside[1], inside[2]), use)
    ends = [(0, part.stop - cut.stop) for part, cut in zip(tile.core, inside, strict=True)]
    numbers = np.pad(found, ends, constant_values=-1)
    if use != TRAIN:
        _, y, x = blocks.rim
        numbers[:, :y], numbers[:, numbers.shape[1] - y :] = -1, -1
        numbers[:, :, :x], numbers[:, :, numbers.shape[2] - x :] = -1, -1
    return numbers


def _steps(shape: Shape) -> Shape:
    return STEP if shape[0] > 1 else (1, *STEP[1:])


def _padded(shape: Shape) -> Shape:
    c, y, x = (-(-n // step) * step for n, step in zip(shape, _steps(shape), strict=True))
    return c, y, x
