"""The area under the ROC curve of the emission."""

import numpy as np
import pytest

from denoise.metrics import emission_auc

TRUTH = np.zeros((1, 4, 50), np.float32)
TRUTH[0, 0] = 1.0


def test_perfect_useless_and_inverted():
    assert emission_auc(TRUTH, TRUTH) == 1.0
    assert emission_auc(TRUTH, np.zeros_like(TRUTH)) == 0.5
    assert emission_auc(TRUTH, -TRUTH) == 0.0


def test_a_gaussian_shift_gives_the_textbook_value_and_a_stretch_changes_nothing():
    """AUC of two unit Gaussians apart by d is Phi(d / sqrt 2)."""
    from scipy.stats import norm

    truth = np.zeros((1, 200, 400), np.float32)
    truth[0, :100] = 1.5
    data = truth + np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    assert emission_auc(truth, data) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.005)
    assert emission_auc(truth, np.arcsinh(3 * data)) == pytest.approx(emission_auc(truth, data), abs=1e-6)


def test_missing_voxels_take_no_part_and_empty_fields_have_none():
    data = TRUTH.copy()
    data[0, 1:] = 2.0
    data[0, 1:, 10:] = np.nan
    assert emission_auc(TRUTH, data) == 0.0
    assert emission_auc(np.zeros_like(TRUTH), data) is None
    assert emission_auc(TRUTH, np.full_like(TRUTH, np.nan)) is None
