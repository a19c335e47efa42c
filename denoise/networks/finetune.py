"""Fine-tune a trained network on cubes without truth, a little, and keep it only where that helps.

Targets are noisy, so the loss is a squared error; its least value is a posterior mean, which drops faint flux. So the
network stays near where it began: a low rate, few steps, in every step a batch of the simulations it was trained on
with their own loss, and the step chosen on blocks of the data that were not trained on. Then `gate` judges the result
on blocks that neither saw.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from denoise.atomic import put
from denoise.errors import CancelledError, DenoiseError, UsageError
from denoise.networks.blocks import CHOOSE, JUDGE
from denoise.networks.calibration import FILE as CALIBRATION
from denoise.networks.checkpoint import Progress, State
from denoise.networks.examples import REHEARSAL, Batch, make_batch
from denoise.networks.feed import open_feed
from denoise.networks.gate import (
    ERRORS,
    FLUX,
    Flux,
    Score,
    Squares,
    answer_to,
    compare,
    compare_flux,
    errors_of,
    faint_flux,
    flux_is_kept,
    squares,
)
from denoise.networks.guard import GUARD
from denoise.networks.losses import pixels
from denoise.networks.pairs import Sky
from denoise.networks.pool import FEWEST, Pool, Scored
from denoise.networks.recipe import OptimiserRecipe, TunedFrom
from denoise.networks.scalespace import Shape
from denoise.networks.training import (
    Event,
    build_like,
    copied,
    descend,
    learning_rate,
    on_device,
    simulated_loss,
)
from denoise.networks.unet3d import ScaleSpaceUNet
from denoise.networks.weights import RECIPE, WEIGHTS, Model, build, write_model

RECORD = "fine-tune.json"
_LEAST = 3.0  # energy, in sigma squared, below which less is not better; as in `losses`
_DRAWS = {CHOOSE: 2, JUDGE: 4}  # of the noise, for each tile that scores


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
        improved = score.gain / score.error if score.error > 0 else 0.0
        return (
            f"{'adopted' if self.adopted else 'refused, the original model is kept'}: "
            f"on {score.blocks} blocks that it did not see the squared error falls by "
            f"{score.gain:.3g} +- {score.error:.2g} sigma^2 a voxel ({improved:.1f} standard errors; "
            f"more than {ERRORS:g} needed); injected faint sources keep {100 * flux.after:.1f} % of their flux, "
            f"{100 * flux.before:.1f} % before ({100 * FLUX:g} % of change allowed)"
        )


def fine_tune(model: Model, skies: Sequence[Sky], tuning: Tuning, run: TuningRun) -> Verdict:
    """Fine-tune a copy of a model, and judge it.

    Parameters
    ----------
    model : Model
        A trained one; it is not changed.
    skies : sequence of Sky
        What to fine-tune on: all single observations, or all pairs.
    tuning : Tuning
        What decides the numbers.
    run : TuningRun
        How to run it.

    Raises
    ------
    UsageError
        The model is not trained.
    InputError
        The data are too small to judge by.
    CancelledError
        ``run.stop`` said so.
    """
    if not model.recipe.trained:
        raise UsageError(
            f"model {model.recipe.name} is not trained: there is nothing to fine-tune yet",
            action="name a trained one with --model, or train it with denoise train",
        )
    torch.set_num_threads(run.threads)
    tuner = _Tuner(model, Pool(skies, tile_of(model, skies), tuning.seed), tuning, run)
    tuner.go()
    return tuner.judge()


def tile_of(model: Model, skies: Sequence[Sky]) -> Shape:
    """Shape of tiles: that of most of the model's training cubes; of one channel if all the data are images."""
    image = all(sky.shape[0] == 1 for sky in skies)
    shapes = model.recipe.simulation.shapes
    alike = [one for one in shapes if (one.shape[0] == 1) == image] or list(shapes)
    c, y, x = max(alike, key=lambda one: one.weight * one.batch).shape
    return (1 if image else c), y, x


class _Tuner:
    def __init__(self, model: Model, pool: Pool, tuning: Tuning, run: TuningRun) -> None:
        self.recipe, self.pool, self.tuning, self.run = model.recipe, pool, tuning, run
        self.start = build(self.recipe).to(run.device)
        self.start.load_state_dict(model.network.state_dict())
        self.start.eval()
        network = build(self.recipe).to(run.device)
        network.load_state_dict(self.start.state_dict())
        adam = torch.optim.Adam(network.parameters(), tuning.rate)
        self.state = State(network, copied(network), copied(network), adam, Progress())
        self.kept = 0
        self.looks: list[dict[str, float]] = []
        self._before = self._squares(self.start, CHOOSE)
        self._began = time.monotonic()

    def go(self) -> None:
        """All steps, and the weights of the best look."""
        rng, progress, asked = np.random.default_rng((self.tuning.seed, 1)), self.state.progress, self.tuning
        with open_feed(partial(make_batch, self.recipe.simulation, asked.seed), self.run.workers) as feed:
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
        tuned = build_like(self.state, self.recipe, self.run.device)
        score = compare(self._squares(self.start, JUDGE), self._squares(tuned, JUDGE))
        count, seed = self.tuning.sources, self.tuning.seed
        floor = self.recipe.network.floor
        before, after = (
            faint_flux(one, self.pool.skies, self.pool.wanted, count, seed, floor=floor)
            for one in (self.start, tuned)
        )
        flux = compare_flux(before, after)
        adopted = score.blocks >= FEWEST and score.gain > ERRORS * score.error and flux_is_kept(flux)
        weights = copied(tuned)
        return Verdict(adopted, score, flux, self.kept, self.state.progress.step, weights, self.looks)

    def _step(self, batch: Batch, rng: np.random.Generator) -> None:
        state, asked = self.state, self.tuning
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(asked.optimiser, state.progress.step)
        state.optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for number in range(asked.pairs):
            scored = self.pool.drawn(rng, state.progress.step * asked.pairs + number)
            part = noisy_loss(state.network, scored, self.run.device, self.recipe.network.floor) / asked.pairs
            part.backward()
            value += float(part.detach())
        known = asked.rehearsal * simulated_loss(
            state.network, on_device(batch, self.run.device), self.recipe
        )
        known.backward()
        value += float(known.detach())
        if not np.isfinite(value):
            raise DenoiseError("fine-tuning left the finite numbers", value=f"step {state.progress.step + 1}")
        descend(state, asked.optimiser)
        state.progress.step += 1
        self._tell(value)

    def _look(self) -> None:
        """Whether the mean of the weights is the best so far, by the blocks that choose."""
        state, progress = self.state, self.state.progress
        network = build_like(state, self.recipe, self.run.device)
        score = compare(self._before, self._squares(network, CHOOSE))
        self.looks.append({"step": progress.step, "gain": score.gain, "error": score.error})
        progress.waited += 1
        if -score.gain < progress.best:
            progress.best, progress.waited, self.kept = -score.gain, 0, progress.step
            state.best = {key: value.clone() for key, value in state.mean.items()}
        self._tell(float("nan"), {"step": float(progress.step), "gain": score.gain, "error": score.error})

    def _squares(self, network: ScaleSpaceUNet, use: int) -> Squares:
        device, floor = self.run.device, self.recipe.network.floor
        return squares(network, self.pool, use, _DRAWS[use], device=device, floor=floor)

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


def noisy_loss(network: torch.nn.Module, scored: Scored, device: str, floor: float) -> Tensor:
    """Squared error against the noisy target over the energy of the error that the network itself expects.

    That makes faint and bright tiles count alike, as the logarithm does where the truth is known: the logarithm of a
    noisy energy would not have its least value at the truth. The expectation looks at the input alone and passes no
    gradient.
    """
    answer = answer_to(network, scored.pair, device)
    used = torch.from_numpy(scored.blocks >= 0).to(device)
    spread = torch.exp(answer.log_variance.detach())
    expected = (pixels(spread.expand(*spread.shape[:-1], 4))[0] * used).sum()
    wrong = errors_of(answer, scored.pair, device, floor)
    return (wrong.square() * used).sum() / (expected + _LEAST)


def write_verdict(
    verdict: Verdict,
    model: Model,
    tuning: Tuning,
    folder: Path,
    *,
    how: Literal["r2r", "halves"],
    inputs: Mapping[str, str],
) -> None:
    """Write the record, and the model if it was adopted; one of an earlier fine-tuning goes if it was not.

    Parameters
    ----------
    verdict : Verdict
        From ``fine_tune``.
    model : Model
        That it began with.
    tuning : Tuning
        How it went.
    folder : Path
        Exists.
    how : {"r2r", "halves"}
        Where the pairs came from.
    inputs : mapping of str to str
        Files and their checksums.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    old = model.recipe
    source = TunedFrom(
        model=old.name,
        sha256=model.checksum,
        how=how,
        inputs=dict(inputs),
        steps=verdict.step,
        rate=tuning.rate,
        seed=tuning.seed,
    )
    result = None
    for name in (WEIGHTS, RECIPE, GUARD, CALIBRATION):
        (folder / name).unlink(missing_ok=True)
    if verdict.adopted:
        name = f"{old.name.removesuffix('-tuned')}-tuned"
        result = write_model(verdict.weights, old.model_copy(update={"name": name, "tuned": source}), folder)
    put(folder / RECORD, json.dumps(_record(verdict, tuning, source, result), indent=2) + "\n")


def _record(verdict: Verdict, tuning: Tuning, source: TunedFrom, result: str | None) -> dict[str, Any]:
    return {
        "decision": "adopted" if verdict.adopted else "refused",
        "why": verdict.line,
        "from": source.model_dump(mode="json"),
        "sha256": result,
        "score": verdict.score._asdict(),
        "faint_flux": verdict.flux._asdict(),
        "steps_done": verdict.steps,
        "looks": verdict.looks,
        "settings": asdict(tuning),
    }
