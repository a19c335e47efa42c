"""The audit in words: is the residual noise, was the flux kept, is there structure that the input does not
hold.

Pure functions on the numbers that :mod:`denoise.report.stream` and :mod:`denoise.check.regions.finding` gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.residual import Leftover, Place, scale_names
from denoise.report.labels import number, with_unit
from denoise.report.stream import Spread

Floats = NDArray[np.float64]
Level = Literal["good", "note", "warning"]

ACF_TOLERANCE = 0.05
SIGNIFICANT = 4.0
SPREAD_TOLERANCE = 0.05
MEAN_TOLERANCE = 0.2
FLUX_SIGNIFICANT = 3.0
FLUX_TOLERANCE = 5.0
FLUX_FAINT = 7.0  # what was selected for its brightness is too bright by up to its noise
POWER_TOLERANCE = 0.15
POWER_SIGNIFICANT = 5.0
LEFT_SHARE = 0.5


@dataclass(frozen=True)
class Finding:
    """One sentence of the audit.

    Attributes
    ----------
    level : {"good", "note", "warning"}
        How it should be read.
    title : str
        A few words.
    text : str
        What was measured and what it means.
    """

    level: Level
    title: str
    text: str


@dataclass(frozen=True)
class Excess:
    """Where a measured autocorrelation lies farthest from the noise model's.

    Attributes
    ----------
    lag : int
        In pixels or channels; 0: nothing could be compared.
    measured, expected : float
        Correlation there.
    significant : bool
        Above ``ACF_TOLERANCE`` and, where the error is known, above ``SIGNIFICANT`` of it.
    """

    lag: int
    measured: float
    expected: float
    significant: bool


@dataclass(frozen=True)
class FluxChange:
    """Flux in one aperture before and after, and the noise of the flux before."""

    before: float
    after: float
    error: float

    @property
    def percent(self) -> float:
        """Change in per cent of the flux before; NaN where that is zero."""
        return 100 * (self.after / self.before - 1) if self.before else float("nan")

    @property
    def sigmas(self) -> float:
        """Change in units of the noise of the flux before; NaN where that is unknown."""
        return (self.after - self.before) / self.error if self.error > 0 else float("nan")


def excess(measured: Floats, expected: Floats, error: Floats | None = None) -> Excess:
    """Compare two autocorrelations, shape (lag,) with 1 at lag 0; lags missing in `expected` are 0 there.

    Parameters
    ----------
    measured, expected : ndarray
        Autocorrelation of the residual and of the noise model. NaN lags are skipped.
    error : ndarray, optional
        Standard error of `measured`.

    Returns
    -------
    Excess
        At the lag (1 or more) of the largest difference.
    """
    model = np.zeros_like(measured)
    n = min(measured.size, expected.size)
    model[:n] = expected[:n]
    difference = np.abs(measured - model)[1:]
    if not np.isfinite(difference).any():
        return Excess(0, float("nan"), float("nan"), False)
    lag = int(np.nanargmax(difference)) + 1
    size = float(difference[lag - 1])
    doubt = float(error[lag]) if error is not None and np.isfinite(error[lag]) else 0.0
    return Excess(
        lag, float(measured[lag]), float(model[lag]), size > ACF_TOLERANCE and size > SIGNIFICANT * doubt
    )


def acf_error(pairs: Floats, spatial: Floats, spectral: Floats) -> Floats:
    """Standard error of an autocorrelation of noise: Bartlett's ``sqrt(sum rho^2 / pairs)``, shape (lag,).

    Parameters
    ----------
    pairs : ndarray, shape (lag,)
        Number of pairs at each lag.
    spatial, spectral : ndarray
        Correlation of the noise over all lags on the sky, and along the channels (1 at lag 0).
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(correlated(spatial**2, spectral**2) / pairs))


def correlated(spatial: Floats, spectral: Floats) -> float:
    """Sum of a separable correlation over all lags, on the sky (both signs given) and along the channels."""
    return float(spatial.sum() * (1 + 2 * spectral[1:].sum()))


def flux_error(variance: Floats, width: Floats, *, spatial: float, spectral_acf: Floats) -> float:
    """Noise of a flux summed over an aperture and a set of channels.

    ``sqrt(spatial * sum_ij s_i s_j rho(|i - j|))`` with ``s_i = width_i sqrt(variance_i)``.

    Parameters
    ----------
    variance : ndarray, shape (channel,)
        Sum of sigma squared over the aperture in each channel, in the unit of the flux; 0: channel not used.
    width : ndarray, shape (channel,)
        Channel widths.
    spatial : float
        Variance of the aperture sum relative to independent pixels.
    spectral_acf : ndarray, shape (lag,)
        Correlation along the channels, 1 at lag 0.
    """
    terms = width * np.sqrt(variance)
    total = float(terms @ terms)
    for lag in range(1, min(spectral_acf.size, terms.size)):
        total += 2 * float(spectral_acf[lag]) * float(terms[lag:] @ terms[:-lag])
    return float(np.sqrt(max(spatial * total, 0.0)))


def residual_findings(inside: Spread, outside: Spread, independent: float, squares: float) -> list[Finding]:
    """Whether the residual has the spread of the noise, in the emission found and elsewhere (in sigma).

    Parameters
    ----------
    inside, outside : Spread
        Of the residual in sigma.
    independent : float
        Sum of the noise's autocorrelation over all lags: voxels per independent sample of a mean.
    squares : float
        Sum of its square: voxels per independent sample of a variance.
    """
    found = []
    if outside.count:
        found.append(_outside(outside.std))
    if inside.count > 1:
        mean = np.sqrt(max(independent, 1.0) / inside.count)
        found.append(_inside(inside, float(mean), float(np.sqrt(0.5 * squares / inside.count))))
    return found


def _outside(spread: float) -> Finding:
    text = f"Outside the emission found the residual spreads by {number(spread)} sigma of the noise model"
    if spread > 1 + SPREAD_TOLERANCE:
        return Finding(
            "warning", "Residual larger than the noise",
            f"{text}: something that is not noise was taken away there, or the noise model is too low.",
        )  # fmt: skip
    if spread < 1 - SPREAD_TOLERANCE:
        return Finding("note", "Some noise stays", f"{text}: part of the noise is still in the output.")
    return Finding("good", "Noise removed", f"{text}: nothing but noise was taken away there.")


def _inside(spread: Spread, mean_error: float, std_error: float) -> Finding:
    text = (
        f"In the emission found the residual has mean {number(spread.mean)} ± {number(mean_error, 2)} "
        f"and spread {number(spread.std)} ± {number(std_error, 2)} in sigma"
    ).replace("-", "−")
    biased = abs(spread.mean) > max(MEAN_TOLERANCE, SIGNIFICANT * mean_error)
    wide = spread.std > 1 + max(2 * SPREAD_TOLERANCE, SIGNIFICANT * std_error)
    if biased or wide:
        return Finding(
            "warning",
            "Emission left in the residual",
            f"{text}, which noise alone does not explain: part of the emission was taken away with it. "
            "Look at the residual channels.",
        )
    return Finding("good", "No emission in the residual", f"{text}, no more than noise leaves there.")


def whiteness_finding(what: str, unit: str, result: Excess) -> Finding:
    """A sentence about one autocorrelation; `what` is the direction, `unit` that of the lag."""
    if result.lag == 0:
        return Finding(
            "note", f"Correlation {what}", "Too few voxels to measure the correlation of the residual."
        )
    plural = unit if result.lag == 1 else f"{unit}s"
    text = (
        f"Largest difference between residual and noise model at a lag of {result.lag} {plural}: "
        f"{result.measured:.2f} measured, {result.expected:.2f} expected"
    ).replace("-", "−")
    if not result.significant:
        return Finding("good", f"Residual as correlated as the noise {what}", f"{text}.")
    cause = "structure was left behind in the residual" if result.measured > result.expected else (
        "the residual is less correlated than the noise, so correlated noise stays in the output"
    )  # fmt: skip
    if result.measured < result.expected:
        return Finding("note", f"Residual less correlated than the noise {what}", f"{text}: {cause}.")
    return Finding("warning", f"Residual is not the noise {what}", f"{text}: {cause}.")


def flux_finding(flux: FluxChange, unit: str) -> Finding:
    """A sentence about the flux in the aperture of the emission found."""
    text = (
        f"Flux in the aperture: {number(flux.before)} ± {number(flux.error, 2)} before, "
        f"{with_unit(number(flux.after), unit)} after "
        f"({flux.percent:+.1f} %, {flux.sigmas:+.1f} times its noise)"
    )
    text = text.replace("-", "−")
    large = not np.isfinite(flux.percent) or abs(flux.percent) > FLUX_TOLERANCE
    faint = flux.error > 0 and abs(flux.before) < FLUX_FAINT * flux.error
    if large and faint and not abs(flux.sigmas) <= FLUX_SIGNIFICANT:
        return Finding(
            "note",
            "Flux changed",
            f"{text}: what was found is faint, and may be a peak of the noise in part.",
        )
    if large and not abs(flux.sigmas) <= FLUX_SIGNIFICANT:
        return Finding("warning", "Flux changed", f"{text}: more than the noise of the input explains.")
    if large:
        return Finding("note", "Flux changed within its noise", f"{text}.")
    return Finding("good", "Flux kept", f"{text}.")


def power_finding(leftover: Leftover) -> Finding:
    """A sentence about the power of the residual by scale."""
    deviation = leftover.power - 1.0
    if not np.isfinite(deviation).any():
        return Finding(
            "note", "Power by scale", "The cube is too small to measure the residual's power by scale."
        )
    excess = deviation - np.maximum(POWER_TOLERANCE, POWER_SIGNIFICANT * leftover.error)
    deficit = -deviation - np.maximum(POWER_TOLERANCE, POWER_SIGNIFICANT * leftover.error)
    if np.nanmax(excess) > 0:
        return Finding(
            "warning", "Residual holds more than noise at some scales",
            f"{_at_scale(leftover, excess)}: emission was left behind, or noise has structure that its model lacks.",
        )  # fmt: skip
    if np.nanmax(deficit) > 0:
        return Finding(
            "note", "Noise of some scales stays",
            f"{_at_scale(leftover, deficit)}: part of the noise of this scale is still in the output.",
        )  # fmt: skip
    farthest = _at_scale(leftover, np.abs(deviation) / leftover.error)
    return Finding(
        "good", "Power of the noise at every scale", f"{farthest}, no more than noise does by chance."
    )


def _at_scale(leftover: Leftover, rank: Floats) -> str:
    """What was measured at the scale where `rank` is largest."""
    j2, j1 = np.unravel_index(int(np.nanargmax(rank)), rank.shape)
    pixels, channels = scale_names(leftover.power.shape)
    lines = f" and {channels[j1]} channels" if rank.shape[1] > 1 else ""
    ratio, error = number(leftover.power[j2, j1], 3), number(leftover.error[j2, j1], 2)
    size = f"At sizes of {pixels[j2]} pixels{lines}"
    return f"{size} the residual has {ratio} ± {error} times the power of the noise model"


def places_findings(leftover: Leftover, *, white: bool = False) -> list[Finding]:
    """Sentences about the places where the residual holds signal: signal left, and signal put in.

    `white`: noise without correlation on the sky, in which a single pixel is no source.
    """
    left = [place for place in leftover.places if not place.put_in]
    more = [place for place in leftover.places if place.put_in]
    found = [_left_finding(left, white=white)] if left else []
    if more:
        found.append(_more_finding(more))
    if not found:
        share = (
            ""
            if leftover.looked_at > 0.99
            else f" ({100 * leftover.looked_at:.0f} % of the cube was looked at)"
        )
        text = f"Nowhere does the smoothed residual reach {number(leftover.level)} sigma{share}."
        found.append(Finding("good", "No place with signal in the residual", text))
    return found


def _left_finding(left: Sequence[Place], *, white: bool) -> Finding:
    most = [place for place in left if place.share >= LEFT_SHARE]
    wide = [place for place in most if not white or place.widths[0] > 0]
    first = (wide or most or list(left))[0]
    text = (
        f"At {_count(left)} the residual holds signal, the strongest {number(abs(first.snr))} sigma, "
        f"{100 * first.share:.0f} % of what the input holds there"
    )
    if wide:
        what = "emission" if first.snr > 0 else "a dip"
        return Finding(
            "warning", "Emission left behind", f"{text}: the output lacks {what} that the input holds."
        )
    if most:
        why = "single pixels, bad data rather than sources"
        return Finding("note", "Outliers left in the residual", f"{text}: {why}.")
    return Finding("note", "Some emission left behind", f"{text}: the output keeps the larger part.")


def _more_finding(more: Sequence[Place]) -> Finding:
    first = more[0]
    side = "more" if first.snr < 0 else "less"
    size = f"by up to {number(abs(first.snr))} sigma of its noise"
    text = f"At {_count(more)} the output holds {side} than the input, {size}"
    # a bright source that comes out a little brighter is above the data by many sigma
    if all(-LEFT_SHARE < place.share < 0 for place in more):
        return Finding(
            "note", "Emission brighter than in the data", f"{text}: less than half of what is there."
        )
    return Finding(
        "warning", "Output not in the data", f"{text}: what it shows there does not come from the data."
    )


def _count(places: Sequence[Place]) -> str:
    return "1 place" if len(places) == 1 else f"{len(places)} places"


def structure_finding(examined: int, unmatched: int, level: float, required: float) -> Finding:
    """A sentence about the regions of the output without a counterpart in the input."""
    basis = f"above {number(level)} sigma of the input's noise"
    if examined == 0:
        return Finding("good", "No invented structure", f"The output holds no connected region {basis}.")
    regions = "1 region" if examined == 1 else f"{examined:,} regions"
    text = f"Of {regions} of the output {basis}, {unmatched or 'none'}"
    verb = "claims" if unmatched == 1 or examined == 1 else "claim"
    claim = (
        f"{verb} a signal that the input, filtered likewise, holds with less than {number(required)} sigma"
    )
    if unmatched:
        return Finding(
            "warning", "Structure only after denoising",
            f"{text} {claim}: do not take {'it' if unmatched == 1 else 'them'} for real.",
        )  # fmt: skip
    return Finding("good", "No invented structure", f"{text} {claim}.")


def display_finding() -> Finding:
    """What is said of an output without a unit, in place of everything that compares it with the input."""
    return Finding(
        "note",
        "Display only",
        "The values of the output have no flux unit and do not grow in proportion to the flux: look at them, do not "
        "measure on them. Nothing is said of flux, noise or residual.",
    )


def worst(findings: Sequence[Finding]) -> Level:
    """The most serious level among the findings."""
    levels = {f.level for f in findings}
    return "warning" if "warning" in levels else "note" if "note" in levels else "good"
