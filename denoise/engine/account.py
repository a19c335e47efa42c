"""What a run did to the data, accumulated tile by tile so that nothing is read twice.

Every number is about the same two sets of voxels: the emission found (the support, detected on the input by
the noise model, whatever the method) and everything else.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube.blockwriter import allocate
from denoise.errors import ResourceError
from denoise.noise import NoiseModel
from denoise.noise.statistics import QUARTILE
from denoise.transforms._jit import kernel, run_ranges

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]

BINS = 1921
_REACH, _PER_SIGMA = 12.0, 80.0  # histograms reach 12 sigma in steps of 1/80
_PARTS = 8  # partial sums: a fixed number gives the same bytes whatever the number of threads
_SUMS = (
    "voxels",
    "detected",
    "flux_before",
    "flux_after",
    "total_before",
    "total_after",
    "residual",
    "residual_squares",
)
_PEAKS = ("before", "after", "snr")
# numbers of the summary that are about the input alone
OF_INPUT = (
    "voxels",
    "detected_voxels",
    "detected_percent",
    "noise_before",
    "peak_before",
    "peak_snr_before",
)


class PackedMask:
    """A boolean cube at one bit a voxel.

    Parameters
    ----------
    shape : tuple of int
        (channel, y, x).
    most : int, optional
        Bytes in memory; a larger mask is mapped from a file without a name in the folder for temporary files,
        which goes with the mask.

    Raises
    ------
    ResourceError
        There is no room for that file.
    """

    dtype = np.dtype(bool)

    def __init__(self, shape: tuple[int, int, int], *, most: int | None = None) -> None:
        self.shape = shape
        packed = (shape[0], shape[1], (shape[2] + 7) // 8)
        here = most is None or mask_bytes(shape) <= most
        self._bits = np.zeros(packed, np.uint8) if here else _mapped(packed)

    def write(self, region: tuple[slice, slice, slice], mask: Mask) -> None:
        """Set the bits of `region` (channel, y, x) to `mask`."""
        self.write_packed(region, np.packbits(mask, axis=2))

    def write_packed(self, region: tuple[slice, slice, slice], bits: NDArray[np.uint8]) -> None:
        """Set `region` (channel, y, x) to a mask whose rows went through ``np.packbits``."""
        c, y, x = region
        if x.stop - x.start < self.shape[2]:
            rows = self.read((c, y, slice(0, self.shape[2])))
            rows[:, :, x] = np.unpackbits(bits, axis=2, count=x.stop - x.start)
            bits = np.packbits(rows, axis=2)
        self._bits[c, y] = bits
        self._release()

    def read(self, region: tuple[slice, slice, slice] | None = None) -> Mask:
        """The mask of `region` (channel, y, x) as booleans; None: all of it."""
        c, y, x = region or (slice(None),) * 3
        rows = np.unpackbits(self._bits[c, y], axis=2, count=self.shape[2])
        self._release()
        return rows[:, :, x].view(bool)

    def count(self) -> int:
        """Number of voxels set."""
        return sum(int(np.bitwise_count(plane).sum()) for plane in self._planes())

    def places(self, most: int) -> NDArray[np.int64]:
        """At most `most` evenly spaced voxels that are set, shape (n, 3) as (channel, y, x)."""
        # plane by plane: the whole may be larger than the memory
        per_row = np.concatenate(
            [np.bitwise_count(plane).sum(axis=1, dtype=np.int64) for plane in self._planes()]
        )
        total = int(per_row.sum())
        ranks = np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(np.int64))
        if not total:
            return np.empty((0, 3), np.int64)
        ends = np.cumsum(per_row)
        rows = np.searchsorted(ends, ranks, side="right")
        inside = ranks - (ends[rows] - per_row[rows])
        channel, y = np.divmod(rows, self.shape[1])
        bits = np.unpackbits(self._bits[channel, y], axis=1, count=self.shape[2])
        x = (np.cumsum(bits, axis=1) > inside[:, None]).argmax(axis=1)
        self._release()
        return np.stack([channel, y, x], axis=1)

    def any_channel(self) -> Mask:
        """Whether any channel of a spaxel is set, (y, x)."""
        found = np.zeros(self._bits.shape[1:], np.uint8)
        for plane in self._planes():
            found |= plane
        return np.unpackbits(found, axis=1, count=self.shape[2]).view(bool)

    def _planes(self) -> Iterator[NDArray[np.uint8]]:
        for plane in self._bits:
            yield plane
            self._release()

    def _release(self) -> None:
        """Leave a mapped mask to its file: pages that were touched count as memory of the process until then."""
        if isinstance(self._bits, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._bits._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def mask_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes of a `PackedMask`."""
    return shape[0] * shape[1] * ((shape[2] + 7) // 8)


def _mapped(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    with tempfile.TemporaryFile() as file:
        try:
            allocate(file.fileno(), size)  # a mapped file that meets a full disk later ends the process
        except OSError as error:
            raise ResourceError(
                f"not enough scratch space in {tempfile.gettempdir()} for the mask of the emission",
                value=f"{size / 1e9:.3g} GB needed: {error.strerror}",
                action="free some space, set TMPDIR to another folder, or allow more memory",
            ) from error
        return np.memmap(file, np.uint8, "r+", shape=shape)


class Tally(NamedTuple):
    """What one core adds to the account: sums, peaks and histograms."""

    sums: NDArray[np.float64]
    peaks: NDArray[np.float64]
    histograms: NDArray[np.int64]


def tally(before: Floats, after: Floats, sigma: Floats, support: Mask, *, threads: int = 1) -> Tally:
    """Count one core; the numbers do not depend on the threads.

    Parameters
    ----------
    before, after : ndarray, shape (channel, y, x)
        Input and output in one unit, NaN where there is no coverage.
    sigma : ndarray, broadcastable to (channel, y, x)
        1 sigma noise of `before`.
    support : ndarray of bool, shape (channel, y, x)
        The emission found.
    threads : int
        Threads that count.
    """
    sums = np.zeros((_PARTS, len(_SUMS)))
    peaks = np.full((_PARTS, len(_PEAKS)), -np.inf)
    histograms = np.zeros((_PARTS, 3, BINS), np.int64)
    sigma = np.broadcast_to(sigma, before.shape)
    run_ranges(
        lambda first, last: _tally(before, after, sigma, support, sums, peaks, histograms, first, last),
        _PARTS,
        threads=threads,
    )
    return Tally(sums.sum(axis=0), peaks.max(axis=0), histograms.sum(axis=0))


class Account:
    """Sums over the tiles of one run; each core is added once, in the order of the tiles.

    Parameters
    ----------
    threads : int
        Threads of each call of add().
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._sums = np.zeros(len(_SUMS))
        self._peaks = np.full(len(_PEAKS), -np.inf)
        self._histograms = np.zeros((3, BINS), np.int64)

    def add(self, before: Floats, after: Floats, sigma: Floats, support: Mask) -> None:
        """Count one core; see `tally`."""
        self.merge(tally(before, after, sigma, support, threads=self._threads))

    def merge(self, counted: Tally) -> None:
        """Take what was counted elsewhere; the same order of the cores gives the same bytes."""
        self._sums += counted.sums
        self._peaks = np.maximum(self._peaks, counted.peaks)
        self._histograms += counted.histograms

    def summary(self, noise: float, scale: float, flux_error: float) -> dict[str, float | None]:
        """The numbers of the report.

        Parameters
        ----------
        noise : float
            Typical 1 sigma noise of the input, in the unit of the data.
        scale : float
            Unit of the data in which the cores were counted.
        flux_error : float
            1 sigma error of the summed input over the support, in the unit of the data.

        Returns
        -------
        dict
            Fluxes are plain sums over voxels in the unit of the data; None where a number is undefined (no
            emission found, a background of exact zeros).
        """
        total = dict(zip(_SUMS, self._sums.tolist(), strict=True))
        peak = dict(zip(_PEAKS, self._peaks.tolist(), strict=True))
        n = max(total["voxels"], 1.0)
        found = total["detected"] > 0
        mean = total["residual"] / n
        after = mad_of_histogram(self._histograms[2])
        change = 100 * (total["flux_after"] / total["flux_before"] - 1) if total["flux_before"] else None
        return {
            "voxels": total["voxels"],
            "detected_voxels": total["detected"],
            "detected_percent": 100 * total["detected"] / n,
            "noise_before": noise,
            "noise_after": after * noise if after > 0 else None,
            "noise_ratio": 1 / after if after > 0 else None,
            "peak_before": peak["before"] * scale,
            "peak_after": peak["after"] * scale,
            "peak_snr_before": peak["snr"],
            "flux_before": total["flux_before"] * scale if found else None,
            "flux_before_error": flux_error if found else None,
            "flux_after": total["flux_after"] * scale if found else None,
            "flux_change_percent": change if found else None,
            "total_before": total["total_before"] * scale,
            "total_after": total["total_after"] * scale,
            "residual_mean_sigma": mean,
            "residual_std_sigma": float(np.sqrt(max(total["residual_squares"] / n - mean**2, 0))),
            "residual_mad_sigma": mad_of_histogram(self._histograms[0]),
        }


@kernel
def _tally(before, after, sigma, support, sums, peaks, histograms, first, last):  # type: ignore[no-untyped-def]
    """Count every channel ``part``, ``part + parts``, ... into the partial sums `first` to `last`."""
    channels, rows = before.shape[:2]
    parts = sums.shape[0]
    for part in range(first, last):
        for c in range(part, channels, parts):
            for y in range(rows):
                _tally_row(
                    before[c, y],
                    after[c, y],
                    sigma[c, y],
                    support[c, y],
                    sums[part],
                    peaks[part],
                    histograms[part],
                )


@kernel
def _tally_row(before, after, sigma, support, sums, peaks, histograms):  # type: ignore[no-untyped-def]
    """Sums of a row in registers; outside the emission most of what comes out is zero."""
    voxels, detected, empty = 0, 0, 0
    flux_before, flux_after, total_before, total_after, residuals, squares = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    top_before, top_after, top_snr = peaks[0], peaks[1], peaks[2]
    for x in range(before.shape[0]):
        b, s = float(before[x]), float(sigma[x])
        if not (np.isfinite(b) and s > 0):
            continue
        a, snr = float(after[x]), b / s
        residual = snr if a == 0 else (b - a) / s
        voxels += 1
        total_before += b
        total_after += a
        residuals += residual
        squares += residual * residual
        top_before, top_after, top_snr = max(top_before, b), max(top_after, a), max(top_snr, snr)
        place = _bin(residual)
        histograms[0, place] += 1
        if support[x]:
            detected += 1
            flux_before += b
            flux_after += a
        elif a == 0:
            histograms[1, place] += 1
            empty += 1
        else:
            histograms[1, _bin(snr)] += 1
            histograms[2, _bin(a / s)] += 1
    histograms[2, _bin(0.0)] += empty
    peaks[0], peaks[1], peaks[2] = top_before, top_after, top_snr
    found = (
        float(voxels),
        float(detected),
        flux_before,
        flux_after,
        total_before,
        total_after,
        residuals,
        squares,
    )
    for k in range(len(found)):
        sums[k] += found[k]


@kernel
def _bin(value):  # type: ignore[no-untyped-def]
    return int(min(max((value + _REACH) * _PER_SIGMA, 0.0), BINS - 1.0))


def mad_of_histogram(counts: NDArray[np.int64]) -> float:
    """Gaussian sigma from the median absolute deviation about zero of binned values, in units of sigma.

    About zero, because that is what the background of a denoised cube should be; 0 where more than half of
    the values fall in the central bins, as for a method that zeroes it.
    """
    centres = (np.arange(BINS) + 0.5) / _PER_SIGMA - _REACH
    order = np.argsort(np.abs(centres), kind="stable")
    total = counts.sum()
    if total == 0:
        return 0.0
    median = abs(centres[order][np.searchsorted(np.cumsum(counts[order]), total / 2)])
    return 0.0 if median < 1 / _PER_SIGMA else float(median / QUARTILE)


def flux_error(support: PackedMask, noise: NoiseModel, samples: int = 100) -> float:
    """1 sigma error of the sum of the data over the support, correlations between voxels included.

    ``sqrt(u' R u)`` with u the sigma of the voxels in the support and R their correlation, the outer sum taken
    over `samples` evenly spaced voxels of the support (all of them if there are fewer).

    Parameters
    ----------
    support : PackedMask
        The emission found.
    noise : NoiseModel
        Of the whole cube.

    Returns
    -------
    float
        In the unit of the noise model; 0 for an empty support.
    """
    places = support.places(samples)
    if not len(places):
        return 0.0
    terms = [_row_of_covariance(support, noise, place) for place in places.tolist()]
    return float(np.sqrt(max(support.count() * float(np.mean(terms)), 0.0)))


def _row_of_covariance(support: PackedMask, noise: NoiseModel, place: list[int]) -> float:
    reach = (noise.spectral_acf.size - 1, noise.spatial_acf.shape[0] // 2, noise.spatial_acf.shape[1] // 2)
    window, lags = [], []
    for at, far, length in zip(place, reach, support.shape, strict=True):
        part = slice(max(0, at - far), min(length, at + far + 1))
        window.append(part)
        lags.append(np.arange(part.start, part.stop) - at)
    region = (window[0], window[1], window[2])
    u = support.read(region) * np.nan_to_num(noise.sigma(region)).astype(np.float64)
    spatial = noise.spatial_acf[np.ix_(lags[1] + reach[1], lags[2] + reach[2])]
    spectral = noise.spectral_acf[np.abs(lags[0])]
    own = u[tuple(at - part.start for at, part in zip(place, window, strict=True))]
    return float(own * (spectral @ (u.reshape(len(u), -1) @ spatial.ravel())))
