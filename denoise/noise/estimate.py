"""Estimate the noise of a cube: robustly, without a mask, in blocks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.errors import DenoiseWarning, NoiseError
from denoise.noise import channels, covariance, detrend, known
from denoise.noise.correlation import independent_samples
from denoise.noise.fieldmap import Cells, relative_map
from denoise.noise.histogram import TailHistograms, clipped_sigma
from denoise.noise.model import NoiseModel
from denoise.noise.scout import Memory, Scout, find_memory, prepare, scout
from denoise.noise.sources import smoothed, source_mask
from denoise.noise.statistics import mad_std
from denoise.noise.stream import CubeLike, View, blocks, windows
from denoise.noise.tails import Deepest

Array = NDArray[np.float64]
Block = NDArray[np.float32]
Companion = Literal["trust", "scale", "ignore"]

_FEWEST = 20  # usable voxels below which there is no estimate
_SCOUT_VOXELS = 3_000_000
_BLOCK_VOXELS = 4_000_000


@dataclass(frozen=True)
class _Guess:
    """First guess of sigma: per channel, times a map."""

    channel: Array
    relative: NDArray[np.float32]

    def of(self, region: tuple[slice, slice, slice]) -> Block:
        return (self.channel[region[0], None, None] * self.relative[region[1:]]).astype(np.float32)


@dataclass
class _Totals:
    """What a pass over the cube leaves: counts per channel, squares per cell, minima per scale."""

    histograms: TailHistograms
    squares: Array
    counts: Array
    deepest: Deepest
    usable: int = 0
    noisy: int = 0


def estimate_noise(
    cube: CubeLike,
    *,
    psf: NDArray[Any] | None = None,
    companion: Companion = "trust",
    block_voxels: int = _BLOCK_VOXELS,
) -> NoiseModel:
    """Noise of a cube: sigma per channel and position, spatial and spectral correlation.

    Emission that is smooth along the channels is told from noise by spectral differences, whose spread stops
    rising where the memory of the noise ends (`denoise.noise.detrend`). Sources, positive or negative, are
    then excluded on several scales (`denoise.noise.sources`), and sigma and both ACFs are measured on what is
    left, if that agrees with the differences; else on the differences. Channels are pooled as far as they
    agree.

    Parameters
    ----------
    cube : Cube
        With shape, read, excluded, noise_source and gain; NaN where there is no coverage.
    psf : ndarray, shape (ny, nx), optional
        Dirty beam: the spatial ACF of naturally weighted visibility noise, used instead of the measured one.
    companion : {"trust", "scale", "ignore"}
        What to do with the file's own noise array: take it as it is; scale it to the measured level; leave
        it.
    block_voxels : int
        Voxels in memory at once, about.

    Returns
    -------
    NoiseModel

    Raises
    ------
    NoiseError
        Fewer than 20 usable voxels, or data that are constant.

    Warns
    -----
    DenoiseWarning
        The companion differs from the measured noise by more than 1.5, or its kind had to be guessed.
    """
    if companion not in ("trust", "scale", "ignore"):
        raise NoiseError("unknown use of the companion", value=companion, action="use trust, scale or ignore")
    source = cube.noise_source if companion != "ignore" else None
    given, kind = _given(cube, source)
    view = _view(cube, given)
    parts = _parts(view)
    memory = find_memory(parts)
    if not memory.sigma > 0:
        memory = replace(memory, sigma=_spread(parts))
    smallest = 8.0 if min(cube.shape[1:]) >= 48 else 4.0
    cells = Cells.of(cube.shape[1:], smallest=smallest)
    guess = _first_guess(view, memory, cells, block_voxels, fixed=given is not None)
    regions = windows(cube.shape, voxels=_SCOUT_VOXELS)
    normal = [p / guess.of(r) for p, r in zip(parts, regions, strict=True)]
    acf = None if psf is None else covariance.psf_acf(psf)
    found = scout(normal, replace(memory, sigma=_normal_sigma(normal, memory)), psf_acf=acf)
    totals = _pass(view, guess, found, cells, block_voxels)
    return _finish(cube, view, guess, found, totals, cells, _Given(given, kind, source, companion))


@dataclass(frozen=True)
class _Given:
    sigma: known.SigmaFrom | None
    kind: str
    source: Any
    use: Companion


def _given(cube: CubeLike, source: Any) -> tuple[known.SigmaFrom | None, str]:
    """Sigma that the file gives, up to a factor: from the companion, or from the gain."""
    if source is not None:
        kind = source.kind if source.kind in known.EXPONENT else _kind(cube, source)
        return known.SigmaFrom(source.pixels, known.EXPONENT[kind], cube.shape), kind
    if cube.gain is not None:
        return known.SigmaFrom(cube.gain, -1.0, cube.shape), "gain"
    return None, ""


def _kind(cube: CubeLike, source: Any) -> str:
    """Decide what a companion of unknown meaning holds, and say so."""
    view = View(cube)
    raw = known.SigmaFrom(source.pixels, 1.0, cube.shape)
    noise, values = [], []
    for region in windows(cube.shape, voxels=_SCOUT_VOXELS // 4):
        block = np.asarray(cube.read(region), dtype=np.float64)
        block[np.asarray(cube.excluded(region))] = np.nan
        order = detrend.order_for(block.shape[0])
        companion = raw.read(region)
        if order and block.shape[0] >= 3:
            middle = order // 2
            noise.append(detrend.difference(block, 1, order))  # type: ignore[arg-type]
            values.append(companion[middle : middle + noise[-1].shape[0]])
        else:
            noise.append(block - np.nanmedian(block))
            values.append(companion)
    del view
    kind, _ = known.decide_kind(noise, values)
    warnings.warn(
        DenoiseWarning(
            f"{source.label}: neither its unit nor its name says what it holds; "
            f"its size and how the noise follows it say {kind}"
        ),
        stacklevel=4,
    )
    return kind


def _view(cube: CubeLike, given: known.SigmaFrom | None) -> View:
    """View with a unit that brings the data near one; refuses data without noise."""
    raw = View(cube, given, 1.0)
    usable, sizes = 0, []
    for region in windows(cube.shape, voxels=_SCOUT_VOXELS):
        block = np.asarray(cube.read(region), dtype=np.float64)
        if given is not None:
            block = block / given.read(region)
        block = block[np.isfinite(block) & ~np.asarray(cube.excluded(region))]
        usable += block.size
        if block.size:
            sizes.append(max(float(np.std(block)), float(np.ptp(block)) * 1e-6))
    if usable < _FEWEST:
        raise NoiseError(
            "too few voxels to estimate the noise from",
            value=f"{usable} usable",
            action=f"at least {_FEWEST} finite voxels that are not excluded are needed",
        )
    if not max(sizes) > 0:
        raise NoiseError(
            "the data are constant: there is no noise to estimate", action="check the input and its mask"
        )
    return replace(raw, unit=float(np.median([s for s in sizes if s > 0])))


def _parts(view: View) -> list[Block]:
    return [view.read(region) for region in windows(view.shape, voxels=_SCOUT_VOXELS)]


def _spread(parts: list[Block]) -> float:
    flat = np.concatenate([p[np.isfinite(p)] for p in parts])
    return max(mad_std(flat, about="median"), float(flat.std()) * 1e-3)


def _normal_sigma(parts: list[Block], memory: Memory) -> float:
    if memory.order == 0:
        return _spread(parts)
    values = [detrend.difference(p, memory.step, memory.order).ravel() for p in parts]
    sigma = mad_std(np.concatenate(values), about="zero")
    return sigma if sigma > 0 else _spread(parts)


def _first_guess(view: View, memory: Memory, cells: Cells, voxels: int, *, fixed: bool) -> _Guess:
    """Sigma per channel and a map where it varies much, from medians of the differences; one pass."""
    nchan, ny, nx = view.shape
    level = "difference" if memory.order else "direct"
    halo = memory.order * memory.step
    total, weight = np.zeros(nchan), np.zeros(nchan)
    logs, number = np.zeros(cells.shape), np.zeros(cells.shape)
    for region, _ in blocks(view.shape, voxels=voxels, row_edges=cells.rows, halo=halo):
        noise = prepare(view.read(region), level, memory)  # type: ignore[arg-type]
        if noise.shape[0] == 0:
            continue
        first = region[0].start + halo // 2
        per_channel = _channel_spread(noise)
        good = np.isfinite(per_channel) & (per_channel > 0)
        total[first : first + noise.shape[0]] += np.where(good, per_channel, 0.0)
        weight[first : first + noise.shape[0]] += good
        if not fixed:
            _add_cells(
                noise / np.where(good, per_channel, np.nan)[:, None, None], cells, region[1], logs, number
            )
    good = weight > 0
    if not good.any():
        return _Guess(np.full(nchan, memory.sigma), np.broadcast_to(np.float32(1), (ny, nx)))
    sigma = np.interp(np.arange(nchan), np.nonzero(good)[0], total[good] / weight[good])
    relative = np.broadcast_to(np.float32(1.0), (ny, nx))
    if not fixed:
        variance = np.where(number > 0, logs / np.maximum(number, 1), np.nan)
        # a first guess only: worth it where the noise varies by tens of per cent
        relative = _coarse_map(variance, number, cells, (ny, nx))
    return _Guess(sigma, relative)


def _channel_spread(noise: Block, most: int = 16384) -> Array:
    flat = noise.reshape(noise.shape[0], -1)
    flat = flat[:, :: max(1, flat.shape[1] // most)]
    return np.asarray(mad_std(flat, about="zero", axis=1))


def _add_cells(ratio: Block, cells: Cells, rows: slice, total: Array, number: Array) -> None:
    """Add the variance of every cell, from the median of |ratio|, weighted with the number of channels."""
    step = max(1, ratio.shape[0] // 48)
    some = ratio[::step]
    for i, (a, b) in enumerate(pairwise(cells.rows)):
        if a < rows.start or b > rows.stop:
            continue
        for j, (c, d) in enumerate(pairwise(cells.columns)):
            cell = some[:, a - rows.start : b - rows.start, c:d]
            spread = mad_std(cell, about="zero")
            count = np.isfinite(cell).mean() * ratio.shape[0]
            if np.isfinite(spread) and spread > 0 and np.isfinite(cell).sum() >= 16:
                total[i, j] += count * spread**2
                number[i, j] += count


def _coarse_map(variance: Array, number: Array, cells: Cells, shape: tuple[int, int]) -> NDArray[np.float32]:
    good = np.isfinite(variance)
    if np.count_nonzero(good) < 12 or np.std(np.log(variance[good])) < 0.2:
        return np.broadcast_to(np.float32(1.0), shape)
    return relative_map(variance, np.where(good, np.maximum(number, 8.0), 0.0), cells, shape)


def _pass(view: View, guess: _Guess, found: Scout, cells: Cells, voxels: int) -> _Totals:
    """Mask the sources and count what is left, over the whole cube."""
    memory = found.memory
    halo = 50 if found.level == "continuum" else max(8, memory.order * memory.step)
    totals = _Totals(
        TailHistograms.empty(view.shape[0]), np.zeros(cells.shape), np.zeros(cells.shape), Deepest()
    )
    for region, core in blocks(view.shape, voxels=voxels, row_edges=cells.rows, halo=halo):
        raw = view.read(region) / (guess.of(region) * np.float32(found.sigma))
        _add_block(totals, raw, region, core, found, cells)
    return totals


def _add_block(
    totals: _Totals, raw: Block, region: tuple[slice, slice, slice], core: slice, found: Scout, cells: Cells
) -> None:
    memory = found.memory
    noise = prepare(raw, found.level, memory)
    if noise.shape[0] == 0:
        return
    chosen = found.scales(noise.shape)
    mask = source_mask(noise, chosen)
    if found.level in ("offset", "sky"):
        noise = prepare(raw, found.level, memory, ~mask)
    shift = memory.order * memory.step // 2 if found.level == "difference" else 0
    own = slice(max(0, core.start - shift), min(noise.shape[0], core.stop - shift))
    if own.stop <= own.start:
        return
    for scale, values in smoothed(raw, replace(found, level="direct").scales(raw.shape)):
        totals.deepest.add(scale, values[core])
    clean = np.where(mask[own], np.float32(np.nan), noise[own])
    totals.histograms.add(clean, region[0].start + own.start + shift)
    good = np.isfinite(clean)
    totals.squares += cells.sums(
        np.square(np.where(good, clean, 0), dtype=np.float64).sum(axis=0), region[1].start
    )
    totals.counts += cells.sums(good.sum(axis=0), region[1].start)
    totals.usable += int(np.isfinite(noise[own]).sum())
    totals.noisy += int(good.sum())


def _finish(
    cube: CubeLike, view: View, guess: _Guess, found: Scout, totals: _Totals, cells: Cells, given: _Given
) -> NoiseModel:
    """Join the counts into a model."""
    ratio = _channel_ratio(totals, found)
    channel = ratio * guess.channel * found.sigma * view.unit
    relative = guess.relative
    if given.sigma is None:
        relative = relative * _field(totals, found, cells, cube.shape[1:])
        middle = float(np.median(relative))
        channel, relative = channel * middle, _flat_or(relative / np.float32(middle))
    low, high = (_pooled(c, totals) for c in (totals.histograms.negative, totals.histograms.positive))
    typical = float(np.nanmedian(guess.channel)) * found.sigma * view.unit
    fields: dict[str, Any] = {
        "shape": cube.shape,
        "channel_sigma": channel,
        "relative": relative,
        "spatial_acf": found.spatial_acf,
        "spectral_acf": found.spectral_acf,
        "origin": f"measured, {found.level}",
        "tails": totals.deepest.verdict(low * typical, high * typical),
        "details": {
            "noise_share": totals.noisy / max(1, totals.usable),
            "independent_samples": float(
                independent_samples(totals.noisy, found.spatial_acf, found.spectral_acf)
            ),
            "spectral_memory": float(found.memory.step - 1),
        },
    }
    return _with_given(fields, given, channel)


def _flat_or(relative: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.broadcast_to(np.float32(1.0), relative.shape) if np.ptp(relative) == 0 else relative


def _pooled(counts: NDArray[np.int64], totals: _Totals) -> float:
    return float(clipped_sigma(counts.sum(axis=0, keepdims=True))[0])


def _side(totals: _Totals, found: Scout) -> NDArray[np.int64]:
    """Counts of both sides of zero if they agree, else of the side with less spread."""
    below, above = totals.histograms.negative, totals.histograms.positive
    low, high = _pooled(below, totals), _pooled(above, totals)
    samples = independent_samples(totals.noisy, found.spatial_acf, found.filtered_acf)
    margin = 0.01 + 3.0 / np.sqrt(max(samples, 1.0) / 2.0)
    if not (np.isfinite(low) and np.isfinite(high)) or abs(np.log(high / low)) < margin:
        return np.asarray(below + above)
    return below if low < high else above


def _channel_ratio(totals: _Totals, found: Scout) -> Array:
    """Sigma per channel over the first guess, pooled as far as the channels agree."""
    counts = _side(totals, found)
    sigma = clipped_sigma(counts)
    number = counts.sum(axis=1).astype(np.float64)
    area = float(np.sum(found.spatial_acf**2))
    return channels.shrink(sigma, number / area)


def _field(totals: _Totals, found: Scout, cells: Cells, shape: tuple[int, int]) -> NDArray[np.float32]:
    area = float(np.sum(found.spatial_acf**2)) * (2.0 * float(np.sum(found.filtered_acf**2)) - 1.0)
    variance = np.where(totals.counts > 0, totals.squares / np.maximum(totals.counts, 1.0), np.nan)
    return relative_map(variance, totals.counts / area, cells, shape)


def _with_given(fields: dict[str, Any], given: _Given, channel: Array) -> NoiseModel:
    """Model on top of the file's own sigma, checked against the measured one."""
    if given.sigma is None:
        return NoiseModel(**fields)
    fields["pixels"] = given.sigma
    if given.kind == "gain":
        return NoiseModel(**{**fields, "origin": fields["origin"] + ", 1/gain"})
    measured = NoiseModel(**fields)
    factor = float(np.nanmedian(channel))
    label = f"{given.source.label} ({given.kind})"
    as_given = replace(measured, channel_sigma=np.ones_like(channel), origin=label)
    if not 1.0 / known.MISMATCH <= factor <= known.MISMATCH:
        warnings.warn(
            DenoiseWarning(
                f"{label} gives a typical sigma of {as_given.typical:.4g}, the data have {measured.typical:.4g}: "
                f"a factor {max(factor, 1 / factor):.2g}; see companion='scale' or 'ignore'"
            ),
            stacklevel=3,
        )
    details = {**fields["details"], "measured_over_given": factor, "measured_sigma": measured.typical}
    if given.use == "scale":
        return replace(measured, origin=f"{label}, scaled to the data", details=details)
    return replace(as_given, details=details)
