"""False-discovery rate over scale space: the threshold that the data themselves ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.methods.contract import Block
from denoise.transforms.smoothing import scaling_cubes

_STEP = 0.05
_TOP = 12.0
_BINS = int(_TOP / _STEP)


class SignificanceCounts:
    """How many voxels exceed each significance, for every scale; adds up over tiles."""

    def __init__(self) -> None:
        self.counts: dict[tuple[int, int], NDArray[np.int64]] = {}

    def add(
        self,
        standardised: Block,
        left: NDArray[np.floating],
        valid: NDArray[np.bool_],
        core: tuple[slice, slice, slice],
        *,
        both_signs: bool,
        threads: int,
    ) -> None:
        """Count the core of one block (channel, y, x); see ``detection.search`` for the arguments."""
        scales = (left.shape[0] - 1, left.shape[1] - 1)
        use = valid[core]
        for scale, smoothed in scaling_cubes(
            standardised, spatial_scales=scales[0], spectral_scales=scales[1], threads=threads
        ):
            values = smoothed[core][use] / left[scale]
            if both_signs:
                np.abs(values, out=values)
            index = np.clip(values / _STEP, 0, _BINS - 1).astype(np.int64)
            known = self.counts.get(scale, np.zeros(_BINS, np.int64))
            self.counts[scale] = known + np.bincount(index, minlength=_BINS)
        self.both_signs = both_signs


def fdr_threshold(counts: SignificanceCounts, rate: float, *, lowest: float = 3.0) -> float:
    """Lowest significance at which the expected share of noise among the voxels above it is below `rate`.

    Benjamini & Hochberg (1995, J. R. Stat. Soc. B 57, 289) on the voxels of all scales together; valid under the
    positive dependence of smoothed noise (Benjamini & Yekutieli 2001, Ann. Stat. 29, 1165).

    Parameters
    ----------
    counts : SignificanceCounts
        Of the whole cube.
    rate : float
        False-discovery rate.
    lowest : float
        Never below this many sigma.
    """
    from scipy.stats import norm

    total = np.sum(list(counts.counts.values()), axis=0)
    above = np.cumsum(total[::-1])[::-1]
    edges = _STEP * np.arange(_BINS)
    expected = total.sum() * norm.sf(edges) * (2 if counts.both_signs else 1)
    good = (expected <= rate * np.maximum(above, 1)) & (edges >= lowest)
    return float(edges[good.argmax()]) if good.any() else _TOP
