"""The sources of one kind and one peak SNR as numbers with errors, and curves through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.check.recovery.measuring import Measured
from denoise.errors import ParameterError

Floats = NDArray[np.float64]

ALL = "all kinds"
# what each cell knows of its sources; shifts and widths are output minus source, of those that were found
SCORES = (
    "flux",
    "flux_around",
    "flux_found",
    "completeness",
    "peak",
    "shift_y",
    "shift_x",
    "distance",
    "fwhm",
    "shift_channel",
    "line",
)


class Score(NamedTuple):
    """A mean over sources, its standard error, and the scatter of one source (1 sigma)."""

    value: float
    error: float
    scatter: float


@dataclass(frozen=True)
class Cell:
    """Sources of one kind at one peak SNR.

    Attributes
    ----------
    kind : str
        Their template; `ALL` for all of them.
    snr : float
        Peak SNR.
    count, found : int
        How many were put in, and found.
    scores : mapping of str to Score or None
        By the names in `SCORES`; None where fewer than two sources tell. ``flux``: sum over the footprints that came
        out, over that which was put in; ``flux_around``: with what came out about them; ``flux_found``: the same of
        those found alone; ``peak``: of the output, in sigma of the input; shifts and ``distance`` in pixels or
        channels; ``fwhm`` (pixels) and ``line`` (channels): how much wider the output is.
    """

    kind: str
    snr: float
    count: int
    found: int
    scores: dict[str, Score | None] = field(default_factory=dict)


def summarise_cell(kind: str, snr: float, sources: Sequence[Measured]) -> Cell:
    """The numbers of these sources."""
    found = [one for one in sources if one.found]
    seen = [one for one in found if one.shift is not None]
    taken: dict[str, Score | None] = {
        "flux": ratio_score([(one.injected, one.recovered) for one in sources]),
        "flux_around": ratio_score([(one.whole, one.around) for one in sources]),
        "flux_found": ratio_score([(one.whole, one.around) for one in found]),
        "completeness": share_score(len(found), len(sources)),
        "peak": mean_score([one.peak for one in found]),
    }
    parts: dict[str, Callable[[Measured], float]] = {
        "shift_y": lambda one: _shift(one)[1],
        "shift_x": lambda one: _shift(one)[2],
        "distance": lambda one: math.hypot(*_shift(one)[1:]),
        "fwhm": lambda one: _change(one.fwhm),
        "shift_channel": lambda one: _shift(one)[0],
        "line": lambda one: _change(one.line),
    }
    taken |= {name: mean_score([part(one) for one in seen]) for name, part in parts.items()}
    return Cell(kind, snr, len(sources), len(found), taken)


def _shift(one: Measured) -> tuple[float, float, float]:
    return one.shift or (math.nan,) * 3


def _change(pair: tuple[float, float] | None) -> float:
    return math.nan if pair is None else pair[1] - pair[0]


def mean_score(values: Sequence[float]) -> Score | None:
    """Mean, standard error and scatter; None for fewer than two."""
    if len(values) < 2:
        return None
    scatter = float(np.std(values, ddof=1))
    return Score(float(np.mean(values)), scatter / math.sqrt(len(values)), scatter)


def share_score(count: int, total: int) -> Score | None:
    """A share; the error is half the Wilson interval (1 sigma), so it is not 0 at 0 or 1.

    Source: Wilson 1927, JASA 22, 209.
    """
    if total < 1:
        return None
    share = count / total
    error = math.sqrt(share * (1 - share) / total + 1 / (4 * total**2)) / (1 + 1 / total)
    return Score(share, error, math.sqrt(share * (1 - share)))


def ratio_score(pairs: Sequence[tuple[float, float]]) -> Score | None:
    """Ratio of the sums of (put in, came out), its standard error, and the scatter of a source's own ratio.

    Source: Cochran 1977, Sampling Techniques, equation 6.9.
    """
    if len(pairs) < 2:
        return None
    put, got = np.array(pairs).T
    if not put.sum() > 0:
        return None
    ratio, count = float(got.sum() / put.sum()), len(pairs)
    error = math.sqrt(float(((got - ratio * put) ** 2).sum()) * count / (count - 1)) / float(put.sum())
    own = np.divide(got, put, out=np.full(count, ratio), where=put > 0)
    return Score(ratio, error, float(np.std(own, ddof=1)))


def all_cells(names: Sequence[str], sources: Sequence[Measured]) -> list[Cell]:
    """Cells of every kind that has sources, and of all kinds together where there are several."""
    cells = []
    kinds = sorted({one.kind for one in sources})
    levels = sorted({one.snr for one in sources})
    for kind in kinds:
        for snr in levels:
            inside = [one for one in sources if one.kind == kind and one.snr == snr]
            if inside:
                cells.append(summarise_cell(names[kind], snr, inside))
    if len(kinds) > 1:
        cells += [summarise_cell(ALL, snr, [one for one in sources if one.snr == snr]) for snr in levels]
    return cells


@dataclass(frozen=True)
class Curve:
    """A score against peak SNR, never falling, within the range that was checked.

    Attributes
    ----------
    snr, value, error : ndarray, shape (n,)
        Points: the values are those of an isotonic fit weighted with the errors, and are joined by a monotone cubic
        (PCHIP); errors are joined by lines.

    Notes
    -----
    Source: Fritsch & Butland 1984, SIAM J. Sci. Stat. Comput. 5, 300 (PCHIP).
    """

    snr: Floats
    value: Floats
    error: Floats

    @classmethod
    def through(cls, points: Sequence[tuple[float, float, float]]) -> Curve:
        """Curve through (peak SNR, value, error), at least two of different SNR.

        Raises
        ------
        ParameterError
            Fewer than two points.
        """
        from sklearn.isotonic import IsotonicRegression

        rows = np.array(sorted(points), dtype=np.float64).reshape(-1, 3)
        keep = np.append(np.diff(rows[:, 0]) > 0, True) if len(rows) else np.zeros(0, bool)
        rows = rows[keep]
        if len(rows) < 2:
            raise ParameterError(
                "a curve needs sources at two peak SNR at least that were found",
                value=len(rows),
                action="check again with more sources, or with --snr of brighter ones",
            )
        least = max(1e-3, float(np.median(rows[:, 2])) / 10)
        weights = 1.0 / np.maximum(rows[:, 2], least) ** 2
        fitted = IsotonicRegression().fit_transform(rows[:, 0], rows[:, 1], sample_weight=weights)
        return cls(rows[:, 0], np.asarray(fitted, np.float64), rows[:, 2])

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest peak SNR that was checked."""
        return float(self.snr[0]), float(self.snr[-1])

    def at(self, snr: float) -> tuple[float, float] | None:
        """Value and error at a peak SNR; None outside the range: nothing is extrapolated."""
        from scipy.interpolate import PchipInterpolator

        low, high = self.range
        if not low <= snr <= high:
            return None
        value = float(PchipInterpolator(self.snr, self.value)(snr))
        return value, float(np.interp(snr, self.snr, self.error))


def unlikeness(snr: float) -> float:
    """1 sigma by which the recovery of a source differs from that of sources like what was found of it.

    What was found holds noise and lacks what the method lost. Measured on simulated discs with ``ist``: 8 % for peak
    SNR 4 to 9 (25 cubes), 2 to 3 % for 14 to 30 (8 cubes); see ``benchmarks/check_report.py``.
    """
    return min(0.08, 0.7 / snr)
