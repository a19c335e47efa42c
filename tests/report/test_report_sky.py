"""Places, directions and labels on the sky."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from denoise.cube.beams import Beams, sky_to_pixels
from denoise.report.labels import (
    UNSTATED,
    SpectralLabel,
    aperture_unit,
    moment0_unit,
    number,
    unit_text,
    with_unit,
)
from denoise.report.panels import Scale, figure, outline, sky_map
from denoise.report.sky import beam_shape, nice_length, sky_frame

from .conftest import toy_header, toy_result


@pytest.mark.parametrize("rotate", [0, 30, 90, 200])
@pytest.mark.parametrize("flip", [False, True])
def test_offsets_are_those_of_the_wcs(rotate, flip):
    wcs = WCS(toy_header(rotate=rotate, flip=flip), naxis=None)
    frame = sky_frame(wcs, (48, 48))
    x, y = np.array([0.0, 47, 10]), np.array([5.0, 40, 47])
    centre = wcs.celestial.pixel_to_world(*frame.centre)
    east, north = centre.spherical_offsets_to(wcs.celestial.pixel_to_world(x, y))
    got = frame.offsets(x, y)
    assert np.allclose(got[0], east.to_value(u.arcsec), atol=0.02)
    assert np.allclose(got[1], north.to_value(u.arcsec), atol=0.02)


@pytest.mark.parametrize("flip", [False, True])
def test_east_is_left_and_north_is_up_on_the_canvas(flip):
    header = toy_header(flip=flip)
    wcs = WCS(header, naxis=None)
    frame = sky_frame(wcs, (48, 48))
    image = np.zeros((48, 48))
    px, py = wcs.celestial.world_to_pixel(SkyCoord(180.0 * u.deg + 4 * u.arcsec, 45.0 * u.deg + 3 * u.arcsec))
    image[round(float(py)) - 1 : round(float(py)) + 2, round(float(px)) - 1 : round(float(px)) + 2] = 1
    fig = figure(5.0)
    ax = fig.subplots()
    sky_map(ax, image, frame, shape=(48, 48), factor=1, scale=Scale(0, 1, 0, "gray"))
    ax.set_axis_off()
    fig.canvas.draw()
    grey = np.asarray(fig.canvas.buffer_rgba())[..., 0].astype(float)
    rows, columns = np.nonzero(np.asarray(fig.canvas.buffer_rgba())[..., :3].min(axis=2) < 128)
    box = grey[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    bright_y, bright_x = np.nonzero(box > 200)
    assert np.median(bright_x) < box.shape[1] / 2  # east: left
    assert np.median(bright_y) < box.shape[0] / 2  # north: up


@pytest.mark.parametrize(("rotate", "flip"), [(0, False), (40, False), (0, True), (120, True)])
def test_beam_in_pixels_and_on_the_sky_agree(rotate, flip):
    wcs = WCS(toy_header(rotate=rotate, flip=flip), naxis=None)
    frame = sky_frame(wcs, (48, 48))
    sky = (3.0 / 3600, 1.5 / 3600, 25.0)
    pixels = sky_to_pixels(sky, wcs.celestial.pixel_scale_matrix)
    nan = np.full(1, np.nan)
    direct = beam_shape(Beams(*(np.array([v]) for v in sky), pixels), frame)
    through = beam_shape(Beams(nan, nan, nan, pixels), frame)
    assert direct[:2] == pytest.approx((3.0, 1.5), rel=1e-6)
    assert through[:2] == pytest.approx((3.0, 1.5), rel=1e-3)
    assert (direct[2] - through[2] + 90) % 180 - 90 == pytest.approx(0, abs=0.1)
    assert direct[2] == pytest.approx(65.0)  # from east (+x) to north (+y): 90 - position angle


def test_without_sky_axes_pixels():
    frame = sky_frame(None, (10, 20))
    assert frame.labels == ("x (pixel)", "y (pixel)")
    assert not frame.on_sky
    assert frame.limits((-0.5, 19.5, -0.5, 9.5)) == ((-0.5, 19.5), (-0.5, 9.5))


def test_wide_fields_use_larger_units():
    header = toy_header()
    header["CDELT1"], header["CDELT2"] = -60 / 3600, 60 / 3600
    assert sky_frame(WCS(header, naxis=None), (48, 48)).unit == "arcmin"


def test_outline_follows_pixel_edges():
    mask = np.zeros((6, 6), bool)
    mask[2:4, 1:5] = True
    ax = figure(3.0).subplots()
    outline(ax, mask, sky_frame(None, (6, 6)))
    points = np.concatenate(ax.collections[0].get_segments())
    assert points[:, 0].min() == 0.5
    assert points[:, 0].max() == 4.5
    assert points[:, 1].min() == 1.5
    assert points[:, 1].max() == 3.5


@pytest.mark.parametrize(("width", "bar"), [(100, 20), (24, 2), (26, 5), (0.7, 0.1)])
def test_scale_bars_are_round(width, bar):
    assert nice_length(width) == pytest.approx(bar)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "undefined"), (np.nan, "undefined"), (3, "3"), (12345, "12,345"), (0.0194, "0.0194"),
     (1.0, "1.00"),     (-2.5e-20, "−2.50×10⁻²⁰"), (True, "yes"),
     (1234.5, "1,234"), (0.0, "0"), ("ist", "ist")],
)  # fmt: skip
def test_numbers_read_well(value, text):
    assert number(value) == text


def test_units_read_well():
    assert unit_text(u.Jy / u.beam) == "Jy beam⁻¹"
    assert unit_text(u.Unit("1e-20 erg / (s cm2 Angstrom)")).startswith("10⁻²⁰ ")
    assert unit_text(None, "odd") == "odd"
    assert unit_text(None, " ") == UNSTATED
    assert with_unit("3", "10⁻²⁰ erg") == "3 × 10⁻²⁰ erg"
    assert with_unit("3", UNSTATED) == "3 (unit not stated)"


@pytest.mark.parametrize(
    ("unit", "factor", "text"),
    [("Jy / beam", 4 * np.log(2) / np.pi / 5.0 / 3.5, "Jy"), ("MJy / sr", (0.5 * np.pi / 648000) ** 2, "MJy"),
     ("Jy", 1.0, "Jy"), ("mJy / arcsec2", 0.25, "mJy")],
)  # fmt: skip
def test_aperture_flux_is_in_the_right_unit(unit, factor, text):
    got = aperture_unit(toy_result((2, 8, 8), unit=unit).input)
    assert not got.mean
    assert got.factor == pytest.approx(factor, rel=1e-6, abs=0)
    assert got.unit == text


@pytest.mark.parametrize("unit", ["K", "", "Jy / beam"])
def test_what_cannot_be_summed_is_averaged(unit):
    cube = toy_result((2, 8, 8), unit=unit).input
    cube.beams = None
    assert aperture_unit(cube).mean


@pytest.mark.parametrize(
    ("unit", "channel", "expected"),
    [
        ("Jy/beam", "km/s", "Jy beam⁻¹ km s⁻¹"),
        ("Jy", "GHz", "Jy GHz"),
        ("Jy/beam", "MHz", "Jy beam⁻¹ MHz"),
        ("erg/(s cm2 Angstrom)", "Angstrom", "erg s⁻¹ cm⁻²"),
    ],
)
def test_moment_0_is_named_by_custom(unit, channel, expected):
    unit, channel = u.Unit(unit), u.Unit(channel)
    axis = SpectralLabel(np.arange(3.0), np.ones(3), channel, unit_text(channel), "", "", True)
    assert moment0_unit(unit, unit_text(unit), axis, image=False) == expected
