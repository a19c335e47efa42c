"""The spread of values that are too many to keep: their sizes are counted, and the median is read off the counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = np.linspace(0.0, 10.0, 1001)  # what is larger counts as the last
_MAD_TO_SIGMA = 1.4826


class Sizes:
    """Sizes counted in steps of a hundredth, block after block."""

    def __init__(self) -> None:
        self._counts = np.zeros(_STEPS.size, np.int64)

    def add(self, sizes: NDArray[Any]) -> None:
        """Count finite sizes, of any shape and at least 0."""
        index = np.minimum(sizes * ((_STEPS.size - 1) / _STEPS[-1]), _STEPS.size - 1).astype(np.intp)
        self._counts += np.bincount(index.ravel(), minlength=_STEPS.size)

    @property
    def spread(self) -> float:
        """1.4826 times their median: 1 sigma of Gaussian values about zero, 14.8 at most; NaN of nothing."""
        if not self._counts.any():
            return float("nan")
        median = int(np.searchsorted(np.cumsum(self._counts), self._counts.sum() / 2))
        return _MAD_TO_SIGMA * float(_STEPS[median])
