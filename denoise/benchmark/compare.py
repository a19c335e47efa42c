"""Compare two runs of one suite: what got better or worse beyond the noise of the draw."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from denoise.benchmark.tables import SHOWN
from denoise.errors import InputError

SIGNIFICANT = 3.0  # standard errors of a mean difference; some thirty numbers are looked at
LEAST = {  # differences too small to matter, in the unit of the score
    "rmse_ratio_aperture": 0.002,
    "rmse_ratio_emission": 0.005,
    "rmse_ratio_cube": 0.001,
    "flux_aperture_percent": 0.5,
    "flux_emission_percent": 0.5,
}
_TARGET = {"flux_aperture_percent": 100.0, "flux_emission_percent": 100.0, "beam_broadening": 1.0}
_HIGH = ("peak_kept", "peak_voxel_kept", "bright_mean_kept")  # 1 is right, above and below are not
_MORE = ("completeness", "emission_auc")


class Difference(NamedTuple):
    """One score of one row in one bin.

    Attributes
    ----------
    row, bin, score : str
    before, after : float
        Means over the cubes that both runs have.
    sigmas : float
        Mean of the paired differences over its standard error.
    verdict : {"better", "worse", "same"}
        Beyond the noise of the draw and large enough to matter; "same" else.
    cubes : int
        Pairs.
    """

    row: str
    bin: str
    score: str
    before: float
    after: float
    sigmas: float
    verdict: Literal["better", "worse", "same"]
    cubes: int


def load_results(path: str | Path) -> dict[str, Any]:
    """The ``results.json`` of a run.

    Raises
    ------
    InputError
        The file is none.
    """
    try:
        found = json.loads(Path(path).read_text())
        if not {"fingerprint", "rows", "suite"} <= set(found):
            raise ValueError("fingerprint, rows or suite is missing")
    except (OSError, ValueError) as err:
        raise InputError(
            f"{path} is not the results.json of a benchmark run", value=err, action="name that file"
        ) from None
    return dict(found)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """Paired differences of every score shown, row by row and bin by bin.

    The same seeds give the same cubes, so each cube is compared with itself: the noise of the draw cancels in all
    but the methods' own change.

    Raises
    ------
    InputError
        The two are not runs of the same cubes.
    """
    if old["fingerprint"] != new["fingerprint"]:
        raise InputError(
            "the two runs are not of the same cubes",
            value=f"{old['suite']} {old['fingerprint']}, {new['suite']} {new['fingerprint']}",
            action="run the same suite, version, seed and number of cubes",
        )
    out = []
    for row in [name for name in new["rows"] if name in old["rows"]]:
        before, after = old["rows"][row], new["rows"][row]
        both = [case for case in after if case in before]
        for place in dict.fromkeys(_place(case) for case in both):
            cases = [case for case in both if _place(case) == place]
            for score in SHOWN:
                found = _difference(
                    row, place, score, [(before[c].get(score), after[c].get(score)) for c in cases]
                )
                if found is not None:
                    out.append(found)
    return out


def _place(case: str) -> str:
    return "/".join(case.split("/")[:2])


def _difference(row: str, place: str, score: str, pairs: list[tuple[Any, Any]]) -> Difference | None:
    values = np.array([p for p in pairs if None not in p], np.float64)
    if not len(values):
        return None
    before, after = (float(v) for v in values.mean(axis=0))
    change = _badness(score, values[:, 1]) - _badness(score, values[:, 0])
    mean = float(change.mean())
    error = float(change.std(ddof=1)) / math.sqrt(change.size) if change.size > 1 else math.inf
    sigmas = 0.0 if mean == 0 else mean / error if error > 0 else math.copysign(math.inf, mean)
    matters = abs(sigmas) > SIGNIFICANT and abs(mean) >= LEAST.get(score, 0.0)
    verdict: Any = ("worse" if mean > 0 else "better") if matters else "same"
    return Difference(row, place, score, before, after, abs(sigmas), verdict, len(values))


def _badness(score: str, values: np.ndarray) -> np.ndarray:
    """The same score as a number that should be small."""
    if score in _TARGET:
        return np.abs(values - _TARGET[score])
    if score in _HIGH:
        return np.abs(values - 1.0)
    return -values if score in _MORE else values
