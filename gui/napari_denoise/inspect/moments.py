"""Moment maps of a range of channels, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.metrics import Moments, moment_maps
from denoise.noise import NoiseModel
from denoise.report.labels import SpectralLabel, moment0_unit, spectral_label, unit_text

_SLAB = 1 << 23  # voxels read at once
Sigma = Callable[[tuple[slice, slice, slice]], NDArray[Any]]


def moments(
    cube: Cube,
    channels: slice,
    *,
    sigma: Sigma | None,
    clip: float = 3.0,
    check: Callable[[], None] | None = None,
) -> Moments:
    """Moment 0 of all voxels, moments 1 and 2 of those above a threshold.

    Parameters
    ----------
    cube : Cube
        What is integrated.
    channels : slice
        Its range.
    sigma : callable or None
        1 sigma of a region, in the unit of the data; None: moments 1 and 2 take all voxels.
    clip : float
        Threshold in sigma.
    check : callable, optional
        Called before each block of rows; raises to stop.

    Returns
    -------
    Moments
        Maps (y, x), in the unit of the data times that of the axis, and twice in that of the axis; NaN where nothing
        is above the threshold.
    """
    label = spectral_label(cube.spectral_axis, cube.shape[0])
    parts = []
    for rows in _rows(cube.shape, channels):
        if check is not None:
            check()
        region = (channels, rows, slice(0, cube.shape[2]))
        data, width = cube.read(region), label.values[channels]
        mask = None if sigma is None else data > clip * sigma(region)
        plain, bright = moment_maps(data, width), moment_maps(data, width, mask=mask)
        parts.append((plain.moment0, bright.moment1, bright.moment2))
    return Moments(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def threshold(noise: NoiseModel | None, error: Cube | None) -> Sigma | None:
    """The sigma that a threshold is in: a denoised cube's own error, else the noise of the input."""
    if error is not None:
        return error.read
    return None if noise is None else noise.sigma


def moment_units(cube: Cube, label: SpectralLabel) -> tuple[str, str, str]:
    """Units of the three maps, as text."""
    unit = unit_text(cube.unit, cube.unit_text)
    return moment0_unit(cube.unit, unit, label, image=cube.is_image), label.unit, label.unit


def _rows(shape: tuple[int, int, int], channels: slice) -> list[slice]:
    high = max(1, _SLAB // ((channels.stop - channels.start) * shape[2]))
    return [slice(y, min(y + high, shape[1])) for y in range(0, shape[1], high)]
