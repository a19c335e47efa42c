"""Learn from parts of the cube what the noise looks like: its memory along the channels, its ACFs, what hides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from denoise.noise import correlation, detrend
from denoise.noise.sources import Scale, scales, source_mask
from denoise.noise.statistics import clipped_std, mad_std

Array = NDArray[np.float64]
Block = NDArray[np.float32]
Level = Literal["direct", "offset", "continuum", "sky", "difference"]

_WIDTH = 50  # channels per median of the continuum
_LAGS = 12  # most channels that noise remembers
_AGREE = 0.12  # how far sigma off the sources may be above the one from differences
_MEDIAN = 0.05  # median of noise, in sigma, that still counts as zero


@dataclass(frozen=True)
class Memory:
    """Spectral differences that see noise alone: their order and step, and the ACF of shorter memory.

    Attributes
    ----------
    order : int
        0: too few channels for differences.
    step : int
    sigma : float
        Of the noise, in the unit of the data.
    acf : ndarray
        Spectral, lag zero first.
    found : bool
        Whether the spread of the differences reached a plateau.
    """

    order: int
    step: int
    sigma: float
    acf: Array
    found: bool


@dataclass(frozen=True)
class Scout:
    """What hides the noise and how it is correlated, in units of the first guess of sigma.

    Attributes
    ----------
    level : {"direct", "offset", "continuum", "sky", "difference"}
        What is taken off before noise is measured.
    memory : Memory
    spatial_acf, spectral_acf : ndarray
    sigma : float
        Noise over the first guess.
    share : float
        Share of the voxels that hold noise alone.
    independent : float
        Independent samples among them.
    """

    level: Level
    memory: Memory
    spatial_acf: Array
    spectral_acf: Array
    sigma: float = 1.0
    share: float = 1.0
    independent: float = 0.0
    median: float = 0.0

    @property
    def width(self) -> float:
        """Full width of the spatial ACF in pixels."""
        from denoise.noise.model import full_width

        cy, cx = (n // 2 for n in self.spatial_acf.shape)
        return max(full_width(self.spatial_acf[cy:, cx]), full_width(self.spatial_acf[cy, cx:]))

    def scales(self, shape: tuple[int, int, int]) -> list[Scale]:
        """Boxes on which sources are looked for."""
        return scales(shape, self.spatial_acf, self.filtered_acf, self.width)

    @property
    def filtered_acf(self) -> Array:
        """Spectral ACF of what `prepare` returns: that of the differences if those are taken."""
        if self.level != "difference":
            return self.spectral_acf
        taps = np.zeros(self.memory.order * self.memory.step + 1)
        taps[:: self.memory.step] = detrend.weights(self.memory.order)
        rho = np.concatenate([self.spectral_acf[:0:-1], self.spectral_acf])
        full = np.convolve(np.correlate(taps, taps, mode="full"), rho)
        half = full[full.size // 2 :]
        return np.asarray(half / half[0])


def prepare(block: Block, level: Level, memory: Memory, usable: NDArray[np.bool_] | None = None) -> Block:
    """Take off what is smooth: a block (channel, y, x) with zero-mean noise; differences have fewer channels."""
    if level == "difference":
        return detrend.difference(block, memory.step, memory.order)
    if level == "continuum":
        return block - detrend.continuum(block, _WIDTH)
    if level == "offset":
        return block - _medians(block if usable is None else np.where(usable, block, np.float32(np.nan)))
    if level == "sky":
        good = np.isfinite(block) if usable is None else usable & np.isfinite(block)
        box = max(24, min(block.shape[1:]) // 8)
        return np.stack([p - detrend.sky(p, g, box=box) for p, g in zip(block, good, strict=True)])
    return block


def _medians(block: Block) -> Block:
    flat = block.reshape(block.shape[0], -1)
    empty = ~np.isfinite(flat).any(axis=1)
    middle = np.nanmedian(np.where(empty[:, None], 0.0, flat), axis=1)
    return np.asarray(middle[:, None, None], dtype=np.float32)


def find_memory(parts: list[Block]) -> Memory:
    """Order, step and sigma of the differences, from the faint half of the spaxels of some blocks."""
    nchan = parts[0].shape[0]
    order = detrend.order_for(nchan)
    if order == 0 or nchan < 3:
        spread = np.concatenate([p[np.isfinite(p)] for p in parts])
        return Memory(0, 1, mad_std(spread, about="median"), np.ones(1), False)
    quiet = [_faint_half(p) for p in parts]
    steps = range(1, min(detrend.MAX_STEP, max(1, (nchan - max(1, order // 2)) // order)) + 1)
    spread = np.array([_spread(quiet, step, order) for step in steps])
    error = _error(quiet, order)
    end = detrend.plateau(spread, tolerance=0.03 + 2.0 * error) if spread[0] > 0 else None
    step = end or 1
    acf = detrend.memory_acf(spread**2, step, order)
    return Memory(order, step, float(spread[step - 1]), acf, end is not None)


def _faint_half(part: Block) -> Block:
    """The half of the spaxels, shape (channel, 1, spaxel), whose smoothed spectra stay nearest to zero."""
    from scipy.ndimage import uniform_filter1d

    flat = part.reshape(part.shape[0], 1, -1)
    smooth = uniform_filter1d(np.nan_to_num(flat), min(7, part.shape[0]), axis=0, mode="nearest")
    height = np.where(np.isfinite(flat).any(axis=0), np.abs(smooth).max(axis=0), np.inf)[0]
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


def scout(parts: list[Block], memory: Memory, *, psf_acf: Array | None = None) -> Scout:
    """Choose what to take off, and measure the ACFs where noise is alone.

    Parameters
    ----------
    parts : list of ndarray, shape (channel, y, x)
        In units of a first guess of sigma.
    memory : Memory
        With sigma in the same unit.
    psf_acf : ndarray, optional
        Spatial ACF that is known.
    """
    parts = [p for p in parts if np.isfinite(p).any()]
    nchan = parts[0].shape[0]
    first = _first(parts, memory, psf_acf)
    if memory.order == 0:
        direct = _refine(parts, replace(first, level="direct"), psf_acf)
        return direct if _centred(direct) else _refine(parts, replace(first, level="sky"), psf_acf)
    levels: list[Level] = ["direct", "offset"] + (["continuum"] if nchan >= 60 else [])
    tried = [_refine(parts, replace(first, level=level), psf_acf) for level in levels[:1]]
    if not (_clean(tried[0], first) and abs(tried[0].sigma / first.sigma - 1) < 0.03):
        tried += [_refine(parts, replace(first, level=level), psf_acf) for level in levels[1:]]
    good = [t for t in tried if _clean(t, first)]
    if not good:
        return _refine(parts, first, psf_acf)
    least = min(t.sigma for t in good)
    return next(t for t in good if t.sigma <= 1.015 * least)


def _centred(found: Scout) -> bool:
    return abs(found.median) < max(_MEDIAN, 4.0 / np.sqrt(max(found.independent, 1.0)))


def _clean(found: Scout, first: Scout) -> bool:
    """Enough voxels off the sources, their median zero, their sigma that of the differences."""
    margin = _AGREE + 2.0 / np.sqrt(2.0 * max(found.independent, 1.0))
    enough = found.share > 0.05 and found.independent > 30
    return bool(enough and _centred(found) and found.sigma < first.sigma * (1.0 + margin))


def _first(parts: list[Block], memory: Memory, psf_acf: Array | None) -> Scout:
    """Start: ACFs from differences (or from the values below 3 sigma if there are no differences)."""
    level: Level = "difference" if memory.order else "direct"
    sigma = memory.sigma
    if memory.order == 0:
        sigma = min(clipped_std(np.concatenate([p.ravel() for p in parts])), _lower_side(parts))
    noise = [_cut(prepare(p, level, memory), 4.0 * sigma) for p in parts]
    spatial = _spatial(noise, np.ones((1, 1)), memory.acf) if psf_acf is None else psf_acf
    return Scout(level, memory, spatial, memory.acf, sigma)


def _lower_side(parts: list[Block]) -> float:
    """Sigma from the side of zero that is less contaminated."""
    flat = np.concatenate([p[np.isfinite(p)] for p in parts])
    sides = [
        np.median(np.abs(s)) / 0.6745 for s in (flat[flat < 0], flat[flat > 0]) if s.size > 0.2 * flat.size
    ]
    return float(min(sides, default=np.inf))


def _cut(block: Block, limit: float) -> Block:
    return np.where(np.abs(block) < limit, block, np.float32(np.nan))


def _refine(parts: list[Block], start: Scout, psf_acf: Array | None) -> Scout:
    """Iterate source mask, sigma and ACFs."""
    found = start
    prepared = [prepare(p, start.level, start.memory) for p in parts]
    for _ in range(3):
        noise = []
        for part, raw in zip(prepared, parts, strict=True):
            mask = source_mask(part / np.float32(found.sigma), found.scales(part.shape))
            if start.level in ("offset", "sky"):
                part = prepare(raw, start.level, start.memory, ~mask)  # noqa: PLW2901
            noise.append(np.where(mask, np.float32(np.nan), part))
        before = found.sigma
        found = _measure(noise, found, psf_acf)
        if found.independent < 10 or abs(found.sigma / before - 1.0) < 0.003:
            break
    return found


def _measure(noise: list[Block], found: Scout, psf_acf: Array | None) -> Scout:
    flat = np.concatenate([n[np.isfinite(n)] for n in noise])
    total = sum(n.size for n in noise)
    if flat.size < 20:
        return replace(found, share=0.0, independent=0.0)
    spectral = found.spectral_acf if found.level == "difference" else _spectral(noise, found)
    spatial = _spatial(noise, found.spatial_acf, found.filtered_acf) if psf_acf is None else psf_acf
    sigma = clipped_std(flat)
    independent = correlation.independent_samples(flat.size, spatial, spectral)
    middle = float(np.median(flat)) / sigma if sigma > 0 else 0.0
    share = flat.size / max(1, total)
    return replace(
        found,
        sigma=sigma,
        spatial_acf=spatial,
        spectral_acf=spectral,
        share=share,
        independent=independent,
        median=middle,
    )


def _spatial(noise: list[Block], spatial: Array, spectral: Array) -> Array:
    side = min(min(n.shape[1:]) for n in noise)
    half = int(np.clip(side // 2, 1, 64))
    if side < 4:
        return np.ones((1, 1))
    sums = [correlation.spatial_sums(_some_planes(n), half) for n in noise]
    products, pairs = (np.sum([s[k] for s in sums], axis=0) for k in (0, 1))
    count = float(pairs[pairs.shape[0] // 2, pairs.shape[1] // 2])
    independent = correlation.independent_samples(count, spatial, spectral)
    return correlation.spatial_model(correlation.normalised(products, pairs), independent)


def _some_planes(noise: Block, most: int = 64) -> Block:
    if noise.shape[0] <= most:
        return noise
    return noise[np.linspace(0, noise.shape[0] - 1, most).round().astype(int)]


def _spectral(noise: list[Block], found: Scout) -> Array:
    lags = min(_LAGS, noise[0].shape[0] // 3)
    if lags < 1:
        return np.ones(1)
    sums = [correlation.spectral_sums(n, lags) for n in noise]
    products, pairs = (np.sum([s[k] for s in sums], axis=0) for k in (0, 1))
    independent = correlation.independent_samples(float(pairs[0]), found.spatial_acf, found.spectral_acf)
    return correlation.spectral_model(correlation.normalised(products, pairs), independent)
