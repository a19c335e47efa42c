"""Where work is done: the cores of this process, and other processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock, Thread
from typing import Any, Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Spread(Protocol):
    """Maps a picklable function over items in other processes."""

    def __call__(self, work: Callable[[S], T], items: Sequence[S], /) -> Iterator[T]:
        """The results, in the order of the items."""


def no_check() -> None:
    """In another process there is no caller to ask whether to stop."""


def end_with_parent() -> None:
    """Have this process end with the one that started it: a killed parent cannot tell, and it would wait for ever."""
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def usable_cores() -> int:
    """Cores that the process may run on: on a shared machine or in a job, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Limit:
    """BLAS on one thread while anybody needs it: its pool is one for the process, so the first in sets it, the last out
    sets it back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limiter: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limiter = _blas().limit(limits=1)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limiter.restore_original_limits()


@cache
def _blas() -> Any:
    """The BLAS libraries of this process: looking them up takes milliseconds, as long as a few products."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


_LIMIT = _Limit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS calls inside take one thread each.

    Its products differ in the last digit with the number of its threads, which other processes set otherwise. Tall,
    narrow products gain more from threads of their own, too: on a busy machine the threads of BLAS wait for each
    other at every call, which was 8 times slower.
    """
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()
