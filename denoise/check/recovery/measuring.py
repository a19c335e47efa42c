"""What a method left of one source: its flux, peak, place and widths, against those that were put in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import array_readers
from denoise.check.recovery.placing import Placed, Region
from denoise.check.recovery.sources import CORE, FOOTPRINT, Shape
from denoise.check.regions.finding import find_regions
from denoise.noise import NoiseModel

Floats = NDArray[np.float64]

_FWHM = math.sqrt(8.0 * math.log(2.0))


class Moments(NamedTuple):
    """Of light above zero: centre (channel, y, x), and FWHM on the sky (pixels) and along channels."""

    centre: tuple[float, float, float]
    fwhm: float
    line: float


@dataclass(frozen=True)
class Measured:
    """One source, put in and got back.

    Attributes
    ----------
    kind : int
        Index of its template.
    snr : float
        Peak SNR that was put in.
    place : tuple of int
        Voxel (channel, y, x) of its middle.
    draw : int
        Which field it was in.
    injected, recovered : float
        Sums over its footprint, in units of its peak times voxels; what the method makes of the field without the
        source is taken off.
    whole, around : float
        Sum of the whole source, and of what came of it in its box and the margin about that, in the same units: light
        that a method spreads is not lost.
    peak : float
        Largest value of the output in its footprint, in sigma of the input.
    found : bool
        Whether a region of the output lies on its core: the voxels above half its peak.
    shift : tuple of float, or None
        Centre of the output minus centre of the source (channel, y, x); None where it was not found.
    fwhm, line : tuple of float, or None
        Of the source and of the output, on the sky (pixels) and along the spectral axis (channels), from moments.
    """

    kind: int
    snr: float
    place: Shape
    draw: int
    injected: float
    recovered: float
    whole: float
    around: float
    peak: float
    found: bool
    shift: tuple[float, float, float] | None
    fwhm: tuple[float, float] | None
    line: tuple[float, float] | None


def measure_source(
    source: Placed,
    amplitude: float,
    output: NDArray[Any],
    without: NDArray[Any],
    sigma: NDArray[Any],
    *,
    draw: int,
    found: bool,
    margin: Shape,
) -> Measured:
    """Compare what came out with what was put in.

    Parameters
    ----------
    source : Placed
        The source.
    amplitude : float
        Its peak, in the unit of the data.
    output, without : ndarray, shape (channel, y, x)
        The method's result for the field with all sources of this draw, and without any; NaN is no data.
    sigma : ndarray, shape of the source's box
        1 sigma noise of the input there.
    draw : int
        Number of the field.
    found : bool
        Whether it was found, see `is_found`.
    margin : tuple of int
        Voxels (channel, y, x) about the box that belong to the source too.
    """
    there = output[source.box]
    known = np.isfinite(there)
    feet = (source.values > FOOTPRINT) & known
    change = np.where(known, (there.astype(np.float64) - without[source.box]) / amplitude, 0.0)
    scaled = np.divide(there, sigma, out=np.full(there.shape, -np.inf, np.float64), where=known & (sigma > 0))
    before = moments(np.where(feet, source.values, 0.0))
    after = _moments_after(source, amplitude, output, without, margin) if found else None
    both = None if before is None or after is None else (before, after)
    return Measured(
        kind=source.wanted.kind,
        snr=source.wanted.snr,
        place=source.place,
        draw=draw,
        injected=float(source.values[feet].sum(dtype=np.float64)),
        recovered=float(change[feet].sum()),
        whole=float(source.values[known].sum(dtype=np.float64)),
        around=float(_change(source, amplitude, output, without, margin).sum()),
        peak=float(scaled[feet].max(initial=0.0)),
        found=found,
        shift=None if both is None else _shift(*both),
        fwhm=None if both is None else (both[0].fwhm, both[1].fwhm),
        line=None if both is None else (both[0].line, both[1].line),
    )


def is_found(
    source: Placed,
    field: NDArray[Any],
    output: NDArray[Any],
    noise: NoiseModel,
    *,
    level: float,
    min_snr: float,
    margin: Shape,
) -> bool:
    """Whether a region of the output, as `find_regions` finds them, lies on the core of a source.

    Parameters
    ----------
    source : Placed
        The source.
    field, output : ndarray, shape (channel, y, x)
        Before and after the method.
    noise : NoiseModel
        Of the field.
    level, min_snr : float
        As for `find_regions`.
    margin : tuple of int
        Voxels (channel, y, x) about the box that are looked at.
    """
    wide = widened(source.box, margin, output.shape)
    core = np.pad(source.values >= CORE, _padding(source.box, wide))
    local = noise.window(wide)
    with np.errstate(invalid="ignore"):
        if not (output[wide][core] > level * local.sigma()[core]).any():
            return False
    readers = array_readers(field[wide], output[wide], local)
    found, _ = find_regions(readers, local, level=level, min_snr=min_snr)
    return any(one.sign > 0 and bool((core[one.box] & one.footprint).any()) for one in found)


def _shift(before: Moments, after: Moments) -> tuple[float, float, float]:
    c, y, x = (b - a for a, b in zip(before.centre, after.centre, strict=True))
    return c, y, x


def _change(
    source: Placed, amplitude: float, output: NDArray[Any], without: NDArray[Any], margin: Shape
) -> Floats:
    """What the source made of the output in its box and about it, over its peak; 0 where there are no data."""
    wide = widened(source.box, margin, output.shape)
    change = (output[wide].astype(np.float64) - without[wide]) / amplitude
    return np.where(np.isfinite(change), change, 0.0)


def _moments_after(
    source: Placed, amplitude: float, output: NDArray[Any], without: NDArray[Any], margin: Shape
) -> Moments | None:
    """Moments of what the source made of the output, above 1 % of its peak, in the coordinates of the box."""
    wide = widened(source.box, margin, output.shape)
    values = _change(source, amplitude, output, without, margin)
    core = np.pad(source.values >= CORE, _padding(source.box, wide))
    peak = float(values[core].max(initial=0.0))
    found = moments(np.where(values > FOOTPRINT * peak, values, 0.0)) if peak > 0 else None
    if found is None:
        return None
    c, y, x = (
        at - (part.start - outer.start)
        for at, part, outer in zip(found.centre, source.box, wide, strict=True)
    )
    return found._replace(centre=(c, y, x))


def widened(box: Region, margin: Shape, shape: tuple[int, ...]) -> Region:
    """The box with a margin, cut at the edge of the cube."""
    c, y, x = (
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, more, size in zip(box, margin, shape, strict=True)
    )
    return c, y, x


def _padding(box: Region, wide: Region) -> list[tuple[int, int]]:
    return [(part.start - outer.start, outer.stop - part.stop) for part, outer in zip(box, wide, strict=True)]


def moments(weight: Floats | NDArray[np.float32]) -> Moments | None:
    """Centre and widths of non-negative light, shape (channel, y, x); None where there is none."""
    total = float(weight.sum(dtype=np.float64))
    if not total > 0:
        return None
    line, sky = weight.sum(axis=(1, 2), dtype=np.float64), weight.sum(axis=0, dtype=np.float64)
    c, y, x = (np.arange(size, dtype=np.float64) for size in weight.shape)
    at = c @ line / total, y @ sky.sum(axis=1) / total, x @ sky.sum(axis=0) / total
    c, y, x = c - at[0], y - at[1], x - at[2]
    yy, xx, yx = y**2 @ sky.sum(axis=1) / total, x**2 @ sky.sum(axis=0) / total, y @ sky @ x / total
    area = math.sqrt(max(yy * xx - yx**2, 0.0))
    width = _FWHM * math.sqrt(max(float(c**2 @ line / total), 0.0))
    return Moments((float(at[0]), float(at[1]), float(at[2])), _FWHM * math.sqrt(area), width)
