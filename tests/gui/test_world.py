"""Where pixels lie in the viewer, against astropy's own coordinates; and lazy arrays that read what is asked for."""

from copy import deepcopy

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from denoise.cube import ArraySource, Cube
from napari_denoise.layers import KEY, contrast, entry_of, layer_of
from napari_denoise.lazy import planes
from napari_denoise.sky_view import beam_outline
from napari_denoise.world import world_of

SHAPE = (6, 20, 30)


def header(*, turn=0.0, spectral="velocity"):
    """Of a small field, turned by some degrees."""
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
    cards |= {"CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 12.0, "CRPIX2": 9.0, "CDELT1": -2e-4, "CDELT2": 2e-4}
    cards |= {"PC1_1": cos, "PC1_2": -sin, "PC2_1": sin, "PC2_2": cos, "BUNIT": "Jy/beam"}
    cards |= {"BMAJ": 1e-3, "BMIN": 6e-4, "BPA": 30.0}
    if spectral == "velocity":
        cards |= {"CTYPE3": "VRAD", "CUNIT3": "m/s", "CRVAL3": -3e4, "CRPIX3": 1.0, "CDELT3": 1e4}
    if spectral == "frequency":
        cards |= {"CTYPE3": "FREQ", "CUNIT3": "Hz", "CRVAL3": 9e10, "CRPIX3": 1.0, "CDELT3": -1e6}
    return fits.Header(cards.items())


def cube_of(**kwargs):
    """With values that tell the voxels apart."""
    data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    return Cube(data, header=header(**kwargs))


def world_point(placed, pixel):
    """What napari makes of a pixel."""
    if "affine" in placed:
        return (placed["affine"] @ np.append(pixel, 1.0))[:-1]
    return np.asarray(placed["scale"]) * pixel + np.asarray(placed["translate"])


@pytest.mark.parametrize("turn", [0.0, 35.0])
def test_a_pixel_lies_where_the_wcs_puts_it(turn):
    cube = cube_of(turn=turn)
    world, sky = world_of(cube), WCS(cube.header).celestial
    centre = sky.pixel_to_world((SHAPE[2] - 1) / 2, (SHAPE[1] - 1) / 2)
    for pixel in ((0, 0, 0), (5, 19, 29), (2, 3, 17)):
        speed, north, east = world_point(world.placed(), np.array(pixel, float))
        offset = centre.spherical_offsets_to(sky.pixel_to_world(pixel[2], pixel[1]))
        assert speed == pytest.approx(-30.0 + 10.0 * pixel[0])
        assert (east, north) == pytest.approx([o.arcsec for o in offset], abs=1e-3)
        assert world.pixel((speed, north, east)) == pytest.approx(pixel, abs=1e-4)
    assert ("affine" in world.placed()) == (turn != 0)
    assert world.placed()["units"] == ("km/s", "arcsec", "arcsec")
    assert world.names[0] == "Radio velocity"


def test_a_part_begins_at_its_first_pixel():
    world = world_of(cube_of(turn=20.0))
    part = world.placed((2, 5, 7))
    assert world_point(part, np.zeros(3)) == pytest.approx(world_point(world.placed(), np.array([2.0, 5, 7])))


@pytest.mark.parametrize(("spectral", "unit", "first"), [("frequency", "GHz", 90.0), (None, "pixel", 0.0)])
def test_other_spectral_axes(spectral, unit, first):
    placed = world_of(cube_of(spectral=spectral)).placed()
    assert placed["units"][0] == unit
    assert placed["translate"][0] == pytest.approx(first)


def test_pixels_without_coordinates():
    placed = world_of(Cube(np.zeros(SHAPE, np.float32))).placed()
    assert placed["units"] == ("pixel",) * 3
    assert placed["scale"].tolist() == [1, 1, 1]


def test_an_image_has_two_axes():
    image = Cube(np.zeros((1, 20, 30), np.float32), header=header(spectral=None))
    data, options, _ = layer_of(image, "image")
    assert data.shape == (20, 30)
    assert options["units"] == ("arcsec", "arcsec")


class Counting:
    """A source that counts the voxels it is asked for."""

    dtype = np.dtype(np.float32)

    def __init__(self, shape):
        self.shape, self.voxels = shape, 0

    def read(self, region):
        shape = [part.stop - part.start for part in region]
        self.voxels += int(np.prod(shape))
        return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_a_plane_is_read_when_it_is_shown():
    source = Counting((1000, 2000, 2000))  # 16 GB
    array = planes(source)
    assert source.voxels == 0
    assert np.asarray(array[500]).shape == (2000, 2000)
    assert source.voxels == 2000 * 2000


KEYS = [
    3,
    -1,
    ...,
    slice(None),
    (slice(1, 4), 2),
    (..., slice(None, None, -2)),
    (2, ..., 1),
    (slice(5, 1, -3), slice(None), slice(2, None, 3)),
    (slice(3, 3), ...),
    (4, 5, 6),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_lazy_array_is_indexed_as_the_pixels_are(key):
    pixels = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    lazy = planes(ArraySource(pixels))
    for found, wanted in ((lazy[key], pixels[key]), (lazy.astype(int)[key], pixels[key].astype(int))):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


@pytest.mark.parametrize("key", [99, (0, -100), (0, 0, 0, 0)], ids=str)
def test_an_index_beyond_the_pixels_is_refused(key):
    with pytest.raises(IndexError):
        planes(ArraySource(np.zeros(SHAPE, np.float32)))[key]


def test_a_lazy_array_is_an_array_to_numpy():
    pixels = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    lazy = planes(ArraySource(pixels))
    np.testing.assert_array_equal(np.asarray(lazy), pixels)
    np.testing.assert_array_equal(np.max(lazy, axis=0), pixels.max(axis=0))
    assert np.asarray(lazy, np.float64).dtype == np.float64
    assert (len(lazy), lazy.size) == (SHAPE[0], pixels.size)
    assert deepcopy(lazy) is lazy


def test_limits_come_from_a_few_planes():
    source = Counting((5000, 3000, 3000))  # 180 GB
    low, high = contrast(Cube(source), "input")
    assert source.voxels < 2e6
    assert low == pytest.approx(-1, abs=0.05)
    assert high == pytest.approx(6, abs=0.2)


def test_limits_of_tiny_fluxes():
    noise = np.random.default_rng(2).normal(size=SHAPE) * 1e-20
    low, high = contrast(Cube(noise.astype(np.float32)), "residual")
    assert 3e-20 < high < 5e-20
    assert low == pytest.approx(-high, rel=0.3)


def test_limits_where_there_is_nothing():
    assert contrast(Cube(np.full(SHAPE, np.nan, np.float32)), "input") == (0.0, 1.0)


def test_a_layer_remembers_its_cube():
    class Layer:
        metadata = layer_of(cube_of(), "name", "residual")[1]["metadata"]

    entry = entry_of(Layer)
    assert entry is Layer.metadata[KEY]
    assert entry.role == "residual"


@pytest.mark.parametrize("turn", [0.0, 50.0])
def test_the_beam_has_its_size_and_angle_on_the_sky(turn):
    outline = beam_outline(layer_of(cube_of(turn=turn), "c")[1]["metadata"][KEY])
    away = outline - outline.mean(axis=0)
    radius = np.hypot(*away.T)
    assert (2 * radius.max(), 2 * radius.min()) == pytest.approx((3.6, 2.16), rel=1e-3)
    north, east = away[radius.argmax()]
    assert np.rad2deg(np.arctan2(east, north)) % 180 == pytest.approx(30.0, abs=0.5)  # north through east
