"""Blocks as a method sees them: a tile with its halo, in units of one number for the whole cube."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.engine.plan import Plan, Tile
from denoise.engine.progress import Monitor, ProgressEvent
from denoise.methods import Sample
from denoise.noise import NoiseModel


class TileReader:
    """Reads tiles of a cube, divided by the typical noise; picklable.

    Parameters
    ----------
    cube : Cube
        What is denoised.
    noise : NoiseModel
        Its noise, in the cube's unit.
    """

    def __init__(self, cube: Cube, noise: NoiseModel) -> None:
        self.cube = cube
        self.scale = noise.typical
        self.noise = noise.scaled(1 / self.scale)

    def read(self, tile: Tile) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
        """The tile's outer region (channel, y, x): as it is, and as a method sees it.

        A method sees NaN where there is no coverage, and also where data are excluded: what is flagged must
        not reach its neighbours.
        """
        given = self.cube.read(tile.outer)
        block = scaled_float32(given, 1 / self.scale)
        if self.cube.has_exclusions:
            block[self.cube.excluded(tile.outer)] = np.nan
        return given, block


class Blocks:
    """The tiles of a plan as the passes of a fit see them.

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
        self._reader = TileReader(cube, noise)
        self.noise = self._reader.noise
        self._plan = plan
        self._monitor = monitor

    def __iter__(self) -> Iterator[Sample]:
        """One pass of a fit."""
        tiles = self._monitor.track(
            self._plan.tiles, stage="learning from the cube", total=len(self._plan.tiles)
        )
        for tile in tiles:
            yield Sample(self._reader.read(tile)[1], self.noise.window(tile.outer), tile.inner)

    def tell(self, stage: str, done: int, total: int, seconds_left: float | None = None) -> None:
        """Report work between passes; raises ``CancelledError`` if stopping was asked for."""
        self._monitor.tell(ProgressEvent(stage, done, total, seconds_left))


def scaled_float32(data: NDArray[np.floating], factor: float) -> NDArray[np.float32]:
    """`data` times `factor` as a new float32 array.

    float64 input is multiplied in double precision first: a flux of 1e-45 has no float32 of its own.
    """
    if data.dtype == np.float32 and np.isfinite(np.float32(factor)):
        return np.asarray(np.multiply(data, np.float32(factor)), np.float32)
    return np.asarray(np.multiply(data, np.float64(factor), dtype=np.float64), np.float32)
