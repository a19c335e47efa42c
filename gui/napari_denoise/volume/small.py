"""A small copy of a cube for 3D: block means read block by block, its noise, and where it is drawn; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.errors import UsageError
from denoise.noise.statistics import clipped_std, mad_std
from napari_denoise.world import World

MOST = 128  # voxels along an axis
_AT_ONCE = 1 << 22  # voxels read at a time
_GAP = 0.2  # between two volumes, in widths
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Volume:
    """A cube made small.

    Attributes
    ----------
    data : ndarray of float64, shape (channel, y, x)
        Block means in the unit of the cube, NaN where a block has no coverage.
    factors : tuple of int
        Voxels of the cube in a block along (channel, y, x); blocks at the far ends may hold fewer.
    shape : tuple of int
        Of the cube.
    """

    data: NDArray[np.float64]
    factors: tuple[int, int, int]
    shape: tuple[int, int, int]


def block_mean(
    cube: Cube,
    *,
    most: int = MOST,
    tell: Callable[[float], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Volume:
    """Average a cube over blocks, reading a few million voxels at a time.

    Parameters
    ----------
    cube : Cube
        Shape (channel, y, x); NaN take no part in a mean.
    most : int
        Largest number of blocks along an axis.
    tell : callable, optional
        Called with the share that is done, 0 to 1.
    check : callable, optional
        Called before every reading; raises to stop.

    Raises
    ------
    UsageError
        An image has no third axis.
    """
    if cube.is_image:
        raise UsageError("an image has no spectral axis", action="choose a cube for the 3D view")
    fc, fy, fx = (max(1, -(-n // most)) for n in cube.shape)
    small = [-(-n // f) for n, f in zip(cube.shape, (fc, fy, fx), strict=True)]
    total, count = np.zeros(small), np.zeros(small, np.int64)
    steps = list(_steps(cube.shape, fc, fy))
    for done, (channels, rows) in enumerate(steps):
        if check is not None:
            check()
        sums, known = _sums(cube.read((channels, rows, slice(0, cube.shape[2]))), fy, fx)
        place = (channels.start // fc, slice(rows.start // fy, rows.start // fy + len(sums)))
        total[place] += sums
        count[place] += known
        if tell is not None:
            tell((done + 1) / len(steps))
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Volume(means, (fc, fy, fx), cube.shape)


def _steps(shape: tuple[int, int, int], fc: int, fy: int) -> Iterator[tuple[slice, slice]]:
    """Regions of one block along the channels, and of whole blocks along the rows, that are read at once."""
    nchan, ny, nx = shape
    depth = min(fc, max(1, _AT_ONCE // (ny * nx)))
    rows = fy * max(1, _AT_ONCE // (depth * fy * nx))
    for first in range(0, nchan, fc):
        last = min(first + fc, nchan)
        for c, y in product(range(first, last, depth), range(0, ny, rows)):
            yield slice(c, min(c + depth, last)), slice(y, min(y + rows, ny))


def _sums(block: NDArray[Any], fy: int, fx: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of the known voxels (channel, y, x) over channels and blocks of fy by fx pixels."""
    _, ny, nx = block.shape
    known = np.isfinite(block)
    total = np.where(known, block, 0).sum(axis=0, dtype=np.float64)
    room = ((0, -ny % fy), (0, -nx % fx))
    pair = [np.pad(plane, room) for plane in (total, known.sum(axis=0))]
    sums, count = (p.reshape(p.shape[0] // fy, fy, p.shape[1] // fx, fx).sum(axis=(1, 3)) for p in pair)
    return sums, count


def volume_sigma(data: NDArray[Any]) -> float:
    """Noise of a small copy: its voxels off the emission, by clipping about the median; 1 where there is none.

    Parameters
    ----------
    data : ndarray
        Any shape and unit, NaN ignored.

    Returns
    -------
    float
        In the unit of the data.
    """
    values = np.asarray(data, np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return 1.0
    # brought to about 1 first: the clipping works in the precision of the data
    size = float(np.abs(values).max())
    if not size > 0:
        return 1.0
    values = values / size
    values -= np.median(values)
    sigma = clipped_std(values)
    if not (np.isfinite(sigma) and sigma > 0):
        sigma = mad_std(values, about="zero") or float(values.std())
    return float(sigma * size) if sigma > 0 else size


@dataclass(frozen=True)
class Scene:
    """Where two small copies are drawn side by side.

    Attributes
    ----------
    affines : tuple of ndarray, shape (4, 4)
        From voxels of the copies (channel, y, x) to the scene: display depth, offset to the north, offset to the
        east. The first lies to the left (east) of the second.
    boxes : tuple of ndarray, shape (8, 3)
        Corners of both in the scene, in the order of ``itertools.product`` over the near and far faces.
    depth : float
        Length of the spectral axis in the scene.
    names : tuple of str
        Of the axes, with units.
    """

    affines: tuple[NDArray[np.float64], NDArray[np.float64]]
    boxes: tuple[NDArray[np.float64], NDArray[np.float64]]
    depth: float
    names: tuple[str, str, str]


def scene_of(world: World, volume: Volume) -> Scene:
    """Lay two copies of a cube side by side, about as deep as they are wide.

    The true spectral steps are of another unit than those on the sky: drawn as they are, a cube would be a needle or
    a plate. Sky axes keep their scale.

    Parameters
    ----------
    world : World
        Of the cube.
    volume : Volume
        One of the copies; the other has the same shape.
    """
    sky = world.matrix[1:, 1:]
    size = np.abs(sky) @ np.array(volume.shape[1:], float)  # north, east
    depth = float(size.max())
    block = np.eye(4)
    step = depth / volume.shape[0] * (1 if world.matrix[0, 0] >= 0 else -1)
    block[0, 0] = step * volume.factors[0]
    block[1:3, 1:3] = sky @ np.diag(volume.factors[1:])
    middle = np.array([0.0, *(world.matrix @ ((np.array(volume.shape, float) - 1) / 2) + world.origin)[1:]])
    block[:3, 3] = middle - block[:3, :3] @ ((np.array(volume.shape) / volume.factors - 1) / 2)
    shift = np.array([0.0, 0.0, size[1] * (1 + _GAP) / 2])
    pair = [_moved(block, move) for move in (shift, -shift)]
    boxes = [_corners(one, volume) for one in pair]
    return Scene((pair[0], pair[1]), (boxes[0], boxes[1]), depth, axis_names(world))


def axis_names(world: World) -> tuple[str, str, str]:
    """Names of the axes with their units, the first with what it stands for."""
    spectral = f"{world.names[0]} ({world.spectral.unit}), not to scale"
    return spectral, f"{world.names[1]} ({world.units[1]})", f"{world.names[2]} ({world.units[2]})"


def spectral_ends(world: World, unit: bool = True) -> tuple[str, str]:
    """Coordinates of the first and the last channel as text."""
    values = world.spectral.values
    digits = max(0, 2 - int(np.floor(np.log10(max(np.ptp(values), 1e-12)))))
    low, high = (f"{float(v):.{min(digits, 6)}f}".replace("-", "−") for v in values[[0, -1]])
    tail = f" {world.spectral.unit}" if unit else ""
    return f"{low}{tail}", f"{high}{tail}"


def _moved(affine: NDArray[np.float64], move: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = affine.copy()
    moved[:3, 3] += move
    return moved


def _corners(affine: NDArray[np.float64], volume: Volume) -> NDArray[np.float64]:
    ends = [(-0.5, n / f - 0.5) for n, f in zip(volume.shape, volume.factors, strict=True)]
    voxels = np.array(list(product(*ends)))
    corners: NDArray[np.float64] = voxels @ affine[:3, :3].T + affine[:3, 3]
    return corners


def drawn(volume: Volume, sigma: float) -> Floats:
    """What the graphics card gets: values in sigma, zero where nothing is known."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = volume.data.astype(np.float64) / sigma
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
