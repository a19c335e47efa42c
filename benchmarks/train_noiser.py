"""Train the network of `noiser` that ships, from the recipe beside it, and write weights, recipe and card.

python benchmarks/train_noiser.py                      # models/noiser again: the same bytes on the same machine
python benchmarks/train_noiser.py --threads 2 --out FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import textwrap
import time
from pathlib import Path

import numpy as np
import yaml

from denoise.atomic import put
from denoise.networks.card import CARD, machine
from denoise.networks.noiser import TAPS, Weights, enhance, freeze, moments_of, neighbourhoods
from denoise.networks.noiser_training import NAME, RECIPE, WEIGHTS, NoiserRecipe, load_recipe, packed, train
from denoise.resources import resource

AMPLITUDES = (1, 3, 10, 30, 100)
SIZE, WIDTH = 256, 3.0  # of a map of noise, and sigma of the source in its middle, in pixels


def response(weights: Weights, draw: np.ndarray) -> tuple[float, list[float]]:
    """Spread of the output for noise alone, and the value in the middle of sources of these peaks in sigma."""
    network = freeze(weights, moments_of(neighbourhoods(draw, np.ones(draw.shape, bool)), TAPS))
    y, x = np.indices(draw.shape) - SIZE // 2
    source = np.exp(-(y**2 + x**2) / (2 * WIDTH**2)).astype(np.float32)
    made = [enhance((draw + peak * source)[None], network)[0] for peak in AMPLITUDES]
    middle = slice(SIZE // 2 - 1, SIZE // 2 + 2)
    return float(enhance(draw[None], network).std()), [float(one[middle, middle].mean()) for one in made]


def card(recipe: NoiserRecipe, weights: Weights, seconds: float, threads: int) -> str:
    """What the network is, how it was made, and what it does."""
    count = weights.first.size + weights.second.size + 1
    draw = np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(np.float32)
    noise, values = response(weights, draw)
    facts = [
        f"A network of {count:,} parameters for display: 3 x 3 convolution to {recipe.hidden} maps, instance "
        "normalisation, leaky ReLU (0.2), 3 x 3 convolution, tanh, reflected borders (Zhang et al. 2022, "
        "arXiv:2211.04700). What is shown is its odd part. See `denoise/networks/noiser.py`.",
        f"- **Trained by** `python benchmarks/train_noiser.py` with the recipe beside this card: {recipe.steps:,} "
        f"steps of Adam in {seconds:.0f} s of wall time with {threads} thread(s) on: {machine('cpu')}, which other "
        "work kept busy.",
        f"- **Data**: none. White noise of standard deviation {recipe.spread:g}, drawn while it trains; the loss is "
        f"the mean absolute error against that noise, plus {recipe.smoothing:g} times the total variation.",
        "- **Use**: contrast for display. The output, -1 to 1, has no unit.",
        "- **Left out**: anything but noise. It has seen no source, no beam and no correlated noise, and knows none.",
        "- **Licence**: as the project.",
    ]
    rows = "\n".join(f"| {peak} | {value:.3f} |" for peak, value in zip(AMPLITUDES, values, strict=True))
    text = "\n".join(
        textwrap.fill(one, 120, subsequent_indent="  " if one.startswith("-") else "") + "\n" * (k == 0)
        for k, one in enumerate(facts)
    )
    return (
        f"# {recipe.name}\n\n{text}\n\n## What it does\n\nWhite noise of one sigma comes out with a spread of "
        f"{noise:.3f}. A Gaussian source in it, of {WIDTH:g} pixels sigma:\n\n| peak, sigma | output |\n| --- | --- "
        f"|\n{rows}\n\n## Known failures and notes\n\n- It is not linear: the table. Nothing can be measured on its "
        "output.\n- In noise that is correlated over a beam much wider than its field of 5 x 5 pixels it smooths "
        "little, and a Gaussian\n  of the beam does better.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, default=resource("models", NAME, RECIPE))
    parser.add_argument("--out", type=Path, default=resource("models", NAME))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe)
    start = time.perf_counter()
    weights = train(recipe, threads=asked.threads)
    seconds, content = time.perf_counter() - start, packed(weights)
    asked.out.mkdir(parents=True, exist_ok=True)
    put(asked.out / WEIGHTS, content)
    made = recipe.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    put(asked.out / RECIPE, yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False))
    put(asked.out / CARD, card(made, weights, seconds, asked.threads))
    print(f"trained in {seconds:.1f} s; {asked.out}")


if __name__ == "__main__":
    main()
