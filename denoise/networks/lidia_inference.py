"""LIDIA on images, without gradients: normalisation folded into the matrices, some hundred patches at a time.

The same numbers, to rounding, as ``lidia.Lidia``. What a patch becomes before it is shared with others is computed
twice and not kept: that would be 7 kB a patch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from denoise.networks._lidia_kernels import KEPT, SIDE, overlap
from denoise.networks.backend import torch_threads
from denoise.networks.lidia import Blended, Block, Lidia, PatchWeights, RowNorm, Separable, safe
from denoise.networks.lidia_examples import GRAIN, UNIT
from denoise.networks.neighbours import BORDER, PIXELS, Array, Neighbours, find_neighbours
from denoise.transforms._jit import run_ranges

# sigma: noise that is further from zero does not occur, and what is taken for it is signal
MOST = np.float32(5)
_CHUNK = 384  # patches: what they become stays in cache


class _Layer(NamedTuple):
    """Separable layer: ``relu(hor X ver + b)``, or without ReLU."""

    ver: Tensor
    hor: Tensor
    b: Tensor
    bent: bool

    def __call__(self, x: Tensor) -> Tensor:
        rows, count, samples = x.shape
        if len(self.hor) < rows:
            x = (self.hor @ x.view(rows, -1)).view(-1, samples) @ self.ver
        else:
            x = self.hor @ (x.reshape(-1, samples) @ self.ver).view(rows, -1)
        x = x.view(len(self.hor), count, -1).add_(self.b)
        return x.relu_() if self.bent else x


def _scale(norm: RowNorm) -> tuple[Tensor, Tensor]:
    scale = norm.weight / torch.sqrt(norm.running_var + 1e-5)
    return scale, norm.bias - scale * norm.running_mean


def _separable(part: Separable) -> _Layer:
    return _Layer(part.ver.weight.T.contiguous(), part.hor.weight, part.b[:, None], False)


def _block(part: Block) -> _Layer:
    plain = _separable(part.ver_hor)
    if part.bn is None:
        return plain._replace(bent=True)
    scale, shift = _scale(part.bn)
    hor, b = scale[:, None] * plain.hor, scale[:, None, None] * plain.b + shift[:, None, None]
    return _Layer(plain.ver, hor.contiguous(), b, True)


def _blended(part: Blended) -> Callable[[Tensor], Tensor]:
    first = _block(part.first)
    if part.second is None:
        return first.__call__
    second, a = _block(part.second), float(part.a)

    def both(x: Tensor) -> Tensor:
        x = first(x)
        return second(x).lerp_(x, a)

    return both


def _weights(part: PatchWeights) -> Callable[[Tensor], Tensor]:
    layers = []
    for layer, norm in zip(part.layers, part.norms, strict=True):
        scale, shift = _scale(norm)
        layers.append(((scale[:, None] * layer.weight).T.contiguous(), shift))
    last, bias = part.out.weight.T.contiguous(), part.out.bias

    def multipliers(x: Tensor) -> Tensor:
        for weight, shift in layers:
            x = torch.addmm(shift, x, weight).relu_()
        return torch.addmm(bias, x, last)

    return multipliers


@dataclass(frozen=True, eq=False)
class Folded:
    """A network as plain products, see ``folded_network``."""

    network: Lidia
    weights: tuple[Callable[[Tensor], Tensor], ...]
    part1: tuple[Callable[[Tensor], Tensor], ...]
    pre: tuple[_Layer, ...]
    post: tuple[_Layer, ...]
    part2: Callable[[Tensor], Tensor]
    noise: _Layer


def folded_network(network: Lidia) -> Folded:
    """Prepare a network, in evaluation mode and without gradients, for ``denoised``."""
    with torch.no_grad():
        return Folded(
            network,
            tuple(_weights(one) for one in network.weights),
            tuple(_blended(one) for one in network.part1),
            tuple(_separable(one) for one in network.pre),
            tuple(_block(one) for one in network.post),
            _blended(network.part2),
            _separable(network.noise),
        )


def adapted(network: Folded, weights: Mapping[str, Array]) -> Folded:
    """The network with other weights, by their names."""
    other = deepcopy(network.network)
    other.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return folded_network(other)


def denoised(network: Folded, planes: Array, own: int = 0, *, both: bool = False, threads: int = 1) -> Array:
    """One image, denoised.

    Parameters
    ----------
    network : Folded
        From ``folded_network``.
    planes : ndarray, shape (plane, y, x), float32
        Finite, in units of the sigma of their white noise, with ``neighbours.BORDER`` pixels around what is wanted.
    own : int
        The plane that is denoised; neighbours come from all.
    both : bool
        Make the result odd in the data: half the difference of what the network makes of them and of their negative.
    threads : int
        Threads of this call; the result does not depend on it.

    Returns
    -------
    ndarray, shape (y, x), float32
        Without the border.
    """
    seen = planes * UNIT
    near = [find_neighbours(seen, scale, own, grain=GRAIN, threads=threads) for scale in (0, 1)]
    with torch.no_grad(), torch_threads(torch, 1):
        found = _Pass(network, near, threads).image(1.0)
        if both:
            found = 0.5 * (found - _Pass(network, near, threads).image(-1.0))
    return np.asarray(found / UNIT, np.float32)


def less_noise(
    network: Folded, planes: Array, own: int = 0, *, both: bool = False, threads: int = 1
) -> Array:
    """As ``denoised``, but nothing that cannot be noise is taken off."""
    found, seen = denoised(network, planes, own, both=both, threads=threads), planes[own]
    data = seen[BORDER:-BORDER, BORDER:-BORDER]
    return np.asarray(data - np.clip(data - found, -MOST, MOST), np.float32)


class _Pass:
    def __init__(self, network: Folded, near: list[Neighbours], threads: int) -> None:
        self.network, self.near, self.threads = network, near, threads
        self.count = int(np.prod(near[0].grid))
        self.grid = (1, *near[0].grid)
        self.multipliers = [torch.empty(self.count, KEPT) for _ in near]

    def image(self, sign: float) -> Array:
        """The result for the data times `sign`, in the units of the network."""
        shared, net = [], self.network.network
        for scale in (0, 1):
            values = torch.empty(self.count, PIXELS)
            self._over(partial(self._look, scale, sign, values))
            first = self.multipliers[scale][:, :1]
            shared.append(np.ascontiguousarray(net.shared_image(scale, values, first, self.grid)[0, 0]))
        values = torch.empty(self.count, PIXELS)
        self._over(partial(self._finish, shared, sign, values))
        return self._assembled(values)

    def _assembled(self, patches: Tensor) -> Array:
        """As ``Lidia.assembled``, without copies of the patches."""
        (_, rows, columns), rim = self.grid, SIDE - 1
        weights = self.network.network.smoothness(patches)[:, 0].numpy()
        total, weight = np.zeros((2, rows + rim, columns + rim), np.float32)
        overlap(patches.numpy(), weights, np.int64(columns), total, weight)
        return np.asarray((total / weight)[rim:-rim, rim:-rim])

    def _over(self, task: Callable[[int, int], None]) -> None:
        def chunks(first: int, last: int) -> None:
            # threads of torch are counted in each thread
            torch.set_num_threads(1)
            for k in range(first, last):
                task(k * _CHUNK, min(self.count, (k + 1) * _CHUNK))

        run_ranges(chunks, -(-self.count // _CHUNK), threads=self.threads)

    def _look(self, scale: int, sign: float, values: Tensor, first: int, last: int) -> None:
        """Weights of patches first to last - 1, and what each says of the image."""
        near = self.near[scale]
        patches = near.patches(first, last)
        distances = near.distances.reshape(-1, KEPT)[first:last].copy()
        distances[:, :-1] = distances[:, 1:]
        distances[:, -1] = PIXELS * patches[0].var(axis=1)
        alpha = float(self.network.network.alpha[scale].abs())
        weights = self.network.weights[scale](torch.from_numpy(distances).mul_(-alpha).exp_())
        self.multipliers[scale][first:last] = weights
        rows = torch.from_numpy(patches).mul_(sign * weights.T[:, :, None])
        values[first:last] = self.network.pre[scale](self.network.part1[scale](rows))[0]

    def _finish(self, shared: list[Array], sign: float, out: Tensor, first: int, last: int) -> None:
        """Denoised patches first to last - 1."""
        parts, joined = [], []
        for scale, near in enumerate(self.near):
            patches = torch.from_numpy(near.patches(first, last)).mul_(sign)
            if scale == 0:
                own = patches[0].clone()
            weights = self.multipliers[scale][first:last]
            parts.append(self.network.part1[scale](patches.mul_(weights.T[:, :, None])))
            known = torch.from_numpy(near.cut(shared[scale], first, last))
            joined.append(self.network.post[scale](known.mul_(safe(weights[:, :1])) if scale else known))
        left = self.network.noise(self.network.part2(torch.cat([*parts, *joined])))[0]
        torch.sub(own, left, out=out[first:last])
