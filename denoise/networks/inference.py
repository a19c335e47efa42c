"""A trained network on one block."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor

from denoise.networks.backend import torch_threads
from denoise.networks.scalespace import Array, NoiseNumbers, ScaleSpace
from denoise.networks.unet3d import Answer, ScaleSpaceUNet, both_signs, negated, weighed
from denoise.networks.weights import Model

_AXES = (3, 2, 1)  # of (batch, channel, y, x, feature): x, y, channel are mirrored in this order


def weigh(
    model: Model,
    space: ScaleSpace,
    noise: NoiseNumbers,
    *,
    both: bool,
    flips: int = 1,
    threads: int = 1,
    device: str = "cpu",
) -> tuple[Array, Array]:
    """Weighed sub-bands and the variance of the result, each of shape (channel, y / 2, x / 2, 4).

    Parameters
    ----------
    model : Model
        From ``weights.load_model``.
    space : ScaleSpace
        Of the block.
    noise : NoiseNumbers
        Of the block.
    both : bool
        Emission and absorption: the result is odd in the data, at twice the cost.
    flips : {1, 2, 4, 8}
        Mirror images whose mean is the answer.
    threads : int
        Threads of torch.
    device : str
        Where the network runs.

    Returns
    -------
    data : ndarray, float32
        In units of sigma of the whitened data.
    variance : ndarray, float32
        In units of sigma squared of the data as they were.
    """
    with torch_threads(torch, threads), torch.no_grad():
        network = model.network.to(device)
        inputs = torch.from_numpy(space.inputs)[None].to(device)
        numbers = torch.from_numpy(noise.numbers)[None].to(device)
        answer = _mean_answer(network, inputs, numbers, flips)
        if both:
            answer = both_signs(answer, _mean_answer(network, negated(inputs), numbers, flips))
        bands = torch.from_numpy(space.bands)[None].to(device)
        kept = weighed(
            answer, bands, torch.from_numpy(noise.bands)[None].to(device), model.recipe.network.floor
        )
        variance = torch.exp(answer.log_variance).expand(kept.shape)
        return _plain(kept), _plain(variance)


def _plain(values: Tensor) -> Array:
    return np.ascontiguousarray(values[0].cpu().numpy(), np.float32)


def _mean_answer(network: ScaleSpaceUNet, inputs: Tensor, numbers: Tensor, flips: int) -> Answer:
    """Mean of the answers to mirror images, each mirrored back."""
    used = _AXES[: flips.bit_length() - 1]
    answers = []
    for chosen in product((False, True), repeat=len(used)):
        axes = [axis for axis, on in zip(used, chosen, strict=True) if on]
        answers.append(_mirrored(network(inputs.flip(axes) if axes else inputs, numbers), axes))
    return Answer(*(torch.stack(parts).mean(dim=0) for parts in zip(*answers, strict=True)))


def _mirrored(answer: Answer, axes: list[int]) -> Answer:
    """An answer mirrored along axes, the sub-pixels of its correction too."""
    if not axes:
        return answer
    gains, correction, variance = (part.flip(axes) for part in answer)
    within = [{2: -2, 3: -1}[axis] for axis in axes if axis != 1]
    if within:
        correction = correction.unflatten(-1, (2, 2)).flip(within).flatten(-2)
    return Answer(gains, correction, variance)
