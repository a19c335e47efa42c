"""One method against another, suite by suite: ratio of their errors, and the flux that each keeps.

    python benchmarks/two_methods.py ist hybrid --cubes 2
    python benchmarks/two_methods.py ist hybrid --suite muse-lines --cubes 10

A ratio is a geometric mean over the cubes, below 1 where the second method is better, with the share of cubes in which
it is worse by more than 5 %. Suites of files are read from ``$DENOISE_TEST_DATA``, and left out where it is not set.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoise.benchmark import Suite, load_suite, run_suite
from denoise.benchmark.suite import Simulated, suite_names

Entry = dict[str, Any]
EMPTY = "empty-fields"  # nothing to have a ratio of
FOLDERS = {"bench": "bench"}  # of the data folder, where not cubes/
WORSE = 1.05


def folder_of(suite: Suite) -> Path | None:
    """Where the files of a suite are; None without DENOISE_TEST_DATA."""
    root = os.environ.get("DENOISE_TEST_DATA")
    return None if root is None else Path(root) / FOLDERS.get(suite.suite, "cubes")


def compared(entries: Sequence[Entry], first: str, second: str) -> str:
    """The cells of one group."""
    cubes: dict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        cubes[entry["case"]][entry["row"]] = entry
    pairs = [(one[first], one[second]) for one in cubes.values() if first in one and second in one]
    cells = [f"{len(pairs):5d}"]
    for name in ("rmse_ratio_aperture", "rmse_ratio_emission"):
        known = [(a[name], b[name]) for a, b in pairs if a.get(name) and b.get(name)]
        ratio = np.array([b / a for a, b in known])
        if ratio.size:
            cells.append(f"{np.exp(np.log(ratio).mean()):6.3f} ({100 * np.mean(ratio > WORSE):3.0f} %)")
        else:
            cells.append(f"{'-':>14}")
    for name, form in (("flux_emission_percent", "6.1f"), ("false_regions", "6.3f")):
        for which in (0, 1):
            values = [pair[which][name] for pair in pairs if pair[which].get(name) is not None]
            cells.append(f"{np.mean(values):{form}}" if values else f"{'-':>6}")
    return "  ".join(cells)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--suite", action="append", help="in place of all but empty-fields; may be repeated")
    parser.add_argument("--cubes", type=int, default=2, help="of each bin")
    parser.add_argument("--draws", type=int, default=2, help="of the noise, in suites that have several")
    parser.add_argument("--seed", type=int, help="other cubes than the fixed ones")
    asked = parser.parse_args()
    rows = {name: {"method": name} for name in (asked.first, asked.second)}
    print(f"ratio: {asked.second} over {asked.first} (cubes more than 5 % worse); flux, false regions: each")
    print(
        f"{'suite':18} {'group':22} cubes  RMSE aperture   RMSE emission   flux in emission %  false regions"
    )
    for name in asked.suite or [name for name in suite_names() if name != EMPTY]:
        several = getattr(load_suite(name).cases, "draws", 1) > 1
        draws = asked.draws if several else None
        suite = load_suite(name, cubes=asked.cubes, draws=draws, seed=asked.seed, methods=rows)
        folder = folder_of(suite)
        if folder is None and not isinstance(suite.cases, Simulated):
            print(f"{name:18} left out: its files are in $DENOISE_TEST_DATA, which is not set")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            entries = run_suite(suite, Path(scratch) / "run", data=folder)
        for group in dict.fromkeys(entry["group"] for entry in entries):
            own = [entry for entry in entries if entry["group"] == group]
            print(f"{name:18} {group:22} {compared(own, asked.first, asked.second)}", flush=True)


if __name__ == "__main__":
    main()
