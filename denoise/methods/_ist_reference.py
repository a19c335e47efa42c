"""The published iterative soft thresholding (Lahiry et al. 2026, arXiv:2602.10893), step by step.

Kept as it was published, to compare with: thresholds from the median absolute deviation of each band of the data
itself (no noise model), reweighted l1, positivity, then de-biasing inside the support. The published call also
takes the true cube, which only feeds its plots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.transforms import starlet
from denoise.transforms.wavelets import reference_scales

Array = NDArray[np.float32]

_MAD_TO_SIGMA = np.float32(1.48)
_TINY = np.float32(1e-33)


@dataclass(frozen=True)
class ReferenceTuning:
    """Constants of the published code.

    Attributes
    ----------
    threshold : float
        k, in sigma of a band.
    iterations, debiasing : int
        Most steps of either loop.
    tolerance, debiasing_tolerance : float
        Relative change of the residual's standard deviation that ends it.
    patience : int
        Consecutive steps below the tolerance that end the first loop.
    """

    threshold: float = 5.0
    iterations: int = 100
    debiasing: int = 100
    tolerance: float = 1e-3
    debiasing_tolerance: float = 5e-4
    patience: int = 5


def published(data: Array, tuning: ReferenceTuning | None = None, *, threads: int = 1) -> tuple[Array, int]:
    """The published estimate.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Finite; a whole cube, because thresholds and stopping rules are global.
    tuning : ReferenceTuning, optional
        Constants.
    threads : int
        Threads of the transforms.

    Returns
    -------
    estimate : ndarray, shape (channel, y, x), float32
        Non-negative.
    steps : int
        Iterations made in both loops.
    """
    return _Published(data, tuning or ReferenceTuning(), threads).run()


class _Published:
    def __init__(self, data: Array, tuning: ReferenceTuning, threads: int) -> None:
        self.data = data
        self.tuning = tuning
        self.threads = threads
        self.spatial, self.spectral = reference_scales(data.shape)
        self.coefficients = self._bands(data)
        self.level = np.float32(tuning.threshold) * _sigma(self.coefficients)
        self.estimate = np.zeros_like(data)
        self.spread = float(data.std())
        self.threshold = np.broadcast_to(self.level, self.coefficients.shape)

    def run(self) -> tuple[Array, int]:
        steps = self._shrink()
        return self.estimate, steps + self._debias()

    def _shrink(self) -> int:
        left, previous, x = self.tuning.patience, self.spread, self.estimate
        for step in range(1, self.tuning.iterations + 1):
            x = self._synthesis(_soft(self.coefficients, self.threshold))
            spread = self._keep_best(x)
            settled = abs(previous - spread) <= self.tuning.tolerance * previous
            left = left - 1 if settled else self.tuning.patience
            if left == 0:
                return step
            previous = spread
            self._reweight(x)
        return self.tuning.iterations

    def _debias(self) -> int:
        support = self._bands(self.estimate) != 0
        x, previous = self.estimate, self.spread
        for step in range(1, self.tuning.debiasing + 1):
            residual = self._bands(self.data - x)
            x = np.maximum(x + self._synthesis(_soft(residual, self.threshold) * support), 0)
            spread = self._keep_best(x)
            if abs(previous - spread) <= self.tuning.debiasing_tolerance * previous:
                return step
            previous = spread
        return self.tuning.debiasing

    def _reweight(self, x: Array) -> None:
        """Candes, Wakin & Boyd 2008, J. Fourier Anal. Appl. 14, 877: lower thresholds where the last iterate is."""
        bands = self._bands(x)
        own = np.float32(self.tuning.threshold) * _sigma(bands)
        significant = np.abs(self.coefficients) > self.level
        self.threshold = np.where(significant, self.level * own / (np.abs(bands) + _TINY), self.level)

    def _keep_best(self, x: Array) -> float:
        spread = float((self.data - x).std())
        if spread < self.spread:
            self.estimate, self.spread = x, spread
        return spread

    def _bands(self, data: Array) -> Array:
        return starlet.forward(
            data,
            spatial_scales=self.spatial,
            spectral_scales=self.spectral,
            spectral="biorthogonal",
            threads=self.threads,
        )

    def _synthesis(self, bands: Array) -> Array:
        return np.maximum(starlet.synthesis(bands, spectral="biorthogonal"), 0)


def _sigma(bands: Array) -> Array:
    """1.48 times the median absolute deviation about the median, of each band; shape (j2, j1, 1, 1, 1)."""
    flat = bands.reshape(*bands.shape[:2], -1)
    deviation = np.abs(flat - np.median(flat, axis=2, keepdims=True))
    spread = _MAD_TO_SIGMA * np.median(deviation, axis=2)
    return np.asarray(spread[:, :, None, None, None], np.float32)


def _soft(values: Array, threshold: Array) -> Array:
    return np.asarray(values - np.clip(values, -threshold, threshold), np.float32)
