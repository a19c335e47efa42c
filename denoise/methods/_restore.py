"""Photometry for a method whose output has no unit of its own: calibrate it, inject sources, count what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.methods.contract import Block, Sample
from denoise.methods.smooth import FWHM_PER_SIGMA
from denoise.noise import NoiseModel

Region = tuple[slice, slice, slice]
Restore = Callable[[Block], Block]

LEVELS = (3.0, 5.0, 10.0, 20.0, 50.0)  # peak of an injected source, in sigma
EACH = 3  # sources at each
LIMIT = 0.10  # of the flux, by which any of them may be off
APERTURE = 1.5  # radius over the FWHM: holds 99.8 % of a Gaussian
_CANDIDATES = 24  # places for each level; some fall on missing data
_LINE = 1.0  # sigma of the line, in channels
_LINE_REACH = 3
_COVERED = 0.9  # of the aperture must have data
_CALIBRATION_DRAW = 1


class Injected(NamedTuple):
    """A source that was injected: its peak in sigma, and the flux that came back over that put in."""

    snr: float
    ratio: float


class Probe(NamedTuple):
    """Sources of one shape, that of the beam, and the aperture in which they are measured.

    Attributes
    ----------
    width : tuple of float
        Sigma along y and x, in pixels.
    look : tuple of int
        How far, along y and x, the restored value of a pixel looks around itself.
    """

    width: tuple[float, float]
    look: tuple[int, int]

    @property
    def radius(self) -> tuple[int, int]:
        """Of the aperture, in pixels along y and x."""
        y, x = (ceil(APERTURE * FWHM_PER_SIGMA * one) for one in self.width)
        return y, x

    def reach(self, channels: int) -> tuple[int, int, int]:
        """Channels and pixels around a source that are needed to measure it."""
        y, x = (radius + look for radius, look in zip(self.radius, self.look, strict=True))
        return (_LINE_REACH if channels > 1 else 0), y, x

    def window(self, place: Iterable[int], shape: Iterable[int], channels: int) -> Region:
        """The part of a block (channel, y, x) around a source."""
        c, y, x = (
            slice(max(0, at - far), min(size, at + far + 1))
            for at, far, size in zip(place, self.reach(channels), shape, strict=True)
        )
        return c, y, x

    def source(self, place: Iterable[int], window: Region) -> tuple[Block, NDArray[np.bool_]]:
        """A source of peak 1 at `place` on the voxels of `window`, and its aperture."""
        away = [np.arange(part.start, part.stop) - at for part, at in zip(window, place, strict=True)]
        width = (_LINE, *self.width)
        shape = [np.exp(-0.5 * (step / one) ** 2) for step, one in zip(away, width, strict=True)]
        near = [
            (step / (APERTURE * FWHM_PER_SIGMA * one)) ** 2
            for step, one in zip(away[1:], self.width, strict=True)
        ]
        inside = np.broadcast_to(near[0][:, None] + near[1] <= 1, (len(shape[0]), *map(len, shape[1:])))
        return np.asarray(shape[0][:, None, None] * shape[1][:, None] * shape[2], np.float32), inside

    def ratio(
        self,
        restore: Restore,
        data: Block,
        place: Iterable[int],
        window: Region,
        peak: float,
        *,
        whole: bool = False,
    ) -> float:
        """Flux that comes back from a source in `data` (of the window), over that put in; NaN: too little data.

        In the aperture, or `whole`: anywhere in the window.
        """
        source, inside = self.source(place, window)
        inside = inside | whole
        valid = inside & np.isfinite(data)
        if valid.sum() < _COVERED * inside.sum():
            return float("nan")
        source *= np.float32(peak)
        change = restore(data + source) - restore(data)
        return float(change[valid].sum(dtype=np.float64) / source[valid].sum(dtype=np.float64))


class Place(NamedTuple):
    """Where a source may be injected: (channel, y, x) in the cube, its peak in sigma and which of its level it is."""

    at: tuple[int, int, int]
    snr: float
    number: int


def places(shape: tuple[int, int, int], seed: int) -> list[Place]:
    """Candidates all over the cube; the same for any tiles."""
    rng = np.random.default_rng((seed, len(LEVELS)))
    found = []
    for snr in LEVELS:
        for number, at in enumerate(rng.integers(0, shape, size=(_CANDIDATES, 3)).tolist()):
            found.append(Place((at[0], at[1], at[2]), snr, number))
    return found


def calibration(restore: Restore, probe: Probe, noise: NoiseModel, seed: int) -> tuple[float, float]:
    """Gain and offset of the cube from sources in an independent draw of its noise.

    The gain is that of least relative error over the whole flux of the sources, so that it is right for extended ones
    too; the offset takes away what is added to the noise alone. 1 and 0 where no place has known noise.
    """
    ratios, added, voxels = [], 0.0, 0
    for place, window, sigma in _known(noise, places(noise.shape, seed), probe):
        data = noise.sample(window, seed=seed, draw=_CALIBRATION_DRAW)
        ratios.append(probe.ratio(restore, data, place.at, window, place.snr * sigma, whole=True))
        added += float(np.nansum(restore(data) - data, dtype=np.float64))
        voxels += data.size
    good = np.array([one for one in ratios if np.isfinite(one)])
    if not good.size or not np.sum(good**2) > 0:
        return 1.0, 0.0
    gain = float(good.sum() / np.sum(good**2))
    return gain, -gain * added / voxels


def _known(
    noise: NoiseModel, candidates: Iterable[Place], probe: Probe
) -> Iterator[tuple[Place, Region, float]]:
    """The first places of each level where the noise is known, their windows in the cube, sigma there."""
    left = dict.fromkeys(LEVELS, EACH)
    for place in candidates:
        sigma = _sigma_at(noise, place.at)
        if left[place.snr] and sigma > 0:
            left[place.snr] -= 1
            yield place, probe.window(place.at, noise.shape, noise.shape[0]), sigma


def _sigma_at(noise: NoiseModel, at: tuple[int, int, int]) -> float:
    c, y, x = at
    return float(np.nan_to_num(noise.sigma((slice(c, c + 1), slice(y, y + 1), slice(x, x + 1))))[0, 0, 0])


def injections(
    restore: Restore, probe: Probe, blocks: Iterable[Sample], shape: tuple[int, int, int], seed: int
) -> list[Injected]:
    """Inject sources into the cube itself, one at a time, and count the flux that comes back.

    Parameters
    ----------
    restore : callable
        The finished photometric result of a part of the cube.
    probe : Probe
        Shape of the sources.
    blocks : iterable of Sample
        A pass over the cube; blocks reach ``probe.reach`` further than their core.
    shape : tuple of int
        Of the cube.
    seed : int
        Of the places.

    Returns
    -------
    list of Injected
        ``EACH`` at each of ``LEVELS``, fewer where there is too little data.
    """
    candidates = places(shape, seed)
    found: dict[Place, float] = {}
    for sample in blocks:
        for place in candidates:
            at = _local(sample, place.at)
            sigma = _sigma_at(sample.noise, at) if at else 0.0
            if at is None or not sigma > 0:
                continue
            window = probe.window(at, sample.data.shape, shape[0])
            ratio = probe.ratio(restore, sample.data[window], at, window, place.snr * sigma)
            if np.isfinite(ratio):
                found[place] = ratio
    return [
        Injected(snr, found[place])
        for snr in LEVELS
        for place in [one for one in candidates if one.snr == snr and one in found][:EACH]
    ]


def _local(sample: Sample, at: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """A voxel of the cube as one of the block; None where it is not in the block's core."""
    here = []
    for where, start, part, size in zip(at, sample.noise.start, sample.core, sample.data.shape, strict=True):
        first, last, _ = part.indices(size)
        if not first <= where - start < last:
            return None
        here.append(where - start)
    return here[0], here[1], here[2]
