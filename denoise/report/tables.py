"""The numbers of a run as plain rows, in plain language: one place for the report and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from denoise.report.labels import UNSTATED, number


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    name : str
        What it is, in words.
    before, after : object
        Values for the input and the output; None: undefined; a number of the run alone is `after`.
    unit : str
        Unit of both, empty for none.
    note : str
        How to read it, or why it is missing.
    paired : bool
        Whether the row compares input and output; if not, only `after` is filled.
    """

    name: str
    before: Any
    after: Any
    unit: str = ""
    note: str = ""
    paired: bool = True

    def cells(self) -> tuple[str, str, str, str, str]:
        """The row as text: name, before, after, unit, note."""
        before = number(self.before) if self.paired else ""
        return self.name, before, number(self.after), self.unit, self.note


@dataclass(frozen=True)
class _Line:
    name: str
    before: str | None
    after: str
    unit: str = ""
    note: str = ""
    missing: str = ""
    error: str | None = None
    error_after: str | None = None


DATA = "{unit}"
_LINES = (
    _Line(
        "Noise (1 sigma)",
        "noise_before",
        "noise_after",
        DATA,
        "robust spread outside the emission found",
        "undefined: nothing is left there, or only exact zeros",
    ),
    _Line(
        "Noise reduction",
        None,
        "noise_ratio",
        "×",
        "noise before / noise after",
        "undefined: nothing is left outside the emission, or only exact zeros",
    ),
    _Line("Peak", "peak_before", "peak_after", DATA, "brightest voxel; before, it includes a noise peak"),
    _Line(
        "Peak signal-to-noise",
        "peak_snr_before",
        "peak_snr_after",
        "",
        "brightest voxel over the noise there",
    ),
    _Line(
        "Flux of the emission found",
        "flux_before",
        "flux_after",
        "{unit} × voxel",
        "sum over the voxels in which emission was found",
        "no emission was found",
        "flux_before_error",
        "flux_after_error",
    ),
    _Line(
        "Change of that flux",
        None,
        "flux_change_percent",
        "%",
        "after against before",
        "no emission was found",
    ),
    _Line("Sum over the whole cube", "total_before", "total_after", "{unit} × voxel", "noise included"),
    _Line("Voxels with data", None, "voxels"),
    _Line("Voxels in which emission was found", None, "detected_voxels"),
    _Line("Share of voxels with emission", None, "detected_percent", "%"),
    _Line(
        "Mean of the residual", None, "residual_mean_sigma", "sigma", "0 if nothing but noise was taken away"
    ),
    _Line(
        "Spread of the residual",
        None,
        "residual_std_sigma",
        "sigma",
        "1 if all the noise and nothing else was taken away",
    ),
    _Line(
        "Robust spread of the residual",
        None,
        "residual_mad_sigma",
        "sigma",
        "from the median absolute deviation",
    ),
    _Line("Photometric restore", None, "restore_passed", "", "1: every injected source came back; 0: failed"),
    _Line(
        "Linearity error",
        None,
        "linearity_error_percent",
        "%",
        "largest error of the flux of an injected source of 3 to 50 sigma; at most 10 is a pass",
    ),
    _Line("Injected sources", None, "injected_sources"),
    _Line("Gain of the restore", None, "restore_gain", "×", "fitted on an independent draw of the noise"),
    _Line("Offset of the restore", None, "restore_offset_sigma", "sigma", "fitted on the same draw"),
)
_COUNTS = frozenset({"voxels", "detected_voxels", "injected_sources"})


def metric_rows(metrics: Mapping[str, Any], unit: str) -> list[Row]:
    """Rows of the metrics of a run.

    Parameters
    ----------
    metrics : mapping of str to object
        As ``Result.metrics`` has them; names this module does not know come last, under their own name.
    unit : str
        Unit of the data, as text.

    Returns
    -------
    list of Row
        In reading order; a value that is None says in its note why it is missing.
    """
    rows = [_row(line, metrics, unit) for line in _LINES if line.after in metrics or line.before in metrics]
    known = {key for line in _LINES for key in (line.before, line.after, line.error, line.error_after)}
    rest = {
        key: value for key, value in metrics.items() if key not in known and not isinstance(value, Mapping)
    }
    return rows + list(_unknown(rest))


def _row(line: _Line, metrics: Mapping[str, Any], unit: str) -> Row:
    before = metrics.get(line.before, "") if line.before else None
    after = metrics.get(line.after, "")
    if line.after in _COUNTS and after is not None:
        after = int(after)
    note = line.missing if after is None and line.missing else line.note
    error = metrics.get(line.error) if line.error else None
    if error is not None and before not in {None, ""}:
        note = f"{note}; before ± {number(error)} (noise)"
    error = metrics.get(line.error_after) if line.error_after else None
    if error is not None and after not in {None, ""}:
        note = f"{note}, after ± {number(error)} (scatter and bias of draws)"
    return Row(line.name, before, after, _unit(line.unit, unit), note, line.before is not None)


def _unit(pattern: str, unit: str) -> str:
    summed = pattern != DATA and unit == UNSTATED
    return pattern.replace(DATA, "data unit" if summed else unit)


def _unknown(rest: Mapping[str, Any]) -> Iterable[Row]:
    """Pairs ``*_before``/``*_after`` on one row, everything else on its own."""
    done: set[str] = set()
    for key, value in rest.items():
        stem, _, end = key.rpartition("_")
        if key in done:
            continue
        if end in ("before", "after") and {f"{stem}_before", f"{stem}_after"} <= rest.keys():
            done |= {f"{stem}_before", f"{stem}_after"}
            yield Row(_words(stem), rest[f"{stem}_before"], rest[f"{stem}_after"])
        else:
            count = isinstance(value, float) and value.is_integer()
            yield Row(_words(key), None, int(value) if count else value, paired=False)


def _words(key: str) -> str:
    text = key.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
