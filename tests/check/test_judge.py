"""A result judged: the catalogue's numbers are those of the source, the file holds what a reader needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

import denoise
from denoise.check.readers import readers_of
from denoise.check.regions.catalogue import flux_error, write_catalogue
from denoise.check.regions.judge import add_reliability, judge_result
from denoise.cube import Cube, read
from denoise.cube.append import append_image
from denoise.engine import run_file, run_options
from denoise.errors import ResourceError, UsageError
from denoise.noise import NoiseModel

SHAPE = (24, 40, 44)
PLACE = (10, 15, 28)
WIDTH = (2.0, 2.4, 1.8)
SIGMA = 1e-3
STEP = 1.0 / 3600


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    source = np.exp(-0.5 * sum(((a - c) / w) ** 2 for a, c, w in zip(axes, PLACE, WIDTH, strict=True)))
    noise = NoiseModel.from_beam(SHAPE, SIGMA, (4.0, 4.0, 0.0))
    data = (15 * SIGMA * source + noise.sample(seed=4)).astype(np.float32)
    data[:, :3] = np.nan
    cards = {
        "CTYPE1": "RA---SIN", "CRVAL1": 150.0, "CRPIX1": 29.0, "CDELT1": -STEP, "CUNIT1": "deg",
        "CTYPE2": "DEC--SIN", "CRVAL2": 2.0, "CRPIX2": 16.0, "CDELT2": STEP, "CUNIT2": "deg",
        "CTYPE3": "VRAD", "CRVAL3": 1.0e6, "CRPIX3": 1.0, "CDELT3": 1.0e4, "CUNIT3": "m/s",
        "BUNIT": "Jy/beam", "BMAJ": 4 * STEP, "BMIN": 4 * STEP, "BPA": 0.0, "SPECSYS": "LSRK", "RADESYS": "ICRS",
    }  # fmt: skip
    path = tmp_path_factory.mktemp("judge") / "obs.fits"
    fits.PrimaryHDU(data, fits.Header(cards)).writeto(path)
    return path, 15 * SIGMA * source


@pytest.fixture(scope="module")
def judged(observed):
    path, _ = observed
    out = path.with_name("out.fits")
    options = run_options(method="ist")
    result = run_file(path, out, options)
    found = judge_result(result, options, draws=3)
    return result, found, add_reliability(found, result, out)


def test_the_source_is_the_surest_region_with_its_place_and_flux(judged, observed):
    _, found, _ = judged
    row, truth = found.catalogue[0], observed[1]
    assert (row["ra"], row["dec"]) == pytest.approx((150.0, 2.0), abs=0.4 * STEP)
    assert (row["x"], row["y"], row["channel"]) == pytest.approx((28, 15, 10), abs=0.4)
    assert row["velocity"] == pytest.approx(1000 + 100, abs=4)
    assert row["reliability"] > 0.95
    area = np.pi / (4 * np.log(2)) * 16
    assert found.catalogue["flux"].unit == u.Jy * u.km / u.s
    assert row["flux"] == pytest.approx(truth.sum() * 10 / area, rel=0.15)
    assert row["peak_snr_before"] == pytest.approx(15, abs=3)
    assert row["line_width"] == pytest.approx(2.355 * 20, rel=0.25)
    assert row["major"] == pytest.approx(2.355 * 2.4, rel=0.25)
    assert found.catalogue["major"].unit == u.arcsec
    assert found.catalogue.meta["frame"] == "ICRS"


def test_the_error_of_a_flux_is_its_spread_over_noise(judged):
    result, found, _ = judged
    region = found.regions[0]
    noise = result.noise.window(region.box)
    sums = [noise.sample(seed=9, draw=i)[region.footprint].sum(dtype=float) for i in range(200)]
    scale = found.catalogue["flux"][0] / region.flux
    assert found.catalogue["flux_error"][0] == pytest.approx(scale * np.std(sums), rel=0.2)


def test_with_draws_the_error_of_a_flux_holds_what_denoising_adds(judged, observed):
    result, found, _ = judged
    drawn = denoise.denoise(observed[0], "ist", uncertainty=8)
    region, readers = found.regions[0], readers_of(result)
    plain = flux_error(region, result.noise, readers)
    more = flux_error(region, result.noise, readers, drawn.errors)
    assert plain <= more < 4 * plain
    # a sum is no surer than that of the data, whatever is said of its voxels
    small = replace(drawn.errors, channel_sigma=1e-3 * drawn.errors.channel_sigma)
    assert flux_error(region, result.noise, readers, small) == plain


def test_the_extension_is_the_probability_of_the_voxels_region(judged):
    result, found, path = judged
    with fits.open(path, checksum=True) as hdus:
        extension = hdus["RELIABILITY"]
        values, header = extension.data, extension.header
        assert [hdu.name for hdu in hdus].count("RELIABILITY") == 1
    region = found.regions[0]
    assert values.dtype.newbyteorder("=") == np.float32
    assert (values[region.box][region.footprint] == np.float32(found.reliability[0])).all()
    data = result.input.read()
    assert np.array_equal(np.isnan(values), np.isnan(data))
    assert set(np.unique(values[np.isfinite(values)])) <= {np.float32(0), *np.float32(found.reliability)}
    assert header["CTYPE3"] == "VRAD"
    assert "BUNIT" not in header
    assert not list(path.parent.glob(".*"))


def test_readers_accept_the_file(judged):
    result, _, path = judged
    assert np.array_equal(read(path).read(), result.cube.read(), equal_nan=True)
    layer = read(path, hdu="RELIABILITY")
    assert layer.shape == SHAPE
    assert np.nanmax(layer.read()) > 0.9
    assert denoise.denoise(path, "smooth").cube.shape == SHAPE


def test_the_catalogue_reads_back_with_units_and_meta(judged, tmp_path):
    _, found, _ = judged
    files = write_catalogue(found.catalogue, tmp_path, "obs_denoised")
    assert files.ecsv.name == "obs_denoised_catalogue.ecsv"
    back, votable = Table.read(files.ecsv), Table.read(files.votable, format="votable")
    assert back["flux"].unit == found.catalogue["flux"].unit
    assert back.meta["method"] == "ist"
    assert len(votable) == len(back) == len(found.regions)
    assert votable["ra"].unit == u.deg
    assert np.allclose(votable["reliability"], found.catalogue["reliability"], atol=1e-4)


def test_an_uncertainty_becomes_the_error_of_the_flux(observed):
    options = run_options(method="smooth", save=("uncert",))
    result = denoise.denoise(observed[0], "smooth")
    found = judge_result(result, options, draws=1)
    region = found.regions[0]
    share = result.uncertainty.read()[region.box][region.footprint] / SIGMA
    assert share.max() < 1
    expected = found.catalogue["flux"][0] / region.flux * region.voxels**0.5 * SIGMA * share.mean()
    assert expected < found.catalogue["flux_error"][0] < 8 * expected


def test_another_method_agrees_about_the_source(observed):
    result = denoise.denoise(observed[0], "ist")
    found = judge_result(result, run_options(method="ist"), draws=2, second="smooth")
    assert len(found.null.agreement) == len(found.null.regions)
    assert found.catalogue.meta["agreement_with"] == "smooth"
    assert found.catalogue["agreement"][0] == pytest.approx(0.8, abs=0.25)
    assert found.catalogue["reliability"][0] > 0.95
    assert found.catalogue.colnames[-1] == "reliability"


def test_an_array_without_coordinates_has_pixels_and_channels():
    noise = NoiseModel.from_beam((12, 30, 30), 1.0, (4.0, 4.0, 0.0))
    data = noise.sample(seed=1)
    data[4:8, 10:15, 10:15] += 9
    options = run_options(method="smooth")
    result = denoise.denoise(Cube(data, beam=(4.0, 4.0, 0.0)), "smooth")
    table = judge_result(result, options, draws=1).catalogue
    assert "ra" not in table.colnames
    assert "velocity" not in table.colnames
    assert table["major"].unit == u.pix
    assert table["channel"][0] == pytest.approx(5.5, abs=1)


def test_an_image_has_no_line(tmp_path):
    noise = NoiseModel.from_beam((1, 60, 60), 1.0, (4.0, 4.0, 0.0))
    data = noise.sample(seed=1)
    data[0, 20:26, 30:36] += 12
    options = run_options(method="smooth")
    result = denoise.denoise(Cube(data[0], beam=(4.0, 4.0, 0.0)), "smooth")
    table = judge_result(result, options, draws=2).catalogue
    assert "line_width" not in table.colnames
    assert (table["x"][0], table["y"][0]) == pytest.approx((32.5, 22.5), abs=1)


def test_a_failed_append_leaves_the_file_as_it_was(judged, monkeypatch):
    result, _, path = judged
    before = path.read_bytes()

    def broken(region):
        raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="full"):
        append_image(path, result.cube, "EXTRA", broken)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*"))
    with pytest.raises(UsageError, match="FITS"):
        append_image(path.with_suffix(".zarr"), result.cube, "EXTRA", broken)


def test_far_from_regions_it_is_zero(judged):
    _, found, _ = judged
    corner = (slice(0, 2), slice(36, 40), slice(0, 4))
    assert not found.block(corner).any()
    assert found.doubtful < len(found.regions)
