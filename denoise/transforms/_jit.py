"""Compiled kernels: cached on disk where possible, run over ranges by plain threads.

The kernels are serial and release the GIL. Threads come from here, not from numba's own pools: those must
not be entered from two threads at once, and the engine runs one tile per thread. Work is cut into the same
pieces whatever the number of threads, and every piece writes its own output, so results do not depend on
it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

from denoise.compiled import compiled

One = TypeVar("One")
Other = TypeVar("Other")

# Fused multiply-add only: reassociation or "no NaN" assumptions would change what NaN does.
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """``compiled`` with the options of the transforms."""
    return compiled(function, **_OPTIONS)


def run_ranges(task: Callable[[int, int], object], size: int, *, threads: int, grain: int = 1) -> None:
    """Call ``task(first, last)`` over ``range(size)`` in pieces that are multiples of `grain`."""
    if threads <= 1 or size <= grain:
        task(0, size)
        return
    pieces = -(-size // grain)
    count = min(pieces, 4 * threads)
    edges = [min(size, grain * (pieces * i // count)) for i in range(count + 1)]
    mapped(lambda edge: task(*edge), pairwise(edges), threads=threads)


def mapped(task: Callable[[One], Other], over: Iterable[One], *, threads: int) -> list[Other]:
    """``task`` of each, in order.

    The caller works too, and takes what no other thread has begun: on a busy machine nobody waits for a thread to
    wake up, and a task may call this itself.
    """
    todo = deque(enumerate(over))
    done: dict[int, Other] = {}
    count = len(todo)

    def work() -> None:
        while True:
            try:
                at, each = todo.popleft()
            except IndexError:
                return
            done[at] = task(each)

    helpers = [_pool(threads, os.getpid()).submit(work) for _ in range(min(threads, count) - 1)]
    try:
        work()
    finally:
        todo.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return [done[at] for at in range(count)]


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that stay: starting them costs more than a small cube. A forked process needs its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="denoise")
