"""Does an independent half rank the rows as the truth does?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from denoise.benchmark.tables import SHOWN, Entry

SCORES = ("rmse_ratio_aperture", "rmse_ratio_emission", "rmse_ratio_cube")
GROUPS = ("half", "truth")  # of the cases of a suite of halves
TITLE = "Does the other half rank the rows as the truth does?"
HEAD = ("cube", "score", "rows", "Spearman")
_FEWEST = 3  # rows: two are in order by chance half of the time


class Agreement(NamedTuple):
    """Rank correlation of one score over the rows of one cube.

    Attributes
    ----------
    cube, score : str
        Which.
    rows : int
        Rows that both have.
    spearman : float
        1: the same order; 0: none (Spearman 1904, Am. J. Psychol. 15, 72; ties share their mean rank).
    """

    cube: str
    score: str
    rows: int
    spearman: float


def agreements(entries: Sequence[Entry]) -> list[Agreement]:
    """One for each score and each cube that was scored against both, and one of the means over these cubes.

    Empty where no cube was. Rows that are nearly as good as each other change places by the noise of the half alone.
    """
    cubes = [
        cube
        for cube in dict.fromkeys(e["cube"] for e in entries)
        if len(_groups(entries, cube)) == len(GROUPS)
    ]
    found = []
    for score in SCORES:
        title, _ = SHOWN[score]
        half, truth = ({cube: _scores(entries, group, cube, score) for cube in cubes} for group in GROUPS)
        rows = {cube: [row for row in half[cube] if row in truth[cube]] for cube in cubes}
        for cube in cubes:
            pairs = [(half[cube][row], truth[cube][row]) for row in rows[cube]]
            found += _agreement(cube, title, pairs)
        everywhere = [
            row for row in next(iter(rows.values()), []) if all(row in rows[cube] for cube in cubes)
        ]
        if len(cubes) > 1:
            means = [
                tuple(fmean(of[cube][row] for cube in cubes) for of in (half, truth)) for row in everywhere
            ]
            found += _agreement("mean of these cubes", title, means)
    return found


def _groups(entries: Sequence[Entry], cube: str) -> set[str]:
    return {entry["group"] for entry in entries if entry["cube"] == cube} & set(GROUPS)


def _scores(entries: Sequence[Entry], group: str, cube: str, score: str) -> dict[str, float]:
    return {
        entry["row"]: entry[score]
        for entry in entries
        if (entry["group"], entry["cube"]) == (group, cube) and entry.get(score) is not None
    }


def _agreement(cube: str, score: str, pairs: Sequence[tuple[float, ...]]) -> list[Agreement]:
    from scipy.stats import spearmanr

    if len(pairs) < _FEWEST:
        return []
    return [Agreement(cube, score, len(pairs), float(spearmanr(*zip(*pairs, strict=True)).statistic))]


def ranking_rows(found: Sequence[Agreement]) -> list[tuple[str, str, str, str]]:
    """The same as text, under `HEAD`."""
    return [(one.cube, one.score, str(one.rows), f"{one.spearman:.2f}") for one in found]
