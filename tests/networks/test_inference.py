"""A network on one block: the fast path against the definition, mirror images, both signs, threads."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.networks.inference import weigh  # noqa: E402
from denoise.networks.routes import TorchRoute  # noqa: E402
from denoise.networks.scalespace import Grid, noise_numbers, scale_space  # noqa: E402
from denoise.networks.unet3d import weighed  # noqa: E402
from denoise.networks.weighing import seen  # noqa: E402
from denoise.noise import NoiseModel  # noqa: E402

SHAPE = (8, 32, 24)


def weighed_block(model, block, shape=SHAPE, start=(0, 0, 0), **options):
    noise = noise_numbers(NoiseModel.white(shape, 1.0))
    grid = Grid.of(block.shape, start, image=shape[0] == 1)
    return weigh(TorchRoute(model), block, noise, grid, **{"both": False, **options})


def data(shape=SHAPE):
    made = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    made[shape[0] // 2, : shape[1] // 2, 2:5] += 30  # beyond the floor of the gains
    return made


@pytest.mark.parametrize(
    ("shape", "start", "cube"),
    [
        ((8, 32, 24), (0, 0, 0), (8, 32, 24)),
        ((7, 23, 37), (3, 5, 9), (40, 64, 64)),
        ((1, 20, 33), (0, 3, 5), (1, 60, 60)),
        ((3, 5, 7), (0, 0, 0), (3, 5, 7)),
        ((12, 9, 300), (2, 1, 0), (24, 64, 300)),
    ],
)
def test_it_is_what_training_sees_and_weighs_without_storing_it(tiny_model, monkeypatch, shape, start, cube):
    monkeypatch.setattr("denoise.transforms.starlet.FREE_BYTES", 1)  # several strips
    block, numbers = data(shape), noise_numbers(NoiseModel.white(cube, 1.0))
    grid = Grid.of(shape, start, image=cube[0] == 1)
    space = scale_space(block, numbers, grid)
    assert np.allclose(seen(block, numbers, grid), space.inputs, atol=2e-5)
    network, told, bands = (
        tiny_model.network,
        *(torch.from_numpy(n)[None] for n in (numbers.numbers, numbers.bands)),
    )
    answer = network(torch.from_numpy(space.inputs)[None], told)
    expected = weighed(answer, torch.from_numpy(space.bands)[None], bands, 4.0)[0]
    found, variance = weighed_block(tiny_model, block, cube, start)
    assert np.allclose(found, grid.pixels(expected.numpy()), atol=2e-4)
    spread = answer.log_variance[0].exp().expand(*expected.shape)
    assert np.allclose(variance, grid.pixels(spread.numpy()), rtol=2e-3)


@pytest.mark.parametrize(("flips", "axis"), [(2, 2), (4, 1), (8, 0)])
def test_the_mean_over_mirror_images_is_mirrored_with_the_data(tiny_model, flips, axis):
    here = weighed_block(tiny_model, data(), flips=flips)
    there = weighed_block(tiny_model, np.flip(data(), axis).copy(), flips=flips)
    for one, other in zip(here, there, strict=True):
        assert np.allclose(one, np.flip(other, axis), atol=1e-4)


def test_one_image_alone_is_not(tiny_model):
    here, there = (
        weighed_block(tiny_model, data())[0],
        weighed_block(tiny_model, data()[:, :, ::-1].copy())[0],
    )
    assert not np.allclose(here, there[:, :, ::-1], atol=1e-2)


def test_both_signs_are_odd_and_one_sign_is_not(tiny_model):
    for both in (True, False):
        plus, minus = (weighed_block(tiny_model, np.float32(sign) * data(), both=both)[0] for sign in (1, -1))
        assert np.allclose(plus, -minus, atol=1e-4) == both


def test_threads_change_nothing(tiny_model):
    one, two = (weighed_block(tiny_model, data(), threads=n) for n in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
