"""Find what is not noise: voxels above the noise on several scales, positive or negative, with a margin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.noise.covariance import filtered_variance

Block = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Scale(NamedTuple):
    """A box `pixels` x `pixels` x `channels`, and what sigma unit noise has left after averaging over it."""

    pixels: int
    channels: int
    sigma: float


def scales(
    shape: tuple[int, int, int],
    spatial_acf: NDArray[np.float64],
    spectral_acf: NDArray[np.float64],
    width: float,
) -> list[Scale]:
    """Boxes to look at: one voxel, then 1, 2 and 4 times the correlation width with 1, 3 and 7 channels.

    Parameters
    ----------
    shape : (int, int, int)
        Shape (channel, y, x) of the cube: no box is wider than a quarter of it.
    spatial_acf, spectral_acf : ndarray
        Of the noise.
    width : float
        Full width of the spatial ACF in pixels.
    """
    unit = 2 * round(0.5 * max(width, 2.0)) + 1
    wanted = [(1, 1), (unit, 1), (unit, 3), (2 * unit + 1, 1), (2 * unit + 1, 7), (4 * unit + 1, 3)]
    room = max(1, min(shape[1:]) // 4), max(1, shape[0] // 4)
    chosen = sorted({(w, c) for w, c in wanted if w <= room[0] and c <= room[1]} | {(1, 1)})
    return [Scale(w, c, _left(spatial_acf, spectral_acf, w, c)) for w, c in chosen]


def _left(spatial: NDArray[np.float64], spectral: NDArray[np.float64], pixels: int, channels: int) -> float:
    box, run = np.full((pixels, pixels), 1.0 / pixels**2), np.full(channels, 1.0 / channels)
    variance = filtered_variance(spatial, box) * filtered_variance(spectral, run)
    floor = 1.0 / (pixels**2 * channels)  # white noise: the least that correlated noise leaves
    return float(np.sqrt(max(variance, floor)))


def smoothed(block: Block, chosen: list[Scale]) -> Iterator[tuple[Scale, Block]]:
    """Block averaged over each box, in units of the noise left; NaN counts as zero."""
    filled = np.nan_to_num(block, copy=True, nan=0.0)
    spatial: dict[int, Block] = {1: filled}
    for scale in chosen:
        if scale.pixels not in spatial:
            spatial = {1: filled, scale.pixels: _box(_box(filled, scale.pixels, 1), scale.pixels, 2)}
        plane = spatial[scale.pixels]
        yield scale, _box(plane, scale.channels, 0) / np.float32(scale.sigma)


def _box(block: Block, size: int, axis: int) -> Block:
    from scipy.ndimage import uniform_filter1d

    return block if size == 1 else np.asarray(uniform_filter1d(block, size, axis=axis, mode="constant"))


def source_mask(block: Block, chosen: list[Scale], *, threshold: float = 4.5) -> Mask:
    """Voxels that hold more than noise on any scale, on either side of zero, grown by the box that saw them.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        Data in units of sigma.
    chosen : list of Scale
    threshold : float
        In sigma of each scale.
    """
    mask = np.zeros(block.shape, dtype=bool)
    margin = min((s.pixels for s in chosen if s.pixels > 1), default=1)
    for scale, values in smoothed(block, chosen):
        hit = np.abs(values) > threshold
        if hit.any():
            mask |= _grow(hit, max(scale.pixels, margin), scale.channels)
    return mask


def _grow(hit: Mask, pixels: int, channels: int) -> Mask:
    from scipy.ndimage import maximum_filter1d

    out: Any = hit.view(np.uint8)
    for axis, size in ((0, max(3, channels)), (1, pixels), (2, pixels)):
        if size > 1 and hit.shape[axis] > 1:
            out = maximum_filter1d(out, size, axis=axis, mode="constant")
    return np.asarray(out.view(bool))
