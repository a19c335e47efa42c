"""How well emission stands out of the rest, whatever the unit and the stretch of the values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.metrics.apertures import emission_mask


def emission_auc(truth: NDArray[Any], data: NDArray[Any]) -> float | None:
    """Chance that a voxel of the emission is brighter than one without any: the area under the ROC curve.

    By ranks (Mann & Whitney 1947, Ann. Math. Stat. 18, 50; ties count half), so that no monotonic stretch changes it.
    0.5: emission cannot be told from noise; 1: it always can.

    Parameters
    ----------
    truth : ndarray
        Noise-free data; emission is what exceeds 5 % of its peak, and voxels below 0.1 % of it are without.
    data : ndarray, same shape
        What is judged; NaN takes no part.

    Returns
    -------
    float or None
        None where there is no emission, or nothing else.
    """
    from scipy.stats import rankdata

    known = np.isfinite(data) & np.isfinite(truth)
    inside, outside = emission_mask(truth) & known, ~emission_mask(truth, fraction=0.001) & known
    count, rest = int(inside.sum()), int(outside.sum())
    if not count or not rest or not emission_mask(truth).any():
        return None
    ranks = rankdata(np.concatenate([data[inside], data[outside]]).astype(np.float64))
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * rest))
