"""Parameters chosen on a cube: absurd ones lose, and the default stays unless another is better for certain."""

import json

import numpy as np
import pytest

from denoise.check.choosing.grids import MOST, candidates, default_grid
from denoise.check.choosing.tuned import Tried, Tuned, choose_tried
from denoise.check.choosing.tuning import injection_score, tune_method
from denoise.check.recovery.cells import Cell, Score
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.errors import ParameterError, UsageError
from denoise.methods.smooth import Smooth
from denoise.metrics import Measurement
from denoise.noise import NoiseModel
from denoise.report.tune_page import columns_of, rows_of

SHAPE = (16, 40, 44)
BEAM = (4.0, 3.5, 30.0)
NOISE = NoiseModel.from_beam(SHAPE, 1.0, BEAM)


def made(seed=0, peak=8.0):
    c, y, x = (np.arange(n) - n // 2 for n in SHAPE)
    square = (c[:, None, None] / 2.0) ** 2 + (y[:, None] / 4.0) ** 2 + (x / 4.0) ** 2
    sky = (peak * np.exp(-0.5 * square)).astype(np.float32)
    return Cube(sky + NOISE.sample(seed=seed), beam=BEAM, unit="Jy/beam")


def many(seed=0):
    """Four sources that a threshold of 20 misses."""
    sky = NOISE.sample(seed=seed)
    for at in ((5, 11, 11), (11, 11, 33), (11, 29, 11), (5, 29, 33)):
        c, y, x = (np.arange(n) - middle for n, middle in zip(SHAPE, at, strict=True))
        square = (c[:, None, None] / 1.2) ** 2 + (y[:, None] / 2.5) ** 2 + (x / 2.5) ** 2
        sky += (7.0 * np.exp(-0.5 * square)).astype(np.float32)
    return Cube(sky, beam=BEAM, unit="Jy/beam")


def tuned(method="ist", grid=None, *, cube=None, **more):
    return tune_method(cube or made(), run_options(method=method), grid, noise=NOISE, draws=2, **more)


def tried(value, error, emission=None):
    inside = None if emission is None else Measurement(*emission)
    return Tried({}, Measurement(1 + value, 0.5), Measurement(value, error), inside)


def test_a_threshold_that_misses_everything_is_not_chosen():
    found = tuned(grid={"threshold": (20.0,)}, cube=many())
    assert found.chosen == 0
    assert found.tried[1].difference.value > 2 * found.tried[1].difference.error
    assert found.tried[1].emission.value > 3 * found.tried[1].emission.error
    assert "stays with its default, threshold=5.5" in found.sentence()


def test_a_better_width_takes_the_place_of_an_absurd_one():
    options = run_options(method="smooth", parameters={"spectral_fwhm": 0.0})
    found = tune_method(made(), options, {"fwhm": (0.1, 5.0)}, noise=NOISE, draws=2)
    by_width = {found.values(one)["fwhm"]: one.score.value for one in found.tried}
    assert by_width[5.0] < by_width[None] < by_width[0.1]
    assert found.values(found.best)["fwhm"] == 5.0
    assert found.parameters == {"spectral_fwhm": 0.0, "fwhm": 5.0}


def test_a_gain_within_its_error_leaves_the_default():
    assert choose_tried((tried(0, 0), tried(-0.10, 0.06))) == 0
    assert choose_tried((tried(0, 0), tried(-0.10, 0.04), tried(-0.3, 0.1))) == 2
    assert choose_tried((tried(0, 0), Tried({}, None, None, failure="no"))) == 0


def test_a_gain_on_the_sky_does_not_pay_for_a_loss_in_the_emission():
    assert choose_tried((tried(0, 0), tried(-0.3, 0.1, (0.2, 0.1)), tried(-0.25, 0.1, (-0.1, 0.1)))) == 2


def test_without_emission_the_sky_does_not_decide():
    empty = Cube(NOISE.sample(seed=5), beam=BEAM, unit="Jy/beam")
    found = tuned("smooth", {"fwhm": (16.0,)}, cube=empty)
    assert found.tried[1].difference.value < -3 * found.tried[1].difference.error
    assert found.chosen == 0
    assert "no emission above 1 sigma to judge by" in found.sentence()


def test_nothing_that_makes_no_difference_is_chosen():
    found = tuned(grid={"fdr": (0.02, 0.05)})  # not used unless selection=fdr
    assert found.chosen == 0
    assert "nothing else makes a difference" in found.sentence()


def test_a_setting_that_fails_is_a_row_with_its_error(monkeypatch):
    apply = Smooth.apply

    def fragile(self, block, noise, state):
        if self.parameters.fwhm == 5.0:
            raise RuntimeError("no such width")
        return apply(self, block, noise, state)

    monkeypatch.setattr(Smooth, "apply", fragile)
    found = tuned("smooth", {"fwhm": (5.0, 6.0)})
    assert found.tried[1].failure == "RuntimeError: no such width"
    assert found.tried[2].score is not None
    assert any("could not be scored" in note for note in found.notes)


def test_a_second_half_is_a_score():
    half = many(seed=7)
    found = tune_method(many(), run_options(), {"threshold": (20.0,)}, score="halves", half=half, noise=NOISE)
    assert found.tried[1].difference.value > 3 * found.tried[1].difference.error
    assert found.draws == 1
    assert "against the second half" in found.sentence()


def test_it_comes_back_from_json_and_fills_its_table():
    found = tuned(grid={"threshold": (20.0,)})
    assert [len(row) for row in rows_of(found)] == [len(columns_of(found))] * 2
    assert rows_of(found)[0][-1] == "default, chosen"
    assert Tuned.from_dict(json.loads(found.to_json())) == found


def test_the_score_of_injected_sources_is_the_loss_and_the_false_share():
    class Checked:
        kinds = (type("Kind", (), {"name": "disc"}),)
        false = None

        def of_kind(self, name):
            flux = (Score(0.5, 0.1, 0.2), Score(0.9, 0.0, 0.1))
            return [Cell(name, snr, 9, 9, {"flux": one}) for snr, one in zip((3, 8), flux, strict=True)]

    assert injection_score(Checked()).value == pytest.approx((0.25 - 0.01 + 0.01) / 2)
    Checked.false = type("False_", (), {"expected": 1.0, "error": 0.4})
    score = injection_score(Checked())
    assert score.value == pytest.approx(0.125 + 0.5)
    assert score.error > 0.1


def test_grids_are_products_with_the_default_once():
    found = candidates("ist", {}, {"threshold": [5.5, 6.0], "selection": ["sigma", "fdr"]})
    assert found[0] == {}
    assert len(found) == 4


@pytest.mark.parametrize("method", ["ist", "smooth", "pca", "ica", "unet", "hybrid"])
def test_every_usual_grid_is_valid(method):
    assert len(candidates(method, {}, default_grid(method))) >= 2


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"treshold": [4]}, "no parameter 'treshold'"),
        ({"threshold": [-1]}, "not valid"),
        ({"threshold": [5.5]}, "the default alone"),
        ({"threshold": list(np.linspace(3, 9, MOST + 1))}, "too many"),
    ],
)
def test_a_grid_that_is_wrong_is_one_line(grid, words):
    with pytest.raises(ParameterError, match=words):
        tuned(grid=grid)


def test_what_cannot_be_tuned_says_so():
    with pytest.raises(ParameterError, match="lidia has no parameter"):
        default_grid("lidia")
    with pytest.raises(UsageError, match="name it with -m"):
        tuned("auto")
    with pytest.raises(UsageError, match="needs a second half"):
        tuned(score="halves")
    with pytest.raises(UsageError, match="at least 1 draw"):
        tune_method(made(), run_options(), draws=0)
