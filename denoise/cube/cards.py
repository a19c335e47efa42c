"""Header cards as 80 bytes each, kept byte for byte; only what describes the old layout is taken out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from astropy.io import fits

CARD = 80
BLOCK = 2880
CARDS_A_BLOCK = BLOCK // CARD
# the old layout and scaling of the pixels, and statements about them that are no longer true
_DROPPED = re.compile(
    r"^(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|DATAMIN|DATAMAX"
    r"|ZIMAGE|ZSIMPLE|ZTENSION|ZEXTEND|ZBITPIX|ZNAXIS\d*|ZPCOUNT|ZGCOUNT|ZTILE\d+|ZCMPTYPE|ZNAME\d+|ZVAL\d+|ZMASKCMP"
    r"|ZQUANTIZ|ZDITHER0|ZBLANK|ZSCALE|ZZERO|ZHECKSUM|ZDATASUM|END)$"
)
_SILENT = re.compile(r"^(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|END)$")
_TEXT = ("HISTORY", "COMMENT", "")


def split_cards(raw: bytes) -> list[bytes]:
    """Cards of a header up to END, without blank ones at its end; bytes that are not text become blanks."""
    cards = []
    for start in range(0, len(raw) - len(raw) % CARD, CARD):
        card = raw[start : start + CARD]
        if keyword(card) == "END":
            break
        cards.append(bytes(b if 32 <= b <= 126 else 32 for b in card))
    while cards and not cards[-1].strip():
        cards.pop()
    return cards


def keyword(card: bytes) -> str:
    """Keyword of a card."""
    return card[:8].decode("ascii", "replace").strip()


def strip_layout(
    cards: Sequence[bytes], *, also: Iterable[str] = (), text: bool = True
) -> tuple[list[bytes], list[str]]:
    """Cards without those of the old layout, and the names of the ones that a reader would miss.

    Parameters
    ----------
    also : iterable of str
        More keywords to take out.
    text : bool
        Whether HISTORY, COMMENT and blank cards stay.
    """
    kept: list[bytes] = []
    dropped: list[str] = []
    skip = frozenset(also)
    keep = True
    for card in cards:
        name = keyword(card)
        if name != "CONTINUE":  # CONTINUE belongs to the card before it
            keep = not (_DROPPED.match(name) or name in skip or (not text and name in _TEXT))
            if _DROPPED.match(name) and not _SILENT.match(name):
                dropped.append(name)
        if keep:
            kept.append(card)
    return kept, dropped


def make_cards(key: str, value: Any, comment: str = "") -> list[bytes]:
    """Cards of one keyword; text that is too long is continued."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = str(fits.Card(key, value, comment))
    raw = image.encode("ascii", "replace")
    return [raw[i : i + CARD].ljust(CARD) for i in range(0, len(raw), CARD)]


def history_cards(lines: Iterable[str]) -> list[bytes]:
    """HISTORY cards of short lines; longer ones are wrapped at 72 characters."""
    out = []
    for line in lines:
        plain = line.encode("ascii", "replace").decode("ascii").replace("\n", " ")
        for i in range(0, max(len(plain), 1), CARD - 8):
            out.append(f"HISTORY {plain[i : i + CARD - 8]}".encode("ascii").ljust(CARD))
    return out


def primary_start(bitpix: int, shape: Sequence[int]) -> list[bytes]:
    """Mandatory cards of a primary header; `shape` in NumPy order."""
    out = (
        make_cards("SIMPLE", True, "FITS standard")
        + make_cards("BITPIX", bitpix)
        + make_cards("NAXIS", len(shape))
    )
    for i, n in enumerate(reversed(shape)):
        out += make_cards(f"NAXIS{i + 1}", n)
    return out + make_cards("EXTEND", True)


def image_start(bitpix: int, shape: Sequence[int]) -> list[bytes]:
    """Mandatory cards of an image extension; `shape` in NumPy order."""
    out = (
        make_cards("XTENSION", "IMAGE", "image extension")
        + make_cards("BITPIX", bitpix)
        + make_cards("NAXIS", len(shape))
    )
    for i, n in enumerate(reversed(shape)):
        out += make_cards(f"NAXIS{i + 1}", n)
    return out + make_cards("PCOUNT", 0) + make_cards("GCOUNT", 1)


def replace_card(cards: Sequence[bytes], key: str, value: Any, comment: str = "") -> list[bytes]:
    """Cards with one keyword set: in its place if it is there, else at the end."""
    new = make_cards(key, value, comment)
    where = next((i for i, c in enumerate(cards) if keyword(c) == key), None)
    if where is None:
        return [*cards, *new]
    end = where + 1
    while end < len(cards) and keyword(cards[end]) == "CONTINUE":
        end += 1
    return [*cards[:where], *new, *cards[end:]]


def header_bytes(cards: Iterable[bytes], blocks: int = 1) -> bytes:
    """Cards, END, and blanks up to a whole block; with blank cards before END, which ends the last of `blocks`."""
    raw = b"".join(cards).ljust((blocks - 1) * BLOCK) + b"END".ljust(CARD)
    return raw + b" " * (-len(raw) % BLOCK)


def header_blocks(cards: int) -> int:
    """Blocks of a header with so many cards and END."""
    return -(-(cards + 1) // CARDS_A_BLOCK)
