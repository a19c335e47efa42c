"""Examples made ahead of the training by worker processes, in the order of the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Generic, TypeVar

_AHEAD = 2  # batches for each worker that wait or are being made
One = TypeVar("One")
Make = Callable[[int, int], One]


class Feed(Generic[One]):
    """Batches by seed; what a step gets does not depend on the workers, nor on where the training began.

    Parameters
    ----------
    make : callable
        Makes the batch of a stream and a step, and nothing else decides what it is; picklable.
    pool : ProcessPoolExecutor or None
        None: batches are made when they are asked for, in this process.
    workers : int
        Of the pool.
    """

    def __init__(self, make: Make[One], pool: ProcessPoolExecutor | None, workers: int) -> None:
        self._make, self._pool, self._ahead = make, pool, _AHEAD * workers

    def batches(self, stream: int, first: int, last: int) -> Iterator[One]:
        """Batches of steps first to last - 1."""
        if self._pool is None:
            for step in range(first, last):
                yield self._make(stream, step)
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

    def _submit(self, stream: int, step: int) -> Future[One]:
        assert self._pool is not None
        return self._pool.submit(self._make, stream, step)


@contextmanager
def open_feed(make: Make[One], workers: int) -> Iterator[Feed[One]]:
    """A feed whose workers end with the context; 0 workers: none."""
    if workers == 0:
        yield Feed(make, None, 0)
        return
    # spawn: a fork of a process with torch's threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield Feed(make, pool, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
