"""What a model needs beside its weights, made when a training is done, or again by resuming it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from denoise.networks.calibration import write_calibration
from denoise.networks.card import write_card
from denoise.networks.conformal import Examine, calibrate
from denoise.networks.guarding import guard_model
from denoise.networks.recipe import load_recipe
from denoise.networks.weights import RECIPE


def finish_model(
    folder: Path,
    method: Callable[[bool], Examine],
    *,
    device: str = "cpu",
    hours: float | None = None,
    workers: int = 0,
    report: Callable[[str, int, int], None] | None = None,
) -> None:
    """Fit the guard of the model in a folder, calibrate its errors and write its card.

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
        Told of the stage and of steps done, of so many; what it raises ends the work, and `--resume` does it again.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    recipe = load_recipe(folder / RECIPE)
    told = (
        (None, None)
        if report is None
        else (partial(report, "fitting the guard"), partial(report, "calibrating errors"))
    )
    guard_model(recipe, folder, device=device, workers=workers, report=told[0])
    found = calibrate(recipe, str(recipe.sha256), method, workers=workers, report=told[1])
    write_calibration(found, folder)
    write_card(folder, recipe, found, device=device, hours=hours)
