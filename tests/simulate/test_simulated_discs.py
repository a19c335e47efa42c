"""Simulated discs against what their parameters say analytically."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denoise.errors import ParameterError
from denoise.metrics import moment_maps
from denoise.simulate import (
    Galaxy,
    beam_area,
    beam_image,
    convolve_beam,
    render_galaxies,
    rotation_velocity,
    sersic_b,
    simulate_cube,
    tuning_set,
)
from denoise.simulate.discs import CURVE_NAMES, sersic_radii

SHAPE = (40, 96, 96)
CENTRE = (19.5, 48.0, 47.0)


def rendered(galaxy, *, beam=None, shape=SHAPE, clouds=40000, seed=0):
    return render_galaxies([galaxy], shape, beam=beam, clouds=clouds, rng=np.random.default_rng(seed))


def disc(**changes):
    values = {"flux": 7.0, "centre": CENTRE, "effective_radius": 4.0, "velocity": 6.0, "dispersion": 0.8}
    return Galaxy(**{**values, **changes})


@pytest.mark.parametrize("n", [0.6, 1.0, 2.5, 4.0])
def test_effective_radius_holds_half_the_light(n):
    from scipy.special import gammainc

    assert gammainc(2 * n, sersic_b(n)) == pytest.approx(0.5, abs=1e-4)
    assert sersic_radii(np.array([0.5 * 0.9995]), n)[0] == pytest.approx(1.0, rel=0.01)


def test_profile_of_a_face_on_disc_is_sersic():
    galaxy = disc(inclination=0.0, index=1.0, effective_radius=10.0, velocity=0.0)
    image = rendered(galaxy, clouds=200000).sum(axis=0)
    y, x = np.indices(image.shape)
    radius = np.hypot(y - CENTRE[1], x - CENTRE[2])
    rings = [(radius >= r) & (radius < r + 2) for r in range(4, 24, 2)]
    mean = np.array([image[ring].mean() for ring in rings])
    at = np.array([radius[ring].mean() for ring in rings])
    slope = np.polyfit(at, np.log(mean), 1)[0]
    assert slope == pytest.approx(-sersic_b(1.0) / 10.0, rel=0.02)


@settings(max_examples=20, deadline=None)
@given(
    inclination=st.floats(0, 90),
    angle=st.floats(0, 360),
    index=st.floats(0.5, 2.0),
    clumpiness=st.sampled_from([0.0, 0.5]),
    curve=st.sampled_from(CURVE_NAMES),
)
def test_flux_is_kept_for_any_orientation(inclination, angle, index, clumpiness, curve):
    galaxy = disc(
        inclination=inclination,
        position_angle=angle,
        index=index,
        clumpiness=clumpiness,
        curve=curve,
        turnover=1.0,
    )
    for beam in (None, (5.0, 4.0, 20.0)):
        cube = rendered(galaxy, beam=beam, clouds=5000)
        assert cube.dtype == np.float32
        # what lies beyond the field: an n = 2 disc of R_e = 4 has 1 % beyond 40 pixels
        assert cube.sum(dtype=np.float64) == pytest.approx(7.0, rel=0.012)


def test_point_source_after_the_beam_has_the_beams_shape():
    beam = (6.0, 4.0, 30.0)
    point = disc(effective_radius=1e-3, scale_height=0.0, velocity=0.0, centre=(19.3, 47.4, 48.7))
    image = rendered(point, beam=beam).sum(axis=0, dtype=np.float64)
    y, x = np.indices(image.shape)
    total = image.sum()
    my, mx = (image * y).sum() / total, (image * x).sum() / total
    assert (my, mx) == (pytest.approx(47.4, abs=0.02), pytest.approx(48.7, abs=0.02))
    cov = (
        np.array(
            [
                [(image * (y - my) ** 2).sum(), (image * (y - my) * (x - mx)).sum()],
                [(image * (y - my) * (x - mx)).sum(), (image * (x - mx) ** 2).sum()],
            ]
        )
        / total
    )
    values, vectors = np.linalg.eigh(cov)
    fwhm = np.sqrt(values * 8 * math.log(2))
    assert fwhm == pytest.approx([4.0, 6.0], rel=0.01)
    dy, dx = vectors[:, 1]  # towards +y and -x for angles between 0 and 90 degrees
    assert math.degrees(math.atan2(-dx, dy)) % 180 == pytest.approx(30.0, abs=1.0)


def test_convolution_keeps_flux_and_matches_a_direct_sum():
    cube = np.zeros((2, 41, 51), np.float32)
    cube[0, 20, 25] = 3.0
    beam = (6.0, 4.0, 70.0)
    out = convolve_beam(cube, beam)
    kernel = beam_image(beam, half=15)
    assert out.sum(dtype=np.float64) == pytest.approx(3.0, rel=1e-5)
    assert kernel.sum() == pytest.approx(beam_area(beam), rel=1e-6)
    np.testing.assert_allclose(out[0, 5:36, 10:41], 3.0 * kernel / kernel.sum(), atol=1e-6)
    assert not out[1].any()


def test_nothing_wraps_around_the_edge():
    cube = np.zeros((1, 32, 32), np.float32)
    cube[0, 0, 0] = 1.0
    out = convolve_beam(cube, (6.0, 6.0, 0.0))
    assert np.abs(out[0, 12:, :]).max() < 1e-6
    assert np.abs(out[0, :, 12:]).max() < 1e-6


@pytest.mark.parametrize("curve", CURVE_NAMES)
def test_moment_one_along_the_major_axis_is_the_rotation_curve(curve):
    galaxy = disc(
        inclination=60.0,
        position_angle=0.0,  # receding side towards +y
        effective_radius=10.0,
        scale_height=0.01,
        turnover=4.0,
        curve=curve,
        velocity=10.0,
        dispersion=0.5,
    )
    cube = rendered(galaxy, clouds=400000)
    m1 = moment_maps(cube[:, :, 46:49].sum(axis=2, keepdims=True)).moment1[:, 0]
    radius = np.arange(6.0, 20.0)
    turnover = 10.0 if curve == "rising" else 4.0
    expected = rotation_velocity(radius, velocity=10.0, turnover=turnover, curve=curve) * math.sin(
        math.radians(60)
    )
    # the slit is 3 pixels wide, 6 in the plane of the disc: cos(phi) and the curve vary over it
    for side in (1, -1):
        measured = side * (m1[48 + side * radius.astype(int)] - CENTRE[0])
        np.testing.assert_allclose(measured, expected, rtol=0.05)


def test_receding_side_lies_at_the_position_angle():
    cube = rendered(disc(inclination=60.0, position_angle=90.0, effective_radius=8.0))
    red = cube[21:].sum(axis=0)
    x = np.arange(96)
    assert (red.sum(axis=0) * x).sum() / red.sum() < CENTRE[2] - 2  # 90 degrees is towards -x


def test_line_of_a_point_has_its_dispersion():
    still = disc(effective_radius=1e-3, scale_height=0.0, velocity=0.0, dispersion=1.3)
    spectrum = rendered(still).sum(axis=(1, 2), dtype=np.float64)
    c = np.arange(40)
    mean = (spectrum * c).sum() / spectrum.sum()
    variance = (spectrum * (c - mean) ** 2).sum() / spectrum.sum()
    assert mean == pytest.approx(19.5, abs=0.01)
    assert variance == pytest.approx(1.3**2 + 1 / 12, rel=0.01)  # a channel is one wide


def test_edge_on_disc_has_its_scale_height():
    flat = disc(inclination=90.0, position_angle=90.0, effective_radius=12.0, scale_height=3.0)
    across = rendered(flat, clouds=200000).sum(axis=(0, 2), dtype=np.float64)
    y = np.arange(96)
    assert (across * np.abs(y - CENTRE[1])).sum() / across.sum() == pytest.approx(3.0, rel=0.02)


def test_same_seed_same_bytes_and_another_seed_another_cube():
    one, two, other = (simulate_cube(seed, kind="multi") for seed in (5, 5, 6))
    for name in ("truth", "noise", "noisy", "aperture"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
        assert getattr(one, name).tobytes() != getattr(other, name).tobytes()
    assert one.parameters == two.parameters


@pytest.mark.parametrize("kind", ["disc", "unresolved", "multi", "merger", "filled"])
def test_peak_is_one_and_sigma_sets_the_peak_snr(kind):
    one = simulate_cube(11, kind=kind, peak_snr=4.0)
    assert one.truth.max() == pytest.approx(1.0, abs=1e-6)
    assert one.sigma == pytest.approx(0.25)
    np.testing.assert_allclose(one.noisy, one.truth + 0.25 * one.noise, rtol=1e-6, atol=1e-7)
    assert one.truth.shape == one.noise.shape == (40, 96, 96)
    assert one.truth.dtype == one.noise.dtype == one.noisy.dtype == np.float32
    assert one.aperture.any()
    assert one.truth.min() > -1e-5


def test_peak_snr_and_noise_family_leave_the_truth_alone():
    one = simulate_cube(3, peak_snr=3.0)
    two = simulate_cube(3, peak_snr=8.0, noise="imaged")
    np.testing.assert_array_equal(one.truth, two.truth)


def test_empty_field_is_empty():
    one = simulate_cube(3, kind="empty")
    assert not one.truth.any()
    assert not one.aperture.any()
    assert one.parameters["galaxies"] == []


def test_filled_field_has_emission_everywhere():
    one = simulate_cube(4, kind="filled")
    assert (one.truth > 0.02).mean() > 0.95
    assert one.truth.max(axis=(1, 2)).min() > 0.05  # emission, as the scores define it, in every channel


def test_companions_are_offset_in_velocity():
    offsets = []
    for seed in range(12):
        main, *rest = simulate_cube(seed, kind="multi").parameters["galaxies"]
        assert 1 <= len(rest) <= 3
        offsets += [other["centre"][0] - main["centre"][0] for other in rest]
    assert np.std(offsets) > 1.0


def test_sources_are_anywhere_in_the_field():
    centres = np.array([one.parameters["galaxies"][0]["centre"] for one in tuning_set(40)])
    assert np.ptp(centres[:, 1]) > 60
    assert np.ptp(centres[:, 2]) > 60
    assert np.ptp(centres[:, 0]) > 20


def test_continuum_and_absorption():
    one = simulate_cube(2, kind="unresolved", continuum=0.5, absorption=0.8)
    assert one.truth.max() == pytest.approx(1.0, abs=1e-6)
    galaxy = one.parameters["galaxies"][0]
    channel, y, x = (round(value) for value in galaxy["centre"])
    line_free = one.truth[:, y, x].min() if channel else 0
    assert line_free >= 0
    empty = np.abs(np.arange(40) - channel) > 15
    assert (one.truth[empty, y, x] > 0.1).all()


def test_tuning_set_is_fixed_and_grows_at_the_end():
    short = [one.truth for one in tuning_set(2, 4.0, seed=3)]
    long = [one.truth for one in tuning_set(3, 4.0, seed=3)]
    for a, b in zip(short, long, strict=False):
        np.testing.assert_array_equal(a, b)
    for one in tuning_set(6, (2.5, 8.0)):
        assert 2.5 <= 1 / one.sigma <= 8.0
        assert 4.0 <= math.sqrt(one.beam_pixels[0] * one.beam_pixels[1]) <= 5.0


@pytest.mark.parametrize("beam", [(2.0, 2.0, 0.0), (12.0, 8.0, 45.0)])
def test_beams_from_two_to_twelve_pixels(beam):
    one = simulate_cube(1, beam=beam, shape=(8, 64, 60))
    assert one.truth.shape == (8, 64, 60)
    assert one.truth.min() > -2e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"kind": "spiral"},
        {"noise": "pink"},
        {"beam": (3.0, 5.0, 0.0)},
        {"beam": (0.0, 0.0, 0.0)},
        {"peak_snr": 0.0},
        {"peak_snr": math.nan},
        {"shape": (0, 5, 5)},
        {"absorption": 2.0},
    ],
)
def test_refuses_what_makes_no_sense(changes):
    with pytest.raises(ParameterError):
        simulate_cube(**{"seed": 1, **changes})


@pytest.mark.parametrize("changes", [{"index": 0.3}, {"effective_radius": 0.0}, {"curve": "square"}])
def test_refuses_impossible_discs(changes):
    with pytest.raises(ParameterError):
        disc(**changes)
