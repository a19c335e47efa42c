"""A trained network on one block, by the route that suits the machine (`denoise.networks.routes`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from denoise.networks.routes import Route
from denoise.networks.scalespace import BANDS, Array, Grid, NoiseNumbers
from denoise.networks.weighing import Shares, seen, weighed_sum

_AXES = (2, 1, 0)  # of (channel, y, x, feature): x, y, channel are mirrored in this order


def weigh(
    route: Route,
    white: Array,
    noise: NoiseNumbers,
    grid: Grid,
    *,
    both: bool,
    flips: int = 1,
    threads: int = 1,
    look: Callable[[Array], None] | None = None,
) -> tuple[Array, Array]:
    """Weighed sub-bands and the variance of the result, each of shape (channel, y, x), float32.

    Parameters
    ----------
    route : Route
        The network, and what computes it; see ``routes.route_for``.
    white : ndarray, shape (channel, y, x), float32
        Whitened data, finite, in units of their sigma.
    noise : NoiseNumbers
        Of the block.
    grid : Grid
        Of the block.
    both : bool
        Emission and absorption: the result is odd in the data, at twice the cost.
    flips : {1, 2, 4, 8}
        Mirror images whose mean is the answer.
    threads : int
        Threads of this call.
    look : callable, optional
        Called with what the network sees, see ``weighing.seen``, before it answers; not to change or keep it.

    Returns
    -------
    data : ndarray
        In units of sigma of the whitened data.
    variance : ndarray
        In units of sigma squared of the data as they were.
    """
    inputs = seen(white, noise, grid, threads=threads)
    if look is not None:
        look(inputs)
    shares = _mean_answer(route, inputs, noise.numbers, flips, threads)
    if both:
        np.negative(inputs[..., :BANDS], out=inputs[..., :BANDS])
        negative = _mean_answer(route, inputs, noise.numbers, flips, threads)
        np.maximum(shares.gains, negative.gains, out=shares.gains)
        np.subtract(shares.correction, negative.correction, out=shares.correction)
        np.maximum(shares.log_variance, negative.log_variance, out=shares.log_variance)
    del inputs
    data = weighed_sum(white, noise, grid, shares, route.floor, threads=threads)
    return data, _pixels(np.exp(shares.log_variance[..., 0]), grid)


def _pixels(values: Array, grid: Grid) -> Array:
    """One value a position (channel, y / 2, x / 2) as that of each of its pixels in the block."""
    return np.ascontiguousarray(values.repeat(2, axis=1).repeat(2, axis=2)[grid.inside])


def _mean_answer(route: Route, inputs: Array, numbers: Array, flips: int, threads: int) -> Shares:
    """Mean of the answers to mirror images, each mirrored back."""
    if flips == 1:
        return route.answer(inputs, numbers, threads=threads)
    total: Shares | None = None
    for axes in _mirrors(flips):
        one = _mirrored(route.answer(np.flip(inputs, axes), numbers, threads=threads), axes)
        if total is None:
            total = Shares(*(np.ascontiguousarray(part) for part in one))
            continue
        for part, more in zip(total, one, strict=True):
            np.add(part, more, out=part)
    assert total is not None
    for part in total:
        np.divide(part, np.float32(flips), out=part)
    return total


def _mirrors(flips: int) -> Iterator[tuple[int, ...]]:
    used = _AXES[: flips.bit_length() - 1]
    for chosen in product((False, True), repeat=len(used)):
        yield tuple(axis for axis, on in zip(used, chosen, strict=True) if on)


def _mirrored(shares: Shares, axes: tuple[int, ...]) -> Shares:
    """An answer mirrored along axes, the sub-pixels of its correction too."""
    gains, correction, variance = (np.flip(part, axes) for part in shares)
    within = tuple(axis - 3 for axis in axes if axis != 0)
    if within:
        cells = correction.reshape(*correction.shape[:-1], 2, 2)
        correction = np.flip(cells, within).reshape(correction.shape)
    return Shares(gains, correction, variance)
