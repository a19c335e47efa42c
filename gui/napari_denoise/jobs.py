"""Work in threads of its own, reported on the Qt thread: a run that can be cancelled, and "the newest of many"."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from denoise.engine import CancelToken, ProgressEvent
from denoise.errors import CancelledError, DenoiseError

log = logging.getLogger(__name__)
Work = Callable[["Job"], Any]
_PATIENCE = 20.0  # seconds that closing waits for a tile


class Job(QObject):
    """One piece of work in a thread.

    Signals arrive on the thread that made the job: ``done`` with what the work returned, ``failed`` with one readable
    line, or ``cancelled``; ``progressed`` with a ``ProgressEvent``; ``told`` with whatever the work tells on its way.

    Parameters
    ----------
    work : callable
        Called with the job; passes ``job.progress`` and ``job.token`` to the engine.
    lasts : bool
        What came too late to be cancelled is done all the same: the file it wrote is there.
    """

    done = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    progressed = Signal(object)
    told = Signal(object)

    def __init__(self, work: Work, *, lasts: bool = False) -> None:
        super().__init__()
        self.token = CancelToken()
        self._work, self._lasts = work, lasts
        self._thread = threading.Thread(target=self._run, name="denoise", daemon=True)
        for signal in (self.done, self.failed, self.cancelled):
            signal.connect(self._forget)

    def start(self) -> Job:
        """Begin; returns itself."""
        _LIVE.add(self)
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Stop within a tile."""
        self.token.cancel()

    def wait(self, seconds: float = _PATIENCE) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def progress(self, event: ProgressEvent) -> None:
        """For the engine."""
        self.progressed.emit(event)

    def _run(self) -> None:
        try:
            found = self._work(self)
            late = self.token.cancelled and not self._lasts
            outcome: tuple[Any, ...] = (self.cancelled,) if late else (self.done, found)
        except CancelledError:
            outcome = (self.cancelled,)
        except Exception as err:  # noqa: BLE001 - a thread has nobody above it to tell
            outcome = (self.failed, readable(err))
        try:
            outcome[0].emit(*outcome[1:])
        except RuntimeError:  # the window is gone
            log.debug("nobody is there for the outcome of a job")

    def _forget(self, *_: Any) -> None:
        """A job without a name lives until everybody who waits for its outcome has heard it.

        The thread ends first: it must not be the one that lets go of the job, whose Qt part belongs to this thread.
        """
        self._thread.join()
        QTimer.singleShot(0, partial(_LIVE.discard, self))


_LIVE: set[Job] = set()


def readable(err: BaseException) -> str:
    """One line for the user: what, the value seen, what to do."""
    if isinstance(err, DenoiseError):
        return str(err)
    log.error("unexpected", exc_info=err)
    where = traceback.extract_tb(err.__traceback__)[-1:]
    place = f" at {where[0].filename.rsplit('/', 1)[-1]}:{where[0].lineno}" if where else ""
    return f"unexpected error ({type(err).__name__}: {err}){place}; please report it with what you did"


def stop_all() -> None:
    """Cancel everything and wait until it has ended; for a window that closes."""
    live = list(_LIVE)
    for job in live:
        job.cancel()
    for job in live:
        job.wait()


class Newest(QObject):
    """Answers the newest request: one at a time, those in between are dropped, the one at work is cancelled.

    Parameters
    ----------
    work : callable
        Called in a thread with the request and its job.
    delay : int
        Milliseconds without another request before it starts.
    cancels : bool
        Whether a new request cancels the one at work. False: it is finished first, which suits short work.
    """

    answered = Signal(object, object)  # what was found, the request
    failed = Signal(str)
    busy = Signal(bool)

    def __init__(
        self,
        work: Callable[[Any, Job], Any],
        *,
        delay: int = 0,
        cancels: bool = True,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._work = work
        self._cancels = cancels
        self._waiting: Any = None
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay)
        self._timer.timeout.connect(self._next)

    def ask(self, request: Any) -> None:
        """Ask; an older request that has not begun is forgotten."""
        self._waiting = request
        if self._job is not None and self._cancels:
            self._job.cancel()
        self._timer.start()

    def forget(self) -> None:
        """Nothing is wanted any more."""
        self._waiting = None
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()

    @property
    def idle(self) -> bool:
        """Whether nothing is at work or waiting."""
        return self._job is None and self._waiting is None

    def _next(self) -> None:
        if self._job is not None or self._waiting is None:
            return  # the end of the one at work comes here again
        request, self._waiting = self._waiting, None
        self._request = request
        self._job = Job(lambda job: self._work(request, job))
        self._job.done.connect(self._on_done)
        self._job.failed.connect(self._on_failed)
        self._job.cancelled.connect(self._on_end)
        self.busy.emit(True)
        self._job.start()

    def _on_done(self, found: Any) -> None:
        self.answered.emit(found, self._request)
        self._on_end()

    def _on_failed(self, text: str) -> None:
        self.failed.emit(text)
        self._on_end()

    def _on_end(self) -> None:
        self._job = None
        if self._waiting is None:
            self.busy.emit(False)
        elif not self._timer.isActive():
            self._next()
