"""What is known of every input: its noise, its brightest voxel, the suggested method; worked out once, in a thread."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal

from denoise.cube import Cube
from denoise.engine import CancelToken
from denoise.methods import choose
from denoise.noise import NoiseModel, estimate_noise
from napari_denoise.jobs import Job

LARGE = 1 << 26  # voxels: more of them are not all read without being asked for


@dataclass(frozen=True)
class Study:
    """What a pass over a cube found.

    Attributes
    ----------
    cube : Cube
        With its blanks outside the field masked.
    noise : NoiseModel
        As a run would use it.
    peak_snr : float
        Brightest voxel over the typical noise.
    nan_share : float
        Of the voxels, without coverage.
    method, reason : str
        What ``-m auto`` would take, and why.
    notes : tuple of str
        What the user should know of the file.
    """

    cube: Cube
    noise: NoiseModel
    peak_snr: float
    nan_share: float
    method: str
    reason: str
    notes: tuple[str, ...] = ()


def study(cube: Cube, job: Job | None = None) -> Study:
    """Inspect a cube and estimate its noise, as ``denoise info`` does.

    Raises
    ------
    InputError, NoiseError
        There is nothing to denoise, or no noise to be found.
    """
    token = CancelToken() if job is None else job.token
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = cube.inspect()
        used = cube if found.blanks is None else cube.with_mask(found.blanks)
        noise = estimate_noise(used, psf=cube.psf_image(), check=token.check)
    peak = float(found.maximum / noise.typical)
    choice = choose(noise, peak_snr=peak)
    notes = tuple(dict.fromkeys([*found.notes, *(str(one.message) for one in said)]))
    return Study(used, noise, peak, float(found.nan_share), choice.method, choice.reason, notes)


class Studies(QObject):
    """The studies of the cubes of a viewer.

    ``ready`` is emitted with the cube when one is there, ``failed`` with the cube and one line when it cannot be.
    """

    ready = Signal(object)
    failed = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self._found: WeakKeyDictionary[Cube, Study] = WeakKeyDictionary()
        self._jobs: dict[int, Job] = {}

    def of(self, cube: Cube) -> Study | None:
        """The study of a cube if it is there."""
        return self._found.get(cube)

    def want(self, cube: Cube, *, large: bool = False) -> None:
        """Have one made unless it is there or under way; of a large cube only where `large` is set."""
        if cube in self._found or id(cube) in self._jobs or (prod(cube.shape) > LARGE and not large):
            return
        job = Job(partial(study, cube))
        job.done.connect(lambda found: self._done(cube, found))
        job.failed.connect(lambda text: self._failed(cube, text))
        job.cancelled.connect(lambda: self._jobs.pop(id(cube), None))
        self._jobs[id(cube)] = job.start()

    @property
    def busy(self) -> bool:
        """Whether one is being made."""
        return bool(self._jobs)

    def _done(self, cube: Cube, found: Study) -> None:
        self._jobs.pop(id(cube), None)
        self._found[cube] = found
        self.ready.emit(cube)

    def _failed(self, cube: Cube, text: str) -> None:
        self._jobs.pop(id(cube), None)
        self.failed.emit(cube, text)


_OF: WeakKeyDictionary[Any, Studies] = WeakKeyDictionary()


def studies_of(viewer: Any) -> Studies:
    """The one of a viewer, shared by its docks."""
    if viewer not in _OF:
        _OF[viewer] = Studies()
    return _OF[viewer]
