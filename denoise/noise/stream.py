"""Read a cube in blocks for the estimate, NaN where it is not to be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]
Check = Callable[[], object]  # called between blocks; raises to stop


# where the windows lie, as fractions of the room along channel, y and x: the middle, the corners, the sides
_PLACES = (
    (0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6),
    (0.5, 0.1, 0.1, 0.9, 0.9, 0.5, 0.5, 0.1, 0.9),
    (0.5, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.5, 0.5),
)
_DEPTH, _SIDE = 64, 48  # least channels and pixels across of a window


class CubeLike(Protocol):
    """The part of `denoise.cube.Cube` that the estimate uses."""

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""

    @property
    def noise_source(self) -> Any:
        """Companion with kind, pixels and label, or None."""

    @property
    def gain(self) -> Any:
        """Primary beam, or None."""

    def read(self, region: Region, /) -> NDArray[Any]:
        """Data, NaN where there is no coverage."""

    def excluded(self, region: Region, /) -> NDArray[np.bool_]:
        """Voxels not to be used."""


class SigmaLike(Protocol):
    """Known sigma, read by region."""

    def read(self, region: Region, /) -> NDArray[np.float64]:
        """Sigma, NaN where unknown."""


@dataclass(frozen=True)
class View:
    """Cube divided by one number, as float32, excluded voxels NaN; and its known sigma in the same unit.

    Parameters
    ----------
    cube : CubeLike
    known : SigmaLike, optional
        Sigma up to a factor.
    zeros : bool
        Whether exact zeros are data: noise with many decimals never is zero, a padded field is.
    unit : float
        Brings the values near one, so that 1e-20 fluxes are safe in float32.
    check : callable
        Called before every read; what it raises ends the estimate.
    """

    cube: CubeLike
    known: SigmaLike | None = None
    unit: float = 1.0
    zeros: bool = True
    check: Check = lambda: None

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.cube.shape

    def read(self, region: Region) -> NDArray[np.float32]:
        """Data of a region; NaN also where a known sigma is missing."""
        self.check()
        given = self.cube.read(region)
        factor = np.float32(1.0 / self.unit)
        single = given.dtype == np.float32 and 1e-30 < factor < 1e30
        data = np.multiply(given, factor if single else 1.0 / self.unit)
        data = np.asarray(data, dtype=np.float32)
        excluded = np.asarray(self.cube.excluded(region))
        if excluded.any():
            data[excluded] = np.nan
        if not self.zeros:
            data[data == 0] = np.nan
        if self.known is not None:
            data[~np.isfinite(self.known.read(region))] = np.nan
        if np.isinf(data).any():
            data[np.isinf(data)] = np.nan
        return data

    def sigma(self, region: Region) -> NDArray[np.float32]:
        """Known sigma of a region, over the unit; ones if nothing is known."""
        if self.known is None:
            return np.ones((1, 1, 1), dtype=np.float32)
        return (self.known.read(region) / self.unit).astype(np.float32)


def windows(shape: Shape, *, voxels: int) -> list[Region]:
    """Parts of the cube to learn from: the whole if it is small, else nine spread over channels and field."""
    if int(np.prod(shape)) <= voxels:
        return [(slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))]
    each = voxels // len(_PLACES[0])
    # few pixels leave room for more channels
    depth = min(shape[0], max(_DEPTH, each // (min(shape[1], _SIDE) * min(shape[2], _SIDE))))
    side = max(int(np.sqrt(each / depth)), _SIDE)
    sizes = (depth, min(shape[1], side), min(shape[2], side))
    places = list(zip(*_PLACES, strict=True))
    found: list[Region] = []
    for place in places:
        starts = [round(p * (n - s)) for p, n, s in zip(place, shape, sizes, strict=True)]
        region = tuple(slice(a, a + s) for a, s in zip(starts, sizes, strict=True))
        if region not in found:
            found.append((region[0], region[1], region[2]))
    return found


class Core(NamedTuple):
    """The part of a block that it alone answers for, within the block."""

    channels: slice
    rows: slice


def blocks(
    shape: Shape, *, voxels: int, halo: int, margin: int = 0, step: int = 1
) -> Iterator[tuple[Region, Core]]:
    """Cover the cube with blocks of about so many voxels: all columns, rows split at multiples of `step`.

    Of the ways to cut it that fit, the one that reads the least twice.

    Yields
    ------
    region : Region
        Block with up to `halo` channels and `margin` rows more at each side.
    core : Core
        The block's own part.
    """
    nchan, ny, nx = shape
    margin = -(-margin // step) * step
    cuts, count = _least_overlap(shape, voxels, halo, margin, step)
    for low, high in pairwise(cuts):
        top, bottom = max(0, low - margin), min(ny, high + margin)
        for first in range(0, nchan, count):
            last = min(nchan, first + count)
            begin, end = max(0, first - halo), min(nchan, last + halo)
            core = Core(slice(first - begin, last - begin), slice(low - top, high - top))
            yield (slice(begin, end), slice(top, bottom), slice(0, nx)), core


def _least_overlap(shape: Shape, voxels: int, halo: int, margin: int, step: int) -> tuple[list[int], int]:
    """Edges of the rows, and channels, of the cores of blocks that fit."""
    nchan, ny, nx = shape
    best, least = ([0, ny], min(nchan, 16)), np.inf
    most = -(-ny // step)
    for strips in np.unique(np.geomspace(1, most, 40).round().astype(int)):
        cuts = np.minimum(np.linspace(0, most, strips + 1).round().astype(int) * step, ny)
        tall = min(ny, int(np.diff(cuts).max()) + (2 * margin if strips > 1 else 0))
        room = voxels // (tall * nx)
        count = nchan if room >= nchan else int(np.clip(room - 2 * halo, min(nchan, 16), nchan))
        read = tall * strips * (1.0 + (2.0 * halo / count if count < nchan else 0.0))
        size = tall * nx * min(nchan, count + 2 * halo)
        cost = read * max(1.0, size / voxels) ** 4  # only if nothing fits is a block larger
        if cost < least:
            best, least = (cuts.tolist(), count), cost
    return best
