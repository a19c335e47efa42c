"""A run that is ready to go: fit once, then take each tile's core as it is done."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.engine.account import OF_INPUT, Account, PackedMask, flux_error
from denoise.engine.bootstrap import Bootstrap, Drawn, RedrawnBlocks
from denoise.engine.conditioning import Conditioned
from denoise.engine.halving import merge_numbers
from denoise.engine.plan import MASK_SHARE, REFITS, Plan
from denoise.engine.progress import Monitor
from denoise.engine.resolution import Resolution, resolution_of
from denoise.engine.runners import Runner, Serial
from denoise.engine.tiles import Blocks
from denoise.engine.tilework import Done, Keep, Piece, TileWork, whole_piece
from denoise.errors import DenoiseWarning
from denoise.methods import Denoiser, Limits
from denoise.methods.errorbars import drawn_limits, flux_factor
from denoise.noise import NoiseModel


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
    draws : int
        Draws of the noise for the errors; 0: those that the method itself knows, if it does.

    Attributes
    ----------
    chosen : str
        Why this method, where it was chosen for the cube; "" where it was asked for.
    """

    def __init__(
        self,
        data: Conditioned,
        noise: NoiseModel,
        denoiser: Denoiser,
        plan: Plan,
        monitor: Monitor,
        *,
        draws: int = 0,
    ) -> None:
        self.data = data
        self.noise = noise
        self.denoiser = denoiser
        self.plan = plan
        self.support = PackedMask(plan.shape, most=plan.budget // MASK_SHARE)
        self._monitor = monitor
        self._account = Account()
        self._numbers: dict[str, float] = {}
        self._halved, self._short = 0, ""
        self._backends: set[str] = set()
        self._fitted: tuple[int, Any] | None = None
        self._draws = draws
        self._drawn: Drawn | None = None
        self.chosen = ""

    @property
    def label(self) -> str:
        """What is run, in a few words."""
        return self.denoiser.info.name

    @property
    def error_bar(self) -> bool:
        """Whether the result has a 1 sigma error."""
        return self._draws > 0 or self.denoiser.info.error_bar

    @property
    def limits(self) -> Limits | None:
        """How many 1 sigma errors hold 95 %; None: as many as of Gaussian errors, or it is not known."""
        return drawn_limits(self.denoiser) if self._draws else self.denoiser.limits

    @property
    def parameters(self) -> dict[str, Any]:
        """What is run with, defaults filled in."""
        return dict(self.denoiser.parameters.model_dump(mode="json"))

    @property
    def halved(self) -> str:
        """The tiles that the memory did not hold, in words; "" if there are none."""
        if not self._halved:
            return ""
        return f"{self._halved} of {len(self.plan.tiles)} tiles, done in halves ({self._short})"

    @property
    def backends(self) -> list[str]:
        """Where the tiles so far were computed, as the method says it; empty where it has no choice."""
        return sorted(self._backends)

    def remarks(self) -> list[str]:
        """What the method says of the data, once all tiles are done."""
        return self.denoiser.remarks(self._numbers)

    @property
    def resolution(self) -> Resolution | None:
        """What a kernel leaves of the resolution; None where the method has none, or sees stabilised counts."""
        if self.data.stabiliser is not None:
            return None
        return resolution_of(self.data.original, self.denoiser.kernel_fwhm(self.noise))

    @property
    def display(self) -> bool:
        """Whether the result is for display only, without the unit of the data; known once it is fitted."""
        return self._fitted is not None and not self.denoiser.keeps_unit(self._fitted[1])

    def fit(self, seed: int) -> Any:
        """What the method learns from the cube, once for a seed; None for a method that needs nothing."""
        if self._fitted is None or self._fitted[0] != seed:
            state = None
            if self.denoiser.passes > 0:
                blocks = Blocks(self.data.cube, self.noise, self.plan, self._monitor)
                state = self.denoiser.fit(blocks, blocks.noise, seed=seed)
            self._fitted = seed, state
        return self._fitted[1]

    def pieces(self, seed: int) -> Iterator[Piece]:
        """Fit, then denoise tile by tile in this process."""
        return self.run(seed, keep=whole_piece, runner=Serial())

    def run(self, seed: int, *, keep: Keep, runner: Runner) -> Generator[Any, None, None]:
        """Fit, then have the tiles done; yields what `keep` made of each piece, in the order of the tiles."""
        work, tiles = self.work(seed, keep=keep, threads=runner.threads), self.plan.tiles
        with closing(runner.map(work, tiles, check=self._monitor.check)) as results:
            for done in self._monitor.track(results, stage="denoising", total=len(tiles)):
                self._add(done)
                yield done.kept
        if self.halved:
            warnings.warn(
                f"the memory did not hold {self.halved}; smaller tiles (--memory) save the time of the attempts",
                DenoiseWarning,
                stacklevel=2,
            )

    def work(self, seed: int, *, keep: Keep, threads: int | None = None) -> TileWork:
        """Fit, and the function that does a tile with so many threads (None: those of the denoiser)."""
        denoiser, state = self.denoiser, self.fit(seed)
        if threads is not None:
            denoiser = copy(denoiser)
            denoiser.threads = threads
        bootstrap = Bootstrap(self._draws, seed, self._redrawn(seed, state)) if self._draws else None
        return TileWork(self.data, self.noise, denoiser, state, keep, bootstrap)

    def _redrawn(self, seed: int, state: Any) -> tuple[Any, ...]:
        """What the method learns from redrawn cubes; the state as it is where it learns nothing."""
        if not self.denoiser.passes:
            return (state,)
        blocks = Blocks(self.data.cube, self.noise, self.plan, self._monitor)
        sources = (
            RedrawnBlocks(blocks, self.denoiser, state, seed, k) for k in range(min(REFITS, self._draws))
        )
        return tuple(self.denoiser.fit(source, blocks.noise, seed=seed) for source in sources)

    @property
    def drawn(self) -> Drawn | None:
        """What draws of the noise say of sums over the emission found, in the unit of the noise; None without draws."""
        return None if self._drawn is None else self._drawn.scaled(self.noise.typical)

    @property
    def flux_errors(self) -> NDArray[np.float64] | None:
        """1 sigma error of the flux found in each channel, shape (channel,), in the unit of the data.

        None without draws, and where counts were stabilised: their sums have another unit.
        """
        if self.drawn is None or self.data.stabiliser is not None:
            return None
        return self.drawn.errors * flux_factor(self.denoiser)

    def metrics(self) -> dict[str, float | None]:
        """The account of the tiles so far, and the method's own numbers; no flux of what is for display."""
        error = flux_error(self.support, self.noise)
        typical = self.noise.typical
        found = self._account.summary(typical, typical, error)
        if self.display:
            found = {name: found[name] for name in OF_INPUT}
        elif self.drawn is not None and found["flux_after"] is not None:
            # draws of a source that is barely found may all lose it, and differ by nothing
            drawn = self.drawn.error * flux_factor(self.denoiser)
            found["flux_after_error"] = max(drawn, found["flux_before_error"] or 0.0)
        return found | self._numbers

    def _add(self, done: Done) -> None:
        self.support.write_packed(done.core, done.support)
        self._account.merge(done.tally)
        if done.drawn is not None:
            self._drawn = done.drawn if self._drawn is None else self._drawn.plus(done.drawn)
        merge_numbers(self._numbers, done.numbers, self.denoiser)
        if done.backend:
            self._backends.add(done.backend)
        if done.short:
            self._halved += 1
            self._short = self._short or done.short
