"""Curves and numbers as tables with units: CSV and ECSV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from denoise.atomic import put
from denoise.errors import UsageError
from denoise.metrics import Measurement
from denoise.report.labels import unit_text
from napari_denoise.inspect.linefit import LineFit
from napari_denoise.inspect.measure import Measured, Pair
from napari_denoise.inspect.plots import Diagram, model_of, unit_gaussian
from napari_denoise.inspect.residual import Residual
from napari_denoise.inspect.rows import NumberRow

__all__ = ["acf_table", "diagram_table", "histogram_table", "number_table", "spectrum_table", "write_table"]


def spectrum_table(measured: Measured, aperture: str, fits: Sequence[LineFit | None] = ()) -> Table:
    """Channel, coordinate, width, spectra with their errors, and the fitted lines."""
    pair, label = measured.pair, measured.pair.spectral
    table = Table(meta=_about(pair, aperture=aperture, pixels=measured.pixels, quantity=pair.unit.name))
    table["channel"] = np.arange(label.values.size)
    _add(table, "spectral", label.values, label.native)
    _add(table, "width", label.width, label.native)
    for name, curve in ((pair.name, measured.before), ("denoised", measured.after)):
        if curve is not None:
            _add(table, name, curve.values, pair.unit.native)
            if curve.error is not None:
                _add(table, f"{name}_error", curve.error, pair.unit.native)
    for name, fit in zip((pair.name, "denoised"), fits, strict=False):
        if fit is not None:
            _add(table, f"{name}_fit", fit.curve(label.values), pair.unit.native)
    table.meta["spectral axis"] = label.text
    return table


def number_table(sections: Sequence[tuple[str, Sequence[NumberRow]]], pair: Pair, **about: Any) -> Table:
    """One row a number: where, what, unit, and value and error before and after; NaN: undefined."""
    table = Table(
        names=["where", "quantity", "unit", "before", "before_error", "after", "after_error", "note"],
        dtype=[object, object, object, float, float, float, float, object],
        meta=_about(pair, **about),
    )
    for where, rows in sections:
        for row in rows:
            table.add_row([where, row.name, row.unit, *_split(row.before), *_split(row.after), row.note])
    for name in ("where", "quantity", "unit", "note"):
        table[name] = table[name].astype(str)
    return table


def histogram_table(found: Residual, pair: Pair) -> Table:
    """Bins of residual / sigma with their density, and a unit Gaussian's."""
    centres, gaussian = unit_gaussian(found.edges)
    about = {"voxels": found.count, "mean": found.mean, "spread": found.std}
    return Table(
        {"sigma": centres, "density": found.density, "unit_gaussian": gaussian}, meta=_about(pair, **about)
    )


def acf_table(found: Residual, pair: Pair) -> Table:
    """Autocorrelation of the residual with its error and the noise model's, direction by direction."""
    columns: dict[str, list[Any]] = {
        "direction": [],
        "lag": [],
        "residual": [],
        "error": [],
        "noise_model": [],
    }
    for curve in found.curves:
        size = curve.measured.size
        columns["direction"] += [curve.what] * size
        columns["lag"] += range(size)
        columns["residual"] += curve.measured.tolist()
        columns["error"] += curve.error.tolist()
        columns["noise_model"] += model_of(curve).tolist()
    return Table(columns, meta=_about(pair))


def diagram_table(found: Diagram) -> Table:
    """One row a sample: channel, coordinate, offset, brightness before and after."""
    pair, label = found.pair, found.pair.spectral
    channel, sample = (index.ravel() for index in np.indices(found.before.shape))
    table = Table(meta=_about(pair, path=found.where))
    table["channel"] = channel
    _add(table, "spectral", label.values[channel], label.native)
    _add(table, "offset", found.offset[sample], found.unit)
    _add(table, pair.name, found.before.ravel(), pair.before.unit)
    if found.after is not None:
        _add(table, "denoised", found.after.ravel(), pair.before.unit)
    return table


def write_table(table: Table | QTable, path: Path) -> Path:
    """Write a table: ``.ecsv`` with units and what it is of, ``.csv`` with the units in the names.

    Raises
    ------
    UsageError
        Another ending.
    ResourceError
        It cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".ecsv"):
        raise UsageError(
            "tables are written as .csv or .ecsv", value=path.name, action="choose one of the two endings"
        )
    text = io.StringIO()
    if kind == ".csv":
        table = table.copy()
        for name in list(table.colnames):
            if table[name].unit is not None:
                table.rename_column(name, f"{name} ({unit_text(table[name].unit)})")
    table.write(text, format="ascii.csv" if kind == ".csv" else "ascii.ecsv")
    return put(path, text.getvalue())


def _add(table: Table, name: str, values: Any, unit: Any) -> None:
    table[name] = np.asarray(values)
    if unit is not None:
        table[name].unit = unit


def _about(pair: Pair, **more: Any) -> dict[str, Any]:
    from denoise import __version__

    names = {"input": pair.before.name}
    if pair.after is not None:
        names["denoised"] = pair.after.name
    return {"program": f"astro-denoise {__version__}", **names, **more}


def _split(value: float | Measurement | None) -> tuple[float, float]:
    if value is None:
        return float("nan"), float("nan")
    if isinstance(value, Measurement):
        return value.value, value.error
    return value, float("nan")
