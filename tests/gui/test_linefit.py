"""The fit of a line: right values, right errors, and no line where there is none."""

import numpy as np
import pytest

from napari_denoise.inspect.linefit import TO_FWHM, LineFit, fit_line

X = np.linspace(-315.0, 315.0, 64)
CENTRE, FWHM, FLUX, LEVEL = 40.0, 120.0, 300.0, 0.5


def line(x=X, flux=FLUX):
    sigma = FWHM / TO_FWHM
    return LEVEL + flux * np.exp(-0.5 * ((x - CENTRE) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def test_a_line_without_noise_is_recovered():
    fit = fit_line(X, line(), np.full(64, 1e-3))
    assert isinstance(fit, LineFit)
    found = [fit.centre.value, fit.fwhm.value, fit.flux.value, fit.level.value]
    # averaged over channels of 10 km/s, against values at their centres: 0.1 per cent of the width
    np.testing.assert_allclose(found, [CENTRE, FWHM, FLUX, LEVEL], rtol=2e-3)
    np.testing.assert_allclose(fit.curve(X), line(), atol=0.01)


@pytest.mark.parametrize("acf", [np.ones(1), np.array([1.0, 0.5])])
def test_errors_are_the_scatter_over_noise_draws(acf):
    rng = np.random.default_rng(5)
    sigma = np.where(X < 0, 0.2, 0.3)
    lag = np.abs(np.subtract.outer(range(64), range(64)))
    correlation = np.where(lag < acf.size, acf[np.minimum(lag, acf.size - 1)], 0.0)
    draws = (
        np.linalg.cholesky(correlation + 1e-9 * np.eye(64)) @ rng.standard_normal((64, 200)) * sigma[:, None]
    )
    fits = [fit_line(X, line() + noise, sigma, spectral_acf=acf) for noise in draws.T]
    assert all(isinstance(fit, LineFit) for fit in fits)
    for name, truth in (("centre", CENTRE), ("fwhm", FWHM), ("flux", FLUX), ("level", LEVEL)):
        values, errors = np.array([getattr(fit, name) for fit in fits]).T
        pull = (values - truth) / errors
        assert abs(pull.mean()) < 0.3, name
        assert 0.85 < pull.std() < 1.2, name
    assert 0.9 < np.mean([fit.chi2 for fit in fits]) < 1.1


def test_units_do_not_matter():
    rng = np.random.default_rng(2)
    y, sigma = line() + 0.2 * rng.standard_normal(64), np.full(64, 0.2)
    plain = fit_line(X, y, sigma)
    # a frequency axis that falls, fluxes of 1e-20
    other = fit_line(1.1e11 - 1e5 * X, 1e-20 * y, 1e-20 * sigma)
    np.testing.assert_allclose(other.flux, np.array(plain.flux) * 1e-15, rtol=1e-3)
    np.testing.assert_allclose(other.fwhm, np.array(plain.fwhm) * 1e5, rtol=1e-3)
    assert other.centre.value == pytest.approx(1.1e11 - 1e5 * plain.centre.value, abs=1e4)


def test_absorption_has_a_negative_flux():
    fit = fit_line(X, line(flux=-FLUX), np.full(64, 0.1))
    assert fit.flux.value == pytest.approx(-FLUX, rel=5e-3)


def test_channels_without_data_take_no_part():
    y, sigma = line(), np.full(64, 0.05)
    y[[3, 30]], sigma[50] = np.nan, np.nan
    fit = fit_line(X, y, sigma)
    assert fit.flux.value == pytest.approx(FLUX, rel=5e-3)


def test_noise_has_no_line():
    rng = np.random.default_rng(11)
    found = [fit_line(X, rng.standard_normal(64), np.ones(64)) for _ in range(200)]
    words = [one for one in found if isinstance(one, str)]
    assert len(words) >= 197
    assert all(one.startswith("no line to fit") for one in words)


def test_too_few_channels_and_a_constant_are_told():
    assert "it needs 6 channels" in fit_line(X[:5], line()[:5], np.ones(5))
    assert "no line" in fit_line(X, np.zeros(64), np.ones(64))
    assert "here are 0" in fit_line(X, np.full(64, np.nan), np.ones(64))


def test_many_correlated_channels_are_quick_and_wide_lines_right():
    import time

    rng = np.random.default_rng(3)
    x = np.linspace(4750.0, 9350.0, 3681)
    noise = np.convolve(rng.standard_normal(3682), [np.sqrt(0.5), np.sqrt(0.5)], mode="valid")
    y = 50.0 * np.exp(-0.5 * ((x - 7000) / 30) ** 2) + noise
    start = time.perf_counter()
    fit = fit_line(x, y, np.ones(3681), spectral_acf=np.array([1.0, 0.5]))
    assert time.perf_counter() - start < 5
    assert abs(fit.centre.value - 7000) < 5 * fit.centre.error
