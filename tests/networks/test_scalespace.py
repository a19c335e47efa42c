"""What the network sees: sums, significances, the grid of half the pixels."""

import numpy as np
import pytest

from denoise.networks.scalespace import Grid, noise_numbers, scale_space
from denoise.noise import NoiseModel
from denoise.testing.subject import noise_model


@pytest.mark.parametrize("shape", [(1, 20, 33), (2, 3, 3), (5, 2, 9), (40, 64, 48), (3, 4, 1)])
def test_the_sub_bands_add_up_to_the_block(shape):
    noise = NoiseModel.white(shape, 1.0)
    data = noise.sample(seed=1)
    grid = Grid.of(shape, (3, 5, 6), image=shape[0] == 1)
    space = scale_space(data, noise_numbers(noise), grid)
    assert np.allclose(grid.pixels(space.bands.sum(axis=3)), data, atol=1e-5)


def test_positions_hold_two_by_two_pixels_row_by_row():
    data = np.arange(4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
    grid = Grid.of(data.shape)
    at = grid.positions(data)
    assert at.shape == (4, 4, 4, 4)
    assert at[1, 2, 3].tolist() == [*data[1, 4, 6:8], *data[1, 5, 6:8]]
    assert np.array_equal(grid.pixels(at), data)


def test_a_block_lies_on_the_positions_of_its_cube():
    whole, start = np.random.default_rng(0).normal(size=(12, 24, 32)).astype(np.float32), (3, 5, 9)
    block = whole[3:11, 5:20, 9:30]
    at, of_cube = Grid.of(block.shape, start), Grid.of(whole.shape).positions(whole)
    part = at.positions(block)
    # first position inside the block: channel 3 of 4 in front, rows 5 to 8, columns 9 to 16
    assert at.front == (3, 5, 1)
    assert np.array_equal(part[3:11, 3:10, 1:11], of_cube[3:11, 3:10, 5:15])


def test_significances_of_noise_have_unit_variance_at_every_scale_but_the_finest():
    noise = noise_model((40, 96, 96))
    numbers = noise_numbers(noise)
    inputs = scale_space(noise.sample(seed=3), numbers, Grid.of(noise.shape)).inputs
    inputs = inputs[..., :25]
    unbent = inputs / (1 - np.abs(inputs) / 4)
    spread = unbent.reshape(-1, 5, 5).std(axis=0)
    assert np.allclose(spread[:3, :3], 1, atol=0.15)
    assert np.allclose(spread, 1, atol=0.5)


def test_flux_at_all_scales_is_seen_as_one_smooth_source():
    noise = NoiseModel.white((24, 64, 64), 1.0)
    data = np.zeros(noise.shape, np.float32)
    data[8:16, 24:40, 24:40] = 0.5
    inputs = scale_space(data, noise_numbers(noise), Grid.of(noise.shape)).inputs[12, 16, 16, :25]
    inputs = inputs.reshape(5, 5)
    assert inputs[3, 2] > 3 > inputs[1, 0]
