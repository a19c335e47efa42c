"""Which image of a file is the data, and which of the others are its noise and its flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from denoise.cube.axes import AxisMap
from denoise.cube.hdus import HduRecord, is_data
from denoise.cube.units import parse_unit, relation
from denoise.errors import InputError, UsageError

DATA_NAMES = ("SCI", "DATA", "FLUX")
_KIND = {
    "STAT": "variance",
    "VAR": "variance",
    "VARIANCE": "variance",
    "IVAR": "weight",
    "INVVAR": "weight",
    "WHT": "weight",
    "WEIGHT": "weight",
    "WEIGHTS": "weight",
    "WMAP": "weight",
    "UNCERT": "sigma",
    "UNCERTAINTY": "sigma",
    "ERR": "sigma",
    "ERROR": "sigma",
    "ERRORS": "sigma",
    "SIGMA": "sigma",
    "STDDEV": "sigma",
    "STD": "sigma",
    "NOISE": "sigma",
    "RMS": "sigma",
}
_WEAKEST = ("WHT", "WEIGHT", "WEIGHTS", "WMAP")  # often relative only, so taken last
NOISE_NAMES = (*(name for name in _KIND if name not in _WEAKEST), *_WEAKEST)
MASK_NAMES = ("DQ", "MASK", "BADMASK", "BADPIX", "QUALITY")
# names that hold sigma in one package and variance in another when no unit says which
_AMBIGUOUS = frozenset(("ERR", "ERROR", "ERRORS", "UNCERT", "UNCERTAINTY", "NOISE"))
_JWST_UNUSABLE = 1 | 512  # DO_NOT_USE, NON_SCIENCE; the other bits are information


def choose_data(hdus: Sequence[HduRecord], *, hdu: int | str | None, where: str) -> HduRecord:
    """The HDU that holds the data.

    ``SCI``, ``DATA`` or ``FLUX`` first, else the first image with two axes longer than 1 that is not a
    companion by its name, else the first at all.

    Raises
    ------
    InputError
        There is no such image.
    UsageError
        The HDU asked for does not exist.
    """
    if hdu is not None:
        return _asked(hdus, hdu, where)
    images = [r for r in hdus if is_data(r)]
    named = [r for r in images if r.role in DATA_NAMES]
    others = [r for r in images if r.role not in (*NOISE_NAMES, *MASK_NAMES)]
    for group in (named, others, images):
        if group:
            return group[0]
    seen = ", ".join(f"{r.index} {r.name or '-'} {'x'.join(map(str, r.shape)) or 'no image'}" for r in hdus)
    raise InputError(
        f"{where} holds no image with two axes longer than 1", value=seen, action="give a FITS image or cube"
    )


def _asked(hdus: Sequence[HduRecord], hdu: int | str, where: str) -> HduRecord:
    text = str(hdu).strip().upper()
    found = [r for r in hdus if (text.isdigit() and r.index == int(text)) or r.name == text]
    if not found:
        names = ", ".join(f"{r.index} {r.name or '-'}" for r in hdus)
        raise UsageError(f"{where} has no HDU {hdu}", value=names, action="give a number or a name of these")
    if not is_data(found[0]):
        shape = "x".join(map(str, found[0].shape)) or "no image"
        raise InputError(
            f"HDU {hdu} of {where} holds no image with two axes longer than 1",
            value=shape,
            action="choose another --hdu",
        )
    return found[0]


def find_companion(
    hdus: Sequence[HduRecord], data: HduRecord, axes: AxisMap, names: Sequence[str]
) -> tuple[HduRecord, AxisMap] | None:
    """First companion of the data in the order of `names`: same group and version, axes that fit."""
    for name in names:
        for record in hdus:
            mine = record.role == name and record.group == data.group and record.version == data.version
            if record is data or not mine or record.kind == "other" or 0 in record.shape or not record.shape:
                continue
            fitted = fit_axes(record.shape, axes)
            if fitted is not None:
                return record, fitted
    return None


def fit_axes(shape: tuple[int, ...], axes: AxisMap) -> AxisMap | None:
    """Axes of a companion: the data's own for the same shape, (y, x) for a plane, (channel,) for a vector."""
    if shape == axes.file_shape:
        return AxisMap(shape, axes.channel, axes.y, axes.x, axes.picked)
    short = tuple(n for n in shape if n > 1)
    lead = {i: 0 for i, n in enumerate(shape) if n == 1}
    kept = [i for i, n in enumerate(shape) if n > 1]
    channel, y, x = axes.shape
    swapped = axes.y is not None and axes.x is not None and axes.y > axes.x
    if short == ((x, y) if swapped else (y, x)):
        return AxisMap(shape, None, kept[1 if swapped else 0], kept[0 if swapped else 1], lead)
    if short == (channel,):
        return AxisMap(shape, kept[0], None, None, lead)
    return None


def noise_kind(record: HduRecord, data: HduRecord, primary: HduRecord) -> str:
    """What a noise companion holds: "sigma", "variance", "weight" or "unknown".

    A unit that is the data's, its square or the inverse of its square decides; else the name does where it
    has one meaning everywhere. ERR without a unit is "unknown": it holds the variance in some files.
    """
    unit = parse_unit(_text(record, "BUNIT"))
    own = parse_unit(_text(data, "BUNIT") or _text(primary, "BUNIT"))
    by_unit = relation(unit, own)
    if by_unit != "unknown":
        return by_unit
    if record.role in _AMBIGUOUS:
        return "unknown"
    return _KIND.get(record.role, "unknown")


def _text(record: HduRecord, key: str) -> str:
    value: Any = record.header.get(key)
    return "" if value is None else str(value)


def unusable_bits(primary: HduRecord) -> int | None:
    """Bits of a DQ image that mean "do not use", None for any of them."""
    return _JWST_UNUSABLE if _text(primary, "TELESCOP").strip().upper() == "JWST" else None
