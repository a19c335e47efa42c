"""Read a cube in blocks for the estimate: in units of what is known of the noise, NaN where not to be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.noise.known import SigmaFrom

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]


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


@dataclass(frozen=True)
class View:
    """Cube divided by the known sigma (or one) and by one number, as float32; excluded voxels are NaN.

    Parameters
    ----------
    cube : CubeLike
    known : SigmaFrom, optional
    unit : float
        Brings the values near one, so that 1e-20 fluxes are safe in float32.
    """

    cube: CubeLike
    known: SigmaFrom | None = None
    unit: float = 1.0

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.cube.shape

    def read(self, region: Region) -> NDArray[np.float32]:
        """Normalised data of a region."""
        data = np.asarray(self.cube.read(region), dtype=np.float64)
        data = data / self.unit if self.known is None else data / (self.known.read(region) * self.unit)
        data[~np.isfinite(data) | np.asarray(self.cube.excluded(region))] = np.nan
        return data.astype(np.float32)


def windows(shape: Shape, *, voxels: int) -> list[Region]:
    """Parts of the cube to learn from: the whole if it is small, else nine spread over channels and field."""
    if int(np.prod(shape)) <= voxels:
        return [(slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))]
    depth = min(shape[0], 96)
    side = int(np.sqrt(voxels / 9 / depth))
    sizes = (depth, min(shape[1], max(side, 48)), min(shape[2], max(side, 48)))
    places = [(0.5, 0.5, 0.5)] + [
        (c, y, x) for c, y, x in zip((0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6), (0.1, 0.1, 0.9, 0.9, 0.5, 0.5, 0.1, 0.9),
                                     (0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.5, 0.5), strict=True)
    ]  # fmt: skip
    found: list[Region] = []
    for place in places:
        starts = [int(round(p * (n - s))) for p, n, s in zip(place, shape, sizes, strict=True)]
        region = tuple(slice(a, a + s) for a, s in zip(starts, sizes, strict=True))
        if region not in found:
            found.append((region[0], region[1], region[2]))
    return found


def blocks(
    shape: Shape, *, voxels: int, row_edges: NDArray[np.int64], halo: int
) -> Iterator[tuple[Region, slice]]:
    """Cover the cube with blocks of about so many voxels; rows are split only at the given edges.

    Yields
    ------
    region : Region
        Block with up to `halo` channels more at each end.
    core : slice
        The block's own channels, within the region.
    """
    nchan, ny, nx = shape
    depth = min(nchan, max(8, 2 * halo))
    rows = max(1, voxels // (depth * nx))
    cuts = [0]
    for edge in row_edges[1:]:
        if edge - cuts[-1] >= rows or edge == ny:
            cuts.append(int(edge))
    for low, high in pairwise(cuts):
        count = int(np.clip(voxels // ((high - low) * nx) - 2 * halo, min(nchan, 8), nchan))
        for first in range(0, nchan, count):
            last = min(nchan, first + count)
            begin, end = max(0, first - halo), min(nchan, last + halo)
            yield (slice(begin, end), slice(low, high), slice(0, nx)), slice(first - begin, last - begin)
