"""``EFFRES``: what a fixed kernel leaves of the resolution, held against the widths of a point source in the output."""

import numpy as np
import pytest
from astropy.io import fits

import denoise
from denoise.cube import read
from denoise.engine.resolution import resolution_of
from denoise.noise import NoiseModel

SHAPE = (3, 61, 61)
PIXEL = 0.36  # arcsec
PER_SIGMA = np.sqrt(8 * np.log(2))
CARDS = {
    "BUNIT": "Jy/beam", "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ",
    "CDELT1": -1e-4, "CDELT2": 1e-4, "CDELT3": 1e6, "CRVAL1": 10.0, "CRVAL2": 2.0, "CRVAL3": 1e11,
    "CUNIT1": "deg", "CUNIT2": "deg", "CUNIT3": "Hz", "BMAJ": 7e-4, "BMIN": 4e-4, "BPA": 30.0,
}  # fmt: skip


@pytest.fixture
def point(tmp_path):
    """A file with one point source as its beam shows it: 7 x 4 pixels, 30 degrees from north (+y) to east (-x)."""
    angle = np.deg2rad(30.0)
    y, x = np.mgrid[-30:31, -30:31].astype(float)
    along, across = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    plane = np.exp(-0.5 * ((along / 7.0) ** 2 + (across / 4.0) ** 2) * PER_SIGMA**2)
    plane = np.maximum(plane, 1e-12)  # exact zeros about the field would be no data
    path = tmp_path / "point.fits"
    fits.writeto(path, np.tile(plane, (3, 1, 1)).astype(">f4"), fits.Header(CARDS))
    return path


def smoothed(source, **parameters):
    noise = NoiseModel.white(SHAPE, 1e-3)
    return denoise.denoise(
        source, "smooth", noise=noise, positivity="off", continuum="none", **{"fwhm": 5.0, **parameters}
    )


def measured(plane):
    """Major and minor FWHM in pixels from second moments."""
    y, x = np.indices(plane.shape)
    total = plane.sum()
    cy, cx = (plane * y).sum() / total, (plane * x).sum() / total
    yy, xx = (plane * (y - cy) ** 2).sum() / total, (plane * (x - cx) ** 2).sum() / total
    xy = (plane * (y - cy) * (x - cx)).sum() / total
    minor, major = PER_SIGMA * np.sqrt(np.linalg.eigvalsh([[yy, xy], [xy, xx]]))
    return major, minor


def test_the_card_is_the_width_of_a_point_source_in_the_output(point, tmp_path):
    result = smoothed(point)
    major, minor = measured(result.cube.data[1].astype(float))
    assert result.resolution.fwhm == pytest.approx((major * PIXEL, minor * PIXEL), rel=0.01)
    header = fits.getheader(result.write(tmp_path / "out.fits"))
    assert header["EFFRES"] == pytest.approx(np.sqrt(major * minor) * PIXEL, rel=0.01)
    assert header.comments["EFFRES"].startswith("[arcsec]")
    assert (header["BMAJ"], header["BUNIT"]) == (7e-4, "Jy/beam")
    told = "".join(str(header["HISTORY"]).splitlines())
    assert "effective resolution" in told
    assert "stays per input beam" in told


def test_smoothing_again_starts_from_what_the_first_one_left(point, tmp_path):
    once = smoothed(point).write(tmp_path / "once.fits")
    twice = smoothed(once).write(tmp_path / "twice.fits")
    before, after = (fits.getval(path, "EFFRES") for path in (once, twice))
    assert after == pytest.approx(np.hypot(before, 5.0 * PIXEL), rel=1e-4)


def test_zarr_has_the_card_too(point, tmp_path):
    pytest.importorskip("zarr", reason="the extra [cluster] is not installed")
    result = smoothed(point)
    group, file = result.write(tmp_path / "out.zarr"), result.write(tmp_path / "out.fits")
    assert read(group).header["EFFRES"] == fits.getval(file, "EFFRES")


def test_a_method_that_follows_the_data_has_no_one_resolution(point, tmp_path):
    result = denoise.denoise(point, "ist", noise=NoiseModel.white(SHAPE, 0.05))
    assert result.resolution is None
    assert "EFFRES" not in fits.getheader(result.write(tmp_path / "out.fits"))


def test_without_a_beam_only_the_kernel_is_told(point, tmp_path):
    for card in ("BMAJ", "BMIN", "BPA"):
        fits.delval(point, card)
    fits.setval(point, "BUNIT", value="Jy")
    header = fits.getheader(smoothed(point, spectral_fwhm=2.0).write(tmp_path / "out.fits"))
    assert "EFFRES" not in header
    told = "".join(str(header["HISTORY"]).splitlines())
    assert "FWHM 5 x 5 pixels (y, x); its resolution is not known" in told
    assert "FWHM 2 channels" in told


def test_counts_that_were_stabilised_tell_nothing(point):
    data = np.random.default_rng(0).poisson(30.0, SHAPE).astype(np.float32)
    cube = read(point).with_pixels(data)
    assert denoise.denoise(cube, "smooth", vst={"gain": 1.0}, fwhm=5.0).resolution is None


def test_a_kernel_of_no_width_changes_nothing(point):
    assert resolution_of(read(point), (0.0, 0.0, 0.0)) is None
