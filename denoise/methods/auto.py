"""`-m auto`: which of the installed methods suits a cube, and why, in one sentence.

The rules, first one that applies:

1. `hybrid` cannot run here, or its model is not trained: `ist`.
2. Noise or brightness beyond what the model was trained for: `ist`.
3. So many voxels that the network would take days on this machine: `ist`.
4. Else `hybrid`, whose guard goes over to `ist` by itself where the emission is unlike the training.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

from denoise.errors import DenoiseError, ParameterError
from denoise.noise import NoiseModel

AUTO = "auto"
SAFE, BEST = "ist", "hybrid"
_MOST_VOXELS = 8e10  # a day on eight cores at 9 microseconds of a core a voxel: thin tiles in little memory


class Choice(NamedTuple):
    """A method by its name, and why: a clause that follows a colon."""

    method: str
    reason: str


def choose(noise: NoiseModel, *, peak_snr: float | None = None) -> Choice:
    """The method for a cube.

    Parameters
    ----------
    noise : NoiseModel
        Of the cube.
    peak_snr : float, optional
        Brightest voxel over the noise; None: not known.
    """
    missing = _missing()
    if missing:
        return Choice(SAFE, missing)
    outside = _outside(noise, peak_snr)
    if outside:
        return Choice(SAFE, outside)
    voxels = prod(noise.shape)
    if voxels > _MOST_VOXELS:
        return Choice(SAFE, f"{voxels:.1e} voxels would keep the network of {BEST} busy for days")
    return Choice(BEST, "noise and brightness are those that its network was trained for")


def refuse_parameters(parameters: Mapping[str, Any]) -> None:
    """What is chosen for a cube has its own defaults.

    Raises
    ------
    ParameterError
        Any parameter was given.
    """
    if parameters:
        raise ParameterError(
            f"parameters belong to a method, and {AUTO} chooses one",
            value=", ".join(parameters),
            action="name the method, or leave them out",
        )


def _missing() -> str:
    """Why the best method cannot run; "" if it can."""
    from denoise.methods.registry import get_method
    from denoise.networks.weights import recipe_of

    try:
        method = get_method(BEST)()
        if not recipe_of(method.parameters.name).trained:
            return f"the network of {BEST} is not trained"
    except DenoiseError as err:
        return f"{BEST} cannot run here ({err.message})"
    return ""


def _outside(noise: NoiseModel, peak_snr: float | None) -> str:
    """What the network of the best method was not trained for; "" if there is nothing."""
    from denoise.methods.registry import get_method
    from denoise.networks.guard import cube_numbers, doubts
    from denoise.networks.weights import recipe_of

    recipe = recipe_of(get_method(BEST)().parameters.name)
    numbers = cube_numbers(noise, 0.0 if peak_snr is None else peak_snr, 0, 0)
    said = doubts(recipe, numbers, guarded=True)
    return said[0] if said else ""
