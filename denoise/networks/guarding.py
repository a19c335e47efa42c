"""What follows a training: the guard of its weights, from simulations that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from pathlib import Path

from denoise.networks.examples import GUARDING
from denoise.networks.feed import Feed
from denoise.networks.guard import GUARD, fit_guard, write_guard
from denoise.networks.recipe import TrainingRecipe


def guard_model(
    feed: Feed,
    recipe: TrainingRecipe,
    folder: Path,
    checksum: str,
    *,
    device: str,
    stop: Callable[[], bool],
) -> None:
    """Fit the guard of the weights in a folder and write it beside them; one of other weights is removed.

    Parameters
    ----------
    feed : Feed
        Of the training: the cubes come from a stream of its seed of their own.
    recipe : TrainingRecipe
        ``optimiser.guard`` steps to fit, and as many for the limit; 0: no guard.
    folder : Path
        With weights and recipe.
    checksum : str
        Of the weights.
    device : str
        Where the network runs.
    stop : callable
        Whether to leave it at that: then there is no guard.
    """
    from denoise.networks.weights import read_network

    (folder / GUARD).unlink(missing_ok=True)
    steps = recipe.optimiser.guard
    if not steps or stop():
        return
    network = read_network(recipe, folder).to(device)
    batches = takewhile(lambda _: not stop(), feed.batches(GUARDING, 0, 2 * steps))
    guard = fit_guard(network, islice(batches, steps), batches)
    if guard is not None and not stop():
        write_guard(guard, checksum, folder)
