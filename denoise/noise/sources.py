"""Find what is not noise: voxels above the noise on several scales, positive or negative, with a margin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    *,
    step: int = 1,
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
    step : int
        Pixels across the squares of a thinned cube: boxes hold an odd number of them.
    """
    unit = 2 * round(0.5 * max(width, 2.0)) + 1
    wanted = [(unit, 1), (unit, 3), (2 * unit + 1, 1), (2 * unit + 1, 7), (4 * unit + 1, 3)]
    squares = [(step * _odd(w / step), c) for w, c in wanted]
    room = max(1, min(shape[1:]) // 4), max(1, shape[0] // 4)
    chosen = sorted({(w, c) for w, c in squares if w <= room[0] and c <= room[1]} | {(1, 1)})
    return [Scale(w, c, _left(spatial_acf, spectral_acf, w, c)) for w, c in chosen]


def _odd(number: float) -> int:
    return 2 * round(0.5 * (number - 1.0)) + 1


def _left(spatial: NDArray[np.float64], spectral: NDArray[np.float64], pixels: int, channels: int) -> float:
    variance = _box_variance(spatial, pixels)
    variance *= float(_box_overlap(2 * spectral.size - 1, channels)[spectral.size - 1 :] @ _twice(spectral))
    floor = 1.0 / (pixels**2 * channels)  # white noise: the least that correlated noise leaves
    return float(np.sqrt(max(variance, floor)))


def _box_variance(acf: NDArray[np.float64], pixels: int) -> float:
    """Variance of unit noise with this ACF after a square box: `filtered_variance` in closed form."""
    along_y, along_x = (_box_overlap(n, pixels) for n in acf.shape)
    return max(0.0, float(along_y @ acf @ along_x))


def _box_overlap(lags: int, width: int) -> NDArray[np.float64]:
    """Autocorrelation of a box of unit sum at so many lags about zero: a triangle."""
    lag = np.abs(np.arange(lags) - lags // 2)
    return np.asarray(np.maximum(width - lag, 0) / width**2)


def _twice(spectral: NDArray[np.float64]) -> NDArray[np.float64]:
    """One-sided ACF such that sums over it are those over both sides."""
    return np.concatenate([spectral[:1], 2.0 * spectral[1:]])


def smoothed(
    block: Block, chosen: list[Scale], means: Block | None = None, step: int = 1
) -> Iterator[tuple[Scale, Block]]:
    """Block averaged over each box, in sigma of one voxel; NaN and what lies outside count as zero."""
    from denoise.noise._boxes import box_channels, box_planes

    base = _filled(block)
    held, plane = 1, base
    for scale in chosen:
        if scale.pixels != held:
            if held == 1 and means is not None and means is not block:
                del plane
                base = _filled(means)
            squares = scale.pixels // step
            held, plane = scale.pixels, base if squares == 1 else box_planes(base, squares)
        yield scale, plane if scale.channels == 1 else box_channels(plane, scale.channels)


def _filled(block: Block) -> Block:
    return np.ascontiguousarray(np.where(np.isfinite(block), block, np.float32(0)), dtype=np.float32)


@dataclass(frozen=True)
class Search:
    """Mask of the sources found, and the lowest value of each channel per scale, in sigma of the scale."""

    mask: Mask
    lowest: dict[Scale, NDArray[np.float32]]

    @property
    def single(self) -> Scale:
        """The scale of one voxel."""
        return min(self.lowest)


def search(
    block: Block,
    chosen: list[Scale],
    *,
    threshold: float = 4.5,
    means: Block | None = None,
    step: int = 1,
) -> Search:
    """Voxels that hold more than noise on any scale, on either side of zero, grown by the box that saw them.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        Data in units of sigma.
    chosen : list of Scale
    threshold : float
        In sigma of each scale.
    means : ndarray, shape of `block`, optional
        Of a thinned cube, `block` holding its picks: what wider boxes are made of.
    step : int
        Pixels across its squares.
    """
    from denoise.noise._boxes import beyond, grow

    mask, hits = np.zeros(block.shape, dtype=np.uint8), np.empty(block.shape, dtype=np.uint8)
    margin = min((s.pixels for s in chosen if s.pixels > 1), default=1)
    lowest = {}
    for scale, values in smoothed(block, chosen, means, step):
        count, least = beyond(values, np.float32(threshold * scale.sigma), hits)
        lowest[scale] = least / np.float32(scale.sigma)
        if count:
            reach = -(-(max(scale.pixels, margin) // 2) // step)
            grow(hits, (max(1, scale.channels // 2), reach, reach), mask)
    return Search(mask.view(bool), lowest)
