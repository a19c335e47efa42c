"""Observations: the beam, the noise and what an instrument does to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError
from denoise.simulate.beams import Beam, FloatArray, checked_beam
from denoise.simulate.clouds import HANNING, smooth_channels
from denoise.simulate.fields import NoiseFamily, noise_acf, noise_field, noise_power
from denoise.simulate.scenes import Cube, Shape

TOY_SHAPE: Shape = (40, 96, 96)


@dataclass(frozen=True)
class Counts:
    """A detector that counts photons, over a background that is subtracted.

    Attributes
    ----------
    background : float
        Electrons per voxel of the sky.
    read_noise : float
        Electrons, 1 sigma, per voxel.
    gain : float
        Counts (data units) per electron.
    """

    background: float = 20.0
    read_noise: float = 0.0
    gain: float = 1.0

    def __post_init__(self) -> None:
        if not (self.background >= 0 and self.read_noise >= 0 and 0 < self.gain < math.inf):
            raise ParameterError(
                "counts need a background and a read noise of at least 0 and a gain above 0",
                value=self,
                action="give numbers within these limits",
            )
        if not 0 < self.background + self.read_noise**2 < math.inf:
            raise ParameterError(
                "counts need a background or a read noise",
                value=self,
                action="give one of them above 0, in electrons",
            )

    @property
    def electrons(self) -> float:
        """Noise of the empty sky, electrons."""
        return math.sqrt(self.background + self.read_noise**2)


@dataclass(frozen=True)
class Observation:
    """How a scene is observed.

    Attributes
    ----------
    shape : tuple of int
        (channel, y, x).
    beam : tuple of float, optional
        (major, minor, pa): FWHM in pixels, degrees. If not given it is drawn: geometric mean uniform in
        `beam_range`, axis ratio 0.65 to 1.
    beam_range : tuple of float
        Pixels.
    peak_snr : float
        max(truth) / sigma, sigma that of a typical channel in the centre of the field.
    noise : {"white_convolved", "imaged", "imaged_gaussian", "white"}
        See `noise_field`.
    dirty : bool
        The truth is seen through the dirty beam of the visibilities too ("imaged" only): it has sidelobes,
        bowls and no total flux.
    hanning : bool
        Channels smoothed by 1/4, 1/2, 1/4, truth and noise: spectral autocorrelation 1, 2/3, 1/6.
    drift : float
        Largest relative departure of sigma from that of the median channel, a smooth curve over the band.
    sky_lines : int
        Number of residual sky lines, one or two channels each, where sigma is 2 to 8 times higher.
    primary_beam : float, optional
        FWHM in pixels of a Gaussian primary beam on the field's centre that the data are corrected for: sigma
        grows as 1 / gain.
    cutoff : float
        Gain below which noisy data are NaN.
    counts : Counts, optional
        Poisson noise of a detector instead of Gaussian noise ("white" only).

    Raises
    ------
    ParameterError
        A number out of range, or a combination that no instrument has.
    """

    shape: Shape = TOY_SHAPE
    beam: Beam | None = None
    beam_range: tuple[float, float] = (4.0, 5.0)
    peak_snr: float = 5.0
    noise: NoiseFamily = "white_convolved"
    dirty: bool = False
    hanning: bool = False
    drift: float = 0.0
    sky_lines: int = 0
    primary_beam: float | None = None
    cutoff: float = 0.2
    counts: Counts | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ParameterError(
                "shape must be (channel, y, x), each at least 1",
                value=self.shape,
                action="give three whole numbers, as (40, 96, 96)",
            )
        if self.beam is not None:
            checked_beam(self.beam)
        if not 0 < self.beam_range[0] <= self.beam_range[1] < math.inf:
            raise ParameterError(
                "beam_range must be (low, high) with 0 < low <= high",
                value=self.beam_range,
                action="give the smaller FWHM first, in pixels",
            )
        if not (self.peak_snr > 0 and math.isfinite(self.peak_snr)):
            raise ParameterError(
                "peak_snr must be positive and finite",
                value=self.peak_snr,
                action="give the brightest voxel over the noise, as 5; for no source choose the kind empty",
            )
        if self.noise not in get_args(NoiseFamily):
            raise ParameterError(
                f"noise must be one of {', '.join(get_args(NoiseFamily))}",
                value=self.noise,
                action="choose one of these",
            )
        self._check_effects()

    def _check_effects(self) -> None:
        if not 0 <= self.drift < 1:
            raise ParameterError(
                "drift must be at least 0 and below 1",
                value=self.drift,
                action="give a share, as 0.3; 0 for none",
            )
        if not 0 <= self.sky_lines <= self.shape[0] // 3:
            raise ParameterError(
                "sky_lines must be at least 0 and at most a third of the channels",
                value=self.sky_lines,
                action="ask for fewer, or for more channels",
            )
        if self.primary_beam is not None and not 0 < self.primary_beam < math.inf:
            raise ParameterError(
                "primary_beam must be a FWHM above 0, in pixels",
                value=self.primary_beam,
                action="give a FWHM, or None for none",
            )
        if not 0 < self.cutoff < 1:
            raise ParameterError(
                "cutoff must lie between 0 and 1",
                value=self.cutoff,
                action="give the least gain that is kept, as 0.2",
            )
        if self.dirty and self.noise != "imaged":
            raise ParameterError(
                "a dirty beam needs noise='imaged'",
                value=self.noise,
                action="choose that noise, or leave dirty out",
            )
        if self.counts is not None and (
            self.noise != "white" or self.hanning or self.primary_beam is not None
        ):
            raise ParameterError(
                "counts need noise='white', no hanning and no primary_beam",
                value=self.noise,
                action="leave those out, or counts",
            )

    def drawn_beam(self, rng: np.random.Generator) -> Beam:
        """The beam, drawn if none was given."""
        if self.beam is not None:
            return checked_beam(self.beam)
        mean, ratio = rng.uniform(*self.beam_range), rng.uniform(0.65, 1.0)
        return float(mean / math.sqrt(ratio)), float(mean * math.sqrt(ratio)), float(rng.uniform(0.0, 180.0))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values, see `from_dict`."""
        values = asdict(self)
        for name in ("shape", "beam", "beam_range"):
            values[name] = None if values[name] is None else list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Observation:
        """Observation of what `as_dict` gave; other keys are ignored."""
        fields = {name: values[name] for name in cls.__dataclass_fields__}
        for name in ("shape", "beam", "beam_range"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        if fields["counts"] is not None:
            fields["counts"] = Counts(**fields["counts"])
        return cls(**fields)


class NoiseLevels(NamedTuple):
    """Where the noise is how high.

    Attributes
    ----------
    channel : ndarray, shape (channel,)
        Sigma relative to that of a typical channel.
    gain : ndarray of float32, shape (y, x), or None
        Primary beam response; sigma grows as its inverse.
    """

    channel: FloatArray
    gain: NDArray[np.float32] | None


def noise_levels(observation: Observation, rng: np.random.Generator) -> NoiseLevels:
    """Draw the noise over the band; work out the primary beam."""
    channels = np.arange(observation.shape[0])
    phase, turns = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.5, 1.5)
    wave = np.sin(phase + 2.0 * math.pi * turns * channels / max(channels.size, 2))
    wave -= np.median(wave)
    level = 1.0 + observation.drift * wave / max(np.abs(wave).max(), 1e-30)
    lines = np.ones(channels.size)
    for centre in rng.choice(channels.size, observation.sky_lines, replace=False):
        strength = math.exp(rng.uniform(math.log(2.0), math.log(8.0)))
        part = slice(centre, centre + int(rng.integers(1, 3)))
        lines[part] = np.maximum(lines[part], strength)
    return NoiseLevels(level * lines, primary_beam_gain(observation))


def primary_beam_gain(observation: Observation) -> NDArray[np.float32] | None:
    """Response of the primary beam, shape (y, x), 1 in the centre of the field."""
    if observation.primary_beam is None:
        return None
    _, ny, nx = observation.shape
    y, x = np.ogrid[:ny, :nx]
    distance = np.hypot(y - (ny - 1) / 2.0, x - (nx - 1) / 2.0)
    return np.asarray(16.0 ** -((distance / observation.primary_beam) ** 2), dtype=np.float32)


def gaussian_noise(
    observation: Observation,
    levels: NoiseLevels,
    beam: Beam,
    coverage: FloatArray | None,
    rng: np.random.Generator,
) -> Cube:
    """Noise of unit sigma in a typical channel at gain 1; NaN where the gain is below the cutoff."""
    nchan, ny, nx = observation.shape
    more = 2 if observation.hanning else 0
    noise = noise_field(rng, (nchan + more, ny, nx), beam, family=observation.noise, coverage=coverage)
    if observation.hanning:
        noise = smooth_channels(noise)
        noise *= np.float32(1.0 / math.sqrt(sum(weight**2 for weight in HANNING)))
    if observation.drift or observation.sky_lines:
        noise *= levels.channel.astype(np.float32)[:, None, None]
    if levels.gain is not None:
        noise *= np.where(levels.gain < observation.cutoff, np.float32(np.nan), 1.0 / levels.gain)
    return noise


class Counted(NamedTuple):
    """Data of a detector in units of the truth, and its two halves, shape (channel, y, x)."""

    whole: NDArray[np.float64]
    halves: tuple[NDArray[np.float64], NDArray[np.float64]] | None


def count_photons(
    truth: Cube, observation: Observation, levels: NoiseLevels, rng: np.random.Generator, *, halves: bool
) -> Counted:
    """Poisson counts of truth and background, the background's mean subtracted, in units of the truth.

    The halves are two exposures of half the time: each electron is in one of them, with equal odds, and each
    is read with sqrt(2) of the whole's read noise relative to the signal.
    """
    counts = observation.counts or Counts()
    scale = observation.peak_snr * counts.electrons  # electrons of the brightest voxel
    background = counts.background * levels.channel[:, None, None] ** 2
    electrons = rng.poisson(np.maximum(scale * truth.astype(np.float64), 0.0) + background)
    dark = counts.read_noise * rng.standard_normal(truth.shape) - background
    whole = (electrons + dark) / scale
    if not halves:
        return Counted(whole, None)
    first = rng.binomial(electrons, 0.5)
    other = counts.read_noise * rng.standard_normal(truth.shape)
    pair = (2.0 * first + dark + other) / scale, (2.0 * (electrons - first) + dark - other) / scale
    return Counted(whole, pair)


def stabilisation(observation: Observation) -> dict[str, float] | None:
    """Gain, offset and read noise of counts, in units of the truth, as ``denoise run --vst`` takes them.

    None without counts, and where the background that was subtracted differs between channels.
    """
    counts = observation.counts
    if counts is None or observation.drift or observation.sky_lines:
        return None
    scale = observation.peak_snr * counts.electrons
    return {
        "gain": 1.0 / scale,
        "offset": -counts.background / scale,
        "read_noise": counts.read_noise / scale,
    }


def dirty_beam(coverage: FloatArray, beam: Beam, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Dirty beam of visibilities, peak 1 in the centre, shape (2 ny - 1, 2 nx - 1) of a field (ny, nx)."""
    ny, nx = shape
    grid = (4 * ny, 4 * nx)
    half = max(ny, nx) - 1
    power = noise_power(grid, beam, family="imaged", coverage=coverage)
    image = noise_acf(power, grid, half)[half - ny + 1 : half + ny, half - nx + 1 : half + nx]
    return np.asarray(image, dtype=np.float32)
