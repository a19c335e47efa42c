"""What a cube is made from: data, masks, noise and companions in the forms that users give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from denoise.cube.fits_reader import FitsLayout
from denoise.cube.masks import Mask, as_mask
from denoise.cube.regions import Shape
from denoise.cube.sources import PixelSource, as_source, check_broadcast
from denoise.errors import UsageError

NOISE_KINDS = ("sigma", "variance", "weight", "unknown")


@dataclass(frozen=True)
class NoiseSource:
    """Noise that comes with the data.

    Attributes
    ----------
    kind : {"sigma", "variance", "weight", "unknown"}
        What the pixels are; "unknown" is for the noise model to decide against the data.
    pixels : PixelSource
        Shape (channel, y, x), length 1 where constant; in the unit of the data, its square, or one over it.
    label : str
        Where it is from, for messages.
    """

    kind: str
    pixels: PixelSource
    label: str

    def __post_init__(self) -> None:
        if self.kind not in NOISE_KINDS:
            raise UsageError(
                "unknown kind of noise", value=self.kind, action=f"use one of {', '.join(NOISE_KINDS)}"
            )


def unwrapped(data: Any, mask: Any, unit: Any) -> tuple[Any, Any, Any]:
    """Take masks and units off masked arrays and quantities."""
    if isinstance(data, np.ma.MaskedArray):
        own = np.ma.getmaskarray(data)
        mask = own if mask is None else [own, mask]
        data = data.data
    if isinstance(data, u.Quantity):
        unit = data.unit if unit is None else unit
        data = data.value
    return data, mask, unit


def unit_text(unit: Any, header: fits.Header | None, layout: FitsLayout | None) -> str:
    """The unit as given, else BUNIT of the data's header, else of the primary header; may be empty."""
    if isinstance(unit, u.UnitBase):
        return str(unit.to_string())
    if unit is not None:
        return str(unit)
    written = "" if header is None else str(header.get("BUNIT") or "").strip()
    if written or layout is None or layout.primary_cards == layout.data_cards:
        return written
    cards = layout.primary_cards[: layout.primary_cards.find(b"END     ") + 80]
    return str(fits.Header.fromstring(cards).get("BUNIT") or "").strip()


def make_masks(mask: Any, shape: Shape) -> tuple[Mask, ...]:
    """One mask, or a list of them, each of the cube's shape, a plane's or a spectrum's.

    Raises
    ------
    UsageError
        A mask does not fit.
    """
    if mask is None:
        return ()
    if isinstance(mask, (list, tuple)) and all(hasattr(m, "shape") for m in mask):
        return tuple(as_mask(m, shape) for m in mask)
    return (as_mask(mask, shape),)


def make_companion(value: Any, shape: Shape, what: str) -> PixelSource | None:
    """Pixels that broadcast to the cube.

    Raises
    ------
    UsageError
        They do not.
    """
    if value is None:
        return None
    source = as_source(value, what=what)
    check_broadcast(source.shape, shape, what)
    return source


def make_noise(noise: Any, kind: str | None, shape: Shape) -> NoiseSource | None:
    """Noise given as a source, an array, one number a channel, or one number.

    Raises
    ------
    UsageError
        It does not fit the cube, or its kind is unknown.
    """
    if kind is not None and kind not in NOISE_KINDS:
        raise UsageError("unknown kind of noise", value=kind, action=f"use one of {', '.join(NOISE_KINDS)}")
    if noise is None:
        if kind is not None:
            raise UsageError("a kind of noise but no noise was given", value=kind, action="give --noise FILE")
        return None
    if isinstance(noise, NoiseSource):
        check_broadcast(noise.pixels.shape, shape, "the noise")
        return noise if kind is None else NoiseSource(kind, noise.pixels, noise.label)
    if isinstance(noise, PixelSource) and not isinstance(noise, np.ndarray):
        check_broadcast(noise.shape, shape, "the noise")
        return NoiseSource(kind or "unknown", noise, "given")
    array = np.asarray(noise)
    if array.ndim < 2:
        array = array.reshape(-1, 1, 1)
    source = make_companion(array, shape, "the noise")
    return None if source is None else NoiseSource(kind or "sigma", source, "given")
