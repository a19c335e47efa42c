"""LIDIA: parity with the published weights and arithmetic, and the search against a plain one."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from denoise.errors import UsageError  # noqa: E402
from denoise.networks.card import write_lidia_card  # noqa: E402
from denoise.networks.lidia import Lidia, from_reference, see  # noqa: E402
from denoise.networks.lidia_examples import GRAIN, UNIT, make_images  # noqa: E402
from denoise.networks.lidia_inference import denoised, folded_network  # noqa: E402
from denoise.networks.lidia_weights import load_lidia  # noqa: E402
from denoise.networks.neighbours import BORDER, find_neighbours, smoothed, with_border  # noqa: E402
from denoise.networks.recipe import LidiaRecipe, load_any_recipe, load_recipe  # noqa: E402
from denoise.networks.training import TrainingRun, train  # noqa: E402
from denoise.networks.unet3d import parameter_count  # noqa: E402
from denoise.resources import resource  # noqa: E402

TINY = {
    "version": 1,
    "name": "tiny",
    "network": "lidia-small",
    "images": {"source": "leaves", "size": 16, "images": 1},
    "optimiser": {"steps": 6, "warm_up": 1, "validate_every": 3, "validation": 1, "rate": 0.01, "mean": 0.1},
}
CHANNELS = TINY | {
    "images": {
        "source": "channels",
        "size": 16,
        "simulation": {
            "shapes": [{"shape": [4, 40, 40], "batch": 1}],
            "kinds": {"disc": 1.0},
            "noise": {"white_convolved": 1.0},
        },
    },
}


def checked_lidia(values):
    return LidiaRecipe(**values)


COUNTS = {False: 61_589, True: 40_226}


@pytest.mark.parametrize("small", [False, True])
def test_parameter_counts(small):
    assert parameter_count(Lidia(small=small)) == COUNTS[small]


# What the stored files leave out: the kernel that smooths the aggregated image of scale 1, [1 2 1] / 4 along both axes
# in a trained network, random there like all weights. Found by least squares: 9 numbers from 576 of the output.
KERNELS = {
    "grey": [-1.37276, -0.11232, 0.22762, -0.17029, 0.04195, -0.41505, 0.60499, 0.48685, -1.02053],
    "small": [0.23808, 0.11842, 0.21807, -0.51947, -0.55728, -0.52033, -0.30622, -0.37218, 0.21719],
}


@pytest.fixture(params=["grey", "small"])
def golden(request):
    """Network with stored weights, its input and its output (y, x)."""
    folder = os.environ.get("DENOISE_TEST_DATA")
    if not folder:
        pytest.skip("DENOISE_TEST_DATA names no folder with lidia_golden")
    stored = dict(np.load(Path(folder) / "lidia_golden" / f"lidia_{request.param}.npz"))
    network = from_reference(stored).requires_grad_(False)
    network.blur = torch.tensor(KERNELS[request.param]).view(1, 1, 3, 3)
    return network, stored["__input__"][0, 0], stored["__output__"][0, 0]


def test_parity(golden):
    network, image, wanted = golden
    mean = image.mean()
    found = network([see(image - mean, scale) for scale in (0, 1)])[0].numpy() + mean
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("scale", [0, 1])
def test_search_finds_what_a_plain_search_finds(scale):
    rng = np.random.default_rng(4)
    image = rng.normal(size=(79, 84)).astype(np.float32)
    found = find_neighbours(image[None], scale, threads=2)
    step, seen = scale + 1, (smoothed(image) if scale else image).astype(np.float64)
    y, x = 4, 7

    def patch(row, column):
        return seen[
            row - 3 * step : row + 3 * step + 1 : step, column - 3 * step : column + 3 * step + 1 : step
        ]

    far = range(-14 * step, 14 * step + 1, step)
    own = patch(35 + y, 35 + x)
    plain = sorted(
        (((patch(35 + y + dy, 35 + x + dx) - own) ** 2).sum(), dy * 84 + dx) for dy in far for dx in far
    )[:14]
    np.testing.assert_allclose(found.distances[y, x], [distance for distance, _ in plain], rtol=1e-5)
    np.testing.assert_array_equal(found.offsets[y, x], [offset for _, offset in plain])
    number = y * found.grid[1] + x
    patches = found.patches(number, number + 1)
    np.testing.assert_allclose(patches[0, 0], own.ravel(), atol=1e-6)


def test_search_does_not_depend_on_threads_or_on_where_an_image_begins():
    image = with_border(np.random.default_rng(5).normal(size=(1, 40, 30)).astype(np.float32))
    whole, cut = find_neighbours(image, 0, threads=2), find_neighbours(image[:, 5:, 3:], 0)
    assert np.array_equal(whole.distances[5:, 3:], cut.distances)
    assert np.array_equal(whole.distances, find_neighbours(image, 0).distances)


def test_search_in_other_planes_finds_a_moved_copy():
    image = np.random.default_rng(6).normal(size=(90, 90)).astype(np.float32)
    planes = np.stack([np.roll(image, (3, -5), axis=(0, 1)), image])
    found = find_neighbours(planes, 0, own=1)
    assert found.distances[10, 10, 1] == 0
    assert found.offsets[10, 10, 1] == -90 * 90 + 3 * 90 - 5
    patches = found.patches(0, 30)
    np.testing.assert_array_equal(patches[0], patches[1])


@pytest.mark.parametrize("small", [False, True])
def test_inference_is_the_network(small):
    """Normalisation folded in, in pieces and threads, against the plain network; its statistics are anything."""
    network = _anything(small)
    image = np.random.default_rng(7).normal(size=(86, 90)).astype(np.float32)
    plain = network([see(image * UNIT, scale, grain=GRAIN) for scale in (0, 1)])[0].numpy() / UNIT
    found = denoised(folded_network(network), image[None], threads=2)
    assert np.abs(plain - image[BORDER:-BORDER, BORDER:-BORDER]).max() > 0.1
    np.testing.assert_allclose(found, plain, atol=1e-4 * np.abs(plain).max())


def _anything(small):
    torch.manual_seed(3)
    network = Lidia(small=small)
    for name, value in network.state_dict().items():
        low, high = (0.5, 1.5) if "running_var" in name else (-0.4, 0.4)
        torch.nn.init.uniform_(value, low, high)
    return network.eval().requires_grad_(False)


def test_an_odd_result_in_both_signs():
    network, image = folded_network(_anything(True)), np.random.default_rng(8).normal(size=(1, 84, 84))
    planes = image.astype(np.float32)
    np.testing.assert_array_equal(
        denoised(network, planes, both=True), -denoised(network, -planes, both=True)
    )


def test_a_training_is_the_same_resumed_and_learns(tmp_path):
    # enough images that a few steps are seen to help, whatever the rounding of the processor
    images = {**TINY["images"], "size": 20, "images": 2}
    optimiser = {**TINY["optimiser"], "validate_every": 1, "validation": 4, "rate": 0.003}
    recipe = checked_lidia(TINY | {"images": images, "optimiser": optimiser})
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    done = train(recipe, TrainingRun(tmp_path / "whole", workers=0))
    run = TrainingRun(tmp_path / "parts", workers=0)
    train(recipe, replace(run, steps=3))
    train(recipe, replace(run, resume=True))
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]
    assert done.validations[-1]["loss"] < done.validations[0]["loss"]
    model = load_lidia(str(tmp_path / "whole"))
    assert model.recipe.trained
    write_lidia_card(tmp_path / "whole")
    assert "RMSE / sigma" in (tmp_path / "whole" / "CARD.md").read_text()


def test_images_do_not_depend_on_who_makes_them():
    images = checked_lidia(CHANNELS).images
    one, other = (make_images(images, 1, 0, step) for step in (4, 4))
    assert len(one.near) == 2
    for part, again in zip((one.truth, one.colour), (other.truth, other.colour), strict=True):
        assert np.array_equal(part, again)
    assert not np.array_equal(one.truth, make_images(images, 1, 0, 5).truth)
    noisy = one.near[0][0].planes[0][BORDER:-BORDER, BORDER:-BORDER] / UNIT
    assert 0.7 < np.std(noisy - one.truth[0]) < 1.3


def test_a_recipe_of_a_unet_is_none_of_lidia(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(TINY | {"network": "lidia-large"}))
    with pytest.raises(UsageError, match=r"network: .*lidia-small"):
        load_any_recipe(path)
    with pytest.raises(UsageError, match="network"):
        load_recipe(resource("models", "lidia-beams", "recipe.yaml"))
