"""A method set up on one cube, to be applied again and again to other pixels in its place.

Injected sources, draws of noise and the negated cube all have to go through what the cube itself went through: the
same method and parameters, the same noise model, the same sign convention. Continuum and counts are settled once.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, Region
from denoise.engine.options import RunOptions
from denoise.engine.progress import Monitor
from denoise.engine.result import Result
from denoise.engine.run import Run, settled_options
from denoise.engine.runners import Runner, Serial
from denoise.engine.sinks import ArraySink
from denoise.errors import UsageError
from denoise.noise import NoiseModel

Block = NDArray[np.float32]


@dataclass(frozen=True)
class Rig:
    """One method on one cube.

    Attributes
    ----------
    cube : Cube
        The data that are denoised: checked, its continuum subtracted and its counts stabilised if the options say so.
    noise : NoiseModel
        Of these data, in their unit; held fixed.
    options : RunOptions
        With everything decided that "auto" leaves to the data.
    chosen : str
        Why this method, where "auto" chose it; "" otherwise.
    monitor : Monitor
        Progress and cancelling.
    threads : int
        Threads of each run.
    runner : Runner
        Who does the tiles.
    continuum : str
        Mode of the continuum that is off these data; "none".
    """

    cube: Cube
    noise: NoiseModel
    options: RunOptions
    chosen: str
    monitor: Monitor
    threads: int
    runner: Runner
    continuum: str = "none"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channel, y, x)."""
        return self.cube.shape

    def data(self, region: Region | None = None) -> Block:
        """The data (channel, y, x) in the unit of the noise model, NaN without coverage and where excluded."""
        block = np.array(self.cube.read(region), np.float32)
        if self.cube.has_exclusions:
            block[self.cube.excluded(region)] = np.nan
        return block

    def sample(self, draw: int, *, seed: int | None = None, region: Region | None = None) -> Block:
        """A draw of the noise, NaN where there are no data; `seed`: that of the options if not given."""
        key = self.options.seed if seed is None else seed
        block = self.noise.sample(region, seed=key, draw=draw)
        block[~np.isfinite(self.data(region))] = np.nan
        return block

    def run(self, pixels: Any = None) -> Result:
        """What the method makes of these pixels, shape (channel, y, x) in the unit of the data; None: of the data.

        Raises
        ------
        DenoiseError
            As ``denoise.denoise``.
        """
        cube = self.cube if pixels is None else self.cube.with_pixels(pixels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the cube itself, once is enough: the run of it says them
            return Run(
                cube,
                self.options,
                self.monitor,
                noise=self.noise,
                threads=self.threads,
                runner=self.runner,
            ).into(ArraySink())

    def apply(self, pixels: Any = None) -> Block:
        """The denoised data alone, shape (channel, y, x), float32, NaN without coverage and where excluded."""
        return self.pixels_of(self.run(pixels))

    def pixels_of(self, result: Result) -> Block:
        """The pixels of a result, shape (channel, y, x), float32, NaN without coverage and where excluded."""
        out = np.array(result.cube.read(), np.float32)
        if self.cube.has_exclusions:
            out[self.cube.excluded()] = np.nan  # they come out as they went in
        return out


@contextmanager
def open_rig(
    cube: Cube,
    options: RunOptions,
    monitor: Monitor | None = None,
    *,
    noise: NoiseModel | None = None,
    threads: int | None = None,
    runner: Runner | None = None,
) -> Iterator[Rig]:
    """Set a method up on a cube; inside the context files that conditioning needs exist.

    Parameters
    ----------
    cube : Cube
        The observation.
    options : RunOptions
        Method and physics, as for ``denoise run``.
    monitor : Monitor, optional
        Progress and cancelling.
    noise : NoiseModel, optional
        Known noise of the conditioned data; None: as a run finds it.
    threads, runner
        As in ``Run``.

    Raises
    ------
    UsageError
        The result of the method has no unit: there is no flux to lose.
    InputError, NoiseError, ParameterError, ResourceError
        As a run raises before its first tile.
    """
    told, who = monitor or Monitor(), runner or Serial()
    extra: dict[str, Any] = {} if threads is None else {"threads": threads}
    with tempfile.TemporaryDirectory(prefix="denoise-", ignore_cleanup_errors=True) as scratch:
        run = Run(cube, options, told, noise=noise, runner=who, **extra)
        prepared = run.prepare(Path(scratch))
        prepared.fit(options.seed)
        if prepared.display:
            raise UsageError(
                f"the output of method {prepared.label} is for display and has no flux unit: there is nothing to check",
                action="choose a method that keeps the unit (denoise methods)",
            )
        yield Rig(
            prepared.data.cube,
            prepared.noise,
            settled_options(options, prepared),
            prepared.chosen,
            told,
            run.threads,
            who,
            prepared.data.continuum,
        )
