"""The 2D-1D transform, fast: fused compiled kernels that never store what they can stream.

Same definitions, borders and band layout as ``starlet_reference``. Everything takes and returns float32
arrays (channel, y, x), leaves its input untouched and wants finite data (NaN spreads: fill it before).
``threads`` is the number of threads of this one call (default 1: the engine runs one tile per thread); the
result does not depend on it.

- ``forward(data, *, spatial_scales, spectral_scales, spectral="starlet", threads=1) -> bands``
- ``synthesis(bands, *, spectral=) -> data`` and ``adjoint(bands, *, spectral=) -> data`` (NumPy, float32)
- ``fused(data, *, level, spatial_scales, spectral_scales, operation="soft", sigma=1, shape=2, previous=None,
  previous_level=None, spectral="starlet", threads=1, memory=2) -> data``: transform, `operation` on every
  coefficient, synthesis, in one go
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.errors import ParameterError
from denoise.transforms import _starlet_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.wavelets import tap_table, wavelet

Array = NDArray[np.float32]
Operation = Literal["soft", "hard", "garrote", "firm", "linear", "reweighted"]
RULES: dict[str, int] = {
    "soft": kernels.SOFT,
    "hard": kernels.HARD,
    "garrote": kernels.GARROTE,
    "firm": kernels.FIRM,
    "linear": kernels.LINEAR,
    "reweighted": kernels.REWEIGHTED,
}

FREE_BYTES = 2**25  # workspace that is not worth saving: it stays in the last cache


@dataclass(frozen=True)
class Scales:
    """What the kernels need to know about one transform."""

    spatial: int
    filters: tuple[NDArray[np.float32], ...]
    tables: NDArray[np.int64]

    @property
    def spectral(self) -> int:
        """Number of spectral detail scales."""
        return len(self.tables)

    @property
    def bands(self) -> tuple[int, int]:
        """Shape of a per-band array."""
        return self.spatial + 1, self.spectral + 1

    @property
    def reach(self) -> int:
        """Spatial halo in pixels."""
        return int(2 * (2**self.spatial - 1))


def layout(nchan: int, spatial_scales: int, spectral_scales: int, spectral: str) -> Scales:
    """Filters and mirrored index tables for an axis of `nchan` channels."""
    if spatial_scales < 0 or spectral_scales < 0:
        raise ParameterError(
            "the number of scales is negative",
            value=(spatial_scales, spectral_scales),
            action="give 0 for an axis without scales",
        )
    bank = wavelet(spectral)
    taps = [bank.low, bank.high, bank.dual_low, bank.dual_high]
    if spectral == "starlet":
        taps[1] = np.zeros(0)
    tables = [tap_table(nchan, bank.reach, 2**j) for j in range(spectral_scales)]
    shape = (spectral_scales, nchan, 2 * bank.reach + 1)
    filters = tuple(each.astype(np.float32) for each in taps)
    return Scales(spatial_scales, filters, np.asarray(tables, np.int64).reshape(shape))


def prepared(data: ArrayLike, ndim: int = 3) -> Array:
    """Contiguous, writeable float32, so that each kernel is compiled for one kind of array only."""
    array = np.ascontiguousarray(data, np.float32)
    if array.ndim != ndim or array.size == 0:
        raise ParameterError(
            f"the transform needs a non-empty {ndim}D array",
            value=array.shape,
            action="give one with at least one sample on every axis",
        )
    return array if array.flags.writeable else array.copy()


def per_band(values: ArrayLike, bands: tuple[int, int], name: str) -> Array:
    """A number, or one number per band, as a full float32 array."""
    array = np.asarray(values, np.float32)
    if array.ndim not in (0, 2) or (array.ndim == 2 and array.shape != bands):
        raise ParameterError(
            f"{name} must be one number or one per band {bands}",
            value=array.shape,
            action="give a number, or an array (spatial, spectral) of that shape",
        )
    if not (array >= 0).all():
        raise ParameterError(
            f"{name} must not be negative or NaN",
            value=float(array.min()),
            action="give levels of at least 0, in sigma",
        )
    return np.ascontiguousarray(np.broadcast_to(array, bands)).copy()


def forward(
    data: ArrayLike, *, spatial_scales: int, spectral_scales: int, spectral: str = "starlet", threads: int = 1
) -> Array:
    """Every sub-band, stored: shape (spatial_scales + 1, spectral_scales + 1, channel, y, x).

    See ``starlet_reference.forward``; float32. Needs ``(J2 + 1) (J1 + 2)`` times the memory of the data:
    prefer ``fused`` or ``bands``.
    """
    cube = prepared(data)
    scales = layout(cube.shape[0], spatial_scales, spectral_scales, spectral)
    details = spatial_forward(cube, spatial_scales, 0, cube.shape[1], threads=threads)
    bands = np.empty((*scales.bands, cube.shape[0], details.shape[-1]), np.float32)
    run_ranges(
        lambda a, b: kernels.band_columns(details, bands, scales.tables, scales.filters, a, b),
        details.shape[-1],
        threads=threads,
        grain=256,
    )
    return bands.reshape(*scales.bands, *cube.shape)


def spatial_forward(
    cube: Array, scales: int, low: int, high: int, *, threads: int = 1, buffer: Array | None = None
) -> Array:
    """Starlet details of rows low to high, shape (scale, channel, pixel), in `buffer` where one is given."""
    nchan, _, nx = cube.shape
    shape = (scales + 1, nchan, high - low, nx)
    size = int(np.prod(shape))
    details = (np.empty(size, np.float32) if buffer is None else buffer[:size]).reshape(shape)
    run_ranges(lambda a, b: kernels.spatial_details(cube, details, low, high, a, b), nchan, threads=threads)
    return details.reshape(scales + 1, nchan, -1)


def strip_rows(shape: tuple[int, ...], *, reach: int, arrays: int, memory: float) -> int:
    """Rows taken at a time so that `arrays` copies of them stay within `memory` times the cube.

    Never fewer than the halo on one side: below that the work repeated on the halo outweighs what is saved.
    Small cubes may have 32 MB, whatever `memory` is.
    """
    ny = shape[1]
    small = FREE_BYTES // (4 * arrays * shape[0] * shape[2])
    return min(ny, max(int(ny * memory / arrays), small, reach, 1))


def fused(
    data: ArrayLike,
    *,
    level: ArrayLike,
    spatial_scales: int,
    spectral_scales: int,
    operation: Operation = "soft",
    sigma: ArrayLike = 1.0,
    shape: float = 2.0,
    previous: ArrayLike | None = None,
    previous_level: ArrayLike = 0.0,
    spectral: str = "starlet",
    threads: int = 1,
    memory: float = 2.0,
) -> Array:
    """Transform, change every coefficient, synthesis, without ever storing the sub-bands.

    Parameters
    ----------
    data : array_like, shape (channel, y, x)
        Finite values; computed in float32.
    level : float or array_like, shape (spatial_scales + 1, spectral_scales + 1)
        Threshold of each band in units of `sigma`, >= 0: usually ``k`` times the noise that unit noise
        leaves in that band. 0 keeps a band as it is, ``inf`` removes it. For ``"linear"`` it is the gain of
        the band.
    spatial_scales, spectral_scales : int
        Number of detail scales of each part.
    operation : {"soft", "hard", "garrote", "firm", "linear", "reweighted"}
        With t the threshold: soft ``v - clip(v, -t, t)``; hard ``v if |v| > t``; garrote ``v - t^2 / v``
        beyond t; firm: 0 below t, v above `shape` t, straight between (the proximal step of the continuous
        exact l0 penalty, Soubies et al. 2015, with ``shape = 1 / (step norm^2)``); reweighted: soft with
        ``t q / |p|`` where the coefficient p of `previous` exceeds ``q = previous_level sigma``, t
        elsewhere (Candes et al. 2008).
    sigma : float or array_like
        Scales the thresholds; any shape that broadcasts to the data, e.g. (channel, 1, 1).
    shape : float
        Upper over lower threshold of ``"firm"``, > 1.
    previous : array_like, shape of data
        The previous iterate, for ``"reweighted"``.
    previous_level : float or array_like, per band
        See ``"reweighted"``.
    spectral : {"starlet", "biorthogonal"}
        Filters along channels.
    threads : int
        Threads of this call.
    memory : float
        Workspace wanted, in units of the data; less of it costs repeated work on the halo of the row
        strips. 32 MB are taken in any case.

    Returns
    -------
    ndarray, float32, shape (channel, y, x)
        In the unit of the data.

    Raises
    ------
    ParameterError
        Unknown operation or wavelet, wrong shapes, negative levels.
    """
    cube = prepared(data)
    scales = layout(cube.shape[0], spatial_scales, spectral_scales, spectral)
    if operation not in RULES:
        raise ParameterError("unknown operation", value=operation, action=f"use one of: {', '.join(RULES)}")
    if (previous is not None) != (operation == "reweighted"):
        raise ParameterError(
            "previous goes with the operation 'reweighted', and only with it",
            value=operation,
            action="give both, or neither",
        )
    if shape <= 1:
        raise ParameterError(
            "shape of the firm rule must exceed 1", value=shape, action="give a shape above 1"
        )
    old = None if previous is None else same_shape(prepared(previous), cube)
    call = (
        sigma_for(sigma, cube),
        per_band(level, scales.bands, "level"),
        per_band(previous_level, scales.bands, "previous_level"),
        np.float32(shape),
        RULES[operation],
        scales.tables,
        scales.filters,
    )
    return _in_strips(cube, old, scales, call, threads=threads, memory=memory)


def same_shape(array: Array, cube: Array) -> Array:
    """The array, if it has the shape of the cube."""
    if array.shape != cube.shape:
        raise ParameterError(
            f"the second array must have the shape of the data {cube.shape}",
            value=array.shape,
            action="give two arrays of one shape",
        )
    return array


def sigma_for(sigma: ArrayLike, cube: Array) -> Array:
    """Sigma as a 3D float32 array that broadcasts to the cube."""
    array = np.asarray(sigma, np.float32)
    array = array.reshape((1,) * (3 - array.ndim) + array.shape)
    if array.ndim != 3 or any(n not in (1, size) for n, size in zip(array.shape, cube.shape, strict=True)):
        raise ParameterError(
            f"sigma must broadcast to the data {cube.shape}",
            value=array.shape,
            action="give one number, or an array whose axes have length 1 or that of the data",
        )
    return prepared(array)


def _in_strips(
    cube: Array, previous: Array | None, scales: Scales, call: tuple[Any, ...], *, threads: int, memory: float
) -> Array:
    nchan, ny, nx = cube.shape
    out = np.empty_like(cube)
    count = scales.spatial + 1
    arrays = count * (1 if previous is None else 2)
    rows = strip_rows(cube.shape, reach=scales.reach, arrays=arrays, memory=memory)
    # one allocation for all strips: fresh pages cost as much as the arithmetic
    buffers = [np.empty(count * nchan * rows * nx, np.float32) for _ in range(arrays // count)]
    none = np.empty((count, nchan, 0), np.float32)
    for low in range(0, ny, rows):
        inputs = [
            spatial_forward(each, scales.spatial, low, min(ny, low + rows), threads=threads, buffer=buffer)
            for each, buffer in zip((cube, previous), buffers, strict=False)
            if each is not None
        ]
        details, old = inputs[0], inputs[1] if len(inputs) > 1 else none
        run_ranges(
            partial(kernels.shrink_columns, details, old, out.reshape(nchan, -1), low, nx, *call),
            details.shape[2],
            threads=threads,
            grain=256,
        )
    return out


def synthesis(bands: ArrayLike, *, spectral: str = "starlet") -> Array:
    """The cube whose bands these are; see ``starlet_reference.synthesis``."""
    from denoise.transforms import starlet_reference

    return starlet_reference.synthesis(np.asarray(bands, np.float32), spectral=spectral)


def adjoint(bands: ArrayLike, *, spectral: str = "starlet") -> Array:
    """Transpose of ``forward``; see ``starlet_reference.adjoint``."""
    from denoise.transforms import starlet_reference

    return starlet_reference.adjoint(np.asarray(bands, np.float32), spectral=spectral)
