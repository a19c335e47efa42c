"""The networks: counts and shapes, what is odd, what is kept whatever they say."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.networks.scalespace import INPUTS, STEP, network_reach  # noqa: E402
from denoise.networks.unet3d import (  # noqa: E402
    Answer,
    ReferenceUNet,
    ScaleSpaceUNet,
    both_signs,
    negated,
    parameter_count,
    weighed,
)

SHAPE = (8, 16, 16)


@pytest.fixture
def network():
    """Small, with weights that do something (a new network answers the same everywhere)."""
    torch.manual_seed(1)
    made = ScaleSpaceUNet((4, 6, 8), (1, 1, 1))
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return made.eval().requires_grad_(False)


def seen(shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, *shape, INPUTS, generator=generator), torch.randn(1, 8, generator=generator)


def test_a_larger_network_begins_with_what_a_smaller_one_says(network):
    larger = ScaleSpaceUNet((6, 7, 12), (2, 1, 3)).eval().requires_grad_(False)
    larger.load_state_dict(larger.grown(network.state_dict()))
    for one, other in zip(larger(*seen()), network(*seen()), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("widths", [(4, 5, 8), (4, 6), (4, 6, 8, 8)])
def test_a_network_does_not_begin_with_what_is_larger_or_has_other_levels(network, widths):
    with pytest.raises(RuntimeError, match=r"more than|levels"):
        ScaleSpaceUNet(widths, (1,) * len(widths)).grown(network.state_dict())


def test_what_is_new_in_a_larger_network_learns(network):
    larger = ScaleSpaceUNet((6, 7, 12), (1, 1, 1))
    larger.load_state_dict(larger.grown(network.state_dict()))
    larger(*seen()).correction.square().sum().backward()
    assert larger.head.weight.grad[:, 4:].abs().max() > 0


def test_the_published_network_has_its_count_and_keeps_the_shape():
    network = ReferenceUNet()
    assert parameter_count(network) == 5_643_200
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 32, 48)).shape == (1, 1, 32, 32, 48)


def test_the_published_network_crops_its_skips_to_the_centre():
    with torch.no_grad():
        assert ReferenceUNet(2, poolings=2)(torch.randn(1, 1, 13, 14, 19)).shape == (1, 1, 12, 12, 16)


def test_the_published_network_has_no_bias_so_it_scales():
    torch.manual_seed(0)
    network, data = ReferenceUNet(2, poolings=2).double(), torch.randn(1, 1, 8, 8, 8, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(network(1e6 * data), 1e6 * network(data), rtol=1e-9)


@pytest.mark.parametrize(
    ("widths", "blocks", "low", "high"),
    [((16, 48, 104), (2, 2, 4), 0.6e6, 0.75e6), ((32, 80, 232), (2, 3, 5), 3.0e6, 4.0e6)],
)
def test_ours_have_the_size_that_they_should(widths, blocks, low, high):
    assert low < parameter_count(ScaleSpaceUNet(widths, blocks)) < high


def test_answers_have_their_shapes_and_ranges(network):
    answer = network(*seen())
    assert answer.gains.shape == (1, *SHAPE, 25)
    assert answer.correction.shape == (1, *SHAPE, 4)
    assert answer.log_variance.shape == (1, *SHAPE, 1)
    assert 0 <= answer.gains.min() <= answer.gains.max() <= 1


def test_an_image_has_one_channel(network):
    assert network(*seen((1, 16, 16))).gains.shape == (1, 1, 16, 16, 25)


def test_a_batch_is_its_cubes_one_by_one(network):
    (a, told), (b, other) = seen(seed=1), seen(seed=2)
    together = network(torch.cat([a, b]), torch.cat([told, other]))
    assert torch.allclose(together.gains[1:], network(b, other).gains, atol=1e-5)


def test_nothing_is_seen_beyond_the_reach(network):
    channels, pixels = network_reach((1, 1, 1))
    shape = (1, 8, 64)
    inputs, numbers = seen(shape)
    changed = inputs.clone()
    changed[:, :, :, :4] += 5
    far = 4 + (pixels - 1) // 2
    before, after = network(inputs, numbers), network(changed, numbers)
    assert torch.allclose(before.gains[:, :, :, far:], after.gains[:, :, :, far:], atol=1e-6)
    assert not torch.allclose(
        before.gains[:, :, :, 4 : far - 6], after.gains[:, :, :, 4 : far - 6], atol=1e-6
    )
    long = seen((64, 8, 8))[0]
    changed = long.clone()
    changed[:, :4] += 5
    gains = [network(each, numbers).gains[:, 4 + channels :] for each in (long, changed)]
    assert torch.allclose(*gains, atol=1e-6)


def test_a_shift_by_the_step_of_the_poolings_shifts_the_answer(network):
    inputs, numbers = seen((48, 48, 48))
    step = (STEP[0], STEP[1] // 2, STEP[2] // 2)
    moved = torch.roll(inputs, step, dims=(1, 2, 3))
    here, there = network(inputs, numbers).gains, network(moved, numbers).gains
    inside = (slice(None), slice(20, -20), slice(20, -20), slice(20, -20))
    assert torch.allclose(torch.roll(here, step, dims=(1, 2, 3))[inside], there[inside], atol=1e-5)


def test_the_answer_to_both_signs_is_odd(network):
    inputs, numbers = seen()
    bands = torch.randn(1, *SHAPE, 25, 4)
    one, other = network(inputs, numbers), network(negated(inputs), numbers)
    noise = torch.ones(1, 25)
    plus = weighed(both_signs(one, other), bands, noise, 4.0)
    minus = weighed(both_signs(other, one), -bands, noise, 4.0)
    assert torch.equal(plus, -minus)


def test_what_is_far_above_the_noise_is_kept_whatever_the_network_says():
    bands = torch.zeros(1, 1, 1, 1, 25, 4)
    bands[..., 3, 0], bands[..., 4, 1] = 100.0, 3.0
    nothing = Answer(torch.zeros(1, 1, 1, 1, 25), torch.zeros(1, 1, 1, 1, 4), torch.zeros(1, 1, 1, 1, 1))
    kept = weighed(nothing, bands, torch.ones(1, 25), 4.0)
    assert kept[..., 0].item() == pytest.approx(100 * (1 - 16 / 100**2))
    assert kept[..., 1].item() == 0


def test_gradients_of_the_weighed_sum_are_right():
    torch.manual_seed(0)
    gains = torch.rand(1, 2, 3, 3, 25, dtype=torch.double, requires_grad=True)
    bands, noise = (
        3 * torch.randn(1, 2, 3, 3, 25, 4, dtype=torch.double),
        torch.rand(1, 25, dtype=torch.double),
    )
    zero = torch.zeros(1, 2, 3, 3, 4, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda g: weighed(Answer(g, zero, zero), bands, noise, 2.0), (gains,))


def test_gates_are_those_of_ist_where_its_region_is_whole():
    from safetensors.numpy import load_file

    from denoise.networks.recipe import load_recipe
    from denoise.networks.unet3d import gain
    from denoise.networks.weights import build
    from denoise.resources import resource

    values = load_file(resource("models", "ist-gates", "weights.safetensors"))
    inputs, numbers = (part.numpy().astype(np.float64) for part in seen((1, 4, 4)))
    network = build(load_recipe(resource("models", "unet3d-small", "recipe.yaml")))
    logits = []
    for sign in (1, -1):
        column = np.concatenate([sign * inputs[0, 0, 1, 1, :25], [1.0], inputs[0, 0, 1, 1, 25:], numbers[0]])
        logits.append(values["w2"] @ np.maximum(values["w1"] @ column + values["b1"], 0) + values["b2"])
    z = np.maximum(*logits)
    answer = network(*seen((1, 4, 4)))
    assert np.allclose(gain(torch.from_numpy(z)), 0.5 * (1 + z / (1 + np.abs(z))))
    assert np.allclose(answer.gains[0, 0, 1, 1].detach(), 0.5 * (1 + z / (1 + np.abs(z))), atol=1e-5)
    assert not answer.correction.any()
