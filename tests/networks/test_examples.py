"""Simulated examples: fixed by their seed, in units of the noise, sources anywhere."""

from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from denoise.networks.examples import (
    EMISSION,
    TRAINING,
    VALIDATION,
    colour_transfer,
    cut_around,
    draw_observed,
    example,
    make_batch,
)
from denoise.networks.feed import Feed, open_feed
from denoise.networks.scalespace import Grid
from denoise.transforms.whitening import filters_for


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_step_is_fixed_by_its_number(tiny_recipe):
    recipe = tiny_recipe.simulation
    first = make_batch(recipe, 3, TRAINING, 7)
    assert same(first, make_batch(recipe, 3, TRAINING, 7))
    for other in ((4, TRAINING, 7), (3, VALIDATION, 7), (3, TRAINING, 8)):
        assert not np.array_equal(first.bands, make_batch(recipe, *other).bands)


def test_the_threads_of_blas_do_not_matter(tiny_recipe):
    recipe = tiny_recipe.simulation
    expected = make_batch(recipe, 3, TRAINING, 1)
    with threadpool_limits(1, user_api="blas"):
        assert same(expected, make_batch(recipe, 3, TRAINING, 1))


def test_workers_make_the_same_batches_in_the_same_order(tiny_recipe):
    recipe = tiny_recipe.simulation
    expected = list(Feed(partial(make_batch, recipe, 3), None, 0).batches(TRAINING, 2, 6))
    with open_feed(partial(make_batch, recipe, 3), 2) as feed:
        made = list(feed.batches(TRAINING, 2, 6))
    assert len(made) == 4
    assert all(same(one, other) for one, other in zip(expected, made, strict=True))


def test_antithetic_cubes_are_pairs_in_noise_of_either_sign(tiny_recipe):
    shape = tiny_recipe.simulation.shapes[0].model_copy(update={"batch": 3})
    recipe = tiny_recipe.simulation.model_copy(update={"antithetic": True, "shapes": (shape,)})
    batch = make_batch(recipe, 3, TRAINING, 7)
    assert batch.scene.tolist() == [0, 0, 1]
    assert np.array_equal(batch.truth[0], batch.truth[1])
    assert not np.array_equal(batch.truth[0], batch.truth[2])
    both = batch.bands[:2].astype(np.float32).sum(axis=0).sum(axis=-2)
    assert np.allclose(both / 2, batch.truth[0].astype(np.float32), atol=0.02)
    assert not np.allclose(batch.bands[0], batch.bands[1], atol=0.1)


def test_cubes_are_in_units_of_their_noise(tiny_recipe):
    cubes = [draw_observed(tiny_recipe.simulation, (8, 32, 32), seed) for seed in range(24)]
    noise = np.array([np.std(cube.noisy - cube.truth) for cube in cubes])
    assert np.allclose(noise.mean(), 1, atol=0.05)
    for cube in cubes:
        assert np.isclose(cube.truth.max(), cube.snr, rtol=0.15) or cube.snr == 0
    empty = sum(cube.snr == 0 for cube in cubes)
    assert 0 < empty < 16


def test_sources_lie_anywhere(tiny_recipe):
    places = []
    for seed in range(40):
        truth = draw_observed(tiny_recipe.simulation, (8, 64, 64), seed).truth
        if truth.any():
            places.append(np.unravel_index(truth.sum(axis=0).argmax(), (64, 64)))
    spread = np.ptp(places, axis=0)
    assert (spread > 40).all()


def test_a_coloured_example_is_the_cube_as_it_was(tiny_recipe):
    cube = draw_observed(tiny_recipe.simulation, (8, 48, 48), 5)
    made = example(cube)
    white = Grid.of(cube.truth.shape).pixels(made.bands.astype(np.float32).sum(axis=3))
    back = np.fft.irfft2(np.fft.rfft2(white) * made.colour, s=(48, 48))
    inside = (slice(None), slice(16, -16), slice(16, -16))
    assert np.abs(back - cube.noisy)[inside].max() < 0.25
    assert np.array_equal(made.colour, colour_transfer(filters_for(cube.model), (48, 48)))


def test_a_cut_is_a_part_of_the_whole_around_its_source(tiny_recipe):
    cube = next(
        one
        for one in (draw_observed(tiny_recipe.simulation, (16, 64, 64), seed) for seed in range(20))
        if one.snr
    )
    whole, part = example(cube), cut_around(cube, (8, 32, 32), np.random.default_rng(0))
    assert part.bands.shape == (8, 16, 16, 25, 4)
    assert part.colour.shape == (32, 17)
    at = [np.unravel_index(one.truth.argmax(), one.truth.shape)[:3] for one in (whole, part)]
    first = np.subtract(*at)
    assert part.truth.max() == whole.truth.max()
    inside = tuple(slice(a, a + n) for a, n in zip(first, (8, 16, 16), strict=True))
    for name in ("inputs", "bands", "truth", "masks"):
        assert np.array_equal(getattr(whole, name)[inside], getattr(part, name))


def test_masks_mark_the_emission(tiny_recipe):
    cube = next(
        one
        for one in (draw_observed(tiny_recipe.simulation, (8, 32, 32), seed) for seed in range(20))
        if one.snr
    )
    marked = (Grid.of(cube.truth.shape).pixels(example(cube).masks) & EMISSION) != 0
    assert np.array_equal(marked, cube.truth > 0.05 * cube.truth.max())
