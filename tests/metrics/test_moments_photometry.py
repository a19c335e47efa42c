"""Moments, and the numbers that need no truth, against analytic lines and Monte Carlo noise."""

import math

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.metrics import (
    background_noise,
    integrated_spectrum,
    masked_flux,
    moment_maps,
    peak_snr,
    residual_statistics,
    sum_error,
)
from denoise.noise import NoiseModel
from denoise.simulate import noise_field

BEAM = (5.0, 4.0, 30.0)
SHAPE = (12, 48, 50)


def line(axis, centre, sigma, flux):
    return flux * np.exp(-0.5 * ((axis - centre) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("step", [10.0, -10.0])
def test_moments_of_a_gaussian_line(step):
    axis = 1000.0 + step * np.arange(60)
    cube = line(axis, 1000 + 30 * step, 45.0, 7.0)[:, None, None] * np.ones((1, 2, 3))
    found = moment_maps(cube, axis)
    np.testing.assert_allclose(found.moment0, 7.0, rtol=1e-6)
    np.testing.assert_allclose(found.moment1, 1000 + 30 * step, rtol=1e-9)
    np.testing.assert_allclose(found.moment2, 45.0, rtol=1e-5)


def test_moments_with_channels_of_unequal_width():
    axis = np.cumsum(np.linspace(1.0, 3.0, 400))
    cube = line(axis, 400.0, 40.0, 2.0)[:, None, None]
    found = moment_maps(cube, axis)
    assert found.moment0[0, 0] == pytest.approx(2.0, rel=1e-4)
    assert found.moment1[0, 0] == pytest.approx(400.0, rel=1e-4)
    assert found.moment2[0, 0] == pytest.approx(40.0, rel=1e-3)


def test_nan_stays_in_its_spaxel_and_only_counts_as_missing():
    cube = np.ones((5, 2, 2))
    cube[:, 0, 0] = np.nan
    cube[0, 1, 1] = np.nan
    found = moment_maps(cube)
    assert np.isnan(found.moment0[0, 0])
    assert np.isnan(found.moment1[0, 0])
    assert found.moment0[0, 1] == 5.0
    assert found.moment0[1, 1] == 4.0
    assert found.moment1[1, 1] == pytest.approx(2.5)


def test_no_positive_flux_has_no_velocity():
    found = moment_maps(-np.ones((4, 1, 1)))
    assert found.moment0[0, 0] == -4.0
    assert np.isnan(found.moment1[0, 0])
    assert np.isnan(found.moment2[0, 0])


def test_moment_mask_and_one_channel():
    cube = np.arange(6.0).reshape(6, 1, 1)
    assert moment_maps(cube, mask=cube > 3).moment0[0, 0] == 9.0
    assert moment_maps(np.full((1, 1, 1), 3.0), [5.0]).moment1[0, 0] == 5.0


@pytest.mark.parametrize("axis", [[1.0, 2.0], [1.0, np.nan, 2.0]])
def test_refuses_an_axis_that_does_not_fit(axis):
    with pytest.raises(ParameterError, match="3 finite values"):
        moment_maps(np.ones((3, 1, 1)), axis)


def test_spectrum_in_an_aperture():
    cube = np.ones((3, 2, 2))
    cube[1] = np.nan
    cube[2, 0, 0] = np.nan
    aperture = np.array([[True, True], [False, False]])
    np.testing.assert_array_equal(integrated_spectrum(cube, aperture), [2.0, np.nan, 1.0])
    np.testing.assert_array_equal(integrated_spectrum(cube), [4.0, np.nan, 3.0])


def correlated(rng, sigma):
    """Beam noise, also correlated along the spectrum by [1, 2, 1], unit sigma before `sigma`."""
    noise = noise_field(rng, (SHAPE[0] + 2, *SHAPE[1:]), BEAM)
    return sigma * (noise[:-2] + 2 * noise[1:-1] + noise[2:]) / math.sqrt(6)


def model(sigma):
    fields = {"spectral_acf": np.array([1.0, 4 / 6, 1 / 6])}
    return NoiseModel.from_beam(SHAPE, sigma, BEAM, "white_convolved", **fields)


def test_error_of_a_sum_is_its_scatter_over_draws():
    sigma = np.linspace(0.5, 1.5, SHAPE[0])
    noise = model(sigma)
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 10:30, 12:40] = True
    mask[4, 12:20] = False
    rng = np.random.default_rng(0)
    draws = 300
    sums = [correlated(rng, sigma[:, None, None].astype(np.float32))[mask].sum() for _ in range(draws)]
    # the scatter of 300 draws is known to 4 %; three of those
    assert sum_error(mask, noise) == pytest.approx(np.std(sums), rel=0.12)
    uncorrelated = math.sqrt((sigma[:, None, None] ** 2 * mask).sum())
    assert sum_error(mask, noise) > 4 * uncorrelated


def test_error_of_a_sum_of_white_noise_is_root_n():
    noise = NoiseModel.white(SHAPE, 2.0)
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 3:8, 5:10] = True
    assert sum_error(mask, noise) == pytest.approx(2.0 * math.sqrt(50))
    assert sum_error(np.zeros(SHAPE, bool), noise) == 0.0
    flux = masked_flux(np.full(SHAPE, 3.0), mask, noise, beam_area=10.0)
    assert flux == (pytest.approx(15.0), pytest.approx(0.2 * math.sqrt(50)))


def test_flux_leaves_out_nan_and_takes_masks_on_the_sky():
    data = np.ones(SHAPE)
    data[:, 0, 0] = np.nan
    sky = np.zeros(SHAPE[1:], bool)
    sky[0, :2] = True
    assert masked_flux(data, sky, NoiseModel.white(SHAPE, 1.0)).value == SHAPE[0]


def test_peak_snr_and_background():
    data = np.zeros(SHAPE)
    data[2, 3, 4] = 6.0
    data[5] = np.nan
    assert peak_snr(data, NoiseModel.white(SHAPE, 2.0)) == pytest.approx(3.0)
    before, after = background_noise(np.random.default_rng(0).normal(size=SHAPE), data)
    assert before == pytest.approx(1.0, rel=0.03)
    assert after == 0.0


def test_residual_of_modelled_noise_is_unremarkable():
    noise = model(0.7)
    found = residual_statistics(correlated(np.random.default_rng(1), np.float32(0.7)), noise)
    independent = np.prod(SHAPE) / noise.correlation_area / 2
    bound = 4 / math.sqrt(independent)
    assert found.mean == pytest.approx(0.0, abs=bound)
    assert found.std == pytest.approx(1.0, abs=bound)
    assert found.mad == pytest.approx(1.0, abs=bound)
    assert found.skewness == pytest.approx(0.0, abs=4 * bound)
    assert found.acf_difference < bound
    assert found.spectral_acf_difference < bound


def test_residual_with_a_source_left_in_it_shows():
    noise = NoiseModel.white(SHAPE, 1.0)
    residual = np.random.default_rng(1).normal(size=SHAPE)
    plain = residual_statistics(residual, noise)
    residual[3:6, 10:20, 10:20] += 5
    found = residual_statistics(residual, noise)
    assert found.skewness > plain.skewness + 0.5
    assert found.acf_difference > plain.acf_difference + 0.1
    outside = np.ones(SHAPE, bool)
    outside[3:6, 10:20, 10:20] = False
    assert residual_statistics(residual, noise, outside).skewness == pytest.approx(plain.skewness, abs=0.1)


def test_residual_of_nothing_is_unknown():
    found = residual_statistics(np.full(SHAPE, np.nan), NoiseModel.white(SHAPE, 1.0))
    assert all(math.isnan(value) for value in found)
