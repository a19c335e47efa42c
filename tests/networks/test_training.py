"""Training: reproducible, resumed as if unbroken, checked recipes, losses that mean what they say."""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.errors import InputError, ParameterError, UsageError  # noqa: E402
from denoise.networks import checkpoint, losses  # noqa: E402
from denoise.networks.examples import TRAINING, make_batch  # noqa: E402
from denoise.networks.recipe import (  # noqa: E402
    BegunWith,
    LossRecipe,
    OptimiserRecipe,
    checked_recipe,
    load_any_recipe,
    load_recipe,
)
from denoise.networks.training import (  # noqa: E402
    TrainingRun,
    learning_rate,
    new_state,
    on_device,
    one_step,
    train,
)
from denoise.networks.unet3d import Answer  # noqa: E402
from denoise.networks.weights import load_model  # noqa: E402
from denoise.resources import resource  # noqa: E402


def curve(progress):
    return [value for _, value in progress.losses], progress.validations[-1]["loss"]


def test_a_training_begins_with_the_weights_of_a_model(tiny_recipe, tmp_path):
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
    train(tiny_recipe, TrainingRun(tmp_path / "first", workers=0, steps=2))
    given = load_model(str(tmp_path / "first"))
    again = TrainingRun(tmp_path / "again", workers=0, steps=1, begin=str(tmp_path / "first"))
    state = new_state(tiny_recipe, "cpu", again.begin)
    for name, value in given.network.state_dict().items():
        assert torch.equal(state.network.state_dict()[name], value)
    train(tiny_recipe, again)
    begun = load_recipe(tmp_path / "again" / "recipe.yaml").begun
    assert begun == BegunWith(model="tiny", sha256=given.checksum)
    # gone on with, it knows what it began with; to begin with another model is another training
    train(tiny_recipe, dataclasses.replace(again, begin=None, resume=True, steps=2))
    assert load_recipe(tmp_path / "again" / "recipe.yaml").begun == begun
    with pytest.raises(UsageError, match="made by another recipe"):
        train(tiny_recipe, dataclasses.replace(again, begin=str(tmp_path / "again"), resume=True))
    with pytest.raises(InputError, match="does not fit the network of the recipe"):
        train(tiny_recipe, dataclasses.replace(again, begin="unet3d-small"))


def test_models_to_begin_with_are_those_of_the_same_network(tmp_path):
    recipe = load_any_recipe(resource("models", "lidia-beams", "recipe.yaml"))
    with pytest.raises(ParameterError, match=r"known: lidia-beams[^\n]*; or a folder"):
        train(recipe, TrainingRun(tmp_path, begin="none-such"))


def test_twenty_steps_are_the_same_twice_with_and_without_workers(tiny_recipe, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = train(tiny_recipe, TrainingRun(tmp_path / "a", workers=0))
    second = train(tiny_recipe, TrainingRun(tmp_path / "b", workers=1))
    assert first.step == 20
    assert curve(first) == curve(second)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_resumed_training_is_the_unbroken_one(tiny_recipe, tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    train(tiny_recipe, TrainingRun(tmp_path / "whole", workers=0))
    run = TrainingRun(tmp_path / "parts", workers=0)
    train(tiny_recipe, dataclasses.replace(run, steps=7))
    steps = iter(range(100))
    stopped = train(tiny_recipe, dataclasses.replace(run, resume=True, stop=lambda: next(steps) >= 5))
    assert stopped.step == 13
    done = train(tiny_recipe, dataclasses.replace(run, resume=True))
    assert done.step == 20
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_training_tells_how_far_it_is_and_draws_its_curves(tiny_recipe, tmp_path):
    events = []
    train(tiny_recipe, TrainingRun(tmp_path, workers=0, report=events.append))
    steps = [event for event in events if event.validation is None]
    assert [event.step for event in steps] == list(range(1, 21))
    assert steps[-1].seconds_left == 0
    assert steps[3].seconds_left > 0
    assert sum(event.validation is not None for event in events) == 2
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_time_budget_ends_the_training_with_weights(tiny_recipe, tmp_path):
    done = train(tiny_recipe, TrainingRun(tmp_path, workers=0, hours=1e-7))
    assert done.step == 1
    assert load_model(str(tmp_path)).recipe.name == "tiny"
    again = train(tiny_recipe, TrainingRun(tmp_path, workers=0, hours=1e-7, resume=True))
    assert again == done


def test_early_stop(tiny, tmp_path):
    tiny["optimiser"] |= {"patience": 2, "validate_every": 1, "rate": 1e-12, "least_rate": 0.0, "mean": 0.0}
    done = train(checked_recipe(tiny, "tiny.yaml"), TrainingRun(tmp_path, workers=0))
    assert done.step < 20
    assert done.waited == 2


@pytest.mark.parametrize("patience", [0, 9])
def test_the_weights_of_the_end_are_kept_or_the_best_where_it_may_stop_early(tiny, tmp_path, patience):
    """A rate this high makes them worse."""
    tiny["optimiser"] |= {
        "steps": 5, "patience": patience, "validate_every": 2, "rate": 0.5, "least_rate": 0.4, "mean": 0.0
    }  # fmt: skip
    done = train(checked_recipe(tiny, "tiny.yaml"), TrainingRun(tmp_path, workers=0))
    assert [numbers["step"] for numbers in done.validations] == [2, 4, 5]
    state = new_state(checked_recipe(tiny, "tiny.yaml"), "cpu")
    checkpoint.load_state(state, tmp_path, checked_recipe(tiny, "tiny.yaml").fixed())
    wanted = state.best if patience else state.mean
    kept = load_model(str(tmp_path)).network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in wanted.items())
    best = min(done.validations, key=lambda numbers: numbers["loss"])
    assert done.kept(patience) == (best if patience else done.validations[-1])


def test_a_checkpoint_of_another_recipe_is_refused(tiny, tiny_recipe, tmp_path):
    train(tiny_recipe, TrainingRun(tmp_path, workers=0, steps=1))
    tiny["loss"] = {"cube": 0.9}
    with pytest.raises(UsageError, match="made by another recipe"):
        train(checked_recipe(tiny, "tiny.yaml"), TrainingRun(tmp_path, workers=0, resume=True))
    (tmp_path / checkpoint.FILE).write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        train(tiny_recipe, TrainingRun(tmp_path, workers=0, resume=True))


def test_more_steps_or_another_clock_are_no_other_recipe_but_another_rate_is(tiny):
    fixed = checked_recipe(tiny, "").fixed()
    tiny["optimiser"] |= {"hours": 3, "patience": 4, "validate_every": 7}
    assert checked_recipe(tiny, "").fixed() == fixed
    tiny["optimiser"] |= {"rate": 0.1}
    assert checked_recipe(tiny, "").fixed() != fixed
    json.dumps(fixed)


def test_training_learns(tiny_recipe):
    state = new_state(tiny_recipe, "cpu")
    batch = on_device(make_batch(tiny_recipe.simulation, 1, TRAINING, 0), "cpu")
    values = []
    for _ in range(25):
        values.append(one_step(state, batch, tiny_recipe))
        state.progress.step += 1
    assert values[-1] < values[0] - 0.3


def test_the_rate_rises_and_falls():
    asked = OptimiserRecipe(steps=100, warm_up=10, rate=1.0, least_rate=0.1)
    rates = [learning_rate(asked, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == max(rates) == pytest.approx(1)
    assert sorted(rates[9:], reverse=True) == rates[9:]
    assert rates[-1] == pytest.approx(0.1)
    assert learning_rate(asked, 20, share_of_time=1.0) == pytest.approx(0.1)


@pytest.fixture
def solved(tiny_recipe):
    """A batch of cubes and a network that knows the truth."""
    for step in range(20):
        batch = on_device(make_batch(tiny_recipe.simulation, 2, TRAINING, step), "cpu")
        if (batch.snr > 0).all() and batch.inputs.shape[1] > 1:
            break
    size = batch.truth.shape[:4]
    return batch, Answer(torch.zeros(*size, 25), batch.truth.clone(), torch.zeros(*size, 1))


def test_the_truth_costs_nothing_and_zeros_cost_all_of_it(solved):
    batch, right = solved
    found = losses.terms(right, batch._replace(bands=torch.zeros_like(batch.bands)), 4.0)
    assert float(found.cube.max()) < 1e-6
    assert torch.allclose(found.bias_flux, torch.zeros_like(found.bias_flux), atol=1e-5)
    zeros = right._replace(correction=torch.zeros_like(right.correction))
    lost = losses.terms(zeros, batch._replace(bands=torch.zeros_like(batch.bands)), 4.0)
    assert torch.allclose(lost.bias_flux, -torch.ones_like(lost.bias_flux))
    assert torch.allclose(lost.bias_peak, -torch.ones_like(lost.bias_peak))
    assert (lost.emission <= lost.cube).all()


def test_the_likelihood_is_best_where_the_variance_is_that_of_the_errors():
    energy, mask = torch.full((1, 4, 8, 8), 0.25), torch.ones(1, 4, 8, 8, dtype=torch.bool)
    values = {
        level: float(losses.likelihood(energy, torch.full((1, 4, 4, 4, 1), float(np.log(level))), mask))
        for level in (0.1, 0.25, 0.6)
    }
    assert min(values, key=values.get) == 0.25


def test_no_gradient_of_the_variance_reaches_the_result(solved):
    batch, right = solved
    correction = torch.zeros_like(right.correction, requires_grad=True)
    found = losses.terms(right._replace(correction=correction), batch, 4.0)
    assert found.cube.requires_grad
    assert not found.variance.requires_grad


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("version",), 2, "version"),
        (("simulation", "kinds"), {"disc": 0.4}, "add up to 1, not 0.4"),
        (("simulation", "kinds"), {"discs": 1.0}, "simulation.kinds"),
        (("simulation", "snr"), [3, 2], "0 < low <= high"),
        (("network",), {"widths": [8], "blocks": [1, 1]}, "one number a level"),
        (("optimiser",), {"step": 3}, "optimiser.step"),
        (("simulation", "shapes"), [{"shape": [40, 60, 64]}], "multiples of 8"),
    ],
)
def test_a_wrong_recipe_is_one_line_with_its_place(tiny, place, value, message):
    target = tiny
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(UsageError) as caught:
        checked_recipe(tiny, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file"),
    [("unet3d-small", "recipe.yaml"), ("unet3d-base", "recipe.yaml"), ("unet3d-base", "gpu.yaml")],
)
def test_the_recipes_of_the_models_are_valid(name, file):
    recipe = load_recipe(resource("models", name, file))
    assert recipe.name == name
    assert recipe.simulation.kinds["empty"] == 0.2
    assert not set(recipe.simulation.kinds) & {"ring", "shell"}  # left out for the guard


def test_a_recipe_that_is_none(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("- 3")
    with pytest.raises(UsageError, match="is not a recipe"):
        load_recipe(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_a_bias_is_that_of_a_scene_and_not_of_its_noise():
    weight = LossRecipe(emission=0, aperture=0, cube=0, bias_flux=1, bias_peak=0, bias_outside=0, variance=0)
    parts = {name: torch.zeros(2) for name in losses.Terms._fields}
    found = losses.Terms(**parts | {"bias_flux": torch.tensor([0.5, -0.3])})
    snr = torch.full((2,), 8.0)
    alone, together = (
        float(losses.loss(found, snr, torch.tensor(scene), weight)) for scene in ([0.0, 1.0], [0.0, 0.0])
    )
    assert alone == pytest.approx((0.25 + 0.09) / 2)
    assert together == pytest.approx(0.1**2)
