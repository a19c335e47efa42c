"""Noise fields against the autocorrelation that each family must have."""

import math

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.noise import NoiseModel
from denoise.simulate import earth_rotation_tracks, noise_field, simulate_cube
from denoise.simulate.fields import gridded_weights, noise_acf, noise_power

BEAM = (6.0, 4.0, 30.0)
SHAPE = (160, 96, 96)


def elliptical(dy, dx, base, beam=BEAM):
    sine, cosine = math.sin(math.radians(beam[2])), math.cos(math.radians(beam[2]))
    u, v = dy * cosine - dx * sine, dy * sine + dx * cosine
    return base ** -((u / beam[0]) ** 2 + (v / beam[1]) ** 2)


def measured(noise, dy, dx):
    noise = noise.astype(np.float64)
    ny, nx = noise.shape[1:]
    a = noise[:, max(0, -dy) : ny - max(0, dy), max(0, -dx) : nx - max(0, dx)]
    b = noise[:, max(0, dy) : ny + min(0, dy), max(0, dx) : nx + min(0, dx)]
    return float((a * b).mean() / (noise**2).mean())


def sampling_error(noise_shape, area):
    """Bound on the scatter of a correlation estimated from this many independent samples."""
    return 4.0 * math.sqrt(2.0 * area / np.prod(noise_shape))


@pytest.mark.parametrize(("family", "base"), [("white_convolved", 4.0), ("imaged_gaussian", 16.0)])
def test_gaussian_families_have_their_autocorrelation(family, base):
    noise = noise_field(np.random.default_rng(1), SHAPE, BEAM, family=family)
    area = math.pi * 6.0 * 4.0 / math.log(base)
    for lag in ((0, 1), (1, 0), (0, 3), (3, 0), (3, -3), (3, 3), (6, -2)):
        assert measured(noise, *lag) == pytest.approx(elliptical(*lag, base), abs=sampling_error(SHAPE, area))


@pytest.mark.parametrize("family", ["white_convolved", "imaged", "imaged_gaussian", "white"])
def test_unit_sigma_and_independent_channels(family):
    rng = np.random.default_rng(2)
    coverage = earth_rotation_tracks(rng, BEAM)
    noise = noise_field(rng, SHAPE, BEAM, family=family, coverage=coverage).astype(np.float64)
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.02)
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(0.0, abs=0.02)
    border = noise[:, [0, -1]].std(), noise[:, :, [0, -1]].std()
    assert border == (pytest.approx(1.0, abs=0.05), pytest.approx(1.0, abs=0.05))


def test_white_noise_is_white():
    noise = noise_field(np.random.default_rng(3), SHAPE, BEAM, family="white")
    for lag in ((0, 1), (1, 0), (1, 1)):
        assert measured(noise, *lag) == pytest.approx(0.0, abs=sampling_error(SHAPE, 1.0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beam", [BEAM, (2.5, 2.0, 80.0), (12.0, 9.0, 10.0)])
def test_dirty_beam_has_the_fwhm_asked_for(seed, beam):
    coverage = earth_rotation_tracks(np.random.default_rng(seed), beam)
    sine, cosine = math.sin(math.radians(beam[2])), math.cos(math.radians(beam[2]))
    for width, (dy, dx) in ((beam[0], (cosine, -sine)), (beam[1], (sine, cosine))):
        half = np.cos(math.pi * width * (coverage[0] * dx + coverage[1] * dy)).mean()
        assert half == pytest.approx(0.5, abs=0.02)


def test_imaged_noise_has_the_dirty_beam_as_autocorrelation():
    rng = np.random.default_rng(4)
    coverage = earth_rotation_tracks(rng, BEAM)
    noise = noise_field(rng, SHAPE, BEAM, family="imaged", coverage=coverage)
    for dy, dx in ((0, 1), (0, 3), (3, 0), (2, -2), (7, 4)):
        # the gridded weights are symmetric, so the sum over the samples is the dirty beam
        beam = np.cos(2 * math.pi * (coverage[0] * dx + coverage[1] * dy)).mean()
        assert measured(noise, dy, dx) == pytest.approx(beam, abs=0.03)


def test_imaged_noise_has_sidelobes_that_the_gaussian_has_not():
    coverage = earth_rotation_tracks(np.random.default_rng(5), BEAM, antennas=12)
    power = noise_power((120, 120), BEAM, family="imaged", coverage=coverage)
    acf = noise_acf(power, (120, 120), 40)
    y, x = np.mgrid[-40:41, -40:41]
    far = np.hypot(y, x) > 2.5 * BEAM[0]
    assert np.abs(acf[far]).max() > 0.03
    assert acf[far].min() < 0


def test_weights_beyond_nyquist_are_dropped():
    coverage = np.array([[0.1, 0.9], [0.0, 0.0]])
    assert gridded_weights(coverage, (32, 32)).sum() == 1.0


def test_field_measured_by_the_noise_model_of_the_same_beam():
    one = simulate_cube(
        7, kind="empty", shape=(100, 96, 96), beam=BEAM, noise="white_convolved", peak_snr=4.0
    )
    model = NoiseModel.from_beam(one.truth.shape, one.sigma, BEAM, "white_convolved")
    kernel = np.ones((9, 9)) / 81
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(one.noisy, (0, 9, 9))[:, 5:-5, 5:-5]
    expected = one.sigma * model.filtered_sigma(kernel)
    assert smooth.std() == pytest.approx(expected, rel=0.03)


def test_coverage_is_needed_and_the_family_checked():
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="coverage"):
        noise_field(rng, (2, 8, 8), BEAM, family="imaged")
    with pytest.raises(ParameterError, match="white_convolved"):
        noise_field(rng, (2, 8, 8), BEAM, family="pink")
