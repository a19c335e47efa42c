"""The guard: windows on the cube's grid, a limit that holds, what is said of a cube, weights that it belongs to."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.errors import CancelledError, InputError  # noqa: E402
from denoise.networks import guard as guarding  # noqa: E402
from denoise.networks.examples import GUARDING, make_batch  # noqa: E402
from denoise.networks.guard import (  # noqa: E402
    GUARD,
    assess,
    channel_steps,
    cube_numbers,
    doubts,
    fit_guard,
    load_guard,
    spread_over,
    windows_of,
    write_guard,
)
from denoise.networks.guarding import guard_model  # noqa: E402
from denoise.networks.recipe import GuardRecipe, load_recipe  # noqa: E402
from denoise.networks.scalespace import BANDS, INPUTS, KNEE, NUMBERS  # noqa: E402
from denoise.networks.training import TrainingRun, train  # noqa: E402
from denoise.networks.weights import build  # noqa: E402
from denoise.noise import NoiseModel  # noqa: E402
from denoise.resources import resource  # noqa: E402

STEPS = 16


@pytest.fixture(scope="module")
def recipe():
    from denoise.networks.recipe import checked_recipe

    return checked_recipe(
        {
            "version": 1,
            "name": "tiny",
            "network": {"widths": [4, 6], "blocks": [1, 1], "start": "ist-gates"},
            "simulation": {
                "shapes": [{"shape": [8, 32, 32], "batch": 2}],
                "kinds": {"disc": 0.5, "merger": 0.5},
                "noise": {"white_convolved": 1.0},
                "snr": [6.0, 12.0],
                "bright": 0.0,
                "beam": [3.0, 4.0],
                "usual": 0.0,
            },
        },
        "tiny.yaml",
    )


@pytest.fixture(scope="module")
def network(recipe):
    return build(recipe).eval()


def batches(recipe, first, last):
    return (make_batch(recipe.simulation, 1, GUARDING, step) for step in range(first, last))


@pytest.fixture(scope="module")
def fitted(recipe, network):
    return fit_guard(network, batches(recipe, 0, STEPS), batches(recipe, STEPS, 2 * STEPS))


def bent(significance):
    return significance / (1 + np.abs(significance) / KNEE)


def scene(shape=(16, 24, 24), seed=0):
    """Features and inputs of a block of noise with two sources."""
    rng = np.random.default_rng(seed)
    inputs = np.zeros((*shape, INPUTS), np.float32)
    inputs[..., :BANDS] = bent(rng.normal(size=(*shape, BANDS)).clip(-3, 3))
    for at in ((5, 9, 10), (-4, -7, -9)):
        inputs[at][:BANDS] = bent(9.0)
    features = rng.normal(size=(*(n // 4 for n in shape), 5)).astype(np.float32)
    return features, inputs, np.zeros(NUMBERS, np.float32)


def test_windows_of_a_part_are_those_of_the_whole():
    features, inputs, numbers = scene((32, 48, 48))
    whole = windows_of(features, inputs, numbers)
    part = windows_of(features[:6], inputs[:24], numbers)
    inside = np.zeros_like(whole.at)
    inside[:4] = whole.at[:4]  # two cells from where the part ends
    assert inside.any()
    chosen = inside[whole.at]
    also = inside[:6][part.at]
    assert np.allclose(whole.values[chosen], part.values[also])
    assert np.allclose(whole.given[chosen], part.given[also])


def test_noise_alone_has_no_window_and_costs_nothing(fitted):
    _, inputs, numbers = scene()
    inputs[...] = bent(np.random.default_rng(1).normal(size=inputs.shape).clip(-4, 4))
    ratio, windows, unusual = assess(fitted, None, inputs, numbers, both=True)
    assert (windows, unusual) == (0, 0)
    assert not ratio.any()


def test_one_in_a_hundred_of_the_windows_held_out_exceeds_the_limit(recipe, network, fitted):
    values, given = guarding._drawn(network, batches(recipe, STEPS, 2 * STEPS))
    ratios = np.exp(fitted._logarithms(values, given) - fitted.limit)
    assert len(ratios) > 200
    # windows of one small cube hold the same, and are alike but for rounding
    assert np.mean(ratios > 1.001) <= 0.01
    assert np.mean(ratios > 0.999) >= 0.01


def test_emission_at_one_scale_alone_is_unusual(network, fitted):
    _, inputs, numbers = scene((8, 16, 16))
    inputs[...] = 0
    inputs[3:5, 7:9, 7:9, 4] = bent(15.0)  # no source looks like that: the neighbouring scales see nothing
    ratio, windows, unusual = assess(fitted, network, inputs, numbers, both=False)
    assert windows == unusual > 0
    assert ratio.max() > 1


def test_the_negative_of_a_source_counts_where_both_signs_may_be(network, fitted):
    _, inputs, numbers = scene((8, 16, 16))
    negative = np.concatenate([-inputs[..., :BANDS], inputs[..., BANDS:]], axis=-1)
    both = assess(fitted, network, inputs, numbers, both=True)
    turned = assess(fitted, network, negative, numbers, both=True)
    assert np.array_equal(both[0], turned[0])
    assert both[1:] == turned[1:]
    assert assess(fitted, None, np.minimum(inputs, 0), numbers, both=False)[1] == 0


def test_a_guard_belongs_to_its_weights(fitted, tmp_path):
    write_guard(fitted, "a" * 64, tmp_path)
    again = load_guard(tmp_path, "a" * 64)
    assert np.array_equal(again.axes, fitted.axes)
    assert (tmp_path / GUARD).stat().st_size < 200_000
    with pytest.raises(InputError, match=r"was fitted to other weights .*aaaa.*, not bbbb.*--resume"):
        load_guard(tmp_path, "b" * 64)
    (tmp_path / GUARD).write_bytes(b"no guard")
    with pytest.raises(InputError, match="cannot be read as a guard"):
        load_guard(tmp_path, "c" * 64)
    assert load_guard(tmp_path / "nothing", "a" * 64) is None


def test_a_training_that_is_done_gets_a_guard(recipe, tmp_path):
    steps = {"steps": 2, "warm_up": 1, "validate_every": 2, "validation": 1}
    asked = recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update=steps)})
    train(asked, TrainingRun(tmp_path, workers=0))
    done = load_recipe(tmp_path / "recipe.yaml").model_copy(update={"guard": GuardRecipe(steps=6)})
    told = []
    guard_model(done, tmp_path, report=lambda *counts: told.append(counts))
    first = (tmp_path / GUARD).read_bytes()
    assert told == [(done, 24) for done in range(1, 25)]  # 12 steps, then 12 lines
    guard_model(done, tmp_path)
    assert (tmp_path / GUARD).read_bytes() == first
    assert 1 < load_guard(tmp_path, str(done.sha256)).lines <= 8  # channels of its cubes

    def stop(*_):
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        guard_model(done, tmp_path, report=stop)
    assert not (tmp_path / GUARD).exists()


def test_the_size_of_the_packaged_networks_guard_is_small():
    widest = max(load_recipe(resource("models", name, "recipe.yaml")).network.widths[-1] for name in MODELS)
    floats = (widest + BANDS) * (6 + NUMBERS + 1 + guarding._AXES)
    assert 4 * floats < 200_000


MODELS = ("unet3d-small", "unet3d-base")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({}, []),
        ({"windows": 50.0, "unusual_windows": 5.0}, []),
        ({"windows": 50.0, "unusual_windows": 25.0}, ["50 % of the emission is unlike"]),
        ({"noise_reach": 9.0}, ["noise is correlated over 9.0 pixels"]),
        ({"channel_correlation": 0.9}, ["channels are correlated by 0.90"]),
        ({"brightest": 500.0}, ["the peak SNR is 500"]),
        (
            {"line_width": 39.0},
            ["lines are up to 39 channels wide; model unet3d-small was trained for up to 14"],
        ),
        ({"line_width": 9.0}, []),
    ],
)
def test_what_is_said_of_a_cube(numbers, said):
    recipe = load_recipe(resource("models", "unet3d-small", "recipe.yaml"))
    texts = doubts(recipe, numbers, guarded=True, lines=14.0)
    assert len(texts) == len(said)
    assert all(text.startswith(start) for text, start in zip(texts, said, strict=True))


def test_a_model_without_a_guard_says_that_it_cannot_tell():
    recipe = load_recipe(resource("models", "unet3d-small", "recipe.yaml"))
    assert doubts(recipe, {}, guarded=False) == [
        "model unet3d-small has no guard.safetensors: it cannot tell whether the emission is like its training"
    ]


@pytest.mark.parametrize("family", ["white_convolved", "imaged"])
@pytest.mark.parametrize("fwhm", [2.5, 8.5])
def test_beams_of_the_recipe_are_within_the_ranges(family, fwhm):
    recipe = load_recipe(resource("models", "unet3d-small", "recipe.yaml"))
    noise = NoiseModel.from_beam((8, 64, 64), 1.0, (fwhm, fwhm, 0.0), family)
    assert doubts(recipe, cube_numbers(noise, 10.0, 0, 0), guarded=True) == []
    wide = NoiseModel.from_beam((8, 96, 96), 1.0, (20.0, 20.0, 0.0), family)
    assert len(doubts(recipe, cube_numbers(wide, 10.0, 0, 0), guarded=True)) == 1


def test_steps_of_the_noise_are_typical_ones_nearby():
    steady = NoiseModel.white((60, 8, 8), np.full(60, 3.0))
    assert not channel_steps(steady).any()
    assert not channel_steps(NoiseModel.white((1, 8, 8), 1.0)).any()
    lines = np.ones(60)
    lines[[10, 30, 50]] = 8.0  # as sky lines do
    assert not channel_steps(NoiseModel.white((60, 8, 8), lines)).any()
    half = np.ones(60)
    half[30:] = np.where(np.arange(30) % 2, 1.5, 1.0)
    steps = channel_steps(NoiseModel.white((60, 8, 8), half))
    assert steps[:20] == pytest.approx(0)
    assert steps[42:] == pytest.approx(np.log(1.5))


def test_channels_without_sigma_have_no_steps():
    sigma = np.where(np.arange(40) % 2, 1.3, 1.0)
    sigma[:30] = np.nan
    sigma[30] = 0
    steps = channel_steps(NoiseModel.white((40, 8, 8), sigma))
    assert np.isfinite(steps).all()
    assert steps[-1] == pytest.approx(np.log(1.3))
    assert steps[0] == 0


def test_values_of_cells_are_linear_between_their_centres():
    cells = np.arange(4, dtype=np.float32)[None, :, None] * np.ones((2, 4, 3), np.float32)
    fine = spread_over(cells, (8, 32, 24))
    assert np.allclose(fine[:, 4:28], (np.arange(4, 28)[None, :, None] + 0.5) / 8 - 0.5, atol=1e-6)
    assert fine[:, :4].max() == 0
