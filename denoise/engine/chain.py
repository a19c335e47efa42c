"""Several denoise steps in a row: each works on what the one before left, the account is of the input."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from denoise.cube import Cube
from denoise.engine.account import tally
from denoise.engine.conditioning import Conditioned, as_file_source, scratch_array
from denoise.engine.options import RunOptions
from denoise.engine.prepared import Prepared
from denoise.engine.progress import Monitor
from denoise.engine.runners import Runner
from denoise.engine.tiles import TileReader, scaled_float32
from denoise.engine.tilework import Keep, Piece, whole_piece
from denoise.errors import NoiseError

_ZEROS = 0.1  # share of exact zeros above which robust noise estimates are those of the zeros

Later = Callable[[Cube, RunOptions], Prepared]


class Chain(Prepared):
    """A prepared run of several steps; noise, support, metrics and residual are those of the input.

    Parameters
    ----------
    first : Prepared
        The first step, on the conditioned input.
    options : RunOptions
        With ``then``.
    later : callable
        Prepares a step on the cube that the steps before it left; it measures the noise anew.
    scratch : Path
        Folder for what the steps leave.
    monitor : Monitor
        Progress and cancelling.

    The continuum is subtracted once, before the first step, and restored after the last.
    """

    def __init__(
        self, first: Prepared, options: RunOptions, later: Later, scratch: Path, monitor: Monitor
    ) -> None:
        size = int(np.prod(first.plan.shape)) * first.data.cube.dtype.itemsize
        plan = replace(
            first.plan,
            scratch=first.plan.scratch + 2 * size,
            peak_memory=2 * first.plan.peak_memory,
            budget=2 * first.plan.budget,
        )
        super().__init__(first.data, first.noise, first.denoiser, plan, monitor)
        unchanged = Conditioned(first.data.cube, first.data.cube, None, first.data.continuum)
        self._steps = [Prepared(unchanged, first.noise, first.denoiser, plan, monitor)]
        self._options = options
        self._later = later
        self._scratch = scratch
        self._reader = TileReader(first.data.cube, first.noise)

    @property
    def label(self) -> str:
        """The methods, in their order."""
        return ", ".join([self._options.method, *(step.method for step in self._options.then)])

    @property
    def error_bar(self) -> bool:
        """Never: what one step leaves is not independent of what the next takes."""
        return False

    @property
    def limits(self) -> None:
        """There are no errors."""

    @property
    def resolution(self) -> None:
        """Not told: kernels of later steps follow the noise that the steps before them leave."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Of every step that was run, under its number and method."""
        return {
            f"{number} {step.denoiser.info.name}": step.denoiser.parameters.model_dump(mode="json")
            for number, step in enumerate(self._steps, start=1)
        }

    @property
    def halved(self) -> str:
        """Of every step that had such tiles, in their order."""
        return "; ".join(step.halved for step in self._steps if step.halved)

    @property
    def backends(self) -> list[str]:
        """Of every step."""
        return sorted({one for step in self._steps for one in step.backends})

    def run(self, seed: int, *, keep: Keep, runner: Runner) -> Generator[Any, None, None]:
        """Run the steps before the last into scratch, then yield what `keep` makes of the pieces of the last."""
        for stage in self._options.then:
            left = self._whole(self._steps[-1], seed, runner)
            self._steps.append(self._later(left, self._options.stage(stage)))
        self.support = self._steps[0].support
        with closing(self._steps[-1].run(seed, keep=whole_piece, runner=runner)) as pieces:
            for piece in pieces:
                yield keep(self._finished(piece))

    def metrics(self) -> dict[str, float | None]:
        """The account of input against final output, and the last method's own numbers."""
        return super().metrics() | self._steps[-1]._numbers

    def remarks(self) -> list[str]:
        """Of every step, in their order."""
        return [text for step in self._steps for text in step.remarks()]

    def _whole(self, step: Prepared, seed: int, runner: Runner) -> Cube:
        """What a step makes of its whole cube.

        Raises
        ------
        NoiseError
            Much of it is exactly zero: the noise that is left cannot be measured there.
        """
        cube = step.data.cube
        # a share of the budget so small that the arrays of two steps do not count
        pixels = scratch_array(cube, 0 if runner.separate else self.plan.budget // 64, self._scratch)
        zeros, voxels = 0, 0
        with closing(step.run(seed, keep=whole_piece, runner=runner)) as pieces:
            for piece in pieces:
                pixels[piece.region] = piece.after
                zeros += int(np.count_nonzero((piece.after == 0) & (piece.before != 0)))
                voxels += int(np.isfinite(piece.after).sum())
        if zeros > _ZEROS * voxels:
            method = step.denoiser.info.name
            raise NoiseError(
                f"method {method} left exact zeros, so that the noise after it cannot be measured for the next step",
                value=f"{100 * zeros / voxels:.0f} % of the voxels",
                action=f"put {method} last, after a step that leaves the noise where no emission is, as smooth",
            )
        return cube.with_pixels(as_file_source(pixels), noise=None)

    def _finished(self, last: Piece) -> Piece:
        """A piece of the last step in the unit of the input, counted against the input."""
        region, cube, scale = last.region, self.data.cube, self._reader.scale
        before = scaled_float32(cube.read(region), 1 / scale)
        kept = cube.excluded(region)
        before[kept] = np.nan
        after, found = scaled_float32(last.after, 1 / scale), self.support.read(region)
        threads = self.denoiser.threads
        self._account.merge(tally(before, after, self._reader.noise.sigma(region), found, threads=threads))
        data, _ = self.data.restore(region, last.after)
        given = self.data.original.read(region)
        data = np.where(kept, given, data)
        stabiliser = self.data.stabiliser
        noise = None if stabiliser is None else stabiliser.noise(data, self.noise.sigma(region))
        return Piece(region, given, data, None, noise)
