"""The work on one tile, the same in this process and on a cluster: read, denoise, keep the core, count it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Region
from denoise.engine.account import Tally, tally
from denoise.engine.bootstrap import Bootstrap, Drawn, near
from denoise.engine.conditioning import Conditioned
from denoise.engine.halving import CoreEstimate, estimate_core
from denoise.engine.plan import Shape, Tile
from denoise.engine.tiles import TileReader
from denoise.errors import DenoiseError
from denoise.methods import Denoiser, Estimate
from denoise.noise import NoiseModel
from denoise.transforms import detection

Floats = NDArray[np.floating]


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


# what happens to a piece in the process that made it, and what of it goes on to the sink
Keep = Callable[[Piece], Any]


def whole_piece(piece: Piece) -> Piece:
    """Keep all of a piece."""
    return piece


class Done(NamedTuple):
    """What a finished tile leaves: what was kept of its piece, its support in packed rows, and its numbers.

    `short`: what was said when the memory did not hold it and it was done in parts; "" otherwise. `backend`: what the
    method says of where it computed; "" where it has no choice. `drawn`: what draws of the noise say of sums, in the
    unit of the tile; None without draws.
    """

    core: Region
    kept: Any
    support: NDArray[np.uint8]
    tally: Tally
    numbers: Mapping[str, float]
    short: str = ""
    backend: str = ""
    drawn: Drawn | None = None


@dataclass(frozen=True)
class TileWork:
    """A function of a tile; picklable, and small where the pixels are in files.

    Attributes
    ----------
    data : Conditioned
        What is denoised and how to get back.
    noise : NoiseModel
        In the unit of the conditioned data.
    denoiser : Denoiser
        With its parameters.
    state : object
        What its fit learned; None without one.
    keep : callable
        Takes the piece in the process that made it.
    bootstrap : Bootstrap or None
        Draws of the noise for the errors.
    """

    data: Conditioned
    noise: NoiseModel
    denoiser: Denoiser
    state: Any
    keep: Keep = whole_piece
    bootstrap: Bootstrap | None = None

    @cached_property
    def _reader(self) -> TileReader:
        return TileReader(self.data.cube, self.noise)

    @cached_property
    def _display(self) -> bool:
        return not self.denoiser.keeps_unit(self.state)

    @cached_property
    def _halo(self) -> Shape:
        """Of the method alone: what the engine searches, it searches in the whole block."""
        shape = self.data.cube.shape
        halo = self.denoiser.halo(shape, self.noise)
        c, y, x = (n if reach is None else reach for n, reach in zip(shape, halo, strict=True))
        return c, y, x

    @cached_property
    def _near(self) -> Shape:
        return near(self.denoiser, self.data.cube.shape, self.noise)

    def __call__(self, tile: Tile) -> Done:
        """Denoise one tile.

        Raises
        ------
        DenoiseError
            The method broke its contract, or the block cannot be read or kept.
        ResourceError
            The memory does not hold the tile, nor its parts.
        """
        given, block = self._reader.read(tile)
        estimate = estimate_core(self._apply, tile, block, self._reader.noise, self._halo, self.denoiser)
        noise = self._reader.noise.window(tile.outer)
        after, found = self._core(tile, block, noise, estimate)
        counted = tally(
            block[tile.inner],
            after,
            noise.window(tile.inner).sigma(),
            found,
            threads=self.denoiser.threads,
        )
        known = self.bootstrap is not None or self.denoiser.info.error_bar
        variance = estimate.variance if known else None
        sigma = None if variance is None else np.where(np.isnan(after), np.float32(np.nan), np.sqrt(variance))
        piece = self._in_input_units(tile, given[tile.inner], after, sigma)
        return Done(
            tile.core,
            self.keep(piece),
            np.packbits(found, axis=2),
            counted,
            dict(estimate.numbers),
            estimate.short,
            self.denoiser.backend,
            estimate.drawn,
        )

    def _apply(self, part: Tile, block: Floats, noise: NoiseModel) -> Estimate:
        estimate = self.denoiser.apply(block, noise, self.state)
        self._check(estimate, block)
        if self.bootstrap is None:
            return estimate
        return self.bootstrap(self.denoiser, part, block, noise, estimate, self._near)

    def _core(
        self, tile: Tile, block: Floats, noise: NoiseModel, estimate: CoreEstimate
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """The denoised core and the emission in it; NaN, and none, where there is no coverage."""
        after, found = estimate.data, estimate.support
        if found is None:
            both = not self.denoiser.positivity
            support = detection.support(block, noise, both_signs=both, threads=self.denoiser.threads)
            found = support[tile.inner]
        missing = np.isnan(block[tile.inner])
        if self.denoiser.positivity:
            after = np.maximum(after, 0)
        if missing.any():
            after, found = np.where(missing, np.float32(np.nan), after), found & ~missing
        return after, found

    def _in_input_units(self, tile: Tile, given: Floats, after: Floats, sigma: Floats | None) -> Piece:
        """Undo the scaling and the conditioning; excluded voxels come out as they went in.

        What is for display stays as it is, and is NaN where data are excluded: they have another unit.
        """
        if self._display:
            shown = after.astype(self.data.cube.dtype)
            shown[self.data.cube.excluded(tile.core)] = np.nan
            return Piece(tile.core, given, shown, None)
        scale, out = self._reader.scale, self.data.cube.dtype
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
            raise DenoiseError(
                f"method {name} returned a block of another shape",
                value=estimate.data.shape,
                action="mend its apply(), which must keep the shape, or use another (denoise methods)",
            )
        finite = np.isfinite(estimate.data)
        lost = 0 if finite.all() else int((np.isfinite(block) & ~finite).sum())
        if lost:
            raise DenoiseError(
                f"method {name} returned values that are not finite",
                value=f"{lost} voxels",
                action="nothing is written: change its parameters, or use another method (denoise methods)",
            )
