"""The status files of a batch: what is done already is kept, everything else is done and written down."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise.cli.asked import make_folder
from denoise.cli.batch import Job, Outcome, Row
from denoise.cli.console import explain
from denoise.errors import CancelledError, ResourceError, UsageError

if TYPE_CHECKING:
    from denoise.cli.reliability import Judging
    from denoise.engine.recipe_tasks import Task
    from denoise.engine.status import State, Status

SUMMARY = "denoise_summary.csv"
_NUMBERS = (
    "noise_before",
    "noise_after",
    "detected_percent",
    "peak_snr_before",
    "flux_before",
    "flux_before_error",
    "flux_after",
    "flux_after_error",
    "flux_change_percent",
)


class Ledger:
    """Status files of the jobs of a batch.

    Parameters
    ----------
    tasks : mapping of Job to Task
        The batch.
    resume : bool
        Whether what is done already is kept.
    judging : Judging, optional
        How the reliability of regions is found, where it is wanted.
    """

    def __init__(self, tasks: Mapping[Job, Task], *, resume: bool, judging: Judging | None = None) -> None:
        from denoise.engine.status import read_status

        self._tasks = tasks
        self._resume = resume
        self._judging = judging
        self._found = {job: read_status(job.output) for job in tasks}

    def refuse_live(self) -> None:
        """Refuse an output that another process works on.

        Raises
        ------
        UsageError
        """
        for job, status in self._found.items():
            if status is not None and status.alive:
                raise UsageError(
                    f"another run works on {job.output}",
                    value=f"process {status.pid}",
                    action="wait for it, or stop it",
                )

    def ours(self, job: Job) -> bool:
        """Whether an earlier run of a batch made or began the job's output, so that --resume may replace it."""
        return self._resume and self._found[job] is not None

    def around(self, work: Callable[[Job], Outcome]) -> Callable[[Job], Outcome]:
        """`work`, with its state in the job's status file; the outcome of before where nothing changed."""

        def recorded(job: Job) -> Outcome:
            running = self._new(job)
            if self._resume and self._kept(job, running):
                return self._earlier(job)
            self._write(running)
            start = time.perf_counter()
            try:
                outcome = work(job)
            except BaseException as err:
                stopped = isinstance(err, (CancelledError, KeyboardInterrupt))
                text = "cancelled" if stopped else explain(err)[0] if isinstance(err, Exception) else str(err)
                with suppress(ResourceError):  # the first error is the one to tell
                    self._end(running, "cancelled" if stopped else "failed", start, error=text)
                raise
            self._end(running, "done", start, summary=asdict(outcome))
            return outcome

        return recorded

    def summarise(self, rows: Sequence[Row]) -> Path:
        """Write the summary of the batch as CSV; returns where it is."""
        from os.path import commonpath

        from denoise.atomic import put

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["input", "state", "output", "seconds", "cube", "unit", *_NUMBERS, "error"])
        for row in rows:
            done = row.outcome
            numbers = ["" if done.metrics.get(name) is None else done.metrics[name] for name in _NUMBERS]
            output = "" if row.state in ("failed", "cancelled") else done.output
            said = (row.job.source, row.state, output, done.seconds, done.shape, done.unit)
            writer.writerow([*said, *numbers, row.error])
        folder = Path(commonpath([job.output.parent.absolute() for job in self._tasks]))
        same = {job.output.parent for job in self._tasks}
        return put((same.pop() if len(same) == 1 else folder) / SUMMARY, text.getvalue())

    def _new(self, job: Job) -> Status:
        from denoise.engine.status import Status, configuration_checksum, stamp

        task = self._tasks[job]
        made: dict[str, Any] = {
            "report": job.report is not None,
            "metrics": [path.name for path in job.metrics],
        }
        if self._judging is not None:
            made["reliability"] = asdict(self._judging)
        return Status(
            input=str(job.source),
            input_stamp=stamp(job.source),
            configuration=configuration_checksum(task.options, task.reading, **made),
            state="running",
            output=str(job.output),
        )

    def _kept(self, job: Job, now: Status) -> bool:
        from denoise.engine.status import stamp

        before = self._found[job]
        return (
            before is not None
            and before.state == "done"
            and before.input_stamp == now.input_stamp
            and before.configuration == now.configuration
            and before.output_stamp == stamp(job.output)
            and all(path.exists() for path in job.products)
        )

    def _earlier(self, job: Job) -> Outcome:
        before = self._found[job]
        known: dict[str, Any] = {} if before is None else before.summary
        fields = {name: value for name, value in known.items() if name in Outcome.__dataclass_fields__}
        return replace(Outcome(**fields), state="kept", output=str(job.output))

    def _end(self, running: Status, state: State, start: float, **values: Any) -> None:
        from denoise.engine.status import stamp

        output = stamp(Path(running.output)) if state == "done" else None
        seconds = round(time.perf_counter() - start, 3)
        self._write(
            running.model_copy(update={"state": state, "output_stamp": output, "seconds": seconds, **values})
        )

    @staticmethod
    def _write(status: Status) -> None:
        from denoise.engine.status import write_status

        make_folder(Path(status.output).parent)
        write_status(status)
