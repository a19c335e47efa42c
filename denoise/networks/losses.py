"""What training minimises: errors of the result in the unit of the noise, and biases that plain errors reward.

The loss of a cube is the logarithm of its error energy, summed over the emission (truth above 5 % of its peak), the
aperture and the cube, so that every SNR counts alike; penalties on the bias of the flux in the emission and outside it
and of the mean near the peak, because the least squared error at low SNR is a posterior mean that drops faint flux; and
the Gaussian likelihood of the errors under the variance that the network says, through which no gradient reaches them.
Errors are those of the cube with its correlation put back, as users see it.

A bias is the mean over the cubes of a scene in the step. With noise of either sign (antithetic variates: Hammersley &
Morton 1956, Proc. Camb. Phil. Soc. 52, 449) what is linear in the noise cancels, and the penalty is of the bias; of one
cube it is of the scatter too, and pulls every flux towards what is usual.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from denoise.networks.examples import APERTURE, EMISSION, TOP
from denoise.networks.recipe import LossRecipe
from denoise.networks.unet3d import Answer, weighed

_LEAST = 3.0  # energy, in sigma squared, below which less is not better
_MOST_SNR, _SEEN_SNR = 20.0, 8.0


class Examples(NamedTuple):
    """A ``examples.Batch`` as float32 tensors on one device."""

    inputs: Tensor
    bands: Tensor
    truth: Tensor
    masks: Tensor
    numbers: Tensor
    noise: Tensor
    colour: Tensor
    snr: Tensor
    scene: Tensor


class Terms(NamedTuple):
    """Of every cube of a batch, each of shape (batch,): energies, relative biases, likelihood."""

    emission: Tensor
    aperture: Tensor
    cube: Tensor
    bias_flux: Tensor
    bias_peak: Tensor
    bias_outside: Tensor
    variance: Tensor


def terms(answer: Answer, batch: Examples, floor: float) -> Terms:
    """The parts of the loss."""
    estimate = weighed(answer, batch.bands, batch.noise, floor)
    error = coloured(pixels(estimate - batch.truth), batch.colour)
    truth, masks = coloured(pixels(batch.truth), batch.colour), pixels(batch.masks)
    emission, aperture, top = ((masks & bit) != 0 for bit in (EMISSION, APERTURE, TOP))
    energy = error.square()
    flux = _total(truth * emission)
    has = flux > 0
    safe = torch.where(has, flux, torch.ones_like(flux))
    peak = torch.where(has, _total(truth * top), torch.ones_like(flux))
    return Terms(
        _total(energy * emission),
        _total(energy * aperture),
        _total(energy),
        has * _total(error * emission) / safe,
        has * _total(error * top) / peak,
        has * _total(error * ~emission) / safe,
        likelihood(energy.detach(), answer.log_variance, emission),
    )


def loss(found: Terms, snr: Tensor, scene: Tensor, weight: LossRecipe) -> Tensor:
    """One number for a batch."""
    bright = snr.clamp(max=_MOST_SNR)
    seen = bright.square() * (bright / _SEEN_SNR).clamp(max=1).pow(4)
    full = (
        weight.emission * torch.log(found.emission + _LEAST)
        + weight.aperture * torch.log(found.aperture + _LEAST)
        + weight.cube * torch.log(found.cube + _LEAST)
        + weight.bias_flux * _bent(_common(found.bias_flux, scene))
        + weight.bias_peak * _bent(_common(found.bias_peak, scene))
        + weight.bias_outside * _bent(seen.sqrt() * _common(found.bias_outside, scene))
        + weight.variance * found.variance
    )
    return full.mean()


def likelihood(energy: Tensor, log_variance: Tensor, emission: Tensor) -> Tensor:
    """Minus the logarithm of the Gaussian likelihood of the errors, mean over the cube plus mean over the emission."""
    spread = pixels(log_variance.expand(*log_variance.shape[:-1], 4))
    each = 0.5 * (energy * torch.exp(-spread) + spread)
    inside = _total(each * emission) / _total(emission.float()).clamp(min=1)
    return each.mean(dim=(1, 2, 3)) + inside


def pixels(values: Tensor) -> Tensor:
    """Positions with four sub-pixels, (batch, channel, y / 2, x / 2, 4), as (batch, channel, y, x)."""
    batch, depth, height, width, _ = values.shape
    cells = values.reshape(batch, depth, height, width, 2, 2).permute(0, 1, 2, 4, 3, 5)
    return cells.reshape(batch, depth, 2 * height, 2 * width)


def coloured(white: Tensor, transfer: Tensor) -> Tensor:
    """Planes of (batch, channel, y, x) with the correlation put back, on a periodic field."""
    spectrum = torch.fft.rfft2(white) * transfer[:, None]
    return torch.fft.irfft2(spectrum, s=white.shape[2:])


def _total(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2, 3))


def _common(bias: Tensor, scene: Tensor) -> Tensor:
    """For each cube the mean over those of its scene."""
    same = (scene[:, None] == scene).float()
    return (same @ bias) / same.sum(dim=1)


def _bent(bias: Tensor) -> Tensor:
    """The square, straight beyond 1: a cube whose flux hardly counts must not rule a step."""
    size = bias.abs()
    return torch.where(size < 1, bias.square(), 2 * size - 1)
