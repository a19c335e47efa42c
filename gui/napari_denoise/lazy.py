"""Pixels of a cube as a Dask array of one-plane chunks: the viewer reads the channel that it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import PixelSource

_NAMES = iter(range(1 << 62))


class Planes:
    """What Dask slices: a source read region by region, axes (channel, y, x), or (y, x) for an image."""

    def __init__(self, source: PixelSource, *, image: bool) -> None:
        self._source = source
        self._image = image
        self.dtype = np.dtype(source.dtype)
        self.shape = source.shape[1:] if image else source.shape
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        slices = tuple(slice(*part.indices(n)[:2]) for part, n in zip(key, self.shape, strict=True))
        if self._image:
            return np.asarray(self._source.read((slice(0, 1), slices[0], slices[1]))[0])
        return np.asarray(self._source.read((slices[0], slices[1], slices[2])))


def planes(source: PixelSource, *, image: bool = False) -> Any:
    """A Dask array over anything with ``shape``, ``dtype`` and ``read(region)``; nothing is read now.

    Parameters
    ----------
    source : PixelSource or Cube
        Shape (channel, y, x).
    image : bool
        Leave out the axis of the only channel.
    """
    from dask import array

    held = Planes(source, image=image)
    chunks = held.shape if image else (1, *held.shape[1:])
    # a name of its own: hashing the pixels would read them
    name, empty = f"planes-{next(_NAMES)}", np.empty((0,) * held.ndim, held.dtype)
    return array.from_array(held, chunks=chunks, name=name, asarray=False, fancy=False, meta=empty)
