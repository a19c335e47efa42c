"""Progress and cancelling: the engine's own, so that every method and every front end gets them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from denoise.errors import CancelledError

T = TypeVar("T")


@dataclass(frozen=True)
class ProgressEvent:
    """How far a stage of the run is.

    Attributes
    ----------
    stage : str
        What is being done, in words.
    done, total : int
        Tiles.
    seconds_left : float or None
        Estimate from the tiles of this stage so far; None before the first.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


Progress = Callable[[ProgressEvent], None]


class CancelToken:
    """Ask a run to stop; it does so within one tile. Safe to use from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Stop the run that holds this token."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether stopping was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise ``CancelledError`` if stopping was asked for."""
        if self.cancelled:
            raise CancelledError("cancelled", action="nothing was written under the output's name")


class Monitor:
    """Reports each tile of a stage and stops between tiles when asked to."""

    def __init__(self, progress: Progress | None = None, cancel: CancelToken | None = None) -> None:
        self._progress = progress
        self._cancel = cancel or CancelToken()

    def check(self) -> None:
        """Raise ``CancelledError`` if stopping was asked for; for work that has no tiles."""
        self._cancel.check()

    def tell(self, event: ProgressEvent) -> None:
        """Report work that has no tiles; raises ``CancelledError`` if stopping was asked for."""
        self.check()
        self._emit(event)

    def track(self, items: Iterable[T], *, stage: str, total: int, before: int = 0) -> Iterator[T]:
        """Yield `items`, one event before the first and one after each; of `total`, `before` were done already."""
        start = time.perf_counter()
        self._emit(ProgressEvent(stage, before, total, None))
        for done, item in enumerate(items, start=1):
            self._cancel.check()
            yield item
            left = (time.perf_counter() - start) / done * (total - before - done)
            self._emit(ProgressEvent(stage, before + done, total, left))
        self._cancel.check()

    def _emit(self, event: ProgressEvent) -> None:
        if self._progress is not None:
            self._progress(event)
