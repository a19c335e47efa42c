"""The laws that every denoiser keeps, and what is the method's own."""

import numpy as np
import pytest

import denoise
from denoise.testing import conformance_checks


@pytest.mark.parametrize("check", conformance_checks("running-mean", reach=2), ids=str)
def test_conformance(check):
    check()


def test_is_the_mean_of_three_channels():
    data = np.random.default_rng(1).normal(size=(5, 8, 8)).astype(np.float32)
    result = denoise.denoise(data, "running-mean", reach=1, continuum="none", positivity="off")
    assert np.allclose(result.cube.data[2], data[1:4].mean(axis=0), atol=1e-5)
