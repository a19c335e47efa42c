"""What a model needs beside its weights, made when a training is done, or again by resuming it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoise.networks.calibration import write_calibration
from denoise.networks.card import write_card
from denoise.networks.conformal import Examine, calibrate
from denoise.networks.recipe import load_recipe
from denoise.networks.weights import RECIPE


def finish_model(
    folder: Path,
    method: Callable[[bool], Examine],
    *,
    device: str = "cpu",
    hours: float | None = None,
    workers: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Calibrate the errors of the model in a folder and write its card.

    Parameters
    ----------
    folder : Path
        Holds weights, recipe and checkpoint of a training that is done.
    method : callable
        Denoises with that model, see ``conformal.calibrate``.
    device : str
        Where it was trained.
    hours : float, optional
        What the training was limited to in place of the recipe's.
    workers : int
        Processes.
    report : callable, optional
        Told of cubes done, of so many; what it raises ends the work, and `--resume` does it again.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    recipe = load_recipe(folder / RECIPE)
    found = calibrate(recipe, str(recipe.sha256), method, workers=workers, report=report)
    write_calibration(found, folder)
    write_card(folder, recipe, found, device=device, hours=hours)
