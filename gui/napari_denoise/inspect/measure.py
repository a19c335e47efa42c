"""What an aperture holds: spectra with their errors, flux, noise, signal-to-noise; before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.metrics import Measurement, background_noise, integrated_spectrum, peak_snr, snr_gain, sum_error
from denoise.noise import NoiseModel
from denoise.report.audit import flux_error
from denoise.report.labels import ApertureUnit, SpectralLabel, aperture_unit, moment0_unit, spectral_label
from napari_denoise.inspect.aperture import Footprint

Floats = NDArray[np.float64]
Region = tuple[slice, slice, slice]
Read = Callable[[Region], NDArray[Any]]
SAMPLED = 1 << 23  # voxels that noise and gain are taken from
QUICK = 1 << 15  # the same while an aperture moves
_SLAB = 1 << 23  # voxels gathered at once
_WEAK = 3.0  # sigma: below it a ratio of fluxes says nothing


@dataclass(frozen=True, eq=False)
class Pair:
    """What is compared.

    Attributes
    ----------
    before : Cube
        The input (or a denoised cube alone).
    after : Cube or None
        The denoised cube, same shape and unit.
    noise : NoiseModel or None
        Of `before`.
    error : Cube or None
        1-sigma error of each voxel of `after`.
    support : object or None
        The emission found, with ``read(region)`` (channel, y, x) bool: left out where noise is measured.
    name : str
        What `before` is, for legends.
    """

    before: Cube
    after: Cube | None = None
    noise: NoiseModel | None = None
    error: Cube | None = None
    support: Any = None
    name: str = "input"

    @cached_property
    def unit(self) -> ApertureUnit:
        """Of the spectra."""
        return aperture_unit(self.before)

    @cached_property
    def spectral(self) -> SpectralLabel:
        """Coordinates of the channels."""
        return spectral_label(self.before.spectral_axis, self.before.shape[0])

    @property
    def flux_unit(self) -> str:
        """Of a flux: the spectrum's times the axis's; the spectrum's for an image."""
        return moment0_unit(self.unit.native, self.unit.unit, self.spectral, image=self.before.is_image)

    @property
    def spectral_acf(self) -> Floats:
        """Of the noise along the channels; 1 alone where it is not known."""
        return np.ones(1) if self.noise is None else self.noise.spectral_acf


@dataclass(frozen=True, eq=False)
class Curve:
    """A spectrum and its 1-sigma error (None: not known), shape (channel,), NaN where there are no data.

    The error of a denoised spectrum is a lower bound: of its voxels' errors with the correlation of the input's noise,
    which denoising widens.
    """

    values: Floats
    error: Floats | None


class Numbers(NamedTuple):
    """One value before and one after; None: undefined, or not known.

    Attributes
    ----------
    noise : tuple
        1 sigma of a voxel, unit of the data: of the noise model, and the median error (else the robust spread
        outside the emission found) of the denoised cube. 0: exact zeros are left.
    peak_snr : tuple
        Brightest voxel over that noise.
    gain : float or None
        Of the signal-to-noise, as ``denoise.metrics.snr_gain``.
    """

    noise: tuple[float | None, float | None]
    peak_snr: tuple[float | None, float | None]
    gain: float | None


class Fluxes(NamedTuple):
    """Over a range of channels: before and after, after / before, and whether that ratio is of noise alone."""

    before: Measurement
    after: Measurement | None
    ratio: float | None
    weak: bool


@dataclass(frozen=True, eq=False)
class Measured:
    """An aperture, measured; `exact`: noise and gain are of all its voxels."""

    pair: Pair
    foot: Footprint
    before: Curve
    after: Curve | None
    numbers: Numbers
    exact: bool = True

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.foot.pixels

    def fluxes(self, channels: slice) -> Fluxes:
        """Sum over a range of channels times their widths, in `Pair.flux_unit`; NaN errors: not known.

        The denoised flux has the error of the input's: denoising moves errors into correlations and bias, so a sum is
        not surer after it.
        """
        before = self._flux(self.before, channels)
        after = None
        if self.after is not None:
            after = Measurement(self._flux(self.after, channels).value, before.error)
        ratio = None if after is None or before.value == 0 else after.value / before.value
        return Fluxes(before, after, ratio, bool(abs(before.value) < _WEAK * before.error))

    def _flux(self, curve: Curve, channels: slice) -> Measurement:
        values, width = curve.values[channels], self.pair.spectral.width[channels]
        use = np.isfinite(values)
        value = float(np.sum(values[use] * width[use])) if use.any() else float("nan")
        if curve.error is None:
            return Measurement(value, float("nan"))
        variance = np.where(use, np.nan_to_num(curve.error[channels]) ** 2, 0.0)
        # the errors of the channels hold the correlation on the sky already
        return Measurement(
            value, flux_error(variance, width, spatial=1.0, spectral_acf=self.pair.spectral_acf)
        )


@dataclass(frozen=True, eq=False)
class Readers:
    """How the cubes of a pair are read; copies in memory, or their files."""

    before: Read
    after: Read | None


def readers_of(pair: Pair) -> Readers:
    """Straight from the cubes."""
    return Readers(pair.before.read, None if pair.after is None else pair.after.read)


def measure(
    pair: Pair,
    foot: Footprint,
    *,
    readers: Readers | None = None,
    check: Callable[[], None] | None = None,
    sampled: int = SAMPLED,
) -> Measured:
    """Spectra and numbers of an aperture.

    Parameters
    ----------
    pair : Pair
        What is measured.
    foot : Footprint
        Where.
    readers : Readers, optional
        Of the same pixels.
    check : callable, optional
        Called before each slab of channels; raises to stop.
    sampled : int
        Of an aperture with more voxels, noise and gain are those of so many (eight million at most), in evenly spaced
        channels and the brightest ones. Spectra, fluxes and peaks are always of all.
    """
    gather = _Gather(pair, foot, readers or readers_of(pair))
    spectra, tops = [], []
    for part in _slabs(pair.before.shape[0], foot.pixels):
        if check is not None:
            check()
        before, after = gather.cubes(part)
        spectra.append(gather.spectra(part, before, after))
        if foot.pixels * pair.before.shape[0] > min(sampled, _SLAB):
            tops.append(gather.tops(part, before, after))
    if tops:
        voxels = gather.sample(np.concatenate(tops, axis=1), sampled)
    else:  # one slab
        voxels = gather.voxels(slice(None), (before, after))
    afters = [one[1] for one in spectra if one[1] is not None]
    joined = _joined([one[0] for one in spectra]), _joined(afters) if afters else None
    return Measured(pair, foot, *joined, _numbers(voxels), exact=not tops)


class _Voxels(NamedTuple):
    """Voxels of an aperture, shape (channel, 1, pixel); `quiet`: outside the emission found."""

    before: NDArray[Any]
    after: NDArray[Any] | None
    sigma: NDArray[Any] | None
    error: NDArray[Any] | None
    quiet: NDArray[np.bool_]


class _Gather:
    """Reads the voxels of an aperture."""

    def __init__(self, pair: Pair, foot: Footprint, readers: Readers) -> None:
        self.pair, self.foot, self.readers = pair, foot, readers
        self.inside = np.flatnonzero(foot.inside)
        self.spread = 1.0 if pair.noise is None else correlation(pair.noise, foot)
        self.relative = np.ones(1)
        if pair.noise is not None:
            # one number where the map of the noise is flat
            relative = np.asarray(pair.noise.relative[foot.rows, foot.columns])
            self.relative = relative[foot.inside][: 1 if relative.strides == (0, 0) else None].astype(float)

    def cubes(self, channels: slice) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Input and denoised cube over a range of channels."""
        before, after = self.readers.before, self.readers.after
        return self._take(before, channels), None if after is None else self._take(after, channels)

    def voxels(
        self, channels: slice, cubes: tuple[NDArray[Any], NDArray[Any] | None] | None = None
    ) -> _Voxels:
        """Everything over a range of channels, whose cubes may be read already."""
        pair, (before, after) = self.pair, cubes or self.cubes(channels)
        return _Voxels(
            before,
            after,
            None if pair.noise is None else self._take(pair.noise.sigma, channels),
            None if pair.error is None else self._take(pair.error.read, channels),
            np.ones(before.shape, bool)
            if pair.support is None
            else ~self._take(pair.support.read, channels).astype(bool),
        )

    def sample(self, tops: Floats, sampled: int) -> _Voxels:
        """Of evenly spaced channels and those with the brightest voxels."""
        count = max(1, sampled // self.foot.pixels)
        even = np.linspace(0, tops.shape[1] - 1, count).round().astype(int)
        bright = [int(np.nanargmax(row)) for row in tops if np.isfinite(row).any()]
        found = [self.voxels(slice(c, c + 1)) for c in sorted({*even.tolist(), *bright})]
        after, sigma, error = (_stacked([one[i] for one in found]) for i in (1, 2, 3))
        before, quiet = (np.concatenate([one[i] for one in found]) for i in (0, 4))
        return _Voxels(before, after, sigma, error, quiet)

    def tops(self, channels: slice, before: NDArray[Any], after: NDArray[Any] | None) -> Floats:
        """Largest value of each channel: before, before / sigma, after; NaN where there is none."""
        rows = [_top(before), _top(before), _top(before if after is None else after)]
        noise = self.pair.noise
        with np.errstate(divide="ignore", invalid="ignore"):
            if noise is not None and noise.pixels is None:
                rows[1] = _top(before / self.relative) / noise.channel_sigma[channels]
            elif noise is not None:
                rows[1] = _top(before / self._take(noise.sigma, channels))
        rows[1][~np.isfinite(rows[1])] = np.nan
        return np.stack(rows)

    def spectra(
        self, channels: slice, before: NDArray[Any], after: NDArray[Any] | None
    ) -> tuple[Curve, Curve | None]:
        """Of the input and of the denoised cube."""
        finite, error = np.isfinite(before), self.pair.error
        first = self._curve(before, finite, self._variance(channels, finite))
        if after is None:
            return first, None
        there = np.isfinite(after)
        # an exact zero says that nothing was found: its error is that of what may hide there, and not of the sum
        shown = there & (after != 0)
        sums = None if error is None else _squares(self._take(error.read, channels), shown)
        return first, self._curve(after, there, sums)

    def _take(self, read: Read, channels: slice) -> NDArray[Any]:
        whole = slice(*channels.indices(self.pair.before.shape[0]))
        block = np.asarray(read((whole, self.foot.rows, self.foot.columns)))
        # three times as fast as the mask itself
        return np.asarray(block.reshape(len(block), -1).take(self.inside, axis=1)[:, None, :])

    def _variance(self, channels: slice, finite: NDArray[np.bool_]) -> Floats | None:
        """Sum of sigma squared over the pixels with data, shape (channel,)."""
        noise = self.pair.noise
        if noise is None:
            return None
        if noise.pixels is not None:
            return _squares(self._take(noise.sigma, channels), finite)
        share = np.nan_to_num(self.relative**2)
        if finite.all():
            weight = np.full(len(finite), share.sum() * (finite.shape[2] if share.size == 1 else 1))
        else:
            weight = (finite * share).sum(axis=(1, 2))
        return np.asarray(np.nan_to_num(noise.channel_sigma[channels]) ** 2 * weight)

    def _curve(self, data: NDArray[Any], finite: NDArray[np.bool_], variance: Floats | None) -> Curve:
        unit, count = self.pair.unit, finite.sum(axis=(1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 / count if unit.mean else np.where(count > 0, unit.factor, np.nan)
            error = None if variance is None else scale * np.sqrt(self.spread * variance)
            return Curve(integrated_spectrum(data) * scale, error)


def correlation(noise: NoiseModel, foot: Footprint) -> float:
    """Variance of a sum over the aperture relative to independent pixels of the same sigma.

    Exact where sigma is that of the channel times that of the pixel; where it is stored for every voxel, or a channel
    lacks some of the pixels, as if it were.
    """
    relative = noise.relative[foot.rows, foot.columns]
    plane = NoiseModel(
        (1, *foot.inside.shape), np.ones(1), relative, noise.spatial_acf, np.ones(1), origin=noise.origin
    )
    alone = float(np.square(np.nan_to_num(relative[foot.inside]), dtype=np.float64).sum())
    return sum_error(foot.inside[None], plane) ** 2 / alone if alone > 0 else 1.0


def _numbers(voxels: _Voxels) -> Numbers:
    before, after, sigma, error, quiet = voxels
    if after is not None and error is not None:
        error = np.where(after == 0, np.nan, error)  # of what may hide there: no noise of the result
    robust = background_noise(before, before if after is None else after, quiet)
    noise = (
        (_finite(robust[0]) or None) if sigma is None else _middle(sigma),
        None if after is None else _middle(error) if error is not None else _finite(robust[1]),
    )
    peaks = (_peak(before, sigma, noise[0]), None if after is None else _peak(after, error, noise[1]))
    gain = None
    if after is not None:
        gain = snr_gain(before, after, sigma=sigma, uncertainty=error, background=quiet)
    return Numbers(noise, peaks, gain)


def _peak(data: NDArray[Any], sigma: NDArray[Any] | None, noise: float | None) -> float | None:
    if sigma is not None:
        model = NoiseModel.white(data.shape, 1.0, pixels=_Held(np.asarray(sigma, np.float64)))
    elif noise:
        model = NoiseModel.white(data.shape, noise)
    else:
        return None
    return _finite(peak_snr(data, model))


class _Held:
    """Sigma in memory, as a noise model reads it."""

    def __init__(self, sigma: Floats) -> None:
        self._sigma = sigma
        self.shape: tuple[int, int, int] = (sigma.shape[0], sigma.shape[1], sigma.shape[2])

    def read(self, region: Region, /) -> Floats:
        """Sigma of a region."""
        return self._sigma[region]


def _slabs(channels: int, pixels: int) -> Iterator[slice]:
    depth = max(1, _SLAB // max(pixels, 1))
    for start in range(0, channels, depth):
        yield slice(start, min(start + depth, channels))


def _top(data: NDArray[Any]) -> Floats:
    """Largest finite value of each channel, NaN where there is none."""
    flat = data.reshape(len(data), -1)
    return np.asarray(np.fmax.reduce(flat, axis=1), np.float64)


def _squares(sigma: NDArray[Any], finite: NDArray[np.bool_]) -> Floats:
    known = np.where(finite, np.nan_to_num(sigma), 0.0).astype(np.float64)
    return np.asarray((known**2).sum(axis=(1, 2)))


def _stacked(parts: list[Any]) -> NDArray[Any] | None:
    return None if parts[0] is None else np.concatenate(parts)


def _joined(parts: list[Curve]) -> Curve:
    errors = [one.error for one in parts if one.error is not None]
    values = np.concatenate([one.values for one in parts])
    return Curve(values, np.concatenate(errors) if errors else None)


def _middle(values: NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
