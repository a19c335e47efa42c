"""What the commands show: tables on stdout; progress, warnings, errors on stderr, as text or JSON lines."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO

from denoise.errors import DenoiseError, DenoiseWarning

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from denoise.engine.progress import ProgressEvent

PLAIN_WIDTH = 160  # of tables that go to a file or a pipe
LOGGED_EVERY = 60.0  # seconds between two lines of progress where stderr is no terminal: a job's log, say
WIDE = 120  # columns of a terminal wide enough for notes and paths
_ONE_LINE = 40


def debugging() -> bool:
    """Whether tracebacks and all warnings are wanted."""
    return os.environ.get("DENOISE_DEBUG", "") not in ("", "0")


def explain(err: Exception) -> tuple[str, int]:
    """An error as one line, and the exit code it stands for; the traceback first where that is wanted."""
    if debugging():
        traceback.print_exception(err)
    if isinstance(err, DenoiseError):
        return err.message, err.exit_code
    if hasattr(err, "format_message"):  # wrong options, as typer words them
        return f"{' '.join(err.format_message().split())} See: denoise --help", getattr(err, "exit_code", 2)
    text = " ".join(str(err).split()) or "no message"
    hint = "" if debugging() else "; set DENOISE_DEBUG=1 (or --debug) for the traceback"
    return f"unexpected {type(err).__name__}: {text}{hint}", 1


def out(text: str = "") -> None:
    """One line on stdout."""
    sys.stdout.write(f"{text}\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout; words of the first column stay on one line unless they are long."""
    from rich.table import Table

    grid = Table(title=title or None, title_justify="left", title_style="bold")
    cells = list(rows)
    longest = max((len(row[0]) for row in cells), default=0)
    for number, name in enumerate(columns):
        grid.add_column(name, overflow="fold", no_wrap=number == 0 and longest <= _ONE_LINE)
    for row in cells:
        grid.add_row(*row)
    show(grid)


def facts(title: str, values: Mapping[str, str]) -> None:
    """Print names and values, one a line."""
    from rich.table import Table

    grid = Table(title=title or None, title_justify="left", title_style="bold", box=None, show_header=False)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in values.items():
        grid.add_row(name, value)
    show(grid)


def lasting(seconds: float) -> str:
    """A time span as one reads it: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def width() -> int:
    """Columns of the terminal, or 160 where stdout is none."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return PLAIN_WIDTH


def show(grid: Table) -> None:
    """Print a rich table on stdout."""
    from rich.console import Console

    Console(file=sys.stdout, width=width(), markup=False, highlight=False).print(grid)


class Messages:
    """Warnings, errors and progress on stderr: lines for people, a bar on a terminal, or JSON lines.

    Parameters
    ----------
    as_json : bool
        One JSON object a line, with ``event`` and ``time``; no bar.
    clock : callable
        Seconds; what progress without a terminal is spaced by.
    """

    def __init__(self, *, as_json: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._json = as_json
        self._clock = clock
        self._logged = clock()
        self._seen: set[str] = set()
        self._bar: Progress | None = None
        self._task: Any = None
        self._label = ""

    def warn(self, text: str) -> None:
        """A warning as one line; the same one again is not repeated."""
        line = self._labelled(" ".join(text.split()))
        if line not in self._seen:
            self._seen.add(line)
            self._emit("warning", line, message=line)

    def error(self, text: str, **values: object) -> None:
        """An error as one line; `values` go into the JSON line."""
        line = self._labelled(text)
        self._emit("error", line, plain=None, message=line, **values)

    def note(self, event: str, **values: object) -> None:
        """Something for programs that follow the run: a JSON line, nothing for people."""
        if self._json:
            self._emit(event, "", plain=None, **values)

    def done(self, text: str, **values: object) -> None:
        """Something finished; `values` go into the JSON line."""
        self._emit("done", text, plain=text, message=text, **values)

    def progress(self, event: ProgressEvent) -> None:
        """Move the bar on a terminal; one line for each event as JSON; otherwise a line a minute."""
        if self._json:
            left = None if event.seconds_left is None else round(event.seconds_left, 1)
            self._emit(
                "progress", "", stage=event.stage, done=event.done, total=event.total, seconds_left=left
            )
        elif self._bar is not None:
            name = self._labelled(event.stage)
            if self._task is None:
                self._task = self._bar.add_task(name, total=event.total)
            self._bar.update(self._task, description=name, completed=event.done, total=event.total)
        elif self._clock() - self._logged >= LOGGED_EVERY:
            self._logged = self._clock()
            ends = "" if event.seconds_left is None else f", {lasting(event.seconds_left)} left"
            line = self._labelled(f"{event.stage}: {event.done} of {event.total}{ends}")
            self._emit("progress", line, plain=line)

    @contextmanager
    def working(self, label: str = "") -> Iterator[None]:
        """While inside: show the bar, name `label` in every line, show the package's warnings as lines."""
        self._label, self._logged = label, self._clock()
        with warnings.catch_warnings(), self._showing_bar():
            # other packages' remarks are for developers
            warnings.simplefilter("default" if debugging() else "ignore")
            warnings.simplefilter("always", DenoiseWarning)
            warnings.showwarning = self._show_warning
            try:
                yield
            finally:
                self._label = ""

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        ours = issubclass(category, DenoiseWarning)
        self.warn(str(message) if ours else f"{category.__name__}: {message} ({filename}:{lineno})")

    @contextmanager
    def _showing_bar(self) -> Iterator[None]:
        if self._json or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar, self._task = None, None

    def _labelled(self, text: str) -> str:
        known = not self._label or PurePath(self._label).name in text
        return text if known else f"{self._label}: {text}"

    def from_signal(self, text: str) -> None:
        """A warning from a signal handler: straight to the descriptor, because stderr may be in mid-write."""
        os.write(2, f"{self._line('warning', f'warning: {text}', message=text)}\n".encode())

    def _line(self, event: str, plain: str, **values: object) -> str:
        if not self._json:
            return plain
        return json.dumps({"time": round(time.time(), 3), "event": event, **values}, default=str)

    def _emit(self, event: str, line: str, *, plain: str | None = None, **values: object) -> None:
        text = self._line(event, plain if plain is not None else f"{event}: {line}", **values)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
