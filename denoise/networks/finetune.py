"""Fine-tune a trained network on cubes without truth (`denoise.networks.tuning`), and write what the gate let pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.atomic import put
from denoise.errors import UsageError
from denoise.networks.backend import torch_threads
from denoise.networks.blocks import CHOOSE, JUDGE
from denoise.networks.calibration import FILE as CALIBRATION
from denoise.networks.examples import Batch, make_batch
from denoise.networks.feed import Make
from denoise.networks.gate import Squares, answer_to, errors_of, faint_flux, squares
from denoise.networks.guard import GUARD
from denoise.networks.lidia_tuning import TUNING as LIDIA
from denoise.networks.lidia_tuning import lidia_subject
from denoise.networks.lidia_weights import LidiaModel, load_lidia
from denoise.networks.losses import pixels
from denoise.networks.pairs import Sky
from denoise.networks.pool import Pool, Scored
from denoise.networks.recipe import LidiaRecipe, TrainingRecipe, TunedFrom, load_any_recipe
from denoise.networks.scalespace import Shape
from denoise.networks.training import on_device, simulated_loss
from denoise.networks.tuning import Tuning, TuningRun, Verdict, tune
from denoise.networks.unet3d import ScaleSpaceUNet
from denoise.networks.weights import RECIPE, WEIGHTS, Model, build, load_model, model_folder, write_model

Trained = Model | LidiaModel
RECORD = "fine-tune.json"
_LEAST = 3.0  # energy, in sigma squared, below which less is not better; as in `losses`
_DRAWS = {CHOOSE: 2, JUDGE: 4}  # of the noise, for each tile that scores


def load_trained(name: str) -> Trained:
    """A model of either kind; raises as ``load_model`` and ``load_lidia``."""
    folder = model_folder(name, TrainingRecipe.family, LidiaRecipe.family)
    recipe = load_any_recipe(folder / RECIPE)
    return load_lidia(name) if isinstance(recipe, LidiaRecipe) else load_model(name)


def usual_tuning(model: Trained) -> Tuning:
    """What suits the network."""
    return LIDIA if isinstance(model, LidiaModel) else Tuning()


def fine_tune(model: Trained, skies: Sequence[Sky], tuning: Tuning, run: TuningRun) -> Verdict:
    """Fine-tune a copy of a model, and judge it.

    Parameters
    ----------
    model : Model or LidiaModel
        A trained one; it is not changed. A LIDIA network runs on the CPU.
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
    if isinstance(model, LidiaModel):
        with torch_threads(torch, 1):
            subject = lidia_subject(model, skies, tuning, run.threads)
            return tune(subject, tuning, replace(run, device="cpu"))
    torch.set_num_threads(run.threads)
    pool = Pool(skies, tile_of(model, skies), tuning.seed)
    return tune(UnetSubject(model, pool, tuning, run.device), tuning, run)


def tile_of(model: Model, skies: Sequence[Sky]) -> Shape:
    """Shape of tiles: that of most of the model's training cubes; of one channel if all the data are images."""
    image = all(sky.shape[0] == 1 for sky in skies)
    shapes = model.recipe.simulation.shapes
    alike = [one for one in shapes if (one.shape[0] == 1) == image] or list(shapes)
    c, y, x = max(alike, key=lambda one: one.weight * one.batch).shape
    return (1 if image else c), y, x


@dataclass(frozen=True, eq=False)
class UnetSubject:
    """A U-Net and tiles of cubes.

    Attributes
    ----------
    model : Model
        That it begins with.
    pool : Pool
        Of the data.
    tuning : Tuning
        Pairs a step, and what the simulations weigh.
    device : str
        "cpu" or "cuda".
    """

    model: Model
    pool: Pool
    tuning: Tuning
    device: str

    @property
    def make(self) -> Make[Batch]:
        """Simulated cubes, as in the training."""
        return partial(make_batch, self.model.recipe.simulation, self.tuning.seed)

    def build(self) -> ScaleSpaceUNet:
        """The network as it begins."""
        network = build(self.model.recipe)
        network.load_state_dict(self.model.network.state_dict())
        network.to(self.device)
        return network

    def add_gradients(
        self, network: torch.nn.Module, batch: Batch, rng: np.random.Generator, step: int
    ) -> float:
        """Of some tiles, and of the simulations."""
        recipe, pairs, value = self.model.recipe, self.tuning.pairs, 0.0
        for number in range(pairs):
            scored = self.pool.drawn(rng, step * pairs + number)
            part = noisy_loss(network, scored, self.device, recipe.network.floor) / pairs
            part.backward()
            value += float(part.detach())
        known = self.tuning.rehearsal * simulated_loss(network, on_device(batch, self.device), recipe)
        known.backward()
        return value + float(known.detach())

    def squares(self, network: torch.nn.Module, use: int) -> Squares:
        """On the tiles of the pool."""
        floor = self.model.recipe.network.floor
        return squares(network, self.pool, use, _DRAWS[use], device=self.device, floor=floor)

    def faint_flux(self, network: torch.nn.Module, count: int, seed: int) -> NDArray[np.float64]:
        """In tiles of noise."""
        pool, floor = self.pool, self.model.recipe.network.floor
        return faint_flux(network, pool.skies, pool.wanted, count, seed, floor=floor)


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
    model: Trained,
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
    model : Model or LidiaModel
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
