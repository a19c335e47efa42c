"""A result on its way into a file, for the viewer: what has come is shown from the file that is being made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, PixelSource, Provenance, Region
from denoise.engine.sinks import FileKeeper, Finished, Sink, Told
from denoise.engine.tilework import Keep, Piece
from denoise.noise import NoiseModel

Shown = Callable[[Region], None]


class Filling:
    """Pixels of a result that fills, NaN where no tile has come; read in one thread, filled in another.

    Parameters
    ----------
    written : PixelSource
        The file so far, shape (channel, y, x).
    """

    def __init__(self, written: PixelSource) -> None:
        self.shape, self.dtype = written.shape, written.dtype
        self._written = written
        self._came: list[Region] = []

    def came(self, region: Region) -> None:
        """A tile is written."""
        self._came.append(region)

    def read(self, region: Region) -> NDArray[Any]:
        """Of a region (channel, y, x)."""
        shown = np.full([part.stop - part.start for part in region], np.nan, self.dtype)
        for tile in list(self._came):
            common = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(tile, region, strict=True)
            )
            if all(part.start < part.stop for part in common):
                within = tuple(
                    slice(part.start - whole.start, part.stop - whole.start)
                    for part, whole in zip(common, region, strict=True)
                )
                shown[within] = self._written.read((common[0], common[1], common[2]))
        return shown


@dataclass(frozen=True)
class _Placed:
    """Keeps a piece as another keeper does, and says where it lies; picklable."""

    keep: Keep

    def __call__(self, piece: Piece) -> tuple[Region, Any]:
        return piece.region, self.keep(piece)


class WatchedSink:
    """A sink that passes everything on to another, and tells what has come.

    Parameters
    ----------
    sink : Sink
        Of the output. One whose file cannot be read while it is made (Zarr) is not watched: nothing is told.
    opened : callable
        Told once, before the first tile: the `Filling` pixels, and whether they are for display only.
    shown : callable
        Told the region of every core that has come.
    """

    def __init__(self, sink: Sink, opened: Callable[[Filling, bool], None], shown: Shown) -> None:
        self._sink = sink
        self._opened = opened
        self._shown = shown
        self._display = False
        self._filling: Filling | None = None

    def open(self, cube: Cube, noise: NoiseModel, told: Told) -> None:
        """Get the output ready."""
        self._sink.open(cube, noise, told)
        self._display = told.display

    def keeper(self) -> Keep:
        """As the output's, with the place of every piece."""
        keep = self._sink.keeper()
        if isinstance(keep, FileKeeper):
            self._filling = Filling(keep.writer.view("DATA"))
            self._opened(self._filling, self._display)
        return _Placed(keep)

    def take(self, kept: tuple[Region, Any]) -> None:
        """Pass it on and say so."""
        region, inner = kept
        self._sink.take(inner)
        if self._filling is not None:
            self._filling.came(region)
            self._shown(region)

    def finish(self, provenance: Provenance, *, history: Sequence[str] = ()) -> Finished:
        """Complete the output."""
        return self._sink.finish(provenance, history=history)

    def abort(self) -> None:
        """Leave nothing of it."""
        self._sink.abort()
