"""State of a training as one safetensors file: tensors, and everything else as JSON in its header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoise.atomic import put
from denoise.errors import InputError, UsageError
from denoise.networks.recipe import BegunWith

FILE = "checkpoint.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a training is.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Time they took, over all resumes.
    losses : list of [step, loss]
        Of the training, means over some steps.
    validations : list of dict
        Numbers of every validation.
    best : float
        Least validation loss.
    waited : int
        Validations since then.
    """

    step: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)
    best: float = float("inf")
    waited: int = 0

    def kept(self, patience: int) -> dict[str, float]:
        """Numbers of the weights that are kept: the best validation where a training may stop early, else the last.

        Parameters
        ----------
        patience : int
            Of the recipe.
        """
        if patience:
            return min(self.validations, key=lambda numbers: numbers["loss"])
        return self.validations[-1]


@dataclass
class State:
    """All that a training needs to go on as if it had not stopped.

    Attributes
    ----------
    network : Module
        With the weights of the last step.
    mean : dict of Tensor
        Exponential mean of the weights.
    best : dict of Tensor
        That mean where the validation was best.
    optimiser : torch.optim.Adam
    progress : Progress
    """

    network: nn.Module
    mean: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: torch.optim.Adam
    progress: Progress


def save_state(state: State, folder: Path, fixed: dict[str, Any]) -> None:
    """Write the checkpoint whole or not at all; `fixed` is what the recipe fixes.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    from safetensors.torch import save

    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"mean.{name}": value for name, value in state.mean.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for number, moments in state.optimiser.state_dict()["state"].items():
        for name in _MOMENTS:
            tensors[f"adam.{number}.{name}"] = moments[name]
    content = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    header = {"progress": json.dumps(asdict(state.progress)), "recipe": json.dumps(fixed, sort_keys=True)}
    put(folder / FILE, save(content, header))


def progress_of(folder: Path) -> Progress:
    """How far the training in a folder is.

    Raises
    ------
    InputError
        It holds no checkpoint, or it cannot be read.
    """
    return _progress(_read(folder / FILE)[0])


def begun_with(folder: Path) -> BegunWith | None:
    """What the training in a folder began with; raises as ``progress_of``."""
    began = json.loads(_read(folder / FILE)[0]["recipe"]).get("begun")
    return None if began is None else BegunWith(**began)


def load_state(state: State, folder: Path, fixed: dict[str, Any]) -> None:
    """Put the checkpoint of `folder` into `state`.

    Raises
    ------
    InputError
        There is none, or it cannot be read.
    UsageError
        It belongs to another recipe.
    """
    path = folder / FILE
    header, tensors = _read(path)
    if header["recipe"] != json.dumps(fixed, sort_keys=True):
        raise UsageError(
            f"{path} was made by another recipe", action="take that recipe, another folder, or --overwrite"
        )
    state.network.load_state_dict(_part(tensors, "network."))
    state.mean = _moved(_part(tensors, "mean."), state.mean)
    state.best = _moved(_part(tensors, "best."), state.mean)
    state.progress = _progress(header)
    _load_moments(state, _part(tensors, "adam."))


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as err:
        raise InputError(
            f"{path} cannot be read as a checkpoint",
            value=err,
            action="name a folder that denoise train left whole, or start without --resume",
        ) from None
    return header, tensors


def _progress(header: dict[str, str]) -> Progress:
    found = Progress(**json.loads(header["progress"]))
    found.losses = [(int(step), value) for step, value in found.losses]
    return found


def _load_moments(state: State, moments: dict[str, Tensor]) -> None:
    values = state.optimiser.state_dict()
    numbers = sorted({int(key.split(".")[0]) for key in moments})
    step = torch.tensor(float(state.progress.step))
    values["state"] = {
        number: {"step": step.clone()} | {name: moments[f"{number}.{name}"] for name in _MOMENTS}
        for number in numbers
    }
    state.optimiser.load_state_dict(values)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _moved(tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(like[key].device) for key, value in tensors.items()}
