"""Work in a process of its own: what it takes is its own, and if it dies only it does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

import psutil

from denoise.cores import end_with_parent
from denoise.engine.progress import Monitor
from denoise.errors import DenoiseError

Given = TypeVar("Given")
Found = TypeVar("Found")

_POLL = 0.1  # seconds


def run_alone(function: Callable[[Given], Found], given: Given, monitor: Monitor) -> Found:
    """Call a function in a new process.

    Parameters
    ----------
    function : callable
        Of a module, so that the process finds it; both `given` and what it returns are pickled.
    given : object
        Its argument.
    monitor : Monitor
        Cancelling ends the process.

    Raises
    ------
    DenoiseError
        The function raised it, or the process ended without an answer, as where the memory is used up.
    CancelledError
        Cancelled.
    """
    context = get_context("spawn")  # a fork of a process with threads may hang
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, given), daemon=True)
    process.start()
    sender.close()
    try:
        while not receiver.poll(_POLL):
            monitor.check()
        found, failure = receiver.recv()
    except EOFError:
        process.join()
        raise DenoiseError(
            "the process ended before it was done",
            value=f"exit code {process.exitcode}",
            action="it may have used up the memory: try a smaller part, or --memory",
        ) from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if failure is not None:
        raise failure
    answer: Found = found
    return answer


def _answer(sender: Connection, function: Callable[[Given], Found], given: Given) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this
    end_with_parent()
    try:
        sender.send((function(given), None))
    except DenoiseError as err:
        sender.send((None, err))
    except Exception as err:  # noqa: BLE001 - whatever a method does, the others go on
        text = f"{type(err).__name__}: {' '.join(str(err).split())}"
        sender.send((None, DenoiseError(text, action="denoise --debug run with this method shows where")))


def peak_memory() -> int:
    """Bytes that this process has had in memory at most, libraries included.

    Of this process alone: what ``getrusage`` says starts with what its parent had.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            found = next(line for line in lines if line.startswith("VmHWM:"))
        return 1024 * int(found.split()[1])
    except (OSError, StopIteration):
        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
