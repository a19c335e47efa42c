"""Where the tiles go: arrays in memory, or a file that appears when it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, Region
from denoise.noise import NoiseModel

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Finished:
    """What a sink holds in the end: the denoised cube, its error if there is one, and the file if it is one."""

    cube: Cube
    uncertainty: Cube | None
    path: Path | None


class Sink(Protocol):
    """Takes each core once, in any order."""

    def open(self, cube: Cube, noise: NoiseModel, *, variance: bool) -> None:
        """Get ready for results with the shape and metadata of `cube`."""

    def write(self, region: Region, before: Floats, after: Floats, sigma: Floats | None) -> None:
        """Take the core of one tile: input, result and its 1 sigma error (channel, y, x) in the cube's unit."""

    def finish(self, provenance: dict[str, dict[str, str]]) -> Finished:
        """Make the result visible."""

    def abort(self) -> None:
        """Leave nothing behind."""


class ArraySink:
    """Results in memory."""

    def open(self, cube: Cube, noise: NoiseModel, *, variance: bool) -> None:
        """Allocate the arrays."""
        self._like = cube
        self._data = np.empty(cube.shape, cube.dtype)
        self._error = np.empty(cube.shape, np.float32) if variance else None

    def write(self, region: Region, before: Floats, after: Floats, sigma: Floats | None) -> None:
        """Copy a core into place."""
        self._data[region] = after
        if self._error is not None:
            self._error[region] = sigma

    def finish(self, provenance: dict[str, dict[str, str]]) -> Finished:
        """Cubes over the arrays."""
        like = self._like
        error = None if self._error is None else like.with_pixels(self._error)
        return Finished(like.with_pixels(self._data), error, None)

    def abort(self) -> None:
        """Nothing outlives the object."""
