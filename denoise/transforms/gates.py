"""Gated synthesis: every coefficient of the 2D-1D starlet times a gain that the scale space around it decides.

The synthesis of the starlet is a sum, so a denoised voxel is ``sum_b g_b c_b`` over its own sub-band coefficients c_b.
The gains g_b, between 0 and 1, come from a small network that sees what a survey source finder sees at that voxel:
the significance of the data smoothed to every spatial and spectral scale, by the noise model. Nothing but the data's
own coefficients enters the sum: it can be wrong about what to keep, but it cannot draw what is not there.

A gain is the larger of those for the data and for their negative: what is kept of the noise has no preferred sign, and
absorption is treated as emission is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.transforms import _gate_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import box_max, correlate
from denoise.transforms.starlet import (
    Array,
    Scales,
    layout,
    per_band,
    prepared,
    same_shape,
    spatial_forward,
    strip_rows,
)
from denoise.transforms.wavelets import B3

SIDE = 5  # spatial and spectral scales that a network knows: no smoothing to four B3 smoothings
BRIGHT = (3, 10)  # how far a bright source tells its surroundings: channels, pixels
_BEND = 20.0
NAMES = ("w1", "b1", "w2", "b2", "floor", "knee")


@dataclass(frozen=True, eq=False)
class GateNetwork:
    """Two layers: significances to hidden units (negative ones cut) to one logit z a band; gain (1 + z/(1+|z|))/2.

    Attributes
    ----------
    hidden : ndarray, shape (units, inputs), float32
        Inputs: significances of the data (spatial scale major), the weight of the region, the brightness of what
        is near (see ``brightness``), and eight numbers of the noise (logarithms of what it keeps at spatial
        scales 1 to 4 and at spectral scales 1 to 4).
    hidden_bias : ndarray, shape (units,), float32
    out : ndarray, shape (25, units), float32
    out_bias : ndarray, shape (25,), float32
    floor : float
        Beyond this many sigma a coefficient keeps at least its own garrote.
    knee : float
        A significance s enters as ``s / (1 + |s| / knee)``.
    """

    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array
    floor: float
    knee: float

    @classmethod
    def from_arrays(cls, values: Mapping[str, NDArray[Any]]) -> GateNetwork:
        """From arrays named as in ``NAMES``."""
        w1, b1, w2, b2 = (np.ascontiguousarray(values[name], np.float32) for name in NAMES[:4])
        return cls(w1, b1, w2, b2, float(values["floor"].item()), float(values["knee"].item()))

    def for_noise(self, left: Array) -> tuple[Array, ...]:
        """Weights of the significances, of what has no sign, bias, and the second layer, as kernels take them.

        The numbers of the noise are the same for every voxel and go into the bias.
        """
        return _for_noise(self, left.astype(np.float32).tobytes())


@lru_cache(maxsize=16)
def _for_noise(network: GateNetwork, left: bytes) -> tuple[Array, ...]:
    """The same, once for all blocks of a cube."""
    signed, plain = SIDE**2, SIDE**2 + 2
    kept = np.frombuffer(left, np.float32).reshape(SIDE, SIDE)
    numbers = np.log(np.concatenate([kept[1:, 0], kept[0, 1:]])).astype(np.float32)
    bias = network.hidden_bias + network.hidden[:, plain:] @ numbers
    first, _ = _even(network.hidden[:, :signed], bias)
    return first, *_even(network.hidden[:, signed:plain], bias), *_even(network.out, network.out_bias)


def gated(
    data: ArrayLike,
    *,
    region: ArrayLike,
    strength: ArrayLike,
    network: GateNetwork,
    left: ArrayLike,
    noise: ArrayLike,
    spatial_scales: int,
    spectral_scales: int,
    threads: int = 1,
    memory: float = 4.0,
) -> Array:
    """Sum of the sub-bands of `data`, each coefficient times its gain, times `region`.

    Parameters
    ----------
    data : array_like, shape (channel, y, x)
        Finite, in units of sigma.
    region : array_like, same shape
        Weight of each voxel, 0 to 1; below 0.02 it counts as 0, and nothing is computed there.
    strength : array_like, same shape
        Of what is near, by ``strength``.
    network : GateNetwork
        Gives the gains.
    left : array_like, shape (scales + 1, scales + 1)
        Standard deviation that unit noise keeps after each smoothing, for as many scales as the cube has.
    noise : array_like, shape (spatial_scales + 1, spectral_scales + 1)
        Standard deviation of unit noise in each band.
    spatial_scales, spectral_scales : int
        Number of detail scales of each part.
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
        Shapes do not fit (`starlet.same_shape`, `starlet.per_band`).
    """
    cube = prepared(data)
    scales = layout(cube.shape[0], spatial_scales, spectral_scales, "starlet")
    kept = padded(np.asarray(left, np.float32))
    plan = _Plan(
        scales,
        same_shape(prepared(region), cube),
        brightness(same_shape(prepared(strength), cube)),
        (
            np.ascontiguousarray(1 / kept),
            per_band(noise, scales.bands, "noise"),
            np.float32(network.knee),
            np.float32(network.floor),
        ),
        network.for_noise(kept),
    )
    return _in_strips(cube, plan, threads=threads, memory=memory)


def strength(data: Array, left: Array, *, threads: int = 1) -> Array:
    """Largest significance of the finest smoothing nearby (`BRIGHT`).

    It tells faint emission from the outskirts of bright emission.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        In units of sigma.
    left : ndarray
        What unit noise keeps after each smoothing, as in ``gated``.
    threads : int
        Threads of this call.
    """
    fine = min(1, left.shape[0] - 1), min(1, left.shape[1] - 1)
    smooth = correlate(
        data, spatial_taps=B3 if fine[0] else None, spectral_taps=B3 if fine[1] else None, threads=threads
    )
    np.abs(smooth, out=smooth)
    largest = box_max(smooth, (BRIGHT[0] if fine[1] else 0, BRIGHT[1], BRIGHT[1]), threads=threads)
    largest /= np.float32(left[fine])
    return largest


def brightness(strength: Array) -> Array:
    """The strength as networks see it, bent."""
    return np.asarray(strength / (4 + strength * np.float32(4 / _BEND)), np.float32)


def _even(weights: Array, bias: Array) -> tuple[Array, Array]:
    """A layer with rows and inputs of no weight added, so that kernels may take four at a time."""
    rows, inputs = -len(weights) % 4, -weights.shape[1] % 4
    return np.ascontiguousarray(np.pad(weights, ((0, rows), (0, inputs)))), np.pad(bias, (0, rows))


def padded(left: Array) -> Array:
    """What the noise keeps at every scale that a network knows; a cube with fewer scales repeats its coarsest."""
    spatial, spectral = (np.minimum(np.arange(SIDE), n - 1) for n in left.shape)
    return np.ascontiguousarray(left[np.ix_(spatial, spectral)])


@dataclass(frozen=True)
class _Plan:
    scales: Scales
    region: Array
    bright: Array
    call: tuple[Any, ...]
    network: tuple[Array, ...]


def _in_strips(cube: Array, plan: _Plan, *, threads: int, memory: float) -> Array:
    nchan, ny, nx = cube.shape
    out = np.empty_like(cube)
    count = plan.scales.spatial + 1
    rows = strip_rows(cube.shape, reach=plan.scales.reach, arrays=count, memory=memory)
    buffer = np.empty(count * nchan * rows * nx, np.float32)
    for low in range(0, ny, rows):
        high = min(ny, low + rows)
        if not plan.region[:, low:high].any():
            out[:, low:high] = 0
            continue
        details = spatial_forward(cube, plan.scales.spatial, low, high, threads=threads, buffer=buffer)
        run_ranges(
            partial(
                kernels.gate_columns,
                details,
                plan.region.reshape(nchan, -1),
                plan.bright.reshape(nchan, -1),
                out.reshape(nchan, -1),
                low,
                nx,
                plan.call,
                plan.network,
                plan.scales.tables,
            ),
            (high - low) * nx,
            threads=threads,
            grain=256,
        )
    return out
