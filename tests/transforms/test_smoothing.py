"""Smoothing and box filters against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from denoise.errors import ParameterError
from denoise.transforms.smoothing import (
    box_max,
    box_mean,
    correlate,
    dilate,
    gaussian,
    gaussian_taps,
    scaling_cubes,
)

quick = settings(max_examples=25, deadline=None)
shapes = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
borders = st.sampled_from(["mirror", "constant"])
seeds = st.integers(0, 2**32 - 1)


def holes(step):
    taps = np.zeros(4 * step + 1)
    taps[::step] = np.array([1, 4, 6, 4, 1]) / 16
    return taps


@quick
@given(shape=shapes, border=borders, seed=seeds)
def test_scaling_cubes_are_cascades_of_scipy(shape, border, seed):
    data = np.random.default_rng(seed).normal(size=shape)
    plane, seen = data, []
    cubes = scaling_cubes(data, spatial_scales=3, spectral_scales=2, border=border)
    for (j2, j1), cube in cubes:
        seen.append((j2, j1))
        if j1 == 0:
            if j2:
                for axis in (1, 2):
                    plane = ndimage.correlate1d(plane, holes(2 ** (j2 - 1)), axis=axis, mode=border)
            expected = plane
        else:
            expected = ndimage.correlate1d(expected, holes(2 ** (j1 - 1)), axis=0, mode=border)
        np.testing.assert_allclose(cube, expected, atol=1e-6)
    assert seen == [(j2, j1) for j2 in range(4) for j1 in range(3)]


@quick
@given(shape=shapes, border=borders, seed=seeds, widths=st.tuples(*[st.floats(0, 4)] * 3))
def test_gaussian_is_scipy(shape, border, seed, widths):
    data = np.random.default_rng(seed).normal(size=shape)
    expected = ndimage.gaussian_filter(data, widths, mode=border)
    got = gaussian(data, spectral=widths[0], spatial=widths[1:], border=border, threads=2)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_gaussian_without_nan_weighs_what_is_known():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(9, 20, 20))
    data[rng.random(data.shape) < 0.2] = np.nan
    known = np.isfinite(data)
    top = ndimage.gaussian_filter(np.where(known, data, 0), (1, 2, 2), mode="constant")
    weight = ndimage.gaussian_filter(known.astype(float), (1, 2, 2), mode="constant")
    got = gaussian(data, spatial=2.0, spectral=1.0, skip_nan=True)
    assert np.array_equal(np.isnan(got), ~known)
    np.testing.assert_allclose(got[known], (top / weight)[known], atol=1e-5)
    flat = gaussian(np.where(known, 3.0, np.nan), spatial=2.0, skip_nan=True)
    np.testing.assert_allclose(flat[known], 3.0, rtol=1e-5)


def test_gaussian_of_nothing_known_stays_nan():
    assert np.isnan(gaussian(np.full((2, 3, 4), np.nan), spatial=1.0, skip_nan=True)).all()


@quick
@given(shape=shapes, seed=seeds, half=st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)))
def test_box_filters_are_scipy(shape, seed, half):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape).astype(np.float32)
    size = tuple(2 * h + 1 for h in half)
    expected = ndimage.maximum_filter(data, size, mode="constant", cval=-np.inf)
    assert np.array_equal(box_max(data, half, threads=2), expected)
    mask = data > 1.5
    assert np.array_equal(dilate(mask, half), ndimage.maximum_filter(mask, size, mode="constant", cval=0))
    square = (half[0], half[1], half[1])
    mean = ndimage.uniform_filter(data.astype(float), [2 * h + 1 for h in square], mode="mirror")
    np.testing.assert_allclose(box_mean(data, square, threads=2), mean, atol=2e-6)


def test_box_mean_does_not_remember_a_bright_source():
    data = np.full((40, 64, 64), 1e-3, np.float32)
    data[2, 3, 3] = 1e6
    assert box_mean(data, (1, 2, 2))[20:, 30:, 30:] == pytest.approx(1e-3, rel=1e-5)


def test_input_is_untouched_and_may_be_read_only():
    data = np.ones((4, 8, 8), np.float32)
    data.flags.writeable = False
    for out in (gaussian(data, spatial=1.0), box_mean(data, (1, 1, 1)), box_max(data, (1, 1, 1))):
        assert out is not data
    assert dilate(data > 0, (1, 1, 1)).all()
    assert (data == 1).all()


def test_wrong_parameters_are_refused():
    data = np.ones((4, 8, 8))
    with pytest.raises(ParameterError, match="border"):
        gaussian(data, spatial=1.0, border="wrap")
    with pytest.raises(ParameterError, match=">= 0"):
        gaussian_taps(-1.0)
    with pytest.raises(ParameterError, match="half widths"):
        dilate(data > 0, (0, -1, 0))
    with pytest.raises(ParameterError, match="same half width"):
        box_mean(data, (0, 1, 2))
    with pytest.raises(ParameterError, match="odd"):
        correlate(data, spatial_taps=np.ones(4))
    with pytest.raises(ParameterError, match="3D"):
        dilate(np.ones((8, 8)), (1, 1, 1))
