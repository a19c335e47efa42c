"""The numbers of a run as a file for programs: CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from denoise.atomic import put
from denoise.engine import Result


def write_numbers(result: Result, path: Path) -> Path:
    """Write the metrics of a run beside its output.

    Parameters
    ----------
    result : Result
        Of the run. Fluxes are sums over voxels in the unit of the data; what is undefined is empty, or null.
    path : Path
        Ends in ``.csv`` (rows of name, value) or ``.json``; replaced if it exists.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    facts = {"input": result.input.name, "method": result.method, "unit": result.input.unit_text}
    if result.display:
        facts["display"] = "the output is for display only, without a unit"
    if path.suffix == ".json":
        values = {**facts, "parameters": result.parameters, "metrics": result.metrics}
        return put(path, f"{json.dumps(values, indent=1)}\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "value"])
    for name, value in {**facts, **result.metrics}.items():
        writer.writerow([name, "" if value is None else value])
    return put(path, text.getvalue())
