"""Who does the tiles: this process, one after the other, or workers of a Dask cluster.

The rest of the engine knows the protocol alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil

from denoise.cores import one_blas_thread
from denoise.errors import ParameterError, ResourceError

S = TypeVar("S")
T = TypeVar("T")


class Runner(Protocol):
    """Maps tiles, and blocks of the passes before them, to results.

    Attributes
    ----------
    name : str
        For the record: who did it.
    threads : int or None
        Threads inside one tile; None: as many as the run was given.
    separate : bool
        They run in other processes: pixels must be in files, not in memory.
    elsewhere : bool
        Perhaps on other machines: what they share lies in a folder that all of them see.
    """

    name: str
    threads: int | None
    separate: bool
    elsewhere: bool

    def memory(self) -> int:
        """Bytes that one tile may take where nothing was asked for."""

    def map(
        self, work: Callable[[S], T], items: Sequence[S], *, check: Callable[[], object]
    ) -> Generator[T, None, None]:
        """The results in the order of the items, a bounded number under way; `check` raises to stop."""


class Serial:
    """One tile after the other in this process; threads inside the tiles."""

    name = "one process"
    threads: int | None = None
    separate = False
    elsewhere = False

    def memory(self) -> int:
        """Half of what is free."""
        return memory_share(1)

    def map(
        self, work: Callable[[S], T], items: Sequence[S], *, check: Callable[[], object]
    ) -> Generator[T, None, None]:
        """Each result when it is asked for."""
        for item in items:
            check()
            yield alone(work, item)


class Planned(Serial):
    """Workers that are not started: a plan for them is made here, with the memory that one of them would have.

    Parameters
    ----------
    name : str
        As the runner itself says it.
    workers : int or None
        How many there are on this machine; None: they are elsewhere, and nothing is known of them.
    """

    threads: int | None = 1
    separate = True

    def __init__(self, name: str, workers: int | None) -> None:
        self.name = name
        self._workers = workers

    def memory(self) -> int:
        """The part of a worker in half of what is free.

        Raises
        ------
        ParameterError
            They are elsewhere.
        """
        if self._workers is None:
            raise unknown_memory(self.name)
        return memory_share(self._workers)


def alone(work: Callable[[S], T], item: S) -> T:
    """The result of one item: the same bytes in this process and in a worker, which has BLAS threads of its own."""
    with one_blas_thread():
        return work(item)


def memory_share(workers: int) -> int:
    """Bytes that each of so many processes on this machine may take: together half of what is free."""
    return int(psutil.virtual_memory().available) // 2 // max(1, workers)


def unknown_memory(name: str) -> ParameterError:
    """What to tell of workers whose memory nobody can know yet."""
    return ParameterError(
        "what a worker may take is not known yet", value=name, action="give it with --memory"
    )


@contextmanager
def open_runner(
    workers: int | None = None, scheduler: str | None = None, cluster: str | Path | None = None
) -> Iterator[Runner]:
    """The runner of these options, stopped at the end; the present process where none is given.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine, one thread each.
    scheduler : str, optional
        Address of a running Dask scheduler, such as ``tcp://node1:8786``.
    cluster : str or Path, optional
        YAML file of a job queue; see `clusters`.

    Raises
    ------
    ParameterError
        More than one of them, a number below 1, or a file that does not describe a cluster.
    ResourceError
        Dask is not installed, or the scheduler does not answer.
    """
    named = _checked(workers, scheduler, cluster)
    if not named:
        yield Serial()
        return
    with _distributed().open_dask(workers=workers, scheduler=scheduler, cluster=cluster) as runner:
        yield runner


@contextmanager
def plan_runner(
    workers: int | None = None, scheduler: str | None = None, cluster: str | Path | None = None
) -> Iterator[Runner]:
    """What a plan for `open_runner` of these options is made with: no process and no job is started.

    Raises
    ------
    ParameterError, ResourceError
        As for `open_runner`.
    """
    _checked(workers, scheduler, cluster)
    if workers is not None:
        yield Planned(local_name(workers), workers)
    elif cluster is not None:
        from denoise.engine.clusters import read_cluster

        yield Planned(read_cluster(Path(cluster)).label, None)
    else:
        with open_runner(scheduler=scheduler) as runner:
            yield runner


def local_name(workers: int) -> str:
    """For the record: workers on this machine."""
    return f"{workers} local processes"


def _checked(workers: int | None, scheduler: str | None, cluster: str | Path | None) -> list[str]:
    """The options that were given: one at most."""
    given = {"workers": workers, "scheduler": scheduler, "cluster": cluster}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ParameterError("more than one way to run", value=", ".join(named), action="choose one")
    if workers is not None and workers < 1:
        raise ParameterError("the number of workers is not valid", value=workers, action="give 1 or more")
    return named


def _distributed() -> Any:
    try:
        from denoise.engine import dask_runner
    except ImportError as error:
        raise ResourceError(
            "workers need the packages dask and distributed",
            value=error.name,
            action="pip install astro-denoise[cluster]",
        ) from error
    return dask_runner
