"""The training loop: every step fixed by its number, so that a training resumed is the training unbroken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.networks import checkpoint
from denoise.networks.checkpoint import Progress, State
from denoise.networks.curves import draw_curves
from denoise.networks.examples import APERTURE, EMISSION, TRAINING, VALIDATION, Batch, make_batch
from denoise.networks.feed import Feed, Make, open_feed
from denoise.networks.losses import Examples, Terms, loss, terms
from denoise.networks.recipe import (
    BegunWith,
    LidiaRecipe,
    OptimiserRecipe,
    Recipe,
    TrainingRecipe,
    load_any_recipe,
)
from denoise.networks.unet3d import ScaleSpaceUNet
from denoise.networks.weights import RECIPE, build, checked_sum, model_folder, take_weights, write_model

CURVES = "curves.png"
Net = TypeVar("Net", bound=torch.nn.Module)
_LOGGED = 20  # steps of which the training loss is a mean
_BINS = ((0.0, 3.5), (3.5, 6.0), (6.0, 9.0), (9.0, 1e9))  # peak SNR of what is validated apart


class Event(NamedTuple):
    """What a training tells of itself.

    Attributes
    ----------
    step, steps : int
        Done, and in all.
    seconds_left : float or None
        By what the last steps took.
    loss : float
        Mean over some steps.
    validation : dict or None
        Numbers of a validation that has just been done.
    """

    step: int
    steps: int
    seconds_left: float | None
    loss: float
    validation: dict[str, float] | None = None


@dataclass(frozen=True)
class TrainingRun:
    """How to run a training; nothing here changes the numbers but the device and the clock.

    Attributes
    ----------
    folder : Path
        Where checkpoint, curves and weights go.
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that simulate; 0: none but this.
    threads : int
        Of torch.
    resume : bool
        Go on from the checkpoint.
    begin : str, optional
        Model, by its name or folder, whose weights to begin with in place of those that the recipe starts from.
    hours : float, optional
        In place of the recipe's.
    steps : int, optional
        Stop after so many, as if interrupted there.
    report : callable, optional
        Told of progress.
    stop : callable
        Whether to stop after this step, with a checkpoint.
    """

    folder: Path
    device: str = "cpu"
    workers: int = 1
    threads: int = 1
    resume: bool = False
    begin: str | None = None
    hours: float | None = None
    steps: int | None = None
    report: Callable[[Event], None] | None = None
    stop: Callable[[], bool] = lambda: False


class Task(Protocol):
    """What a training is of."""

    @property
    def recipe(self) -> Recipe:
        """As checked."""

    @property
    def make(self) -> Make[Any]:
        """Makes the batch of a stream and a step; picklable."""

    def build(self) -> torch.nn.Module:
        """A network to begin with."""

    def loss(self, network: torch.nn.Module, batch: Any, device: str, /) -> Tensor:
        """Of one batch."""

    def validate(self, network: torch.nn.Module, held: Iterable[Any], device: str, /) -> dict[str, float]:
        """Numbers of a network that is not trained meanwhile; `loss` is least where it is best."""


@dataclass(frozen=True)
class UnetTask:
    """Of a U-Net.

    Attributes
    ----------
    recipe : TrainingRecipe
    """

    recipe: TrainingRecipe

    @property
    def make(self) -> Make[Batch]:
        """Simulated cubes."""
        return partial(make_batch, self.recipe.simulation, self.recipe.seed)

    def build(self) -> ScaleSpaceUNet:
        """As ``weights.build``."""
        return build(self.recipe)

    def loss(self, network: torch.nn.Module, batch: Batch, device: str) -> Tensor:
        """As ``simulated_loss``."""
        return simulated_loss(network, on_device(batch, device), self.recipe)

    def validate(self, network: torch.nn.Module, held: Iterable[Batch], device: str) -> dict[str, float]:
        """As ``validate``."""
        return validate(network, held, self.recipe)


def task_of(recipe: Recipe) -> Task:
    """What a recipe trains."""
    if isinstance(recipe, LidiaRecipe):
        from denoise.networks.lidia_training import LidiaTask

        return LidiaTask(recipe)
    assert isinstance(recipe, TrainingRecipe)
    return UnetTask(recipe)


def train(recipe: Recipe, run: TrainingRun) -> Progress:
    """Train, or go on training; writes weights and recipe when done, and the best so far when stopped.

    Raises
    ------
    InputError, UsageError
        The checkpoint does not fit (see ``checkpoint.load_state``), or the model to begin with does not.
    ParameterError
        There is no model to begin with of this name.
    ResourceError
        A file cannot be written.
    """
    torch.set_num_threads(run.threads)
    # a recipe from the folder of another training says what that one began with
    begun = None if run.begin is None else _begun_with(run.begin, recipe.family)
    if run.resume and begun is None:
        begun = checkpoint.begun_with(run.folder)
    recipe = recipe.model_copy(update={"begun": begun})
    state = new_state(recipe, run.device, run.begin)
    if run.resume:
        checkpoint.load_state(state, run.folder, recipe.fixed())
    task = task_of(recipe)
    with open_feed(task.make, run.workers) as feed:
        _Loop(task, run, state, feed).go()
    return state.progress


def new_state(recipe: Recipe, device: str, begin: str | None = None) -> State:
    """A training that has not begun, perhaps with the weights of a model; raises as ``train``."""
    network = task_of(recipe).build()
    if begin is not None:
        take_weights(network, model_folder(begin, recipe.family), grow=isinstance(network, ScaleSpaceUNet))
    network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), recipe.optimiser.rate)
    return State(network, copied(network), copied(network), optimiser, Progress())


def _begun_with(name: str, family: str) -> BegunWith:
    folder = model_folder(name, family).resolve()
    recipe = load_any_recipe(folder / RECIPE)
    return BegunWith(model=recipe.name, sha256=checked_sum(recipe.sha256, folder))


class _Loop:
    def __init__(self, task: Task, run: TrainingRun, state: State, feed: Feed[Any]) -> None:
        self.task, self.run, self.state, self.feed = task, run, state, feed
        self.recipe = task.recipe
        self.hours = run.hours or self.recipe.optimiser.hours
        self._held: list[Any] = []
        self._recent: list[float] = []
        self._saved = self._mark = time.monotonic()
        self._pace: list[float] = []

    def go(self) -> None:
        """All steps that are left."""
        progress, asked = self.state.progress, self.recipe.optimiser
        last = asked.steps if self.run.steps is None else min(asked.steps, self.run.steps)
        if self._ended():
            last = progress.step
        self._mark = time.monotonic()
        for batch in self.feed.batches(TRAINING, progress.step, last):
            self._step(batch)
            if progress.step % asked.validate_every == 0:
                self._validate()
            if self._over():
                break
            if time.monotonic() - self._saved > 60 * asked.checkpoint_minutes:
                self._save()
        if self._ended() or progress.step == asked.steps:
            self._last_validation()
        self._finish()

    def _step(self, batch: Any) -> None:
        state, progress = self.state, self.state.progress
        rate = learning_rate(self.recipe.optimiser, progress.step, self._share_of_time())
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        value = stepped(state, self.task.loss(state.network, batch, self.run.device), self.recipe.optimiser)
        progress.step += 1
        self._tick()
        self._recent.append(value)
        if len(self._recent) == _LOGGED or progress.step == 1:
            progress.losses.append((progress.step, float(np.mean(self._recent))))
            self._recent.clear()
        self._tell(value)

    def _tick(self) -> None:
        now = time.monotonic()
        self._pace = [*self._pace[-49:], now - self._mark]
        self.state.progress.seconds += now - self._mark
        self._mark = now

    def _share_of_time(self) -> float:
        return 0.0 if self.hours is None else self.state.progress.seconds / (3600 * self.hours)

    def _over(self) -> bool:
        return self._ended() or self.run.stop()

    def _ended(self) -> bool:
        """Before its last step: out of time, or no better for long."""
        patience = self.recipe.optimiser.patience
        tired = bool(patience) and self.state.progress.waited >= patience
        return tired or self._share_of_time() >= 1

    def _validate(self) -> None:
        if not self._held:
            count = self.recipe.optimiser.validation
            self._held = list(self.feed.batches(VALIDATION, 0, count))
        state, progress = self.state, self.state.progress
        network = mean_of(state, self.task.build(), self.run.device)
        numbers = self.task.validate(network, self._held, self.run.device)
        numbers |= {"step": float(progress.step), "hours": progress.seconds / 3600}
        progress.validations.append(numbers)
        progress.waited += 1
        if numbers["loss"] < progress.best:
            progress.best, progress.waited = numbers["loss"], 0
            state.best = {key: value.clone() for key, value in state.mean.items()}
        self._tick()
        self._tell(float("nan"), numbers)

    def _last_validation(self) -> None:
        """Of the weights of the end, where the last one is not of them."""
        progress = self.state.progress
        if progress.step and (not progress.validations or progress.validations[-1]["step"] != progress.step):
            self._validate()

    def _tell(self, value: float, validation: dict[str, float] | None = None) -> None:
        if self.run.report is None:
            return
        progress, steps = self.state.progress, self.recipe.optimiser.steps
        left = (steps - progress.step) * float(np.median(self._pace)) if self._pace else None
        if left is not None and self.hours is not None:
            left = min(left, max(0.0, 3600 * self.hours - progress.seconds))
        self.run.report(Event(progress.step, steps, left, value, validation))

    def _save(self) -> None:
        checkpoint.save_state(self.state, self.run.folder, self.recipe.fixed())
        draw_curves(self.state.progress, self.run.folder / CURVES)
        self._saved = time.monotonic()

    def _finish(self) -> None:
        self._save()
        # a schedule that is gone through ends with its best weights; a few cubes of a validation would choose by chance
        early = bool(self.recipe.optimiser.patience) and self.state.progress.validations
        kept = self.state.best if early else self.state.mean
        # a recipe from the folder of a fine-tuned model trains as the model it came from was
        write_model(kept, self.recipe.model_copy(update={"tuned": None}), self.run.folder)


def learning_rate(asked: OptimiserRecipe, step: int, share_of_time: float = 0.0) -> float:
    """Linear warm-up, then a cosine down to the least rate, of the steps or of the time, whichever is further."""
    if step < asked.warm_up:
        return asked.rate * (step + 1) / asked.warm_up
    done = min(1.0, max(step / asked.steps, share_of_time))
    return asked.least_rate + (asked.rate - asked.least_rate) * 0.5 * (1 + math.cos(math.pi * done))


def one_step(state: State, batch: Examples, recipe: TrainingRecipe) -> float:
    """Forward, backward, Adam, mean of the weights; returns the loss."""
    return stepped(state, simulated_loss(state.network, batch, recipe), recipe.optimiser)


def stepped(state: State, value: Tensor, asked: OptimiserRecipe) -> float:
    """Backward from a loss, Adam, mean of the weights; returns the loss."""
    state.optimiser.zero_grad(set_to_none=True)
    value.backward()
    descend(state, asked)
    return float(value.detach())


def simulated_loss(network: torch.nn.Module, batch: Examples, recipe: TrainingRecipe) -> Tensor:
    """The loss of simulated cubes."""
    return loss(_terms(network, batch, recipe), batch.snr, batch.scene, recipe.loss)


def descend(state: State, asked: OptimiserRecipe) -> None:
    """Adam along the gradients there are, then the mean of the weights."""
    network = state.network
    torch.nn.utils.clip_grad_norm_(network.parameters(), asked.clip)
    state.optimiser.step()
    # the mean follows quickly at first
    keep = min(asked.mean, (1 + state.progress.step) / (10 + state.progress.step))
    with torch.no_grad():
        for name, now in network.state_dict().items():
            state.mean[name].lerp_(now, 1 - keep)


def _terms(network: torch.nn.Module, batch: Examples, recipe: TrainingRecipe) -> Terms:
    with torch.autocast("cuda", torch.bfloat16, enabled=batch.inputs.is_cuda):
        answer = network(batch.inputs, batch.numbers)
    return terms(answer, batch, recipe.network.floor)


def validate(network: torch.nn.Module, held: Iterable[Batch], recipe: TrainingRecipe) -> dict[str, float]:
    """Mean loss, and medians of the RMSE ratios and means of the flux over cubes of each range of SNR."""
    device = str(next(network.parameters()).device)
    losses, rows = [], []
    for batch in held:
        examples = on_device(batch, device)
        with torch.no_grad():
            found = _terms(network, examples, recipe)
        losses.append(float(loss(found, examples.snr, examples.scene, recipe.loss)))
        rows.append(_ratios(found, examples))
    numbers = {"loss": float(np.mean(losses))}
    table = np.concatenate(rows)
    for low, high in _BINS:
        inside = table[(table[:, 0] > low) & (table[:, 0] <= high)]
        if len(inside):
            label = f"{low:g}" if high > 1e8 else f"{low:g}-{high:g}"
            numbers[f"aperture {label}"] = float(np.median(inside[:, 1]))
            numbers[f"emission {label}"] = float(np.median(inside[:, 2]))
            numbers[f"flux {label}"] = float(np.mean(inside[:, 3]))
    return numbers


def _ratios(found: Terms, batch: Examples) -> NDArray[np.float32]:
    """Peak SNR, RMSE over that of the noise in aperture and emission, flux in the emission in per cent."""
    masks = batch.masks
    count = [((masks & bit) != 0).sum(dim=(1, 2, 3, 4)).clamp(min=1) for bit in (APERTURE, EMISSION)]
    columns = (
        batch.snr,
        (found.aperture / count[0]).sqrt(),
        (found.emission / count[1]).sqrt(),
        100 * (1 + found.bias_flux),
    )
    return np.stack([column.float().cpu().numpy() for column in columns], axis=1)


def mean_of(state: State, network: Net, device: str) -> Net:
    """A network, that is given, with the mean of the weights."""
    network.to(device).load_state_dict(state.mean)
    network.eval()
    return network


def on_device(batch: Batch, device: str) -> Examples:
    """The batch as tensors; float32 but for the masks."""
    moved = [torch.from_numpy(part).to(device) for part in batch]
    return Examples(*(part if part.dtype == torch.uint8 else part.float() for part in moved))


def copied(network: torch.nn.Module) -> dict[str, Tensor]:
    """The weights of a network as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
