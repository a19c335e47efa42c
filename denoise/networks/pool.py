"""Tiles to fine-tune on: some of each cube, chosen once, half of the draws where emission was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.errors import InputError
from denoise.networks.blocks import TRAIN, Blocks, check_judges
from denoise.networks.pairs import Pair, Sky, Tile, block_numbers, make_pair, tile_at, tile_shape
from denoise.networks.scalespace import Shape
from denoise.transforms import detection

_LOOKED_AT, _KEPT = 128, 32  # tiles: a large cube is judged by a part of it


class Scored(NamedTuple):
    """A pair, and the number of the block that each voxel (channel, y, x) counts for; -1: for none."""

    pair: Pair
    blocks: NDArray[np.int64]


@dataclass(frozen=True)
class Looked:
    """A tile that was looked at: of which sky, and how many voxels of emission were found."""

    sky: int
    tile: Tile
    emission: int


class Pool:
    """Where pairs come from.

    Parameters
    ----------
    skies : sequence of Sky
        The fields.
    wanted : tuple of int
        Shape (channel, y, x) of tiles.
    seed : int
        Fixes which blocks are for what, which tiles, and every draw of noise.

    Raises
    ------
    InputError
        Fewer than 8 blocks of all cubes would judge, or there is no coverage.
    """

    def __init__(self, skies: Sequence[Sky], wanted: Shape, seed: int) -> None:
        rng = np.random.default_rng((seed, 0))
        self.skies, self.wanted, self.seed = tuple(skies), wanted, seed
        self.sizes = [tile_shape(wanted, sky.shape) for sky in skies]
        self.blocks = [Blocks.of(sky.field.noise, rng) for sky in skies]
        self._first = np.cumsum([0, *(one.uses.size for one in self.blocks)])
        check_judges(sum(one.judges for one in self.blocks))
        self.tiles = self._chosen(rng)
        self._odds = self._shares()

    def drawn(self, rng: np.random.Generator, draw: int) -> Scored:
        """A pair to train on, around one of the tiles."""
        chosen = self.tiles[int(rng.choice(len(self.tiles), p=self._odds))]
        size, shape = self.sizes[chosen.sky], self.skies[chosen.sky].shape
        moved = [
            part.start + int(rng.integers(-(n // 2), n // 2 + 1))
            for part, n in zip(chosen.tile.core, size, strict=True)
        ]
        tile = tile_at((moved[0], moved[1], moved[2]), size, shape)
        return self._scored(chosen.sky, tile, TRAIN, draw)

    def scored(self, use: int, draws: int) -> Iterator[Scored]:
        """Every tile with blocks for this use, in so many draws each: the same at every call."""
        for one in self.tiles:
            if (self._numbers(one.sky, one.tile, use) >= 0).any():
                for draw in range(draws):
                    yield self._scored(one.sky, one.tile, use, draw)

    def _scored(self, sky: int, tile: Tile, use: int, draw: int) -> Scored:
        # draws of scores are none of those of the training
        pair = make_pair(self.skies[sky], tile, seed=4 * self.seed + use, draw=draw)
        numbers = self._numbers(sky, tile, use)
        return Scored(pair, np.where(pair.valid, numbers, -1))

    def _numbers(self, sky: int, tile: Tile, use: int) -> NDArray[np.int64]:
        numbers = block_numbers(self.blocks[sky], tile, self.skies[sky].shape, use)
        return np.where(numbers >= 0, numbers + self._first[sky], -1)

    def _chosen(self, rng: np.random.Generator) -> list[Looked]:
        """Half of what is kept is where most emission was found."""
        everywhere = [
            (number, start)
            for number, sky in enumerate(self.skies)
            for start in _lattice(sky.shape, self.sizes[number])
        ]
        order = rng.permutation(len(everywhere))[:_LOOKED_AT]
        looked = [self._look(*everywhere[int(place)]) for place in order]
        covered = [one for one in looked if one is not None]
        if not covered:
            raise InputError("there is no coverage where tiles were looked at", action="crop the empty part")
        bright = sorted(range(len(covered)), key=lambda k: -covered[k].emission)[: _KEPT // 2]
        rest = [k for k in range(len(covered)) if k not in bright]
        return [covered[k] for k in sorted([*bright, *rest[: _KEPT - len(bright)]])]

    def _look(self, number: int, start: Shape) -> Looked | None:
        sky = self.skies[number]
        tile = tile_at(start, self.sizes[number], sky.shape)
        data, valid = detection.standardise(
            np.asarray(sky.field.read(tile.outer), np.float32), sky.field.noise.sigma(tile.outer)
        )
        if not valid.any():
            return None
        found = detection.find_emission(data, valid, sky.field.noise.window(tile.outer))
        return Looked(number, tile, int(found.support[tile.within].sum()))

    def _shares(self) -> NDArray[np.float64]:
        emission = np.array([one.emission for one in self.tiles], np.float64)
        even = np.full(len(self.tiles), 1 / len(self.tiles))
        return even if not emission.any() else 0.5 * even + 0.5 * emission / emission.sum()


def _lattice(shape: Shape, size: Shape) -> list[Shape]:
    """Starts of tiles that cover a cube."""
    axes = [range(0, max(1, ceil(n / one)) * one, one) for n, one in zip(shape, size, strict=True)]
    return list(product(axes[0], axes[1], axes[2]))
