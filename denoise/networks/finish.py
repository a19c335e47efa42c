"""What a model needs beside its weights, made when a training is done, or again by resuming it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from denoise.networks.calibration import Calibration, write_calibration
from denoise.networks.card import write_card
from denoise.networks.conformal import Examine, calibrate
from denoise.networks.guarding import guard_model
from denoise.networks.recipe import load_recipe
from denoise.networks.weights import RECIPE

Report = Callable[[str, int, int], None]


def finish_model(
    folder: Path,
    method: Callable[[bool], Examine],
    *,
    device: str = "cpu",
    hours: float | None = None,
    workers: int = 0,
    report: Report | None = None,
) -> None:
    """Fit guard and errors of the model in a folder, and write its card.

    Parameters
    ----------
    folder : Path
        Holds weights, recipe and checkpoint of a training that is done.
    method, device, workers, report
        As in ``make_trusted``.
    hours : float, optional
        What the training was limited to in place of the recipe's.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    found = make_trusted(folder, method, device=device, workers=workers, report=report)
    write_card(folder, load_recipe(folder / RECIPE), found, device=device, hours=hours)


def make_trusted(
    folder: Path,
    method: Callable[[bool], Examine],
    *,
    device: str = "cpu",
    workers: int = 0,
    report: Report | None = None,
) -> Calibration:
    """Fit the guard of the model in a folder and calibrate its errors, on simulations of its recipe.

    Parameters
    ----------
    folder : Path
        Holds weights and recipe.
    method : callable
        Denoises with that model, see ``conformal.calibrate``.
    device : str
        Where the network runs while the guard is fitted.
    workers : int
        Processes.
    report : callable, optional
        Told of the stage and of steps done, of so many; what it raises ends the work.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    recipe = load_recipe(folder / RECIPE)
    tell = report or (lambda *_: None)
    guard_model(recipe, folder, device=device, workers=workers, report=partial(tell, "fitting the guard"))
    found = calibrate(
        recipe, str(recipe.sha256), method, workers=workers, report=partial(tell, "calibrating errors")
    )
    write_calibration(found, folder)
    return found
