"""Structures and rotation curves against what their parameters say."""

import json
import math

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.simulate import (
    UNSEEN_KINDS,
    Galaxy,
    Halo,
    Outflow,
    Ring,
    Scene,
    Shell,
    Tail,
    draw_scene,
    render_galaxies,
    rotation_velocity,
)

SHAPE = (41, 80, 84)
CENTRE = (20.0, 40.0, 41.0)


def rendered(*parts, beam=None):
    return render_galaxies(parts, SHAPE, beam=beam, clouds=30000, rng=np.random.default_rng(1)).astype(float)


def offsets():
    y, x = np.indices(SHAPE[1:])
    return y - CENTRE[1], x - CENTRE[2]


def moments(weights, values):
    mean = (weights * values).sum() / weights.sum()
    return mean, math.sqrt((weights * (values - mean) ** 2).sum() / weights.sum())


EVERY = {
    "ring": Ring(3.0, CENTRE, 12.0, width=1.5),
    "shell": Shell(3.0, CENTRE, 10.0),
    "outflow": Outflow(3.0, CENTRE, 6.0, velocity=5.0, dispersion=1.0),
    "halo": Halo(3.0, CENTRE, 8.0, index=0.5),
    "tail": Tail(3.0, CENTRE, (22.0, 50.0, 45.0), (24.0, 55.0, 60.0)),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("beam", [None, (5.0, 4.0, 20.0)])
def test_flux_is_kept(name, beam):
    assert rendered(EVERY[name], beam=beam).sum() == pytest.approx(3.0, rel=0.005)


def test_ring_has_its_radius_width_and_rotation():
    ring = Ring(1.0, CENTRE, 14.0, width=1.5, inclination=0.0, scale_height=0.0)
    y, x = offsets()
    mean, spread = moments(rendered(ring).sum(axis=0), np.hypot(y, x))
    assert mean == pytest.approx(14.0, rel=0.01)
    assert spread == pytest.approx(math.sqrt(1.5**2 + 1 / 6), rel=0.05)  # gridding adds 1/6 along each axis
    tilted = Ring(1.0, CENTRE, 14.0, width=0.5, inclination=60.0, position_angle=0.0, velocity=8.0)
    cube = rendered(tilted)
    y_mean, _ = moments(cube.sum(axis=(0, 2)), np.arange(SHAPE[1]))
    assert y_mean == pytest.approx(CENTRE[1], abs=0.05)
    # the receding side is towards +y; on a ring the velocity is in proportion to y
    speed = moments(cube[:, 48:56].sum(axis=(1, 2)), np.arange(41))[0] - CENTRE[0]
    place = moments(cube[:, 48:56].sum(axis=(0, 2)), np.arange(48, 56))[0] - CENTRE[1]
    assert speed == pytest.approx(8.0 * math.sin(math.radians(60)) * place / 14.0, rel=0.03)
    across = cube.sum(axis=(0, 1))
    assert moments(across, np.arange(SHAPE[2]))[1] == pytest.approx(14.0 * 0.5 / math.sqrt(2), rel=0.05)


def test_arc_is_a_part_of_the_ring():
    arc = Ring(1.0, CENTRE, 12.0, inclination=0.0, arc=90.0)
    y, x = offsets()
    image = rendered(arc).sum(axis=0)
    # from +y towards +x
    assert image[(y > -3) & (x > -3)].sum() == pytest.approx(1.0, abs=0.02)


def test_shell_is_split_in_its_middle_and_has_its_radius():
    shell = Shell(1.0, CENTRE, 14.0, thickness=0.3, velocity=9.0, dispersion=0.5)
    cube = rendered(shell)
    y, x = offsets()
    middle = cube[:, np.hypot(y, x) < 3].sum(axis=1)
    c = np.arange(41)
    for side in (c > 20, c < 20):
        assert abs(moments(middle * side, c)[0] - 20.0) == pytest.approx(9.0, rel=0.03)
    assert middle[20] < 0.02 * middle.max()
    _, spread = moments(cube.sum(axis=(0, 1)), np.arange(SHAPE[2]))
    assert spread == pytest.approx(14.0 / math.sqrt(3.0), rel=0.02)  # each coordinate on a sphere


def test_outflow_broadens_the_line_and_leaves_along_the_axis():
    wind = Outflow(1.0, CENTRE, 6.0, opening=20.0, inclination=0.0, velocity=7.0, dispersion=2.0)
    spectrum = rendered(wind).sum(axis=(1, 2))
    _, width = moments(spectrum, np.arange(41))
    # two cones along the line of sight: mean square of v cos over the cone, and the dispersion
    edge = math.cos(math.radians(20.0))
    along = 7.0**2 * (1 + edge + edge**2) / 3
    assert width == pytest.approx(math.sqrt(along + 2.0**2 + 1 / 12), rel=0.01)
    edge_on = rendered(Outflow(1.0, CENTRE, 6.0, opening=20.0, inclination=90.0, velocity=7.0)).sum(axis=0)
    rows, columns = (moments(edge_on.sum(axis=axis), np.arange(n))[1] for axis, n in ((1, 80), (0, 84)))
    assert columns > 4 * rows  # the disc's major axis is along y, so the wind goes along x


def test_spherical_wind_has_no_direction():
    image = rendered(Outflow(1.0, CENTRE, 5.0, opening=90.0, inclination=40.0, velocity=3.0)).sum(axis=0)
    rows, columns = (moments(image.sum(axis=axis), np.arange(n))[1] for axis, n in ((1, 80), (0, 84)))
    assert rows == pytest.approx(columns, rel=0.02)


def test_halo_has_its_half_light_radius_axis_ratio_and_gradient():
    halo = Halo(1.0, CENTRE, 8.0, index=0.5, axis_ratio=0.5, gradient=0.3, dispersion=2.0)
    cube = rendered(halo)
    clouds = halo.sample(30000, np.random.default_rng(2))
    inside = np.hypot(clouds.y - CENTRE[1], (clouds.x - CENTRE[2]) / 0.5) < 8.0
    assert clouds.share[inside].sum() == pytest.approx(0.5, abs=0.005)
    c = np.arange(41)
    speeds = [moments(cube[:, row].sum(axis=1), c)[0] for row in (32, 48)]
    assert speeds[1] - speeds[0] == pytest.approx(16 * 0.3, rel=0.05)
    assert moments(cube[:, 40].sum(axis=1), c)[1] == pytest.approx(2.0, rel=0.05)


def test_tail_has_its_length_its_ends_and_fades():
    straight = Tail(1.0, (10.0, 20.0, 20.0), (20.0, 40.0, 40.0), (30.0, 60.0, 60.0), width=1.0)
    assert 2 * straight.size == pytest.approx(40 * math.sqrt(2), rel=1e-3)
    cube = rendered(straight)
    y, x = np.indices(SHAPE[1:])
    along, across = (y + x - 40) / math.sqrt(2), (y - x) / math.sqrt(2)
    image = cube.sum(axis=0)
    mean, spread = moments(image, along)
    assert mean == pytest.approx(20 * math.sqrt(2), rel=0.02)
    assert spread == pytest.approx(40 * math.sqrt(2) / math.sqrt(12), rel=0.02)
    assert moments(image, across)[1] == pytest.approx(math.sqrt(1 + 1 / 6), rel=0.03)
    ends = [moments(cube[:, row].sum(axis=1), np.arange(41))[0] for row in (25, 55)]
    assert ends == pytest.approx([12.5, 27.5], abs=0.5)
    faded = rendered(Tail(1.0, CENTRE, (20.0, 50.0, 41.0), (20.0, 60.0, 41.0), fading=2.0)).sum(axis=(0, 2))
    assert faded[44] / faded[54] == pytest.approx(math.exp(2.0 * 0.5), rel=0.05)


def test_declining_and_universal_curves():
    radius = np.linspace(0.05, 12, 500)
    freeman = rotation_velocity(radius, velocity=10.0, turnover=2.0, curve="freeman")
    assert freeman.max() == pytest.approx(10.0, rel=1e-3)
    assert radius[freeman.argmax()] == pytest.approx(2.15 * 2.0, rel=0.02)
    assert freeman[-1] < 0.9 * freeman.max()
    far = rotation_velocity(np.array([200.0, 400.0]), velocity=10.0, turnover=2.0, curve="freeman")
    assert far[0] / far[1] == pytest.approx(math.sqrt(2), rel=0.01)  # Keplerian
    universal = rotation_velocity(np.array([3.2 * 2.0, 12.8]), velocity=10.0, turnover=2.0, curve="universal")
    assert universal[0] == pytest.approx(10.0, rel=1e-3)
    assert universal[1] == pytest.approx(10.0, rel=0.15)


@pytest.mark.parametrize("kind", [*UNSEEN_KINDS, "compact"])
def test_unseen_scenes_are_kept_as_json(kind):
    for seed in range(3):
        scene = draw_scene(np.random.default_rng(seed), kind, shape=(40, 96, 96), fwhm=4.5)
        assert Scene.from_dict(json.loads(json.dumps(scene.as_dict()))) == scene
        assert scene != draw_scene(np.random.default_rng(seed + 9), kind, shape=(40, 96, 96), fwhm=4.5)


def test_continuum_is_flat_and_absorbed():
    from denoise.simulate import render_scene

    dot = Galaxy(1e-6, CENTRE, 1e-3, scale_height=0.0, velocity=0.0, dispersion=1.5)
    scene = Scene((dot,), continuum=1e4, absorption=0.6)  # nearly all continuum
    for hanning, wider in ((False, 0.0), (True, 0.5)):
        truth = render_scene(scene, SHAPE, (4.0, 4.0, 0.0), rng=np.random.default_rng(0), hanning=hanning)
        spectrum = truth[:, 40, 41].astype(float)
        assert spectrum[[0, -1]] == pytest.approx(1.0, abs=1e-3)
        assert spectrum[20] == pytest.approx(0.4, abs=2e-3)
        _, width = moments(1 - spectrum, np.arange(41))
        assert width == pytest.approx(math.sqrt(1.5**2 + 1 / 12 + wider), rel=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ring(1.0, CENTRE, 0.0),
        lambda: Shell(1.0, CENTRE, 3.0, thickness=-1.0),
        lambda: Outflow(1.0, CENTRE, 3.0, opening=0.0),
        lambda: Halo(1.0, CENTRE, 3.0, index=0.3),
        lambda: Tail(1.0, CENTRE, CENTRE, CENTRE, width=math.nan),
    ],
)
def test_refuses_impossible_structures(make):
    with pytest.raises(ParameterError):
        make()
