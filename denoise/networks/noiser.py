"""NoiSER: a network of about 1,000 numbers that was taught to reproduce noise, and so stretches contrast.

3 x 3 convolution, instance normalisation, leaky ReLU, 3 x 3 convolution, tanh; reflected borders (Zhang et al. 2022,
arXiv:2211.04700). It is applied to every channel map alone, but the statistics of the normalisation are those of the
whole cube, or of a region of it: taken for each channel they would erase the spectrum. They are gathered once, frozen,
and folded into the first convolution, so that a part of the cube is worked out as the whole is. Only the covariance of
the 3 x 3 neighbourhoods is needed for them: the mean and variance of a hidden map with kernel ``w`` are ``w . m`` and
``w . C w``.

What is shown is the odd part, ``(f(x) - f(-x)) / 2``: the network alone draws the peaks of noise higher than its
troughs. It costs little, because the odd part of a leaky ReLU is linear: before the tanh, ``f(-x)`` is ``f(x)`` less
twice a filter of 5 x 5 pixels.

Nothing here needs torch; training does (`denoise.networks.noiser_training`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.networks._noiser_kernels import SLOPE, add_filter, add_rows
from denoise.transforms._jit import mapped, run_ranges

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

REACH = 2  # pixels that the output looks around itself
TAPS = 9
_GRAIN = 24  # rows: each piece works out two hidden rows more
AT_ONCE = 2**16  # pixels whose neighbourhoods are held


class Weights(NamedTuple):
    """The trained numbers.

    Attributes
    ----------
    first, second : ndarray, shape (hidden, 9), float32
        The 3 x 3 kernels of the two convolutions, row by row along y. The first has no bias: the normalisation
        would take it away.
    bias : float
        Of the second.
    """

    first: Array
    second: Array
    bias: float


class Moments(NamedTuple):
    """Number, mean and summed products of deviations of vectors; parts merge to those of the whole.

    Attributes
    ----------
    number : int
    mean : ndarray, shape (n,)
    scatter : ndarray, shape (n, n)
        Sum of ``(x - mean) (x - mean)'``.
    """

    number: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Moments:
        """Of vectors, shape (n, count)."""
        count = vectors.shape[1]
        mean = vectors.mean(axis=1, dtype=np.float64) if count else np.zeros(len(vectors))
        centred = vectors - mean[:, None]
        return cls(count, mean, centred @ centred.T)

    def merged(self, other: Moments) -> Moments:
        """Of both together (Chan et al. 1983, Am. Stat. 37, 242)."""
        number = self.number + other.number
        if not number:
            return self
        step = other.mean - self.mean
        weight = other.number / number
        scatter = self.scatter + other.scatter + self.number * weight * np.outer(step, step)
        return Moments(number, self.mean + weight * step, scatter)

    @property
    def covariance(self) -> Floats:
        """Shape (n, n)."""
        return self.scatter / max(self.number, 1)


def moments_of(vectors: Iterator[Array], length: int) -> Moments:
    """Of vectors of this length that come in parts, each of shape (length, count)."""
    total = Moments.of(np.empty((length, 0)))
    for part in vectors:
        total = total.merged(Moments.of(part))
    return total


def values(plane: Array, chosen: NDArray[np.bool_]) -> Iterator[Array]:
    """The chosen pixels of a map (y, x), in parts of shape (1, count)."""
    for low, high in _bands(plane.shape):
        yield plane[low:high][chosen[low:high]][None]


def neighbourhoods(plane: Array, chosen: NDArray[np.bool_]) -> Iterator[Array]:
    """The 3 x 3 pixels around each chosen pixel of a map (y, x), in parts of shape (9, count), borders reflected."""
    nx = plane.shape[1]
    padded = np.pad(plane, 1, mode="reflect")
    for low, high in _bands(plane.shape):
        wanted = chosen[low:high]
        yield np.stack([padded[low + j : high + j, i : i + nx][wanted] for j in range(3) for i in range(3)])


def _bands(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """First row and end of parts of a map, few enough pixels each."""
    rows = max(1, AT_ONCE // shape[1])
    for low in range(0, shape[0], rows):
        yield low, min(low + rows, shape[0])


class Frozen(NamedTuple):
    """The network with its normalisation folded in, for standardised data.

    Attributes
    ----------
    first : ndarray, shape (hidden, 9), float32
        With one of no weight more, where the number is odd.
    bias : ndarray, shape (hidden,), float32
    second : ndarray, shape (hidden, 9), float32
    last : float
        Bias of the second convolution.
    linear : ndarray, shape (5, 5), float32
        Filter of the part before the tanh that changes its sign with the data.
    level : float
        Its constant.
    """

    first: Array
    bias: Array
    second: Array
    last: float
    linear: Array
    level: float


def freeze(weights: Weights, around: Moments) -> Frozen:
    """Fold the statistics of the neighbourhoods (``neighbourhoods``) of standardised data into the network."""
    first = weights.first.astype(np.float64)
    variance = np.einsum("ki,ij,kj->k", first, around.covariance, first)
    # a map without any contrast stays at zero
    spread = np.sqrt(np.maximum(variance, 1e-12))
    kernels, bias = first / spread[:, None], -(first @ around.mean) / spread
    second, half = weights.second.astype(np.float64), (1 + SLOPE) / 2
    linear = np.zeros((5, 5))
    for tap in range(TAPS):
        j, i = divmod(tap, 3)
        linear[j : j + 3, i : i + 3] += half * (second[:, tap] @ kernels).reshape(3, 3)
    odd = (0, len(first) % 2), (0, 0)
    return Frozen(
        np.pad(kernels.astype(np.float32), odd),
        np.pad(bias.astype(np.float32), odd[0]),
        np.pad(np.asarray(weights.second, np.float32), odd),
        float(weights.bias),
        linear.astype(np.float32),
        half * float(second.sum(axis=1) @ bias),
    )


def enhance(block: Array, network: Frozen, *, threads: int = 1) -> Array:
    """What the network makes of channel maps.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x), float32
        Standardised, finite.
    network : Frozen
    threads : int
        The result does not depend on it.

    Returns
    -------
    ndarray, same shape, float32
        Between -1 and 1.
    """
    out = np.empty(block.shape, np.float32)
    if len(block) == 1:
        _enhance_plane(block[0], network, out[0], threads=threads)
    else:
        mapped(lambda k: _enhance_plane(block[k], network, out[k]), range(len(block)), threads=threads)
    return out


def _enhance_plane(plane: Array, network: Frozen, out: Array, *, threads: int = 1) -> None:
    padded = np.pad(plane, REACH, mode="reflect")

    def work(low: int, high: int) -> None:
        part, rows = out[low:high], padded[low : high + 2 * REACH]
        sums = np.full((len(rows), plane.shape[1]), network.last, np.float32)
        add_rows(rows, network.first, network.bias, network.second, sums)
        part[...] = sums[REACH:-REACH]
        odd = np.full(part.shape, network.level, np.float32)
        add_filter(rows, network.linear, odd, 0, high - low)
        mirrored = np.tanh(part - np.float32(2) * odd)
        np.tanh(part, out=part)
        part -= mirrored
        part *= np.float32(0.5)

    run_ranges(work, len(out), threads=threads, grain=_GRAIN)
