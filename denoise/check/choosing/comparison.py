"""Methods side by side on one cube without truth: errors, flux, what is invented, time and memory, and a choice."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from denoise._version import __version__
from denoise.check.choosing.alone import run_alone
from denoise.check.choosing.compared import AtSnr, Compared, Entry
from denoise.check.choosing.contender import Answer, Contender, Task, contend, contend_alone, contenders
from denoise.check.choosing.heldout import (
    Recorrupted,
    Trial,
    bright_voxels,
    difference_of,
    emission_of,
    error_of,
    marks_of,
)
from denoise.check.choosing.recommendation import recommend
from denoise.check.choosing.tuning import averaged, one_line
from denoise.check.choosing.views import Mask, Views
from denoise.check.part import brightest_part
from denoise.check.recovery.cells import ALL, Score
from denoise.check.recovery.outcome import Check
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.study import asked_of, part_text
from denoise.check.regions.null import dilated, part_of_rig
from denoise.check.rig import Rig, open_rig
from denoise.cube import Cube
from denoise.engine.options import RunOptions
from denoise.engine.progress import CancelToken, Monitor, Progress, ProgressEvent
from denoise.errors import CancelledError, DenoiseError, UsageError
from denoise.metrics import Measurement, background_noise, masked_flux, residual_statistics
from denoise.noise import NoiseModel


@dataclass(frozen=True)
class Effort:
    """How much is done for each method.

    Attributes
    ----------
    voxels : int
        A larger cube is compared by the part about its brightest emission.
    draws : int
        Trials of the score.
    sources : int
        Injected, at peak SNR 4 and 8; 0: none.
    empty : int
        Draws of noise in which false regions are counted.
    """

    voxels: int = 300_000
    draws: int = 4
    sources: int = 48
    empty: int = 4

    def __post_init__(self) -> None:
        if self.voxels < 1 or self.draws < 1 or self.sources < 0 or self.empty < 0:
            raise UsageError(
                "at least 1 voxel and 1 draw, and no negative numbers",
                value=str(self),
                action="give --voxels and --draws of at least 1, --sources and --empty of at least 0",
            )

    def changed(self, **values: int | None) -> Effort:
        """With other numbers; None leaves one as it is."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


FULL, QUICK = Effort(), Effort(150_000, 2, 24, 2)
SNR = (4.0, 8.0)
# of the run that settles noise, continuum and sign for all
_BASE = {"method": "ist", "parameters": {}, "then": (), "uncertainty": 0, "device": "auto"}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Numbers and pictures."""

    compared: Compared
    views: Views


@dataclass(frozen=True, eq=False)
class _Ring:
    """The cube, its trials and the folder that all methods work in."""

    rig: Rig
    held: Recorrupted
    trials: tuple[Trial, ...]
    found: Mask
    emission: Mask
    folder: Path
    views: Views
    monitor: Monitor
    cancel: CancelToken | None
    alone: bool

    @classmethod
    def of(
        cls,
        rig: Rig,
        effort: Effort,
        folder: Path,
        monitor: Monitor,
        cancel: CancelToken | None,
        *,
        alone: bool,
    ) -> _Ring:
        held = Recorrupted(rig, effort.draws)
        trials = tuple(held.trial(draw) for draw in range(effort.draws))
        for draw, trial in enumerate(trials):
            np.save(folder / f"seen_{draw}.npy", trial.seen)
        found = emission_of(rig, rig.data())
        emission = dilated(bright_voxels(rig), rig.noise.correlation_fwhm, channels=1) & np.isfinite(
            rig.data()
        )
        return cls(
            rig, held, trials, found, emission, folder, Views.of(rig, emission), monitor, cancel, alone
        )

    def task(self, one: Contender, asked: RunOptions, settings: Settings | None) -> Task:
        rig = self.rig
        pixels = np.array(rig.cube.read())
        return Task(
            rig.cube.with_pixels(pixels), rig.noise, self.held.rig.noise, one.options(rig.options, asked),
            rig.threads, self.folder, self.held.draws, settings,
        )  # fmt: skip

    def answer(self, task: Task) -> Answer:
        if self.alone:
            return run_alone(contend_alone, task, self.monitor)
        return contend(task, cancel=self.cancel, alone=False)

    def entry(self, task: Task, answer: Answer) -> Entry:
        """The numbers of a method from its outputs."""
        rig, output = self.rig, np.load(task.path(None))
        data, name = rig.data(), task.options.method
        self.views.after[name] = self.views.view(output)
        marks = [
            marks_of(trial, np.load(task.path(draw)), self.held) for draw, trial in enumerate(self.trials)
        ]
        check = answer.check
        return Entry(
            method=name,
            parameters=answer.parameters,
            score=error_of(marks),
            flux=masked_flux(output, self.emission, rig.noise),
            noise=background_noise(data, output, ~(self.found | self.emission))[1],
            residual=residual_statistics(data - output, rig.noise)._asdict(),
            recovered=() if check is None else at_snr(check),
            false=None if check is None else expected_false(check),
            error_bar=answer.error_bar,
            seconds=answer.seconds,
            first=answer.first,
            memory=answer.memory,
            idle=answer.idle,
        )

    def differences(
        self, entries: Sequence[Entry], tasks: Mapping[str, Task], method: str
    ) -> dict[str, Measurement]:
        """Scores less that of a method, paired."""
        pairs: dict[str, list[tuple[float, float]]] = {
            one.method: [] for one in entries if one.score is not None
        }
        for draw, trial in enumerate(self.trials):
            self.monitor.check()
            other = np.load(tasks[method].path(draw))
            for name, found in pairs.items():
                found.append(difference_of(trial, np.load(tasks[name].path(draw)), other, self.held))
        return {name: averaged(found, self.held) for name, found in pairs.items()}


def compare_methods(
    cube: Cube,
    options: RunOptions,
    methods: Sequence[str] | None = None,
    *,
    effort: Effort = FULL,
    input_options: Mapping[str, Any] | None = None,
    noise: NoiseModel | None = None,
    alone: bool = True,
    told: Callable[[Entry], None] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    threads: int | None = None,
) -> Comparison:
    """Run methods with their defaults on one cube, measure what came out, and recommend one (`recommendation`).

    Noise, continuum and emission are settled once for all. A method that fails is an entry with its error.

    Parameters
    ----------
    cube : Cube
        The observation; NaN is no coverage.
    options : RunOptions
        Physics of the run; its method and parameters do not count.
    methods : sequence of str, optional
        None: all that are installed and keep the flux unit.
    effort : Effort
        How much is done.
    input_options : mapping, optional
        How the cube was read, for the record.
    noise : NoiseModel, optional
        Known noise of the conditioned data.
    alone : bool
        Each method in a process of its own, so that its memory is known, and if it dies the others go on. It starts
        Python anew: a script needs ``if __name__ == "__main__":``.
    told : callable, optional
        Called with every entry as it is done.
    progress, cancel
        As for ``denoise.denoise``.
    threads : int, optional
        Threads of each run.

    Raises
    ------
    UnknownMethodError, UsageError
        A method does not exist, or cannot be compared.
    InputError, NoiseError, ParameterError, ResourceError, CancelledError
        As a run before its first tile.
    """
    start, monitor = time.perf_counter(), Monitor(progress, cancel)
    wanted = contenders(None if methods is None else tuple(methods))
    base = options.model_copy(update=_BASE)
    monitor.tell(ProgressEvent("looking at the cube", 0, len(wanted), None))
    with (
        open_rig(cube, base, Monitor(None, cancel), noise=noise, threads=threads) as whole,
        tempfile.TemporaryDirectory(prefix="denoise-", ignore_cleanup_errors=True) as folder,
    ):
        region = brightest_part(whole, effort.voxels)
        rig = part_of_rig(whole, region)
        ring = _Ring.of(rig, effort, Path(folder), monitor, cancel, alone=alone)
        flux = masked_flux(rig.data(), ring.emission, rig.noise)
        entries, tasks = _contested(ring, wanted, options, effort, told)
        method, reason = recommend(entries, partial(ring.differences, entries, tasks))
        if method:
            off = ring.differences(entries, tasks, method)
            entries = [replace(one, difference=off.get(one.method)) for one in entries]
    part = part_text(region, whole.shape)
    compared = Compared(
        input=cube.name,
        checksum=cube.checksum(),
        shape=rig.shape,
        part=part,
        unit=cube.unit_text,
        noise=rig.noise.typical,
        flux=flux,
        emission=int(np.count_nonzero(ring.emission)),
        entries=tuple(entries),
        recommended=method,
        reason=reason,
        draws=effort.draws,
        asked=asked_of(options, input_options),
        notes=tuple(_notes(rig, ring.emission, effort, part, options)),
        seconds=time.perf_counter() - start,
        version=__version__,
    )
    return Comparison(compared, ring.views)


def _contested(
    ring: _Ring,
    wanted: Sequence[Contender],
    asked: RunOptions,
    effort: Effort,
    told: Callable[[Entry], None] | None,
) -> tuple[list[Entry], dict[str, Task]]:
    """Every method in turn."""
    settings = _settings(effort, ring.rig)
    entries: list[Entry] = []
    tasks: dict[str, Task] = {}
    for number, one in enumerate(wanted):
        ring.monitor.tell(ProgressEvent(f"comparing: {one.method}", number, len(wanted), None))
        try:
            task = ring.task(one, asked, settings)
            answer = ring.answer(task)
            entries.append(ring.entry(task, answer))
            tasks[one.method] = task
        except CancelledError:
            raise
        except (DenoiseError, ArithmeticError, MemoryError, RuntimeError, ValueError) as err:
            entries.append(Entry(one.method, failure=one_line(err)))
        else:
            settings = _same_sources(settings, answer.check)
        if told is not None:
            told(entries[-1])
    return entries, tasks


def _settings(effort: Effort, rig: Rig) -> Settings | None:
    if not effort.sources:
        return None
    return Settings(
        snr=SNR, sources=effort.sources, draws=max(4, effort.sources // 4), empty=effort.empty, as_found=False,
        seed=rig.options.seed,
    )  # fmt: skip


def _same_sources(settings: Settings | None, check: Check | None) -> Settings | None:
    """Line widths are those of the first method's check: what it finds in the cube decides."""
    if settings is None or check is None or settings.widths:
        return settings
    return replace(settings, widths=tuple(dict.fromkeys(kind.width for kind in check.kinds if kind.width)))


def at_snr(check: Check) -> tuple[AtSnr, ...]:
    """What came back of the sources of all kinds, from low to high peak SNR."""
    name = ALL if len(check.kinds) > 1 else check.kinds[0].name
    return tuple(
        AtSnr(cell.snr, _measured(cell.scores.get("flux")), _measured(cell.scores.get("completeness")))
        for cell in check.of_kind(name)
    )


def expected_false(check: Check) -> Measurement | None:
    """Regions expected where there is no source; None where they were not counted."""
    return None if check.false is None else Measurement(check.false.expected, check.false.error)


def _measured(score: Score | None) -> Measurement | None:
    return None if score is None else Measurement(score.value, score.error)


def _notes(rig: Rig, emission: Mask, effort: Effort, part: str, options: RunOptions) -> list[str]:
    notes = []
    if part:
        notes.append(
            f"compared on the part about the brightest emission that holds {effort.voxels:,} voxels: {part}"
        )
    if not emission.any():
        notes.append(
            "no emission above 1 sigma in the input: there is no flux to compare, and maps are of the noise"
        )
    if rig.continuum != "none":
        notes.append("the continuum was subtracted once, before all methods")
    if options.vst is not None:
        notes.append("all numbers are of the stabilised counts")
    return notes
