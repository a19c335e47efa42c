"""Flux that gates and thresholds leave out, put back.

Around a compact source the coarse sub-bands reach further than the source, and it is negative coefficients of the fine
ones that take their wings away again. Those are the first that shrinkage loses: the source grows a halo, and its flux
comes out too high. Around a faint source positive coefficients are lost too, and the flux comes out too low. Both are
in the residual, where an average finds them long before a single coefficient is significant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import box_mean, correlate
from denoise.transforms.starlet import Array
from denoise.transforms.wavelets import B3
from denoise.transforms.windows import windows_around

BOX = (8, 14)  # half widths over which flux is kept: channels, pixels
SHARED = 6  # half width, in pixels, within which a region shares what it lost
_BRIGHT = (
    30.0  # sigma near a source at which half the residual's finest smoothing goes back: its noise hides there
)


def put_back(estimate: Array, data: Array, *, region: Array, strength: Array, threads: int = 1) -> None:
    """Add the smoothed residual to the estimate, in place, and with it nothing but the data's own flux.

    Near bright sources the residual goes back after one B3 smoothing, elsewhere as its mean over the box around every
    voxel: as finely as its noise allows. In an image, then, what is still left in a region is shared out in it
    (``share_out``).

    Parameters
    ----------
    estimate, data : ndarray, shape (channel, y, x), float32
        Finite, in units of sigma.
    region : ndarray, same shape
        Weight of each voxel, 0 to 1; where it is 0 nothing changes.
    strength : ndarray, same shape
        Largest significance nearby (`gates.strength`).
    threads : int
        Threads of this call.
    """
    spectral = len(data) > 1
    box = (BOX[0] if spectral else 0, BOX[1], BOX[1])
    for window in windows_around(region > 0, box[:2], threads=threads):
        target, share = estimate[window], region[window]
        rest = data[window] - target
        fine = correlate(
            rest,
            spatial_taps=B3,
            spectral_taps=B3 if spectral else None,
            border="mirror",
            threads=threads,
        )
        _add(fine, share, strength[window], target, rest, threads)
        coarse = box_mean(rest, box, threads=threads)
        coarse *= share
        target += coarse
    if not spectral:
        share_out(estimate, data, region=region, threads=threads)


def _add(fine: Array, share: Array, strength: Array, target: Array, rest: Array, threads: int) -> None:
    """Move the smoothed residual from the residual to the target where sources are bright."""

    def planes(first: int, last: int) -> None:
        for k in range(first, last):
            # this way round no strength is too large, and nothing is that faint
            faint: NDArray[np.float32] = np.float32(_BRIGHT) / np.maximum(strength[k], np.float32(1e-3))
            moved = fine[k] * (share[k] / (1 + faint**4))
            target[k] += moved
            rest[k] -= moved

    run_ranges(planes, len(fine), threads=threads)


def share_out(estimate: Array, data: Array, *, region: Array, threads: int = 1) -> None:
    """Add the mean of the residual in the region around each voxel, in place: all that is left of a region's flux.

    Each channel by itself. A mean over the whole box gives a region smaller than the box only its share. That is
    better in a cube, whose faint regions begin and end where the noise is high: all of their residual is biased.

    Parameters
    ----------
    estimate, data : ndarray, shape (channel, y, x), float32
        Finite, in units of sigma.
    region : ndarray, same shape
        Weight of each voxel, 0 to 1; where it is 0 nothing changes.
    threads : int
        Threads of this call.
    """
    box = 0, SHARED, SHARED
    for window in windows_around(region > 0, box[:2], threads=threads):
        share = np.ascontiguousarray(region[window], np.float32)
        left = box_mean((data[window] - estimate[window]) * share, box, threads=threads)
        weight = box_mean(share, box, threads=threads)
        # weights are not below those of one voxel in a box, but for rounding
        estimate[window] += share * left / np.maximum(weight, np.float32(1e-6))


def halo(channels: int) -> tuple[int, int]:
    """How far (channels, pixels) ``put_back`` looks."""
    return (BOX[0] + 2, BOX[1] + 2) if channels > 1 else (0, BOX[1] + 2 + SHARED)
