"""How checks read the two cubes of a result, block by block, whether they are arrays or files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.noise import NoiseModel

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]
Read = Callable[[Region], NDArray[Any]]

BLOCK_VOXELS = 1 << 20


@dataclass(frozen=True)
class Readers:
    """How to read each cube of a result; a region gives an array of the region's shape.

    ``before`` and ``after`` are float with NaN where there is no data, ``sigma`` the noise model's standard
    deviation, ``found`` and ``excluded`` are bool. ``level`` gives the continuum of a block of all channels
    of the input, which both cubes hold unchanged; None: there is none to take off.
    """

    shape: Shape
    before: Read
    after: Read
    sigma: Read
    found: Read
    excluded: Read
    level: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    def lines(self, region: Region) -> tuple[NDArray[Any], NDArray[Any]]:
        """Input and output without the continuum."""
        if self.level is None:
            return self.before(region), self.after(region)
        whole = (slice(0, self.shape[0]), *region[1:])
        before = self.before(whole)
        level = np.broadcast_to(self.level(before), before.shape)[region[0]]
        return before[region[0]] - level, self.after(region) - level

    def scaled_residual(self, region: Region) -> NDArray[Any]:
        """Input minus output in sigma; NaN where there is no data, no sigma, or the voxel is excluded."""
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = (self.before(region) - self.after(region)) / self.sigma(region)
        return np.where(self.excluded(region), np.nan, scaled)


class Pair(Protocol):
    """What readers need of a result; ``denoise.engine.Result`` has it."""

    @property
    def input(self) -> Any:
        """The cube that was denoised."""

    @property
    def cube(self) -> Any:
        """The denoised cube."""

    @property
    def noise(self) -> NoiseModel:
        """Noise of the input."""

    @property
    def support(self) -> Any:
        """The emission found, (channel, y, x): array, or an object with ``read(region)``."""

    @property
    def provenance(self) -> Any:
        """Parts science and run."""


def array_readers(before: NDArray[Any], after: NDArray[Any], noise: NoiseModel) -> Readers:
    """Readers of two arrays in memory, shape (channel, y, x), in the unit of the noise model; NaN is no data."""

    def sigma(region: Region) -> NDArray[Any]:
        values = noise.sigma(region)
        return np.where(values > 0, values, np.nan)

    def nothing(region: Region) -> NDArray[np.bool_]:
        return np.zeros(extent(region), bool)

    shape = noise.shape
    return Readers(shape, before.__getitem__, after.__getitem__, sigma, nothing, nothing)


def readers_of(result: Pair) -> Readers:
    """Readers of a result, in the unit of the data; without a support nothing counts as found."""
    before, after, support = result.input, result.cube, result.support
    settled = settled_data(result)
    stabiliser = _stabiliser(settled["vst"])

    def found(region: Region) -> NDArray[np.bool_]:
        if support is None:
            return np.zeros(extent(region), bool)
        part = support[region] if isinstance(support, np.ndarray) else support.read(region)
        return np.asarray(np.nan_to_num(np.asarray(part)) != 0)

    def sigma(region: Region) -> NDArray[Any]:
        values = np.asarray(result.noise.sigma(region))
        if stabiliser is not None:  # dx/dz of the forward transform z(x), at the output
            values = values * (0.5 * stabiliser.gain) * stabiliser.forward(after.read(region))
        return np.broadcast_to(np.where(values > 0, values, np.nan), extent(region))

    def excluded(region: Region) -> NDArray[np.bool_]:
        return np.broadcast_to(before.excluded(region), extent(region))

    shape = tuple(int(n) for n in before.shape)
    level = _continuum(settled["continuum"])
    return Readers((shape[0], shape[1], shape[2]), before.read, after.read, sigma, found, excluded, level)


def settled_data(result: Pair) -> dict[str, Any]:
    """What the run did to the data around the method: mode of the continuum, variance stabilisation."""
    import yaml

    science = result.provenance.science
    settled = yaml.safe_load(science.get("settled", "{}")) or {}
    configuration = yaml.safe_load(science.get("configuration", "{}")) or {}
    return {"continuum": str(settled.get("continuum", "none")), "vst": configuration.get("vst")}


def slabs(shape: Shape) -> Iterator[Region]:
    """Blocks of all channels and columns and some rows; an image is one block: its continuum is that of the whole."""
    nchan, ny, nx = shape
    rows = ny if nchan == 1 else max(1, min(ny, BLOCK_VOXELS // (nchan * nx)))
    for y in range(0, ny, rows):
        yield slice(0, nchan), slice(y, min(ny, y + rows)), slice(0, nx)


def extent(region: Region) -> Shape:
    """Shape of a region."""
    c, y, x = (s.stop - s.start for s in region)
    return c, y, x


def _stabiliser(vst: Any) -> Any:
    if not vst:
        return None
    from denoise.transforms.stabilise import Anscombe

    return Anscombe(**vst)


def _continuum(mode: str) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    if mode == "none":
        return None
    from denoise.transforms.continuum import estimate_continuum

    return lambda block: np.asarray(estimate_continuum(block, mode))
