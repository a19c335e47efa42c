"""Which cubes belong together: the input, its denoised cube, their noise and error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.cube.sources import ArraySource
from denoise.noise import NoiseModel
from napari_denoise.inspect.measure import Pair, Readers
from napari_denoise.jobs import Job
from napari_denoise.layers import Entry, entry_of
from napari_denoise.studies import Study

Read = Callable[[tuple[slice, slice, slice]], NDArray[Any]]
HELD_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class Chosen:
    """A pair to look at, the layer's entry that places it, and what the user should know of it."""

    pair: Pair
    entry: Entry
    notes: tuple[str, ...] = ()


def choose_pair(
    first: Entry | None, second: Any, layers: Any, study: Callable[[Cube], Study | None]
) -> Chosen | None:
    """The pair of two chosen layers.

    Parameters
    ----------
    first : Entry or None
        Of the input.
    second : layer or None
        The denoised one.
    layers : iterable of layers
        Of the viewer: the error of a denoised file is a layer of its own.
    study : callable
        What is known of a cube.

    Returns
    -------
    Chosen or None
        None: there is no cube at all.
    """
    after = entry_of(second)
    source = first.cube if first is not None else None if after is None else after.source
    if source is None:
        return None if after is None or after.role == "display" else _alone(after)
    place = first or after
    if place is None:
        return None
    notes: list[str] = []
    after = _fitting(source, after, notes)
    found = study(source)
    pair = Pair(
        source if found is None else found.cube,
        None if after is None else after.cube,
        _noise(source, after, found),
        None if after is None else _error(after, second, layers),
        None if after is None or after.result is None else after.result.support,
    )
    return Chosen(pair, place, tuple(notes))


def _alone(after: Entry) -> Chosen:
    note = "The input of this cube is not open: it is measured alone."
    return Chosen(Pair(after.cube, name="denoised"), after, (note,))


def _fitting(source: Cube, after: Entry | None, notes: list[str]) -> Entry | None:
    """The denoised cube, if it can be compared with the input."""
    if after is None:
        return None
    if after.role == "display":
        notes.append("The other layer is for display only: it has no unit, so nothing of it is measured.")
        return None
    if after.cube.shape != source.shape:
        notes.append(
            f"{after.cube.name} has shape {after.cube.shape}, the input {source.shape}: choose its own input."
        )
        return None
    return after


def _noise(source: Cube, after: Entry | None, found: Study | None) -> NoiseModel | None:
    """Of the run where it is in the unit of the data and of this input, else of the study."""
    result = None if after is None else after.result
    if result is not None and result.stabiliser is None and after is not None and after.source is source:
        noise: NoiseModel = result.noise
        return noise
    return None if found is None else found.noise


def _error(after: Entry, layer: Any, layers: Any) -> Cube | None:
    if after.result is not None:
        error: Cube | None = after.result.uncertainty
        return error
    for other in layers:
        entry = entry_of(other)
        if (
            entry is not None
            and entry.role == "uncertainty"
            and other.name == f"{layer.name} uncertainty"
            and entry.cube.shape == after.cube.shape
        ):
            return entry.cube
    return None


@dataclass(eq=False)
class Copies:
    """Copies in memory of the cubes that are looked at; larger ones are read where they are needed."""

    _held: dict[Cube, NDArray[Any]] = field(default_factory=dict)

    def readers(self, pair: Pair) -> Readers:
        """From the copies where there are some."""
        return Readers(self._reader(pair.before), None if pair.after is None else self._reader(pair.after))

    def missing(self, pair: Pair) -> list[Cube]:
        """Cubes of a pair that can be copied and are not; copies of others are dropped."""
        wanted = [cube for cube in (pair.before, pair.after) if cube is not None and copied(cube)]
        self._held = {cube: data for cube, data in self._held.items() if cube in wanted}
        return [cube for cube in wanted if cube not in self._held]

    def take(self, read: dict[Cube, NDArray[Any]]) -> None:
        """Hold what was read."""
        self._held.update(read)

    def _reader(self, cube: Cube) -> Read:
        data = self._held.get(cube)
        return cube.read if data is None else partial(_part, data)


def copied(cube: Cube) -> bool:
    """Whether a copy in memory is worth it: the cube is on disk, and no larger than half a gigabyte."""
    there = isinstance(cube.source, ArraySource) and type(cube.source.array) is np.ndarray
    return not there and prod(cube.shape) * cube.dtype.itemsize <= HELD_BYTES


def read_copies(cubes: list[Cube], job: Job) -> dict[Cube, NDArray[Any]]:
    """For a job: all pixels of some cubes, channel by channel."""
    found = {}
    for cube in cubes:
        data = np.empty(cube.shape, cube.dtype)
        for channel in range(cube.shape[0]):
            job.token.check()
            data[channel] = cube.read(
                (slice(channel, channel + 1), slice(0, cube.shape[1]), slice(0, cube.shape[2]))
            )[0]
        found[cube] = data
    return found


def _part(data: NDArray[Any], region: tuple[slice, slice, slice]) -> NDArray[Any]:
    return data[region]
