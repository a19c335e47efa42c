"""Train NoiSER on noise alone, and keep what was trained: shipped, or in the user's cache."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from denoise.errors import InputError, ResourceError
from denoise.networks._noiser_kernels import SLOPE
from denoise.networks.backend import need_torch, torch_threads
from denoise.networks.noiser import REACH, TAPS, Weights
from denoise.networks.recipe import checked, plain_values
from denoise.networks.weights import RECIPE, WEIGHTS, checked_sum
from denoise.resources import resource

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "noiser"
_FORMAT = 1  # of the cache: another recipe, activation or layout is another number
_TINY = 1e-8  # added to the variance of the normalisation


class NoiserRecipe(BaseModel):
    """How the network is trained.

    Attributes
    ----------
    seed : int
        Of the weights and of the noise.
    hidden : int
        Maps between the two convolutions: 53 make about 1,000 numbers for one channel.
    smoothing : float
        Weight of the total variation in the loss.
    spread : float
        Standard deviation of the noise it reproduces: what one sigma becomes between -1 and 1.
    size, batch, steps : int
        Pixels along a side of a noise image, images a step, steps.
    rate : float
        Of Adam.
    sha256 : str, optional
        Of the weights' file that this recipe made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    name: str = NAME
    seed: int = Field(default=1, ge=0)
    hidden: int = Field(default=53, ge=1)
    smoothing: float = Field(default=0.4, ge=0)
    spread: float = Field(default=0.25, gt=0)
    size: int = Field(default=64, ge=8)
    batch: int = Field(default=1, ge=1)
    steps: int = Field(default=2000, ge=1)
    rate: float = Field(default=2e-4, gt=0)
    sha256: str | None = None


class Trained(NamedTuple):
    """A trained network and the SHA-256 of its weights' file."""

    weights: Weights
    checksum: str


def train(recipe: NoiserRecipe, *, threads: int = 1) -> Weights:
    """Teach a network to reproduce white noise from itself (Zhang et al. 2022, arXiv:2211.04700).

    ``L = mean |f(n) - n| + smoothing (mean |df/dy| + mean |df/dx|)`` with ``n`` drawn from N(0, spread^2), Adam.

    Raises
    ------
    UsageError
        torch is not installed.
    """
    torch = need_torch("training NoiSER")
    with torch_threads(torch, threads):
        network = _initial(torch, recipe)
        draws = torch.Generator().manual_seed(recipe.seed)
        optimiser = torch.optim.Adam(network, lr=recipe.rate)
        for _ in range(recipe.steps):
            noise = torch.randn(recipe.batch, 1, recipe.size, recipe.size, generator=draws)
            loss = _loss(torch, forward(torch, network, noise), recipe.spread * noise, recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    first, second, bias = (values.detach().numpy() for values in network)
    return Weights(first.reshape(-1, TAPS), second.reshape(-1, TAPS), float(bias[0]))


def _initial(torch: Any, recipe: NoiserRecipe) -> list[Any]:
    """Kernels (hidden, 1, 3, 3) and (1, hidden, 3, 3) and the last bias, drawn as torch does for convolutions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        first = torch.nn.Conv2d(1, recipe.hidden, 3, bias=False)
        second = torch.nn.Conv2d(recipe.hidden, 1, 3)
    return [first.weight, second.weight, second.bias]


def forward(torch: Any, network: list[Any], images: Any) -> Any:
    """The network in torch, on images (image, 1, y, x), each with statistics of its own."""
    first, second, bias = network
    ny, nx = images.shape[2:]
    padded = torch.nn.functional.pad(images, (REACH,) * 4, mode="reflect")
    # convolutions as matrix products, and statistics of the hidden maps from those of the neighbourhoods, as in use
    around = padded[:, 0].unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    inside = around[:, 1:-1, 1:-1].flatten(1, 2)  # of the image itself
    mean = inside.mean(1, keepdim=True)
    centred = inside - mean
    covariance = centred.transpose(1, 2) @ centred / inside.shape[1]
    kernels = first.view(-1, TAPS)
    spread = torch.sqrt(((kernels @ covariance) * kernels).sum(2) + _TINY)
    scaled = (kernels / spread[:, :, None]).transpose(1, 2)
    hidden = torch.baddbmm(-mean @ scaled, around.flatten(1, 2), scaled)
    active = torch.nn.functional.leaky_relu(hidden, SLOPE)
    taps = (active @ second.view(-1, TAPS)).unflatten(1, around.shape[1:3])
    total = sum(taps[:, j : j + ny, i : i + nx, 3 * j + i] for j in range(3) for i in range(3))
    return torch.tanh(total + bias)[:, None]


def _loss(torch: Any, made: Any, noise: Any, smoothing: float) -> Any:
    steps = torch.diff(made, dim=-1).abs().mean() + torch.diff(made, dim=-2).abs().mean()
    return (made - noise).abs().mean() + smoothing * steps


def trained(smoothing: float) -> Trained:
    """The network for a weight of the total variation: shipped, from the cache, or trained now and cached.

    Raises
    ------
    InputError
        The shipped weights are not those that their recipe names.
    UsageError
        It has to be trained and torch is not installed.
    ResourceError
        The cache cannot be written.
    """
    shipped = _shipped()
    if shipped.smoothing == smoothing:
        folder = resource("models", NAME)
        checked_sum(shipped.sha256, folder)
        return _read(folder / WEIGHTS)
    return _cached(shipped.model_copy(update={"smoothing": smoothing, "sha256": None}))


def default_smoothing() -> float:
    """That of the network that ships."""
    return _shipped().smoothing


@cache
def _shipped() -> NoiserRecipe:
    return load_recipe(resource("models", NAME, RECIPE))


def load_recipe(path: Path) -> NoiserRecipe:
    """Read and check a recipe.

    Raises
    ------
    InputError, UsageError
        It cannot be read, or a value is wrong.
    """
    return checked(NoiserRecipe, plain_values(path), str(path))


@cache
def _cached(recipe: NoiserRecipe) -> Trained:
    values = recipe.model_dump(mode="json", exclude={"sha256", "name"})
    key = hashlib.sha256(f"{_FORMAT}{sorted(values.items())}".encode()).hexdigest()[:12]
    path = cache_folder() / f"{NAME}-{recipe.smoothing:g}-{key}.safetensors"
    if not path.is_file():
        _keep(path, train(recipe))
    return _read(path)


def cache_folder() -> Path:
    """Where networks that were trained on demand are kept: below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "astro-denoise"


def _keep(path: Path, weights: Weights) -> None:
    from denoise.atomic import put

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(
            f"the cache {path.parent} cannot be made",
            value=err.strerror,
            action="set XDG_CACHE_HOME to another folder",
        ) from None
    put(path, packed(weights))


def packed(weights: Weights) -> bytes:
    """As safetensors."""
    from safetensors.numpy import save

    arrays: dict[str, NDArray[np.float32]] = {"first": weights.first, "second": weights.second}
    content: bytes = save({**arrays, "bias": np.array([weights.bias], np.float32)})
    return content


@cache
def _read(path: Path) -> Trained:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        values = load(content)
        weights = Weights(values["first"], values["second"], float(values["bias"][0]))
    except (OSError, KeyError, SafetensorError) as err:
        raise InputError(
            f"{path} cannot be read as weights of NoiSER", value=err, action="remove it"
        ) from None
    return Trained(weights, hashlib.sha256(content).hexdigest())
