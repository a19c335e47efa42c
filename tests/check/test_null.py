"""Regions of noise: how many, from how many cubes, and none of them a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from denoise.check.readers import array_readers
from denoise.check.regions.finding import find_regions, output_level
from denoise.check.regions.null import NullRegions, dilated, find_null, part_of_rig
from denoise.check.rig import open_rig
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.noise import NoiseModel

SHAPE = (20, 48, 48)


@pytest.fixture(scope="module")
def rig():
    noise = NoiseModel.from_beam(SHAPE, 1.0, (4.0, 4.0, 0.0))
    c, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    source = 8.0 * np.exp(-0.5 * (((c - 8) / 1.5) ** 2 + ((y - 20) / 2.0) ** 2 + ((x - 24) / 2.0) ** 2))
    data = (source + noise.sample(seed=5)).astype(np.float32)
    with open_rig(Cube(data, beam=(4.0, 4.0, 0.0)), run_options(method="smooth"), noise=noise) as rig:
        yield rig


@pytest.fixture(scope="module")
def regions(rig):
    pair = array_readers(rig.data(), rig.apply(), rig.noise)
    level = output_level(pair)
    return find_regions(pair, rig.noise, level=level, min_snr=3.0)[0], level


def test_the_source_of_the_negated_cube_is_not_a_false_region(rig, regions):
    found, level = regions
    null = find_null(rig, level=level, draws=0, emission=[r for r in found if r.snr > 6])
    assert all(r.sign > 0 and r.snr < 6 for r in null.regions)
    assert 0.8 < null.negated < 1
    assert null.volumes == pytest.approx(null.negated / 2)
    holes = find_null(rig, level=0.7 * level, draws=0).regions
    assert holes
    assert not any(r.at == (8, 20, 24) for r in holes)


def test_the_negated_cube_shows_what_draws_do_not(rig, regions):
    _, level = regions
    pixels = rig.data()
    pixels[14, 34:40, 34:40] -= 7.0
    bowl = replace(rig, cube=rig.cube.with_pixels(pixels))
    null = find_null(bowl, level=level, draws=1)
    assert max(null.regions, key=lambda r: r.snr).at[0] == 14


def test_the_expected_number_is_that_of_other_draws(rig, regions):
    _, level = regions
    few = find_null(rig, level=level, draws=6, negated=False)
    many = find_null(rig, level=level, draws=6, seed=77, negated=False)
    assert few.volumes == 6
    a, b = few.expected(3.5), many.expected(3.5)
    assert a.value > 0
    assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error)
    assert few.expected(3.5).value <= few.expected(3.0).value


def test_without_any_region_the_error_is_that_of_one():
    null = NullRegions((), 8.0, 8, 1.0, 0.0, 0.25, 3.0)
    assert null.expected() == pytest.approx((0.0, 1 / 8))


def test_parts_of_the_field_stand_for_what_they_cover(rig, regions):
    _, level = regions
    whole = find_null(rig, level=level, draws=8, negated=False)
    parts = find_null(rig, level=level, draws=16, negated=False, memory=16 * 20 * 48 * 24)
    assert parts.share == pytest.approx(0.5, abs=0.02)
    assert parts.volumes == pytest.approx(8.0, rel=0.05)
    a, b = whole.expected(3.0), parts.expected(3.0)
    assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error)


def test_a_part_of_a_rig_is_cut_from_the_same_noise(rig):
    part = (slice(0, 20), slice(8, 40), slice(4, 30))
    cut = part_of_rig(rig, part)
    assert cut.shape == (20, 32, 26)
    assert np.array_equal(cut.sample(3), rig.sample(3)[part])
    assert np.array_equal(cut.data(), rig.data()[part])


def test_a_mask_grows_by_the_beam_and_two_channels():
    mask = np.zeros((9, 15, 15), bool)
    mask[4, 7, 7] = True
    grown = dilated(mask, (3.0, 2.0))
    assert grown[2:7].any(axis=(1, 2)).all()
    assert not grown[[1, 7]].any()
    assert grown[4, :, 7].sum() == 7
    assert grown[4, 7].sum() == 5
    assert not dilated(np.zeros((3, 4, 4), bool), (1.0, 1.0)).any()
