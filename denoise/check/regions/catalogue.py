"""The regions of a result as a table: where, how fast, how bright, how wide, how sure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from numpy.typing import NDArray

from denoise.atomic import put
from denoise.check.quantities import SpectralLabel, aperture_unit, spectral_label
from denoise.check.readers import Readers
from denoise.check.regions.finding import FoundRegion
from denoise.metrics.photometry import sum_error
from denoise.noise import NoiseModel

Floats = NDArray[np.float64]

_FORMATS = {
    "reliability": ".4f",
    "x": ".3f",
    "y": ".3f",
    "channel": ".3f",
    "spectral": ".10g",
} | dict.fromkeys(("ra", "dec", "glon", "glat", "elon", "elat", "lon", "lat"), ".7f")
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
_SKY = {"RA": ("ra", "dec"), "GLON": ("glon", "glat"), "ELON": ("elon", "elat")}


class CatalogueFiles(NamedTuple):
    """Where a catalogue is."""

    ecsv: Path
    votable: Path


def make_catalogue(
    regions: Sequence[FoundRegion],
    reliability: Floats,
    cube: Any,
    *,
    noise: NoiseModel,
    readers: Readers,
    errors: NoiseModel | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Table:
    """A row for each region, the surest first.

    Parameters
    ----------
    regions : sequence of FoundRegion
        As `find_regions` gives them.
    reliability : ndarray, shape (n,)
        Their probability of being real.
    cube : Cube
        The input, for its coordinates and units.
    noise : NoiseModel
        Of the input.
    readers : Readers
        Of input and output.
    errors : NoiseModel, optional
        Errors of the output with their correlation (``Result.errors``); None: fluxes have the error of the input's
        noise.
    meta : mapping, optional
        More about the catalogue as a whole.

    Returns
    -------
    Table
        Columns with units, descriptions and UCDs: ``id``, position on the sky (deg; absent without coordinates),
        ``x``, ``y``, ``channel`` (from 0), ``velocity`` (or what the spectral axis is), ``flux``, ``flux_error``,
        ``flux_before`` (of the input in the same footprint), ``peak_snr_before``, ``peak_snr_after``, ``snr``,
        ``major``, ``minor``, ``pa`` (FWHM as observed), ``line_width`` (FWHM), ``voxels``, ``reliability``. Holes
        have negative fluxes and peaks.
    """
    order = sorted(range(len(regions)), key=lambda i: (-reliability[i], -regions[i].snr))
    rows = [regions[i] for i in order]
    table = Table(meta=dict(meta or {}))
    _add(table, "id", np.arange(1, len(rows) + 1), "number in this catalogue", ucd="meta.id;meta.main")
    _add_places(table, rows, cube)
    image = cube.shape[0] == 1
    label = spectral_label(None if image else cube.spectral_axis, cube.shape[0])
    if not image:
        _add_spectral(table, rows, cube, label)
    _add_fluxes(table, rows, cube, label, image=image, noise=noise, readers=readers, errors=errors)
    _add_sizes(table, rows, cube)
    if not image:
        width = FWHM * np.array([r.line_width for r in rows]) * _at(label.width, rows)
        _add(table, "line_width", width, "FWHM of the line as observed", label.native, ucd="spect.line.width")
    _add(
        table, "voxels", np.array([r.voxels for r in rows], int), "voxels of the footprint", ucd="meta.number"
    )
    sure = np.asarray(reliability, float)[order]
    _add(table, "reliability", sure, "probability of being real", ucd="stat.probability")
    return table


def write_catalogue(table: Table, folder: Path, stem: str) -> CatalogueFiles:
    """Write ``<stem>_catalogue.ecsv`` and ``.vot`` into `folder`, each whole or not at all; old ones are replaced.

    Raises
    ------
    ResourceError
        They cannot be written.
    """
    paths = catalogue_paths(folder, stem)
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    put(paths.ecsv, text.getvalue())
    data = io.BytesIO()
    table.write(data, format="votable")
    put(paths.votable, data.getvalue())
    return paths


def catalogue_paths(folder: Path, stem: str) -> CatalogueFiles:
    """Where `write_catalogue` writes."""
    return CatalogueFiles(folder / f"{stem}_catalogue.ecsv", folder / f"{stem}_catalogue.vot")


def _add(table: Table, name: str, values: Any, text: str, unit: Any = None, *, ucd: str = "") -> None:
    digits = None if name in ("id", "voxels") else _FORMATS.get(name, ".7g")
    table[name] = Column(
        values, unit=unit, description=text, format=digits, meta={"ucd": ucd} if ucd else None
    )


def _add_places(table: Table, rows: Sequence[FoundRegion], cube: Any) -> None:
    y, x = (np.array([r.centre[i] for r in rows], float) for i in (1, 2))
    if cube.wcs is not None and cube.wcs.has_celestial:
        sky = cube.wcs.celestial
        names = _SKY.get(sky.wcs.ctype[sky.wcs.lng].split("-")[0], ("lon", "lat"))
        world = sky.wcs_pix2world(np.column_stack([x, y]), 0).reshape(-1, 2)
        table.meta["frame"] = str(sky.wcs.radesys or "").strip() or "not stated"
        for name, axis in zip(names, (sky.wcs.lng, sky.wcs.lat), strict=True):
            ucd = f"pos.eq.{name};meta.main" if name in ("ra", "dec") else ""
            _add(table, name, world[:, axis], "of the centre of light", u.deg, ucd=ucd)
    for name, values in (("x", x), ("y", y)):
        _add(table, name, values, "centre of light, from 0", u.pix, ucd=f"pos.cartesian.{name};instr.pixel")


def _add_spectral(table: Table, rows: Sequence[FoundRegion], cube: Any, label: SpectralLabel) -> None:
    channel = np.array([r.centre[0] for r in rows], float)
    _add(table, "channel", channel, "centre of the line, from 0", ucd="spect;instr.pixel")
    axis = cube.spectral_axis
    if axis is None:
        return
    moving = label.native is not None and label.native.is_equivalent(u.km / u.s)
    _add(table, "velocity" if moving else "spectral", _at(label.values, rows), label.text, label.native,
         ucd="spect.dopplerVeloc" if moving else "em")  # fmt: skip
    if moving and not axis.is_velocity:
        _add(table, "spectral", _at(axis.values, rows), axis.label, axis.unit, ucd="em")


def _add_fluxes(
    table: Table,
    rows: Sequence[FoundRegion],
    cube: Any,
    label: SpectralLabel,
    *,
    image: bool,
    noise: NoiseModel,
    readers: Readers,
    errors: NoiseModel | None,
) -> None:
    factor, unit, text = _flux_factor(cube, label, image=image)
    scale = factor * (1.0 if image else _at(label.width, rows))
    sigmas = np.array([flux_error(r, noise, readers, errors) for r in rows], float)
    _add(
        table,
        "flux",
        scale * np.array([r.flux for r in rows], float),
        f"{text}, after denoising",
        unit,
        ucd="phot.flux",
    )
    _add(table, "flux_error", scale * sigmas, "1 sigma of flux", unit, ucd="stat.error;phot.flux")
    before = scale * np.array([r.flux_input for r in rows], float)
    _add(table, "flux_before", before, f"{text}, of the input in the same voxels", unit, ucd="phot.flux")
    for name, key, words in (
        ("peak_snr_before", "peak_input", "brightest voxel of the input over its noise"),
        ("peak_snr_after", "peak", "brightest voxel of the output over the noise of the input"),
        ("snr", "snr", "signal to noise of the input under a Gaussian of the region's widths"),
    ):
        _add(table, name, np.array([getattr(r, key) for r in rows], float), words, ucd="stat.snr")


def flux_error(
    region: FoundRegion, noise: NoiseModel, readers: Readers, errors: NoiseModel | None = None
) -> float:
    """1 sigma of the sum over a footprint, in the unit of the data; 0 where the model knows no noise.

    That of the noise of the data in the same voxels; of the errors of the result, with their own correlation, where
    they are known and give more: denoising does not make a sum of the data surer.
    """
    own = noise.sigma(region.box).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(region.footprint, readers.sigma(region.box) / own, 0.0)
    least = sum_error(np.nan_to_num(weights, posinf=0.0), noise.window(region.box))
    if errors is None:
        return least
    return max(least, sum_error(region.footprint.astype(float), errors.window(region.box)))


def _flux_factor(cube: Any, label: SpectralLabel, *, image: bool) -> tuple[float, Any, str]:
    """What a sum of voxels (times the channel width) is multiplied by to be a flux, its unit, and its name."""
    aperture = aperture_unit(cube)
    factor, unit, text = aperture.factor, aperture.native, "flux"
    if aperture.mean:  # brightness: summed times the area of a pixel
        side = cube.pixel_scale
        factor, area = (1.0, u.pix) if side is None else (side**2, u.arcsec**2)
        unit, text = (None if cube.unit is None else u.Unit(cube.unit) * area), "brightness times area"
    if image or unit is None or label.native is None:
        return factor, unit, text
    return factor, u.Unit(unit) * label.native, f"{text} times width"


def _add_sizes(table: Table, rows: Sequence[FoundRegion], cube: Any) -> None:
    matrix, unit = np.array([[-1.0, 0.0], [0.0, 1.0]]), u.pix
    if cube.pixel_matrix is not None:
        matrix, unit = 3600.0 * np.asarray(cube.pixel_matrix), u.arcsec
    sizes = np.array([_ellipse(r.covariance, matrix) for r in rows], float).reshape(-1, 3)
    _add(table, "major", sizes[:, 0], "FWHM of the light as observed", unit, ucd="phys.angSize.smajAxis")
    _add(table, "minor", sizes[:, 1], "FWHM of the light as observed", unit, ucd="phys.angSize.sminAxis")
    _add(table, "pa", sizes[:, 2], "of the major axis, from north (+y) to east (-x)", u.deg, ucd="pos.posAng")


def _ellipse(covariance: Floats, matrix: Floats) -> tuple[float, float, float]:
    """FWHM and position angle of a covariance in pixels (y, x); `matrix`: from (x, y) to (east, north)."""
    spread = matrix @ covariance[::-1, ::-1] @ matrix.T
    values, vectors = np.linalg.eigh(spread)
    east, north = vectors[:, 1]
    return (
        FWHM * float(np.sqrt(values[1])),
        FWHM * float(np.sqrt(values[0])),
        float(np.degrees(np.arctan2(east, north)) % 180),
    )


def _at(values: Floats, rows: Sequence[FoundRegion]) -> Floats:
    """Values of a spectral axis at the centres of regions."""
    return np.interp([r.centre[0] for r in rows], np.arange(len(values)), values)
