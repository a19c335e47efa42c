"""Blocks as a method sees them: a tile with its halo, in units of one number for the whole cube."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.engine.plan import Plan, Tile
from denoise.engine.progress import Monitor
from denoise.methods import Sample
from denoise.noise import NoiseModel


class Blocks:
    """The tiles of a plan, read from a cube and divided by the typical noise.

    Parameters
    ----------
    cube : Cube
        What is denoised.
    noise : NoiseModel
        Its noise, in the cube's unit.
    plan : Plan
        The tiles.
    monitor : Monitor
        Reports each tile of a pass.
    """

    def __init__(self, cube: Cube, noise: NoiseModel, plan: Plan, monitor: Monitor) -> None:
        self.shape = cube.shape
        self.scale = noise.typical
        self.noise = noise.scaled(1 / self.scale)
        self._cube = cube
        self._plan = plan
        self._monitor = monitor

    def block(self, tile: Tile) -> NDArray[np.float32]:
        """Data of the tile's outer region, float32, NaN where there is no coverage."""
        return scaled_float32(self._cube.read(tile.outer), 1 / self.scale)

    def __iter__(self) -> Iterator[Sample]:
        """One pass of a fit."""
        tiles = self._monitor.track(
            self._plan.tiles, stage="learning from the cube", total=len(self._plan.tiles)
        )
        for tile in tiles:
            yield Sample(self.block(tile), self.noise.window(tile.outer), tile.inner)


def scaled_float32(data: NDArray[np.floating], factor: float) -> NDArray[np.float32]:
    """`data` times `factor` as a new float32 array.

    float64 input is multiplied in double precision first: a flux of 1e-45 has no float32 of its own.
    """
    if data.dtype == np.float32 and np.isfinite(np.float32(factor)):
        return np.multiply(data, np.float32(factor))
    return np.multiply(data, np.float64(factor), dtype=np.float64).astype(np.float32)
