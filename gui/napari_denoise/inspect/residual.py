"""The residual in sigma: its histogram and its autocorrelation, against the noise model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers
from denoise.errors import InputError
from denoise.report.audit import acf_error
from denoise.report.scene import AcfCurve
from denoise.report.stream import EDGES, accumulate, footprint, spatial_acf
from napari_denoise.inspect.measure import Pair

Floats = NDArray[np.float64]
Region = tuple[slice, slice, slice]
LAGS = 12


@dataclass(frozen=True, eq=False)
class Residual:
    """Input minus denoised, in sigma of the noise model.

    Attributes
    ----------
    edges : ndarray, shape (bin + 1,)
        In sigma.
    density : ndarray, shape (bin,)
        Probability density, 1 / sigma.
    count, mean, std : int, float, float
        Voxels, and the moments of the residual; 0 and 1 for noise as modelled.
    curves : tuple of AcfCurve
        Along x, along y and, of a cube, along the channels.
    """

    edges: Floats
    density: Floats
    count: int
    mean: float
    std: float
    curves: tuple[AcfCurve, ...]


def residual(pair: Pair, *, check: Callable[[], None] | None = None) -> Residual:
    """Measure the residual of a whole cube, block by block.

    Parameters
    ----------
    pair : Pair
        With a denoised cube and the noise of the input; the continuum, which both hold alike, is in neither.
    check : callable, optional
        Called before each block; raises to stop.

    Raises
    ------
    InputError
        There is no denoised cube, no noise model, or no voxel that both have.
    """
    if pair.after is None or pair.noise is None:
        what = "a denoised cube" if pair.after is None else "the noise of the input"
        raise InputError(
            f"the residual needs {what}", action="choose a denoised cube and what it was made of"
        )
    readers = _readers(pair, check)
    spectral = pair.spectral
    sums = accumulate(readers, footprint(readers), spectral.values, spectral.width, lags=LAGS)
    spreads = (sums.inside, sums.outside)
    count = sum(one.count for one in spreads)
    if not count:
        raise InputError("no voxel has data and noise in both cubes", action="choose cubes that overlap")
    mean = sum(one.count * one.mean for one in spreads if one.count) / count
    square = sum(one.count * (one.std**2 + one.mean**2) for one in spreads if one.count) / count
    density = (spreads[0].histogram + spreads[1].histogram) / (count * np.diff(EDGES))
    curves = _curves(pair, readers, (sums.spectral_acf, sums.spectral_pairs))
    return Residual(EDGES, density, count, mean, float(np.sqrt(max(square - mean**2, 0.0))), curves)


def _curves(pair: Pair, readers: Readers, spectral: tuple[Floats, Floats]) -> tuple[AcfCurve, ...]:
    noise = pair.noise
    if noise is None:
        return ()
    measured = spatial_acf(readers, lags=LAGS)
    h, w = (n // 2 for n in noise.spatial_acf.shape)
    rows = [
        ("along x", "pixel", measured.along_x, noise.spatial_acf[h, w:], measured.pairs_x),
        ("along y", "pixel", measured.along_y, noise.spatial_acf[h:, w], measured.pairs_y),
    ]
    if not pair.before.is_image:
        rows.append(("along the channels", "channel", spectral[0], noise.spectral_acf, spectral[1]))
    error = partial(acf_error, spatial=noise.spatial_acf, spectral=noise.spectral_acf)
    return tuple(AcfCurve(*row[:4], error(row[4])) for row in rows)


def _readers(pair: Pair, check: Callable[[], None] | None) -> Readers:
    before, after, noise, support = pair.before, pair.after, pair.noise, pair.support
    if after is None or noise is None:
        raise AssertionError("asked before")

    def first(region: Region) -> NDArray[Any]:
        if check is not None:
            check()
        return before.read(region)

    def found(region: Region) -> NDArray[np.bool_]:
        if support is not None:
            return np.asarray(support.read(region), bool)
        return np.zeros([part.stop - part.start for part in region], bool)

    def sigma(region: Region) -> NDArray[Any]:
        values = noise.sigma(region)
        return np.where(values > 0, values, np.nan)

    return Readers(before.shape, first, after.read, sigma, found, before.excluded)
