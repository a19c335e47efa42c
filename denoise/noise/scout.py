"""Learn from parts of the cube what the noise looks like: its memory, its ACFs, and what hides it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from denoise.noise import correlation, detrend
from denoise.noise.detrend import Detrend
from denoise.noise.model import full_width
from denoise.noise.seams import NONE, Seams
from denoise.noise.sources import Scale, scales, search
from denoise.noise.statistics import clipped_std, mad_std

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_LAGS = 12  # most channels that noise remembers
_AGREE = 0.12  # how far sigma off the sources may be above the one from differences
_MEDIAN = 0.05  # median of noise, in sigma, that still counts as zero
_WINDOWS = (7, 9, 11, 15, 21, 31)  # channels of a running fit
_PLANES = 144  # of which the spatial ACF is measured
_ENOUGH = 50.0  # independent samples that a median needs
_MOST = 0.7  # share of the voxels off the sources below which a running fit may have more noise to measure
_WHITE = np.ones(1)


@dataclass(frozen=True)
class Part:
    """Part of the cube (channel, y, x), with the sigma that is known or guessed (same shape or repeated).

    Seams count from the part's first pixel.
    """

    raw: Block
    sigma: Block
    seams: Seams = NONE

    def normal(self, way: Detrend, mask: NDArray[np.bool_] | None = None) -> Block:
        """What is left after detrending, in units of the sigma expected of it."""
        noise = way.apply(self.raw, None if mask is None else ~mask)
        # sigma may be one number per channel; the detrending acts along channels, so that axis must be whole
        sigma = np.broadcast_to(self.sigma, (self.raw.shape[0], *self.sigma.shape[1:]))
        return noise / way.sigma(sigma)


@dataclass(frozen=True)
class Memory:
    """Spectral differences that see noise alone.

    Attributes
    ----------
    way : Detrend
        The difference, with the spectral ACF it implies; ``direct`` with too few channels for differences.
    sigma : float
        Of the noise, in the unit of the data.
    found : bool
        Whether the spread of the differences reached a plateau.
    """

    way: Detrend
    sigma: float
    found: bool


@dataclass(frozen=True)
class Scout:
    """What hides the noise and how it is correlated, sigma in units of the first guess.

    Attributes
    ----------
    way : Detrend
        What is taken off before noise is measured, with the spectral ACF of the noise.
    spatial_acf : ndarray
    sigma : float
        Noise over the first guess.
    share : float
        Share of the voxels that hold noise alone.
    independent : float
        Independent samples among them.
    median : float
        Their median, in sigma.
    """

    way: Detrend
    spatial_acf: Array = field(default_factory=lambda: np.ones((1, 1)))
    sigma: float = 1.0
    share: float = 1.0
    independent: float = 0.0
    median: float = 0.0

    @property
    def width(self) -> float:
        """Full width of the spatial ACF in pixels."""
        cy, cx = (n // 2 for n in self.spatial_acf.shape)
        return max(full_width(self.spatial_acf[cy:, cx]), full_width(self.spatial_acf[cy, cx:]))

    def scales(self, shape: tuple[int, ...], *, raw: bool = False, step: int = 1) -> list[Scale]:
        """Boxes on which to look, at detrended data or (`raw`) at the data as they are, thinned by `step`."""
        acf = self.way.acf if raw else self.way.output_acf()
        full = (shape[0], shape[1] * step, shape[2] * step)
        return scales(full, self.spatial_acf, acf, self.width, step=step)

    def thinned(self, step: int) -> Scout:
        """The same for every `step`-th pixel along y and x."""
        first = (n // 2 % step for n in self.spatial_acf.shape)
        return replace(self, spatial_acf=self.spatial_acf[tuple(slice(k, None, step) for k in first)])

    def samples(self, count: float) -> float:
        """Independent squares among so many detrended values."""
        return correlation.independent_samples(count, self.spatial_acf, self.way.output_acf())


def find_memory(parts: list[Block]) -> Memory:
    """Order, step and sigma of the differences, from the faint spaxels of some blocks."""
    nchan = parts[0].shape[0]
    order = _order(parts)
    if order == 0 or nchan < 3:
        flat = np.concatenate([p[np.isfinite(p)] for p in parts])
        return Memory(Detrend(), mad_std(flat, about="median"), False)
    quiet = [_faint(p) for p in parts]
    longest = min(detrend.LONGEST + 1, max(1, (nchan - max(1, order // 2)) // order))
    tolerance = 0.03 + 3.0 * _error(quiet, order)
    spread: list[float] = []
    end: int | None = None
    for step in range(1, longest + 1):
        spread.append(_spread(quiet, step, order))
        end = detrend.plateau(np.array(spread), tolerance=tolerance) if spread[0] > 0 else None
        if end is not None:
            break
    step = end or 1
    acf = detrend.memory_acf(np.square(spread), step, order)
    return Memory(Detrend("difference", order, step, acf=acf), spread[step - 1], end is not None)


def _order(parts: list[Block]) -> int:
    """Highest useful order of differences of which some are finite; 0 if there is none.

    A bad channel in the middle of few leaves no run of five good ones.
    """
    nchan = parts[0].shape[0]
    while order := detrend.order_for(nchan):
        if any(np.isfinite(detrend.difference(p, 1, order)).any() for p in parts):
            break
        nchan = min(nchan - 1, order + max(1, order // 2) - 1)
    return order


def forgetful(memory: Memory) -> Memory:
    """The same for noise without memory: narrow lines let the spread rise with the step as memory does."""
    return replace(memory, way=replace(memory.way, step=1, acf=_WHITE))


def without_memory(found: Scout) -> bool:
    """Whether what was found off the sources bears out that the noise has no memory."""
    rho = found.way.acf[1] if found.way.acf.size > 1 else 0.0
    enough = found.independent > 50 and found.share > 0.05
    return bool(not found.way.linear and enough and abs(rho) < 0.2)


def _faint(part: Block) -> Block:
    """The half of the spaxels, shape (channel, 1, spaxel), whose smoothed spectra stay nearest to zero."""
    from scipy.ndimage import uniform_filter1d

    flat = part.reshape(part.shape[0], 1, -1)
    smooth = uniform_filter1d(np.nan_to_num(flat), min(7, part.shape[0]), axis=0, mode="nearest")
    height = np.where(np.isfinite(flat).any(axis=0), np.abs(smooth).max(axis=0), np.inf).ravel()
    covered = int(np.isfinite(height).sum())
    keep = np.argsort(height, kind="stable")[: max(min(covered, 8), covered // 2)]
    return flat[:, :, np.sort(keep)]


def _spread(parts: list[Block], step: int, order: int) -> float:
    values = [detrend.difference(p, step, order).ravel() for p in parts]
    return float(mad_std(np.concatenate(values), about="zero"))


def _error(parts: list[Block], order: int) -> float:
    """Relative sampling error of a spread, from the scatter between groups of channels."""
    values = np.concatenate([detrend.difference(p, 1, order) for p in parts], axis=2)[:, 0]
    groups = np.array_split(values, min(8, max(2, values.shape[0] // 6)))
    spreads = np.array([mad_std(g, about="zero") for g in groups])
    spreads = spreads[np.isfinite(spreads) & (spreads > 0)]
    return float(spreads.std() / spreads.mean() / np.sqrt(spreads.size)) if spreads.size > 1 else 0.1


def start(parts: list[Part], memory: Memory, *, psf_acf: Array | None = None) -> Scout:
    """Sigma and ACFs from the differences (from the less contaminated side of zero if there are none)."""
    normal = [p.normal(memory.way) for p in parts]
    flat = np.concatenate([n[np.isfinite(n)] for n in normal])
    sigma = clipped_std(flat)
    if memory.way.name == "direct":
        sigma = min(sigma, _lower_side(flat))
    if not sigma > 0:  # more than half of the values are the same
        sigma = float(flat.std()) or 1.0
    limit = np.float32(4.0 * sigma)
    noise = [np.where(np.abs(n) < limit, n, np.float32(np.nan)) for n in normal]
    found = Scout(memory.way, sigma=sigma)
    spatial = _spatial(noise, parts, found) if psf_acf is None else psf_acf
    return replace(found, spatial_acf=spatial)


def _lower_side(flat: Block) -> float:
    """Sigma from the side of zero that is less contaminated."""
    sides = [
        np.median(np.abs(s)) / 0.6745
        for s in (flat[flat < 0], flat[flat > 0])
        if s.size > max(50, 0.2 * flat.size)
    ]
    return float(min(sides, default=np.inf))


def scout(parts: list[Part], memory: Memory, early_acf: Array, *, psf_acf: Array | None = None) -> Scout:
    """Choose what to take off, and measure sigma and the ACFs where noise is alone.

    The least that will do is taken: nothing, an offset per channel, a continuum per spaxel; if none of these
    leaves noise that agrees with the differences, emission fills the field, and a running fit is taken off.

    Parameters
    ----------
    parts : list of Part
    memory : Memory
    early_acf : ndarray
        Spatial ACF found by `start`.
    psf_acf : ndarray, optional
        Spatial ACF that is known.
    """
    parts = [p for p in parts if np.isfinite(p.raw).any()]
    first = start(parts, memory, psf_acf=early_acf)
    direct = _refine(parts, first, Detrend(acf=memory.way.acf), psf_acf)
    if memory.way.name == "direct":
        return (
            direct
            if _centred(direct)
            else _refine(parts, first, Detrend("sky", width=round(8 * first.width)), psf_acf)
        )
    if _clean(direct, first) and abs(direct.sigma / first.sigma - 1.0) < 0.03:
        return direct
    others = []
    if first.samples(float(parts[0].raw[0].size)) > _ENOUGH:
        others.append(Detrend("offset", acf=memory.way.acf))
    if parts[0].raw.shape[0] >= 60:
        others.append(Detrend("continuum", acf=memory.way.acf))
    tried = [t for t in [direct, *(_refine(parts, first, w, psf_acf) for w in others)] if _clean(t, first)]
    least = min((t.sigma for t in tried), default=np.inf)
    chosen = next((t for t in tried if t.sigma <= 1.015 * least), None)
    if chosen is not None and chosen.share > _MOST:
        return chosen
    wide = _widest(parts, first, psf_acf)
    return wide if chosen is None or wide.independent > chosen.independent else chosen


def _widest(parts: list[Part], first: Scout, psf_acf: Array | None) -> Scout:
    """The widest running fit that still leaves no emission: it wastes the least of the noise.

    A wider fit that leaves emission has a larger sigma than a narrower one, by more than their sampling errors
    let them differ: of two estimates of which the second is efficient, the variance of the difference is the
    difference of the variances (Hausman 1978, Econometrica 46, 1251).
    """
    found = _refine(parts, first, first.way, psf_acf)
    for width in _WINDOWS:
        way = Detrend("running", width=width, acf=first.way.acf)
        fits = 2 * first.way.step + 3 < width <= parts[0].raw.shape[0] // 2
        if not fits or replace(first, way=way).samples(1.0) < found.samples(1.0):
            continue
        trial = _refine(parts, first, way, psf_acf)
        apart = max(0.5 / max(found.independent, 1.0) - 0.5 / max(trial.independent, 1.0), 0.0)
        if trial.share < 0.9 * found.share or trial.sigma > found.sigma * (1.005 + 2.0 * np.sqrt(apart)):
            break
        found = trial
    return found


def _centred(found: Scout) -> bool:
    error = 4.0 / float(np.sqrt(max(found.independent, 1.0)))
    return abs(found.median) < max(_MEDIAN, min(error, 0.5))


def _clean(found: Scout, first: Scout) -> bool:
    """Enough voxels off the sources, their median zero, their sigma that of the differences."""
    margin = _AGREE + 2.0 / np.sqrt(2.0 * max(found.independent, 1.0))
    enough = found.share > 0.05 and found.independent > 30
    return bool(enough and _centred(found) and found.sigma < first.sigma * (1.0 + margin))


def _refine(parts: list[Part], first: Scout, way: Detrend, psf_acf: Array | None) -> Scout:
    """Iterate source mask, sigma and ACFs."""
    found = replace(first, way=way)
    normal = [p.normal(way) for p in parts]
    for _ in range(3):
        noise = []
        for part, values in zip(parts, normal, strict=True):
            # sources that are not masked raise sigma, which unmasks more of them: the mask may not follow
            level = min(found.sigma, (1.0 + _AGREE) * first.sigma)
            mask = search(values / np.float32(level), found.scales(values.shape)).mask
            again = part.normal(way, mask) if way.name in ("offset", "sky") else values
            noise.append(np.where(mask, np.float32(np.nan), again))
        before = found.sigma
        found = _measure(noise, parts, found, psf_acf)
        if not found.sigma > 0:
            return replace(found, sigma=before, share=0.0, independent=0.0)
        if found.independent < 10 or abs(found.sigma / before - 1.0) < 0.003:
            break
    return found


def _measure(noise: list[Block], parts: list[Part], found: Scout, psf_acf: Array | None) -> Scout:
    """Sigma and ACFs of the noise of some parts, NaN where there are sources."""
    flat = np.concatenate([n[np.isfinite(n)] for n in noise])
    total = sum(n.size for n in noise)
    if flat.size < 20:
        return replace(found, share=0.0, independent=0.0)
    sigma = clipped_std(flat)
    if found.way.name not in ("difference", "running"):
        found = replace(found, way=found.way.having(_spectral(noise, found)))
    spatial = _spatial(noise, parts, found) if psf_acf is None else psf_acf
    found = replace(found, sigma=sigma, spatial_acf=spatial)
    middle = float(np.median(flat)) / sigma if sigma > 0 else 0.0
    samples = found.samples(flat.size)
    return replace(found, share=flat.size / max(1, total), independent=samples, median=middle)


def _spatial(noise: list[Block], parts: list[Part], found: Scout) -> Array:
    side = min(min(n.shape[1:]) for n in noise)
    if side < 4:
        return np.ones((1, 1))
    half = int(np.clip(side // 2, 1, 64))
    most = max(16, _PLANES // len(noise))
    sums = [
        correlation.spatial_sums(_some_planes(n, most), half, part.seams)
        for n, part in zip(noise, parts, strict=True)
    ]
    products, pairs = (np.sum([s[k] for s in sums], axis=0) for k in (0, 1))
    count = float(pairs[pairs.shape[0] // 2, pairs.shape[1] // 2])
    return correlation.spatial_model(correlation.normalised(products, pairs), found.samples(count))


def _some_planes(noise: Block, most: int) -> Block:
    if noise.shape[0] <= most:
        return noise
    return np.asarray(noise[np.linspace(0, noise.shape[0] - 1, most).round().astype(int)])


def _spectral(noise: list[Block], found: Scout) -> Array:
    lags = min(_LAGS, noise[0].shape[0] // 3)
    if lags < 1:
        return _WHITE
    sums = [correlation.spectral_sums(n, lags) for n in noise]
    products, pairs = (np.sum([s[k] for s in sums], axis=0) for k in (0, 1))
    return correlation.spectral_model(correlation.normalised(products, pairs), found.samples(float(pairs[0])))
