"""Everything the page shows, measured once: :func:`observe` turns a result into a :class:`Scene`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.report import audit
from denoise.report.labels import (
    ApertureUnit,
    SpectralLabel,
    aperture_unit,
    moment0_unit,
    spectral_label,
    unit_text,
)
from denoise.report.sky import SkyFrame, sky_frame
from denoise.report.stream import (
    Footprint,
    Readers,
    Region,
    SpatialAcf,
    Sums,
    accumulate,
    aperture_correlation,
    footprint,
    plane,
    spatial_acf,
)
from denoise.report.structure import Structure, structures

Floats = NDArray[np.float64]
LAGS = 12
STRIP = 6
REQUIRED_SNR = 3.0
OUTPUT_SIGMAS = 5.0
LOWEST_LEVEL = 0.25


class ReportInput(Protocol):
    """What the report needs of a result; ``denoise.engine.Result`` has it."""

    @property
    def input(self) -> Any: ...
    @property
    def cube(self) -> Any: ...
    @property
    def residual(self) -> Any: ...
    @property
    def uncertainty(self) -> Any: ...
    @property
    def noise(self) -> Any: ...
    @property
    def support(self) -> Any: ...
    @property
    def metrics(self) -> Mapping[str, Any]: ...
    @property
    def warnings(self) -> Sequence[str]: ...
    @property
    def method(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class ChannelPanel:
    """One column of the channel strip: input, output and residual in sigma, maps binned as the moments are."""

    channel: int
    before: Floats
    after: Floats
    residual: Floats


@dataclass(frozen=True)
class Spectra:
    """Spectra in the aperture, shape (channel,), in `unit`, and the 1-sigma noise of the one before."""

    before: Floats
    after: Floats
    error: Floats
    unit: ApertureUnit


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn or written on the page."""

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
    regions: tuple[Structure, ...]
    region_count: int
    level: float
    findings: tuple[audit.Finding, ...]

    @property
    def unmatched(self) -> tuple[Structure, ...]:
        """Regions of the output without a counterpart in the input."""
        return tuple(r for r in self.regions if not r.snr >= REQUIRED_SNR)


def observe(result: ReportInput) -> Scene:
    """Measure a result, block by block (see :mod:`denoise.report.stream`)."""
    readers = readers_of(result)
    cube, shape = result.input, readers.shape
    image = shape[0] == 1
    spectral = spectral_label(None if image else cube.spectral_axis, shape[0])
    where = footprint(readers)
    sums = accumulate(readers, where, spectral.values, spectral.width, lags=LAGS)
    acf = spatial_acf(readers, lags=LAGS)
    models = np.asarray(result.noise.spatial_acf, float), np.asarray(result.noise.spectral_acf, float)
    unit = unit_text(cube.unit, cube.unit_text)
    spectra, spatial = _spectra(cube, where, sums, models[0])
    flux = _flux(spectra, sums, where, spectral, spatial, models[1], image)
    level = max(OUTPUT_SIGMAS * np.nan_to_num(sums.output_sigma), LOWEST_LEVEL)
    regions, count = structures(
        readers.after, readers.before, readers.sigma, shape, level=level,
        spatial_acf=models[0], spectral_acf=models[1], min_voxels=_smallest(models[0]),
    )  # fmt: skip
    scene = Scene(
        shape, image, unit, moment0_unit(unit, spectral, image=image), spectral, sky_frame(cube.wcs, shape[1:]),
        where, sums, acf, *models, _panels(readers, where, sums), spectra, flux,
        moment0_unit(spectra.unit.unit, spectral, image=image), tuple(regions), count, level, (),
    )  # fmt: skip
    return _with_findings(scene)


def readers_of(result: ReportInput) -> Readers:
    """Functions that read a region of each cube of `result`; a missing residual is input minus output."""
    before, after, residual = result.input, result.cube, result.residual
    support = result.support

    def difference(region: Region) -> NDArray[Any]:
        return np.asarray(before.read(region) - after.read(region))

    def found(region: Region) -> NDArray[np.bool_]:
        if support is None:
            return np.zeros(_extent(region), bool)
        part = support[region] if isinstance(support, np.ndarray) else support.read(region)
        return np.nan_to_num(np.asarray(part)).astype(bool)

    def sigma(region: Region) -> NDArray[Any]:
        values = np.asarray(result.noise.sigma(region))
        return np.broadcast_to(np.where(values > 0, values, np.nan), _extent(region))

    def excluded(region: Region) -> NDArray[np.bool_]:
        return np.broadcast_to(before.excluded(region), _extent(region))

    shape = tuple(int(n) for n in before.shape)
    read = difference if residual is None else residual.read
    return Readers((shape[0], shape[1], shape[2]), before.read, after.read, read, sigma, found, excluded)


def _extent(region: Region) -> tuple[int, int, int]:
    c, y, x = (s.stop - s.start for s in region)
    return c, y, x


def _smallest(acf: Floats) -> int:
    """Half an independent patch of noise: smaller specks cannot be a source."""
    return max(1, round(0.5 * float(acf.sum())))


def _spectra(cube: Any, where: Footprint, sums: Sums, acf: Floats) -> tuple[Spectra, float]:
    unit = aperture_unit(cube)
    aperture = where.sky if where.any else np.ones_like(where.sky)
    spatial = aperture_correlation(aperture, acf)
    if not where.any:
        unit = ApertureUnit(1.0, True, unit_text(cube.unit, cube.unit_text), "Mean over the whole field")
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 / sums.pixels if unit.mean else np.where(sums.pixels > 0, unit.factor, np.nan)
        error = factor * np.sqrt(spatial * sums.variance)
        return Spectra(factor * sums.spectrum[0], factor * sums.spectrum[1], error, unit), spatial


def _flux(
    spectra: Spectra,
    sums: Sums,
    where: Footprint,
    spectral: SpectralLabel,
    spatial: float,
    spectral_acf: Floats,
    image: bool,
) -> audit.FluxChange:
    width = np.ones(1) if image else spectral.width
    use = where.channels & (sums.pixels > 0)
    scale = np.where(use, 1.0, 0.0) if not spectra.unit.mean else np.where(use, 1 / np.maximum(sums.pixels, 1), 0.0)
    factor = 1.0 if spectra.unit.mean else spectra.unit.factor
    error = audit.flux_error(sums.variance * scale**2, width, spatial, spectral_acf, factor)
    before, after = (float(np.nansum(np.where(use, s * width, 0.0))) for s in (spectra.before, spectra.after))
    return audit.FluxChange(before, after, error)


def _panels(readers: Readers, where: Footprint, sums: Sums) -> tuple[ChannelPanel, ...]:
    def scaled(region: Region) -> NDArray[Any]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(readers.residual(region) / readers.sigma(region))

    return tuple(
        ChannelPanel(c, *(plane(read, c, readers.shape, sums.factor) for read in (readers.before, readers.after, scaled)))
        for c in representative(where, sums.spectrum[1])
    )


def representative(where: Footprint, spectrum: Floats, count: int = STRIP) -> list[int]:
    """Channels for the strip: at even steps of the emission's cumulative flux, else evenly spaced."""
    nchan = where.voxels.size
    if not where.any:
        return [int(c) for c in np.unique(np.linspace(0, nchan - 1, min(count, nchan) + 2)[1:-1].round())][:count]
    weight = np.where(where.channels, np.abs(np.nan_to_num(spectrum)) + 1e-3 * np.nanmax(np.abs(spectrum)), 0.0)
    cumulative = np.cumsum(weight) / max(weight.sum(), np.finfo(float).tiny)
    marks = (np.arange(count) + 0.5) / count
    picked = np.unique(np.searchsorted(cumulative, marks).clip(0, nchan - 1))
    return [int(c) for c in picked]


def _with_findings(scene: Scene) -> Scene:
    from dataclasses import replace

    sums = scene.sums
    found = audit.residual_findings(sums.inside.std, sums.outside.std, sums.inside.mean)
    h, w = (n // 2 for n in scene.model_spatial.shape)
    lines = [
        ("along x", "pixel", scene.acf.along_x, scene.model_spatial[h, w:], scene.acf.error_x),
        ("along y", "pixel", scene.acf.along_y, scene.model_spatial[h:, w], scene.acf.error_y),
    ]
    if not scene.image:
        lines.append(("along the channels", "channel", sums.spectral_acf, scene.model_spectral, None))
    found += [audit.whiteness_finding(a, b, audit.excess(m, e, err)) for a, b, m, e, err in lines]
    if scene.where.any:
        found.append(audit.flux_finding(scene.flux, scene.flux_unit))
    found.append(audit.structure_finding(len(scene.regions), len(scene.unmatched), scene.level, REQUIRED_SNR))
    return replace(scene, findings=tuple(found))
