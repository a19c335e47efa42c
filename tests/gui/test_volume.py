"""Small copies of cubes and where they are drawn: numbers only, no window."""

import numpy as np
import pytest
from astropy.wcs import WCS

from denoise.cube import Cube
from denoise.errors import CancelledError, UsageError
from napari_denoise.volume.scene import box_lines, framed, labels_of
from napari_denoise.volume.small import axis_names, block_mean, drawn, scene_of, spectral_ends, volume_sigma
from napari_denoise.world import world_of


class Watched:
    """An array that remembers how much of it is read at a time."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.sizes = []

    def read(self, region):
        self.sizes.append(self.data[region].size)
        return self.data[region].copy()


def directly(data, factors):
    """Block means in the plainest way."""
    out = np.full([-(-n // f) for n, f in zip(data.shape, factors, strict=True)], np.nan)
    for place in np.ndindex(*out.shape):
        block = data[tuple(slice(i * f, (i + 1) * f) for i, f in zip(place, factors, strict=True))]
        if np.isfinite(block).any():
            out[place] = np.nanmean(block.astype(np.float64))
    return out


@pytest.mark.parametrize(
    ("shape", "most", "factors"),
    [((7, 20, 33), 8, (1, 3, 5)), ((30, 9, 10), 8, (4, 2, 2)), ((5, 6, 7), 8, (1, 1, 1))],
)
@pytest.mark.parametrize("at_once", [1 << 22, 64])
def test_block_means_leave_nan_out(shape, most, factors, at_once, monkeypatch):
    monkeypatch.setattr("napari_denoise.volume.small._AT_ONCE", at_once)
    rng = np.random.default_rng(1)
    data = rng.normal(0, 1, shape).astype(np.float32)
    data[rng.random(shape) < 0.2] = np.nan
    data[:, :6, :10] = np.nan
    told = []
    found = block_mean(Cube(data), most=most, tell=told.append)
    assert found.factors == factors
    assert max(found.data.shape) <= most
    np.testing.assert_allclose(found.data, directly(data, factors), rtol=1e-6, atol=1e-7)
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_large_cube_is_read_in_parts(monkeypatch):
    monkeypatch.setattr("napari_denoise.volume.small._AT_ONCE", 5000)
    source = Watched(np.ones((6, 100, 200), np.float32))
    found = block_mean(Cube(source), most=20)
    assert max(source.sizes) <= 5000
    assert sum(source.sizes) == 6 * 100 * 200
    assert (found.data == 1).all()


def test_reading_stops_when_asked():
    def stop():
        raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        block_mean(Cube(np.ones((3, 4, 5), np.float32)), check=stop)


def test_an_image_is_refused_in_words():
    with pytest.raises(UsageError, match="an image has no spectral axis"):
        block_mean(Cube(np.ones((1, 4, 5), np.float32)))


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_noise_is_that_off_the_emission(scale):
    rng = np.random.default_rng(2)
    data = rng.normal(3, 0.5, (20, 40, 40))
    data[5:9, 10:20, 10:20] += 20
    data[0] = np.nan
    assert volume_sigma(data * scale) == pytest.approx(0.5 * scale, rel=0.05)


def test_there_is_a_scale_without_noise():
    assert volume_sigma(np.full((3, 3, 3), np.nan)) == 1
    assert volume_sigma(np.zeros((3, 3, 3))) == 1
    spike = np.zeros((5, 5, 5))
    spike[2, 2, 2] = 7
    assert volume_sigma(spike) > 0


def test_the_picture_is_in_sigma_and_knows_no_nan():
    cube = Cube(np.array([[[1e-20, np.nan]], [[4e-20, -2e-20]]]))
    found = drawn(block_mean(cube), 2e-20)
    np.testing.assert_allclose(found, [[[0.5, 0]], [[2, -1]]])
    assert found.dtype == np.float32


@pytest.mark.parametrize("shape", [(200, 30, 40), (8, 300, 170)])
def test_the_volumes_are_as_deep_as_wide_and_side_by_side(shape):
    cube = Cube(np.zeros(shape, np.float32))
    world = world_of(cube)
    scene = scene_of(world, block_mean(cube, most=64))
    size = np.ptp(scene.boxes[0], axis=0)
    np.testing.assert_allclose(size, [max(shape[1:]), shape[1], shape[2]])
    assert (
        scene.boxes[0][:, 2].min() > scene.boxes[1][:, 2].max()
    )  # the first to the left: offsets grow there
    np.testing.assert_allclose(np.ptp(scene.boxes[1], axis=0), size)


def test_a_block_is_drawn_at_the_place_of_its_voxels():
    cube = Cube(np.zeros((10, 300, 170), np.float32))
    world = world_of(cube)
    volume = block_mean(cube, most=64)
    scene = scene_of(world, volume)
    shift = scene.affines[0][2, 3] - scene.affines[1][2, 3]
    _, fy, fx = volume.factors
    place = (scene.affines[0] @ [0, 3, 7, 1])[1:3] - [0, shift / 2]
    inside = world.matrix @ [0, 3 * fy + (fy - 1) / 2, 7 * fx + (fx - 1) / 2] + world.origin
    np.testing.assert_allclose(place, inside[1:])


def test_the_words_name_the_volumes_and_the_true_axes():
    header = WCS(naxis=3)
    header.wcs.ctype, header.wcs.cunit = ["RA---SIN", "DEC--SIN", "VRAD"], ["deg", "deg", "km/s"]
    header.wcs.cdelt, header.wcs.crval = [-0.1 / 3600, 0.1 / 3600, 10], [150, 2, -100]
    header.wcs.crpix = [1, 1, 1]
    cube = Cube(np.zeros((20, 30, 40), np.float32), wcs=header)
    world = world_of(cube)
    places, words = labels_of(scene_of(world, block_mean(cube)), world)
    assert places.shape == (6, 3)
    assert words[:2] == ["input", "denoised"]
    assert words[2:] == ["RA offset, 4″", "Dec offset, 3″", "−100 km/s", "90 km/s"]
    assert spectral_ends(world, unit=False) == ("−100", "90")
    assert "(km/s), not to scale" in axis_names(world)[0]
    # velocities that grow are farther away
    assert places[4][0] < places[5][0]


def test_a_box_has_twelve_edges():
    corners = np.array([[a, b, c] for a in (0, 2) for b in (0, 3) for c in (0, 4)], float)
    lines = box_lines(corners)
    lengths = np.abs(lines[:, 1]).sum(axis=1)
    assert sorted(lengths) == [2] * 4 + [3] * 4 + [4] * 4
    ends = (lines[:, 0] + lines[:, 1]).tolist()
    assert all(end in corners.tolist() for end in ends)


def test_the_view_holds_all_points():
    points = np.array([[0.0, 0, 0], [0, 0, 6], [0, 3, 0], [2, 0, 0]])
    centre, across, high = framed(points, (1.0, 0.0, 0.0))
    np.testing.assert_allclose([across, high], [6, 3])
    np.testing.assert_allclose(centre[1:], [1.5, 3])
