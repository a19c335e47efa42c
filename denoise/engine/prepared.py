"""A run that is ready to go: fit once, then yield each tile's core as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Region
from denoise.engine.account import Account, PackedMask, flux_error
from denoise.engine.conditioning import Conditioned
from denoise.engine.plan import Plan, Tile
from denoise.engine.progress import Monitor
from denoise.engine.tiles import Blocks
from denoise.errors import DenoiseError
from denoise.methods import Denoiser, Estimate
from denoise.noise import NoiseModel
from denoise.transforms import detection

Floats = NDArray[np.floating]

_MERGE: dict[str, Callable[[float, float], float]] = {"sum": lambda a, b: a + b, "max": max, "worst": min}


class Piece(NamedTuple):
    """The core of one tile in the unit of the input.

    What came in, what goes out, its 1 sigma error, and 1 sigma of what came in if the noise model has another
    unit.
    """

    region: Region
    before: Floats
    after: Floats
    sigma: Floats | None
    noise: Floats | None = None


class Prepared:
    """Conditioned data, noise, denoiser and plan of one run, and its account.

    Parameters
    ----------
    data : Conditioned
        What is denoised and how to get back.
    noise : NoiseModel
        In the unit of the conditioned data.
    denoiser : Denoiser
        With its parameters.
    plan : Plan
        The tiles.
    monitor : Monitor
        Progress and cancelling.
    """

    def __init__(
        self, data: Conditioned, noise: NoiseModel, denoiser: Denoiser, plan: Plan, monitor: Monitor
    ) -> None:
        self.data = data
        self.noise = noise
        self.denoiser = denoiser
        self.plan = plan
        self.support = PackedMask(plan.shape)
        self._monitor = monitor
        self._blocks = Blocks(data.cube, noise, plan, monitor)
        self._account = Account(threads=denoiser.threads)
        self._numbers: dict[str, float] = {}

    @property
    def label(self) -> str:
        """What is run, in a few words."""
        return self.denoiser.info.name

    @property
    def error_bar(self) -> bool:
        """Whether the result has a 1 sigma error."""
        return self.denoiser.info.error_bar

    @property
    def parameters(self) -> dict[str, Any]:
        """What is run with, defaults filled in."""
        return dict(self.denoiser.parameters.model_dump(mode="json"))

    def pieces(self, seed: int) -> Iterator[Piece]:
        """Fit, then denoise tile by tile."""
        tiles, blocks = self.plan.tiles, self._blocks
        fitted = self.denoiser.passes > 0
        state = self.denoiser.fit(blocks, blocks.noise, seed=seed) if fitted else None
        for tile in self._monitor.track(tiles, stage="denoising", total=len(tiles)):
            yield self._piece(tile, state)

    def metrics(self) -> dict[str, float | None]:
        """The account of the tiles so far, and the method's own numbers."""
        error = flux_error(self.support, self.noise)
        return self._account.summary(self.noise.typical, self._blocks.scale, error) | self._numbers

    def _piece(self, tile: Tile, state: Any) -> Piece:
        blocks = self._blocks
        given, block = blocks.read(tile)
        noise = blocks.noise.window(tile.outer)
        estimate = self.denoiser.apply(block, noise, state)
        self._check(estimate, block)
        self._merge(estimate)
        support = estimate.support
        if support is None:
            both = not self.denoiser.positivity
            support = detection.support(block, noise, both_signs=both, threads=self.denoiser.threads)
        before = block[tile.inner]
        missing = np.isnan(before)
        after, found = estimate.data[tile.inner], support[tile.inner]
        if self.denoiser.positivity:
            after = np.maximum(after, 0)
        if missing.any():
            after, found = np.where(missing, np.float32(np.nan), after), found & ~missing
        self.support.write(tile.core, found)
        self._account.add(before, after, noise.window(tile.inner).sigma(), found)
        variance = estimate.variance if self.denoiser.info.error_bar else None
        sigma = None if variance is None else np.sqrt(variance[tile.inner])
        return self._in_input_units(tile, given[tile.inner], after, sigma)

    def _in_input_units(self, tile: Tile, given: Floats, after: Floats, sigma: Floats | None) -> Piece:
        """Undo the scaling and the conditioning; excluded voxels come out as they went in."""
        scale, out = self._blocks.scale, self.data.cube.dtype
        # in double precision, a buffer at a time
        data = np.multiply(
            after, scale, out=np.empty(after.shape, out), dtype=np.float64, casting="same_kind"
        )
        error = None if sigma is None else np.multiply(sigma, scale, dtype=np.float64).astype(np.float32)
        kept = self.data.cube.excluded(tile.core) if self.data.cube.has_exclusions else np.zeros((), bool)
        if kept.any():
            data[kept] = given[kept]
            if error is not None:
                error[kept] = self.noise.sigma(tile.core)[kept]
        data, error = self.data.restore(tile.core, data, error)
        if self.data.changed:
            given = self.data.original.read(tile.core)
            if kept.any():
                data[kept] = given[kept]
        stabiliser = self.data.stabiliser
        noise = None if stabiliser is None else stabiliser.noise(data, self.noise.sigma(tile.core))
        return Piece(tile.core, given, data, error, noise)

    def _check(self, estimate: Estimate, block: Floats) -> None:
        """A method that returns another shape or loses voxels must not pass for a result."""
        name = self.denoiser.info.name
        if estimate.data.shape != block.shape:
            raise DenoiseError(f"method {name} returned a block of another shape", value=estimate.data.shape)
        finite = np.isfinite(estimate.data)
        lost = 0 if finite.all() else int((np.isfinite(block) & ~finite).sum())
        if lost:
            raise DenoiseError(f"method {name} returned values that are not finite", value=f"{lost} voxels")

    def _merge(self, estimate: Estimate) -> None:
        for name, value in estimate.diagnostics.items():
            how = self.denoiser.info.diagnostics[name]
            known = self._numbers.get(name)
            self._numbers[name] = value if known is None else _MERGE[how](known, value)
