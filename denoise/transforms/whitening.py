"""Take the spatial correlation out of the noise before looking for emission, and put it back after.

A matched filter in correlated noise of covariance C weighs the data by ``C^-1`` (e.g. Kay 1998, Fundamentals of
Statistical Signal Processing II, section 4.4). With W the filter that makes the noise white, that is the plain matched
filter of ``W data``: searching and shrinking there uses what fine detail says where the noise has little power.
The inverse filter brings the estimate back, and with it the smoothness that noise and signal share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.noise import NoiseModel
from denoise.noise.covariance import crop_acf, filtered_variance, taper_acf, valid_acf, whitening_kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import dilate

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# half width of the ACF that counts, in its FWHM: mirrored borders are wrong for far sidelobes of a dirty beam, and
# filters as wide as the field amplify that
_WIDEST = 4
_AT_ONCE = 1 << 17  # values that are transformed at once: they stay in the cache
_BORDER = 10  # pixels from a border within which what is mirrored there makes the noise larger


@dataclass(frozen=True, eq=False)
class Filters:
    """What whitens noise of one ACF.

    Attributes
    ----------
    whiten, colour : ndarray, 2D of odd shape
        The filter and its inverse.
    acf : ndarray, 2D of odd shape
        Of the noise that is left.
    border : ndarray, shape (2, pixels)
        How much more noise the first pixels from a border have: along y, along x.
    """

    whiten: NDArray[np.float64]
    colour: NDArray[np.float64]
    acf: NDArray[np.float64]
    border: NDArray[np.float64]

    @property
    def reach(self) -> int:
        """Pixels that there and back look around."""
        return int(max(self.whiten.shape) // 2 + max(self.colour.shape) // 2)

    @property
    def spread(self) -> int:
        """Pixels by which the inverse filter widens a point, to 30 % of its peak."""
        far = (
            np.argwhere(np.abs(self.colour) > 0.3 * np.abs(self.colour).max())
            - np.array(self.colour.shape) // 2
        )
        return int(np.abs(far).max())


class Whitened(NamedTuple):
    """A block with white noise.

    Attributes
    ----------
    block : ndarray, shape (channel, y, x), float32
        As it was.
    data : ndarray, shape (channel, y, x), float32
        Over its sigma; 0 where there is no coverage.
    noise : NoiseModel
        Its noise.
    scale : ndarray, shape (channel, y, x) or 1s, float32
        What was divided out near borders and seams.
    filters : Filters or None
        None: the noise was white already.
    """

    block: Array
    data: Array
    noise: NoiseModel
    scale: Array
    filters: Filters | None

    def restore(self, estimate: Array, share: Array, *, threads: int = 1) -> Array:
        """An estimate of ``data``, with the correlation put back.

        Where `share` is 1 the estimate ``data`` itself gives back the block, although the filters are cut and borders
        are mirrored before each of them.
        """
        if self.filters is None:
            return estimate
        error = self.block - self.coloured(self.data, threads)
        return self.coloured(estimate, threads) + share * error

    def widened(self, mask: Mask, threads: int = 1) -> Mask:
        """A mask of ``data``, grown by what the filter that puts the correlation back spreads."""
        spread = 0 if self.filters is None else self.filters.spread
        return dilate(mask, (0, spread, spread), threads=threads) if spread else mask

    def coloured(self, white: Array, threads: int = 1) -> Array:
        """Values with the correlation put back."""
        if self.filters is None:
            return white
        scaled, out = white * self.scale, np.empty_like(white)
        for piece in _pieces(self.noise):
            convolve(scaled[piece], self.filters.colour, out=out[piece], threads=threads)
        return out


def filters_for(noise: NoiseModel) -> Filters | None:
    """Filters for the noise's spatial ACF; None where it is white."""
    if noise.spatial_acf.size == 1:
        return None
    half = ceil(_WIDEST * max(noise.correlation_fwhm))
    return _filters(noise.spatial_acf.tobytes(), noise.spatial_acf.shape, half, noise.trusted)


def whiten(data: Array, valid: Mask, noise: NoiseModel, *, threads: int = 1) -> Whitened:
    """Whiten one block, each of the pieces between seams of the noise as a field of its own.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x), float32
        Over sigma, 0 where there is no coverage. Of float64 all is computed in float64.
    valid : ndarray of bool, same shape
        Where there is. Beyond its edges, as beyond borders and seams, the data are mirrored.
    noise : NoiseModel
        Of the block.
    threads : int
        Threads of this call.
    """
    filters = filters_for(noise)
    ones = np.ones((1, 1, 1), np.float32)
    if filters is None:
        return Whitened(data, data, noise, ones, None)
    left = replace(noise.unit(), spatial_acf=filters.acf)
    planes = valid[:1] if (valid == valid[:1]).all() else valid
    scale, white = np.empty(planes.shape, np.float32), np.empty_like(data)
    for piece in _pieces(noise):
        scale[piece] = _border_scale(planes[piece], filters.border)
        convolve(_mirrored(data[piece], valid[piece]), filters.whiten, out=white[piece], threads=threads)
    white /= scale
    if not valid.all():
        white[~valid] = 0
    return Whitened(data, white, left, scale, filters)


def _pieces(noise: NoiseModel) -> Iterator[tuple[slice, slice, slice]]:
    """Parts (channel, y, x) of the block of a noise model that no seam crosses."""
    for rows, columns in noise.local_seams.pieces(noise.shape[1:]):
        yield slice(None), rows, columns


def convolve(
    data: Array, kernel: NDArray[np.float64], *, out: Array | None = None, threads: int = 1
) -> Array:
    """Each plane of (channel, y, x) convolved with a point-symmetric kernel, mirrored borders, in the data's type."""
    from scipy import fft

    hy, hx = (n // 2 for n in kernel.shape)
    ny, nx = data.shape[1:]
    size = [int(fft.next_fast_len(n + 2 * h, real=True)) for n, h in ((ny, hy), (nx, hx))]
    grid = np.zeros(size, data.dtype)
    grid[: kernel.shape[0], : kernel.shape[1]] = kernel
    transfer = fft.rfft2(np.roll(grid, (-hy, -hx), axis=(0, 1)))
    result = np.empty_like(data) if out is None else out
    rows, columns = (_reflected(n, h, m) for n, h, m in zip((ny, nx), (hy, hx), size, strict=True))
    many = max(1, _AT_ONCE // (size[0] * size[1]))

    def planes(first: int, last: int) -> None:
        for k in range(first, last, many):
            some = slice(k, min(k + many, last))
            spectrum = fft.rfft2(data[some].take(rows, axis=1).take(columns, axis=2), overwrite_x=True)
            spectrum *= transfer
            result[some] = fft.irfft2(spectrum, s=size, overwrite_x=True)[:, hy : hy + ny, hx : hx + nx]

    run_ranges(planes, len(data), threads=threads, grain=many)
    return result


@lru_cache(maxsize=256)
def _reflected(length: int, half: int, size: int) -> NDArray[np.int64]:
    """Indices of an axis mirrored over `half` samples at both ends; what fills up the rest of `size` does not count."""
    return np.pad(np.pad(np.arange(length), half, mode="reflect"), (0, size - length - 2 * half), mode="edge")


def _mirrored(data: Array, valid: Mask) -> Array:
    """Data with what is not valid mirrored in the edge of what is; untouched where nothing is missing."""
    if valid.all():
        return data
    out = data.copy()
    last: tuple[Mask, NDArray[np.int64]] | None = None
    for k, mask in enumerate(valid):
        if mask.all() or not mask.any():
            continue
        if last is None or not np.array_equal(last[0], mask):
            last = (mask, _reflections(mask))
        missing = ~mask
        out[k][missing] = data[k].ravel()[last[1]]
    return out


def _reflections(mask: Mask) -> NDArray[np.int64]:
    """For each pixel outside the mask, the flat index of its mirror image inside."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    missing = np.nonzero(~mask)
    edge = [near[missing] for near in nearest]
    mirror = [
        np.clip(2 * at - pixel, 0, n - 1) for at, pixel, n in zip(edge, missing, mask.shape, strict=True)
    ]
    inside = mask[mirror[0], mirror[1]]
    y, x = (np.where(inside, there, at) for there, at in zip(mirror, edge, strict=True))
    return np.asarray(y * mask.shape[1] + x, np.int64)


def _border_scale(planes: Mask, border: NDArray[np.float64]) -> Array:
    """Noise over that far from any border: the product of what the distance along y and along x says."""
    scale = np.ones(planes.shape, np.float32)
    if planes.all():  # the usual case needs no search for borders
        for axis in (1, 2):
            near = np.minimum(np.arange(planes.shape[axis]), np.arange(planes.shape[axis])[::-1])
            more = border[axis - 1]
            factors = np.append(more, 1.0).astype(np.float32)[np.minimum(near, len(more))]
            scale *= factors[:, None] if axis == 1 else factors
        return scale
    for axis in (1, 2):
        inside, near = planes, np.zeros(planes.shape, np.bool_)
        for factor in border[axis - 1]:
            inside = _shrunk(inside, axis)
            ring = planes & ~inside & ~near
            scale[ring] *= np.float32(factor)
            near |= ring
    return scale


def _shrunk(mask: Mask, axis: int) -> Mask:
    """The mask without the pixels at its borders along one axis."""
    wide = np.pad(mask, [(1, 1) if k == axis else (0, 0) for k in range(3)])
    before, after = (np.take(wide, range(low, low + mask.shape[axis]), axis=axis) for low in (0, 2))
    return np.asarray(mask & before & after)


@lru_cache(maxsize=16)
def _filters(content: bytes, shape: tuple[int, int], half: int, floor: float) -> Filters:
    acf = np.frombuffer(content, np.float64).reshape(shape)
    if max(shape) > 2 * half + 1:
        acf = valid_acf(taper_acf(crop_acf(acf, half)))
    forward, back, left = whitening_kernels(acf, floor=floor)
    border = np.stack([_border_noise(acf, forward), _border_noise(acf.T, forward.T)])
    return Filters(forward, back, left, border)


def _border_noise(acf: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of whitened noise in the first pixels from a border across y: mirrored noise counts twice."""
    half = kernel.shape[0] // 2
    at = np.arange(-half, half + 1)
    spread = []
    for distance in range(_BORDER):
        folded = np.zeros((half + _BORDER + 1, kernel.shape[1]))
        np.add.at(folded, np.abs(distance + at), kernel)
        odd = np.pad(folded, ((0, 1 - len(folded) % 2), (0, 0)))
        spread.append(np.sqrt(filtered_variance(acf, odd)))
    return np.maximum(spread, 1.0)
