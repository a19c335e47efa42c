"""The trained gates of `ist`, from ``models/ist-gates``: what they were trained on is in its CARD.md."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import NamedTuple

from denoise.errors import InputError
from denoise.resources import resource
from denoise.transforms.gates import GateNetwork

FOLDER = "ist-gates"


class Gates(NamedTuple):
    """The network, and the SHA-256 of the file that holds it."""

    network: GateNetwork
    checksum: str


@cache
def trained_gates() -> Gates:
    """Read the weights once.

    Raises
    ------
    InputError
        They are missing, or not the ones that the recipe names.
    """
    import yaml
    from safetensors.numpy import load

    path = resource("models", FOLDER, "weights.safetensors")
    content = path.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    wanted = yaml.safe_load(path.with_name("recipe.yaml").read_text())["sha256"]
    if checksum != wanted:
        raise InputError(
            f"{FOLDER}/{path.name} is not the file that its recipe names",
            value=f"SHA-256 {checksum[:12]}, not {wanted[:12]}",
            action="reinstall astro-denoise",
        )
    return Gates(GateNetwork.from_arrays(load(content)), checksum)
