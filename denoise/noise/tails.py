"""What the two tails of the data say: absorption and CLEAN bowls show as values too negative to be noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.noise.model import NoiseModel, Tails
from denoise.noise.sources import Scale, scales, search

_CHANCE = 1e-3  # probability at which noise alone is called too negative
_SHIFTS = 8.0  # independent minima for every box side by side, about two along each axis


@dataclass
class Deepest:
    """Running minimum per scale, with the number of values seen."""

    values: dict[Scale, float] = field(default_factory=dict)
    counts: dict[Scale, float] = field(default_factory=dict)

    def add(self, lowest: Mapping[Scale, NDArray[Any]], core: slice, pixels: int) -> None:
        """Take in the lowest values per channel of a block with so many pixels a channel."""
        for scale, values in lowest.items():
            own = values[core]
            self.values[scale] = min(self.values.get(scale, 0.0), float(own.min(initial=0.0)))
            boxes = own.size * pixels / (scale.pixels**2 * scale.channels)
            self.counts[scale] = self.counts.get(scale, 0.0) + boxes

    def verdict(self, sigma_negative: float, sigma_positive: float) -> Tails:
        """Most unlikely minimum over the scales, against what noise alone stays above with 99.9 %."""
        from scipy.stats import norm

        if not self.values:
            return Tails(sigma_negative, sigma_positive, 0.0, 0.0, "none", True)
        # the chance is shared among the scales; a box may lie at any voxel, which side by side boxes undercount
        share = _CHANCE / len(self.values)
        limits = {
            scale: float(norm.ppf(share / max(1.0, count * (1 if scale.pixels == 1 else _SHIFTS))))
            for scale, count in self.counts.items()
        }
        worst = min(self.values, key=lambda s: self.values[s] / limits[s] * -1.0)
        name = f"{worst.pixels} pixels x {worst.channels} channels"
        agrees = all(self.values[s] >= limits[s] for s in self.values)
        return Tails(sigma_negative, sigma_positive, self.values[worst], limits[worst], name, agrees)


def judge_tails(data: NDArray[Any], model: NoiseModel) -> Tails:
    """Whether noise alone explains the negative values of an array, on every scale.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        Data in the unit of the model, NaN where there is no coverage: the cube, a part of it, or the cube
        less its continuum.
    model : NoiseModel
        Of the same shape.

    Returns
    -------
    Tails
    """
    ratio = np.asarray(data / model.sigma(), dtype=np.float32)
    deepest = Deepest()
    chosen = scales(model.shape, model.spatial_acf, model.spectral_acf, max(model.correlation_fwhm))
    deepest.add(search(ratio, chosen).lowest, slice(None), ratio[0].size)
    low, high = (one_sided_sigma(ratio, sign) * model.typical for sign in (-1, 1))
    return deepest.verdict(low, high)


def one_sided_sigma(ratio: NDArray[Any], sign: int) -> float:
    """Sigma from the median of the values on one side of zero."""
    side = sign * ratio[np.isfinite(ratio) & (sign * ratio > 0)]
    return float(np.median(side)) / 0.6744897501960817 if side.size else float("nan")
