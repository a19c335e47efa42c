"""Where noise breaks: seams of mosaics, detector quadrants and stitched fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from denoise.errors import NoiseError

Piece = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Seams:
    """Rows and columns at which the noise is independent of what precedes it.

    Parameters
    ----------
    rows, columns : tuple of int
        First row, first column beyond each seam, in rising order. A seam runs through the whole field.

    Raises
    ------
    NoiseError
        They are not in rising order, or one is at the border.
    """

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for places in (self.rows, self.columns):
            if any(b <= a for a, b in pairwise((0, *places))):
                raise NoiseError(
                    "seams are given by pixels after the first, in rising order",
                    value=places,
                    action="give the first row or column beyond each seam, sorted, each once",
                )

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.rows or self.columns)

    def within(self, start: tuple[int, int], shape: tuple[int, int]) -> Seams:
        """Those inside a part of the field that begins at `start` (y, x), counted from there."""
        rows, columns = (
            tuple(at - first for at in seams if first < at < first + size)
            for seams, first, size in zip((self.rows, self.columns), start, shape, strict=True)
        )
        return Seams(rows, columns)

    def pieces(self, shape: tuple[int, int]) -> Iterator[Piece]:
        """Parts of a field (y, x) that no seam crosses, row by row."""
        for top, bottom in pairwise((0, *self.rows, shape[0])):
            for left, right in pairwise((0, *self.columns, shape[1])):
                yield slice(top, bottom), slice(left, right)

    def __str__(self) -> str:
        """In words: ``row 37, columns 80 and 160``."""
        named = (("row", self.rows), ("column", self.columns))
        return ", ".join(
            f"{name}{'s' if len(places) > 1 else ''} {' and '.join(map(str, places))}"
            for name, places in named
            if places
        )


NONE = Seams()


def overlap(piece: Piece, start: tuple[int, int], shape: tuple[int, int]) -> Piece:
    """The part of a piece that lies in a region beginning at `start` (y, x); empty slices where none does."""
    low = [max(s.start, first) for s, first in zip(piece, start, strict=True)]
    high = [min(s.stop, first + n) for s, first, n in zip(piece, start, shape, strict=True)]
    rows, columns = (slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    return rows, columns
