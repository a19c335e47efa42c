"""The noise of a cube: sigma per channel and position, spatial and spectral correlation, draws."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise.errors import NoiseError
from denoise.noise import covariance
from denoise.noise.seams import NONE, Piece, Seams

if TYPE_CHECKING:
    from denoise.noise.draws import Colouring

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]
# share of the largest spatial noise power: below it a measured model says too little. A third of this finds still
# fainter compact sources, but what is mirrored at the edges of a mask is then taken for emission
TRUSTED = 0.003
_PROBE = 65536  # voxels looked at for the typical sigma of a stored array
_PROBE_MAP = 2**22  # and pixels of a map over the field


class SigmaPixels(Protocol):
    """A stored array of 1-sigma values, read by region (see `denoise.cube.PixelSource`)."""

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""

    def read(self, region: Region, /) -> NDArray[Any]:
        """Sigma in a region, NaN where unknown."""


@dataclass(frozen=True)
class Tails:
    """What the two tails of the noise-like voxels say, on the scales looked at (see `denoise.noise.tails`).

    Attributes
    ----------
    sigma_negative, sigma_positive : float
        Sigma from the negative and from the positive values off the detected sources, in the unit of the
        data.
    deepest, deepest_expected : float
        Most negative value of the scale where it is most unlikely, in sigma of that scale, and the value
        that noise alone stays above with the probability used in the test.
    scale : str
        That scale, in words.
    negative_tail_agrees : bool
        Whether noise alone explains the negative tail: no absorption, no CLEAN bowls.
    """

    sigma_negative: float
    sigma_positive: float
    deepest: float
    deepest_expected: float
    scale: str
    negative_tail_agrees: bool


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Gaussian noise of a cube: ``sigma[c] * relative[y, x]`` with a separable covariance.

    Parameters
    ----------
    shape : (int, int, int)
        Shape (channel, y, x) that the model answers for.
    channel_sigma : ndarray of float64, shape (nchan,)
        Sigma per channel in the unit of the data; NaN where unknown. With `pixels`: a factor on them.
    relative : ndarray of float32, shape (ny, nx)
        Relative sigma over the field, median 1; NaN where unknown.
    spatial_acf : ndarray of float64, shape (2h + 1, 2w + 1)
        Autocorrelation over lags (y, x), centre 1.
    spectral_acf : ndarray of float64, shape (k + 1,)
        Autocorrelation over channels, first value 1.
    origin : str
        Where it comes from, in words.
    pixels : SigmaPixels, optional
        Stored sigma of the whole cube, read on demand.
    tails : Tails, optional
        What the two tails of the data said.
    details : mapping of str to float
        Numbers of the estimate, for reports.
    start, cube_shape : (int, int, int)
        Where a window starts in the cube, and the cube's shape: draws depend on absolute voxels.
    seams : Seams
        Rows and columns of the cube at which the noise is independent of what precedes it.
    trusted : float
        Share of the largest spatial noise power down to which the model holds: where the noise has less, nothing is
        made of how little that is (`denoise.transforms.whitening`).

    Raises
    ------
    NoiseError
        Shapes do not fit, a sigma is negative, an ACF is not one, or `trusted` is no share.
    """

    shape: Shape
    channel_sigma: NDArray[np.float64]
    relative: NDArray[np.float32]
    spatial_acf: NDArray[np.float64]
    spectral_acf: NDArray[np.float64]
    origin: str = "given"
    pixels: SigmaPixels | None = None
    tails: Tails | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    start: Shape = (0, 0, 0)
    cube_shape: Shape = (0, 0, 0)
    seams: Seams = NONE
    trusted: float = TRUSTED

    def __post_init__(self) -> None:
        nchan, ny, nx = self.shape
        if self.channel_sigma.shape != (nchan,) or self.relative.shape != (ny, nx):
            seen = f"sigma {self.channel_sigma.shape}, map {self.relative.shape}, cube {self.shape}"
            raise NoiseError(
                "the noise model does not fit the cube",
                value=seen,
                action="give one sigma a channel and one relative value a pixel of the cube",
            )
        if np.nanmin(self.channel_sigma, initial=0) < 0 or np.nanmin(self.relative, initial=0) < 0:
            raise NoiseError(
                "a noise sigma is negative",
                value=float(np.nanmin(self.channel_sigma)),
                action="give sigma, not its logarithm or a difference; NaN where it is not known",
            )
        _check_acf(self.spatial_acf)
        if self.spectral_acf.ndim != 1 or not np.isclose(self.spectral_acf[:1], 1.0).all():
            raise NoiseError(
                "a spectral ACF is 1D and starts with 1",
                value=self.spectral_acf[:3],
                action="divide it by its value at lag 0",
            )
        if not 0 < self.trusted <= 1:
            raise NoiseError(
                "a noise model is trusted down to a share of its largest power",
                value=self.trusted,
                action="give a number above 0 and up to 1",
            )
        if self.cube_shape == (0, 0, 0):
            object.__setattr__(self, "cube_shape", self.shape)

    @classmethod
    def white(cls, shape: Shape, sigma: ArrayLike, **fields: Any) -> NoiseModel:
        """Noise without correlation. `sigma`: a number or one value per channel, in the unit of the data."""
        return cls._built(shape, sigma, np.ones((1, 1)), origin="white", **fields)

    @classmethod
    def from_beam(
        cls,
        shape: Shape,
        sigma: ArrayLike,
        beam_pixels: tuple[float, float, float],
        family: covariance.Family = "white_convolved",
        **fields: Any,
    ) -> NoiseModel:
        """Noise of a Gaussian beam.

        Parameters
        ----------
        shape : tuple of int
            (channel, y, x).
        sigma : float or array-like, shape (channel,)
            1 sigma in the unit of the data.
        beam_pixels : tuple of float
            (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
        family : {"white_convolved", "imaged"}
            White noise convolved with the beam, or of imaged visibilities; see `covariance.beam_acf`.
        **fields
            More of the model, by name.
        """
        acf = covariance.beam_acf(beam_pixels, family=family)
        return cls._built(shape, sigma, acf, origin=f"beam, {family}", **fields)

    @classmethod
    def from_psf(cls, shape: Shape, sigma: ArrayLike, psf: NDArray[Any], **fields: Any) -> NoiseModel:
        """Naturally weighted visibility noise: the ACF is the dirty beam, an image (y, x); see `covariance.psf_acf`.

        `shape` and `sigma` as for `from_beam`.

        Raises
        ------
        NoiseError
            The dirty beam is not one image with a positive peak.
        """
        return cls._built(shape, sigma, covariance.psf_acf(psf), origin="psf", **fields)

    @classmethod
    def _built(cls, shape: Shape, sigma: ArrayLike, acf: NDArray[np.float64], **fields: Any) -> NoiseModel:
        fields = {"spectral_acf": np.ones(1), "relative": np.broadcast_to(np.float32(1), shape[1:]), **fields}
        per_channel = np.broadcast_to(np.asarray(sigma, dtype=np.float64), shape[:1]).copy()
        return cls(shape=shape, channel_sigma=per_channel, spatial_acf=acf, **fields)

    def sigma(self, region: Region | None = None) -> NDArray[np.float32]:
        """Sigma in the unit of the data, shape (channel, y, x) of the region, float32; NaN where unknown."""
        channels, rows, columns = self._slices(region)
        sigma, relative = self.channel_sigma[channels, None, None], self.relative[rows, columns]
        if self.pixels is None:
            plain: NDArray[np.float32] = sigma.astype(np.float32) * relative.astype(np.float32)
            return plain
        values = sigma * relative.astype(np.float64)
        stored: NDArray[np.float32] = (
            values * self.pixels.read(self._absolute((channels, rows, columns)))
        ).astype(np.float32)
        return stored

    @cached_property
    def typical(self) -> float:
        """Median sigma, in the unit of the data.

        Of a stored array, and of a map larger than four million pixels: of evenly spaced channels, or rows.
        """
        if self.pixels is None:
            field = _stored(self.relative)
            return _median(self.channel_sigma) * _median(field[:: ceil(field.size / _PROBE_MAP)])
        count = max(1, min(self.shape[0], _PROBE // max(1, self.shape[1] * self.shape[2])))
        picked = np.unique(np.linspace(0, self.shape[0] - 1, count).round().astype(int))
        everywhere = (slice(0, self.shape[1]), slice(0, self.shape[2]))
        return _median(np.concatenate([self.sigma((slice(c, c + 1), *everywhere)) for c in picked]))

    def window(self, region: Region) -> NoiseModel:
        """Model of a part of the cube; draws from it are the same part of the draws from the whole."""
        channels, rows, columns = self._slices(region)
        begin = tuple(s.start for s in self._absolute((channels, rows, columns)))
        sigma, relative = self.channel_sigma[channels], self.relative[rows, columns]
        shape = (sigma.size, *relative.shape)
        return replace(self, shape=shape, channel_sigma=sigma, relative=relative, start=begin)

    @property
    def local_seams(self) -> Seams:
        """The seams inside this window, counted from its first pixel."""
        return self.seams.within(self.start[1:], self.shape[1:])

    def scaled(self, factor: float) -> NoiseModel:
        """Model of the noise of ``data * factor``."""
        tails = self.tails and replace(
            self.tails,
            sigma_negative=self.tails.sigma_negative * abs(factor),
            sigma_positive=self.tails.sigma_positive * abs(factor),
        )
        return replace(self, channel_sigma=self.channel_sigma * abs(factor), tails=tails)

    def unit(self) -> NoiseModel:
        """Model of the noise over its sigma: as correlated, with a sigma of 1 everywhere."""
        flat = np.broadcast_to(np.float32(1), self.shape[1:])
        return replace(self, channel_sigma=np.ones(self.shape[0]), relative=flat, pixels=None, tails=None)

    def filtered_sigma(self, spatial: NDArray[Any] | None, spectral: NDArray[Any] | None = None) -> float:
        """Sigma that unit noise of this covariance has after correlation with kernels.

        ``sum(spatial_acf * autocorr(spatial)) * sum(spectral_acf * autocorr(spectral))``, square root: exact
        for stationary noise whose correlation ends where the ACF ends.

        Parameters
        ----------
        spatial : ndarray, 2D, or None
        spectral : ndarray, 1D, or None
            None: not filtered along that axis.
        """
        variance = 1.0
        if spatial is not None:
            variance *= covariance.filtered_variance(self.spatial_acf, np.asarray(spatial))
        if spectral is not None:
            variance *= covariance.filtered_variance(self.spectral_acf, np.asarray(spectral))
        return float(np.sqrt(variance))

    def sample(self, region: Region | None = None, *, seed: int, draw: int = 0) -> NDArray[np.float32]:
        """Noise with this sigma and covariance, float32, NaN where sigma is unknown.

        The value of a voxel depends on `seed`, `draw` and its place in the cube alone: a region, a window or
        any tiling gives the same bytes as the whole. The pieces between seams are independent.
        """
        slices = self._slices(region)
        place = self._absolute(slices)
        begin = tuple(s.start for s in place)
        extent = tuple(s.stop - s.start for s in place)
        noise = self._colouring.draw(begin, extent, self._pieces, seed=seed, draw=draw)
        noise *= self.sigma(slices)
        return noise

    @cached_property
    def _colouring(self) -> Colouring:
        from denoise.noise.draws import Colouring

        spatial = covariance.colouring_kernel(self.spatial_acf)
        return Colouring(spatial, covariance.colouring_kernel(self.spectral_acf), self.cube_shape[1:])

    @property
    def _pieces(self) -> list[Piece]:
        return list(self.seams.pieces(self.cube_shape[1:]))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_colouring"}

    @property
    def map_bytes(self) -> int:
        """Bytes of the map over the field: one number where it is flat."""
        return 0 if _stored(self.relative).size == 1 else self.relative.nbytes

    @property
    def correlation_fwhm(self) -> tuple[float, float]:
        """Full width at half maximum of the spatial ACF along y and x, in pixels (1 for white noise)."""
        cy, cx = (n // 2 for n in self.spatial_acf.shape)
        return full_width(self.spatial_acf[cy:, cx]), full_width(self.spatial_acf[cy, cx:])

    @property
    def correlation_area(self) -> float:
        """Pixels per independent sample of a mean: sum of the spatial ACF (at least 1)."""
        return max(1.0, float(self.spatial_acf.sum()))

    def describe(self) -> dict[str, float | str | bool]:
        """Numbers for `denoise info` and the report: sigmas in the unit of the data, widths in pixels."""
        lowest, highest = _range(self.channel_sigma[None])
        least, most = _range(_stored(self.relative))
        width_y, width_x = self.correlation_fwhm
        numbers: dict[str, float | str | bool] = {
            "origin": self.origin,
            "typical_sigma": self.typical,
            "channel_sigma_min": lowest,
            "channel_sigma_max": highest,
            "relative_sigma_min": least,
            "relative_sigma_max": most,
            "spatial_lag1_y": _lag(self.spatial_acf, 1, 0),
            "spatial_lag1_x": _lag(self.spatial_acf, 0, 1),
            "correlation_fwhm_y": width_y,
            "correlation_fwhm_x": width_x,
            "correlation_area": self.correlation_area,
            "spectral_lag1": float(self.spectral_acf[1]) if self.spectral_acf.size > 1 else 0.0,
            "spectral_lag2": float(self.spectral_acf[2]) if self.spectral_acf.size > 2 else 0.0,
        }
        if self.seams:
            numbers["seams"] = str(self.seams)
        if self.tails is not None:
            numbers |= {f"tails_{name}": value for name, value in vars(self.tails).items()}
        return numbers | dict(self.details)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for provenance: arrays exact, compressed; a stored sigma array stays in its file."""
        return {
            "shape": list(self.shape),
            "channel_sigma": _pack(self.channel_sigma),
            "relative": _pack(self.relative),
            "spatial_acf": _pack(self.spatial_acf),
            "spectral_acf": _pack(self.spectral_acf),
            "origin": self.origin,
            "stored": self.pixels is not None,
            "tails": None if self.tails is None else dict(vars(self.tails)),
            "details": dict(self.details),
            "start": list(self.start),
            "cube_shape": list(self.cube_shape),
            "seams": {"rows": list(self.seams.rows), "columns": list(self.seams.columns)},
            "trusted": self.trusted,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, pixels: SigmaPixels | None = None) -> NoiseModel:
        """Inverse of `to_dict`; `pixels` is needed again if the model stood on a stored sigma array."""
        if values["stored"] and pixels is None:
            raise NoiseError("this noise model needs the sigma array it was made from", action="give pixels=")
        fields: dict[str, Any] = {"origin": values["origin"], "details": dict(values["details"])}
        fields["tails"] = None if values["tails"] is None else Tails(**values["tails"])
        for name in ("shape", "start", "cube_shape"):
            fields[name] = tuple(values[name])
        for name in ("channel_sigma", "relative", "spatial_acf", "spectral_acf"):
            fields[name] = _unpack(values[name])
        fields["seams"] = Seams(**{axis: tuple(places) for axis, places in values.get("seams", {}).items()})
        return cls(pixels=pixels, trusted=values.get("trusted", TRUSTED), **fields)

    def _slices(self, region: Region | None) -> Region:
        if region is None:
            region = (slice(None), slice(None), slice(None))
        bounds = [s.indices(n) for s, n in zip(region, self.shape, strict=True)]
        if any(step != 1 for _, _, step in bounds):
            raise NoiseError("a region has steps of 1", value=region, action="give slices without a step")
        channels, rows, columns = (slice(a, max(a, b)) for a, b, _ in bounds)
        return channels, rows, columns

    def _absolute(self, region: Region) -> Region:
        channels, rows, columns = (
            slice(s.start + a, s.stop + a) for s, a in zip(region, self.start, strict=True)
        )
        return channels, rows, columns


def _check_acf(acf: NDArray[np.float64]) -> None:
    odd = acf.ndim == 2 and all(n % 2 for n in acf.shape)
    if (
        not odd
        or not np.isclose(acf[acf.shape[0] // 2, acf.shape[1] // 2], 1.0)
        or not np.isfinite(acf).all()
    ):
        raise NoiseError(
            "a spatial ACF is 2D, of odd shape, finite, with 1 in its centre",
            value=acf.shape,
            action="give it on lags -h..h of both axes, divided by its central value",
        )


def _stored(field: NDArray[Any]) -> NDArray[Any]:
    """The numbers of a map (y, x) that are in memory: one where it is flat."""
    return field[:1, :1] if field.strides == (0, 0) else field


def _median(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _range(field: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest finite value of a map (y, x), a row at a time; NaN where there is none."""
    low, high = np.inf, -np.inf
    for row in field:
        finite = row[np.isfinite(row)]
        low, high = finite.min(initial=low), finite.max(initial=high)
    return (float(low), float(high)) if low <= high else (float("nan"), float("nan"))


def _lag(acf: NDArray[np.float64], dy: int, dx: int) -> float:
    cy, cx = acf.shape[0] // 2, acf.shape[1] // 2
    return float(acf[cy + dy, cx + dx]) if dy <= cy and dx <= cx else 0.0


def full_width(profile: NDArray[np.float64]) -> float:
    """Twice the lag where a one-sided ACF crosses one half, linear between lags; at least 1."""
    profile = np.append(profile, 0.0)
    below = int(np.argmax(profile < 0.5))
    step = (profile[below - 1] - 0.5) / (profile[below - 1] - profile[below])
    return max(1.0, 2.0 * float(below - 1 + step))


def _pack(array: NDArray[Any]) -> dict[str, Any]:
    stored = _stored(array) if array.ndim == 2 else array
    native = np.ascontiguousarray(stored, dtype=array.dtype.newbyteorder("<"))
    packed = base64.b64encode(zlib.compress(native.tobytes(), 6)).decode("ascii")
    return {"dtype": native.dtype.str, "shape": list(array.shape), "zlib": packed}


def _unpack(value: Mapping[str, Any]) -> NDArray[Any]:
    raw = zlib.decompress(base64.b64decode(value["zlib"]))
    read = np.frombuffer(raw, dtype=np.dtype(value["dtype"]))
    native = read.astype(read.dtype.newbyteorder("="))
    return (
        native.reshape(value["shape"])
        if native.size == prod(value["shape"])
        else np.broadcast_to(native[0], value["shape"])
    )
