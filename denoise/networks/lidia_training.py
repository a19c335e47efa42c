"""What a training of LIDIA is of; the loop is that of every network (`denoise.networks.training`).

The loss is that of the paper, the logarithm of the mean squared error, of every image on its own, so that faint and
bright ones count alike. Errors are those with the correlation of the noise put back, as users see them, and to a part
those where the noise is white.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from denoise.networks.feed import Make
from denoise.networks.lidia import Lidia, Seen, seen_of
from denoise.networks.lidia_examples import UNIT, Images, make_images
from denoise.networks.losses import coloured
from denoise.networks.recipe import LidiaRecipe
from denoise.networks.routes import bfloat16_units

LEAST = 1e-3  # mean squared error, in sigma squared, below which less is hardly better
_WHITE = 0.3  # weight of the error where the noise is white
_BINS = (0.0, 3.0, 8.0, 20.0, 1e9)  # peak over sigma of what is validated apart


@dataclass(frozen=True)
class LidiaTask:
    """Of LIDIA.

    Attributes
    ----------
    recipe : LidiaRecipe
    """

    recipe: LidiaRecipe

    @property
    def make(self) -> Make[Images]:
        """Simulated images."""
        return partial(make_images, self.recipe.images, self.recipe.seed)

    def build(self) -> Lidia:
        """Weights drawn from the recipe's seed."""
        return build_lidia(self.recipe)

    def loss(self, network: torch.nn.Module, batch: Images, device: str) -> Tensor:
        """Mean over images of the logarithm of the error."""
        white, restored = _energies(network, batch, device)
        parts = torch.log10(restored + LEAST) + _WHITE * torch.log10(white + LEAST)
        return parts.mean()

    def validate(self, network: torch.nn.Module, held: Iterable[Images], device: str) -> dict[str, float]:
        """Mean loss, and the RMSE in sigma of images of each range of peaks."""
        losses, rows = [], []
        for batch in held:
            with torch.no_grad():
                losses.append(float(self.loss(network, batch, device)))
                energy = _energies(network, batch, device)[1].cpu().numpy()
            rows.append(np.stack([batch.strength, energy]))
        numbers = {"loss": float(np.mean(losses))}
        strength, energy = np.concatenate(rows, axis=1)
        for low, high in pairwise(_BINS):
            inside = (strength >= low) & (strength < high)
            if inside.any():
                label = f"{low:g}" if high > 1e8 else f"{low:g}-{high:g}"
                numbers[f"rmse {label}"] = float(np.sqrt(energy[inside].mean()))
        return numbers


def build_lidia(recipe: LidiaRecipe) -> Lidia:
    """The network of a recipe, its weights drawn from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Lidia(small=recipe.network == "lidia-small")


def stacked(batch: Images, device: str) -> tuple[Seen, Seen]:
    """What the network takes of a batch."""
    first, second = (_joined([seen_of(near[scale]) for near in batch.near], device) for scale in (0, 1))
    return first, second


def _joined(parts: list[Seen], device: str) -> Seen:
    patches = torch.cat([one.patches for one in parts], dim=1)
    distances = torch.cat([one.distances for one in parts])
    return Seen(patches.to(device), distances.to(device), (len(parts), *parts[0].grid[1:]))


def _energies(network: torch.nn.Module, batch: Images, device: str) -> tuple[Tensor, Tensor]:
    """Mean squared error of each image, where the noise is white and with the correlation put back."""
    # without such units a CPU takes many times as long as in float32
    short = device == "cuda" or bfloat16_units()
    with torch.autocast(device, torch.bfloat16, enabled=short):
        found = network(stacked(batch, device))
    wrong = found.float() / float(UNIT) - torch.from_numpy(batch.truth).to(device)
    back = coloured(wrong[:, None], torch.from_numpy(batch.colour).to(device))[:, 0]
    return wrong.square().mean(dim=(1, 2)), back.square().mean(dim=(1, 2))
