"""What stands out of the noise at some scale: of a residual, and of a denoised block itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denoise.transforms.smoothing import box_max, correlate
from denoise.transforms.starlet import Array
from denoise.transforms.wavelets import B3
from denoise.transforms.windows import windows_around

# sigma at some scale: up to the first nothing counts as standing out, from the second on it all does
STANDS = (3.0, 4.0)
AROUND = (6, 11)  # half widths within which all is shown with what stands out: channels, pixels


def ramp(values: NDArray[np.floating], limits: tuple[float, float]) -> Array:
    """0 up to the first limit, 1 from the second on, smooth between."""
    at = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.asarray(at * at * (3 - 2 * at), np.float32)


def significance(
    block: Array, left: NDArray[np.floating], *, both_signs: bool = False, threads: int = 1
) -> Array:
    """Largest over the scales of a search, at least 0.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x), float32
        Finite, in units of sigma.
    left : ndarray, shape (spatial + 1, spectral + 1)
        Standard deviation that unit noise keeps after each smoothing, see ``detection.noise_left``.
    both_signs : bool
        Whether what is negative counts too.
    threads : int
        Threads of this call.
    """
    most = np.zeros_like(block)
    plane = block
    for j2, scales in enumerate(left):
        if j2:
            plane = correlate(plane, spatial_taps=B3, step=2 ** (j2 - 1), threads=threads)
        line = plane
        for j1, kept in enumerate(scales):
            if j1:
                line = correlate(line, spectral_taps=B3, step=2 ** (j1 - 1), threads=threads)
            np.maximum(most, np.abs(line) / kept if both_signs else line / kept, out=most)
    return most


def standing(
    estimate: Array,
    left: NDArray[np.floating],
    region: Array,
    *,
    both_signs: bool = False,
    threads: int = 1,
) -> Array:
    """Share of each voxel of a region to show: 1 near what stands out of the estimate itself, 0 elsewhere.

    The threshold of a search is passed by noise as well, now and then. What a denoiser makes of it there, which has
    seen the surroundings too, is a second opinion. With it the U-Net shows something in 3 of 100 empty fields where it
    does in 10; at a peak SNR of 2.75 it costs 1 % of the error in the aperture, 5 % in the emission and 2 points of its
    flux, at 4.5 and above nothing (``benchmarks/flux_tradeoff.py --method unet --knob standing --cubes 40``).

    Parameters
    ----------
    estimate : ndarray, shape (channel, y, x), float32
        Of a denoiser, in units of sigma, where the noise is white.
    left : ndarray
        See ``significance``.
    region : ndarray, same shape as `estimate`
        Weight of each voxel, 0 to 1; where it is 0 the estimate does not count.
    both_signs, threads
        See ``significance``.
    """
    share = np.zeros_like(region)
    far = halo((left.shape[0] - 1, left.shape[1] - 1))
    box = (AROUND[0] if len(region) > 1 else 0, AROUND[1], AROUND[1])
    for window in windows_around(region > 0, far, threads=threads):
        shown = np.where(region[window] > 0, estimate[window], np.float32(0))
        found = significance(shown, left, both_signs=both_signs, threads=threads)
        share[window] = ramp(box_max(found, box, threads=threads), STANDS)
    return share


def halo(scales: tuple[int, int]) -> tuple[int, int]:
    """How far (channels, pixels) ``standing`` looks, by the scales (spatial, spectral) of the search."""
    return _smoothing(scales[1]) + AROUND[0], _smoothing(scales[0]) + AROUND[1]


def _smoothing(scale: int) -> int:
    return 2 * ((1 << scale) - 1)
