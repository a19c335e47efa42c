"""What an instrument does to the noise, measured on the simulated cubes by the project's own noise model."""

import json
import math

import numpy as np
import pytest

from denoise import Cube
from denoise.errors import ParameterError
from denoise.noise import estimate_noise
from denoise.simulate import Counts, Galaxy, Observation, Scene, observe, repeat, simulate_cube

SHAPE = (48, 96, 96)
BEAM = (5.0, 4.0, 30.0)


def measured(observation, **companions):
    one = simulate_cube(4, kind="empty", observation=observation)
    return one, estimate_noise(Cube(one.noisy, **companions))


def beam_acf(base, dy, dx):
    sine, cosine = math.sin(math.radians(BEAM[2])), math.cos(math.radians(BEAM[2]))
    u, v = dy * cosine - dx * sine, dy * sine + dx * cosine
    return base ** -((u / BEAM[0]) ** 2 + (v / BEAM[1]) ** 2)


@pytest.mark.parametrize(("family", "base"), [("white_convolved", 4.0), ("imaged_gaussian", 16.0)])
def test_noise_model_gives_back_beam_sigma_and_hanning(family, base):
    one, model = measured(Observation(SHAPE, BEAM, noise=family, hanning=True))
    assert model.typical == pytest.approx(one.sigma, rel=0.03)
    half = model.spatial_acf.shape[0] // 2
    for dy, dx in ((0, 1), (1, 0), (2, -1), (2, 2)):
        assert model.spatial_acf[half + dy, half + dx] == pytest.approx(beam_acf(base, dy, dx), abs=0.03)
    assert model.spectral_acf[:3] == pytest.approx([1.0, 2 / 3, 1 / 6], abs=0.03)


def test_noise_model_gives_back_a_drifting_sigma():
    one, model = measured(Observation((32, 160, 160), (2.0, 2.0, 0.0), drift=0.4))
    ratio = model.channel_sigma / one.channel_sigma
    assert np.ptp(one.channel_sigma) > 0.3 * one.sigma
    assert np.median(one.channel_sigma) == pytest.approx(one.sigma)
    np.testing.assert_allclose(ratio, 1.0, atol=0.03)


def test_sky_lines_are_where_they_are_said_to_be():
    one = simulate_cube(4, kind="empty", observation=Observation(SHAPE, BEAM, noise="white", sky_lines=5))
    spread = (one.noisy.astype(float)).std(axis=(1, 2))
    np.testing.assert_allclose(spread, one.channel_sigma, rtol=0.03)
    high = one.channel_sigma > 1.5 * one.sigma
    assert 5 <= high.sum() <= 10
    assert (one.channel_sigma <= 8.001 * one.sigma).all()
    assert np.median(one.channel_sigma) == one.sigma


def test_noise_rises_as_one_over_the_gain():
    observation = Observation(SHAPE, BEAM, primary_beam=60.0)
    one = simulate_cube(4, kind="empty", observation=observation)
    outside = one.gain < observation.cutoff
    assert outside.any()
    assert np.isnan(one.noisy[:, outside]).all()
    assert np.isfinite(one.noisy[:, ~outside]).all()
    assert np.isfinite(one.truth).all()
    model = estimate_noise(Cube(one.noisy, gain=one.gain))
    sigma = model.sigma()[20]
    np.testing.assert_allclose((sigma * one.gain)[~outside], one.sigma, rtol=0.03)
    y, x = np.indices(one.gain.shape) - 47.5
    at_half = np.abs(np.hypot(y, x) - 30.0) < 0.5
    assert one.gain[at_half].mean() == pytest.approx(0.5, abs=0.01)


def test_without_the_gain_the_profile_is_found_from_the_data():
    one, model = measured(Observation(SHAPE, (3.0, 3.0, 0.0), primary_beam=110.0))
    centre, ring = one.gain > 0.9, (one.gain > 0.5) & (one.gain < 0.7)
    expected = np.mean(1 / one.gain[ring]) / np.mean(1 / one.gain[centre])
    found = model.relative[ring].mean() / model.relative[centre].mean()
    assert found == pytest.approx(expected, rel=0.05)


def counted(**values):
    flat = Galaxy(1.0, (15.5, 30.0, 30.0), 20.0, inclination=0.0, index=0.5, velocity=0.0, dispersion=9.0)
    seen = Observation((32, 60, 60), BEAM, noise="white", peak_snr=20.0, counts=Counts(**values))
    return observe(Scene((flat,)), seen, 3, clouds=2000, halves=True)


def test_variance_of_counts_is_their_mean():
    one = counted(background=9.0)
    scale = one.observation.counts.electrons / one.sigma  # electrons of a truth of 1
    electrons = one.noisy.astype(float) * scale + 9.0
    np.testing.assert_allclose(electrons, np.round(electrons), atol=2e-3)
    expected = one.truth * scale + 9.0
    for low, high in ((9, 12), (12, 20), (20, 40), (40, 80)):
        some = (expected >= low) & (expected < high)
        assert some.sum() > 2000
        assert electrons[some].mean() == pytest.approx(expected[some].mean(), rel=0.01)
        assert (electrons - expected)[some].var() == pytest.approx(expected[some].mean(), rel=0.06)


def test_read_noise_adds_to_the_counts():
    one = counted(background=4.0, read_noise=6.0)
    faint = one.truth < 0.2
    electrons = one.truth[faint].mean() * one.observation.counts.electrons / one.sigma
    assert faint.sum() > 5000
    assert one.noise[faint].var() == pytest.approx((electrons + 4.0 + 36.0) / 40.0, rel=0.05)


@pytest.mark.parametrize(
    "observation",
    [
        Observation((24, 64, 64), BEAM),
        Observation((24, 64, 64), BEAM, noise="imaged", hanning=True, primary_beam=80.0),
        Observation((24, 64, 64), BEAM, noise="white", counts=Counts(20.0, 2.0, 3.0)),
    ],
)
def test_halves_average_to_the_whole_and_are_independent(observation):
    one = simulate_cube(7, observation=observation, halves=True)
    np.testing.assert_allclose((one.half_a + one.half_b) / 2, one.noisy, rtol=1e-6, atol=2e-6)
    plain = simulate_cube(7, observation=observation)
    assert plain.noisy.tobytes() == one.noisy.tobytes()
    assert plain.half_a is None
    errors = [(half - one.truth).astype(float) for half in (one.half_a, one.half_b)]
    good = np.isfinite(errors[0])
    a, b, whole = (values[good] for values in (*errors, (one.noisy - one.truth).astype(float)))
    samples = a.size / (2 * math.pi * 20)  # a loose count of independent ones
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.0, abs=4 / math.sqrt(samples))
    for half in (a, b):
        assert half.std() == pytest.approx(math.sqrt(2) * whole.std(), rel=0.05)


def test_dirty_truth_is_the_source_through_the_dirty_beam():
    dot = Galaxy(1.0, (3.0, 31.0, 33.0), 1e-3, scale_height=0.0, velocity=0.0, dispersion=0.5)
    seen = Observation((7, 64, 66), BEAM, noise="imaged", dirty=True)
    one = observe(Scene((dot,)), seen, 5)
    dirty = one.dirty_beam
    assert dirty.shape == (127, 131)
    assert dirty[63, 65] == pytest.approx(1.0)
    expected = dirty[63 - 31 : 63 - 31 + 64, 65 - 33 : 65 - 33 + 66]
    np.testing.assert_allclose(one.truth[3], expected, atol=0.03)  # gridded in other cells
    assert one.truth.min() < -0.02
    clean = observe(Scene((dot,)), Observation((7, 64, 66), BEAM, noise="imaged"), 5)
    assert clean.noise.tobytes() == one.noise.tobytes()
    assert clean.truth.min() > -1e-3


def test_continuum_of_a_dirty_observation_has_its_sidelobes():
    dot = Galaxy(1.0, (3.0, 31.0, 33.0), 1e-3, scale_height=0.0, velocity=0.0, dispersion=0.5)
    seen = Observation((13, 64, 66), BEAM, noise="imaged", dirty=True)
    one = observe(Scene((dot,), continuum=0.5), seen, 5)
    np.testing.assert_allclose(one.truth[12] / one.truth[12].max(), one.truth[3], atol=0.02)


def test_hanning_keeps_flux_and_broadens_lines():
    dot = Galaxy(1.0, (20.0, 31.0, 33.0), 1e-3, scale_height=0.0, velocity=0.0, dispersion=1.0)
    c = np.arange(41)
    widths = []
    for hanning in (False, True):
        spectrum = observe(Scene((dot,)), Observation((41, 64, 66), BEAM, hanning=hanning), 5).truth.sum(
            (1, 2)
        )
        widths.append((spectrum * (c - 20.0) ** 2).sum() / spectrum.sum())
    assert widths[1] - widths[0] == pytest.approx(0.5, abs=0.01)  # variance of 1/4, 1/2, 1/4


@pytest.mark.parametrize(
    ("kind", "observation"),
    [
        ("tails", Observation((16, 48, 50), noise="imaged", dirty=True, primary_beam=60.0)),
        ("absorber", Observation((16, 48, 50), BEAM, noise="white", counts=Counts(3.0, 1.0), sky_lines=3)),
        ("shell", Observation((16, 48, 50), hanning=True, drift=0.2, beam_range=(2.0, 3.0))),
    ],
)
def test_parameters_beside_a_cube_make_it_again(kind, observation):
    one = simulate_cube(8, kind=kind, observation=observation, halves=True)
    again = repeat(json.loads(json.dumps(one.parameters)))
    for name in ("truth", "noise", "noisy", "half_a", "half_b", "aperture"):
        assert getattr(one, name).tobytes() == getattr(again, name).tobytes()
    assert again.parameters == one.parameters
    other = simulate_cube(9, kind=kind, observation=observation)
    assert other.noisy.tobytes() != one.noisy.tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"dirty": True},
        {"counts": Counts()},
        {"counts": Counts(), "noise": "white", "hanning": True},
        {"drift": 1.0},
        {"sky_lines": 30},
        {"primary_beam": 0.0},
        {"cutoff": 0.0},
        {"beam_range": (5.0, 4.0)},
        {"noise": "pink"},
        {"shape": (0, 2, 2)},
    ],
)
def test_refuses_what_no_instrument_does(changes):
    with pytest.raises(ParameterError):
        Observation(**changes)


@pytest.mark.parametrize("values", [{"background": -1.0}, {"gain": 0.0}, {"background": 0.0}])
def test_refuses_impossible_detectors(values):
    with pytest.raises(ParameterError):
        Counts(**values)
