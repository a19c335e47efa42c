"""What the file already says of the noise: a gain, or a companion array of sigma, variance or weight."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.errors import DenoiseWarning, NoiseError
from denoise.noise import detrend
from denoise.noise.statistics import mad_std
from denoise.noise.stream import CubeLike, Region, windows

Use = Literal["trust", "scale", "ignore"]
Kind = Literal["sigma", "variance", "weight"]
EXPONENT: dict[Kind, float] = {"sigma": 1.0, "variance": 0.5, "weight": -0.5}
MISMATCH = 1.5
_VOXELS = 750_000


class Pixels(Protocol):
    """An array read by region (see `denoise.cube.PixelSource`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (channel, y, x); an axis of 1 is the same all along."""

    def read(self, region: Any, /) -> NDArray[Any]:
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
        values = np.asarray(self.pixels.read(inner[3 - len(self.pixels.shape) :]), dtype=np.float64)
        values = values.reshape((1,) * (3 - values.ndim) + values.shape)
        good = np.isfinite(values) & (values > 0)
        sigma = np.where(good, np.where(good, values, 1.0) ** self.exponent, np.nan)
        return np.broadcast_to(sigma, tuple(s.stop - s.start for s in region))


@dataclass(frozen=True)
class Given:
    """What the file gives: sigma up to a factor, what it was made from, and how to use it."""

    sigma: SigmaFrom | None = None
    kind: str = ""
    label: str = ""
    use: Use = "trust"


def given_by(cube: CubeLike, *, use: Use) -> Given:
    """Sigma from the companion, else from the gain (noise as 1/gain), else nothing.

    Raises
    ------
    NoiseError
        `use` is not one of the known words.

    Warns
    -----
    DenoiseWarning
        The kind of the companion had to be decided from the data.
    """
    if use not in ("trust", "scale", "ignore"):
        raise NoiseError("unknown use of the companion", value=use, action="use trust, scale or ignore")
    source = cube.noise_source if use != "ignore" else None
    if source is not None:
        kind = source.kind if source.kind in EXPONENT else _kind_from_data(cube, source)
        return Given(
            SigmaFrom(source.pixels, EXPONENT[kind], cube.shape), kind, f"{source.label} ({kind})", use
        )
    if cube.gain is not None:
        return Given(SigmaFrom(cube.gain, -1.0, cube.shape), "gain", "gain", use)
    return Given()


def _kind_from_data(cube: CubeLike, source: Any) -> Kind:
    """Decide what a companion of unknown meaning holds, and say so."""
    raw = SigmaFrom(source.pixels, 1.0, cube.shape)
    noise, values = [], []
    for region in windows(cube.shape, voxels=_VOXELS):
        block = np.asarray(cube.read(region), dtype=np.float64)
        block[np.asarray(cube.excluded(region))] = np.nan
        order = detrend.order_for(block.shape[0]) if block.shape[0] >= 3 else 0
        noise.append(_differences(block, order))
        values.append(raw.read(region)[order // 2 :][: noise[-1].shape[0]])
    kind, _ = decide_kind(noise, values)
    warnings.warn(
        DenoiseWarning(
            f"{source.label}: neither its unit nor its name says what it holds; its size and how the noise "
            f"follows it say {kind}"
        ),
        stacklevel=4,
    )
    return kind


def _differences(block: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    if order == 0:
        return np.asarray(block - np.nanmedian(block))
    taps = detrend.weights(order)
    count = block.shape[0] - order
    return np.asarray(sum(w * block[k : k + count] for k, w in enumerate(taps)))


def decide_kind(
    noise: Sequence[NDArray[Any]], values: Sequence[NDArray[Any]]
) -> tuple[Kind, dict[Kind, float]]:
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
    costs: dict[Kind, float] = {}
    for kind, exponent in EXPONENT.items():
        ratio = float(np.median(flat)) ** exponent / max(mad_std(flat_noise, about="zero"), 1e-300)
        decades = np.log10(ratio) / 0.5
        costs[kind] = float(decades**2 + ((slope - exponent) / error) ** 2)
    best = min(costs, key=lambda kind: costs[kind])
    return best, costs


def _slope(noise: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of log noise against log companion over quantile bins, and its error (at least .15)."""
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
