"""Regions of a cube: three slices (channel, y, x), absolute, step one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from denoise.errors import UsageError

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]

_AXES = ("channel", "y", "x")


def full_region(shape: Shape) -> Region:
    """The region that covers a cube of this shape (channel, y, x)."""
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def region_shape(region: Region) -> Shape:
    """Shape (channel, y, x) of a checked region."""
    c, y, x = (s.stop - s.start for s in region)
    return c, y, x


def check_region(region: Region | None, shape: Shape) -> Region:
    """Region with start and stop filled in; None means all of it.

    Raises
    ------
    UsageError
        A slice has a step, is reversed, or leaves the cube.
    """
    if region is None:
        return full_region(shape)
    c, y, x = (_check_slice(s, n, axis) for s, n, axis in zip(region, shape, _AXES, strict=True))
    return c, y, x


def _check_slice(part: slice, size: int, axis: str) -> slice:
    start = 0 if part.start is None else int(part.start)
    stop = size if part.stop is None else int(part.stop)
    if part.step not in (None, 1) or not 0 <= start <= stop <= size:
        raise UsageError(
            f"the region leaves the {axis} axis of {size}",
            value=f"{part.start}:{part.stop}:{part.step}",
            action="use 0 <= start <= stop <= size and no step",
        )
    return slice(start, stop)


def blocks(shape: Shape, *, voxels: int) -> Iterator[Region]:
    """Cut a cube (channel, y, x) into regions of at most about `voxels`, in the order of the channels.

    Whole channels where they fit, else rows of one channel: both are contiguous in an ordinary FITS file.
    """
    nchan, ny, nx = shape
    rows = min(ny, max(1, voxels // max(nx, 1)))
    depth = max(1, voxels // max(ny * nx, 1)) if rows == ny else 1
    for c in range(0, nchan, depth):
        for y in range(0, ny, rows):
            yield slice(c, min(c + depth, nchan)), slice(y, min(y + rows, ny)), slice(0, nx)


def strides(shape: Sequence[int], size: int) -> list[int]:
    """Bytes from one element to the next on each axis of an array whose elements take `size` bytes."""
    steps = [size]
    for n in reversed(shape[1:]):
        steps.append(steps[-1] * n)
    return steps[::-1]


def outer_axes(slices: Sequence[slice], shape: Sequence[int]) -> int:
    """Number of leading axes to step through; what follows them is one run in the file."""
    axis = len(shape) - 1
    while axis > 0 and slices[axis].stop - slices[axis].start == shape[axis]:
        axis -= 1
    return axis
