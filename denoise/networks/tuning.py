"""Go on training a network on data without truth, a little, and keep the result only where that helps.

Targets are noisy, so the loss is a squared error; its least value is a posterior mean, which drops faint flux. So the
network stays near where it began: a low rate, few steps, in every step a batch of the simulations it was trained on
with their own loss, and the step chosen on blocks of the data that were not trained on. Then `gate` judges the result
on blocks that neither saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.errors import CancelledError, DenoiseError
from denoise.networks import gate
from denoise.networks.blocks import CHOOSE, JUDGE
from denoise.networks.checkpoint import Progress, State
from denoise.networks.examples import REHEARSAL
from denoise.networks.feed import Make, open_feed
from denoise.networks.gate import Flux, Score, Squares, in_words
from denoise.networks.recipe import OptimiserRecipe
from denoise.networks.training import Event, copied, descend, learning_rate, mean_of


@dataclass(frozen=True)
class Tuning:
    """What decides the numbers.

    Attributes
    ----------
    steps : int
        At most.
    rate : float
        Of Adam, at its highest.
    pairs : int
        Tiles of the data a step.
    rehearsal : float
        Weight of the simulations' loss.
    validate_every, patience : int
        Steps between looks at the blocks that choose; looks without a better one after which it stops.
    sources : int
        Faint ones that are injected to judge.
    seed : int
        Fixes every random draw.
    """

    steps: int = 200
    rate: float = 1e-4
    pairs: int = 2
    rehearsal: float = 1.0
    validate_every: int = 40
    patience: int = 3
    sources: int = 48
    seed: int = 0

    @property
    def optimiser(self) -> OptimiserRecipe:
        """The same as an optimiser's recipe."""
        return OptimiserRecipe(
            steps=self.steps,
            rate=self.rate,
            least_rate=self.rate / 10,
            warm_up=min(10, self.steps),
            mean=0.95,
        )


@dataclass(frozen=True)
class TuningRun:
    """How to run it; nothing here changes the numbers but device, threads and clock.

    Attributes
    ----------
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that simulate; 0: none but this.
    threads : int
        Of torch.
    minutes : float, optional
        Take no further step after so long.
    report : callable, optional
        Told of progress.
    stop : callable
        Whether to give up after this step.
    """

    device: str = "cpu"
    workers: int = 0
    threads: int = 1
    minutes: float | None = None
    report: Callable[[Event], None] | None = None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Verdict:
    """What the gate said.

    Attributes
    ----------
    adopted : bool
        Whether the fine-tuned network takes the place of the one it came from.
    score : Score
        On the blocks that judge.
    flux : Flux
        Of injected faint sources.
    step : int
        Of the network that was judged.
    steps : int
        Done.
    weights : dict of Tensor
        Of that network.
    looks : list of dict
        Step, gain and error of every look at the blocks that choose.
    """

    adopted: bool
    score: Score
    flux: Flux
    step: int
    steps: int
    weights: dict[str, Tensor]
    looks: list[dict[str, float]]

    @property
    def line(self) -> str:
        """The decision and its numbers, in one line."""
        score, flux = self.score, self.flux
        decision = "adopted" if self.adopted else "refused, the original model is kept"
        numbers = in_words(score.gain, score.error, score.blocks, flux.before, flux.after)
        return f"{decision}: {numbers}"


class Subject(Protocol):
    """A network and the data that it is trained on."""

    @property
    def make(self) -> Make[Any]:
        """Makes the simulations of a stream and a step; picklable."""

    def build(self) -> torch.nn.Module:
        """The network as it begins, on its device: a new copy at every call."""

    def add_gradients(
        self, network: torch.nn.Module, batch: Any, rng: np.random.Generator, step: int, /
    ) -> float:
        """Draw data for a step, add the gradients of the loss to those of the network, return the loss."""

    def squares(self, network: torch.nn.Module, use: int, /) -> Squares:
        """Squared errors on all blocks for one use."""

    def faint_flux(self, network: torch.nn.Module, count: int, seed: int, /) -> NDArray[np.float64]:
        """Flux of faint sources that are put into noise: result and truth, shape (count, 2)."""


def tune(subject: Subject, tuning: Tuning, run: TuningRun) -> Verdict:
    """Fine-tune a network, and judge it.

    Raises
    ------
    CancelledError
        ``run.stop`` said so.
    """
    tuner = _Tuner(subject, tuning, run)
    tuner.go()
    return tuner.judge()


class _Tuner:
    def __init__(self, subject: Subject, tuning: Tuning, run: TuningRun) -> None:
        self.subject, self.tuning, self.run = subject, tuning, run
        self.start, network = subject.build(), subject.build()
        self.start.eval()
        adam = torch.optim.Adam(network.parameters(), tuning.rate)
        self.state = State(network, copied(network), copied(network), adam, Progress())
        self.kept = 0
        self.looks: list[dict[str, float]] = []
        self._before = subject.squares(self.start, CHOOSE)
        self._began = time.monotonic()

    def go(self) -> None:
        """All steps, and the weights of the best look."""
        rng, progress, asked = np.random.default_rng((self.tuning.seed, 1)), self.state.progress, self.tuning
        with open_feed(self.subject.make, self.run.workers) as feed:
            for batch in feed.batches(REHEARSAL, 0, asked.steps):
                self._step(batch, rng)
                last = progress.step == asked.steps or self._late()
                if last or progress.step % asked.validate_every == 0:
                    self._look()
                if self.run.stop():
                    raise CancelledError("cancelled", action="no model was written")
                if last or progress.waited >= asked.patience:
                    break

    def judge(self) -> Verdict:
        """The gate, on the best look."""
        self.state.mean = self.state.best
        tuned, subject = self._mean(), self.subject
        score = gate.compare(subject.squares(self.start, JUDGE), subject.squares(tuned, JUDGE))
        count, seed = self.tuning.sources, self.tuning.seed
        flux = gate.compare_flux(*(subject.faint_flux(one, count, seed) for one in (self.start, tuned)))
        weights, done = copied(tuned), self.state.progress.step
        return Verdict(gate.passes(score, flux), score, flux, self.kept, done, weights, self.looks)

    def _step(self, batch: Any, rng: np.random.Generator) -> None:
        state, asked = self.state, self.tuning
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(asked.optimiser, state.progress.step)
        state.optimiser.zero_grad(set_to_none=True)
        value = self.subject.add_gradients(state.network, batch, rng, state.progress.step)
        if not np.isfinite(value):
            raise DenoiseError(
                "fine-tuning left the finite numbers",
                value=f"step {state.progress.step + 1}",
                action="no model was written: try more data, or another --seed",
            )
        descend(state, asked.optimiser)
        state.progress.step += 1
        self._tell(value)

    def _look(self) -> None:
        """Whether the mean of the weights is the best so far, by the blocks that choose."""
        state, progress = self.state, self.state.progress
        score = gate.compare(self._before, self.subject.squares(self._mean(), CHOOSE))
        self.looks.append({"step": progress.step, "gain": score.gain, "error": score.error})
        progress.waited += 1
        if -score.gain < progress.best:
            progress.best, progress.waited, self.kept = -score.gain, 0, progress.step
            state.best = {key: value.clone() for key, value in state.mean.items()}
        self._tell(float("nan"), {"step": float(progress.step), "gain": score.gain, "error": score.error})

    def _mean(self) -> torch.nn.Module:
        return mean_of(self.state, self.subject.build(), self.run.device)

    def _late(self) -> bool:
        minutes = self.run.minutes
        return minutes is not None and time.monotonic() - self._began > 60 * minutes

    def _tell(self, value: float, look: dict[str, float] | None = None) -> None:
        if self.run.report is None:
            return
        done, steps = self.state.progress.step, self.tuning.steps
        took = time.monotonic() - self._began
        left = took / done * (steps - done)
        if self.run.minutes is not None:
            left = min(left, max(0.0, 60 * self.run.minutes - took))
        self.run.report(Event(done, steps, left, value, look))
