"""The beam-matched Gaussian against its definition and against noise draws."""

import numpy as np
import pytest
from scipy import ndimage

from denoise.errors import ParameterError
from denoise.methods.smooth import FWHM_PER_SIGMA, Smooth
from denoise.noise import NoiseModel

BEAM = (5.0, 5.0, 0.0)


def test_default_width_is_that_of_the_beam_that_coloured_the_noise():
    noise = NoiseModel.from_beam((1, 65, 65), 1.0, BEAM)
    point = np.zeros((1, 65, 65), np.float32)
    point[0, 32, 32] = 1
    out = Smooth().apply(point, noise, None).data[0]
    profile = out[32] / out.max()
    sigma = np.sqrt(-0.5 / np.log(profile[33]))
    assert sigma * FWHM_PER_SIGMA == pytest.approx(5.0, rel=0.03)
    assert out.sum() == pytest.approx(1.0, rel=1e-5)


def test_white_noise_gets_a_critically_sampled_kernel():
    halo = Smooth().halo((1, 64, 64), NoiseModel.white((1, 64, 64), 1.0))
    assert halo == (0, 3, 3)


def test_equals_a_reference_gaussian_far_from_borders():
    data = np.random.default_rng(1).standard_normal((12, 40, 40)).astype(np.float32)
    noise = NoiseModel.white(data.shape, 1.0)
    out = Smooth(fwhm=4.0, spectral_fwhm=2.0).apply(data, noise, None).data
    widths = np.array([2.0, 4.0, 4.0]) / FWHM_PER_SIGMA
    expected = ndimage.gaussian_filter(data, widths, mode="constant")
    inner = (slice(4, -4), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(out[inner], expected[inner], atol=2e-6)


def test_missing_voxels_are_weighed_out_and_stay_missing():
    data = np.full((5, 30, 30), 3.0, np.float32)
    data[2, 10:14, 10:14] = np.nan
    estimate = Smooth(fwhm=4.0).apply(data, NoiseModel.white(data.shape, 1.0), None)
    assert np.array_equal(np.isnan(estimate.data), np.isnan(data))
    np.testing.assert_allclose(estimate.data[np.isfinite(data)], 3.0, rtol=1e-5)


@pytest.mark.parametrize("spectral_fwhm", [0.0, 2.0])
def test_variance_is_that_of_noise_draws(spectral_fwhm):
    noise = NoiseModel.from_beam((16, 64, 64), np.linspace(0.5, 2, 16), (6.0, 4.0, 30.0))
    method = Smooth(spectral_fwhm=spectral_fwhm)
    estimates = [method.apply(noise.sample(seed=3, draw=k), noise, None) for k in range(40)]
    ratio = np.var([e.data for e in estimates], axis=0) / estimates[0].variance
    # 40 draws of 16 x 40 x 40 voxels with about 40 of them to a beam: 1 % error
    assert ratio[:, 12:-12, 12:-12].mean() == pytest.approx(1.0, abs=0.05)


def test_variance_beside_missing_voxels_of_white_noise():
    noise = NoiseModel.white((1, 40, 40), 1.0)
    method = Smooth(fwhm=5.0)
    draws = [noise.sample(seed=5, draw=k) for k in range(400)]
    for draw in draws:
        draw[0, :, 20:] = np.nan
    estimates = [method.apply(draw, noise, None) for draw in draws]
    ratio = (
        np.var([e.data[0, 5:-5, 17:20] for e in estimates], axis=0) / estimates[0].variance[0, 5:-5, 17:20]
    )
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)


def test_tiles_do_not_matter(denoised):
    noise = NoiseModel.from_beam((6, 70, 60), 1.0, BEAM)
    data = noise.sample(seed=1)
    whole, tiled = (denoised(Smooth(), data, noise, core=core)[0] for core in (None, 25))
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_wrong_width_is_refused_with_the_range():
    with pytest.raises(ParameterError, match="fwhm"):
        Smooth(fwhm=0.0)
