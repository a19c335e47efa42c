"""Where work is done: the cores of this process, and other processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Spread(Protocol):
    """Maps a picklable function over items in other processes."""

    def __call__(self, work: Callable[[S], T], items: Sequence[S], /) -> Iterator[T]:
        """The results, in the order of the items."""


def no_check() -> None:
    """In another process there is no caller to ask whether to stop."""


def usable_cores() -> int:
    """Cores that the process may run on: on a shared machine or in a job, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
