"""What follows a training: the guard of its weights, from simulations that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from denoise.networks.examples import GUARDING, Batch, make_batch
from denoise.networks.feed import open_feed
from denoise.networks.guard import GUARD, fit_guard, write_guard
from denoise.networks.lines import widest_line
from denoise.networks.recipe import BatchShape, SimulationRecipe, TrainingRecipe


def whole_fields(recipe: SimulationRecipe) -> SimulationRecipe:
    """The same cubes, each alone and not cut: windows of a field that emission fills see more of it there.

    Every kind of scene as often as any other, but for empty ones, which say nothing: what is rare in a training is
    known all the same.
    """
    shapes = tuple(
        BatchShape(shape=one.field or one.shape, batch=1, weight=one.weight * one.batch)
        for one in recipe.shapes
    )
    kinds = [kind for kind, share in recipe.kinds.items() if share > 0 and kind != "empty"]
    even = dict.fromkeys(kinds, 1 / len(kinds)) if kinds else recipe.kinds
    return recipe.model_copy(update={"shapes": shapes, "kinds": even})


def guard_model(
    recipe: TrainingRecipe,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Fit the guard of the weights in a folder and write it beside them; one of other weights is removed.

    Parameters
    ----------
    recipe : TrainingRecipe
        As written beside the weights: ``guard.steps`` steps to fit, and as many for the limit; 0: no guard.
    folder : Path
        With weights and recipe.
    device : str
        Where the network runs.
    workers : int
        Processes that simulate; the cubes come from a stream of their own of the seed.
    report : callable, optional
        Told of steps and cubes done, of so many; what it raises ends the work: then there is no guard.
    """
    from denoise.networks.weights import read_network

    (folder / GUARD).unlink(missing_ok=True)
    steps = recipe.guard.steps
    if not steps:
        return
    network, fields = read_network(recipe, folder).to(device), whole_fields(recipe.simulation)
    tell, total = report or (lambda *_: None), 4 * steps  # a step and a line for each of both halves

    def counted(batches: Iterator[Batch]) -> Iterator[Batch]:
        for number, batch in enumerate(batches, 1):
            yield batch
            tell(number, total)

    with open_feed(partial(make_batch, fields, recipe.seed), workers) as feed:
        batches = counted(feed.batches(GUARDING, 0, 2 * steps))
        guard = fit_guard(network, islice(batches, steps), batches)
    if guard is not None:
        lines = widest_line(
            fields, recipe.seed, cubes=2 * steps, report=lambda done: tell(2 * steps + done, total)
        )
        write_guard(replace(guard, lines=np.asarray(lines, np.float32)), str(recipe.sha256), folder)
