"""3D U-Nets: the published one, and ours, which weighs the sub-bands of the data.

``ReferenceUNet`` is the architecture of Lahiry et al. 2026 (arXiv:2602.10893): five levels, two 3 x 3 x 3 convolutions
each, no bias, reflected borders, average pooling, transposed convolutions, skips cropped to the centre.

``ScaleSpaceUNet`` sees data that are whitened and in units of the noise, as significances at 5 x 5 smoothings
(`denoise.networks.scalespace`). It returns for every position a gain between 0 and 1 for each of the 25 sub-bands and
the logarithm of the variance, and for every voxel a correction. What is far above the noise keeps at least its own
garrote, whatever the network says. Beam and correlation of channels come in as numbers of the noise model. Because the
data come in over sigma, ``f(a x) = a f(x)`` holds exactly for a > 0, biases or not; a result of both signs is that of
the data and that of their negative put together, which makes it hold for a < 0.

A convolution is one over the plane and one along channels, each as a 2D convolution of arrays whose last axis is the
feature: the fast path of every backend, without a copy (the gradient of a 3D convolution is 10 to 20 times slower on
CPUs than that of the two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from denoise.networks.scalespace import BANDS, INPUTS, NUMBERS

SUBPIXELS = 4
SLOPE = 0.1
_HIDDEN = 32
_QUIET = -4.0  # of the gates before training: little is kept
_VARIANCE = -3.0  # logarithm of the variance before training
LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -14.0, 6.0


class Answer(NamedTuple):
    """What the network says of a batch, in units of sigma of the whitened data.

    Attributes
    ----------
    gains : Tensor, shape (batch, channel, y, x, 25)
        Between 0 and 1.
    correction : Tensor, shape (batch, channel, y, x, 4)
        Added to the weighted sub-bands.
    log_variance : Tensor, shape (batch, channel, y, x, 1)
        Of the error of the result, in units of sigma of the data as they were.
    """

    gains: Tensor
    correction: Tensor
    log_variance: Tensor


class ScaleSpaceUNet(nn.Module):
    """Ours; see the module. Arrays are (batch, channel, y, x, feature).

    Parameters
    ----------
    widths : sequence of int
        Features of each level; every level has half the channels, rows and columns of the one before.
    blocks : sequence of int
        Residual blocks of each level on the way down, and again on the way up (the last level: once).
    """

    def __init__(self, widths: Sequence[int] = (16, 48, 104), blocks: Sequence[int] = (2, 2, 4)) -> None:
        super().__init__()
        self.widths, self.blocks = tuple(widths), tuple(blocks)
        self.gates = Gates()
        self.stem = _Plane(INPUTS, widths[0])
        self.told = nn.ModuleList(nn.Linear(NUMBERS, width) for width in widths)
        self.down = nn.ModuleList(_stage(*one) for one in zip(widths, blocks, strict=True))
        self.narrow = nn.ModuleList(nn.Linear(a, b) for a, b in _pairs(widths))
        self.wide = nn.ModuleList(nn.Linear(b, a) for a, b in _pairs(widths))
        self.up = nn.ModuleList(_stage(*one) for one in zip(widths[:-1], blocks[:-1], strict=True))
        self.head = nn.Linear(widths[0], BANDS + SUBPIXELS + 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[-1] = _VARIANCE

    def grown(self, smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights with which this network says what a smaller one says (Chen et al. 2016, arXiv:1511.05641).

        What is new in width is fed at random and not yet listened to; a new block adds nothing before training.

        Raises
        ------
        RuntimeError
            The other network is not smaller.
        """
        if sum(name.startswith("told") for name in smaller) != 2 * len(self.widths):
            raise RuntimeError(f"it has not {len(self.widths)} levels")
        weights = {name: own.clone() for name, own in self.state_dict().items()}
        for name, known in smaller.items():
            own, inner = weights.get(name, known[:0]), tuple(slice(n) for n in known.shape)
            if own.dim() != known.dim() or own[inner].shape != known.shape:
                raise RuntimeError(f"{name}: {tuple(known.shape)} are more than {tuple(own.shape)}")
            own[: known.shape[0]] = 0
            own[inner] = known
        return weights

    def forward(self, inputs: Tensor, numbers: Tensor) -> Answer:
        """Answer to inputs (batch, channel, y, x, 26), see ``scalespace``, and numbers of the noise (batch, 8)."""
        return self.answer(self.features(self.encode(inputs, numbers)), inputs, numbers)

    def encode(self, inputs: Tensor, numbers: Tensor) -> list[Tensor]:
        """Features of every level on the way down; the last ones are the bottleneck's."""
        x, levels = self.stem(inputs), []
        for level, (told, stage) in enumerate(zip(self.told, self.down, strict=True)):
            if level:
                x = self.narrow[level - 1](_pooled(x))
            # in place: nothing holds on to what was there
            x = stage(x.add_(told(numbers)[:, None, None, None]))
            levels.append(x)
        return levels

    def features(self, levels: list[Tensor]) -> Tensor:
        """Features of every position from those of every level, which are used up."""
        x = levels.pop()
        while levels:
            level = len(levels) - 1
            x = self.up[level](_repeated(self.wide[level](x), levels.pop()))
        return x

    def answer(self, features: Tensor, inputs: Tensor, numbers: Tensor) -> Answer:
        """The answer at every position from what is there."""
        gates = self.gates(inputs, numbers)
        found = self.head(F.leaky_relu(features, SLOPE)).float()
        gains, correction, variance = found.split([BANDS, SUBPIXELS, 1], dim=-1)
        spread = variance.clamp(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        return Answer(gain(gates + gains), correction, spread)


class Gates(nn.Module):
    """Logits of the gains from one position alone, the larger of those of the data and of their negative.

    The network of `ist` (`denoise.transforms.gates`), which is where a training may start; what the U-Net adds is what
    the surroundings say.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(INPUTS + NUMBERS, _HIDDEN), nn.Linear(_HIDDEN, BANDS)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, _QUIET)

    def forward(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Logits (batch, channel, y, x, 25)."""
        told = F.linear(numbers, self.hidden.weight[:, INPUTS:], self.hidden.bias)[:, None, None, None]
        signed = F.linear(inputs[..., :BANDS], self.hidden.weight[:, :BANDS])
        plain = F.linear(inputs[..., BANDS:], self.hidden.weight[:, BANDS:INPUTS]) + told
        return torch.maximum(self.out((plain + signed).relu_()), self.out((plain - signed).relu_()))


def gain(logit: Tensor) -> Tensor:
    """Between 0 and 1, with long tails."""
    return F.softsign(logit).add_(1).mul_(0.5)


def negated(inputs: Tensor) -> Tensor:
    """What the network sees of the negative of the data."""
    return torch.cat([-inputs[..., :BANDS], inputs[..., BANDS:]], dim=-1)


def both_signs(one: Answer, negative: Answer) -> Answer:
    """The answers to the data and to their negative as one that is odd in the data."""
    return Answer(
        torch.maximum(one.gains, negative.gains),
        one.correction - negative.correction,
        torch.maximum(one.log_variance, negative.log_variance),
    )


def weighed(answer: Answer, bands: Tensor, noise: Tensor, floor: float) -> Tensor:
    """Sum of the sub-bands times their gains, plus the correction, shape (batch, channel, y, x, 4).

    Parameters
    ----------
    answer : Answer
        Of the network.
    bands : Tensor, shape (batch, channel, y, x, 25, 4)
        Sub-bands in units of sigma.
    noise : Tensor, shape (batch, 25)
        Their noise.
    floor : float
        A coefficient c keeps at least ``1 - (floor noise / c)^2``.
    """
    limit = torch.square(floor * noise)[:, None, None, None, :, None]
    kept: Tensor = _Kept.apply(answer.gains, bands, limit)
    return kept + answer.correction


class _Kept(torch.autograd.Function):
    """Sum of ``max(gain, 1 - limit / band^2) band`` over the bands: a fifth of the memory traffic of the plain sum."""

    @staticmethod
    def forward(ctx: Any, gains: Tensor, bands: Tensor, limit: Tensor) -> Tensor:
        least = torch.square(bands).clamp_min_(1e-12).reciprocal_().mul_(-limit).add_(1)
        ctx.save_for_backward(bands, least < gains[..., None])
        return torch.maximum(least, gains[..., None], out=least).mul_(bands).sum(dim=-2)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        bands, free = ctx.saved_tensors
        return (slopes[0][..., None, :] * bands).mul_(free).sum(dim=-1), None, None


class _Plane(nn.Module):
    """3 x 3 convolution over the plane."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        batch, depth, height, width, _ = x.shape
        y = self.conv(x.reshape(batch * depth, height, width, -1).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).reshape(batch, depth, height, width, -1)


class _Line(nn.Module):
    """Convolution of three channels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(features, features, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        batch, depth, height, width, _ = x.shape
        y = self.conv(x.reshape(batch, depth, height * width, -1).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).reshape(batch, depth, height, width, -1)


class _Block(nn.Module):
    """Plane, then channels, added to what came in; nothing before training."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.plane, self.line = _Plane(features, features), _Line(features)
        nn.init.zeros_(self.line.conv.weight)
        nn.init.zeros_(self.line.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(F.leaky_relu(self.plane(F.leaky_relu(x, SLOPE)), SLOPE, inplace=True)).add_(x)


def _stage(features: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(features) for _ in range(blocks)))


def _pairs(widths: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


def _pooled(x: Tensor) -> Tensor:
    """Mean of two channels, rows and columns; of an image, of rows and columns."""
    # sums of two, axis after axis: a mean over three axes at once takes 50 times as long
    axes = [axis for axis in (1, 2, 3) if x.shape[axis] > 1 or axis > 1]
    for axis in axes:
        one, other = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
        x = one + other
    return x * 0.5 ** len(axes)


def _repeated(x: Tensor, onto: Tensor) -> Tensor:
    """Every value repeated in its cell, added to the finer level."""
    batch, depth, height, width, features = onto.shape
    two = depth // x.shape[1]
    # whole rows are added: a third of the time of pairs
    rows = x.repeat_interleave(2, dim=3).reshape(batch, depth // two, 1, height // 2, 1, width * features)
    return (onto.reshape(batch, depth // two, two, height // 2, 2, width * features) + rows).reshape(
        onto.shape
    )


class ReferenceUNet(nn.Module):
    """The published network; arrays are (batch, 1, channel, y, x).

    Parameters
    ----------
    filters : int
        Of the first level: 16, or 64 for the large version.
    poolings : int
        Each axis must hold at least ``2**poolings`` samples.
    """

    def __init__(self, filters: int = 16, poolings: int = 4) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(poolings + 1)]
        self.down = nn.ModuleList(_published(a, b) for a, b in zip([1, *widths[:-1]], widths, strict=True))
        self.larger = nn.ModuleList(
            nn.ConvTranspose3d(b, a, 2, stride=2, bias=False) for a, b in _pairs(widths)
        )
        self.up = nn.ModuleList(_published(2 * width, width) for width in widths[:-1])
        self.last = nn.Conv3d(filters, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Denoised (batch, 1, channel, y, x); a size that the poolings do not divide is cropped to one that they do."""
        skips = []
        for level, stage in enumerate(self.down):
            x = stage(F.avg_pool3d(x, 2) if level else x)
            skips.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = self.larger[level](x)
            x = self.up[level](torch.cat([_centre(skips[level], x.shape[2:]), x], dim=1))
        return torch.as_tensor(self.last(x))


def _published(inputs: int, outputs: int) -> nn.Sequential:
    options: dict[str, Any] = {"padding": 1, "padding_mode": "reflect", "bias": False}
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, **options),
        nn.LeakyReLU(),
        nn.Conv3d(outputs, outputs, 3, **options),
        nn.LeakyReLU(),
    )


def _centre(x: Tensor, size: Sequence[int]) -> Tensor:
    first = [(have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True)]
    channels, rows, columns = (slice(a, a + n) for a, n in zip(first, size, strict=True))
    return x[:, :, channels, rows, columns]


def parameter_count(network: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(value.numel() for value in network.parameters())
