"""What the file already says of the noise: a gain, or a companion array of sigma, variance or weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.noise.statistics import mad_std

Region = tuple[slice, slice, slice]
Kind = Literal["sigma", "variance", "weight"]
EXPONENT: dict[str, float] = {"sigma": 1.0, "variance": 0.5, "weight": -0.5}
MISMATCH = 1.5


class Pixels(Protocol):
    """An array read by region (see `denoise.cube.PixelSource`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (channel, y, x); an axis of 1 is the same all along."""

    def read(self, region: Region, /) -> NDArray[Any]:
        """Values in a region."""


class SigmaFrom:
    """1-sigma values from a companion or a gain, read on demand; axes of length 1 are repeated.

    Parameters
    ----------
    pixels : Pixels
        The array of the file.
    exponent : float
        Sigma is ``values ** exponent``: 1 for sigma, 1/2 for a variance, -1/2 for a weight, -1 for a gain.
    shape : (int, int, int)
        Shape of the cube.
    """

    def __init__(self, pixels: Pixels, exponent: float, shape: tuple[int, int, int]) -> None:
        self.pixels, self.exponent, self.shape = pixels, exponent, shape

    def read(self, region: Region, /) -> NDArray[np.float64]:
        """Sigma in a region, float64; NaN where the companion has no positive value."""
        stored = (1,) * (3 - len(self.pixels.shape)) + tuple(self.pixels.shape)
        inner = tuple(slice(0, 1) if n == 1 else s for n, s in zip(stored, region, strict=True))
        values = np.asarray(self.pixels.read(inner[3 - len(self.pixels.shape) :]), dtype=np.float64)  # type: ignore[arg-type]
        values = values.reshape((1,) * (3 - values.ndim) + values.shape)
        good = np.isfinite(values) & (values > 0)
        sigma = np.where(good, np.where(good, values, 1.0) ** self.exponent, np.nan)
        return np.broadcast_to(sigma, tuple(s.stop - s.start for s in region))


def decide_kind(
    noise: Sequence[NDArray[Any]], values: Sequence[NDArray[Any]]
) -> tuple[Kind, dict[str, float]]:
    """Whether a companion of unknown meaning holds sigma, variance or weight, from the data themselves.

    Two arguments, added: how far the sigma it would mean is from the measured one, in decades (a variance of
    1e-34 read as a sigma misses by 17), and how the local noise follows it: the slope of log noise against
    log companion is 1 for a sigma, 1/2 for a variance, -1/2 for a weight.

    Parameters
    ----------
    noise : sequence of ndarray
        Samples of noise (differences that leave white noise at unit gain).
    values : sequence of ndarray
        The companion at the same voxels.

    Returns
    -------
    kind : {"sigma", "variance", "weight"}
    costs : dict of str to float
        The smaller the better, per kind.
    """
    flat_noise = np.concatenate([np.ravel(a) for a in noise]).astype(np.float64)
    flat = np.concatenate([np.ravel(a) for a in values]).astype(np.float64)
    good = np.isfinite(flat_noise) & np.isfinite(flat) & (flat > 0)
    flat_noise, flat = flat_noise[good], flat[good]
    if flat.size < 20:
        return "variance", {}
    slope, error = _slope(flat_noise, flat)
    costs = {}
    for kind, exponent in EXPONENT.items():
        ratio = float(np.median(flat)) ** exponent / max(mad_std(flat_noise, about="zero"), 1e-300)
        decades = np.log10(ratio) / 0.5
        costs[kind] = float(decades**2 + ((slope - exponent) / error) ** 2)
    best: Kind = min(("sigma", "variance", "weight"), key=lambda kind: costs[kind])  # type: ignore[assignment]
    return best, costs


def _slope(noise: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of log sigma of the noise against log companion over quantile bins, and its error (at least .15)."""
    order = np.argsort(values, kind="stable")
    bins = np.array_split(order, max(3, min(20, values.size // 50)))
    x = np.array([np.log(np.median(values[b])) for b in bins])
    y = np.array([np.log(max(mad_std(noise[b], about="zero"), 1e-300)) for b in bins])
    spread = float(np.sum((x - x.mean()) ** 2))
    if spread < 1e-4:  # the companion hardly varies: the slope says nothing
        return 0.0, 1e3
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    scatter = y - y.mean() - slope * (x - x.mean())
    return slope, float(np.hypot(0.15, np.sqrt(np.sum(scatter**2) / max(1, len(bins) - 2) / spread)))
