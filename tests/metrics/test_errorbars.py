"""Coverage: Gaussian errors are covered as they should be, exact zeros over nothing do not count."""

import numpy as np
import pytest

from denoise.metrics import coverage, scored


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_right_errors_cover_68_and_95_per_cent(rng):
    truth = rng.normal(size=(4, 100, 100))
    found = coverage(truth, truth + 3 * rng.normal(size=truth.shape), np.full(truth.shape, 3.0))
    assert found.within_1 == pytest.approx(0.683, abs=0.01)
    assert found.within_2 == pytest.approx(0.95, abs=0.005)
    assert found.tails == pytest.approx(1.97, abs=0.05)
    halved = coverage(truth, truth + 3 * rng.normal(size=truth.shape), np.full(truth.shape, 1.5))
    assert halved.within_1 == pytest.approx(0.383, abs=0.01)


def test_heavy_tails_show(rng):
    truth = np.zeros((4, 50, 50))
    error = rng.laplace(size=truth.shape)
    assert coverage(truth, error, np.ones(truth.shape)).tails == pytest.approx(
        np.log(20) / np.log(1 / 0.32), rel=0.06
    )


def test_only_the_mask_counts_and_what_is_finite():
    truth, result, sigma = np.zeros((1, 2, 2)), np.array([[[0.5, 9], [np.nan, 1.5]]]), np.ones((1, 2, 2))
    mask = np.array([[[True, False], [True, True]]])
    found = coverage(truth, result, sigma, mask)
    assert (found.within_1, found.within_2) == (0.5, 1.0)
    assert coverage(truth, result, sigma, np.zeros_like(mask)) is None


def test_an_error_of_zero_covers_nothing_but_the_truth():
    truth, result = np.zeros((1, 1, 2)), np.array([[[0.0, 1.0]]])
    assert coverage(truth, result, np.zeros((1, 1, 2))).within_1 == 0.5


def test_exact_zeros_count_where_there_is_something():
    truth, result = np.array([[[0.0, 0.1, 0.0, 0.5]]]), np.array([[[0.0, 0.0, 1e-9, 0.5]]])
    assert scored(truth, result, 2.0).tolist() == [[[False, True, True, True]]]
    assert scored(truth, result, 20.0).tolist() == [[[False, False, True, True]]]
