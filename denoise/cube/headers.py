"""Headers of the output: the input's cards, byte for byte, under a new layout."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from denoise.cube.axes import AxisMap
from denoise.cube.cards import (
    history_cards,
    image_start,
    keyword,
    make_cards,
    primary_start,
    replace_card,
    split_cards,
    strip_layout,
)
from denoise.cube.core import Cube


def _bitpix(stored: str) -> int:
    return -8 * np.dtype(stored).itemsize


def data_headers(
    cube: Cube, axes: AxisMap, stored: str, history: Iterable[str], extra: Mapping[str, Any]
) -> tuple[list[bytes] | None, list[bytes]]:
    """Cards of the primary header (None if the data is in the primary HDU) and of the data's header."""
    layout = cube.layout
    kept, dropped = strip_layout(_own_cards(cube))
    lines = [*history]
    if dropped:
        lines.append(f"not copied, they described the input's pixels: {' '.join(sorted(set(dropped)))}")
    body = _with_unit_of(cube, _shift_picked(kept, cube, axes))
    if cube.unit_text and not any(keyword(c) == "BUNIT" for c in body) and not _in_primary(cube, "BUNIT"):
        body = [*body, *make_cards("BUNIT", cube.unit_text)]
    body = _with(body, extra)
    body = [*body, *history_cards(lines)]
    if layout is None or layout.hdu == 0:
        return None, [*primary_start(_bitpix(stored), axes.file_shape), *body]
    primary, _ = strip_layout(split_cards(layout.primary_cards))
    primary = _with_unit_of(cube, primary)
    return [*primary_start(8, ()), *primary], [*image_start(_bitpix(stored), axes.file_shape), *body]


def _with_unit_of(cube: Cube, cards: list[bytes]) -> list[bytes]:
    return [card for card in cards if keyword(card) != "BUNIT"] if cube.unit_dropped else cards


def _own_cards(cube: Cube) -> list[bytes]:
    if cube.layout is not None:
        return split_cards(cube.layout.data_cards)
    header = cube.header
    if header is None and cube.wcs is not None:
        header = cube.wcs.to_header()
    if header is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return split_cards(header.tostring(padding=False).encode("ascii", "replace"))


def _in_primary(cube: Cube, key: str) -> bool:
    if cube.layout is None or cube.layout.hdu == 0:
        return False
    return any(keyword(c) == key for c in split_cards(cube.layout.primary_cards))


def _shift_picked(cards: Sequence[bytes], cube: Cube, axes: AxisMap) -> list[bytes]:
    """Move CRPIX of an axis of which one plane is left, so that the plane keeps its coordinate."""
    out = list(cards)
    for axis, index in cube.axes.picked.items():
        if index:
            number = len(axes.file_shape) - axis
            reference = float(cube.header.get(f"CRPIX{number}", 0.0)) if cube.header is not None else 0.0
            out = replace_card(out, f"CRPIX{number}", reference - index, "one plane kept")
    return out


def extension_header(
    cube: Cube, axes: AxisMap, stored: str, *, name: str, unit: str | None, extra: Mapping[str, Any]
) -> list[bytes]:
    """Cards of an image as large as the data: the data's, without its texts, under another name and unit."""
    kept, _ = strip_layout(
        _own_cards(cube), also=("EXTNAME", "EXTVER", "EXTLEVEL", "BUNIT", "INHERIT"), text=False
    )
    body = _shift_picked(kept, cube, axes)
    text = cube.unit_text if unit is None else unit
    head = [*image_start(_bitpix(stored), axes.file_shape), *make_cards("EXTNAME", name)]
    if text:
        head += make_cards("BUNIT", text)
    return [*head, *_with(body, extra)]


def _with(cards: list[bytes], extra: Mapping[str, Any]) -> list[bytes]:
    """Cards set: to values, or to pairs of a value and its comment."""
    for key, value in extra.items():
        cards = replace_card(cards, key, *(value if isinstance(value, tuple) else (value,)))
    return cards


def small_header(
    cube: Cube, shape: Sequence[int], stored: str, *, name: str, unit: str | None, extra: Mapping[str, Any]
) -> list[bytes]:
    """Cards of a small array; a plane (y, x) of the cube gets its celestial coordinates."""
    cards = [*image_start(_bitpix(stored), shape), *make_cards("EXTNAME", name)]
    text = cube.unit_text if unit is None else unit
    if text:
        cards += make_cards("BUNIT", text)
    if tuple(shape) == cube.shape[1:] and cube.wcs is not None and cube.wcs.has_celestial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            celestial = cube.wcs.sub(["longitude", "latitude"]).to_header()
        for card in celestial.cards:
            cards += make_cards(card.keyword, card.value, card.comment)
    return _with(cards, extra)
