"""LIDIA: a small network that denoises patches together with their neighbours.

Vaksman, Elad, Milanfar 2020, arXiv:1911.07167, the grey network and its small version, written from the equations. It
wants white noise of one known sigma. Arrays of patches are (row, patch, sample): a row is a neighbour, so that both
products of a separable layer are single matrix products. Statistics of batch normalisation run over patches and
samples, one for every row, and are frozen in evaluation: what a patch becomes does not depend on others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise.networks._lidia_kernels import KEPT, SIDE
from denoise.networks.neighbours import PIXELS, Array, Neighbours, find_neighbours

FEATURES = 64
_LAYERS = 6  # of the network of weights
_EPSILON, _MOMENTUM = 1e-5, 0.1
_LEAST = 1e-3  # magnitude of a weight that something is divided by
_FAINTEST = -30.0  # logarithm of the weight of a patch on which something very bright lies
Grid = tuple[int, int, int]
_NET = "separable_fc_net"
_NAMES = (
    (r"^alpha\.", "alpha"),
    (r"^weights\.(\d)\.layers\.(\d)", r"weights_net\1.fc\2"),
    (r"^weights\.(\d)\.norms\.(\d)", r"weights_net\1.bn\2"),
    (r"^weights\.(\d)\.out", r"weights_net\1.fc_out"),
    (r"^part1\.(\d)", rf"{_NET}.sep_part1_s\1"),
    (r"^part2\.first", rf"{_NET}.sep_part2.ver_hor_bn_re2"),
    (r"^part2\.second", rf"{_NET}.sep_part2.ver_hor_bn_re3"),
    (r"^part2", rf"{_NET}.sep_part2"),
    (r"^pre\.(\d)", rf"{_NET}.ver_hor_agg\1_pre"),
    (r"^post\.(\d)", rf"{_NET}.ver_hor_bn_re_agg\1_post"),
    (r"^noise", f"{_NET}.sep_part2.ver_hor_out"),
    (r"\.first\.", ".ver_hor_bn_re0."),
    (r"\.second\.", ".ver_hor_bn_re1."),
)


class Seen(NamedTuple):
    """What the network takes of an image at one scale.

    Attributes
    ----------
    patches : Tensor, shape (14, patch, 49)
        Each patch of the grid, in raster order, and its neighbours.
    distances : Tensor, shape (patch, 14)
        Squared distances of 13 neighbours, and the sum of squared deviations of the patch from its own mean.
    grid : tuple of int
        Images, and patches of each along y and x.
    """

    patches: Tensor
    distances: Tensor
    grid: Grid


class RowNorm(nn.Module):
    """Batch normalisation of every row of (row, patch, sample), or (patch, row) with `rows` = 1."""

    def __init__(self, rows: int, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis
        self.weight, self.bias = nn.Parameter(torch.ones(rows)), nn.Parameter(torch.zeros(rows))
        self.register_buffer("running_mean", torch.zeros(rows))
        self.register_buffer("running_var", torch.ones(rows))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised values, of the same shape."""
        rows = x.movedim(self.axis, 0).flatten(1)[None]
        state = self.running_mean, self.running_var, self.weight, self.bias
        rows = functional.batch_norm(rows, *state, self.training, _MOMENTUM, _EPSILON)
        if self.axis:
            return torch.as_tensor(rows[0].T)
        return rows.view(x.shape)


class Separable(nn.Module):
    """``W_hor X W_ver^T + B`` on every patch's matrix (row, sample)."""

    def __init__(self, samples: tuple[int, int], rows: tuple[int, int]) -> None:
        super().__init__()
        self.ver = nn.Linear(*samples, bias=False)
        self.hor = nn.Linear(*rows, bias=False)
        self.b = nn.Parameter(torch.zeros(rows[1], samples[1]))

    def forward(self, x: Tensor) -> Tensor:
        """(row, patch, sample) to (row, patch, sample)."""
        if self.hor.out_features < self.hor.in_features:
            x = self.ver(_across(self.hor.weight, x))
        else:
            x = _across(self.hor.weight, self.ver(x))
        # of the same type: half precision must not grow to single
        return x + self.b[:, None].to(x.dtype)


def _across(weight: Tensor, x: Tensor) -> Tensor:
    return (weight @ x.flatten(1)).view(len(weight), *x.shape[1:])


class Block(nn.Module):
    """Separable layer, normalisation unless `norm` is false, ReLU."""

    def __init__(self, samples: tuple[int, int], rows: tuple[int, int], *, norm: bool) -> None:
        super().__init__()
        self.ver_hor = Separable(samples, rows)
        self.bn = RowNorm(rows[1]) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(row, patch, sample) to (row, patch, sample)."""
        x = self.ver_hor(x)
        return functional.relu(x if self.bn is None else self.bn(x))


class Blended(nn.Module):
    """A block, and ``a x + (1 - a) block(x)`` of its result where there is a second one."""

    def __init__(self, first: Block, second: Block | None) -> None:
        super().__init__()
        self.first, self.second = first, second
        if second is not None:
            self.a = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(row, patch, sample) to (row, patch, sample)."""
        x = self.first(x)
        return x if self.second is None else torch.lerp(self.second(x), x, self.a.to(x.dtype))


class PatchWeights(nn.Module):
    """Multipliers of the 14 patches from their distances."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(KEPT, KEPT, bias=False) for _ in range(_LAYERS))
        self.norms = nn.ModuleList(RowNorm(KEPT, axis=1) for _ in range(_LAYERS))
        self.out = nn.Linear(KEPT, KEPT)

    def forward(self, x: Tensor) -> Tensor:
        """(patch, 14) to (patch, 14)."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = functional.relu(norm(layer(x)))
        return self.out(x)


class Lidia(nn.Module):
    """The network.

    Parameters
    ----------
    small : bool
        Without the second blocks: 40,226 parameters in place of 61,589.
    """

    blur: Tensor

    def __init__(self, *, small: bool = False) -> None:
        super().__init__()
        self.small = small
        both, wide = (FEATURES, FEATURES), (PIXELS, FEATURES)
        rows, joint = (KEPT, KEPT), (4 * KEPT, 4 * KEPT)

        def second(size: tuple[int, int]) -> Block | None:
            return None if small else Block(both, size, norm=True)

        self.alpha = nn.ParameterList(nn.Parameter(torch.full((1,), 0.5)) for _ in range(2))
        self.beta = nn.Parameter(torch.full((1,), 0.5))
        self.weights = nn.ModuleList(PatchWeights() for _ in range(2))
        self.part1 = nn.ModuleList(Blended(Block(wide, rows, norm=False), second(rows)) for _ in range(2))
        self.pre = nn.ModuleList(Separable(wide[::-1], (KEPT, 1)) for _ in range(2))
        self.post = nn.ModuleList(Block(wide, (1, KEPT), norm=False) for _ in range(2))
        self.part2 = Blended(Block(both, joint, norm=True), second(joint))
        self.noise = Separable(wide[::-1], (4 * KEPT, 1))
        line = torch.tensor([0.25, 0.5, 0.25])
        # fixed: it is not trained and is no part of the weights
        self.register_buffer("blur", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, seen: tuple[Seen, Seen]) -> Tensor:
        """Denoised images (image, y, x) of what was seen at both scales, without the ``BORDER`` around them."""
        found, rows = [], []
        for scale, one in enumerate(seen):
            weights = self.multipliers(scale, one.distances)
            found.append(self.part1[scale](one.patches.to(weights.dtype) * weights.T[:, :, None]))
            values = self.pre[scale](found[scale])[0]
            rows.append(self.post[scale](self.shared(scale, values, weights[:, :1], one.grid)[None]))
        left = self.noise(self.part2(torch.cat([*found, *rows])))[0]
        return self.assembled(seen[0].patches[0] - left, seen[0].grid)

    def multipliers(self, scale: int, distances: Tensor) -> Tensor:
        """Weights (patch, 14) of the patches."""
        return torch.as_tensor(self.weights[scale](torch.exp(-self.alpha[scale].abs() * distances)))

    def shared(self, scale: int, values: Tensor, weight: Tensor, grid: Grid) -> Tensor:
        """Patches (patch, 49) that overlap, averaged into an image and cut from it again."""
        patches = cut(self.shared_image(scale, values, weight, grid), scale + 1)
        return patches * safe(weight) if scale else patches

    def shared_image(self, scale: int, values: Tensor, weight: Tensor, grid: Grid) -> Tensor:
        """That image (image, 1, y, x); `weight` (patch, 1) is the multiplier of the patch itself."""
        if not scale:
            return averaged(values, grid, 1)
        image = averaged(values / safe(weight), grid, 2)
        return functional.conv2d(functional.pad(image, (1, 1, 1, 1), mode="reflect"), self.blur)

    def assembled(self, patches: Tensor, grid: Grid) -> Tensor:
        """Images of patches (patch, 49), smooth ones weighing more; what 49 patches do not cover is left out."""
        weight = self.smoothness(patches)
        weighed = folded(patches * weight, grid, 1) / folded(weight.expand(-1, PIXELS), grid, 1)
        rim = SIDE - 1
        return torch.as_tensor(weighed[:, 0, rim:-rim, rim:-rim])

    def smoothness(self, patches: Tensor) -> Tensor:
        """Weights (patch, 1) of patches (patch, 49) in the final mean."""
        spread = patches.var(dim=1, correction=0, keepdim=True)
        return torch.exp((-self.beta.abs() * spread).clamp(min=_FAINTEST))


def safe(weight: Tensor) -> Tensor:
    """Multipliers that something may be divided by."""
    return torch.where(weight.abs() < _LEAST, torch.full_like(weight, _LEAST), weight)


def see(image: Array, scale: int, *, grain: float = 0.0, threads: int = 1) -> Seen:
    """What the network takes of an image (y, x), float32, at a scale; see ``find_neighbours``."""
    return seen_of(find_neighbours(image[None], scale, grain=grain, threads=threads))


def seen_of(found: Neighbours) -> Seen:
    """The same, of what a search found."""
    patches = found.patches(0, int(np.prod(found.grid)))
    own = PIXELS * patches[0].var(axis=1)
    distances = np.concatenate([found.distances.reshape(-1, KEPT)[:, 1:], own[:, None]], axis=1)
    return Seen(torch.from_numpy(patches), torch.from_numpy(distances), (1, *found.grid))


def folded(patches: Tensor, grid: Grid, step: int) -> Tensor:
    """Sum (image, 1, y, x) of patches (patch, 49) where they lie."""
    size = [n + step * (SIDE - 1) for n in grid[1:]]
    each = patches.reshape(grid[0], -1, PIXELS).transpose(1, 2)
    return torch.as_tensor(functional.fold(each, size, SIDE, dilation=step))


def averaged(patches: Tensor, grid: Grid, step: int) -> Tensor:
    """Mean image (image, 1, y, x) of patches; 0 where none is."""
    y, x = (_covered(n, step).to(patches) for n in grid[1:])
    return folded(patches, grid, step) / torch.outer(y, x).clamp(min=1)


def _covered(count: int, step: int) -> Tensor:
    """How many of so many patches along an axis have a sample at each pixel."""
    found = torch.zeros(count + step * (SIDE - 1))
    for sample in range(SIDE):
        found[sample * step : sample * step + count] += 1
    return found


def cut(image: Tensor, step: int) -> Tensor:
    """Patches (patch, 49) of images (image, 1, y, x)."""
    return torch.as_tensor(functional.unfold(image, SIDE, dilation=step).transpose(1, 2).reshape(-1, PIXELS))


def from_reference(values: Mapping[str, Any]) -> Lidia:
    """A network with weights under the names of the published code.

    Parameters
    ----------
    values : mapping of str to array
        Of the grey network, or of the small one; other names are passed over.

    Raises
    ------
    KeyError
        A weight is missing.
    """
    network = Lidia(small="separable_fc_net.sep_part2.a" not in values)
    state = {name: torch.as_tensor(values[reference_name(name)]) for name in network.state_dict()}
    network.load_state_dict(state)
    network.eval()
    return network


def reference_name(name: str) -> str:
    """Name of a weight in the published code."""
    for pattern, published in _NAMES:
        name = re.sub(pattern, published, name)
    return name
