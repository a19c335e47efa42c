"""One pass over the pixels before a run: what is there, and whether it can be denoised at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from denoise.cores import Spread, no_check
from denoise.cube.masks import ZeroBlanks, border_blank, plane_runs
from denoise.cube.regions import Shape, blocks
from denoise.errors import InputError

if TYPE_CHECKING:
    from denoise.cube.core import Cube

Flags = NDArray[np.bool_]
Bits = NDArray[np.uint8]

_BLOCK = 1 << 22
_PARTS = 256  # of a cube that is looked at by other processes: each sends two planes of bits back
_SMALLEST = 9  # pixels of a zero region; smaller ones may be numbers like any other


@dataclass(frozen=True)
class Inspection:
    """What a pass over the pixels found.

    Attributes
    ----------
    shape : tuple of int
        (channel, y, x).
    nan_share : float
        Share of voxels without coverage in the file: NaN, infinite, masked.
    blank_share : float
        Share of voxels that are exact zeros taken as no coverage, on top.
    minimum, maximum : float
        Of the voxels that are left.
    blanks : ZeroBlanks or None
        Where the zeros are.
    """

    shape: Shape
    nan_share: float
    blank_share: float
    minimum: float
    maximum: float
    blanks: ZeroBlanks | None

    @property
    def coverage(self) -> float:
        """Share of voxels with data."""
        return 1.0 - self.nan_share - self.blank_share

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, in words."""
        if self.blanks is None:
            return ()
        channels = int(self.blanks.channels.sum())
        also = f", {channels} whole channels among them" if channels else ""
        share = f"{100 * self.blank_share:.1f} %"
        return (f"{share} of the voxels are exact zeros outside the field, taken as no data{also}",)


def inspect(
    cube: Cube,
    *,
    allow_constant: bool = False,
    spread: Spread | None = None,
    check: Callable[[], object] = lambda: None,
) -> Inspection:
    """Look at every pixel once, plane by plane, and refuse what cannot be denoised.

    Zeros are "no data" where a spaxel (of a cube) or a channel is zero throughout, or where a region of at
    least nine zero pixels touches the border of a plane. Integer pixels (counts) may be zero at the border:
    for them only whole spaxels and channels count.

    Parameters
    ----------
    allow_constant : bool
        Accept pixels that all have one value other than 0: they can be read, but not denoised.
    spread : callable, optional
        Maps a picklable function over ranges of channels in other processes, which read the pixels themselves.
    check : callable, optional
        Called between blocks; what it raises ends the pass.

    Raises
    ------
    InputError
        One pixel, all NaN, all zero, or constant.
    """
    channels = cube.shape[0]
    if spread is None:
        scan = _Look(cube, check)(range(channels))
    else:
        each = -(-channels // _PARTS)
        parts = [range(first, min(channels, first + each)) for first in range(0, channels, each)]
        scan = _Scan(cube.shape, integer=cube.stored_as_integer)
        for part in spread(_Look(cube), parts):
            scan.merge(part)
    found = scan.result()
    _refuse(cube, found, scan, allow_constant=allow_constant)
    return found


def memory_of_inspection(shape: Shape) -> int:
    """Bytes that `inspect` takes for a cube of this shape: a block with its flags, and four planes of bits.

    Zeros or NaN at the border of a plane take ten times its pixels more, while it is looked at.
    """
    return 11 * min(int(np.prod(shape)), _BLOCK) + shape[1] * shape[2] // 2


@dataclass(frozen=True)
class _Look:
    """Looks at some channels, a few planes in memory; picklable with the cube."""

    cube: Cube
    check: Callable[[], object] = no_check

    def __call__(self, channels: range) -> _Scan:
        ny, nx = self.cube.shape[1:]
        scan = _Scan(self.cube.shape, integer=self.cube.stored_as_integer)
        for region in blocks((len(channels), ny, nx), voxels=_BLOCK):
            self.check()
            planes = slice(region[0].start + channels.start, region[0].stop + channels.start)
            scan.add(planes.start, region[1], self.cube.read((planes, *region[1:])))
        return scan


class _Scan:
    """Running totals of the pass; memory is a few planes of bits."""

    def __init__(self, shape: Shape, *, integer: bool) -> None:
        self.shape = shape
        self.borders = not integer
        self.always = ~_no_bits(shape[1:])
        self.ever = _no_bits(shape[1:])
        self.channels = np.zeros(shape[0], dtype=bool)
        self.runs: dict[int, NDArray[np.int32]] = {}
        self.known = 0
        self.zeros = 0
        self.low, self.high = np.inf, -np.inf
        self._last: NDArray[np.int32] | None = None
        self._plane = _Plane(shape[1:])

    def add(self, first: int, rows: slice, block: NDArray[Any]) -> None:
        """Take in whole planes from channel `first`, or some rows of one; the rows come in order."""
        for channel, part in enumerate(block, first):
            self._part(rows, part)
            if rows.stop == self.shape[1]:
                self._ended(channel)

    def _part(self, rows: slice, part: NDArray[Any]) -> None:
        zero = part == 0
        empty = np.isnan(part)
        self.known += part.size - int(empty.sum())
        zeros = int(zero.sum())
        self.zeros += zeros
        rest = part[~(zero | empty)] if zeros else part[~empty]
        if rest.size:
            self.low, self.high = min(self.low, float(rest.min())), max(self.high, float(rest.max()))
        self._plane.put(zero, empty, zeros=zeros, numbers=rest.size)
        self.always[rows] &= _bits((zero | empty) if zeros else empty)
        if zeros:
            self.ever[rows] |= _bits(zero)

    def _ended(self, channel: int) -> None:
        plane = self._plane
        if plane.zeros:
            self.channels[channel] = plane.numbers == 0
            if self.borders and plane.numbers:
                found = border_blank(*plane.flags(), smallest=_SMALLEST)
                if found is not None:
                    self._keep(channel, plane_runs(found))
        self._plane = _Plane(self.shape[1:])

    def _keep(self, channel: int, runs: NDArray[np.int32]) -> None:
        if self._last is not None and np.array_equal(runs, self._last):
            runs = self._last  # the same footprint in every channel is kept once
        self.runs[channel] = self._last = runs

    def merge(self, later: _Scan) -> None:
        """Take in the channels after those seen so far."""
        self.always &= later.always
        self.ever |= later.ever
        self.channels |= later.channels
        self.known += later.known
        self.zeros += later.zeros
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        for channel, runs in later.runs.items():
            self._keep(channel, runs)

    def result(self) -> Inspection:
        total = int(np.prod(self.shape, dtype=np.int64))
        blanks = self._blanks()
        blank = 0 if blanks is None else self._count(blanks)
        low, high = self.low, self.high
        if self.zeros > blank:
            low, high = min(low, 0.0), max(high, 0.0)
        return Inspection(self.shape, 1.0 - self.known / total, blank / total, low, high, blanks)

    def _blanks(self) -> ZeroBlanks | None:
        # one plane: a zero pixel inside the image is not "zero throughout"
        bits = self.always & self.ever if self.shape[0] > 1 else _no_bits(self.shape[1:])
        spaxels = _flags(bits, self.shape[2])
        channels = self.channels if self.shape[0] > 1 else np.zeros(1, dtype=bool)
        blanks = ZeroBlanks(spaxels, channels, self._other_runs(spaxels))
        return None if blanks.empty else blanks

    def _other_runs(self, spaxels: NDArray[np.bool_]) -> dict[int, NDArray[np.int32]]:
        decided: dict[int, bool] = {}
        for runs in self.runs.values():
            if id(runs) not in decided:
                decided[id(runs)] = any(not spaxels[y, a:b].all() for y, a, b in runs)
        return {c: runs for c, runs in self.runs.items() if decided[id(runs)]}

    def _count(self, blanks: ZeroBlanks) -> int:
        # spaxels and border runs hold zeros and, for spaxels, voxels that were NaN already
        nan = int(np.prod(self.shape, dtype=np.int64)) - self.known
        if nan == 0 and not blanks.runs and not blanks.channels.any():
            return int(blanks.spaxels.sum()) * self.shape[0]
        return min(self.zeros, self._zeros_in(blanks))

    def _zeros_in(self, blanks: ZeroBlanks) -> int:
        ny, nx = self.shape[1:]
        count = 0
        for channel in range(self.shape[0]):
            region = (slice(channel, channel + 1), slice(0, ny), slice(0, nx))
            count += int(blanks.read(region).sum())
        return count


class _Plane:
    """Flags of the plane that is being looked at, and how many zeros and other numbers it holds."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self.zeros = self.numbers = 0
        self._whole: tuple[Flags, Flags] | None = None
        self._rows: list[tuple[Bits, Bits]] = []

    def put(self, zero: Flags, empty: Flags, *, zeros: int, numbers: int) -> None:
        """The rows that follow."""
        self.zeros += zeros
        self.numbers += numbers
        if zero.shape == self._shape:
            self._whole = zero, empty
        else:
            self._rows.append((_bits(zero), _bits(empty)))

    def flags(self) -> tuple[Flags, Flags]:
        """Where the plane is zero, and where it has no data."""
        if self._whole is not None:
            return self._whole
        zero, empty = zip(*self._rows, strict=True)
        return _flags(np.concatenate(zero), self._shape[1]), _flags(np.concatenate(empty), self._shape[1])


def _no_bits(shape: tuple[int, ...]) -> Bits:
    return np.zeros((shape[0], -(-shape[1] // 8)), np.uint8)


def _bits(flags: Flags) -> Bits:
    return np.packbits(flags, axis=1)


def _flags(bits: Bits, count: int) -> Flags:
    return np.unpackbits(bits, axis=1, count=count).view(bool)


def _refuse(cube: Cube, found: Inspection, scan: _Scan, *, allow_constant: bool) -> None:
    name = cube.name
    if cube.shape[1] * cube.shape[2] < 2:
        raise InputError(
            f"{name} has one pixel",
            value=f"shape {cube.shape}",
            action="give an image or a cube of several pixels",
        )
    if scan.known == 0:
        why = "masked, or NaN" if cube.masks else "NaN"
        raise InputError(
            f"{name} has no data: every voxel is {why}", action="check the file, --hdu and --mask"
        )
    if scan.zeros == scan.known:
        raise InputError(f"{name} has no data: every voxel is 0", action="check the file and --hdu")
    if found.minimum >= found.maximum and not allow_constant:
        raise InputError(
            f"{name} is constant: nothing to denoise",
            value=f"{found.minimum:g}",
            action="check the file and --hdu",
        )
