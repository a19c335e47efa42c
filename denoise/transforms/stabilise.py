"""Variance stabilisation of Poisson-Gaussian counts: generalised Anscombe transform, exact unbiased inverse.

- ``Anscombe(gain=, offset=0, read_noise=0)`` with ``forward(data)``, ``inverse(stabilised)`` and
  ``noise(level, sigma)``
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError

_TABLE_END = 100.0  # events + read noise^2; above, the asymptotic inverse is right to 1e-3 of an event


@dataclass(frozen=True)
class Anscombe:
    """Data = gain * Poisson(events) + N(offset, read_noise^2), made to have noise of sigma 1.

    Parameters
    ----------
    gain : float
        Data units per event, > 0.
    offset : float
        Data value of no signal.
    read_noise : float
        Sigma of the Gaussian part in data units, >= 0.

    Raises
    ------
    ParameterError
        A parameter out of range.

    Notes
    -----
    Forward: Starck, Murtagh & Bijaoui (1998), eq. 2.19. Inverse: Makitalo & Foi (2013, IEEE TIP 22, 91),
    the inverse of ``events -> E[forward]``, so that the inverse of a denoised (averaged) value is not
    biased as the algebraic one is.
    """

    gain: float
    offset: float = 0.0
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        finite = np.isfinite([self.gain, self.offset, self.read_noise]).all()
        if not finite or self.gain <= 0 or self.read_noise < 0:
            seen = f"gain {self.gain}, offset {self.offset}, read noise {self.read_noise}"
            raise ParameterError(
                "variance stabilisation needs finite gain > 0 and read noise >= 0",
                value=seen,
                action="give gain in data units per event, read noise and offset in data units",
            )

    def forward(self, data: NDArray[Any]) -> NDArray[Any]:
        """Stabilised data: same shape and dtype, unit noise, NaN where the data are NaN.

        Raises
        ------
        ParameterError
            The mean of the data is below `offset` by more than read noise explains: no such counts exist.
        """
        self.check(data)
        events = (np.asarray(data, np.float64) - self.offset) / self.gain
        level = events + 3 / 8 + (self.read_noise / self.gain) ** 2
        return np.asarray(2 * np.sqrt(np.maximum(level, 0)), data.dtype)

    def inverse(self, stabilised: NDArray[Any]) -> NDArray[Any]:
        """Data whose stabilised values average to `stabilised`: any shape, in data units, dtype of `stabilised`.

        Not below `offset`; NaN stays NaN.
        """
        values = np.asarray(stabilised, np.float64)
        noise = self.read_noise / self.gain
        lowest = max(2 * np.sqrt(noise**2 + 3 / 8) - 1, 1.0)  # no events; the series diverges near 0
        exact = _asymptotic_inverse(np.maximum(values, lowest), noise)
        if noise**2 < _TABLE_END:
            events, expected = _expectation(noise)
            exact = np.where(values > expected[-1], exact, np.interp(values, expected, events))
        exact = np.maximum(exact, 0)
        return np.asarray(self.gain * exact + self.offset, stabilised.dtype)

    def noise(self, level: NDArray[Any], sigma: NDArray[Any]) -> NDArray[np.float32]:
        """1 sigma noise in data units where the data have this level: `sigma` over the slope of `forward`.

        Parameters
        ----------
        level : ndarray
            Data without noise, such as the denoised ones; below `offset` it counts as `offset`.
        sigma : ndarray
            1 sigma noise of the stabilised data, about 1.

        Returns
        -------
        ndarray of float32
            ``sigma gain sqrt(events + 3/8 + (read_noise / gain)^2)``; NaN where `level` is.
        """
        events = np.maximum((np.asarray(level, np.float64) - self.offset) / self.gain, 0)
        slope = self.gain * np.sqrt(events + 3 / 8 + (self.read_noise / self.gain) ** 2)
        return np.asarray(sigma * slope, np.float32)

    def check(self, data: NDArray[Any]) -> None:
        """Refuse data of any shape that cannot be counts of this detector (background subtracted, wrong offset).

        Raises
        ------
        ParameterError
            Their mean is below `offset` by more than read noise explains; NaN is left out.
        """
        known = data[np.isfinite(data)]
        if known.size == 0:
            return
        mean = float(known.mean(dtype=np.float64)) - self.offset
        if mean < -4 * self.read_noise / np.sqrt(known.size):
            raise ParameterError(
                "variance stabilisation needs counts, but the mean of the data is below the offset",
                value=f"mean - offset = {mean:.4g}",
                action="give the offset of the detector, or data before background subtraction",
            )


def _asymptotic_inverse(values: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Closed form of the exact unbiased inverse (Makitalo & Foi 2011, IEEE TIP 20, 2697), in events."""
    root = np.sqrt(1.5)
    series = root / 4 / values - 11 / 8 / values**2 + 5 / 8 * root / values**3
    return np.asarray(values**2 / 4 + series - 1 / 8 - noise**2)


@lru_cache(maxsize=8)
def _expectation(noise: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Events and the mean of their stabilised value: sum over counts, integral over read noise."""
    from scipy.special import gammaln

    events = np.linspace(0, np.sqrt(_TABLE_END), 1000) ** 2
    counts = np.arange(int(events[-1] + 12 * np.sqrt(events[-1]) + 20))
    step = np.linspace(-8, 8, 801)
    density = np.exp(-0.5 * step**2)
    level = np.maximum(counts[:, None] + noise * step + 3 / 8 + noise**2, 0)
    mean = 2 * np.sqrt(level) @ (density / density.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        log = (
            np.where(counts > 0, counts * np.log(events)[:, None], 0.0)
            - events[:, None]
            - gammaln(counts + 1)
        )
    return events, np.exp(log) @ mean
