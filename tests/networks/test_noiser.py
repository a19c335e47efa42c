"""The NoiSER network: its compiled form against torch, its statistics, its training, what ships and what is cached."""

import numpy as np
import pytest

from denoise.errors import InputError
from denoise.networks.noiser import TAPS, Moments, Weights, enhance, freeze, moments_of, neighbourhoods
from denoise.networks.noiser_training import (
    NoiserRecipe,
    cache_folder,
    forward,
    load_recipe,
    packed,
    train,
    trained,
)
from denoise.resources import resource


@pytest.fixture
def weights():
    rng = np.random.default_rng(1)
    return Weights(
        rng.normal(size=(53, 9)).astype(np.float32), 0.1 * rng.normal(size=(53, 9)).astype(np.float32), 0.1
    )


def _everywhere(plane):
    return moments_of(neighbourhoods(plane, np.ones(plane.shape, bool)), TAPS)


def test_the_compiled_network_is_the_one_that_was_trained(weights):
    torch = pytest.importorskip("torch")
    plane = np.random.default_rng(2).normal(2.0, 3.0, size=(31, 40)).astype(np.float32)
    first, second = (
        torch.tensor(part.reshape(shape))
        for part, shape in ((weights.first, (53, 1, 3, 3)), (weights.second, (1, 53, 3, 3)))
    )
    network, images = [first, second, torch.tensor([weights.bias])], torch.tensor(plane)[None, None]
    odd = (forward(torch, network, images) - forward(torch, network, -images)) / 2
    fast = enhance(plane[None], freeze(weights, _everywhere(plane)))
    assert np.abs(fast[0] - odd[0, 0].numpy()).max() < 1e-5


def test_troughs_are_drawn_as_peaks_are(weights):
    plane = np.random.default_rng(7).normal(1.0, 2.0, size=(30, 30)).astype(np.float32)
    up, down = (enhance(one[None], freeze(weights, _everywhere(one))) for one in (plane, -plane))
    assert np.abs(up + down).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (2, 3, 1), (1, 100, 30), (3, 5, 4)])
def test_any_shape_and_any_threads(weights, shape):
    network = freeze(weights, Moments(1, np.zeros(9), np.eye(9)))
    block = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    alone = enhance(block, network)
    assert alone.shape == shape
    assert np.isfinite(alone).all()
    assert np.array_equal(alone, enhance(block, network, threads=2))


def test_a_part_with_a_margin_of_two_pixels_is_worked_out_as_the_whole(weights):
    plane = np.random.default_rng(4).normal(size=(1, 40, 40)).astype(np.float32)
    network = freeze(weights, _everywhere(plane[0]))
    whole, part = enhance(plane, network), enhance(plane[:, 8:32, 8:32], network)
    assert np.abs(part[:, 2:-2, 2:-2] - whole[:, 10:30, 10:30]).max() < 1e-6
    assert np.abs(part - whole[:, 8:32, 8:32]).max() > 1e-3  # the margin is needed


def test_moments_of_parts_are_those_of_the_whole():
    vectors = np.random.default_rng(5).normal(1e4, 1.0, size=(9, 1000))
    total = moments_of(iter(np.array_split(vectors, 7, axis=1)), 9)
    assert total.number == 1000
    assert total.mean == pytest.approx(vectors.mean(axis=1), rel=1e-12)
    assert total.covariance == pytest.approx(np.cov(vectors, bias=True), abs=1e-9)


def test_neighbourhoods_reflect_at_the_border():
    plane = np.arange(6, dtype=np.float32).reshape(2, 3)
    corner = np.zeros((2, 3), bool)
    corner[0, 0] = True
    assert np.hstack(list(neighbourhoods(plane, corner)))[:, 0].tolist() == [4, 3, 4, 1, 0, 1, 4, 3, 4]


def test_training_is_fixed_by_its_seed_and_lowers_the_loss():
    pytest.importorskip("torch")
    recipe = NoiserRecipe(smoothing=0.0, steps=60, size=16, hidden=8, rate=0.01)
    first, again = train(recipe), train(recipe)
    assert packed(first) == packed(again)
    assert packed(first) != packed(train(recipe.model_copy(update={"seed": 2})))
    noise = np.random.default_rng(6).normal(size=(64, 64)).astype(np.float32)

    def error(weights):
        made = enhance(noise[None], freeze(weights, _everywhere(noise)))[0]
        return float(np.abs(made - 0.25 * noise).mean())

    assert error(first) < 0.5 * error(train(recipe.model_copy(update={"steps": 1})))


def test_what_ships_is_small_and_is_what_its_recipe_names():
    recipe = load_recipe(resource("models", "noiser", "recipe.yaml"))
    found = trained(recipe.smoothing)
    assert found.checksum == recipe.sha256
    assert 800 < found.weights.first.size + found.weights.second.size + 1 < 1200  # "about 1K", one channel
    assert resource("models", "noiser", "CARD.md").is_file()


def test_another_smoothing_is_trained_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def quick(recipe):
        calls.append(recipe.smoothing)
        return Weights(np.ones((2, 9), np.float32), np.ones((2, 9), np.float32), recipe.smoothing)

    monkeypatch.setattr("denoise.networks.noiser_training.train", quick)
    assert trained(0.123).weights.bias == pytest.approx(0.123)
    _forget()
    assert trained(0.123).weights.bias == pytest.approx(0.123)
    assert calls == [0.123]
    assert len(list(cache_folder().glob("noiser-0.123-*.safetensors"))) == 1


def test_a_broken_file_in_the_cache_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "denoise.networks.noiser_training.train",
        lambda recipe: Weights(np.ones((2, 9), np.float32), np.ones((2, 9), np.float32), 0.0),
    )
    trained(0.234)
    _forget()
    path = next(cache_folder().glob("*.safetensors"))
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot be read as weights of NoiSER.*remove it"):
        trained(0.234)


def _forget():
    from denoise.networks import noiser_training

    noiser_training._cached.cache_clear()
    noiser_training._read.cache_clear()
