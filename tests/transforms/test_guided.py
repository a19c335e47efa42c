"""Guided smoothing: it keeps sums, stops at edges of the guide, and is the plain Gaussian without any."""

import numpy as np
import pytest

from denoise.transforms.guided import guided_mean, reach
from denoise.transforms.smoothing import gaussian

WIDTH = (1.5, 1.2)


@pytest.fixture
def data():
    return np.random.default_rng(1).normal(size=(2, 24, 30)).astype(np.float32)


def test_sums_are_kept_whatever_the_guide_and_the_gaps(data):
    guide = np.random.default_rng(2).normal(size=data.shape).astype(np.float32)
    data[:, 5:9, 10:20] = np.nan
    out = guided_mean(data, guide, width=WIDTH, edge=2.0)
    assert np.array_equal(np.isnan(out), np.isnan(data))
    assert np.nansum(out, dtype=float) == pytest.approx(np.nansum(data, dtype=float), abs=1e-3)
    assert np.nanstd(out) < np.nanstd(data)


def test_a_flat_guide_is_a_gaussian(data):
    out = guided_mean(data, np.zeros_like(data), width=WIDTH, edge=1.0)
    expected = gaussian(data, spatial=WIDTH, truncate=2.5)
    y, x = reach(WIDTH)
    inside = np.s_[:, y:-y, x:-x]
    assert np.abs(out[inside] - expected[inside]).max() < 1e-5


def test_nothing_crosses_an_edge(data):
    guide = np.zeros_like(data)
    guide[:, :, 15:] = 1.0
    changed = data.copy()
    changed[:, :, 15:] += 100
    before, after = (guided_mean(one, guide, width=WIDTH, edge=1.0) for one in (data, changed))
    assert np.array_equal(before[:, :, :15], after[:, :, :15])


def test_threads_do_not_matter(data):
    guide = np.abs(data)
    alone, two = (guided_mean(data, guide, width=WIDTH, edge=0.7, threads=n) for n in (1, 2))
    assert np.array_equal(alone, two)
