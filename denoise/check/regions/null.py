"""What the method shows where there is nothing: regions of noise draws and of the negated cube.

Draws of the noise model give as many cubes without a source as are wanted, if the model is right. They lie on the
emission that was found, if there is any, and what counts is regions that hold none of it: thresholds that adapt
(false discovery rate) let more noise through where there are sources, and more still beside them. The negated cube
has the noise that is really there (and what else is symmetric: ripples, sidelobes, continuum left over), but there
is one of it. Serra, Jurek & Floeer 2012, PASA 29, 296 use the negative detections alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers, Region, Shape, array_readers, extent
from denoise.check.regions.finding import FoundRegion, find_regions
from denoise.check.regions.matched import gaussian_snr
from denoise.check.rig import Rig
from denoise.cube.crop import crop
from denoise.cube.regions import full_region
from denoise.metrics.photometry import Measurement
from denoise.noise import NoiseModel

BYTES_PER_VOXEL = 16  # a draw, what the method makes of it, and one cube of work
FIRST_DRAW = 1000  # draws below are others' (bootstrap, gates)
CHANNELS_AWAY = 2
EMPTY = 1.0  # SNR of the signal under a region that is none of the signal's


@dataclass(frozen=True)
class NullRegions:
    """Regions found where there is no source.

    Attributes
    ----------
    regions : tuple of FoundRegion
        Of all draws and of the negated cube; places are those in the cube.
    volumes : float
        How many cubes they stand for: the expected number in one is their number over this.
    draws : int
        Noise draws among them.
    share : float
        Part of the cube that each draw covers; below 1 for cubes that a draw of does not fit in memory.
    negated : float
        Part of the cube that the negated cube was searched in; 0: it was left out.
    level : float
        In sigma, at which the output was cut into regions.
    min_snr : float
        Regions below are not in the list.
    signs : {1, 2}
        Whether the method shows emission alone, or holes too.
    from_negated : int
        How many of the regions, the last ones, are of the negated cube.
    agreement : tuple of float
        Share of each that a second method keeps, see `share_kept`; empty without one.
    """

    regions: tuple[FoundRegion, ...]
    volumes: float
    draws: int
    share: float
    negated: float
    level: float
    min_snr: float
    signs: int = 1
    from_negated: int = 0
    agreement: tuple[float, ...] = ()

    def expected(self, min_snr: float = 0.0) -> Measurement:
        """Number of regions of at least this matched-filter SNR (of the input) in one cube without sources.

        Of draws and negated cube together; of the negated cube alone where it does not behave as the noise model. The
        error is Poisson's; without any region, that of one.
        """
        regions, volumes = self.regions, self.volumes
        if self.model_fails:
            regions, volumes = regions[len(regions) - self.from_negated :], self.negated / self.signs
        count = sum(region.snr >= min_snr for region in regions)
        return Measurement(count / volumes, np.sqrt(max(count, 1)) / volumes)

    @property
    def model_fails(self) -> bool:
        """Whether the negated cube shows more regions than draws of the noise model let expect (1 % by chance)."""
        from scipy.stats import gamma, poisson

        volume = self.negated / self.signs
        drawn, rest = len(self.regions) - self.from_negated, self.volumes - volume
        if volume <= 0 or rest <= 0 or self.from_negated == 0:
            return False
        most = float(gamma.ppf(0.84, drawn + 1)) / rest  # the draws' own rate is known to 1 sigma
        return bool(poisson.sf(self.from_negated - 1, most * volume) < 0.01)


def find_null(
    rig: Rig,
    *,
    level: float,
    draws: int = 8,
    seed: int | None = None,
    min_snr: float = 3.0,
    emission: Sequence[FoundRegion] = (),
    negated: bool = True,
    memory: int | None = None,
    second: Rig | None = None,
) -> NullRegions:
    """Run noise draws and the negated cube through a rig and find regions as in the cube itself.

    Parameters
    ----------
    rig : Rig
        The method on the cube.
    level : float
        As for the cube itself, see `output_level`.
    draws : int
        Number of noise draws.
    seed : int, optional
        Of the draws; that of the options if not given.
    min_snr : float
        As for `find_regions`.
    emission : sequence of FoundRegion
        What was found in the cube and is surely real. The draws are added to what the method made of it, and regions
        that hold more than 1 sigma of it do not count; in the negated cube, those that touch it, dilated by the
        correlation of the noise and by 2 channels.
    negated : bool
        Use the negated cube: its positive regions only, because those of negative sign are the sources.
    memory : int, optional
        Bytes. Where a draw of the whole cube does not fit, draws and the negated cube cover a part of the field
        each, at different places. None: the limit of the rig's options, or none.
    second : Rig, optional
        Another method on the same cube: it denoises each draw too, for the agreement between the two.

    Raises
    ------
    DenoiseError
        As a run of the method.
    """
    parts = _parts(rig.shape, memory or rig.options.memory, draws)
    signs = 1 if rig.options.positivity == "on" else 2
    whole = _size(full_region(rig.shape))
    found: list[tuple[FoundRegion, float]] = []
    volumes = away = 0.0
    field: _Field | None = None
    for draw, part in enumerate(rig.monitor.track(parts, stage="noise draws", total=len(parts))):
        if field is None or field.part != part:
            field = _Field.cut(rig, second, part, emission)
        more, share = field.draw(FIRST_DRAW + draw, seed, level, min_snr)
        found, volumes = found + more, volumes + share * _size(part) / whole
    negative = 0
    if negated:
        field = field or _Field.cut(rig, second, full_region(rig.shape), emission)
        more, share = field.negated(level, min_snr)
        found, away, negative = found + more, share * _size(field.part) / whole, len(more)
    covered = float(np.mean([_size(part) for part in parts])) / whole if parts else 1.0
    agreement = () if second is None else tuple(share for _, share in found)
    return NullRegions(
        tuple(one for one, _ in found), volumes + away / signs, draws, covered, away, level, min_snr,
        signs, negative, agreement,
    )  # fmt: skip


def part_of_rig(rig: Rig, region: Region) -> Rig:
    """The same method and noise on a part of the cube."""
    if region == full_region(rig.shape):
        return rig
    return replace(rig, cube=crop(rig.cube, region), noise=rig.noise.window(region))


def dilated(
    mask: NDArray[np.bool_], fwhm: tuple[float, float], channels: int = CHANNELS_AWAY
) -> NDArray[np.bool_]:
    """A mask (channel, y, x) grown by an ellipse of these half-axes (y, x) in pixels, and by channels."""
    from scipy import ndimage

    ry, rx = (max(1, int(np.ceil(width))) for width in fwhm)
    y, x = np.arange(-ry, ry + 1)[:, None], np.arange(-rx, rx + 1)
    ellipse = (y / ry) ** 2 + (x / rx) ** 2 <= 1.0
    wide = ndimage.binary_dilation(mask, ellipse[None]) if mask.any() else mask
    return np.asarray(ndimage.maximum_filter1d(wide.view(np.uint8), 2 * channels + 1, axis=0)).view(bool)


@dataclass(frozen=True)
class _Field:
    """A part of the cube: the rig there, the emission as the method shows it, and what is near it."""

    rig: Rig
    second: Rig | None
    part: Region
    signal: NDArray[Any] | None
    near: NDArray[np.bool_]

    @classmethod
    def cut(cls, rig: Rig, second: Rig | None, part: Region, emission: Sequence[FoundRegion]) -> _Field:
        here, inside = part_of_rig(rig, part), np.zeros(extent(part), bool)
        for region in emission:
            for place, voxels in region.within(part):
                inside[place] |= voxels
        signal = np.where(inside, np.nan_to_num(here.apply()), 0.0) if inside.any() else None
        other = None if second is None else part_of_rig(second, part)
        return cls(here, other, part, signal, dilated(inside, rig.noise.correlation_fwhm))

    def draw(
        self, number: int, seed: int | None, level: float, min_snr: float
    ) -> tuple[list[tuple[FoundRegion, float]], float]:
        """Regions of a noise draw that are none of the signal's, and the share of the part that they are from."""
        pixels = self.rig.sample(number, seed=seed)
        known = float(np.isfinite(pixels).any())
        if self.signal is None:
            return self._found(pixels, level, min_snr), known
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.where(np.isfinite(pixels), self.signal / self.rig.noise.sigma(), np.nan)
        found = self._found((pixels + self.signal).astype(np.float32), level, min_snr)
        return [
            one for one in found if signal_under(one[0], scaled, self.rig.noise, self.part) < EMPTY
        ], known

    def negated(self, level: float, min_snr: float) -> tuple[list[tuple[FoundRegion, float]], float]:
        """Positive regions of the negated part off the emission, and the share of the part that they are from."""
        pixels = -self.rig.data()
        known = np.isfinite(pixels)
        away = np.count_nonzero(known & ~self.near) / max(1, int(np.count_nonzero(known)))
        found = self._found(pixels, level, min_snr)
        return [one for one in found if one[0].sign > 0 and not self._touched(one[0])], float(away)

    def _found(self, pixels: NDArray[Any], level: float, min_snr: float) -> list[tuple[FoundRegion, float]]:
        readers = array_readers(pixels, self.rig.apply(pixels), self.rig.noise)
        found, _ = find_regions(readers, self.rig.noise, level=level, min_snr=min_snr)
        c, y, x = self.part
        moved = [region.moved((c.start, y.start, x.start)) for region in found]
        if self.second is None or not moved:
            return [(region, np.nan) for region in moved]
        other = array_readers(pixels, self.second.apply(pixels), self.rig.noise)
        return [(one, share_kept(one, other, self.rig.noise, self.part)) for one in moved]

    def _touched(self, region: FoundRegion) -> bool:
        return any(bool((self.near[place] & voxels).any()) for place, voxels in region.within(self.part))


def signal_under(region: FoundRegion, scaled: NDArray[Any], noise: NoiseModel, part: Region) -> float:
    """What a noise-free cube holds of a region: its SNR under a Gaussian of the region's moments.

    Parameters
    ----------
    region : FoundRegion
        In the cube.
    scaled : ndarray, shape (channel, y, x)
        The noise-free part, in sigma.
    noise : NoiseModel
        Of the part.
    part : Region
        Where it lies in the cube.
    """
    c, y, x = (at - s.start for at, s in zip(region.centre, part, strict=True))
    return region.sign * gaussian_snr((c, y, x), region.covariance, region.line_width, [scaled], noise)[0]


def share_kept(region: FoundRegion, other: Readers, noise: NoiseModel, part: Region) -> float:
    """Share of a region's signal in the input that another output keeps, under a Gaussian of its moments, 0 to 1.5.

    Parameters
    ----------
    region : FoundRegion
        In the cube.
    other : Readers
        Of the input and the other output, of the part.
    noise : NoiseModel
        Of the part.
    part : Region
        Where it lies in the cube.
    """
    box, (c, y, x) = _around(region, part)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [cube / other.sigma(box) for cube in other.lines(box)]
    scaled = [np.where(np.isfinite(scaled[0]), cube, np.nan) for cube in scaled]
    held, kept = gaussian_snr((c, y, x), region.covariance, region.line_width, scaled, noise)
    return float(np.clip(region.sign * kept / max(region.sign * held, 1.0), 0.0, 1.5))


def _around(region: FoundRegion, part: Region) -> tuple[Region, tuple[float, float, float]]:
    """The box of a region with room for its filter, counted in a part, and its centre in that box."""
    reach = (region.line_width, *np.sqrt(np.diag(region.covariance)))
    slices, centre = [], []
    for at, width, whole in zip(region.centre, reach, part, strict=True):
        far = int(np.ceil(3.0 * width)) + 1
        start = max(0, int(at) - whole.start - far)
        slices.append(slice(start, min(whole.stop - whole.start, int(at) - whole.start + far + 2)))
        centre.append(at - whole.start - start)
    return (slices[0], slices[1], slices[2]), (centre[0], centre[1], centre[2])


def _size(region: Region) -> float:
    return float(np.prod(extent(region)))


def _parts(shape: Shape, memory: int | None, draws: int) -> list[Region]:
    """Where each draw is made: everywhere, or squares of the field over all channels that fit in memory."""
    nchan, ny, nx = shape
    pixels = ny * nx if memory is None else memory // (BYTES_PER_VOXEL * nchan)
    if pixels >= ny * nx:
        return [full_region(shape)] * draws
    rows = min(ny, max(1, int(np.sqrt(pixels))))
    columns = min(nx, max(1, pixels // rows))
    places = np.random.default_rng(0).random((draws, 2)) * (ny - rows + 1, nx - columns + 1)
    return [
        (slice(0, nchan), slice(y, y + rows), slice(x, x + columns)) for y, x in places.astype(int).tolist()
    ]
