"""How wide are the lines? Those of a result, and the widest of a training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from denoise.networks.recipe import SimulationRecipe

PEAK = 1.5  # sigma of the peak from which on a line of a result has a width: results hold little noise
_FEWEST = 10  # lines that make up a width
_SHARE = 0.9  # of the lines are narrower than what is told
_RARE = 0.01  # of the simulated cubes have wider ones than the widest that is told
LINES = 4  # stream of the seed


def line_width(estimate: NDArray[np.floating]) -> float:
    """Full width at half of the peak that one line in ten exceeds, in channels; 0 where there are too few lines.

    Parameters
    ----------
    estimate : ndarray, shape (channel, y, x)
        What was found, in sigma of the noise, without NaN. A line is a spectrum with a peak above 1.5 sigma, of either
        sign; one that the block cuts off is as wide as what is left of it.
    """
    peak = np.maximum(estimate.max(axis=0), -estimate.min(axis=0))
    lines = peak > PEAK
    if len(estimate) == 1 or lines.sum() < _FEWEST:
        return 0.0
    spectra = np.abs(estimate[:, lines])
    at, low = spectra.argmax(axis=0), spectra < 0.5 * peak[lines]
    channel = np.arange(len(estimate), dtype=np.int32)[:, None]
    first = np.where(low & (channel < at), channel, -1).max(axis=0)
    last = np.where(low & (channel > at), channel, len(estimate)).min(axis=0)
    return float(np.quantile(last - first - 1, _SHARE))


def widest_line(
    recipe: SimulationRecipe, seed: int, *, cubes: int, report: Callable[[int], None] | None = None
) -> float:
    """Width that one in a hundred simulated cubes of a training exceeds, in channels; infinite without spectra.

    Parameters
    ----------
    recipe : SimulationRecipe
        Of whole fields, see ``guarding.whole_fields``: a line that is cut off is too narrow.
    seed : int
        Of the training.
    cubes : int
        How many to simulate.
    report : callable, optional
        Told of cubes done; what it raises ends the work.
    """
    from denoise.networks.examples import draw_observed

    rng = np.random.default_rng((seed, LINES))
    spectral = [one for one in recipe.shapes if one.shape[0] > 1]
    if not spectral or not cubes:
        return float("inf")
    shares = np.array([one.weight for one in spectral])
    widths = []
    for drawn in rng.choice(len(spectral), size=cubes, p=shares / shares.sum()):
        cube = draw_observed(recipe, spectral[int(drawn)].shape, int(rng.integers(2**62)))
        widths.append(line_width(cube.truth))
        if report is not None:
            report(len(widths))
    return float(np.quantile(widths, 1 - _RARE))
