"""False structure: what a method shows where there is nothing, judged by the noise of its input.

Definition. A region is a connected set (six neighbours) of output voxels beyond a level, none of which lies
within two beams of the truth. It is false when its matched-filter SNR reaches the threshold, else
insignificant residue.

The matched filter is the Gaussian g with the region's own centre, spatial covariance and line width,
weighted by the output: few numbers, so that its null distribution is that of a scale-space search. (The
region's detailed shape as template would fit the noise it was found in: a blob of five connected 2.5-sigma
bumps would score above 5.) With C the covariance of the *input's* noise,

    SNR(v) = <g, v> / sqrt(g' C g),

taken for v = input, is the fluke that the method let through; for v = output, what the method claims is
there. The larger counts: a method is as wrong to invent a source as to keep a fluke. Output noise is never
used: it is zero for a method that clears the background.

Levels, in sigma of the input, are walked from high to low, and a region that holds one already counted is the
same structure: so neither faint broad nor bright compact regions hide in connected noise.

Threshold. 5 by default: see `expected_flukes` for how many regions pure noise reaches it with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError
from denoise.metrics.apertures import near_truth
from denoise.noise import NoiseModel

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice, slice]

DETECTION = 5.0
LEVELS = (3.0, 1.0, 0.3, 0.1)
NARROWEST = 0.8  # sigma in pixels of the narrowest template: sampled Gaussians below it are not Gaussian


class FalseRegion(NamedTuple):
    """One connected region.

    Attributes
    ----------
    centre : tuple of float
        Centre (channel, y, x), weighted by the output.
    volume : int
        Voxels above the level at which it was found.
    flux : float
        Sum of the output in it, negative for a hole.
    snr_input, snr_output : float
        Matched-filter SNR of the input and of the output (see the module).
    """

    centre: tuple[float, float, float]
    volume: int
    flux: float
    snr_input: float
    snr_output: float

    @property
    def snr(self) -> float:
        """The larger of the two."""
        return float(max(self.snr_input, self.snr_output))


@dataclass(frozen=True)
class FalseStructure:
    """False regions of one output, brightest first, and what is left of insignificant residue.

    Attributes
    ----------
    regions : tuple of FalseRegion
        Those that reach the threshold.
    volume : int
        Voxels in them.
    residue_count, residue_volume : int
        Connected regions at the lowest level with no false region in them, and their voxels.
    """

    regions: tuple[FalseRegion, ...]
    volume: int
    residue_count: int
    residue_volume: int


def false_structure(
    truth: Array,
    noisy: Array,
    denoised: Array,
    *,
    noise: NoiseModel,
    beam: tuple[float, float, float],
    threshold: float = DETECTION,
    levels: Sequence[float] = LEVELS,
    near: Mask | None = None,
) -> FalseStructure:
    """Find connected regions of the output that have no truth near them and would be called detections.

    Parameters
    ----------
    truth, noisy, denoised : ndarray, shape (channel, y, x)
        One unit; NaN is no data.
    noise : NoiseModel
        Noise of ``noisy``.
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees.
    threshold : float
        Matched-filter SNR of a detection.
    levels : sequence of float
        Where the output is cut into regions, in sigma of the input.
    near : ndarray of bool, shape (channel, y, x), optional
        Surroundings of the truth, if known already (see `near_truth`).
    """
    if not threshold > 0 or not levels or min(levels) <= 0:
        raise ParameterError(
            "threshold and levels must be positive",
            value=(threshold, tuple(levels)),
            action="give a threshold and at least one level, all above 0",
        )
    near = near_truth(truth, beam) if near is None else near
    search = _Search(noisy, denoised, noise=noise, near=near, threshold=threshold)
    regions: list[FalseRegion] = []
    volume = residue_count = residue_volume = 0
    for sign in (1, -1):
        taken = np.zeros(denoised.shape, bool)
        for level in sorted(levels, reverse=True):
            for region, inside, window in search.regions(sign, level, taken):
                regions.append(region)
                taken[window] |= inside
        count, voxels = search.residue(sign, min(levels), taken)
        volume += int(taken.sum())
        residue_count, residue_volume = residue_count + count, residue_volume + voxels
    ordered = tuple(sorted(regions, key=lambda region: -region.snr))
    return FalseStructure(ordered, volume, residue_count, residue_volume)


def expected_flukes(threshold: float, noise: NoiseModel, *, widths: Sequence[float] = (0, 1, 2, 4)) -> float:
    """Expected number of positive peaks above a threshold in pure noise, over a scale-space search.

    Each channel of noise smoothed to a scale is a Gaussian random field with, per resolution element, the
    density of peaks ``(4 ln 2) (2 pi)^-3/2 t exp(-t^2/2)``; scales a factor of two apart in area count as
    independent, spectral scales likewise. An upper limit: neighbouring scales share their flukes.

    Parameters
    ----------
    threshold : float
        t, in sigma of the smoothed noise.
    noise : NoiseModel
        Gives the shape and the resolution of the noise.
    widths : sequence of float
        Line widths searched, sigma in channels.

    Notes
    -----
    Source: Worsley et al. 1992, J. Cereb. Blood Flow Metab. 12, 900, two-dimensional form.
    For 40 x 96 x 96 voxels and a beam of 5 pixels: 12 at t = 4, 1.6 at 4.5, 0.16 at 5, 0.013 at 5.5. Regions
    found in 16 cubes of such noise, both signs together: 8.7, 1.6, 0.19 and 0.06 a cube.
    """
    nchan, ny, nx = noise.shape
    # FWHM^2 of the kernel that colours the noise
    resolution = 2.0 * math.log(2.0) / math.pi * noise.correlation_area
    density = 4.0 * math.log(2.0) * (2.0 * math.pi) ** -1.5 * threshold * math.exp(-0.5 * threshold**2)
    spatial = 2.0 * ny * nx / resolution  # 1 + 1/2 + 1/4 + ... of the finest scale
    spectral = sum(nchan / max(1.0, math.sqrt(4.0 * math.pi) * width) for width in widths)
    return float(spatial * spectral * density)


class _Search:
    """Regions of one output at one level, without those near the truth."""

    def __init__(
        self, noisy: Array, denoised: Array, noise: NoiseModel, near: Mask, threshold: float
    ) -> None:
        sigma = noise.sigma()
        self.known = np.isfinite(sigma) & np.isfinite(noisy) & np.isfinite(denoised) & (sigma > 0)
        self.denoised = np.where(self.known, denoised, 0.0).astype(np.float32)
        self.noisy = np.where(self.known, noisy, 0.0).astype(np.float32)
        scale = np.where(self.known, sigma, 1.0)
        self.scaled, self.scaled_input = self.denoised / scale, self.noisy / scale
        self.sigma = np.where(self.known, sigma, 0.0)
        self.noise, self.near, self.threshold = noise, near, threshold

    def labels(self, sign: int, level: float) -> tuple[NDArray[np.int32], Mask]:
        """Label the regions; second: which labels are away from the truth (index 0 is False)."""
        from scipy import ndimage

        labels, count = ndimage.label(sign * self.scaled > level)
        away = np.ones(count + 1, bool)
        away[0] = False
        away[labels[self.near]] = False
        return labels, away

    def regions(self, sign: int, level: float, taken: Mask) -> Iterator[tuple[FalseRegion, Mask, Window]]:
        """Yield the false regions at this level that hold nothing taken already."""
        from scipy import ndimage

        labels, away = self.labels(sign, level)
        away[labels[taken]] = False
        away &= self._may_reach(labels, away.size)
        boxes = ndimage.find_objects(labels)
        for label in np.flatnonzero(away):
            window = boxes[label - 1]
            inside = labels[window] == label
            region = self.measured(sign, inside, window)
            if region.snr >= self.threshold:
                yield region, inside, window

    def residue(self, sign: int, level: float, taken: Mask) -> tuple[int, int]:
        """Count the regions at this level, and their voxels, that hold nothing taken."""
        labels, away = self.labels(sign, level)
        away[labels[taken]] = False
        return int(away.sum()), int(away[labels].sum())

    def measured(self, sign: int, inside: Mask, window: Window) -> FalseRegion:
        """Centre, flux and the two SNR of one region."""
        values = np.where(inside, self.denoised[window], 0.0).astype(np.float64)
        centre, covariance, line_width = weighted_shape(np.abs(values), window)
        g_line, g_sky, wide = gaussian_template(centre, covariance, line_width, self.denoised.shape)
        left = self.noise.filtered_sigma(g_sky, g_line)
        weight = (g_line[:, None, None] * g_sky[None]) ** 2
        # sigma changes slowly over a template, so its local mean square is enough
        sigma = math.sqrt(float((weight * self.sigma[wide].astype(np.float64) ** 2).sum() / weight.sum()))
        spread = left * sigma
        found = [
            sign * float(np.einsum("c,yx,cyx->", g_line, g_sky, cube[wide])) / spread if spread > 0 else 0.0
            for cube in (self.noisy, self.denoised)
        ]
        return FalseRegion(centre, int(inside.sum()), float(values.sum()), found[0], found[1])

    def _may_reach(self, labels: NDArray[np.int32], count: int) -> Mask:
        """Leave out regions too faint and too small: peak x sqrt(independent samples) is the most."""
        inside = labels > 0
        named = labels[inside]
        peak = np.zeros(count)
        np.maximum.at(peak, named, np.maximum(np.abs(self.scaled[inside]), np.abs(self.scaled_input[inside])))
        samples = 4.0 * np.bincount(named, minlength=count) / self.noise.correlation_area + 1.0
        return np.asarray(peak * np.sqrt(samples) >= self.threshold)


def weighted_shape(
    weight: NDArray[np.float64], window: Window
) -> tuple[tuple[float, float, float], Array, float]:
    """Centre, spatial covariance (2, 2) and line width (sigma, channels) of weights in a window."""
    total = weight.sum()
    axes = [np.arange(part.start, part.stop, dtype=np.float64) for part in window]
    line, sky = weight.sum(axis=(1, 2)), weight.sum(axis=0)
    c = float(axes[0] @ line / total)
    y, x = float(axes[1] @ sky.sum(axis=1) / total), float(axes[2] @ sky.sum(axis=0) / total)
    dy, dx = axes[1] - y, axes[2] - x
    yy, xx, yx = dy**2 @ sky.sum(axis=1), dx**2 @ sky.sum(axis=0), dy @ sky @ dx
    covariance = np.array([[yy, yx], [yx, xx]]) / total
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * np.maximum(values, NARROWEST**2)) @ vectors.T
    return (c, y, x), covariance, math.sqrt(max(float((axes[0] - c) ** 2 @ line / total), 0.0))


def gaussian_template(
    centre: tuple[float, float, float], covariance: Array, line_width: float, shape: tuple[int, int, int]
) -> tuple[Array, Array, Window]:
    """Gaussian line (channel,) and sky (y, x) out to 3 sigma, cut at the border, and their window."""
    reach = (3.0 * line_width, 3.0 * math.sqrt(covariance[0, 0]), 3.0 * math.sqrt(covariance[1, 1]))
    window = tuple(
        slice(max(0, math.floor(at - far)), min(size, math.ceil(at + far) + 1))
        for at, far, size in zip(centre, reach, shape, strict=True)
    )
    c, y, x = (np.arange(part.start, part.stop) - at for part, at in zip(window, centre, strict=True))
    (a, b), (_, d) = np.linalg.inv(covariance)
    quadratic = a * y[:, None] ** 2 + 2 * b * y[:, None] * x + d * x**2
    # a line within one channel has no width: the nearest channels then share it
    line = np.exp(-0.5 * (c / max(line_width, 0.3)) ** 2)
    return line, np.exp(-0.5 * quadratic), (window[0], window[1], window[2])
