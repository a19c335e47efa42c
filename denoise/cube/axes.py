"""Which axis of a file is the channel, the latitude and the longitude, in whatever order it stores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube.regions import Region, Shape
from denoise.errors import InputError, UsageError

SPECTRAL_CODES = frozenset(
    [
        "FREQ",
        "VELO",
        "VRAD",
        "VOPT",
        "ZOPT",
        "AWAV",
        "WAVE",
        "WAVN",
        "ENER",
        "FELO",
        "BETA",
        "VELOCITY",
        "LAMBDA",
        "WAVELENG",
        "WAVELENGTH",
        "FREQUENC",
        "FREQUENCY",
    ]
)
_LONGITUDES = frozenset(("RA", "GLON", "ELON", "SLON", "HLON", "TLON"))
_LATITUDES = frozenset(("DEC", "GLAT", "ELAT", "SLAT", "HLAT", "TLAT"))
_STOKES_CODES = frozenset(("STOKES", "POL"))
_STOKES = {
    "I": 1,
    "Q": 2,
    "U": 3,
    "V": 4,
    "RR": -1,
    "LL": -2,
    "RL": -3,
    "LR": -4,
    "XX": -5,
    "YY": -6,
    "XY": -7,
    "YX": -8,
}


@dataclass(frozen=True)
class AxisMap:
    """How the axes of a file (NumPy order) become (channel, y, x).

    Attributes
    ----------
    file_shape : tuple of int
        Shape of the array in the file, slowest axis first.
    channel, y, x : int or None
        Position of each axis in `file_shape`; None: the file has no such axis and its length is 1.
    picked : mapping of int to int
        Every other axis, with the index that is read: 0 for degenerate ones, the selected plane for Stokes.
    """

    file_shape: tuple[int, ...]
    channel: int | None
    y: int | None
    x: int | None
    picked: Mapping[int, int]

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        c, y, x = (1 if a is None else self.file_shape[a] for a in (self.channel, self.y, self.x))
        return c, y, x

    @property
    def ordinary(self) -> bool:
        """Whether the file stores (channel, y, x) in this order."""
        kept = self._kept()
        return kept == sorted(kept)

    def output(self) -> AxisMap:
        """The same axes for a file written from here: picked axes have length 1."""
        shape = tuple(1 if i in self.picked else n for i, n in enumerate(self.file_shape))
        return AxisMap(shape, self.channel, self.y, self.x, dict.fromkeys(self.picked, 0))

    def file_slices(self, region: Region) -> tuple[slice, ...]:
        """Slices of the file's array, in its order, that hold this region."""
        parts = [slice(i, i + 1) for i in (self.picked.get(a, 0) for a in range(len(self.file_shape)))]
        for axis, part in zip((self.channel, self.y, self.x), region, strict=True):
            if axis is not None:
                parts[axis] = part
        return tuple(parts)

    def from_file(self, array: NDArray[Any], region: Region) -> NDArray[Any]:
        """View of the file's array for this region, axes in the order (channel, y, x)."""
        part = array[self.file_slices(region)]
        kept = self._kept()
        rest = [a for a in range(part.ndim) if a not in kept]
        moved = part.transpose([*rest, *kept]).reshape([part.shape[a] for a in kept])
        missing = tuple(i for i, a in enumerate((self.channel, self.y, self.x)) if a is None)
        return np.expand_dims(moved, missing)

    def of_part(self, part: NDArray[Any]) -> NDArray[Any]:
        """View of what `file_slices` cut from the file's array, axes in the order (channel, y, x)."""
        local = AxisMap(part.shape, self.channel, self.y, self.x, dict.fromkeys(self.picked, 0))
        return local.from_file(part, (slice(None), slice(None), slice(None)))

    def to_file(self, block: NDArray[Any]) -> NDArray[Any]:
        """View of a block (channel, y, x) with the axes of the file, picked ones of length 1."""
        axes = (self.channel, self.y, self.x)
        present = [i for i, a in enumerate(axes) if a is not None]
        flat = block[tuple(slice(None) if a is not None else 0 for a in axes)]
        order = sorted(range(len(present)), key=lambda k: axes[present[k]] or 0)
        moved = flat.transpose(order)
        missing = [a for a in range(len(self.file_shape)) if a in self.picked]
        return np.expand_dims(moved, tuple(missing))

    def _kept(self) -> list[int]:
        return [a for a in (self.channel, self.y, self.x) if a is not None]


def plain_axes(shape: Shape, *, image: bool = False) -> AxisMap:
    """Axes of a file that stores (channel, y, x), or (y, x) for an image."""
    if image and shape[0] == 1:
        return AxisMap(shape[1:], None, 0, 1, {})
    return AxisMap(shape, 0, 1, 2, {})


def axis_code(ctype: object) -> str:
    """First part of a CTYPE: RA of RA---TAN, VELO of VELO-LSR."""
    return str(ctype or "").strip().upper().split("-")[0]


def find_axes(
    file_shape: Sequence[int],
    header: Mapping[str, Any],
    *,
    stokes: int | str | None = None,
    where: str = "the file",
) -> AxisMap:
    """Decide which axis of an image is which.

    The celestial pair is (y, x) = (latitude, longitude) where CTYPE names one, else the last two axes of
    length above 1; the channel is the axis with a spectral CTYPE, else the one that is left. A real Stokes
    axis needs `stokes`, a 0-based plane or a name such as "I".

    Raises
    ------
    InputError
        Fewer than two, or more than three, axes longer than 1.
    UsageError
        `stokes` names a plane that is not there.
    """
    shape = tuple(int(n) for n in file_shape)
    codes = [axis_code(header.get(f"CTYPE{len(shape) - i}")) for i in range(len(shape))]
    picked = _pick_stokes(shape, codes, header, stokes, where)
    channel, y, x = _name_axes(shape, codes, set(picked))
    others = [i for i in range(len(shape)) if i not in (channel, y, x)]
    extra = [i for i in others if shape[i] > 1 and i not in picked]
    if len(extra) == 1 and stokes is not None and not picked:
        picked[extra[0]] = _plane(stokes, shape[extra[0]], header, len(shape) - extra[0], where)
        extra = []
    if extra:
        raise InputError(
            f"{where} has more than three axes longer than 1",
            value=_describe(shape, codes),
            action="choose a plane with --stokes I (or its number from 0), or another image with --hdu",
        )
    axes = AxisMap(shape, channel, y, x, {i: picked.get(i, 0) for i in others})
    if axes.shape[1] * axes.shape[2] < 2:
        raise InputError(
            f"{where} holds no image: one spectrum or one pixel",
            value=_describe(shape, codes),
            action="give a cube or an image with at least two axes longer than 1",
        )
    return axes


def _describe(shape: tuple[int, ...], codes: list[str]) -> str:
    return " x ".join(f"{code or '?'} {n}" for n, code in zip(shape, codes, strict=True))


def _name_axes(
    shape: tuple[int, ...], codes: list[str], taken: set[int]
) -> tuple[int | None, int | None, int | None]:
    stokes = {i for i, c in enumerate(codes) if c in _STOKES_CODES}
    free = [i for i in range(len(shape)) if i not in taken | stokes]
    lon = [i for i in free if codes[i] in _LONGITUDES or codes[i].endswith("LN")]
    lat = [i for i in free if codes[i] in _LATITUDES or codes[i].endswith("LT")]
    spectral = [i for i in free if codes[i] in SPECTRAL_CODES]
    if len(lon) == 1 and len(lat) == 1:
        left = [i for i in free if i not in (lon[0], lat[0])]
        return _channel(left, spectral, shape), lat[0], lon[0]
    real = [i for i in free if shape[i] > 1]
    plane = [i for i in real if i not in spectral[:1]] if len(real) > 2 else real
    if len(plane) < 2:
        plane = [i for i in free if i not in spectral[:1]][-2:]
    if len(plane) < 2:
        plane = free[-2:]
    y, x = (plane[-2], plane[-1]) if len(plane) > 1 else (None, plane[-1] if plane else None)
    left = [i for i in free if i not in (y, x)]
    return _channel(left, spectral, shape), y, x


def _channel(left: list[int], spectral: list[int], shape: tuple[int, ...]) -> int | None:
    named = [i for i in spectral if i in left]
    real = [i for i in left if shape[i] > 1]
    if named:
        return named[0]
    return real[0] if real else None


def _pick_stokes(
    shape: tuple[int, ...], codes: list[str], header: Mapping[str, Any], stokes: int | str | None, where: str
) -> dict[int, int]:
    axis = [i for i, c in enumerate(codes) if c in _STOKES_CODES]
    if not axis:
        return {}
    if stokes is None:
        return {} if shape[axis[0]] > 1 else {axis[0]: 0}
    return {axis[0]: _plane(stokes, shape[axis[0]], header, len(shape) - axis[0], where)}


def _plane(stokes: int | str, size: int, header: Mapping[str, Any], number: int, where: str) -> int:
    text = str(stokes).strip().upper()
    if text.isdigit():
        index = int(text)
    elif text in _STOKES:
        step = float(header.get(f"CDELT{number}", 1.0)) or 1.0
        offset = (_STOKES[text] - float(header.get(f"CRVAL{number}", 1.0))) / step
        index = round(offset + float(header.get(f"CRPIX{number}", 1.0)) - 1)
    else:
        index = -1
    if not 0 <= index < size:
        raise UsageError(
            f"{where} has no Stokes plane of this name or number",
            value=stokes,
            action=f"use a number from 0 to {size - 1}",
        )
    return index
