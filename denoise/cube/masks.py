"""Which voxels have no data, and which are not to be used in estimation.

True always means "not this voxel". Masks broadcast: an axis of length 1 stands for the whole axis.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from denoise.cube.regions import Region, Shape, region_shape
from denoise.cube.sources import PixelSource, broadcast_region, check_broadcast
from denoise.cube.spectral import SpectralAxis
from denoise.errors import UsageError

_RANGE = re.compile(
    r"^\s*(?P<start>[-+]?[\d.]+(?:e[-+]?\d+)?)\s*(?::|\.\.|\s+to\s+)\s*(?P<stop>[-+]?[\d.]+(?:e[-+]?\d+)?)\s*(?P<unit>.*)$",
    re.IGNORECASE,
)


class Mask(Protocol):
    """Something that gives booleans for a region."""

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x), 1 where the mask is the same along an axis."""

    def read(self, region: Region) -> NDArray[np.bool_]:
        """Booleans that broadcast to the region of the cube."""


@dataclass(frozen=True)
class ArrayMask:
    """Booleans in memory, shape (channel, y, x) with lengths of 1 where constant."""

    array: NDArray[np.bool_]

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        c, y, x = self.array.shape
        return c, y, x

    def read(self, region: Region) -> NDArray[np.bool_]:
        """Booleans of this region."""
        return self.array[broadcast_region(region, self.shape)]


@dataclass(frozen=True)
class SourceMask:
    """A mask or data-quality image in a file: True where a flag is set, or where it is not finite.

    Parameters
    ----------
    source : PixelSource
        Its pixels, integers kept as such.
    bits : int or None
        Which bits matter; None: any value but zero.
    """

    source: PixelSource
    bits: int | None = None

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.source.shape

    def read(self, region: Region) -> NDArray[np.bool_]:
        """Booleans of this region."""
        flags = self.source.read(broadcast_region(region, self.shape))
        if flags.dtype.kind == "f":
            known = np.isfinite(flags)
            if self.bits is None:
                return np.asarray(~known | (flags != 0))
            flags = np.where(known, flags, -1).astype(np.int64)
        return np.asarray((flags if self.bits is None else flags & self.bits) != 0)


@dataclass(frozen=True)
class ZeroBlanks:
    """Exact zeros that mean "no data", found by `find_zero_blanks`.

    Attributes
    ----------
    spaxels : ndarray of bool, shape (y, x)
        Spaxels that are zero in every channel.
    channels : ndarray of bool, shape (channel,)
        Channels that are zero throughout.
    runs : mapping of int to ndarray, shape (n, 3)
        For channels whose blank border differs from `spaxels`: (y, first x, last x + 1) of each run.
    """

    spaxels: NDArray[np.bool_]
    channels: NDArray[np.bool_]
    runs: dict[int, NDArray[np.int32]]

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        ny, nx = self.spaxels.shape
        return self.channels.size, ny, nx

    @property
    def empty(self) -> bool:
        """Whether there is no such voxel."""
        return not (self.spaxels.any() or self.channels.any() or self.runs)

    def read(self, region: Region) -> NDArray[np.bool_]:
        """Booleans of this region."""
        c, y, x = region
        common = self.spaxels[y, x][None]
        if not self.runs and not self.channels[c].any():
            return common
        out = np.repeat(common, c.stop - c.start, axis=0)
        out[self.channels[c]] = True
        for channel in range(c.start, c.stop):
            if channel in self.runs:
                _draw_runs(out[channel - c.start], self.runs[channel], y, x)
        return out


def _draw_runs(plane: NDArray[np.bool_], runs: NDArray[np.int32], y: slice, x: slice) -> None:
    first, last = np.searchsorted(runs[:, 0], (y.start, y.stop))
    for row, start, stop in runs[first:last]:
        plane[row - y.start, max(start, x.start) - x.start : max(stop, x.start) - x.start] = True


def plane_runs(plane: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Runs (y, first x, last x + 1) of the true pixels of a plane (y, x), shape (n, 3)."""
    padded = np.zeros((plane.shape[0], plane.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = plane
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, stops = np.nonzero(change == -1)
    return np.stack([rows, starts, stops], axis=1).astype(np.int32)


def border_blank(
    zero: NDArray[np.bool_], empty: NDArray[np.bool_], *, smallest: int
) -> NDArray[np.bool_] | None:
    """Exact zeros of a plane (y, x) that hang together with its border, through NaN (`empty`) too; or None.

    Regions of fewer than `smallest` pixels are left: one zero in the noise is a number like any other.
    """
    from scipy import ndimage

    if not (zero[0].any() or zero[-1].any() or zero[:, 0].any() or zero[:, -1].any() or empty.any()):
        return None
    labels, count = ndimage.label(zero | empty)
    if count == 0:
        return None
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    size = np.bincount(labels[zero], minlength=count + 1)
    keep = np.zeros(count + 1, dtype=bool)
    keep[edge] = True
    keep &= size >= smallest
    keep[0] = False
    found = keep[labels] & zero
    return found if found.any() else None


def as_mask(value: Any, shape: Shape, *, what: str = "the mask", bits: int | None = None) -> Mask:
    """Mask of an array or a source: True, or any value but zero, marks a voxel.

    Parameters
    ----------
    value : array-like or PixelSource
        (channel, y, x), (y, x), or (channel,); length 1 where constant.

    Raises
    ------
    UsageError
        It does not fit the cube.
    """
    if hasattr(value, "read") and hasattr(value, "shape"):
        mask: Mask = (
            value if isinstance(value, (ArrayMask, SourceMask, ZeroBlanks)) else SourceMask(value, bits)
        )
        check_broadcast(mask.shape, shape, what)
        return mask
    array = np.asarray(value)
    if array.ndim == 1:
        array = array[:, None, None]
    elif array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise UsageError(
            f"{what} is not (channel, y, x), (y, x) or (channel,)",
            value=array.shape,
            action="change its shape",
        )
    check_broadcast(tuple(array.shape), shape, what)
    flagged = array if array.dtype == bool else (array != 0)
    return ArrayMask(np.array(flagged, dtype=bool, copy=True))


def any_mask(masks: Sequence[Mask], region: Region) -> NDArray[np.bool_]:
    """Union of masks over a region, in the region's full shape."""
    out = np.zeros(region_shape(region), dtype=bool)
    for mask in masks:
        out |= mask.read(region)
    return out


def excluded_channels(
    ranges: str | Iterable[str], axis: SpectralAxis | None, nchan: int
) -> NDArray[np.bool_]:
    """Channels named by ranges, shape (channel,).

    Parameters
    ----------
    ranges : str or iterable of str
        Separated by commas or semicolons: ``"6650:6700 Angstrom"``, ``"-120:80 km/s"``, ``"1.41:1.42 GHz"``,
        or ``"channels 10:20"`` counted from 0. Both ends are included; a channel counts by its centre.

    Raises
    ------
    UsageError
        A range is not understood, has a unit the axis cannot be converted to, or holds no channel.
    """
    parts = (
        re.split(r"[,;]", ranges)
        if isinstance(ranges, str)
        else [p for r in ranges for p in re.split(r"[,;]", r)]
    )
    out = np.zeros(nchan, dtype=bool)
    for part in (p.strip() for p in parts):
        if part:
            out |= _one_range(part, axis, nchan)
    return out


def _one_range(text: str, axis: SpectralAxis | None, nchan: int) -> NDArray[np.bool_]:
    by_number = re.sub(r"^chan(nel)?s?\b", "", text, flags=re.IGNORECASE)
    match = _RANGE.match(by_number)
    if match is None:
        raise UsageError(
            "the range is not understood", value=text, action='use "6650:6700 Angstrom" or "channels 10:20"'
        )
    low, high = sorted((float(match["start"]), float(match["stop"])))
    centres = np.arange(nchan, dtype=np.float64)
    if by_number == text:
        centres = _centres(axis, match["unit"].strip(), text)
    inside = (centres >= low) & (centres <= high)
    if not inside.any():
        seen = f"{text}; channels go from {np.nanmin(centres):g} to {np.nanmax(centres):g}"
        raise UsageError("the range holds no channel", value=seen, action="check its numbers and unit")
    return np.asarray(inside)


def _centres(axis: SpectralAxis | None, unit: str, text: str) -> NDArray[np.float64]:
    if axis is None:
        raise UsageError("the cube has no spectral axis in units", value=text, action='use "channels 10:20"')
    try:
        wanted = u.Unit(unit) if unit else None
    except ValueError as error:
        raise UsageError(
            "the unit of the range is not understood", value=text, action="use km/s, Angstrom, GHz..."
        ) from error
    if wanted is None or axis.unit is None:
        if wanted is None and axis.unit is None:
            return axis.values
        raise UsageError(
            "the range needs the unit of the spectral axis",
            value=text,
            action=f'the axis is "{axis.label}"; or use "channels 10:20"',
        )
    if wanted.is_equivalent(u.km / u.s):
        speeds = axis.velocity()
        if speeds is None:
            raise UsageError(
                "velocities need a rest frequency or wavelength", value=text, action="give --rest"
            )
        return np.asarray(speeds * (u.km / u.s).to(wanted))
    try:
        return np.asarray((axis.values * axis.unit).to_value(wanted, equivalencies=u.spectral()))
    except u.UnitConversionError as error:
        raise UsageError(
            "the range has another unit than the spectral axis",
            value=text,
            action=f'the axis is "{axis.label}"',
        ) from error
