"""Trained models: ``models/<name>/`` holds weights as safetensors and the recipe that made them, with their SHA-256."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from denoise.errors import InputError, ParameterError
from denoise.networks.backend import need_torch
from denoise.networks.recipe import Recipe, TrainingRecipe, load_recipe
from denoise.networks.scalespace import BANDS
from denoise.resources import resource

if TYPE_CHECKING:
    from denoise.networks.unet3d import ScaleSpaceUNet

Net = TypeVar("Net", bound=Any)

WEIGHTS, RECIPE = "weights.safetensors", "recipe.yaml"


class Model(NamedTuple):
    """A trained network.

    Attributes
    ----------
    network : ScaleSpaceUNet
        In evaluation mode, on the CPU, without gradients.
    recipe : TrainingRecipe
        What it was trained on.
    checksum : str
        SHA-256 of the weights' file.
    """

    network: ScaleSpaceUNet
    recipe: TrainingRecipe
    checksum: str


def model_folder(name: str, *families: str) -> Path:
    """Folder of a model that ships with the package, or of one's own by its path.

    Raises
    ------
    ParameterError
        There is none of this name, or it holds no weights.
    """
    own = Path(name)
    if (own / RECIPE).is_file():
        folder = own
    else:
        try:
            folder = resource("models", name)
        except InputError:
            raise ParameterError(
                "there is no such model",
                value=name,
                action=f"known: {', '.join(known_models(*families))}; or a folder",
            ) from None
    if not (folder / WEIGHTS).is_file():
        raise ParameterError(
            f"model {name} has no {WEIGHTS} yet",
            value=str(folder),
            action=f"train it: denoise train {folder / RECIPE}",
        )
    return folder


def known_models(*families: str) -> list[str]:
    """Names of the trained models of some families (of "unet" where none is named) that ship with the package."""
    root = resource("models")
    found = [path for family in families or ("unet",) for path in root.glob(f"{family}*/{WEIGHTS}")]
    return sorted(path.parent.name for path in found)


@cache
def checksum_of(folder: Path) -> str:
    """SHA-256 of the weights in a folder."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def recipe_of(name: str) -> TrainingRecipe:
    """The recipe of a model; needs no torch."""
    return _recipe(model_folder(name).resolve())


@cache
def _recipe(folder: Path) -> TrainingRecipe:
    return load_recipe(folder / RECIPE)


def load_model(name: str) -> Model:
    """Read and check a model once.

    Raises
    ------
    ParameterError
        See ``model_folder``.
    InputError
        The weights are not those that the recipe names, or do not fit its network.
    UsageError
        torch is not installed.
    """
    need_torch("method unet")
    return _loaded(model_folder(name).resolve())


@cache
def _loaded(folder: Path) -> Model:
    recipe = _recipe(folder)
    checksum = checked_sum(recipe.sha256, folder)  # first: what is not the file may not even be readable
    return Model(read_network(recipe, folder), recipe, checksum)


def checked_sum(expected: str | None, folder: Path) -> str:
    """Checksum of the weights in a folder, which is the one that their recipe names.

    Raises
    ------
    InputError
        It is another.
    """
    checksum = checksum_of(folder)
    if expected != checksum:
        raise InputError(
            f"{folder.name}/{WEIGHTS} is not the file that its recipe names",
            value=f"SHA-256 {checksum[:12]}, not {str(expected)[:12]}",
            action="reinstall astro-denoise, or train it again",
        )
    return checksum


def read_network(recipe: TrainingRecipe, folder: Path) -> ScaleSpaceUNet:
    """The network of a recipe with the weights of a folder, to be used and not trained.

    Raises
    ------
    InputError
        The weights do not fit.
    """
    return with_weights(build(recipe), folder)


def with_weights(network: Net, folder: Path) -> Net:
    """A network with the weights of a folder, to be used and not trained.

    Raises
    ------
    InputError
        The weights do not fit.
    """
    take_weights(network, folder)
    network.eval().requires_grad_(False)
    return network


def take_weights(network: Any, folder: Path, *, grow: bool = False) -> None:
    """Put the weights of a folder into a network.

    Parameters
    ----------
    network : Module
        Changed.
    folder : Path
        Of the model.
    grow : bool
        Take those of a smaller U-Net too, see ``ScaleSpaceUNet.grown``.

    Raises
    ------
    InputError
        They do not fit.
    """
    from safetensors.torch import load

    values = load((folder / WEIGHTS).read_bytes())
    try:
        network.load_state_dict(network.grown(values) if grow else values)
    except RuntimeError as err:
        raise InputError(
            f"{folder.name}/{WEIGHTS} does not fit the network of the recipe",
            value=err,
            action="take recipe and weights from one training",
        ) from None


def build(recipe: TrainingRecipe) -> ScaleSpaceUNet:
    """The network of a recipe, its weights drawn from the recipe's seed, its gates perhaps those of `ist`."""
    torch = need_torch("training")
    from denoise.networks.unet3d import ScaleSpaceUNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = ScaleSpaceUNet(recipe.network.widths, recipe.network.blocks)
    if recipe.network.start is not None:
        _start_gates(network, resource("models", recipe.network.start, WEIGHTS))
    return network


def _start_gates(network: ScaleSpaceUNet, path: Path) -> None:
    """Gates as in the file, for a region weight of 1: the U-Net searches for itself."""
    from safetensors.torch import load

    values = load(path.read_bytes())
    first, region = values["w1"], BANDS
    hidden = first[:, [k for k in range(first.shape[1]) if k != region]]
    state = {"hidden.weight": hidden, "hidden.bias": values["b1"] + first[:, region]}
    network.gates.load_state_dict(state | {"out.weight": values["w2"], "out.bias": values["b2"]})


def write_model(values: dict[str, Any], recipe: Recipe, folder: Path) -> str:
    """Write weights, and the recipe with their checksum, which is returned.

    Raises
    ------
    ResourceError
        They cannot be written.
    """
    import yaml
    from safetensors.torch import save

    from denoise.atomic import put

    content = save({key: value.detach().cpu().float().contiguous() for key, value in values.items()})
    checksum = hashlib.sha256(content).hexdigest()
    put(folder / WEIGHTS, content)
    plain = recipe.model_copy(update={"sha256": checksum, "trained": True}).model_dump(mode="json")
    put(folder / RECIPE, yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=110))
    return checksum
