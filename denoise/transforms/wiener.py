"""Local Wiener gain on the coefficients of the 2D-1D transform, streamed.

- ``wiener(data, pilot, *, noise, spatial_scales, spectral_scales, prior=1, rule="wiener",
  spatial_windows=None, spectral_windows=None, sigma=1, spectral="starlet", threads=1, memory=4) -> data``
- ``wiener_halo(spatial_scales, spectral_scales, spectral=) -> (channel, y, x)``
- ``default_windows(spatial_scales, spectral_scales) -> (spatial, spectral)`` half widths of the boxes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.errors import ParameterError
from denoise.transforms import _wiener_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.starlet import (
    Array,
    Scales,
    layout,
    per_band,
    prepared,
    same_shape,
    sigma_for,
    spatial_forward,
    strip_rows,
)
from denoise.transforms.wavelets import halo

RULES = {"wiener": kernels.WIENER, "empirical": kernels.EMPIRICAL}


def default_windows(spatial_scales: int, spectral_scales: int) -> tuple[list[int], list[int]]:
    """Half widths of the power boxes: about a coefficient's own footprint, at most 17 pixels x 9 channels."""
    spatial = [(min(2**j + 3, 17)) // 2 for j in range(spatial_scales + 1)]
    spectral = [(min(2**j + 1, 9)) // 2 for j in range(spectral_scales + 1)]
    return spatial, spectral


def wiener_halo(spatial_scales: int, spectral_scales: int, spectral: str = "starlet") -> tuple[int, int, int]:
    """How far (channel, y, x) the output looks around itself with the default windows.

    That of the transform, or where it is longer the analysis of the pilot and its box.
    """
    windows = default_windows(spatial_scales, spectral_scales)
    channel, y, x = halo(spatial_scales, spectral_scales, spectral=spectral)
    return channel + max(windows[1]), y + max(windows[0]), x + max(windows[0])


def wiener(
    data: ArrayLike,
    pilot: ArrayLike,
    *,
    noise: ArrayLike,
    spatial_scales: int,
    spectral_scales: int,
    prior: ArrayLike = 1.0,
    ceiling: float = np.inf,
    keep: float = np.inf,
    rule: Literal["wiener", "empirical"] = "wiener",
    spatial_windows: Sequence[int] | None = None,
    spectral_windows: Sequence[int] | None = None,
    sigma: ArrayLike = 1.0,
    spectral: str = "starlet",
    threads: int = 1,
    memory: float = 4.0,
) -> Array:
    """Shrink each coefficient of `data` by a gain from the local power of the coefficients of `pilot`.

    With ``p = prior * mean(pilot coefficient^2)`` over a box around the coefficient and ``s = noise *
    sigma``, the gain is ``p / (p + s^2)``: the Wiener filter for signal power p (Ghael, Sayeed & Baraniuk
    1997, Proc. SPIE 3169, 389).

    Parameters
    ----------
    data, pilot : array_like, shape (channel, y, x)
        Finite values, same unit; squared in float32, so of the order of sigma, not 1e-20.
    noise : float or array_like, shape (spatial_scales + 1, spectral_scales + 1)
        What noise of unit sigma leaves in each band. 0 keeps the band, ``inf`` removes it.
    spatial_scales, spectral_scales : int
        Number of detail scales of each part.
    prior : float or array_like, per band
        Factor on the pilot's power; above 1 where the pilot is known to be too faint.
    ceiling : float
        A pilot coefficient counts as at most this many sigma of its band (for ``sigma`` 1), so that a bright
        source does not keep the noise all around it.
    keep : float
        Where the data's own coefficient v exceeds this many sigma of its band, and the pilot is not zero,
        the gain is at least ``1 - keep^2 s^2 / v^2`` (Gao 1998, J. Comput. Graph. Stat. 7, 469).
    rule : {"wiener", "empirical"}
        Empirical: the pilot's power contains the noise (usually the pilot is the data itself) and the gain is
        ``max(p - s^2, 0) / p``.
    spatial_windows, spectral_windows : sequence of int
        Half widths of the boxes for each spatial scale (pixels) and each spectral scale (channels),
        mirrored borders; default ``default_windows``.
    sigma : float or array_like
        Noise of the data, any shape that broadcasts to it.
    spectral : {"starlet", "biorthogonal"}
        Filters along channels.
    threads : int
        Threads of this call; the result does not depend on it.
    memory : float
        Workspace wanted, in units of the data; see ``starlet.fused``.

    Returns
    -------
    ndarray, float32, shape (channel, y, x)

    Raises
    ------
    ParameterError
        Unknown rule or wavelet, wrong shapes, negative numbers.
    """
    cube = prepared(data)
    scales = layout(cube.shape[0], spatial_scales, spectral_scales, spectral)
    if rule not in RULES:
        raise ParameterError("unknown gain rule", value=rule, action=f"use one of: {', '.join(RULES)}")
    boxes = default_windows(spatial_scales, spectral_scales)
    plan = _Plan(
        scales,
        _half_widths(spatial_windows, boxes[0], "spatial_windows"),
        _half_widths(spectral_windows, boxes[1], "spectral_windows"),
        per_band(noise, scales.bands, "noise"),
        per_band(prior, scales.bands, "prior"),
        _most(ceiling, per_band(noise, scales.bands, "noise")),
        np.float32(keep**2),
        sigma_for(sigma, cube),
        RULES[rule],
    )
    return _in_strips(cube, same_shape(prepared(pilot), cube), plan, threads=threads, memory=memory)


@dataclass(frozen=True)
class _Plan:
    scales: Scales
    spatial: NDArray[np.int64]
    spectral: NDArray[np.int64]
    noise: Array
    prior: Array
    most: Array
    keep: np.float32
    sigma: Array
    rule: int


def _most(ceiling: float, noise: Array) -> Array:
    """Largest square that a pilot coefficient counts as, per band."""
    if np.isinf(ceiling):
        return np.full_like(noise, np.inf)
    return np.asarray(np.square(np.float32(ceiling) * noise), np.float32)


def _half_widths(given: Sequence[int] | None, default: Sequence[int], name: str) -> NDArray[np.int64]:
    widths = np.asarray(default if given is None else given, np.int64)
    if widths.shape != (len(default),) or (widths < 0).any():
        raise ParameterError(f"{name} needs {len(default)} half widths >= 0", value=given)
    return widths


@dataclass(frozen=True)
class _Strip:
    """Rows that are written, and rows that their boxes reach; the arrays that all strips share."""

    core: tuple[int, int]
    around: tuple[int, int]
    threads: int
    buffers: tuple[Array, Array, Array, Array]


def _in_strips(cube: Array, pilot: Array, plan: _Plan, *, threads: int, memory: float) -> Array:
    nchan, ny, nx = cube.shape
    spatial, spectral = plan.scales.bands
    margin = int(plan.spatial.max())
    rows = strip_rows(
        cube.shape,
        reach=max(plan.scales.reach, 2 * margin),
        arrays=2 * (spatial + spectral),
        memory=memory,
    )
    size, wide = nchan * rows * nx, nchan * min(ny, rows + 2 * margin) * nx
    counts = (spatial * size, spatial * wide, spectral * wide, spectral * size)
    buffers = tuple(np.empty(count, np.float32) for count in counts)
    out = np.empty_like(cube)
    for low in range(0, ny, rows):
        core = (low, min(ny, low + rows))
        around = (max(0, low - margin), min(ny, core[1] + margin))
        _one_strip(cube, pilot, out, plan, _Strip(core, around, threads, buffers))  # type: ignore[arg-type]
    return out


def _one_strip(cube: Array, pilot: Array, out: Array, plan: _Plan, strip: _Strip) -> None:
    scales, threads = plan.scales.spatial, strip.threads
    fine = spatial_forward(cube, scales, *strip.core, threads=threads, buffer=strip.buffers[0])
    prior = spatial_forward(pilot, scales, *strip.around, threads=threads, buffer=strip.buffers[1])
    for j2 in range(scales + 1):
        power = _local_power(prior[j2], cube.shape, j2, plan, strip)
        _apply(fine[j2], power, out, j2, plan=plan, strip=strip)


def _local_power(details: Array, shape: tuple[int, ...], j2: int, plan: _Plan, strip: _Strip) -> Array:
    """Box means of the squared coefficients of one spatial scale: (spectral scale, channel, pixel)."""
    (nchan, ny, nx), scales = shape, plan.scales
    (low, high), (start, stop) = strip.core, strip.around
    planes = scales.bands[1] * nchan
    power = strip.buffers[2][: planes * (stop - start) * nx].reshape(planes, stop - start, nx)
    mean = strip.buffers[3][: planes * (high - low) * nx].reshape(planes, high - low, nx)
    columns = power.reshape(scales.bands[1], nchan, -1)
    run_ranges(
        lambda a, b: kernels.power_columns(
            details, columns, plan.spectral, plan.most[j2], scales.tables, scales.filters, a, b
        ),
        details.shape[1],
        threads=strip.threads,
        grain=256,
    )
    run_ranges(
        lambda a, b: kernels.average_planes(power, start, ny, plan.spatial[j2], low, high, mean, a, b),
        planes,
        threads=strip.threads,
    )
    return mean.reshape(scales.bands[1], nchan, -1)


def _apply(details: Array, power: Array, out: Array, j2: int, *, plan: _Plan, strip: _Strip) -> None:
    """Add the coefficients of one spatial scale times their gains to `out`."""
    tables, filters, rule = plan.scales.tables, plan.scales.filters, plan.rule
    noise, prior, low = plan.noise[j2], plan.prior[j2], strip.core[0]
    flat, nx = out.reshape(len(out), -1), out.shape[2]
    run_ranges(
        lambda a, b: kernels.gain_columns(
            details,
            power,
            flat,
            low,
            nx,
            plan.sigma,
            noise,
            prior,
            plan.keep,
            rule,
            tables,
            filters,
            j2 == 0,
            a,
            b,
        ),
        details.shape[1],
        threads=strip.threads,
        grain=256,
    )
