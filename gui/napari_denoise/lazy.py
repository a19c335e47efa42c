"""Pixels of a cube as the viewer takes them: an array that reads the plane that is shown, when it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise.cube import PixelSource, Region


class Lazy:
    """What NumPy and napari ask of an array, over ``read(region)``; the one that inherits has that.

    A Dask array does the same, but schedules a graph in threads for every plane.

    Parameters
    ----------
    shape : tuple of int
        Axes (channel, y, x), or (y, x) of an image.
    dtype : dtype
        Of what is read.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(dtype)

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Pixels of a box: a slice for each axis, step 1, not empty."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """By whole numbers, slices and ``...``; reads the box that holds them."""
        boxes, within = zip(
            *(_box(one, size) for one, size in zip(self._full(key), self.shape, strict=True)), strict=True
        )
        lengths = tuple(part.stop - part.start for part in boxes)
        # a file is not asked for nothing
        block = self.read(boxes) if all(lengths) else np.empty(lengths, self.dtype)
        return np.asarray(block[within])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it."""
        return self[...].astype(self.dtype if dtype is None else dtype, copy=False)

    def __deepcopy__(self, _memo: Any) -> Lazy:
        """Itself: a copy of a layer shows the same file."""
        return self

    def astype(self, dtype: DTypeLike, **_options: Any) -> Lazy:
        """The same pixels as another type, converted when they are read."""
        return _Converted(self, dtype)

    def _full(self, key: Any) -> tuple[Any, ...]:
        """An index for each axis."""
        parts = list(key) if isinstance(key, tuple) else [key]
        at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
        missing = self.ndim - len(parts) + (at < len(parts))
        if missing < 0:
            raise IndexError(
                f"{len(parts)} indices for an array of {self.ndim} axes: give one for each axis at most"
            )
        return (*parts[:at], *[slice(None)] * missing, *parts[at + 1 :])


class Planes(Lazy):
    """Over anything with ``shape``, ``dtype`` and ``read(region)``.

    Parameters
    ----------
    source : PixelSource or Cube
        Shape (channel, y, x).
    image : bool
        Leave out the axis of the only channel.
    """

    def __init__(self, source: PixelSource, *, image: bool = False) -> None:
        super().__init__(source.shape[1:] if image else source.shape, source.dtype)
        self._source = source
        self._image = image

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """From the source."""
        whole: Region = (slice(0, 1), *region) if self._image else region  # type: ignore[assignment]
        found = np.asarray(self._source.read(whole))
        return found[0] if self._image else found


class _Converted(Lazy):
    """Another lazy array as another type."""

    def __init__(self, data: Lazy, dtype: DTypeLike) -> None:
        super().__init__(data.shape, dtype)
        self._data = data

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Of the other, converted."""
        return self._data.read(region).astype(self.dtype, copy=False)


def planes(source: PixelSource, *, image: bool = False) -> Planes:
    """A lazy array over a source or a cube; nothing is read now. As `Planes`."""
    return Planes(source, image=image)


def _box(index: Any, size: int) -> tuple[slice, Any]:
    """What to read along an axis for an index, and the index within that."""
    if isinstance(index, slice):
        picked = range(size)[index]
        if not picked:
            return slice(0, 0), slice(None)
        low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
        return slice(low, high + 1), slice(None, None, picked.step)
    place = range(size)[index]  # negative ones count from the end; raises beyond it
    return slice(place, place + 1), 0
