"""How wide lines are: at half their peak, of either sign, and the widest of a training."""

import numpy as np
import pytest

pytest.importorskip("torch")

from denoise.networks.guarding import whole_fields
from denoise.networks.lines import line_width, widest_line
from denoise.networks.recipe import load_recipe
from denoise.resources import resource


def cube(fwhm, *, peak=10.0, channels=40, size=12, at=20.0):
    """A line of this width at every pixel of a square."""
    channel = np.arange(channels)[:, None, None]
    line = peak * np.exp(-4 * np.log(2) * ((channel - at) / fwhm) ** 2)
    out = np.zeros((channels, size, size), np.float32)
    out[:, 2:9, 3:10] = line
    return out


@pytest.mark.parametrize("fwhm", [3.0, 8.0, 15.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_width_at_half_of_the_peak(fwhm, sign):
    assert abs(line_width(sign * cube(fwhm)) - fwhm) <= 1


def test_a_continuum_is_as_wide_as_the_band():
    assert line_width(cube(4.0) + 6.0) == 40


def test_what_is_faint_few_or_an_image_has_no_width():
    assert line_width(cube(8.0, peak=1.4)) == 0
    few = np.zeros((40, 12, 12), np.float32)
    few[:, 5, 3:9] = 8.0
    assert line_width(few) == 0
    assert line_width(np.full((1, 12, 12), 9.0, np.float32)) == 0


def test_two_lines_of_one_spectrum_are_not_one_wide_line():
    both = cube(4.0, at=10.0) + cube(4.0, peak=9.0, at=28.0)
    assert abs(line_width(both) - 4) <= 1


def test_the_widest_of_a_training_is_that_of_its_scenes():
    recipe = whole_fields(load_recipe(resource("models", "unet3d-small", "recipe.yaml")).simulation)
    narrow = recipe.model_copy(update={"kinds": {"unresolved": 1.0}, "turbulent": 0.0, "bright": 1.0})
    wide = recipe.model_copy(update={"kinds": {"absorber": 1.0}, "turbulent": 0.0, "bright": 1.0})
    assert 3 < widest_line(narrow, 1, cubes=12) < 20 < widest_line(wide, 1, cubes=12)
    assert widest_line(narrow, 1, cubes=0) == np.inf
