"""Take away what is not noise but smooth: differences along the spectral axis, continuum, sky level.

The normalised difference of order n and step m, ``sum_k (-1)^k C(n, k) y[c + k m] / sqrt(C(2n, n))``, leaves
white noise at unit gain and suppresses emission of line width s by ``(m / s)^n``. For noise whose memory
along the spectral axis is shorter than m channels its variance is exactly the variance of the noise. So the
variance as a function of m rises to a plateau where the memory of the noise ends, and rises again where
emission comes in: the plateau is the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import comb
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.noise import channels

Array = NDArray[np.float64]
Block = NDArray[np.float32]
Usable = NDArray[np.bool_]
Name = Literal["direct", "offset", "continuum", "sky", "running", "difference"]
LONGEST = 5  # channels of memory that are taken for noise, at most
CONTINUUM = 50  # channels per median of the continuum


@dataclass(frozen=True)
class Detrend:
    """One way to take away what is smooth, and what it does to noise.

    Parameters
    ----------
    name : str
        ``direct``: nothing; ``offset``: median per channel; ``sky``: smooth background of each plane;
        ``continuum``: medians of 50 channels per spaxel; ``running``: quartic fit in a running window of
        `width` channels; ``difference``: of this `order` and `step`.
    order, step, width : int
        Of the difference; of the running fit in channels, or the least box of the sky in pixels.
    acf : ndarray
        Spectral ACF of the noise, lag zero first.
    """

    name: Name = "direct"
    order: int = 0
    step: int = 1
    width: int = 0
    acf: Array = field(default_factory=lambda: np.ones(1))

    @property
    def shift(self) -> int:
        """Channel of the input at the centre of the first channel of the output."""
        return self.order * self.step // 2 if self.name == "difference" else 0

    @property
    def halo(self) -> int:
        """Channels it looks at on either side."""
        reach = {"difference": self.order * self.step, "running": self.width, "continuum": CONTINUUM}
        return reach.get(self.name, 0)

    def thinned(self, step: int) -> Detrend:
        """The same for data thinned by `step` pixels."""
        return replace(self, width=max(1, self.width // step)) if self.name == "sky" else self

    def apply(self, block: Block, usable: Usable | None = None) -> Block:
        """Block (channel, y, x) with zero-mean noise; where not `usable`, values do not count for a level."""
        if self.name == "difference":
            return difference(block, self.step, self.order)
        if self.name == "running":
            return running(block, self.width)
        if self.name == "continuum":
            return block - continuum(block, CONTINUUM)
        good = np.isfinite(block) if usable is None else usable & np.isfinite(block)
        if self.name == "offset":
            return block - medians(block, good)
        if self.name == "sky":
            box = max(24, self.width, min(block.shape[1:]) // 8)
            return np.stack([p - sky(p, g, box=box) for p, g in zip(block, good, strict=True)])
        return block

    def sigma(self, sigma: NDArray[Any]) -> Block:
        """Sigma of the output from sigma of the input (channel, y, x), for noise with this spectral ACF."""
        if self.name == "direct" or not self.linear:
            return np.asarray(sigma, dtype=np.float32)
        count = sigma.shape[0] - (self.order * self.step if self.name == "difference" else 0)
        variance = channels.mix(np.square(sigma, dtype=np.float64), *self.mixing(), count)
        gain = self._gains(count) if self.name == "running" else np.full(count, self._gain())
        return np.asarray(np.sqrt(variance * gain[:, None, None]), dtype=np.float32)

    @property
    def linear(self) -> bool:
        """Whether it is a fixed kernel along the channels."""
        return self.name in ("difference", "running")

    def mixing(self) -> tuple[Array, int]:
        """How variances of channels enter one of the output: weights of sum one, and where the first lies."""
        squares = np.square(self.taps())
        return squares / squares.sum(), -(self.width // 2) if self.name == "running" else 0

    @property
    def gain(self) -> float:
        """Variance that unit noise has left, away from the ends."""
        return self._gain()

    def taps(self) -> Array:
        """Kernel along the channels that the linear ways amount to, away from the ends."""
        if self.name == "difference":
            kernel = np.zeros(self.order * self.step + 1)
            kernel[:: self.step] = weights(self.order)
            return kernel
        if self.name == "running":
            return np.asarray(residual_maker(self.width)[self.width // 2])
        return np.ones(1)

    def _autocovariance(self) -> Array:
        taps = self.taps()
        rho = np.concatenate([self.acf[:0:-1], self.acf])
        full = np.convolve(np.correlate(taps, taps, mode="full"), rho)
        return np.asarray(full[full.size // 2 :])

    def _gain(self) -> float:
        return max(float(self._autocovariance()[0]), 1e-6)

    def _gains(self, nchan: int) -> Array:
        """Variance per channel that a running fit leaves of unit noise."""
        maker, half = residual_maker(self.width), self.width // 2
        lag = np.abs(np.subtract.outer(np.arange(self.width), np.arange(self.width)))
        rho = np.where(lag < self.acf.size, self.acf[np.minimum(lag, self.acf.size - 1)], 0.0)
        ends = np.einsum("ij,jk,ik->i", maker, rho, maker)
        gains = np.full(nchan, ends[half])
        gains[:half], gains[nchan - half :] = ends[:half], ends[half + 1 :]
        return np.asarray(np.maximum(gains, 1e-6))

    def output_acf(self) -> Array:
        """Spectral ACF of the output, lag zero first."""
        covariance = self._autocovariance()
        return np.asarray(covariance / covariance[0])

    def having(self, acf: Array) -> Detrend:
        """The same with another spectral ACF of the noise."""
        return replace(self, acf=acf)


DEGREE = 4


def running(block: Block, width: int) -> Block:
    """Block less a quartic fit in a running window (Savitzky and Golay 1964, Anal. Chem. 36, 1627).

    The window of the first and last channels is not centred. NaN where the window holds one.
    """
    from scipy.ndimage import convolve1d

    half = width // 2
    ends = residual_maker(width)
    out = np.asarray(convolve1d(block, ends[half][::-1], axis=0, mode="nearest"), dtype=block.dtype)
    out[:half] = np.tensordot(ends[:half], block[:width], axes=1)
    out[-half:] = np.tensordot(ends[half + 1 :], block[-width:], axes=1)
    return out


def residual_maker(width: int) -> Array:
    """Matrix (width, width) that takes a quartic fit off a run of channels."""
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, width), DEGREE + 1))[0]
    return np.asarray(np.eye(width) - basis @ basis.T)


def medians(block: Block, usable: Usable) -> Block:
    """Median of the usable values of every channel, shape (channel, 1, 1); zero where there is none."""
    middle = [float(np.median(p[g])) if g.any() else 0.0 for p, g in zip(block, usable, strict=True)]
    return np.asarray(middle, dtype=block.dtype)[:, None, None]


def weights(order: int) -> NDArray[np.float64]:
    """Taps of the difference of this order, unit sum of squares."""
    taps = np.array([(-1.0) ** k * comb(order, k) for k in range(order + 1)])
    return np.asarray(taps / np.sqrt(comb(2 * order, order)))


def order_for(nchan: int, step: int = 1) -> int:
    """Highest useful order (4, 2 or 1) for so many channels; 0 if there is none."""
    for order in (4, 2, 1):
        if nchan >= order * step + max(1, order // 2):
            return order
    return 0


def difference(block: Block, step: int, order: int) -> Block:
    """Normalised difference along the first axis, order * step channels shorter; NaN where a term is NaN."""
    taps = weights(order).astype(block.dtype)
    count = block.shape[0] - order * step
    out: Block = taps[0] * block[:count]
    for k in range(1, order + 1):
        out += taps[k] * block[k * step : k * step + count]
    return out


def memory_acf(variances: NDArray[np.float64], step: int, order: int) -> NDArray[np.float64]:
    """Spectral ACF of noise with memory below `step` from the variances of the differences of steps 1 to
    `step`.

    ``V(m) / V(step) = sum_j a(j) rho(j m)``, `a` the autocorrelation of the taps, rho zero from lag `step`
    on: linear in rho.

    Parameters
    ----------
    variances : ndarray, shape (>= step,)
        Variance of the difference of step 1, 2, ...

    Returns
    -------
    ndarray, shape (step,)
        Lag zero first.
    """
    if step == 1:
        return np.ones(1)
    auto = np.correlate(weights(order), weights(order), mode="full")[order:]
    system = np.zeros((step - 1, step - 1))
    for m in range(1, step):
        for j in range(1, order + 1):
            if j * m < step:
                system[m - 1, j * m - 1] += 2.0 * auto[j]
    known = variances[: step - 1] / variances[step - 1] - auto[0]
    rho = np.linalg.lstsq(system, known, rcond=1e-6)[0]
    return np.concatenate([[1.0], np.clip(rho, -0.95, 0.95)])


def plateau(spread: Array, *, tolerance: float, longest: int = LONGEST) -> int | None:
    """Step at which the spread of the differences stops rising: the memory of the noise ends there.

    Emission lets it rise too, but from nothing and then ever faster, and level off at the width of lines: so
    the first step from which it rises no more counts, and none beyond `longest`.

    Parameters
    ----------
    spread : ndarray
        Standard deviation of the difference of step 1, 2, ...
    tolerance : float
        Relative rise that still counts as none.
    longest : int
        Longest memory that is taken for noise.

    Returns
    -------
    int or None
        None: it rises all the way.
    """
    for k in range(min(len(spread) - 1, longest)):
        if spread[k + 1] <= spread[k] * (1.0 + tolerance):
            return k + 1
    return None


def continuum(block: Block, width: int) -> Block:
    """Robust continuum per spaxel: medians of runs of about `width` channels, linear between their centres.

    NaN where a spaxel has no finite value in the run on either side.
    """
    nchan = block.shape[0]
    edges = np.linspace(0, nchan, max(2, round(nchan / width)) + 1).round().astype(int)
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    nodes = np.stack([_median_plane(block[a:b]) for a, b in pairwise(edges)])
    place = np.clip(np.arange(nchan), centres[0], centres[-1])
    left = np.clip(np.searchsorted(centres, place, side="right") - 1, 0, len(centres) - 2)
    share = ((place - centres[left]) / (centres[left + 1] - centres[left])).astype(block.dtype)[:, None, None]
    return np.asarray((1 - share) * nodes[left] + share * nodes[left + 1], dtype=block.dtype)


def _median_plane(run: Block) -> Block:
    covered = np.isfinite(run)
    if covered.all():
        return np.asarray(np.median(run, axis=0))
    empty = ~covered.any(axis=0)
    plane = np.nanmedian(np.where(empty, 0, run), axis=0)
    return np.asarray(np.where(empty, np.nan, plane), dtype=run.dtype)


def sky(image: NDArray[Any], usable: NDArray[np.bool_], *, box: int) -> NDArray[np.float32]:
    """Smooth background of one plane: medians of the usable pixels in boxes, interpolated linearly.

    Boxes with less than a fifth usable take the median of the others.
    """
    from scipy.ndimage import map_coordinates

    ny, nx = image.shape
    rows, columns = (np.linspace(0, n, max(1, round(n / box)) + 1).round().astype(int) for n in (ny, nx))
    mesh = np.full((len(rows) - 1, len(columns) - 1), np.nan)
    for i, (a, b) in enumerate(pairwise(rows)):
        for j, (c, d) in enumerate(pairwise(columns)):
            good = usable[a:b, c:d]
            if good.mean() > 0.2:
                mesh[i, j] = np.median(image[a:b, c:d][good])
    whole = np.median(image[usable]) if usable.any() else 0.0
    mesh[~np.isfinite(mesh)] = np.nanmedian(mesh) if np.isfinite(mesh).any() else whole
    at = [(np.arange(n) + 0.5) / n * m - 0.5 for n, m in zip((ny, nx), mesh.shape, strict=True)]
    grid = np.meshgrid(*at, indexing="ij")
    return np.asarray(map_coordinates(mesh, grid, order=1, mode="nearest"), dtype=np.float32)
