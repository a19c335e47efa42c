"""Run a suite: cases in parallel through one scheduler, each finished case recorded, so that a run can go on.

The folder of a run holds ``run.json`` (what is run), ``rows.jsonl`` (a line for each row of each finished case, in
the order they finished) and, when all is done, the tables, the figure and the page. A run that was stopped and goes
on gives the same tables as one that was not: every case depends on its own seed alone.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TextIO

from denoise._version import __version__
from denoise.atomic import replace_file
from denoise.benchmark.cases import Case, list_cases
from denoise.benchmark.scoring import rows_of, score_case
from denoise.benchmark.suite import Suite, check_rows
from denoise.cores import end_with_parent, usable_cores
from denoise.engine import CancelToken, Progress
from denoise.engine.progress import Monitor
from denoise.errors import InputError, OutputExistsError, ResourceError

RUN, ROWS = "run.json", "rows.jsonl"
_AHEAD = 2  # cases a worker that are handed out: memory does not grow with their number
Entry = dict[str, Any]


def run_suite(
    suite: Suite,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Entry]:
    """Score every row on every case; returns the rows in the order of the cases.

    Parameters
    ----------
    suite : Suite
        What to run.
    folder : str or Path
        Where the run is recorded.
    data : str or Path, optional
        Folder of the files that the suite names.
    workers : int, optional
        Processes; none: one for each core this process may use. The results do not depend on it.
    resume : bool
        Go on with the run in the folder.
    overwrite : bool
        Replace the run in the folder.
    progress, cancel : optional
        As in ``denoise.denoise``; a cancelled run can be resumed.

    Returns
    -------
    list of dict
        One for each row of each case; ``error`` in place of numbers where a method failed.

    Raises
    ------
    OutputExistsError
        The folder holds a run, and neither ``resume`` nor ``overwrite`` was asked for.
    InputError
        The run in the folder is another one, or data are missing.
    """
    check_rows(suite)
    source = None if data is None else Path(data)
    cases = list_cases(suite, source)
    record = _Record(Path(folder), suite, resume=resume, overwrite=overwrite)
    missing = [(case, names) for case in cases if (names := record.missing(case))]
    monitor = Monitor(progress, cancel)
    processes = usable_cores() if workers is None else max(1, workers)
    with record, _executor(processes) as pool:
        finished = _in_parallel(pool, suite, missing, source, monitor, under_way=_AHEAD * processes)
        before = len(cases) - len(missing)
        for _ in monitor.track(map(record.add, finished), stage=suite.label, total=len(cases), before=before):
            pass
    return record.entries(cases)


def _in_parallel(
    pool: Executor,
    suite: Suite,
    missing: Sequence[tuple[Case, list[str]]],
    data: Path | None,
    monitor: Monitor,
    *,
    under_way: int,
) -> Iterator[list[Entry]]:
    """Results as they come, with a few cases under way at any time."""
    left = iter(missing)
    waiting: set[Future[list[Entry]]] = set()
    try:
        while True:
            while len(waiting) < under_way and (one := next(left, None)) is not None:
                waiting.add(pool.submit(score_case, suite, one[0], one[1], data))
            if not waiting:
                return
            monitor.check()
            finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def _executor(processes: int) -> ProcessPoolExecutor:
    """Fresh processes: a fork would share locks of threads that do not exist in it."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_alone)


def _alone() -> None:
    """One worker, one thread: the processes are the parallelism."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    end_with_parent()


class _Record:
    """What is done, in a folder: a line for each row, whole or absent."""

    def __init__(self, folder: Path, suite: Suite, *, resume: bool, overwrite: bool) -> None:
        self.folder, self.suite = folder, suite
        self._rows = list(rows_of(suite))
        self._done: dict[tuple[str, str], Entry] = {}
        self._file: TextIO | None = None
        if (folder / RUN).exists() and resume:
            self._check_same()
            self._done = {(e["case"], e["row"]): e for e in _whole_lines(folder / ROWS)}
        elif (folder / RUN).exists() and not overwrite:
            raise OutputExistsError(
                f"{folder} holds a benchmark run", action="go on with --resume, or allow --overwrite"
            )

    def missing(self, case: Case) -> list[str]:
        """Rows that this case still lacks."""
        return [name for name in self._rows if (case.key, name) not in self._done]

    def __enter__(self) -> _Record:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.folder / RUN, json.dumps(self._identity(), indent=1).encode())
            replace_file(self.folder / ROWS, _lines(list(self._done.values())).encode())
            self._file = (self.folder / ROWS).open("a")
        except OSError as err:
            raise ResourceError(
                f"{self.folder} cannot be written", value=err.strerror, action="choose another folder"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entries: list[Entry]) -> None:
        """Record a finished case."""
        assert self._file is not None
        self._file.write(_lines(entries))
        self._file.flush()
        self._done |= {(e["case"], e["row"]): e for e in entries}

    def entries(self, cases: Sequence[Case]) -> list[Entry]:
        """All rows in the order of the cases."""
        return [self._done[case.key, name] for case in cases for name in self._rows]

    def _identity(self) -> dict[str, Any]:
        suite = self.suite
        return {
            "fingerprint": suite.fingerprint,
            "version": __version__,
            "suite": suite.model_dump(mode="json"),
        }

    def _check_same(self) -> None:
        before = json.loads((self.folder / RUN).read_text())
        wanted = self._identity()
        changed = [key for key in wanted if before.get(key) != wanted[key]]
        if changed:
            raise InputError(
                f"{self.folder} holds another run: {', '.join(changed)} differ",
                value=before.get("suite", {}).get("suite"),
                action="choose another folder, or allow --overwrite",
            )


def _lines(entries: list[Entry]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def _whole_lines(path: Path) -> list[Entry]:
    """Every complete line: a run that was killed may have left half of one."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text().split("\n")[:-1]:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries
