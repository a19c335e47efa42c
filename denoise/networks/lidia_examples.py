"""Images that LIDIA is trained on, each fixed by a seed: noisy, in white noise of sigma 1, and without noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from denoise.networks.examples import colour_transfer, draw_observed
from denoise.networks.neighbours import BORDER, Array, Neighbours, find_neighbours
from denoise.networks.recipe import ChannelsRecipe, LeavesRecipe
from denoise.simulate.leaves import dead_leaves
from denoise.simulate.populations import log_uniform
from denoise.transforms.whitening import filters_for, whiten

UNIT = np.float32(0.1)  # sigma in what the network sees, whose own range is about 1
GRAIN = float(UNIT) / 8  # of the search: adds a thousandth to the noise of distances


class Images(NamedTuple):
    """Examples of one step.

    Attributes
    ----------
    near : tuple of tuple of Neighbours
        Of every image, at both scales; noisy, times ``UNIT``, with their borders.
    truth : ndarray, shape (image, y, x), float32
        In units of sigma.
    colour : ndarray, shape (image, y, x / 2 + 1), float32
        Transfer function that puts the correlation of the noise back.
    strength : ndarray, shape (image,), float32
        Largest truth.
    """

    near: tuple[tuple[Neighbours, Neighbours], ...]
    truth: Array
    colour: Array
    strength: Array


class _Example(NamedTuple):
    noisy: Array
    truth: Array
    colour: Array


def make_images(recipe: ChannelsRecipe | LeavesRecipe, seed: int, stream: int, step: int) -> Images:
    """The images of one step of one stream; the same arguments give the same bytes."""
    rng = np.random.default_rng((seed, stream, step))
    if recipe.source == "leaves":
        made = [_leaves(rng, recipe) for _ in range(recipe.images)]
    else:
        made = [one for _ in range(_cubes(rng, recipe)) for one in _channels(rng, recipe)]
    near = tuple(_searched(one.noisy) for one in made)
    truth, colour = (
        np.stack(parts) for parts in zip(*((one.truth, one.colour) for one in made), strict=True)
    )
    return Images(near, truth, colour, np.abs(truth).max(axis=(1, 2)))


def _searched(noisy: Array) -> tuple[Neighbours, Neighbours]:
    image = noisy[None] * UNIT
    return find_neighbours(image, 0, grain=GRAIN), find_neighbours(image, 1, grain=GRAIN)


def _leaves(rng: np.random.Generator, recipe: LeavesRecipe) -> _Example:
    side = recipe.size + 2 * BORDER
    image = dead_leaves(rng, (side, side)) * np.float32(255 / log_uniform(rng, *recipe.sigma))
    image -= image.mean()
    noisy = image + rng.standard_normal(image.shape, np.float32)
    inner = slice(BORDER, BORDER + recipe.size)
    plane = recipe.size, recipe.size
    return _Example(noisy, image[inner, inner], colour_transfer(None, plane))


def _cubes(rng: np.random.Generator, recipe: ChannelsRecipe) -> int:
    return recipe.simulation.shapes[0].batch


def _channels(rng: np.random.Generator, recipe: ChannelsRecipe) -> list[_Example]:
    """Channels of one cube, the brightest among them; mirrored at the sides of the field, as whole planes are."""
    asked = recipe.simulation.shapes[0]
    cube = draw_observed(recipe.simulation, asked.field or asked.shape, int(rng.integers(2**62)))
    valid = np.ones(cube.truth.shape, np.bool_)
    noisy = whiten(cube.noisy, valid, cube.model).data
    truth = whiten(cube.truth, valid, cube.model).data
    # absorption as often as emission: what the network makes of both is the same
    sign = np.float32(rng.choice((-1, 1)))
    noisy, truth = sign * noisy, sign * truth
    peak = np.array(np.unravel_index(int(cube.truth.argmax()), cube.truth.shape))
    count = min(recipe.channels, len(truth))
    others = rng.permutation(np.delete(np.arange(len(truth)), peak[0]))
    colour = colour_transfer(filters_for(cube.model), (recipe.size, recipe.size))
    found = []
    for number, channel in enumerate([int(peak[0]), *others[: count - 1].tolist()]):
        at = peak[1:] if number % 2 == 0 else rng.integers(cube.truth.shape[1:])
        y, x = (_start(rng, int(p), n, recipe.size) for p, n in zip(at, truth.shape[1:], strict=True))
        wide = np.pad(noisy[channel], BORDER, mode="reflect")
        side = recipe.size + 2 * BORDER
        place = slice(y, y + recipe.size), slice(x, x + recipe.size)
        found.append(_Example(wide[y : y + side, x : x + side], truth[channel][place], colour))
    return found


def _start(rng: np.random.Generator, at: int, have: int, size: int) -> int:
    return min(max(at - int(rng.uniform(0.1, 0.9) * size), 0), have - size)
