"""The rig: the same method, noise and sign convention for whatever pixels."""

import numpy as np
import pytest

import denoise
from denoise.check.rig import open_rig
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.errors import UsageError
from denoise.simulate import Observation, draw_scene, observe

SHAPE = (24, 48, 48)
BEAM = (4.5, 4.0, 30.0)


@pytest.fixture(scope="module")
def cube() -> Cube:
    scene = draw_scene(np.random.default_rng(3), "disc", shape=SHAPE, fwhm=4.2)
    made = observe(scene, Observation(SHAPE, BEAM, peak_snr=8.0), 5, kind="disc")
    return Cube(made.noisy * 1e-3, beam=made.beam_pixels, unit="Jy/beam")


def test_the_cube_itself_comes_out_as_a_run_makes_it(cube):
    with open_rig(cube, run_options(method="ist")) as rig:
        out = rig.apply()
    assert np.array_equal(out, denoise.denoise(cube, "ist").cube.read())


def test_other_pixels_meet_the_same_noise_model_and_sign_convention(cube):
    with open_rig(cube, run_options(method="ist")) as rig:
        result = rig.run(-3 * rig.data())
        assert rig.options.positivity == "on"
    assert result.noise.typical == pytest.approx(rig.noise.typical)
    assert float(result.cube.read().min()) >= 0


def test_a_draw_is_nan_where_the_data_are(cube):
    blank = np.zeros(SHAPE, bool)
    blank[:, :5] = True
    with open_rig(cube.with_mask(blank), run_options(method="smooth")) as rig:
        draw = rig.sample(0)
        assert np.array_equal(np.isnan(draw), blank)
        assert not np.array_equal(draw[:, 5:], rig.sample(1)[:, 5:])
        assert np.isnan(rig.apply(draw)[blank]).all()


def test_what_has_no_unit_cannot_be_checked(cube):
    with (
        pytest.raises(UsageError, match="display"),
        open_rig(cube, run_options(method="noiser")),
    ):
        pass
