"""Fast separable smoothing and box filters, for detection in scale space.

Arrays are (channel, y, x), float32 out (``dilate``: bool), input untouched, ``threads`` changes the time
only. Borders: ``"mirror"`` (about the end samples) or ``"constant"`` (zeros outside). NaN spreads, except
where ``gaussian(..., skip_nan=True)`` weighs it out.

- ``scaling_cubes(data, *, spatial_scales, spectral_scales, border="constant", threads=1)`` -> iterator of
  ``((j2, j1), cube)``: B3 scaling coefficients of every pair of scales, each from the one before; their
  impulse responses are ``wavelets.smoothing_kernels``
- ``gaussian(data, *, spatial=0, spectral=0, border="constant", skip_nan=False, truncate=4, threads=1)``
- ``correlate(data, *, spatial_taps=None, spectral_taps=None, step=1, border=, threads=)``
- ``box_mean(data, half_widths, *, threads=1)``, ``box_max(data, half_widths)``, ``dilate(mask, half_widths)``
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.errors import ParameterError
from denoise.transforms import _smoothing_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.starlet import Array, prepared
from denoise.transforms.wavelets import B3

Border = Literal["mirror", "constant"]
HalfWidths = tuple[int, int, int]
_BORDERS = {"mirror": True, "constant": False}


def scaling_cubes(
    data: ArrayLike,
    *,
    spatial_scales: int,
    spectral_scales: int,
    border: Border = "constant",
    threads: int = 1,
) -> Iterator[tuple[tuple[int, int], Array]]:
    """Smoothed cubes ``c[j2, j1]`` for every pair of scales, 0 (no smoothing) included.

    Each is the B3 spline with holes ``2**j`` applied to the cube before it, so the whole family costs one
    pass of five taps an axis per cube. Two cubes of workspace.

    Parameters
    ----------
    data : array_like, shape (channel, y, x)
        Finite.
    spatial_scales, spectral_scales : int
        Largest j2 and j1.
    border : {"constant", "mirror"}
        Zeros outside at every step, or mirrored.
    threads : int
        Threads of this call.

    Yields
    ------
    (j2, j1) : tuple of int
    cube : ndarray, float32
        A buffer: it changes at the next step, and must not be written to.
    """
    plane = prepared(data).copy()
    cube = np.empty_like(plane)
    tap = B3.astype(np.float32)
    mirrored = _mirrored(border)
    for j2 in range(spatial_scales + 1):
        cube[:] = plane
        yield (j2, 0), cube
        for j1 in range(spectral_scales):
            _along_channels(cube, cube, tap, 2**j1, mirrored=mirrored, threads=threads)
            yield (j2, j1 + 1), cube
        if j2 < spatial_scales:
            _along_planes(plane, plane, (tap, tap), 2**j2, mirrored=mirrored, threads=threads)


def correlate(
    data: ArrayLike,
    *,
    spatial_taps: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    spectral_taps: ArrayLike | None = None,
    step: int = 1,
    border: Border = "constant",
    threads: int = 1,
) -> Array:
    """Separable correlation with odd-sized taps, `step` samples apart.

    Parameters
    ----------
    data : array_like, shape (channel, y, x)
        Finite.
    spatial_taps : array_like or pair of array_like, optional
        Taps along y and x (one array: both).
    spectral_taps : array_like, optional
        Taps along channels.
    step : int
        Distance of the taps.
    border : {"constant", "mirror"}
        Zeros outside, or mirrored.
    threads : int
        Threads of this call.
    """
    cube, mirrored = prepared(data), _mirrored(border)
    if spectral_taps is None and spatial_taps is None:
        return cube.copy()
    out = np.empty_like(cube)
    if spectral_taps is not None:
        _along_channels(cube, out, _taps(spectral_taps), step, mirrored=mirrored, threads=threads)
        cube = out
    if spatial_taps is not None:
        pair = spatial_taps if isinstance(spatial_taps, tuple) else (spatial_taps, spatial_taps)
        _along_planes(cube, out, (_taps(pair[0]), _taps(pair[1])), step, mirrored=mirrored, threads=threads)
    return out


def gaussian_taps(sigma: float, *, truncate: float = 4.0) -> NDArray[np.float64]:
    """Unit-sum samples of a Gaussian out to `truncate` sigma (scipy's choice of radius)."""
    if not 0 <= sigma < np.inf:
        raise ParameterError(
            "the width of a Gaussian must be >= 0", value=sigma, action="give a finite number of samples"
        )
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    x = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (x / sigma) ** 2)
    return np.asarray(taps / taps.sum(), np.float64)


def gaussian(
    data: ArrayLike,
    *,
    spatial: float | tuple[float, float] = 0.0,
    spectral: float = 0.0,
    border: Border = "constant",
    skip_nan: bool = False,
    truncate: float = 4.0,
    threads: int = 1,
) -> Array:
    """Gaussian smoothing.

    Parameters
    ----------
    data : array_like, shape (channel, y, x)
        NaN only with `skip_nan`.
    spatial : float or (float, float)
        Sigma in pixels, along y and x.
    spectral : float
        Sigma in channels.
    border : {"constant", "mirror"}
        Zeros outside, or mirrored.
    skip_nan : bool
        NaN voxels get no weight and the sum is divided by the weight that is left (borders too, with
        ``"constant"``); they stay NaN in the output.
    truncate : float
        Where the kernel ends, in sigma.
    threads : int
        Threads of this call.
    """
    pair = spatial if isinstance(spatial, tuple) else (spatial, spatial)
    taps = gaussian_taps(pair[0], truncate=truncate), gaussian_taps(pair[1], truncate=truncate)
    along = gaussian_taps(spectral, truncate=truncate)
    if not skip_nan:
        return correlate(data, spatial_taps=taps, spectral_taps=along, border=border, threads=threads)
    cube = prepared(data)
    known = np.isfinite(cube)
    filled = np.where(known, cube, np.float32(0))
    total = correlate(filled, spatial_taps=taps, spectral_taps=along, border=border, threads=threads)
    weight = correlate(known, spatial_taps=taps, spectral_taps=along, border=border, threads=threads)
    np.divide(total, weight, out=total, where=known)
    total[~known] = np.nan
    return total


def box_mean(data: ArrayLike, half_widths: HalfWidths, *, threads: int = 1) -> Array:
    """Mean over a box of ``2 h + 1`` samples an axis (channel, y, x), mirrored borders.

    Its time does not depend on h. Sums run in float64 along channels and y, and in logarithmic steps along x:
    nothing drifts. NaN spreads along channels and y: fill it before.
    """
    cube, (half_z, half_y, half_x) = prepared(data), _halves(half_widths)
    if half_y != half_x:
        raise ParameterError(
            "box_mean needs the same half width on y and x",
            value=half_widths,
            action="give half widths (channel, h, h)",
        )
    nchan, ny, nx = cube.shape
    out, mean = np.empty_like(cube), np.empty_like(cube)
    source, target = cube.reshape(nchan, -1), mean.reshape(nchan, -1)
    run_ranges(
        lambda a, b: kernels.mean_columns(source, half_z, target, a, b), ny * nx, threads=threads, grain=256
    )
    run_ranges(
        lambda a, b: kernels.average_planes(mean, 0, ny, half_y, 0, ny, out, a, b), nchan, threads=threads
    )
    return out


def box_max(data: ArrayLike, half_widths: HalfWidths, *, threads: int = 1) -> Array:
    """Maximum over a box of ``2 h + 1`` samples an axis (channel, y, x), cut off at the borders.

    NaN is not defined here: fill it before.
    """
    out: Array = _box_max(prepared(data), np.float32(-np.inf), _halves(half_widths), threads)
    return out


def dilate(mask: ArrayLike, half_widths: HalfWidths, *, threads: int = 1) -> NDArray[np.bool_]:
    """Boolean mask (channel, y, x) grown by a box of ``2 h + 1`` samples an axis."""
    array = np.ascontiguousarray(mask, np.bool_)
    if array.ndim != 3 or array.size == 0:
        raise ParameterError(
            "dilate needs a non-empty 3D mask", value=array.shape, action="give a mask (channel, y, x)"
        )
    array = array if array.flags.writeable else array.copy()
    grown: NDArray[np.bool_] = _box_max(array.view(np.uint8), np.uint8(0), _halves(half_widths), threads)
    return grown.view(np.bool_)


def _box_max(array: NDArray[Any], lowest: Any, halves: HalfWidths, threads: int) -> Any:
    nchan, ny, nx = array.shape
    out = np.empty_like(array)
    source, target = array.reshape(nchan, -1), out.reshape(nchan, -1)
    run_ranges(
        lambda a, b: kernels.max_columns(source, lowest, halves[0], target, a, b),
        ny * nx,
        threads=threads,
        grain=256,
    )
    run_ranges(
        lambda a, b: kernels.max_planes(out, lowest, halves[1], halves[2], out, a, b), nchan, threads=threads
    )
    return out


def _halves(half_widths: HalfWidths) -> HalfWidths:
    z, y, x = (int(h) for h in half_widths)
    if min(z, y, x) < 0:
        raise ParameterError(
            "half widths of a box must be >= 0",
            value=half_widths,
            action="give 0 for an axis that is left alone",
        )
    return z, y, x


def _mirrored(border: str) -> bool:
    if border not in _BORDERS:
        raise ParameterError("unknown border", value=border, action=f"use one of: {', '.join(_BORDERS)}")
    return _BORDERS[border]


def _taps(taps: ArrayLike) -> Array:
    array = np.array(taps, np.float32, ndmin=1)
    if array.ndim != 1 or len(array) % 2 == 0:
        raise ParameterError(
            "taps must be 1D and odd in number",
            value=array.shape,
            action="give 2 h + 1 taps, the central one in the middle",
        )
    return array


def _along_channels(data: Array, out: Array, taps: Array, step: int, *, mirrored: bool, threads: int) -> None:
    nchan = data.shape[0]
    source, target = data.reshape(nchan, -1), out.reshape(nchan, -1)
    run_ranges(
        lambda a, b: kernels.smooth_columns(source, target, taps, step, mirrored, a, b),
        source.shape[1],
        threads=threads,
        grain=256,
    )


def _along_planes(
    data: Array, out: Array, taps: tuple[Array, Array], step: int, *, mirrored: bool, threads: int
) -> None:
    run_ranges(
        lambda a, b: kernels.smooth_planes(data, out, *taps, step, mirrored, a, b), len(data), threads=threads
    )
