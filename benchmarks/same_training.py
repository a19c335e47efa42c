"""A training from its recipe, twice: the loss of every step and the weights must be the same.

    python benchmarks/same_training.py                                  # 200 steps of unet3d-small: some minutes
    python benchmarks/same_training.py my-recipe.yaml --steps 50

The second training has another number of worker processes, which must not matter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from denoise.networks.recipe import TrainingRecipe, load_recipe
from denoise.networks.training import TrainingRun, train
from denoise.networks.weights import checksum_of
from denoise.resources import resource


def once(recipe: TrainingRecipe, steps: int, workers: int) -> tuple[list[float], str]:
    """Losses of all steps, and the checksum of the weights after them."""
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(Path(folder), workers=workers)
        told = replace(
            run, report=lambda event: losses.append(event.loss) if event.validation is None else None
        )
        train(recipe, told)
        return losses, checksum_of(Path(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "recipe", nargs="?", type=Path, default=resource("models", "unet3d-small", "recipe.yaml")
    )
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe)
    # the cosine of so many steps, then weights; validation takes time and changes nothing
    short = recipe.optimiser.model_copy(
        update={"steps": asked.steps, "validate_every": asked.steps, "validation": 1}
    )
    recipe = recipe.model_copy(update={"optimiser": short})
    (first, one), (second, other) = (once(recipe, asked.steps, workers) for workers in (1, 2))
    same = first == second and one == other
    print(f"{len(first)} steps, loss {first[0]:.4f} to {first[-1]:.4f}, weights {one[:12]} and {other[:12]}")
    print(f"{'met   ' if same else 'MISSED'}  the same loss at every step, and the same weights")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
