"""Which method of a comparison to use, and why: the rule of `denoise compare`.

1. It denoises: its squared error is less than half of what the input itself has.
2. It invents nothing: not more than one false region expected in what was compared, within the error of that number.
3. It keeps the flux: of injected sources at the highest peak SNR 90 to 110 %, and no less than the method that keeps
   the most of it, both within the errors.
4. Of those, the lowest squared error on data with noise of their own.
5. What is within the standard error of that, paired, is equal: then a method with an error bar, then the fastest.

Where no method fulfils 1, 2 or 3, those that come nearest, within the errors, go on, and the sentence says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import hypot, inf

from denoise.check.choosing.compared import Entry
from denoise.check.choosing.heldout import AMPLITUDE
from denoise.metrics import Measurement

LEFT = 0.5 * (1 + AMPLITUDE**2)  # sigma squared, of trials
KEPT, MOST = 0.9, 1.1
FALSE = 1.0

Differences = Callable[[str], Mapping[str, Measurement]]


def recommend(entries: Sequence[Entry], differences: Differences) -> tuple[str, str]:
    """The method to use and a sentence that says why; two empty texts where none has a score.

    Parameters
    ----------
    entries : sequence of Entry
        All methods.
    differences : callable
        Scores of all methods less that of the one that is named, paired.
    """
    scored = [one for one in entries if one.score is not None]
    if not scored:
        return "", "No method could be scored."
    clean, _ = _nearest(scored, lambda one: _score(one).value < LEFT, _score)
    honest, invented = _nearest(clean, _invents_nothing, _false)
    keeping, lost = _nearest(honest, lambda one: _keeps(one, honest), _lost)
    best = min(keeping, key=lambda one: _score(one).value)
    off = differences(best.method)
    equal = [one for one in keeping if one is best or off[one.method].value <= off[one.method].error]
    chosen = min(equal, key=lambda one: (not one.error_bar, one.seconds))
    return chosen.method, _sentence(chosen, best, scored, honest, keeping, equal, (invented, lost), off)


def _nearest(
    entries: list[Entry], good: Callable[[Entry], bool], cost: Callable[[Entry], Measurement]
) -> tuple[list[Entry], bool]:
    """Those that are good, or those that come nearest within the errors; and whether it came to that."""
    found = [one for one in entries if good(one)]
    if found:
        return found, False
    least = min(map(cost, entries), key=lambda one: one.value)
    return [
        one for one in entries if cost(one).value - least.value <= hypot(cost(one).error, least.error)
    ], True


def _score(one: Entry) -> Measurement:
    return one.score or Measurement(inf, 0.0)


def _false(one: Entry) -> Measurement:
    return one.false or Measurement(0.0, 0.0)


def _lost(one: Entry) -> Measurement:
    """How far the share of the flux is from all of it; more is as wrong as less."""
    return (
        Measurement(0.0, 0.0) if one.kept is None else Measurement(abs(one.kept.value - 1.0), one.kept.error)
    )


def _invents_nothing(one: Entry) -> bool:
    return one.false is None or one.false.value - one.false.error <= FALSE


def _keeps(one: Entry, others: Sequence[Entry]) -> bool:
    if one.kept is None:
        return True
    value, error = one.kept
    known = [other.kept for other in others if other.kept is not None]
    most = max(known, key=lambda kept: min(kept.value, 1.0))
    enough = value + error >= KEPT and value + hypot(error, most.error) >= min(most.value, 1.0)
    return enough and value - error <= MOST


def _sentence(
    chosen: Entry,
    best: Entry,
    scored: Sequence[Entry],
    honest: Sequence[Entry],
    keeping: Sequence[Entry],
    equal: Sequence[Entry],
    nearest: tuple[bool, bool],
    off: Mapping[str, Measurement],
) -> str:
    parts = [f"{chosen.method}: {_why(chosen, best, keeping, equal, off)}"]
    if chosen.kept is not None:
        kept = (
            f"{100 * chosen.kept.value:.0f} ± {100 * chosen.kept.error:.0f} % of the flux of injected sources"
        )
        at = f"at peak SNR {chosen.recovered[-1].snr:g}"
        parts.append(f"{'no method keeps the flux, this one' if nearest[1] else 'it'} keeps {kept} {at}")
    if chosen.false is not None:
        parts.append(
            f"{chosen.false.value:.1f} ± {chosen.false.error:.1f} false regions are expected"
            f"{': no method has clearly fewer' if nearest[0] else ''}"
        )
    text = "; ".join(parts)
    lower = [one for one in scored if one not in keeping and _score(one).value < _score(chosen).value]
    for one in lower:
        why = "does not keep the flux" if one in honest else "invents structure"
        text += f"; {one.method} has a lower error but {why}"
    return f"{text}."


def _why(
    chosen: Entry,
    best: Entry,
    keeping: Sequence[Entry],
    equal: Sequence[Entry],
    off: Mapping[str, Measurement],
) -> str:
    score = f"{_score(chosen).value:.3g} σ² a voxel"
    if len(keeping) == 1:
        return f"error {score}, and no other does as well in flux and false structure"
    if len(equal) == 1:
        second = min((one for one in keeping if one is not chosen), key=lambda one: _score(one).value)
        gain = off[second.method]
        return f"lowest error, {score}, {gain.value:.2g} ± {gain.error:.1g} below that of {second.method}"
    others = ", ".join(one.method for one in equal if one is not chosen)
    bar = chosen.error_bar and not all(one.error_bar for one in equal)
    than = "it gives an error bar" if bar else "it is faster"
    lowest = "lowest error" if chosen is best else "as good as the lowest error"
    return f"{lowest}, {score}; {others} {'is' if len(equal) == 2 else 'are'} within the standard error, but {than}"
