"""What a finished run writes: tables, figure, and one HTML page that holds them all."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from denoise._version import __version__
from denoise.atomic import put
from denoise.benchmark.figure import draw
from denoise.benchmark.ranking import HEAD, TITLE, agreements, ranking_rows
from denoise.benchmark.suite import FLOORS, Suite
from denoise.benchmark.tables import SHOWN, Line, cells, summary, write_tables


class BenchmarkFiles(NamedTuple):
    """Where the results of a run are."""

    html: Path
    figure: Path
    tables: tuple[Path, ...]


def write_results(suite: Suite, entries: Sequence[dict[str, Any]], folder: str | Path) -> BenchmarkFiles:
    """Write tables, figure and page of a finished run into its folder; each appears whole, the page last.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    folder = Path(folder)
    lines = summary(entries)
    png = draw(lines, title=f"{suite.title} ({suite.label})", reference=suite.reference)
    tables = tuple(write_tables(suite, entries, folder))
    figure = put(folder / f"{suite.suite}.png", png)
    html = put(folder / "index.html", _render(suite, lines, entries, png, tables))
    return BenchmarkFiles(html, figure, tables)


def _render(
    suite: Suite, lines: Sequence[Line], entries: Sequence[dict[str, Any]], png: bytes, tables: Sequence[Path]
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("denoise.benchmark", "templates"), autoescape=True, undefined=StrictUndefined
    )
    groups: dict[str, dict[str, list[tuple[str, bool, list[str]]]]] = {}
    for line in lines:
        shown = (line.row, line.row in FLOORS, cells(line))
        groups.setdefault(line.group, {}).setdefault(line.bin, []).append(shown)
    return environment.get_template("benchmark.html.j2").render(
        suite=suite,
        facts=_facts(suite, entries),
        figure="data:image/png;base64," + base64.b64encode(png).decode("ascii"),
        columns=[title for title, _ in SHOWN.values()],
        groups=groups,
        ranking={"title": TITLE, "head": HEAD, "rows": ranking_rows(agreements(entries))},
        failures=failures(entries),
        files=[path.name for path in tables],
    )


def failures(entries: Sequence[dict[str, Any]]) -> list[str]:
    """What failed, one line for each row and reason."""
    found: dict[tuple[str, str], int] = {}
    for entry in entries:
        if "error" in entry:
            key = (entry["row"], entry["error"])
            found[key] = found.get(key, 0) + 1
    return [f"{row}: {reason} ({count} cubes)" for (row, reason), count in found.items()]


def _facts(suite: Suite, entries: Sequence[dict[str, Any]]) -> dict[str, str]:
    cubes = len({entry["case"] for entry in entries})
    return {
        "suite": suite.label,
        "fingerprint of the cubes": suite.fingerprint,
        "cubes": str(cubes),
        "seed": str(suite.seed),
        "software": f"astro-denoise {__version__}",
    }
