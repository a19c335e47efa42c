"""Seams of the noise: found where they are and nowhere else, left out of the ACF, kept by windows and draws."""

from dataclasses import replace

import numpy as np
import pytest

from denoise.cube import Cube
from denoise.errors import NoiseError
from denoise.noise import NoiseModel, Seams, estimate_noise, residual_acf
from denoise.noise.breaks import find_seams
from denoise.noise.stream import View
from denoise.testing.subject import blob

SHAPE = (24, 80, 90)
BEAM = (5.0, 4.0, 30.0)
WIDTHS = [2.5, 4.0, 9.0]
FAMILIES = ["white_convolved", "imaged"]


def seamed(seams, *, beam=BEAM, family="white_convolved", shape=SHAPE, **fields):
    return NoiseModel.from_beam(shape, 1.0, beam, family, seams=seams, **fields)


def found_in(data):
    return find_seams(View(Cube(np.asarray(data, np.float32))))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "seams", [Seams((33,)), Seams(columns=(47,)), Seams((2, 40), (30, 88)), Seams((79,), (1,))]
)
def test_seams_are_found_where_they_are(seams, width, family):
    noise = seamed(seams, beam=(1.2 * width, width, 20.0), family=family).sample(seed=4)
    assert found_in(noise) == seams


@pytest.mark.parametrize("shape", [(24, 64, 60), (1, 90, 80), (3, 64, 64), (8, 24, 30)])
def test_none_is_found_in_noise_without(shape):
    for seed in range(13):
        width = 2.5 + 0.5 * seed
        model = seamed(Seams(), beam=(1.2 * width, width, 12.0 * seed), shape=shape)
        assert not found_in(model.sample(seed=seed))


def test_white_noise_has_none():
    assert not found_in(NoiseModel.white(SHAPE, 1.0).sample(seed=1))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 1, 40), (40, 16, 90), (2, 3, 4)])
def test_none_is_found_in_fields_of_a_few_beams(shape):
    assert not found_in(seamed(Seams(), shape=shape).sample(seed=1))


def test_edges_of_coverage_sources_and_bad_rows_are_none():
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    gain = np.exp(-((y - 40.0) ** 2 + (x - 45.0) ** 2) / 40**2)
    noise = seamed(Seams()).sample(seed=3)
    assert not found_in(np.where((y - 40) ** 2 + (x - 45) ** 2 < 30**2, noise, np.nan))
    assert not found_in(noise / np.where(gain > 0.1, gain, np.nan))
    assert not found_in(np.where(y < 40, noise, 3 * noise))
    bright = noise + 500 * blob(SHAPE) + 50 * ((y > 30) & (y < 50) & (x > 20))
    assert not found_in(bright)
    bad = noise.copy()
    bad[:, 37] = np.random.default_rng(1).normal(size=bad[:, 37].shape)
    assert not found_in(bad)


def test_a_seam_is_found_under_sources_and_beside_missing_data():
    noise = seamed(Seams((33,), (47,))).sample(seed=5)
    data = noise + 30 * blob(SHAPE, at=(12.0, 33.0, 47.0))
    data[:, :, :6] = np.nan
    data[3] = np.nan
    data[:, 20:50, 60:64] = np.nan
    assert found_in(data) == Seams((33,), (47,))


def test_a_seam_through_half_the_field_is_none():
    half = np.where(np.arange(SHAPE[2]) < 45, *(seamed(Seams(r)).sample(seed=5) for r in ((33,), ())))
    assert not found_in(half).rows


def test_a_large_cube_is_looked_at_in_parts():
    seams = Seams((7, 300), (333,))
    cube = seamed(seams, shape=(12, 400, 350)).sample(seed=6)
    assert found_in(cube) == seams


@pytest.mark.parametrize("family", FAMILIES)
def test_the_acf_knows_nothing_of_the_seams(family):
    shape, seams = (40, 96, 96), Seams((37,), (70,))
    errors = []
    for seed in range(3):
        model = estimate_noise(Cube(seamed(seams, family=family, shape=shape).sample(seed=seed)))
        assert model.seams == seams
        whole = estimate_noise(Cube(seamed(Seams(), family=family, shape=shape).sample(seed=seed)))
        assert whole.seams == Seams()
        truth = seamed(seams, family=family).spatial_acf
        lags = [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]
        errors.append([_at(model.spatial_acf, lag) / _at(truth, lag) - 1 for lag in lags])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.01


def _at(acf, lag):
    centre = np.array(acf.shape) // 2
    return acf[tuple(centre + lag)]


def test_windows_count_seams_from_their_own_first_pixel():
    model = seamed(Seams((10, 33), (47,)))
    part = model.window((slice(2, 9), slice(10, 60), slice(40, 60)))
    assert part.local_seams == Seams((23,), (7,))
    assert part.window((slice(0, 2), slice(3, 30), slice(8, 20))).local_seams == Seams((20,))
    assert model.scaled(2.0).seams == model.seams
    assert str(model.seams) == "rows 10 and 33, column 47"


def test_any_part_of_a_draw_is_that_of_the_whole_and_pieces_are_independent():
    model = seamed(Seams((33,), (47,)), shape=(60, 70, 80))
    whole = model.sample(seed=1)
    assert whole.std() == pytest.approx(1, abs=0.02)
    for rows, columns in ((slice(0, 33), slice(0, 47)), (slice(20, 50), slice(40, 80)), (slice(33, 34),) * 2):
        region = (slice(3, 20), rows, columns)
        assert np.array_equal(model.sample(region, seed=1), whole[region])
        assert np.array_equal(model.window(region).sample(seed=1), whole[region])
    assert abs(np.mean(whole[:, 32] * whole[:, 33])) < 0.05
    assert abs(np.mean(whole[:, :, 46] * whole[:, :, 47])) < 0.05
    assert np.mean(whole[:, 31] * whole[:, 32]) > 0.8
    # the first piece is what it would be without seams
    assert np.array_equal(whole[:, :33, :47], replace(model, seams=Seams()).sample(seed=1)[:, :33, :47])


def test_residual_acf_leaves_pairs_across_seams_out():
    seams = Seams((13, 33, 55), (17, 47, 66))
    model = seamed(seams, shape=(120, 80, 90))
    noise = model.sample(seed=2)
    assert residual_acf(model, noise).whiteness < 2.5
    assert residual_acf(replace(model, seams=Seams()), noise).whiteness > 5


def test_a_dictionary_keeps_seams_and_older_ones_have_none():
    model = seamed(Seams((33,), (47,)))
    values = model.to_dict()
    assert NoiseModel.from_dict(values).seams == model.seams
    del values["seams"]
    assert not NoiseModel.from_dict(values).seams


@pytest.mark.parametrize("rows", [(0,), (5, 5), (7, 3), (-2,)])
def test_seams_that_are_none_are_refused(rows):
    with pytest.raises(NoiseError, match="seam"):
        Seams(rows)
