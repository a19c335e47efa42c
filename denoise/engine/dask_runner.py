"""Tiles, and the passes before them, on a Dask cluster: local processes, a running scheduler, or the jobs of a queue.

A task carries a region. What all tiles share (the fitted state, the noise model, the names of the files) is the
result of one task of its own: Dask makes it again where a worker takes the last copy with it, which data that were
scattered are not. The tiles come back in order, so that the account adds up as in one process, and no more are under
way than the workers need to stay busy, so that memory is bounded.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import distributed
from dask import config as dask_config

import denoise
from denoise.engine.clusters import read_cluster, start_cluster
from denoise.engine.devices import take_device
from denoise.engine.runners import alone, local_name, memory_share, unknown_memory
from denoise.errors import ResourceError

S = TypeVar("S")
T = TypeVar("T")
# the last is what distributed.utils.sync makes of a call that is cancelled while it waits
_LOST = (CancelledError, distributed.comm.CommClosedError, UnboundLocalError)

_POLL = 0.2  # seconds between looks at the cancel token
_ANSWER = 30  # seconds a scheduler may take to answer
UNDER_WAY = 2  # for each worker: one task at work and one at hand

_QUIET = {
    # the work shared by the tiles holds the noise map and the masks: larger than what Dask finds normal
    "distributed.admin.large-graph-warning-threshold": "1 GiB",
    # a scheduler that has gone is an error to tell now, not to wait for
    "distributed.comm.timeouts.connect": f"{_ANSWER}s",
}


class DaskRunner:
    """Maps tiles over the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    name : str
        For the record.
    elsewhere : bool
        Whether the workers may be on other machines.
    most : int or None
        Workers that the cluster may grow to; None: those it has.
    """

    threads: int | None = 1
    separate = True

    def __init__(self, client: Any, *, name: str, elsewhere: bool, most: int | None = None) -> None:
        self.name = name
        self.elsewhere = elsewhere
        self._client = client
        self._most = most

    def memory(self) -> int:
        """Half of what a worker may take; on this machine, its part of half of what is free.

        Raises
        ------
        ParameterError
            Workers elsewhere that have no limit, or are not there yet.
        """
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [one["memory_limit"] for one in workers if one["memory_limit"]]
        if limits:
            return int(min(limits)) // 2
        if self.elsewhere:
            raise unknown_memory(self.name)
        return memory_share(len(workers))

    def map(
        self, work: Callable[[S], T], items: Sequence[S], *, check: Callable[[], object]
    ) -> Generator[T, None, None]:
        """The results in the order of the items; see `Runner`.

        Raises
        ------
        ResourceError
            The scheduler was lost, or the workers that try a tile die.
        """
        todo, waiting = iter(items), deque[Any]()
        shared = self._submit(_hold, work, denoise.__version__)
        try:
            while True:
                room = max(0, self._room() - len(waiting))
                waiting.extend(self._submit(alone, shared, item) for item in islice(todo, room))
                if not waiting:
                    return
                yield self._result(waiting.popleft(), check)
        finally:
            with suppress(OSError, RuntimeError, *_LOST):
                self._client.cancel([shared, *waiting], force=True)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._told(), dask_config.set(_QUIET):
            return self._client.submit(function, *arguments, pure=False)

    def _room(self) -> int:
        with self._told():
            return UNDER_WAY * (self._most or max(1, len(self._client.nthreads())))

    def _result(self, future: Any, check: Callable[[], object]) -> Any:
        # result(timeout=...) would give up fetching what takes longer than a look at the token, and begin anew
        finished = threading.Event()
        with self._told():
            future.add_done_callback(lambda _: finished.set())
        while not future.done():
            check()
            finished.wait(_POLL)
        check()
        with self._told():
            return future.result()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Dask's own troubles as the user is told them."""
        try:
            yield
        except distributed.KilledWorker as error:
            raise ResourceError(
                "a tile was given up: every worker that tried it died",
                value=f"{error.allowed_failures + 1} workers",
                action="give the workers more memory, or take smaller tiles with --memory",
            ) from None
        except _LOST as error:
            if isinstance(error, UnboundLocalError) and self._client.status == "running":
                raise  # a tile's own
            raise ResourceError(
                f"the connection to the Dask scheduler was lost ({self.name})",
                value=getattr(error, "reason", None) or type(error).__name__,
                action="nothing was written under the output's name: run again",
            ) from None


def _hold(work: T, version: str) -> T:
    """What the tiles share, on a worker.

    Raises
    ------
    ResourceError
        Another version could give other numbers.
    """
    if denoise.__version__ != version:
        raise ResourceError(
            "a worker has another version of astro-denoise",
            value=f"{denoise.__version__}, here {version}",
            action="install the same on all machines",
        )
    return work


class _IgnoreInterrupts(distributed.WorkerPlugin):  # type: ignore[misc]
    """Ctrl-C goes to every process of a terminal; the run decides when its workers stop."""

    def setup(self, worker: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class _OneDevice(distributed.WorkerPlugin):  # type: ignore[misc]
    """Workers that share a machine do not share its GPUs."""

    def setup(self, worker: Any) -> None:
        take_device(str(worker.name))


@contextmanager
def open_dask(
    *, workers: int | None = None, scheduler: str | None = None, cluster: str | Path | None = None
) -> Iterator[DaskRunner]:
    """A runner on one of three kinds of cluster; what was started here is stopped at the end.

    Raises
    ------
    ParameterError
        The file of the cluster.
    ResourceError
        The scheduler does not answer, or the queue's package is missing.
    """
    with ExitStack() as stack:
        if workers is not None:
            yield _local(stack, workers)
        elif scheduler is not None:
            client = _connect(stack, scheduler)
            yield DaskRunner(client, name=f"scheduler {scheduler}", elsewhere=True)
        elif cluster is not None:
            described = read_cluster(Path(cluster))
            started = stack.enter_context(start_cluster(described))
            client = _connect(stack, started)
            client.register_plugin(_OneDevice())
            yield DaskRunner(client, name=described.label, elsewhere=True, most=described.maximum)


def _local(stack: ExitStack, workers: int) -> DaskRunner:
    # no limit of Dask's own: the plan bounds the memory, and a worker that is paused or killed helps nobody
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",  # several runs on one machine
        memory_limit=0,
        silence_logs="CRITICAL",
    )
    client = _connect(stack, stack.enter_context(cluster))
    client.register_plugin(_IgnoreInterrupts())
    client.register_plugin(_OneDevice())
    return DaskRunner(client, name=local_name(workers), elsewhere=False)


def _connect(stack: ExitStack, where: Any) -> Any:
    try:
        client = distributed.Client(where, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"no Dask scheduler answers at {where}",
            value=error,
            action="give its address, such as tcp://node1:8786",
        ) from error
    return stack.enter_context(client)
