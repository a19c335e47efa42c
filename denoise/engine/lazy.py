"""The denoised cube as a Dask array, for those who have a pipeline of their own."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.engine.entry import as_cube
from denoise.engine.options import run_options
from denoise.engine.plan import Plan, Tile
from denoise.engine.prepared import Prepared
from denoise.engine.progress import Monitor
from denoise.engine.run import Run
from denoise.engine.runners import Serial, alone
from denoise.engine.tilework import Piece, TileWork
from denoise.errors import ResourceError
from denoise.noise import NoiseModel

_KEPT: list[tempfile.TemporaryDirectory[str]] = []  # removed when the interpreter ends


class _Lazy(Serial):
    """Tiles for whoever computes the array: one thread each, in any process."""

    threads: int | None = 1
    separate = True


def denoise_lazy(
    cube: Cube | str | Path | NDArray[Any],
    method: str = "ist",
    *,
    noise: NoiseModel | None = None,
    beam: Any = None,
    unit: Any = None,
    device: str = "auto",
    memory: int | None = None,
    seed: int = 0,
    continuum: str = "auto",
    positivity: str = "auto",
    vst: Any = None,
    companion: str = "trust",
    **parameters: Any,
) -> Any:
    """Denoise a cube when it is computed: a Dask array of one task a tile.

    The input is inspected, its continuum subtracted and its noise estimated now, because the tiles depend on them;
    what the method learns from the cube is a task, and so is each tile. An input in memory is copied to a file in the
    folder for temporary files (TMPDIR), where it stays until the interpreter ends: tasks carry names, not pixels.

    Parameters
    ----------
    cube, method, noise, beam, unit, device, memory, seed, continuum, positivity, vst, companion, **parameters
        As in ``denoise``; `memory` is that of one tile. None: half of what is free, for all of them one after
        the other: give it where several are computed at a time.

    Returns
    -------
    dask.array.Array, shape (channel, y, x)
        Its chunks are the cores of the tiles, which should not be rechunked before they are computed. NaN where
        there is no coverage. Computed it equals ``denoise(...).cube.data`` with the same `memory`.

    Raises
    ------
    DenoiseError
        Whatever ``denoise`` would raise before the first tile.
    ResourceError
        Dask is not installed.
    """
    array = _dask_array()
    options = run_options(
        method=method,
        parameters=parameters,
        device=device,
        seed=seed,
        continuum=continuum,
        positivity=positivity,
        vst=vst,
        companion=companion,
        memory=memory,
    )
    run = Run(as_cube(cube, beam=beam, unit=unit), options, Monitor(), noise=noise, runner=_Lazy())
    prepared = run.prepare(_scratch())
    from dask import delayed

    work = delayed(_fitted, pure=False)(
        (prepared.data, prepared.noise, prepared.denoiser), prepared.plan, seed
    )
    return array.map_blocks(
        _core,
        work,
        tiles=delayed(_by_place(prepared.plan)),
        chunks=_chunks(prepared.plan),
        dtype=run.cube.dtype,
        meta=np.empty((0, 0, 0), run.cube.dtype),
        name=False,
    )


def _dask_array() -> Any:
    try:
        from dask import array
    except ImportError as error:
        raise ResourceError(
            "a lazy result needs the package dask",
            value=error.name,
            action="pip install astro-denoise[cluster]",
        ) from error
    return array


def _scratch() -> Path:
    _KEPT.append(tempfile.TemporaryDirectory(prefix="denoise-", ignore_cleanup_errors=True))
    return Path(_KEPT[-1].name)


def _fitted(parts: tuple[Any, NoiseModel, Any], plan: Plan, seed: int) -> TileWork:
    """What the method learns from the cube, in the function that does a tile."""
    return Prepared(*parts, plan, Monitor()).work(seed, keep=_after, threads=1)


def _after(piece: Piece) -> NDArray[Any]:
    return piece.after


def _core(
    work: TileWork, tiles: dict[tuple[int, ...], Tile], block_id: tuple[int, ...] | None = None
) -> NDArray[Any]:
    core: NDArray[Any] = alone(work, tiles[block_id or (0, 0, 0)]).kept
    return core


def _edges(plan: Plan) -> list[list[int]]:
    return [sorted({0, *(tile.core[axis].stop for tile in plan.tiles)}) for axis in range(3)]


def _chunks(plan: Plan) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(b - a for a, b in pairwise(edges)) for edges in _edges(plan))


def _by_place(plan: Plan) -> dict[tuple[int, ...], Tile]:
    """Tiles by their number along each axis."""
    places = [{edge: i for i, edge in enumerate(edges)} for edges in _edges(plan)]
    return {
        tuple(at[part.start] for at, part in zip(places, tile.core, strict=True)): tile for tile in plan.tiles
    }
