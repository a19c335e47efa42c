"""Flux that is put back: only the data's own, only in the region, only as far as the halo says."""

import numpy as np
import pytest

from denoise.transforms import flux
from denoise.transforms.flux import put_back, share_out

SHAPE = (30, 60, 70)


@pytest.fixture
def fields():
    rng = np.random.default_rng(1)
    data = rng.normal(size=SHAPE).astype(np.float32)
    region = np.zeros(SHAPE, np.float32)
    region[8:20, 15:40, 20:50] = 1
    return data, region, np.full(SHAPE, 10, np.float32)


def test_nothing_changes_outside_the_region_or_where_nothing_was_lost(fields):
    data, region, strength = fields
    estimate = data * (region > 0)
    put_back(estimate, data * region, region=region, strength=strength)
    assert np.abs(estimate - data * region).max() < 1e-6
    estimate = np.zeros_like(data)
    put_back(estimate, data, region=region, strength=strength)
    assert (estimate[region == 0] == 0).all()
    assert (estimate[region > 0] != 0).all()


@pytest.mark.parametrize("shape", [SHAPE, (1, 60, 70), (4, 20, 20)])
def test_what_is_level_comes_back_whole(shape):
    estimate = np.zeros(shape, np.float32)
    ones = np.ones(shape, np.float32)
    put_back(estimate, 3 * ones, region=ones, strength=ones)
    assert np.abs(estimate - 3).max() < 1e-5


@pytest.mark.parametrize("strength", [1.0, 200.0])
def test_a_lost_source_comes_back_with_its_flux_finely_where_it_is_bright(strength):
    data = np.zeros(SHAPE, np.float32)
    data[15, 30, 35] = 100
    estimate, ones = np.zeros_like(data), np.ones_like(data)
    put_back(estimate, data, region=ones, strength=ones * np.float32(strength))
    assert estimate.sum() == pytest.approx(100, rel=1e-3)
    near = estimate[13:18, 28:33, 33:38].sum()
    assert (near > 90) if strength > 100 else (near < 5)


def test_signs_are_treated_alike_and_threads_do_not_matter(fields):
    data, region, strength = fields
    one, other = np.zeros_like(data), np.zeros_like(data)
    put_back(one, data, region=region, strength=strength)
    put_back(other, -data, region=region, strength=strength, threads=2)
    assert np.array_equal(one, -other)


@pytest.mark.parametrize("only", [slice(None), slice(10, 11)])
def test_nothing_beyond_the_halo_counts(fields, only):
    data, region, strength = (field[only] for field in fields)
    channels, pixels = flux.halo(len(data))
    one, other = np.zeros_like(data), np.zeros_like(data)
    put_back(one, data, region=region, strength=strength)
    changed = data.copy()
    changed[:, 25 + pixels + 1 :] += 50
    changed[10 + channels + 1 :] += 50
    put_back(other, changed, region=region, strength=strength)
    assert np.abs(one - other)[:11, :26].max() < 1e-5
    assert np.abs(one - other)[:, 30:].max() > 0.1


def test_an_image_keeps_all_flux_of_a_small_region(fields):
    data, _, strength = (field[:1] for field in fields)
    region, estimate = np.zeros_like(data), np.zeros_like(data)
    region[0, 20:26, 30:34] = 1
    put_back(estimate, data, region=region, strength=strength)
    assert estimate.sum() == pytest.approx((data * region).sum(), rel=1e-4)


@pytest.mark.parametrize("strength", [0.0, 1e-30, 1e30])
def test_no_strength_is_too_large_or_too_small(fields, strength):
    data, region, _ = fields
    estimate = np.zeros_like(data)
    put_back(estimate, data, region=region, strength=np.full(SHAPE, strength, np.float32))
    assert np.isfinite(estimate).all()


@pytest.mark.parametrize("shape", [SHAPE, (1, 60, 70)])
def test_all_flux_that_a_small_region_lost_is_shared_out_in_it(shape):
    middle = slice(0, 4)
    data = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    region, estimate = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    parts = (middle, slice(20, 26), slice(30, 34)), (middle, slice(45, 48), slice(10, 12))
    for part, weight in zip(parts, (1.0, 0.5), strict=True):
        region[part] = weight
    share_out(estimate, data, region=region)
    assert (estimate[region == 0] == 0).all()
    for part in parts:
        assert estimate[part].sum() == pytest.approx((data * region)[part].sum(), rel=1e-4)
    other = np.zeros_like(data)
    share_out(other, -data, region=region, threads=2)
    assert np.array_equal(estimate, -other)
