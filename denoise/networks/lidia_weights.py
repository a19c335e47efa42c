"""Trained LIDIA networks, ready to be used; folders as those of every model (`denoise.networks.weights`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from denoise.errors import ParameterError
from denoise.networks.lidia_inference import Folded, folded_network
from denoise.networks.lidia_training import build_lidia
from denoise.networks.recipe import LidiaRecipe, load_any_recipe
from denoise.networks.weights import RECIPE, checked_sum, model_folder, with_weights


class LidiaModel(NamedTuple):
    """A trained network.

    Attributes
    ----------
    network : Folded
        For ``lidia_inference.denoised``.
    recipe : LidiaRecipe
        What it was trained on.
    checksum : str
        SHA-256 of the weights' file.
    """

    network: Folded
    recipe: LidiaRecipe
    checksum: str


def load_lidia(name: str) -> LidiaModel:
    """Read and check a model once.

    Raises
    ------
    ParameterError
        There is none of this name or in this folder, or it is of another network.
    InputError
        The weights are not those that the recipe names, or do not fit its network.
    """
    return _loaded(model_folder(name, LidiaRecipe.family).resolve())


@cache
def _loaded(folder: Path) -> LidiaModel:
    recipe = load_any_recipe(folder / RECIPE)
    if not isinstance(recipe, LidiaRecipe):
        raise ParameterError(
            f"model {recipe.name} is no LIDIA network", value=str(folder), action="name another model"
        )
    checksum = checked_sum(recipe.sha256, folder)
    return LidiaModel(folded_network(with_weights(build_lidia(recipe), folder)), recipe, checksum)
