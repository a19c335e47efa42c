"""Where a run starts: from an array or a cube, from a file into a file, or only its plan."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from denoise.cores import usable_cores
from denoise.cube import Cube, read
from denoise.cube.writer import check_output
from denoise.engine.options import RunOptions, run_options
from denoise.engine.plan import Plan
from denoise.engine.progress import CancelToken, Monitor, Progress
from denoise.engine.result import Result
from denoise.engine.run import Run, check_methods, collected_warnings
from denoise.engine.runners import Runner, Serial, open_runner
from denoise.engine.sinks import ArraySink, Sink, check_saved, file_sink
from denoise.errors import ParameterError
from denoise.methods import AUTO, get_method
from denoise.noise import NoiseModel


def denoise(
    cube: Cube | str | Path | NDArray[Any],
    method: str = "ist",
    *,
    seed: int = 0,
    continuum: str = "auto",
    positivity: str = "auto",
    vst: Mapping[str, float] | None = None,
    companion: str = "trust",
    uncertainty: int = 0,
    device: str = "auto",
    memory: int | None = None,
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: str | Path | None = None,
    noise: NoiseModel | None = None,
    beam: Any = None,
    unit: Any = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **parameters: Any,
) -> Result:
    """Denoise a cube or an image.

    Parameters
    ----------
    cube : Cube, path, or ndarray of shape (channel, y, x) or (y, x)
        What to denoise; never modified. NaN is no coverage and stays NaN.
    method : str
        Name of the denoiser, see ``list_methods()``; or "auto": chosen for the cube, and the result says why.
    seed : int
        Fixes every random draw.
    continuum : str
        "auto", "none", "median", "smooth", "smooth:CHANNELS" or "polynomial:ORDER": what is subtracted before
        and restored after.
    positivity : {"auto", "on", "off"}
        Clip the emission at zero; "auto": only where the negative tail of the data agrees with the noise and no
        continuum was subtracted.
    vst : mapping, optional
        ``gain``, ``offset`` and ``read_noise`` of Poisson counts.
    companion : {"trust", "scale", "ignore"}
        The noise that the file itself gives: taken as it is, scaled to the measured level, or left.
    uncertainty : int
        Draws of the noise that are denoised again for the 1 sigma errors (16 are usual); 0: only methods that know
        their own give them.
    device : {"auto", "cpu", "cuda"}
        Where methods that can choose compute; "auto": on a GPU, where the process or worker sees one. Results of
        different devices differ by rounding; the output records which it was.
    memory : int, optional
        Bytes a run, or each worker, may take above the imports' own; None: half of what is free, shared by
        the workers. Runs with the same memory cut the same tiles and give the same bytes.
    threads : int, optional
        Threads that compute; None: one for each core that the process may use. The result does not depend on it.
    workers : int, optional
        Do the tiles in so many processes of one thread. They start Python anew: a script that asks for them
        needs ``if __name__ == "__main__":``.
    scheduler : str, optional
        Do them on a running Dask cluster: the address of its scheduler. Its workers must see the input, and
        the folder for temporary files (TMPDIR) where the cube is in memory or is conditioned.
    cluster : str or Path, optional
        Do them in jobs of a queue that this YAML file describes (see ``pipelines/clusters``).
    noise : NoiseModel, optional
        Known noise; None: from the file's own companion, or estimated.
    beam, unit
        For an ndarray: (major, minor, pa) FWHM in pixels and degrees; an astropy unit or its text.
    progress : callable, optional
        Called with a ``ProgressEvent`` at every tile.
    cancel : CancelToken, optional
        Stops the run within one tile.
    **parameters
        Of the method.

    Returns
    -------
    Result

    Raises
    ------
    ParameterError, UnknownMethodError
        The method or one of its parameters does not exist or is out of range.
    InputError
        There is nothing to denoise: all NaN, all zero, constant, one pixel.
    ResourceError
        The smallest tile does not fit the memory; the cluster does not answer, is lost, or its workers die.
    CancelledError
        `cancel` was used.
    """
    options = run_options(
        method=method,
        parameters=parameters,
        seed=seed,
        continuum=continuum,
        positivity=positivity,
        vst=vst,
        companion=companion,
        uncertainty=uncertainty,
        device=device,
        memory=memory,
    )
    monitor, given = Monitor(progress, cancel), as_cube(cube, beam=beam, unit=unit)
    with open_runner(workers, scheduler, cluster) as runner:
        run = Run(given, options, monitor, noise=noise, threads=threads or usable_cores(), runner=runner)
        return run.into(ArraySink())


def run_file(
    path: str | Path,
    output: str | Path,
    options: RunOptions,
    *,
    input_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: str | Path | None = None,
    runner: Runner | None = None,
    through: Callable[[Sink], Sink] | None = None,
) -> Result:
    """Denoise a file into a file, tile by tile.

    Parameters
    ----------
    path, output : str or Path
        Input, and the output that appears complete or not at all: FITS, or a Zarr group where it ends in ``.zarr``.
    options : RunOptions
        What to do.
    input_options : mapping, optional
        Passed to ``denoise.read``.
    progress, cancel, workers, scheduler, cluster
        As in ``denoise``. The workers of `scheduler` and `cluster` must see the input and the output's folder.
    runner : Runner, optional
        One that is open already, to share it between files; see ``open_runner``.
    through : callable, optional
        Given the sink of the output, returns the one that gets the tiles and passes them on: to see them come.

    Returns
    -------
    Result
        Its cubes are read from the output when asked for.

    Raises
    ------
    OutputExistsError
        Before any work starts, unless ``options.overwrite``.
    """
    check_output(Path(output), overwrite=options.overwrite)
    # a wrong parameter, or an error bar that the method does not give, is told before anything is read
    check_methods(options)
    if options.method != AUTO:
        check_saved(options.save, get_method(options.method).info, options.uncertainty)
    with collected_warnings() as said:
        cube = read(path, **dict(input_options or {}))
    sink: Sink = file_sink(
        Path(output), save=options.save, overwrite=options.overwrite, layout=options.layout
    )
    if through is not None:
        sink = through(sink)
    opened = open_runner(workers, scheduler, cluster) if runner is None else nullcontext(runner)
    with opened as used:
        return Run(
            cube,
            options,
            Monitor(progress, cancel),
            input_options=input_options,
            said=said,
            runner=used,
            scratch=Path(output).parent if used.elsewhere else None,
        ).into(sink)


def plan_file(
    path: str | Path,
    options: RunOptions,
    *,
    input_options: Mapping[str, Any] | None = None,
    runner: Runner | None = None,
) -> Plan:
    """What ``run_file`` would do and what it would cost; the noise is estimated, nothing is written.

    Parameters
    ----------
    path, options, input_options
        As for ``run_file``.
    runner : Runner, optional
        Who would do it, see ``plan_runner``; None: this process.

    Raises
    ------
    DenoiseError
        Whatever ``run_file`` would raise before the first tile.
    """
    run = Run(read(path, **dict(input_options or {})), options, Monitor(), runner=runner or Serial())
    with tempfile.TemporaryDirectory(prefix="denoise-") as scratch:
        return run.prepare(Path(scratch)).plan


def as_cube(cube: Cube | str | Path | NDArray[Any], *, beam: Any = None, unit: Any = None) -> Cube:
    """A Cube from whatever the user has.

    Raises
    ------
    ParameterError
        `beam` or `unit` was given for something that brings its own.
    """
    if isinstance(cube, Cube) and beam is not None:
        raise ParameterError("the beam belongs to the Cube", action="give it to denoise.Cube(...)")
    if isinstance(cube, Cube | str | Path) and unit is not None:
        raise ParameterError(
            "a unit is for plain arrays; this input has its own",
            action="leave unit out, or give it to denoise.Cube(...)",
        )
    if isinstance(cube, str | Path):
        return read(cube, beam=beam)
    if isinstance(cube, Cube):
        return cube
    return Cube(cube, beam=beam, unit=unit)
