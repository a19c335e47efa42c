"""The probability that a region is real: what was found against what noise shows.

A region is described by x = (s, q, log a, log w): the matched SNR of the input, the share of it that the output
keeps, and the area and line width of the filter. With n0(x) the density of regions where there is no source (noise
draws, negated cube: `denoise.check.regions.null`) and n1(x) that of sources,

    reliability = n1(x) / (n1(x) + n0(x)),

as Serra, Jurek & Floeer 2012, PASA 29, 296, eq. 2 have it with positive and negative detections, but with both
densities of few parameters, so that a handful of regions is enough:

- ``n0 = K / V  T(s; median, upper spread)  T(q, log a, log w; mean, covariance)``: K regions in V cubes; Student's t is
  what is known of the next value of a Gaussian after K of them, so few regions mean a long tail (Gelman et al. 2013,
  Bayesian Data Analysis, sections 3.3 and 3.6). A prior worth `PRIOR` regions stands in where there are none.
- ``n1 = N1 s^-2 / norm  G(q, log a, log w)``: a count of sources between flat in log flux and Euclidean, and widths as
  broad as those of noise or broader; only N1 is taken from the data, by expectation maximisation.

A second method, if one is asked, adds its own q to the description: what it keeps of the region.

Below the median of s (and a little above, where n0 is flat), where noise regions get fewer because the method
suppresses them, it suppresses sources too: a smaller s counts as that, and the reliability does not rise again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.finding import FoundRegion
from denoise.check.regions.null import NullRegions

Floats = NDArray[np.float64]

PRIOR = 4.0  # regions that the prior counts as
SNR, SPREAD = 4.5, 0.6  # of noise regions, before any is seen
SHAPE = np.array([0.5, np.log(40.0), 0.0])  # q, log area, log width
WIDTHS = np.array([0.2, 0.8, 0.6])
SOURCE_SHARE = 0.7, 0.25  # what the output keeps of sources
BROAD = 1.0  # sigma of log area and log width of sources
SLOPE = 2.0
FEW = 0.5  # sources (and noise regions) that are expected though none is seen
STEPS = 200


@dataclass(frozen=True)
class Densities:
    """The two densities of one cube, see the module.

    Attributes
    ----------
    rate : float
        Noise regions per cube.
    median, spread : float
        Of their s.
    count : float
        Regions that they rest on, those of the prior included.
    mean, covariance : ndarray, shapes (3,), (3, 3)
        Of their q, log area, log width, and the q of a second method if there is one (then of 4).
    sources : float
        Sources per cube above `median`.
    """

    rate: float
    median: float
    spread: float
    count: float
    mean: Floats
    covariance: Floats
    sources: float = FEW

    def reliability(self, found: Floats) -> Floats:
        """Probability, 0 to 1, of regions described as by `described`, shape (n, 4 or 5)."""
        null, source = self.null(found), self.sources * self.source(found)
        return np.asarray(source / (source + null))

    def null(self, found: Floats) -> Floats:
        """Density n0, per cube."""
        from scipy.stats import multivariate_t, t

        snr = t.pdf(self._counted(found), self.count, self.median, self.spread)
        shape = multivariate_t(self.mean, self.covariance, df=self.count)
        return np.asarray(self.rate * snr * np.atleast_1d(shape.pdf(found[:, 1:])))

    def source(self, found: Floats) -> Floats:
        """Density n1 for one source."""
        from scipy.stats import norm

        snr = (SLOPE - 1) / self.median * (self._counted(found) / self.median) ** -SLOPE
        shape = norm.pdf(found[:, 1], *SOURCE_SHARE)
        for column in (1, 2):
            width = max(BROAD, float(np.sqrt(self.covariance[column, column])))
            shape = shape * norm.pdf(found[:, 1 + column], self.mean[column], width)
        for second in found[:, 4:].T:
            shape = shape * norm.pdf(second, *SOURCE_SHARE)
        return np.asarray(snr * shape)

    def _counted(self, found: Floats) -> Floats:
        """The s of regions, or that above which the density of noise falls faster than that of sources."""
        return np.maximum(found[:, 0], self.median + SLOPE * self.spread**2 / self.median)


def described(regions: Sequence[FoundRegion], agreement: Sequence[float] = ()) -> Floats:
    """Regions as (s, q, log area, log width), shape (n, 4); with the share that a second method keeps, (n, 5)."""
    rows = []
    for one in regions:
        share = np.clip(one.match.snr_output / max(one.snr, 1.0), 0.0, 1.5)
        rows.append((one.snr, share, np.log(one.match.area), np.log(one.match.line_width + 0.3)))
    plain = np.array(rows, float).reshape(-1, 4)
    return np.column_stack([plain, agreement]) if len(agreement) else plain


def fit_densities(null: Floats, volumes: float, found: Floats) -> Densities:
    """Fit the density of noise regions, then the number of sources.

    Parameters
    ----------
    null, found : ndarray, shape (n, 4) or (n, 5)
        Noise regions, and those of the cube, as `described` gives them.
    volumes : float
        Cubes that `null` is from.
    """
    count = len(null)
    values = np.append(null[:, 0], [SNR] * int(PRIOR))
    median = float(np.median(values))
    above = values[values > median] - median
    square = PRIOR * SPREAD**2 + float(above @ above)
    shape, covariance = _shrunk(null[:, 1:])
    fitted = Densities(
        (count + FEW) / volumes,
        median,
        float(np.sqrt(square / (PRIOR + above.size))),
        PRIOR + count,
        shape,
        covariance,
    )
    return _with_sources(fitted, found[found[:, 0] > median])


def region_reliability(
    regions: Sequence[FoundRegion], null: NullRegions, agreement: Sequence[float] | None = None
) -> Floats:
    """Probability of being real of each region found in the cube, shape (n,).

    `agreement`: the share of each that a second method keeps (`share_kept`), where the null has it too.

    Noise is taken to be symmetric: emission and holes have its density in common, each its own number of sources.
    """
    every = described(regions, () if agreement is None else agreement)
    sure, noise = np.zeros(len(regions)), described(null.regions, null.agreement)
    noise = noise.reshape(-1, 4 if agreement is None else 5)
    volumes = len(noise) / null.expected().value if null.model_fails else null.volumes
    for sign in (1, -1):
        own = np.array([r.sign == sign for r in regions], bool)
        sure[own] = fit_densities(noise, volumes * null.signs, every[own]).reliability(every[own])
    return sure


def _shrunk(null: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance with the prior's regions counted in."""
    count, second = len(null), null.shape[1] - 3  # what is known of one method's share is that of another's
    shape, widths = np.append(SHAPE, [SHAPE[0]] * second), np.append(WIDTHS, [WIDTHS[0]] * second)
    mean = (PRIOR * shape + null.sum(axis=0)) / (PRIOR + count)
    apart = null - mean
    spread = PRIOR * (np.diag(widths**2) + np.outer(shape - mean, shape - mean)) + apart.T @ apart
    return mean, spread / (PRIOR + count)


def _with_sources(fitted: Densities, bright: Floats) -> Densities:
    """The number of sources that explains the bright regions best (expectation maximisation)."""
    for _ in range(STEPS):
        number = FEW + float(fitted.reliability(bright).sum())
        done = abs(number - fitted.sources) < 1e-6
        fitted = replace(fitted, sources=number)
        if done:
            break
    return fitted
