"""What stands out of an estimate: at its own scale, smooth in the estimate, local."""

import numpy as np
import pytest

from denoise.noise import NoiseModel
from denoise.testing.subject import blob
from denoise.transforms import detection, standing

SHAPE = (24, 64, 64)


@pytest.fixture(scope="module")
def left():
    return detection.noise_left(NoiseModel.white(SHAPE, 1.0), detection.search_scales(SHAPE))


def test_unit_noise_smoothed_to_any_scale_has_unit_significance(left):
    noise = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    alone = standing.significance(noise, left[:1, :1])
    assert alone == pytest.approx(np.maximum(noise, 0), abs=1e-6)
    # the largest of some twelve correlated numbers, none of them above its own scale's tail
    assert 1.0 < np.median(standing.significance(noise, left, both_signs=True)) < 2.0
    assert standing.significance(noise, left).max() < 6.5


def test_a_wide_faint_source_stands_out_at_its_own_scale(left):
    faint = 0.8 * blob(SHAPE, at=(12, 32, 32))
    found = standing.significance(faint, left)
    assert found.max() > 4 * faint.max()
    assert np.unravel_index(found.argmax(), SHAPE) == (12, 32, 32)


def test_negative_structure_counts_only_where_both_signs_do(left):
    hole = -8 * blob(SHAPE)
    assert standing.significance(hole, left).max() < 1
    assert standing.significance(hole, left, both_signs=True).max() == pytest.approx(
        standing.significance(-hole, left).max()
    )


def test_a_region_stays_around_what_stands_out_and_not_elsewhere(left):
    strong, weak = (12, 20, 16), (12, 44, 50)
    estimate = 5 * blob(SHAPE, at=strong) + 0.2 * blob(SHAPE, at=weak)
    region = (estimate > 0.01).astype(np.float32)
    share = standing.standing(estimate, left, region)
    assert share[strong] == 1
    assert share[12, 26, 16] == 1
    assert share[weak] == 0
    assert share.min() >= 0
    assert share.max() <= 1


def test_what_is_outside_the_regions_does_not_count(left):
    estimate, region = 20 * blob(SHAPE, at=(12, 20, 20)), np.zeros(SHAPE, np.float32)
    region[10:14, 20:24, 44:48] = 1
    assert not standing.standing(estimate, left, region).any()
    assert not standing.standing(estimate, left, np.zeros(SHAPE, np.float32)).any()


def test_share_grows_smoothly_with_the_estimate(left):
    centre, region = (12, 32, 32), np.ones(SHAPE, np.float32)
    one = standing.significance(blob(SHAPE, at=centre), left).max()
    low, high = standing.STANDS
    shares = [
        standing.standing(np.float32(level / one) * blob(SHAPE, at=centre), left, region)[centre]
        for level in np.linspace(low - 0.1, high + 0.1, 9)
    ]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert np.all(np.diff(shares) >= 0)
    assert np.diff(shares).max() < 0.4


def test_nothing_beyond_the_halo_matters(left):
    rng = np.random.default_rng(2)
    shape = (60, 90, 90)
    scales = detection.search_scales(shape)
    kept = detection.noise_left(NoiseModel.white(shape, 1.0), scales)
    estimate = (rng.standard_normal(shape) * 1.3).astype(np.float32)
    other, region = estimate.copy(), np.ones(shape, np.float32)
    channels, pixels = standing.halo(scales)
    near = np.abs(np.indices(shape) - np.array([30, 45, 45])[:, None, None, None])
    beyond = (near[0] > channels) | (near[1] > pixels) | (near[2] > pixels)
    other[beyond] = 9.0
    at = (30, 45, 45)
    assert standing.standing(other, kept, region)[at] == pytest.approx(
        standing.standing(estimate, kept, region)[at], abs=1e-5
    )


def test_an_image_has_one_channel():
    shape = (1, 64, 64)
    kept = detection.noise_left(NoiseModel.white(shape, 1.0), detection.search_scales(shape))
    estimate = np.zeros(shape, np.float32)
    estimate[0, 30:34, 30:34] = 4
    share = standing.standing(estimate, kept, np.ones_like(estimate))
    assert share[0, 32, 32] == 1
    assert share[0, 0, 0] == 0
