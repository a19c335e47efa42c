"""Find what is not noise: voxels above the noise on several scales, positive or negative, with a margin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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
    """Block averaged over each box, in sigma of one voxel; NaN and what lies outside count as zero."""
    from denoise.noise._boxes import box_channels, box_planes

    filled = np.ascontiguousarray(np.where(np.isfinite(block), block, np.float32(0)), dtype=np.float32)
    spatial: dict[int, Block] = {1: filled}
    for scale in chosen:
        if scale.pixels not in spatial:
            spatial = {1: filled, scale.pixels: box_planes(filled, scale.pixels)}
        plane = spatial[scale.pixels]
        yield scale, plane if scale.channels == 1 else box_channels(plane, scale.channels)


@dataclass(frozen=True)
class Seen:
    """Mask of the sources found, and the lowest value of each channel per scale, in sigma of the scale."""

    mask: Mask
    lowest: dict[Scale, NDArray[np.float32]]


def search(block: Block, chosen: list[Scale], *, threshold: float = 4.5) -> Seen:
    """Voxels that hold more than noise on any scale, on either side of zero, grown by the box that saw them.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        Data in units of sigma.
    chosen : list of Scale
    threshold : float
        In sigma of each scale.
    """
    from denoise.noise._boxes import beyond, grow

    mask, hits = np.zeros(block.shape, dtype=np.uint8), np.empty(block.shape, dtype=np.uint8)
    margin = min((s.pixels for s in chosen if s.pixels > 1), default=1)
    lowest = {}
    for scale, values in smoothed(block, chosen):
        count, least = beyond(values, np.float32(threshold * scale.sigma), hits)
        lowest[scale] = least / np.float32(scale.sigma)
        if count:
            reach = max(scale.pixels, margin) // 2
            grow(hits, (max(1, scale.channels // 2), reach, reach), mask)
    return Seen(mask.view(bool), lowest)
