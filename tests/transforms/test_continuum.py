"""Continuum of spectra and background of images: follows the level, leaves lines and sources alone."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.transforms.background import clipped_median, mesh_background, sky_level
from denoise.transforms.continuum import estimate_continuum, parse_mode

NCHAN, SIDE = 300, 12
CHANNELS = np.arange(NCHAN)
LEVELS = {
    "flat": np.full(NCHAN, 50.0),
    "slope": 50 + 0.1 * (CHANNELS - 150.0),
    "curve": 50 + 10 * np.sin(CHANNELS / 80),
}


def gauss(peak, width, centre=150):
    return peak * np.exp(-0.5 * ((CHANNELS - centre) / (width / 2.355)) ** 2)


def noisy(spectrum, noise, seed=0):
    return spectrum[:, None, None] + np.random.default_rng(seed).normal(0, noise, (NCHAN, SIDE, SIDE))


@pytest.mark.parametrize(
    ("mode", "level"),
    [
        ("median", "flat"),
        ("polynomial:0", "flat"),
        ("polynomial:1", "slope"),
        ("polynomial:4", "curve"),
        ("smooth", "slope"),
        ("smooth", "curve"),
        ("smooth:61", "curve"),
    ],
)
@pytest.mark.parametrize("peak", [20.0, -20.0])
@pytest.mark.parametrize("centre", [150, 40])
def test_line_flux_is_kept_within_two_percent(mode, level, peak, centre):
    line = gauss(peak, 6, centre)
    data = noisy(LEVELS[level] + line, 1.0)
    continuum = estimate_continuum(data.astype(np.float32), mode)
    window = slice(centre - 9, centre + 10)
    # against the same noise with the true continuum off, so that only the continuum is judged
    wrong = (LEVELS[level][:, None, None] - continuum)[window].sum(axis=0).mean()
    assert abs(wrong) <= 0.02 * abs(line.sum())


@pytest.mark.parametrize("mode", ["median", "polynomial:1", "smooth"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_faint_wide_line_is_not_eaten(mode, noise):
    line = gauss(20.0 if noise == 0 else 3.0, 14)
    data = noisy(LEVELS["flat"] + line, noise)
    wrong = (50 - estimate_continuum(data, mode))[130:171].sum(axis=0).mean()
    assert abs(wrong) <= 0.05 * line.sum()  # 3 sigma at its peak


@pytest.mark.parametrize("mode", ["median", "polynomial:2", "smooth"])
def test_nan_spaxels_and_gaps(mode):
    data = noisy(LEVELS["flat"], 1.0).astype(np.float32)
    data[:, 0, 0] = np.nan
    data[100:160, 1, 1] = np.nan
    data[:-1, 2, 2] = np.nan
    kept = data.copy()
    level = estimate_continuum(data, mode)
    assert level.dtype == np.float32
    assert level.shape == data.shape
    assert np.isnan(level[:, 0, 0]).all()
    assert np.isfinite(level[:, 1, 1]).all()
    assert np.abs(level[:, 1, 1] - 50).max() < 2
    np.testing.assert_allclose(level[:, 2, 2], data[-1, 2, 2], rtol=1e-6)
    assert np.array_equal(data, kept, equal_nan=True)


@pytest.mark.parametrize("mode", ["median", "polynomial:3", "smooth"])
def test_blocks_and_threads_do_not_matter(mode):
    data = noisy(LEVELS["curve"] + gauss(9.0, 8), 1.0).astype(np.float32)
    whole = estimate_continuum(data, mode)
    rows = np.concatenate([estimate_continuum(data[:, a : a + 5], mode) for a in range(0, SIDE, 5)], axis=1)
    np.testing.assert_allclose(rows, whole, rtol=1e-6)
    wide = np.tile(data, (1, 3, 3))
    assert np.array_equal(estimate_continuum(wide, mode, threads=2), estimate_continuum(wide, mode))


@pytest.mark.parametrize("factor", [1e-20, 1e6])
def test_scales_with_the_data(factor):
    data = noisy(LEVELS["curve"] + gauss(9.0, 8), 1.0)
    for mode in ("median", "polynomial:2", "smooth"):
        scaled = estimate_continuum(data * factor, mode) / factor
        np.testing.assert_allclose(scaled, estimate_continuum(data, mode), rtol=1e-6)


def test_none_is_zero_and_short_axes_work():
    data = np.random.default_rng(0).normal(size=(3, 5, 5)).astype(np.float32)
    assert not estimate_continuum(data, "none").any()
    for mode in ("median", "polynomial:5", "smooth", "smooth:7"):
        assert np.isfinite(estimate_continuum(data, mode)).all()


def test_wide_absorption_trough_of_a_constant_spectrum():
    spectrum = np.full(NCHAN, 10.0)
    spectrum[100:140] = 0.0
    level = estimate_continuum(noisy(spectrum, 0.1), "smooth:200")
    wrong = (10 - level)[100:140].sum(axis=0)
    assert abs(wrong.mean()) <= 0.02 * 400
    assert np.abs(wrong).max() <= 0.05 * 400


def image(seed=0, size=192):
    y, x = np.mgrid[:size, :size]
    sky = 100 + 0.05 * x + 0.02 * y
    rng = np.random.default_rng(seed)
    stars = np.zeros((size, size))
    for cy, cx in rng.integers(5, size - 5, (40, 2)):
        stars += 200 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 2.0**2))
    return sky, stars, rng.normal(0, 2, (size, size))


@pytest.mark.parametrize("mode", ["smooth", "smooth:24", "polynomial:1"])
def test_image_background_follows_the_sky_and_not_the_stars(mode):
    sky, stars, noise = image()
    data = (sky + stars + noise)[None].astype(np.float32)
    data[0, :20, :30] = np.nan
    level = estimate_continuum(data, mode)[0]
    assert np.isfinite(level).all()
    assert np.abs(level - sky).max() < 2
    assert abs((level - sky).sum()) < 0.02 * stars.sum()


def test_image_median_is_one_clipped_level():
    _, stars, noise = image()
    level = estimate_continuum((10 + stars + noise)[None], "median")
    assert np.ptp(level) == 0
    assert level[0, 0, 0] == pytest.approx(10, abs=0.3)


def filaments(size=128):
    """Wound filaments, up to six sigma, over most of a field; the sky between and around them is zero."""
    y, x = np.mgrid[:size, :size] - size / 2
    radius, angle = np.hypot(y / 0.8, x), np.arctan2(y, x)
    wound = np.sin(2 * np.pi * (radius / 9 + 0.9 * np.sin(3 * angle)))
    return 8 * np.exp(-((radius / 36) ** 4)) * (0.45 + 0.35 * wound)


@pytest.mark.parametrize("seed", range(5))
def test_emission_that_fills_most_of_an_image_does_not_lift_its_sky(seed):
    data = filaments() + np.random.default_rng(seed).normal(size=(128, 128))
    assert clipped_median(data) > 0.25
    assert sky_level(data) == 0
    assert sky_level(50 + data) - 50 < 0.75 * clipped_median(data)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [20, 128])
def test_a_sky_that_is_seen_is_measured_however_close_to_zero(seed, size):
    data = 0.2 + np.random.default_rng(seed).normal(size=(size, size))
    assert sky_level(data) == clipped_median(data)


def test_backgrounds_of_nothing_and_of_little():
    assert np.isnan(sky_level(np.full((4, 4), np.nan)))
    assert np.isnan(clipped_median(np.full((4, 4), np.nan)))
    assert np.isnan(mesh_background(np.full((40, 40), np.nan))).all()
    assert mesh_background(np.full((5, 7), 3.0)) == pytest.approx(3.0)
    for mode in ("smooth", "polynomial:2", "median"):
        assert estimate_continuum(np.full((1, 1, 1), 3.0), mode)[0, 0, 0] == pytest.approx(3.0)


@pytest.mark.parametrize(
    "mode",
    ["auto", "spline", "polynomial", "polynomial:99", "smooth:2", "smooth:-9", "median:3", "none:1", ""],
)
def test_unknown_modes_are_refused(mode):
    with pytest.raises(ParameterError):
        parse_mode(mode)


def test_wrong_blocks_are_refused():
    with pytest.raises(ParameterError, match="block"):
        estimate_continuum(np.ones((4, 4)), "median")
