"""Choose the parameters of a method on one cube, without truth.

Three scores, lower is better: the squared error against data with noise of their own (`heldout`), against a second
half, or of injected sources: mean squared loss of flux and the share of what is found that is false.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from denoise._version import __version__
from denoise.check.choosing.grids import Grid, candidates, default_grid, default_values
from denoise.check.choosing.heldout import (
    Block,
    Halves,
    HeldOut,
    Marks,
    Recorrupted,
    Trial,
    bright_weight,
    check_same_shape,
    difference_of,
    error_of,
    marks_of,
)
from denoise.check.choosing.tuned import Kind, Tried, Tuned, choose_tried
from denoise.check.part import brightest_part
from denoise.check.recovery.cells import ALL
from denoise.check.recovery.outcome import Check
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.study import asked_of, check_recovery, part_text
from denoise.check.regions.null import part_of_rig
from denoise.check.rig import Rig, open_rig
from denoise.cube import Cube
from denoise.engine.options import RunOptions
from denoise.engine.progress import CancelToken, Monitor, Progress, ProgressEvent
from denoise.errors import CancelledError, DenoiseError, UsageError
from denoise.methods import AUTO
from denoise.metrics import Measurement
from denoise.noise import NoiseModel

VOXELS = 4_000_000
DRAWS = 4
_SOURCES = 25  # injected for each draw
_SNR = (3.0, 4.0, 6.0, 10.0)
_SIZES = (0.0, 2.0)


def tune_method(
    cube: Cube,
    options: RunOptions,
    grid: Grid | None = None,
    *,
    score: Kind = "r2r",
    half: Cube | None = None,
    draws: int = DRAWS,
    voxels: int = VOXELS,
    input_options: Mapping[str, Any] | None = None,
    noise: NoiseModel | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    threads: int | None = None,
) -> Tuned:
    """Score a method with every combination of some parameters on a cube, and choose.

    The best takes the place of the default only where it is better by more than two standard errors of the difference,
    and no worse in the emission itself.

    Parameters
    ----------
    cube : Cube
        The observation; NaN is no coverage.
    options : RunOptions
        Method, physics, and the parameters that stay as they are.
    grid : mapping of str to sequence, optional
        Values by parameter; None: `default_grid`.
    score : {"r2r", "halves", "injection"}
        See the module. "r2r" is at 1.12 times the noise of the data.
    half : Cube, optional
        For "halves": the same field with independent noise.
    draws : int
        Of the noise; each also stands for 25 injected sources.
    voxels : int
        A larger cube is judged by the part about its brightest emission.
    input_options : mapping, optional
        How the cube was read, for the record.
    noise : NoiseModel, optional
        Known noise of the conditioned data.
    progress, cancel
        As for ``denoise.denoise``.
    threads : int, optional
        Threads of each run.

    Returns
    -------
    Tuned

    Raises
    ------
    ParameterError, UsageError
        The grid is not valid, or the default fails; the score and the half do not belong together.
    InputError, NoiseError, ResourceError, CancelledError
        As a run.
    """
    _check_request(options, score, half, draws, voxels)
    start, outer = time.perf_counter(), Monitor(progress, cancel)
    wanted = default_grid(options.method) if grid is None else grid
    sets = candidates(options.method, options.parameters, wanted)
    outer.tell(ProgressEvent("looking at the cube", 0, 1, None))
    silent = Monitor(None, cancel)
    with open_rig(cube, options, silent, noise=noise, threads=threads) as whole:
        region = brightest_part(whole, voxels)
        rig, visible = part_of_rig(whole, region), True
        if score == "injection":
            tried = _injected(rig, sets, draws, outer, cancel)
        elif half is None:
            tried, visible = _held_out(Recorrupted(rig, draws), sets, outer)
        else:
            plain = options.model_copy(update={"method": "smooth", "parameters": {}})  # only read through it
            with open_rig(half, plain, silent) as other:
                check_same_shape(whole, other)
                tried, visible = _held_out(Halves(rig, other=part_of_rig(other, region)), sets, outer)
    if tried[0].score is None:
        raise UsageError(
            f"the default of {options.method} fails on this cube",
            value=tried[0].failure,
            action="give values that work with --set, or another method with -m",
        )
    part = part_text(region, whole.shape)
    return Tuned(
        input=cube.name,
        checksum=cube.checksum(),
        shape=rig.shape,
        part=part,
        method=options.method,
        kind=score,
        default=default_values(options.method, options.parameters, wanted),
        tried=tried,
        chosen=choose_tried(tried) if visible else 0,
        visible=visible,
        draws=1 if score == "halves" else draws,
        asked=asked_of(options, input_options),
        notes=tuple(_notes(tried, part)),
        seconds=time.perf_counter() - start,
        version=__version__,
    )


def _check_request(options: RunOptions, score: Kind, half: Cube | None, draws: int, voxels: int) -> None:
    if options.method == AUTO or options.then:
        raise UsageError(
            "tuning is for one method", value=options.method, action="name it with -m, as -m ist"
        )
    if (score == "halves") != (half is not None):
        raise UsageError(
            "the score halves needs a second half, and a second half is for that score alone",
            value=f"score {score}, {'no half' if half is None else half.name}",
            action="give --score halves --half FILE, or neither",
        )
    if draws < 1 or voxels < 1:
        raise UsageError(
            "at least 1 draw and 1 voxel",
            value=f"{draws} draws, {voxels} voxels",
            action="give --draws and --voxels of at least 1",
        )


def with_parameters(rig: Rig, parameters: Mapping[str, Any]) -> Rig:
    """The same rig with other parameters of its method."""
    return replace(rig, options=rig.options.model_copy(update={"parameters": dict(parameters)}))


class _Scores:
    """What the trials say of one set of parameters, so far."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.marks: list[Marks] = []
        self.differences: list[tuple[float, float]] = []
        self.inside: list[tuple[float, float]] = []
        self.seconds = 0.0
        self.failure = ""

    def add(self, trial: Trial, held: HeldOut, reference: Block | None, bright: Block | None) -> Block | None:
        """Another trial; returns the output, None where the method fails.

        `reference`: what the default makes of it; `bright`: weight of the emission itself; None for the default.
        """
        start = time.perf_counter()
        try:
            output = with_parameters(held.rig, self.parameters).apply(trial.seen)
        except CancelledError:
            raise
        except (DenoiseError, ArithmeticError, MemoryError, RuntimeError, ValueError) as err:
            self.failure = one_line(err)
            return None
        self.seconds += time.perf_counter() - start
        self.marks.append(marks_of(trial, output, held))
        if reference is not None:
            self.differences.append(difference_of(trial, output, reference, held))
            self.inside.append(difference_of(trial, output, reference, held, weight=bright))
        return output

    def tried(self, held: HeldOut) -> Tried:
        """The score."""
        if self.failure:
            return Tried(self.parameters, None, None, seconds=self.seconds, failure=self.failure)
        over_all, inside = averaged(self.differences, held), averaged(self.inside, held)
        return Tried(self.parameters, error_of(self.marks), over_all, inside, self.seconds)


def averaged(values: Sequence[tuple[float, float]], held: HeldOut) -> Measurement:
    """Differences over trials, with the variance of each, as one with its error; none are a difference of 0."""
    if not values:
        return Measurement(0.0, 0.0)
    each, variances = zip(*values, strict=True)
    return Measurement(float(np.mean(each)), held.error(variances))


def one_line(err: Exception) -> str:
    """An error in a line, with its kind where it is not one of ours."""
    text = " ".join(str(err).split())
    return text if isinstance(err, DenoiseError) else f"{type(err).__name__}: {text}"


def _held_out(
    held: HeldOut, sets: Sequence[dict[str, Any]], monitor: Monitor
) -> tuple[tuple[Tried, ...], bool]:
    """What was tried, and whether there was emission to judge by."""
    scores = [_Scores(parameters) for parameters in sets]
    work = [(draw, number) for draw in range(held.draws) for number in range(len(sets))]
    reference: Block | None = None
    visible = False
    for draw, number in monitor.track(work, stage="trying parameters", total=len(work)):
        if number == 0:
            trial = held.trial(draw)
            reference = scores[0].add(trial, held, None, None)
            bright = bright_weight(trial, held)
            visible = visible or bool(bright.any())
        elif not scores[number].failure and reference is not None:
            scores[number].add(trial, held, reference, bright)
    return tuple(one.tried(held) for one in scores), visible


def _injected(
    rig: Rig, sets: Sequence[dict[str, Any]], draws: int, monitor: Monitor, cancel: CancelToken | None
) -> tuple[Tried, ...]:
    settings = Settings(
        snr=_SNR, sizes=_SIZES, sources=_SOURCES * draws, empty=draws, as_found=False, seed=rig.options.seed
    )
    done: list[Tried] = []
    for parameters in monitor.track(sets, stage="injecting sources", total=len(sets)):
        start = time.perf_counter()
        try:
            options = with_parameters(rig, parameters).options
            check = check_recovery(
                rig.cube, options, settings, noise=rig.noise, threads=rig.threads, cancel=cancel
            )
        except CancelledError:
            raise
        except (DenoiseError, ArithmeticError, MemoryError, RuntimeError, ValueError) as err:
            done.append(
                Tried(parameters, None, None, seconds=time.perf_counter() - start, failure=one_line(err))
            )
            continue
        # the same sources for all: where widths were that of what the default finds
        settings = replace(
            settings, widths=tuple(w for w in dict.fromkeys(k.width for k in check.kinds) if w)
        )
        score, seconds = injection_score(check), time.perf_counter() - start
        first = done[0].score if done else score
        difference = None if first is None else less(score, first)
        done.append(Tried(parameters, score, difference if done else Measurement(0.0, 0.0), seconds=seconds))
    return tuple(done)


def less(one: Measurement, other: Measurement) -> Measurement:
    """A difference of independent numbers."""
    return Measurement(one.value - other.value, float(np.hypot(one.error, other.error)))


def injection_score(check: Check) -> Measurement:
    """Mean squared loss of flux, and the false share of a list with one true source; lower is better.

    ``mean((flux - 1)^2) + F / (1 + F)``, flux the recovered share of each peak SNR, F the false regions expected in
    the cube; the scatter of the flux is taken off its square. 0 at best; a method that finds nothing has 1.
    """
    kinds = {kind.name for kind in check.kinds}
    name = ALL if len(kinds) > 1 else check.kinds[0].name
    scores = [score for cell in check.of_kind(name) if (score := cell.scores.get("flux")) is not None]
    lost = np.array([score.value - 1.0 for score in scores])
    errors = np.array([score.error for score in scores])
    value = float(np.mean(lost**2 - errors**2))
    variance = float(np.sum(4 * lost**2 * errors**2 + 2 * errors**4)) / len(scores) ** 2
    if check.false is not None:
        expected, error = check.false.expected, check.false.error
        value += expected / (1 + expected)
        variance += (error / (1 + expected) ** 2) ** 2
    return Measurement(value, float(np.sqrt(variance)))


def _notes(tried: Sequence[Tried], part: str) -> list[str]:
    notes = [f"judged by the part of the cube about its brightest emission: {part}"] if part else []
    failed = [one for one in tried if one.failure]
    if failed:
        notes.append(f"{len(failed)} of {len(tried)} could not be scored: {failed[0].failure}")
    return notes
