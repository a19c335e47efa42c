"""One method of a comparison: run on the cube and on trials, and checked with injected sources, timed and weighed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from denoise.check.choosing.alone import peak_memory
from denoise.check.recovery.outcome import Check
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.study import check_recovery
from denoise.check.rig import Rig
from denoise.cube import Cube
from denoise.engine.options import RunOptions
from denoise.engine.progress import CancelToken, Monitor
from denoise.engine.runners import Serial
from denoise.errors import UsageError
from denoise.methods import MethodInfo, list_methods
from denoise.methods.registry import get_method
from denoise.noise import NoiseModel

RESTORE = {"restore": "photometric"}  # with which an enhancer may give fluxes


@dataclass(frozen=True)
class Contender:
    """A method and its parameters.

    Attributes
    ----------
    method : str
        Its name.
    parameters : dict
        Those that are not the default.
    """

    method: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def info(self) -> MethodInfo:
        """What the method says of itself."""
        return get_method(self.method).info

    def options(self, settled: RunOptions, asked: RunOptions) -> RunOptions:
        """The options of a run on the conditioned cube, from what is settled for all and what was asked for."""
        linear = asked.positivity == "auto" and self.info.linear
        update = {
            "method": self.method,
            "parameters": self.parameters,
            "positivity": "off" if linear or self.info.category == "enhancer" else settled.positivity,
            "device": asked.device if asked.device in self.info.device else "auto",
        }
        return settled.model_copy(update=update)


def contenders(names: tuple[str, ...] | None = None) -> list[Contender]:
    """Methods by name, or all installed ones that keep or may restore the unit; `ist` first, as it is the default.

    Raises
    ------
    UnknownMethodError
        There is no such method.
    UsageError
        An enhancer that cannot restore fluxes was named.
    """
    known = list_methods()
    wanted = names if names is not None else sorted(known, key=lambda name: (name != "ist", name))
    found = []
    for name in dict.fromkeys(wanted):
        method = get_method(name)
        if method.info.category == "denoiser":
            found.append(Contender(name))
        elif "restore" in method.Parameters.model_fields:
            found.append(Contender(name, dict(RESTORE)))
        elif names is not None:
            raise UsageError(
                f"the output of method {name} is for display and has no flux unit: there is nothing to compare",
                action="leave it out",
            )
    return found


@dataclass(frozen=True)
class Task:
    """What one method is to do; picklable.

    Attributes
    ----------
    cube, noise : Cube, NoiseModel
        The conditioned data.
    raised : NoiseModel
        Noise of the trials.
    options : RunOptions
        Of the method.
    threads : int
        Of each run.
    folder : Path
        Trials are there as ``seen_0.npy`` and on; what comes out goes beside them.
    draws : int
        Number of trials.
    settings : Settings or None
        Of the injected sources; None: none.
    """

    cube: Cube
    noise: NoiseModel
    raised: NoiseModel
    options: RunOptions
    threads: int
    folder: Path
    draws: int
    settings: Settings | None

    def rig(self, noise: NoiseModel, cancel: CancelToken | None) -> Rig:
        """The method on the cube."""
        return Rig(self.cube, noise, self.options, "", Monitor(None, cancel), self.threads, Serial())

    def path(self, trial: int | None) -> Path:
        """Where an output is: of the cube itself (None), or of a trial."""
        name = "cube" if trial is None else str(trial)
        return self.folder / f"{self.options.method}_{name}.npy"


class Answer(NamedTuple):
    """What came of it; the outputs are in files.

    Attributes
    ----------
    parameters : dict
        Of the method, defaults filled in.
    error_bar : bool
        Whether the method gives a 1 sigma error.
    first, seconds : float
        Wall time of the first run and, on average, of later ones.
    memory, idle : int or None
        Bytes that the process had at most in the first run, and what it had before; None in a shared process.
    check : Check or None
        Of injected sources.
    """

    parameters: dict[str, Any]
    error_bar: bool
    first: float
    seconds: float
    memory: int | None
    idle: int | None
    check: Check | None


def contend(task: Task, *, cancel: CancelToken | None = None, alone: bool = True) -> Answer:
    """Do a task.

    Raises
    ------
    UsageError
        The output is for display only.
    DenoiseError
        As a run.
    """
    idle = peak_memory() if alone else None
    start = time.perf_counter()
    rig = task.rig(task.noise, cancel)
    result = rig.run()
    first = time.perf_counter() - start
    memory = peak_memory() if alone else None
    if result.display:
        raise UsageError(
            "the output has no flux unit here",
            value=f"{task.options.method}, for display only",
            action="compare methods that keep the unit (denoise methods)",
        )
    np.save(task.path(None), rig.pixels_of(result))
    raised, start = task.rig(task.raised, cancel), time.perf_counter()
    for trial in range(task.draws):
        np.save(task.path(trial), raised.apply(np.load(task.folder / f"seen_{trial}.npy")))
    seconds = (time.perf_counter() - start) / task.draws
    check = None
    if task.settings is not None:
        check = check_recovery(
            task.cube, task.options, task.settings, noise=task.noise, cancel=cancel, threads=task.threads
        )
    parameters: Mapping[str, Any] = result.parameters
    return Answer(dict(parameters), result.uncertainty is not None, first, seconds, memory, idle, check)


def contend_alone(task: Task) -> Answer:
    """The same, in a process that does nothing else."""
    return contend(task)
