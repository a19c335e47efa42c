"""Coloured Gaussian noise from a counter: the value of a voxel depends on seed, draw and its place alone.

White noise comes from Philox 4x32-10 (Salmon et al. 2011, SC'11, "Parallel random numbers: as easy as 1, 2,
3") keyed with the seed, its counter the absolute (x // 4, y, channel, draw); Box-Muller turns four words
into four normal deviates, so that the tail ends at 6.7 sigma. Colouring runs on a fixed grid of blocks in
absolute pixels: every voxel is always computed by the same transform from the same numbers, whatever region
is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from denoise.compiled import compiled
from denoise.noise.seams import Piece, overlap

_BLOCK = 256  # pixels; the blocks of the absolute grid are at most this large
_SLAB = 16  # channels coloured at once


def _philox_py(counter: Any, key: Any) -> Any:
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0 = (p1 >> half) ^ c1 ^ k0
        c1 = p1 & low
        c2 = (p0 >> half) ^ c3 ^ k1
        c3 = p0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


philox = compiled(_philox_py, inline="always")


def _words_py(start: Any, groups: Any, place: Any, key: Any, out: Any) -> None:
    """Words of a row of groups, shape (4, group); a loop of its own, so that it is vectorised."""
    low = np.uint64(0xFFFFFFFF)
    for group in range(groups):
        counter = (np.uint64(start + group) & low, place[0], place[1], place[2])
        out[0, group], out[1, group], out[2, group], out[3, group] = philox(counter, key)


_words = compiled(_words_py, error_model="numpy")


def _normals_py(first: Any, second: Any, cosine: Any, sine: Any, share: Any) -> None:
    """Pairs of normal deviates (Box & Muller 1958) from rows of 32-bit words.

    Logarithm, sine and cosine are series to 1e-12: calls of a library would not be vectorised. `share` is a buffer.
    """
    bits = share.view(np.int64)
    for k in range(first.size):
        share[k] = (np.float64(first[k]) + 0.5) * (1.0 / 4294967296.0)
    for k in range(first.size):
        # 2**power * part, part within a factor sqrt 2 of 1; log part = 2 artanh s
        power = (bits[k] - 0x3FE6A09E667F3BCD) >> 52
        bits[k] -= power << 52
        part = share[k]
        s = (part - 1.0) / (part + 1.0)
        q = s * s
        series = 1.0 / 15 + q / 17
        series = 1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13 + q * series))
        series = 1.0 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * series)))
        radius = math.sqrt(-2.0 * (2.0 * s * series + power * 0.6931471805599453))
        turns = np.int64(second[k])
        quarter = (turns + 536870912) >> 30
        x = (turns - (quarter << 30)) * (2.0 * math.pi / 4294967296.0)
        q = x * x
        up = 1.0 - q / 20 * (1.0 - q / 42 * (1.0 - q / 72 * (1.0 - q / 110 * (1.0 - q / 156))))
        up = radius * x * (1.0 - q / 6 * up)
        along = 1.0 - q / 30 * (1.0 - q / 56 * (1.0 - q / 90 * (1.0 - q / 132 * (1.0 - q / 182))))
        along = radius * (1.0 - q / 2 * (1.0 - q / 12 * along))
        odd = (quarter & 1) == 1
        c, d = (up, along) if odd else (along, up)
        cosine[k] = -c if ((quarter + 1) & 2) == 2 else c
        sine[k] = -d if (quarter & 2) == 2 else d


_normals = compiled(_normals_py, error_model="numpy")


def _fill_white_py(out: Any, start: Any, key: Any, draw: Any) -> None:
    low = np.uint64(0xFFFFFFFF)
    nchan, ny, nx = out.shape
    group = start[2] >> 2
    count = ((start[2] + nx - 1) >> 2) + 1 - group
    before = start[2] - 4 * group
    words, share = np.empty((4, count), np.uint64), np.empty(count)
    values = np.empty((4, count), np.float32)
    for channel in range(nchan):
        for y in range(ny):
            place = (np.uint64(start[1] + y) & low, np.uint64(start[0] + channel) & low, draw)
            _words(group, count, place, key, words)
            for first in (0, 2):
                _normals(words[first], words[first + 1], values[first], values[first + 1], share)
            for x in range(nx):
                out[channel, y, x] = values[(before + x) & 3, (before + x) >> 2]


_fill_white = compiled(_fill_white_py)


def white(
    start: tuple[int, int, int], shape: tuple[int, int, int], *, seed: int, draw: int
) -> NDArray[np.float32]:
    """White unit noise at absolute voxels, float32.

    Parameters
    ----------
    start : (int, int, int)
        Absolute (channel, y, x) of the first voxel; may be negative.
    shape : (int, int, int)
        Shape (channel, y, x) wanted.
    seed, draw : int
        Key (64 bits are used) and number of the draw (32 bits).
    """
    out = np.empty(shape, dtype=np.float32)
    key = int(seed) & 0xFFFFFFFFFFFFFFFF
    words = (np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32))
    _fill_white(out, np.array(start, dtype=np.int64), words, np.uint64(int(draw) & 0xFFFFFFFF))
    return out


def _mix_channels_py(slab: Any, taps: Any) -> Any:
    nchan, ny, nx = slab.shape[0] - taps.size + 1, slab.shape[1], slab.shape[2]
    out = np.zeros((nchan, ny, nx), dtype=np.float32)
    for channel in range(nchan):
        for tap in range(taps.size):
            for y in range(ny):
                for x in range(nx):
                    out[channel, y, x] += taps[tap] * slab[channel + tap, y, x]
    return out


_mix_channels = compiled(_mix_channels_py)


class Colouring:
    """Draws unit noise with a spatial and a spectral colouring kernel, the same whatever the region.

    Parameters
    ----------
    spatial : ndarray, odd shape (2r + 1, 2q + 1)
        From `denoise.noise.covariance.colouring_kernel`.
    spectral : ndarray, shape (2s + 1,)
        The same for channels.
    extent : (int, int)
        Size (y, x) of the whole cube, which fixes the grid of blocks.
    """

    def __init__(self, spatial: NDArray[Any], spectral: NDArray[Any], extent: tuple[int, int]) -> None:
        self.taps = np.asarray(spectral, dtype=np.float32)
        self.radius = (spatial.shape[0] // 2, spatial.shape[1] // 2)
        # equal parts of the extent: of a block that sticks out all is computed, too
        self.block = tuple(-(-max(1, n) // -(-max(1, n) // _BLOCK)) for n in extent)
        padded = [b + 2 * r for b, r in zip(self.block, self.radius, strict=True)]
        self.size = tuple(int(fft.next_fast_len(n, real=True)) for n in padded)
        grid = np.zeros(self.size, dtype=np.float32)
        grid[: spatial.shape[0], : spatial.shape[1]] = spatial
        self.transfer = fft.rfft2(np.roll(grid, [-r for r in self.radius], axis=(0, 1)))

    def draw(
        self,
        start: tuple[int, int, int],
        shape: tuple[int, int, int],
        pieces: Sequence[Piece],
        *,
        seed: int,
        draw: int,
    ) -> NDArray[np.float32]:
        """Unit noise (channel, y, x) whose first voxel is the absolute voxel `start`.

        The noise of each of the `pieces` of the cube is that of a place so far away in y, in noise without end,
        that nothing reaches from one to the next.
        """
        out = np.empty(shape, dtype=np.float32)
        beyond = max((rows.stop for rows, _ in pieces), default=0) + 2 * self.radius[0]
        apart = self.block[0] * (1 + -(-beyond // self.block[0]))
        for number, piece in enumerate(pieces):
            rows, columns = overlap(piece, start[1:], shape[1:])
            size = (shape[0], rows.stop - rows.start, columns.stop - columns.start)
            if min(size) > 0:
                place = (start[0], rows.start + number * apart, columns.start)
                y, x = rows.start - start[1], columns.start - start[2]
                own = out[:, y : y + size[1], x : x + size[2]]
                own[...] = self._endless(place, size, seed=seed, draw=draw)
        return out

    def _endless(
        self, start: tuple[int, int, int], shape: tuple[int, int, int], *, seed: int, draw: int
    ) -> NDArray[np.float32]:
        """Noise that no seam crosses."""
        out = np.empty(shape, dtype=np.float32)
        stop = tuple(a + n for a, n in zip(start, shape, strict=True))
        (by, bx) = self.block
        for c0 in range(start[0], stop[0], _SLAB):
            c1 = min(c0 + _SLAB, stop[0])
            for y in range(start[1] // by * by, stop[1], by):
                for x in range(start[2] // bx * bx, stop[2], bx):
                    self._place(out, (c0, c1), (y, x), start, seed=seed, draw=draw)
        return out

    def _place(
        self,
        out: NDArray[np.float32],
        channels: tuple[int, int],
        corner: tuple[int, int],
        start: tuple[int, int, int],
        *,
        seed: int,
        draw: int,
    ) -> None:
        """Colour one block of the grid for some channels and copy the part that lies in `out`."""
        planes = self._block(channels, corner, seed=seed, draw=draw)
        lo = [max(c, s) for c, s in zip(corner, start[1:], strict=True)]
        hi = [
            min(c + b, s + n) for c, b, s, n in zip(corner, self.block, start[1:], out.shape[1:], strict=True)
        ]
        source = tuple(slice(a - c, b - c) for a, b, c in zip(lo, hi, corner, strict=True))
        target = tuple(slice(a - s, b - s) for a, b, s in zip(lo, hi, start[1:], strict=True))
        out[(slice(channels[0] - start[0], channels[1] - start[0]), *target)] = planes[(slice(None), *source)]

    def _block(
        self, channels: tuple[int, int], corner: tuple[int, int], *, seed: int, draw: int
    ) -> NDArray[np.float32]:
        halo = self.taps.size // 2
        first = (channels[0] - halo, corner[0] - self.radius[0], corner[1] - self.radius[1])
        padded = [b + 2 * r for b, r in zip(self.block, self.radius, strict=True)]
        planes = white(first, (channels[1] - channels[0] + 2 * halo, *padded), seed=seed, draw=draw)
        if self.taps.size > 1:
            planes = _mix_channels(planes, self.taps)
        if self.radius == (0, 0):
            return planes
        return np.stack([self._colour(plane) for plane in planes])

    def _colour(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        # one plane per transform: a batch may round differently with its size
        (ry, rx), (by, bx) = self.radius, self.block
        spectrum = fft.rfft2(plane, s=self.size, workers=1)
        spectrum *= self.transfer
        image = fft.irfft2(spectrum, s=self.size, workers=1)
        return np.asarray(image[ry : ry + by, rx : rx + bx], dtype=np.float32)
