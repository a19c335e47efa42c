"""`auto`: one rule after the other, each with its reason; asked for in Python, recipes and the command line."""

import numpy as np
import pytest

import denoise
from denoise.errors import ParameterError, UnknownMethodError
from denoise.methods import AUTO, choose
from denoise.noise import NoiseModel
from denoise.testing.subject import observation

SHAPE = (8, 32, 32)


def noise(shape=SHAPE, fwhm=4.0, **more):
    return NoiseModel.from_beam(shape, 1.0, (fwhm, fwhm, 0.0), **more)


def test_the_best_method_where_its_network_knows_the_noise():
    assert choose(noise(), peak_snr=6.0).method == "hybrid"
    assert choose(noise()).method == "hybrid"


@pytest.mark.parametrize(
    ("model", "peak", "reason"),
    [
        (noise((8, 96, 96), fwhm=20.0), 6.0, "noise is correlated over"),
        (noise(spectral_acf=np.array([1.0, 0.95, 0.9])), 6.0, "channels are correlated by"),
        (noise(), 900.0, "the peak SNR is 900"),
        (NoiseModel.white((8, 32, 32), np.tile([1.0, 1.4], 4)), 6.0, "the noise differs by 0.34"),
        (NoiseModel.white((10_000, 3000, 3000), 1.0), 6.0, "9.0e+10 voxels would keep"),
    ],
)
def test_the_safe_method_outside_the_training(model, peak, reason):
    chosen = choose(model, peak_snr=peak)
    assert chosen.method == "ist"
    assert chosen.reason.startswith(reason)


def test_a_method_that_cannot_run_is_not_chosen(monkeypatch):
    monkeypatch.setattr("denoise.networks.backend.find_spec", lambda name: None)
    chosen = choose(noise(), peak_snr=6.0)
    assert chosen.method == "ist"
    assert "hybrid cannot run here (method hybrid needs torch" in chosen.reason


def test_a_run_says_what_was_chosen_and_is_that_method(tmp_path):
    data, _, model = observation(SHAPE)
    result = denoise.denoise(data, AUTO, noise=model)
    asked = denoise.denoise(data, result.method, noise=model)
    assert np.array_equal(result.cube.data, asked.cube.data)
    assert result.chosen
    assert asked.chosen == ""
    assert result.provenance.science == asked.provenance.science
    assert result.provenance.run["chosen"] == f"by auto: {result.chosen}"
    history = str(denoise.read(result.write(tmp_path / "out.fits")).header["HISTORY"]).replace("\n", "")
    assert f"Method chosen by auto: {result.chosen}" in history


def test_parameters_and_later_steps_name_their_method():
    data, _, model = observation(SHAPE)
    with pytest.raises(
        ParameterError, match=r"parameters belong to a method, and auto chooses one.*threshold"
    ):
        denoise.denoise(data, AUTO, noise=model, threshold=4.0)
    from denoise.engine import run_options
    from denoise.engine.run import check_methods

    with pytest.raises(UnknownMethodError, match="found: auto"):
        check_methods(run_options(method="smooth", then=[{"method": AUTO}]))


def test_a_recipe_may_leave_the_choice():
    from denoise.engine.recipe_file import check_recipe

    recipe = check_recipe({"version": 1, "steps": [{"denoise": {"method": AUTO}}]}, where="my.yaml")
    assert recipe.options().method == AUTO
    steps = [{"denoise": {"method": AUTO, "parameters": {"threshold": 4}}}]
    with pytest.raises(ParameterError, match=r"my.yaml: steps.0.denoise: parameters belong to a method"):
        check_recipe({"version": 1, "steps": steps}, where="my.yaml")
