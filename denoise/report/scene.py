"""Everything the page shows, measured once: :func:`observe` turns a result into a :class:`Scene`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Pair, readers_of, settled_data
from denoise.check.regions.finding import LOWEST, FoundRegion, find_regions
from denoise.check.regions.residual import Leftover, residual_leftover
from denoise.report import audit
from denoise.report.labels import (
    ApertureUnit,
    SpectralLabel,
    aperture_unit,
    mean_unit,
    moment0_unit,
    spectral_label,
    unit_text,
)
from denoise.report.sky import SkyFrame, sky_frame
from denoise.report.stream import (
    Footprint,
    SpatialAcf,
    Sums,
    accumulate,
    aperture_correlation,
    footprint,
    spatial_acf,
)

Floats = NDArray[np.float64]
LAGS = 12
STRIP = 6
REQUIRED_SNR = 3.0
CLAIM = 2.0  # sigma that the output shows of a region,
CLAIMED = 1.0  # and more than the input holds: a claim of its own
OUTPUT_SIGMAS = 5.0
EXAMINED = 300
UNCORRELATED = 1.5  # pixels per independent sample


class ReportInput(Pair, Protocol):
    """What the report needs of a result; ``denoise.engine.Result`` has it."""

    @property
    def flux_errors(self) -> Floats | None:
        """1 sigma error of the flux found in each channel; None where it is not known."""

    @property
    def limits(self) -> tuple[float, float] | None:
        """How many errors of a voxel hold 95 %: in the emission found, elsewhere; None where it is not known."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Numbers by name."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the user should know."""

    @property
    def method(self) -> str:
        """Name of the denoiser."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters."""

    @property
    def seconds(self) -> float:
        """Wall time."""

    @property
    def display(self) -> bool:
        """Whether the output is for display only, without the unit of the input."""


@dataclass(frozen=True)
class ChannelPanel:
    """One column of the channel strip: input, output, residual in sigma, binned as the moments are."""

    channel: int
    before: Floats
    after: Floats
    residual: Floats


@dataclass(frozen=True)
class Spectra:
    """Spectra in the aperture, shape (channel,), in `unit`, and the 1-sigma noise of the one before.

    `after_error`: the error of the one after, where draws of the noise gave one.
    """

    before: Floats
    after: Floats
    error: Floats
    unit: ApertureUnit
    after_error: Floats | None = None


@dataclass(frozen=True)
class AcfCurve:
    """An autocorrelation of the residual, shape (lag,), its standard error, and the noise model's."""

    what: str
    unit: str
    measured: Floats
    model: Floats
    error: Floats


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn or written on the page; `noise`: typically, of a channel and of moment 0.

    `display`: the output has no unit, so that nothing of it is measured.
    """

    shape: tuple[int, int, int]
    image: bool
    unit: str
    moment0_unit: str
    spectral: SpectralLabel
    sky: SkyFrame
    where: Footprint
    sums: Sums
    acf: SpatialAcf
    model_spatial: Floats
    model_spectral: Floats
    panels: tuple[ChannelPanel, ...]
    spectra: Spectra
    flux: audit.FluxChange
    flux_unit: str
    regions: tuple[FoundRegion, ...]
    region_count: int
    level: float
    continuum: str
    noise: tuple[float, float]
    leftover: Leftover | None = None
    display: bool = False
    findings: tuple[audit.Finding, ...] = ()

    @property
    def curves(self) -> tuple[AcfCurve, ...]:
        """Autocorrelations of the residual along x, y and, for a cube, the channels."""
        spatial, spectral = self.model_spatial, self.model_spectral
        h, w = (n // 2 for n in spatial.shape)
        rows = [
            ("along x", "pixel", self.acf.along_x, spatial[h, w:], self.acf.pairs_x),
            ("along y", "pixel", self.acf.along_y, spatial[h:, w], self.acf.pairs_y),
        ]
        if not self.image:
            rows.append(
                ("along the channels", "channel", self.sums.spectral_acf, spectral, self.sums.spectral_pairs)
            )
        return tuple(AcfCurve(*row[:4], audit.acf_error(row[4], spatial, spectral)) for row in rows)

    @property
    def unmatched(self) -> tuple[FoundRegion, ...]:
        """Regions of the output that claim a signal which the input does not hold."""
        return tuple(r for r in self.regions if not r.snr >= REQUIRED_SNR and _claims(r))


def observe(result: ReportInput) -> Scene:
    """Measure a result, block by block (see :mod:`denoise.report.stream`)."""
    settled = settled_data(result)
    readers = readers_of(result)
    cube, shape = result.input, readers.shape
    image = shape[0] == 1
    spectral = spectral_label(None if image else cube.spectral_axis, shape[0])
    where = footprint(readers)
    panels = representative(where)
    sums = accumulate(readers, where, spectral.values, spectral.width, panels=panels, lags=LAGS)
    acf = spatial_acf(readers, lags=LAGS)
    models = np.asarray(result.noise.spatial_acf, float), np.asarray(result.noise.spectral_acf, float)
    unit = unit_text(cube.unit, cube.unit_text)
    spectra, spatial = _spectra(result, where, sums, models[0])
    error = partial(audit.flux_error, spatial=spatial, spectral_acf=models[1])
    flux = _flux(spectra, sums, where.channels, spectral.width, error)
    level = max(OUTPUT_SIGMAS * np.nan_to_num(sums.output_sigma), LOWEST)
    regions: Sequence[FoundRegion] = ()
    count = 0
    if not result.display:
        regions, count = find_regions(readers, result.noise, level=level, limit=EXAMINED)
    in_aperture = float(np.sqrt(np.median(sums.variance / np.maximum(sums.pixels, 1))))
    typical = in_aperture if settled["vst"] else float(result.noise.typical)
    scene = Scene(
        shape=shape,
        image=image,
        unit=unit,
        moment0_unit=moment0_unit(cube.unit, unit, spectral, image=image),
        spectral=spectral,
        sky=sky_frame(cube.wcs, shape[1:]),
        where=where,
        sums=sums,
        acf=acf,
        model_spatial=models[0],
        model_spectral=models[1],
        panels=tuple(ChannelPanel(c, *sums.planes[:, i]) for i, c in enumerate(panels)),
        spectra=spectra,
        flux=flux,
        flux_unit=moment0_unit(spectra.unit.native, spectra.unit.unit, spectral, image=image),
        regions=tuple(regions),
        region_count=count,
        level=level,
        continuum=settled["continuum"],
        noise=_map_noise(typical, where, spectral, models[1]),
        leftover=None if result.display else residual_leftover(readers, result.noise),
        display=result.display,
    )
    return replace(scene, findings=tuple(_findings(scene)))


def _claims(region: FoundRegion) -> bool:
    """Whether the output says of a region what the input does not."""
    shown = region.match.snr_output
    return shown >= CLAIM and shown - region.snr >= CLAIMED


def _map_noise(
    typical: float, where: Footprint, spectral: SpectralLabel, spectral_acf: Floats
) -> tuple[float, float]:
    channels = where.channels if where.any else np.ones(where.voxels.size, bool)
    width = np.where(channels, spectral.width, 0.0)
    return typical, audit.flux_error(
        np.full(width.size, typical**2), width, spatial=1.0, spectral_acf=spectral_acf
    )


def _spectra(result: ReportInput, where: Footprint, sums: Sums, acf: Floats) -> tuple[Spectra, float]:
    cube, drawn = result.input, result.flux_errors
    unit = aperture_unit(cube)
    aperture = where.sky if where.any else np.ones_like(where.sky)
    spatial = aperture_correlation(aperture, acf)
    if not where.any:
        unit = mean_unit(cube, "Mean over the whole field")
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 / sums.pixels if unit.mean else np.where(sums.pixels > 0, unit.factor, np.nan)
        error = factor * np.sqrt(spatial * sums.variance)
        after_error = None if drawn is None or not where.any else factor * drawn
        return Spectra(
            factor * sums.spectrum[0], factor * sums.spectrum[1], error, unit, after_error
        ), spatial


def _flux(
    spectra: Spectra, sums: Sums, use: NDArray[np.bool_], width: Floats, error: Callable[..., float]
) -> audit.FluxChange:
    """Flux over the aperture and the channels of the emission; `error` turns variances into its noise."""
    use = use & (sums.pixels > 0)
    mean = spectra.unit.mean
    scale = np.where(use, 1 / np.maximum(sums.pixels, 1) if mean else spectra.unit.factor, 0.0)
    before, after = (float(np.sum(s[use] * width[use])) for s in (spectra.before, spectra.after))
    return audit.FluxChange(before, after, error(sums.variance * scale**2, width))


def representative(where: Footprint, count: int = STRIP) -> list[int]:
    """Channels for the strip: at even steps of the cumulative extent of the emission, else evenly spaced."""
    nchan = where.voxels.size
    weight = where.voxels.astype(float) if where.any else np.ones(nchan)
    cumulative = np.cumsum(weight) / weight.sum()
    picked = np.searchsorted(cumulative, (np.arange(count) + 0.5) / count)
    return [int(c) for c in np.unique(picked.clip(0, nchan - 1))]


def _findings(scene: Scene) -> list[audit.Finding]:
    if scene.display:
        return [audit.display_finding()]
    spatial, spectral = scene.model_spatial, scene.model_spectral
    found = audit.residual_findings(
        scene.sums.inside, scene.sums.outside, audit.correlated(spatial, spectral),
        audit.correlated(spatial**2, spectral**2),
    )  # fmt: skip
    found += [
        audit.whiteness_finding(c.what, c.unit, audit.excess(c.measured, c.model, c.error))
        for c in scene.curves
    ]
    if scene.leftover is not None:
        white = audit.correlated(spatial, np.ones(1)) < UNCORRELATED
        found += [
            audit.power_finding(scene.leftover),
            *audit.places_findings(scene.leftover, white=white),
        ]
    if scene.where.any:
        found.append(audit.flux_finding(scene.flux, scene.flux_unit))
    found.append(audit.structure_finding(len(scene.regions), len(scene.unmatched), scene.level, REQUIRED_SNR))
    return found
