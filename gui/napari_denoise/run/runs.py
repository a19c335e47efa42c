"""The whole cube through the engine, into an array that the viewer shows as it fills, or into a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from denoise.cores import usable_cores
from denoise.cube import Cube
from denoise.engine import RunOptions, run_file
from denoise.engine.progress import Monitor
from denoise.engine.run import Run
from denoise.engine.sinks import ArraySink, Told
from denoise.noise import NoiseModel
from napari_denoise.jobs import Job
from napari_denoise.run.filling import Shown, WatchedSink

TILE_MEMORY = (
    2_000_000_000  # bytes: tiles of some seconds, so that there is progress to see and a run can be stopped
)
_SHARE = 4  # of the free memory that a result may fill


class LiveSink(ArraySink):
    """Results in memory, with NaN where nothing has come yet.

    Parameters
    ----------
    opened : callable
        Told once, with the array (channel, y, x) that will fill and whether it is for display only.
    shown : callable
        Told the region of every core that has come.
    """

    def __init__(self, opened: Callable[[NDArray[Any], bool], None], shown: Shown) -> None:
        self._opened = opened
        self._shown = shown

    def open(self, cube: Cube, noise: NoiseModel, told: Told) -> None:
        """Allocate the arrays and say so."""
        super().open(cube, noise, told)
        self._data.fill(np.nan)
        self._opened(self._data, told.display)

    def take(self, kept: Any) -> None:
        """Copy a core into place and say so."""
        super().take(kept)
        self._shown(kept[0])


def fits_memory(cube: Cube) -> bool:
    """Whether the result of a cube may be kept in memory: a quarter of what is free."""
    size = int(np.prod(cube.shape)) * np.dtype(cube.dtype).itemsize
    return size <= psutil.virtual_memory().available // _SHARE


def memory_of(wanted: int | None = None) -> int:
    """Bytes for the tiles of a run in the viewer: at most half of what is free."""
    return min(wanted or TILE_MEMORY, psutil.virtual_memory().available // 2)


def run_live(cube: Cube, options: RunOptions, reading: Mapping[str, Any], job: Job) -> Any:
    """Denoise into memory. Tells the job ``("opened", array, display)`` and ``("tile", region)``.

    Parameters
    ----------
    cube : Cube
    options : RunOptions
    reading : mapping
        Keywords of ``denoise.read``, for the record.
    job : Job

    Returns
    -------
    Result
    """
    sink = LiveSink(*_tellers(job))
    run = Run(
        cube,
        options,
        Monitor(job.progress, job.token),
        input_options=reading,
        threads=usable_cores(),
    )
    return run.into(sink)


def run_to_file(source: Path, options: RunOptions, reading: Mapping[str, Any], path: Path, job: Job) -> Any:
    """Denoise a file into a file, which appears when it is complete; as ``denoise run`` does.

    Tells the job ``("opened", filling, display)`` and ``("tile", region)``: what has come can be read before that.

    Raises
    ------
    OutputExistsError
        It is there and ``options.overwrite`` is false.
    """
    return run_file(
        source,
        path,
        options,
        input_options=reading,
        progress=job.progress,
        cancel=job.token,
        through=lambda sink: WatchedSink(sink, *_tellers(job)),
    )


def _tellers(job: Job) -> tuple[Callable[[Any, bool], None], Shown]:
    """What a sink tells, as news of the job."""
    return (
        lambda data, display: job.told.emit(("opened", data, display)),
        lambda region: job.told.emit(("tile", region)),
    )
