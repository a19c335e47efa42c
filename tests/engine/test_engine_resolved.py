"""Resolved discs in hard situations keep their flux (R34): absorption, continuum, primary beam, flags, sidelobes.

Every draw of the noise is used with both signs: what is linear in it cancels, and a bias of a few per cent shows
in four runs. The aperture is the published protocol's: a circle of radius 2 R_e, all channels.
"""

from functools import cache

import numpy as np
import pytest

import denoise
from denoise.cube import Cube
from denoise.simulate import Galaxy, simulate_cube
from denoise.simulate.fields import earth_rotation_tracks, noise_acf, noise_field, noise_power

SHAPE = (28, 72, 72)
LONG = (80, 72, 72)  # a spectrum wide enough to have a continuum
BEAM = (4.8, 4.2, 30.0)
CENTRE = (36.3, 34.8)
PEAK_SNR = 18.0
TOLERANCE = 0.05  # of R34


@cache
def disc(shape=SHAPE):
    """Truth in units of sigma, and the aperture: R_e = 1.6 beams, a line of some ten channels."""
    galaxy = Galaxy(
        flux=1.0,
        centre=(shape[0] / 2 - 0.2, *CENTRE),
        effective_radius=7.2,
        inclination=45.0,
        position_angle=60.0,
        velocity=5.0,
        turnover=1.5,
        dispersion=0.8,
    )
    made = simulate_cube(3, shape=shape, beam=BEAM, galaxies=[galaxy], peak_snr=PEAK_SNR)
    return made.truth * np.float32(PEAK_SNR), made.aperture


def draws(shape=SHAPE, family="white_convolved", coverage=None, count=2):
    """Noise of unit sigma, each draw followed by its negative."""
    for seed in range(count):
        rng = np.random.default_rng((34, seed))
        noise = noise_field(rng, shape, BEAM, family=family, coverage=coverage)
        yield from (noise, -noise)


def flux_ratio(estimates, truth, inside):
    """Flux in `inside` over the truth's, mean over the estimates."""
    return np.mean([each[inside].sum(dtype=float) for each in estimates]) / truth[inside].sum(dtype=float)


def within(truth, aperture):
    return np.broadcast_to(aperture, truth.shape)


@pytest.mark.parametrize("positivity", ["off", "auto"])
def test_emission(positivity):
    truth, aperture = disc()
    out = [
        denoise.denoise(Cube(truth + noise, beam=BEAM), "ist", positivity=positivity).cube.data
        for noise in draws()
    ]
    assert flux_ratio(out, truth, within(truth, aperture)) == pytest.approx(1, abs=TOLERANCE)


def test_absorption():
    """Positivity is on "auto": the negative tail switches it off."""
    truth, aperture = disc()
    out = [denoise.denoise(Cube(noise - truth, beam=BEAM), "ist").cube.data for noise in draws()]
    assert flux_ratio(out, -truth, within(truth, aperture)) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("positivity", ["off", "auto"])
@pytest.mark.parametrize("mode", ["smooth:55", "polynomial:1"])
def test_line_on_a_sloping_continuum(mode, positivity):
    truth, aperture = disc(LONG)
    y, x = np.mgrid[: LONG[1], : LONG[2]]
    level = 60 * np.exp(-0.5 * ((y - CENTRE[0]) ** 2 + (x - CENTRE[1]) ** 2) / 6**2)
    slope = 1 + 0.2 * np.linspace(-1, 1, LONG[0])
    continuum = (slope[:, None, None] * level).astype(np.float32)
    out = [
        denoise.denoise(
            Cube(truth + continuum + noise, beam=BEAM), "ist", continuum=mode, positivity=positivity
        ).cube.data
        - continuum
        for noise in draws(LONG)
    ]
    assert flux_ratio(out, truth, within(truth, aperture)) == pytest.approx(1, abs=TOLERANCE)
    # nothing of the continuum is left where there is no line
    left = np.mean([each[:20, aperture].sum(dtype=float) for each in out])
    assert abs(left) < TOLERANCE * truth[:, aperture].sum(dtype=float)


@pytest.mark.parametrize("positivity", ["off", "auto"])
def test_primary_beam_corrected(positivity):
    """The noise rises threefold over the disc, and NaN beyond a gain of 0.2 are no sources."""
    truth, aperture = disc()
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    gain = np.exp(-0.5 * ((y - 30) ** 2 + (x - 28) ** 2) / 16**2).astype(np.float32)
    gain[gain < 0.2] = np.nan
    data = [(truth * np.nan_to_num(gain) + noise) / gain for noise in draws()]
    out = [
        denoise.denoise(Cube(each, beam=BEAM, gain=gain), "ist", positivity=positivity).cube.data
        for each in data
    ]
    assert np.array_equal(np.isnan(out[0]), np.isnan(data[0]))
    inside = within(truth, aperture & (gain > 0.3))
    assert flux_ratio(out, truth, inside) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("positivity", ["off", "auto"])
@pytest.mark.parametrize("how", ["exclude", "mask"])
def test_flagged_channels(how, positivity):
    """Interference of 300 sigma in three channels, two of them in the line."""
    truth, aperture = disc()
    flagged = np.zeros(SHAPE[0], bool)
    flagged[[3, 13, 18]] = True
    out = []
    for noise in draws():
        data = truth + noise
        data[flagged] = 300
        cube = Cube(data, beam=BEAM, **{how: flagged})
        out.append(denoise.denoise(cube, "ist", positivity=positivity).cube.data)
        came_out = out[-1][flagged]
        assert (np.isnan(came_out) if how == "mask" else came_out == 300).all()
    inside = within(truth, aperture) & ~flagged[:, None, None]
    assert flux_ratio(out, truth, inside) == pytest.approx(1, abs=TOLERANCE)
    # no bleeding: the channels next to the flagged one away from the line hold nothing
    assert np.abs(np.stack(out)[:, [2, 4]]).max() < 1


@pytest.mark.parametrize("positivity", ["off", "auto"])
@pytest.mark.parametrize("psf", [False, True])
def test_dirty_sidelobes(psf, positivity):
    """Noise of imaged visibilities, correlated as the dirty beam, with and without the beam given as an image."""
    truth, aperture = disc()
    coverage = earth_rotation_tracks(np.random.default_rng(7), BEAM)
    plane = (256, 256)
    power = noise_power(plane, BEAM, family="imaged", coverage=coverage)
    extra = {"psf": noise_acf(power, plane, 40)} if psf else {}
    out = [
        denoise.denoise(Cube(truth + noise, beam=BEAM, **extra), "ist", positivity=positivity).cube.data
        for noise in draws(family="imaged", coverage=coverage, count=4)
    ]
    assert flux_ratio(out, truth, within(truth, aperture)) == pytest.approx(1, abs=TOLERANCE)
