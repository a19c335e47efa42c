"""A network on one block: mirror images, both signs, threads."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.networks.inference import weigh  # noqa: E402
from denoise.networks.scalespace import Grid, noise_numbers, scale_space  # noqa: E402
from denoise.networks.unet3d import ScaleSpaceUNet  # noqa: E402
from denoise.networks.weights import Model  # noqa: E402
from denoise.noise import NoiseModel  # noqa: E402

SHAPE = (8, 32, 24)


@pytest.fixture
def model(tiny_recipe):
    """With weights that do something everywhere."""
    torch.manual_seed(2)
    network = ScaleSpaceUNet((4, 6), (1, 1))
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return Model(network.eval().requires_grad_(False), tiny_recipe, "")


def weighed(model, data, **options):
    noise = noise_numbers(NoiseModel.white(SHAPE, 1.0))
    grid = Grid.of(SHAPE)
    found = weigh(model, scale_space(data, noise, grid), noise, **{"both": False, **options})
    return tuple(grid.pixels(part) for part in found)


def data():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.mark.parametrize(("flips", "axis"), [(2, 2), (4, 1), (8, 0)])
def test_the_mean_over_mirror_images_is_mirrored_with_the_data(model, flips, axis):
    here = weighed(model, data(), flips=flips)
    there = weighed(model, np.flip(data(), axis).copy(), flips=flips)
    for one, other in zip(here, there, strict=True):
        assert np.allclose(one, np.flip(other, axis), atol=1e-4)


def test_one_image_alone_is_not(model):
    here, there = weighed(model, data())[0], weighed(model, data()[:, :, ::-1].copy())[0]
    assert not np.allclose(here, there[:, :, ::-1], atol=1e-2)


def test_both_signs_are_odd_and_one_sign_is_not(model):
    for both in (True, False):
        plus, minus = (weighed(model, np.float32(sign) * data(), both=both)[0] for sign in (1, -1))
        assert np.allclose(plus, -minus, atol=1e-5) == both


def test_threads_change_nothing(model):
    one, two = (weighed(model, data(), threads=n) for n in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
