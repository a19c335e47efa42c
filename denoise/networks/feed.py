"""Examples made ahead of the training by worker processes, in the order of the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from denoise.networks.examples import Batch, make_batch
from denoise.networks.recipe import SimulationRecipe

_AHEAD = 2  # batches for each worker that wait or are being made


class Feed:
    """Batches by seed; what a step gets does not depend on the workers, nor on where the training began.

    Parameters
    ----------
    recipe : SimulationRecipe
        What is simulated.
    seed : int
        Of the training.
    pool : ProcessPoolExecutor or None
        None: batches are made when they are asked for, in this process.
    workers : int
        Of the pool.
    """

    def __init__(
        self, recipe: SimulationRecipe, seed: int, pool: ProcessPoolExecutor | None, workers: int
    ) -> None:
        self._recipe, self._seed, self._pool, self._ahead = recipe, seed, pool, _AHEAD * workers

    def batches(self, stream: int, first: int, last: int) -> Iterator[Batch]:
        """Batches of steps first to last - 1."""
        if self._pool is None:
            for step in range(first, last):
                yield make_batch(self._recipe, self._seed, stream, step)
            return
        steps = iter(range(first, last))
        waiting = deque(self._submit(stream, step) for step in islice(steps, self._ahead))
        try:
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(self._submit(stream, step) for step in islice(steps, 1))
                yield batch
        finally:
            for one in waiting:
                one.cancel()

    def _submit(self, stream: int, step: int) -> Future[Batch]:
        assert self._pool is not None
        return self._pool.submit(make_batch, self._recipe, self._seed, stream, step)


@contextmanager
def open_feed(recipe: SimulationRecipe, seed: int, workers: int) -> Iterator[Feed]:
    """A feed whose workers end with the context; 0 workers: none."""
    if workers == 0:
        yield Feed(recipe, seed, None, 0)
        return
    # spawn: a fork of a process with torch's threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield Feed(recipe, seed, pool, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
