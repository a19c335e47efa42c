"""Where sources go: on voxels that are free of data gaps and of emission, clear of one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.check.recovery.sources import Block, Shape, Template

Mask = NDArray[np.bool_]
Region = tuple[slice, slice, slice]

_CANDIDATES = 50_000  # places kept of each kind
_TRIES = 60  # places tried for a source before it waits for the next draw


@dataclass(frozen=True)
class Wanted:
    """A source that is to be placed: its kind (index of the template), stamp and peak SNR."""

    kind: int
    stamp: int
    snr: float


@dataclass(frozen=True)
class Placed:
    """A source at its place.

    Attributes
    ----------
    wanted : Wanted
        What it is.
    place : tuple of int
        Voxel (channel, y, x) of the middle of its stamp.
    box : Region
        Its stamp in the cube, cut at the cube's edge.
    values : ndarray, shape of the box, float32
        What of the stamp lies in the box, peak 1.
    """

    wanted: Wanted
    place: Shape
    box: Region
    values: Block


def put_stamp(wanted: Wanted, stamp: Block, place: Shape, shape: Shape) -> Placed:
    """The stamp at a place of a cube of this shape."""
    box, inside = [], []
    for at, size, length in zip(place, stamp.shape, shape, strict=True):
        first = at - size // 2
        start, stop = max(0, first), min(length, first + size)
        box.append(slice(start, stop))
        inside.append(slice(start - first, stop - first))
    return Placed(wanted, place, (box[0], box[1], box[2]), stamp[tuple(inside)])


def free_places(free: Mask, extent: Shape, rng: np.random.Generator) -> NDArray[np.int32]:
    """Places where a box of this (odd) extent lies on free voxels only, at random if they are many.

    Parameters
    ----------
    free : ndarray of bool, shape (channel, y, x)
        Where sources may be.
    extent : tuple of int
        Of the box about the place; beyond the edge of the cube nothing is free.
    rng : numpy.random.Generator
        Picks and shuffles.

    Returns
    -------
    ndarray, shape (n, 3), int32
        Voxels (channel, y, x), at most 50,000.
    """
    from scipy.ndimage import minimum_filter1d

    if any(size > length for size, length in zip(extent, free.shape, strict=True)):
        return np.empty((0, 3), np.int32)
    room = free.astype(np.uint8)
    for axis, size in enumerate(extent):
        if size > 1:
            minimum_filter1d(room, size, axis=axis, mode="constant", cval=0, output=room)
    flat = np.flatnonzero(room)
    if flat.size > _CANDIDATES:
        flat = flat[rng.integers(0, flat.size, _CANDIDATES)]
    rng.shuffle(flat)
    return np.stack(np.unravel_index(flat, free.shape), axis=1).astype(np.int32)


def clear_of(taken: Mask, gap: Shape) -> Mask:
    """Voxels farther than `gap` (channel, y, x) from every taken one."""
    from scipy.ndimage import maximum_filter1d

    near = taken.astype(np.uint8)
    for axis, reach in enumerate(gap):
        if reach:
            maximum_filter1d(near, 2 * reach + 1, axis=axis, mode="constant", cval=0, output=near)
    return np.asarray(near == 0)


def fill(
    waiting: Iterable[Wanted],
    templates: Sequence[Template],
    places: Mapping[int, NDArray[np.int32]],
    shape: Shape,
    *,
    gap: Shape,
    most: int,
    rng: np.random.Generator,
) -> tuple[list[Placed], list[Wanted]]:
    """Place the sources that fit one draw, in order; those that do not fit wait.

    Parameters
    ----------
    waiting : iterable of Wanted
        What is to be placed.
    templates : sequence of Template
        The kinds.
    places : mapping of int to ndarray, shape (n, 3)
        Free places of each kind.
    shape : tuple of int
        The cube.
    gap : tuple of int
        Voxels (channel, y, x) between the boxes of two sources: boxes are apart by more on at least one axis.
    most : int
        Sources in a draw.
    rng : numpy.random.Generator
        Picks the places.

    Returns
    -------
    placed, waiting : list of Placed, list of Wanted
    """
    placed: list[Placed] = []
    left: list[Wanted] = []
    taken = np.empty((0, 2, 3), int)
    full: set[int] = set()
    for wanted in waiting:
        if len(placed) == most or wanted.kind in full:
            left.append(wanted)
            continue
        stamp = templates[wanted.kind].stamps[wanted.stamp]
        for place in _some(places[wanted.kind], rng):
            one = put_stamp(wanted, stamp, place, shape)
            if _apart(one.box, taken, gap):
                placed.append(one)
                taken = np.concatenate([taken, _ends(one.box)[None]])
                break
        else:  # the next of this kind will hardly fit either
            full.add(wanted.kind)
            left.append(wanted)
    return placed, left


def _some(places: NDArray[np.int32], rng: np.random.Generator) -> Iterator[Shape]:
    for row in rng.integers(0, len(places), _TRIES):
        c, y, x = places[row]
        yield int(c), int(y), int(x)


def _ends(box: Region) -> NDArray[np.int_]:
    return np.array([[part.start for part in box], [part.stop for part in box]])


def _apart(box: Region, taken: NDArray[np.int_], gap: Shape) -> bool:
    low, high = _ends(box)
    clear = (low >= taken[:, 1] + gap) | (taken[:, 0] >= high + np.array(gap))
    return bool(clear.any(axis=1).all())
