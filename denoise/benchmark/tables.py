"""Tables of a run: one line a row and case (CSV, Parquet), and summaries by group, bin and row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise._version import __version__
from denoise.atomic import put
from denoise.benchmark.scoring import KEYS
from denoise.benchmark.suite import Suite
from denoise.metrics import Summary, summarise

Entry = Mapping[str, Any]
LEADING = ("suite", "group", "bin", "cube", "number", "draw", "row", "category", "kind", "peak_snr")
SHOWN = {
    "rmse_ratio_aperture": ("RMSE aperture", 3),
    "rmse_ratio_emission": ("RMSE emission", 3),
    "rmse_ratio_cube": ("RMSE cube", 3),
    "flux_aperture_percent": ("flux in ap. %", 1),
    "flux_emission_percent": ("flux in em. %", 1),
    "flux_cube_percent": ("flux in cube %", 1),
    "linearity_error_percent": ("lin. err. %", 1),
    "emission_auc": ("AUC", 3),
    "peak_kept": ("peak", 2),
    "peak_voxel_kept": ("peak voxel", 2),
    "bright_mean_kept": ("bright", 2),
    "completeness": ("found", 2),
    "beam_broadening": ("beam x", 2),
    "moment1_error": ("mom. 1 err.", 2),
    "residual_acf_difference": ("resid. ACF", 3),
    "false_regions": ("false", 2),
}


@dataclass(frozen=True)
class Line:
    """One line of the summary: every score of one row over the cubes of one bin."""

    group: str
    bin: str
    row: str
    scores: dict[str, Summary]
    failed: int = 0


def tidy(suite: Suite, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """One flat record a row and case, with every column; times are not part of it, so that two runs agree."""
    columns = (*LEADING, *KEYS, "error")
    return [{"suite": suite.label} | {name: entry.get(name) for name in columns[1:]} for entry in entries]


def write_tables(suite: Suite, entries: Sequence[Entry], folder: Path) -> list[Path]:
    """Write ``table.csv``, ``table.parquet`` (with pyarrow), ``times.csv`` and ``results.json``.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    records = tidy(suite, entries)
    times = [{key: e.get(key) for key in ("case", "row", "seconds")} for e in entries]
    files: dict[str, str | bytes] = {
        "table.csv": _csv(records),
        "times.csv": _csv(times),
        "results.json": json.dumps(results(suite, entries), indent=1),
    }
    parquet = _parquet(records)
    if parquet is not None:
        files["table.parquet"] = parquet
    return [put(folder / name, content) for name, content in files.items()]


def results(suite: Suite, entries: Sequence[Entry]) -> dict[str, Any]:
    """What two runs are compared by: every score of every case."""
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        cases.setdefault(entry["row"], {})[entry["case"]] = {key: entry.get(key) for key in KEYS}
    return {
        "suite": suite.suite,
        "version": suite.version,
        "fingerprint": suite.fingerprint,
        "software": __version__,
        "rows": cases,
    }


def summary(entries: Sequence[Entry]) -> list[Line]:
    """Medians and means with standard errors, one line for each group, bin and row, in the order of the entries.

    Where a cube has several noise draws, its mean over them counts once: draws of one cube are not independent.
    """
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry["group"], entry["bin"], entry["row"]), []).append(entry)
    lines = []
    for (group, snr, row), members in groups.items():
        good = [m for m in members if "error" not in m]
        lines.append(Line(group, snr, row, summarise(_per_cube(good), KEYS), len(members) - len(good)))
    return lines


def _per_cube(entries: Sequence[Entry]) -> list[dict[str, float | None]]:
    cubes: dict[int, list[Entry]] = {}
    for entry in entries:
        cubes.setdefault(entry["number"], []).append(entry)
    return [{key: _mean([draw.get(key) for draw in draws]) for key in KEYS} for draws in cubes.values()]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def cells(line: Line, *, errors: bool = True) -> list[str]:
    """The scores of a line as text, in the order of ``SHOWN``: value and standard error."""
    return [_cell(line.scores[key], digits, errors) for key, (_, digits) in SHOWN.items()]


def _cell(found: Summary, digits: int, errors: bool) -> str:
    if found.value is None:
        return "-"
    text = f"{found.value:.{digits}f}"
    return f"{text} ± {found.error:.{digits}f}" if errors and found.error is not None else text


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _parquet(records: Sequence[Mapping[str, Any]]) -> bytes | None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([dict(r) for r in records]), sink)
    return sink.getvalue()
