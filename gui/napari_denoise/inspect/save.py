"""What the Inspect dock writes: the plot or the curves of a tab, and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise.errors import UsageError
from napari_denoise.inspect.canvas import PlotCanvas
from napari_denoise.inspect.export import (
    acf_table,
    diagram_table,
    histogram_table,
    number_table,
    spectrum_table,
    write_table,
)
from napari_denoise.inspect.linefit import LineFit
from napari_denoise.inspect.measure import Measured, Pair
from napari_denoise.inspect.plots import DiagramPlot, ResidualPlot
from napari_denoise.inspect.rows import NumberRow

FILTERS = "Table with units (*.ecsv);;Table (*.csv);;Plot (*.png)"
TABLES = "Table with units (*.ecsv);;Table (*.csv)"
_NOTHING = "there is nothing to save yet"


@dataclass(frozen=True, eq=False)
class Shown:
    """What the dock shows now."""

    pair: Pair | None
    measured: Measured | None
    fits: tuple[LineFit | None, LineFit | None]
    aperture: str


def save_view(canvas: PlotCanvas, shown: Shown, path: Path) -> list[Path]:
    """Write a plot (``.png``) or its curves (``.csv``, ``.ecsv``); the files written.

    The residual has two tables: their names end in ``_histogram`` and ``_autocorrelation``.

    Raises
    ------
    UsageError
        Nothing is shown, or the ending is another.
    ResourceError
        It cannot be written.
    """
    tables = _tables(canvas, shown)
    if path.suffix.lower() == ".png":
        return [canvas.save(path)]
    if len(tables) == 1:
        return [write_table(tables[0][1], path)]
    return [write_table(table, path.with_name(f"{path.stem}_{name}{path.suffix}")) for name, table in tables]


def save_numbers(sections: Sequence[tuple[str, Sequence[NumberRow]]], shown: Shown, path: Path) -> Path:
    """Write the tables of the dock.

    Raises
    ------
    UsageError
        Nothing is measured, or the ending is another.
    ResourceError
        It cannot be written.
    """
    if shown.measured is None:
        raise UsageError(_NOTHING, action="choose an aperture")
    about = {"aperture": shown.aperture, "pixels": shown.measured.pixels}
    return write_table(number_table(sections, shown.measured.pair, **about), path)


def _tables(canvas: PlotCanvas, shown: Shown) -> list[tuple[str, Any]]:
    if isinstance(canvas, ResidualPlot):
        if canvas.found is None or shown.pair is None:
            raise UsageError(_NOTHING, action="wait for the residual")
        return [
            ("histogram", histogram_table(canvas.found, shown.pair)),
            ("autocorrelation", acf_table(canvas.found, shown.pair)),
        ]
    if isinstance(canvas, DiagramPlot):
        if canvas.found is None:
            raise UsageError(_NOTHING, action="draw a cut")
        return [("cut", diagram_table(canvas.found))]
    if shown.measured is None:
        raise UsageError(_NOTHING, action="choose an aperture")
    return [("spectrum", spectrum_table(shown.measured, shown.aperture, shown.fits))]
