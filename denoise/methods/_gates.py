"""The trained gates of `ist`, from ``models/ist-gates``: what they were trained on is in its CARD.md."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.errors import InputError
from denoise.noise import NoiseModel
from denoise.resources import resource
from denoise.transforms import detection
from denoise.transforms.gates import SIDE, GateNetwork, gated
from denoise.transforms.starlet import Array

FOLDER = "ist-gates"
MOST = (SIDE - 1, SIDE - 1)  # scales that the gates know


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


def left_for_gates(white: NoiseModel, scales: tuple[int, int]) -> NDArray[np.float32]:
    """What whitened noise keeps after each smoothing that the gates know, of so many scales."""
    return detection.noise_left(white, (min(scales[0], MOST[0]), min(scales[1], MOST[1])))


def shrunk(
    whole: Array,
    white: NoiseModel,
    scales: tuple[int, int],
    *,
    region: Array,
    strength: Array,
    threads: int = 1,
) -> Array:
    """Whitened data (channel, y, x) with every coefficient times its trained gain, inside a region."""
    return gated(
        whole,
        region=region,
        strength=strength,
        network=trained_gates().network,
        left=left_for_gates(white, scales),
        noise=detection.band_noise(white, scales),
        spatial_scales=scales[0],
        spectral_scales=scales[1],
        threads=threads,
    )
