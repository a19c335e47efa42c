"""Dead leaves: images of shapes that hide each other, with the edges, flat parts and textures of photographs.

Lee, Mumford, Huang 2001, International Journal of Computer Vision 41, 35: sizes follow a power law of index -3 between
limits, so that such an image has the statistics of natural ones at all scales.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RADII = 2.0, 60.0  # pixels
_SHAPES = 260
_TEXTURED = 0.4  # share of the shapes


def dead_leaves(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """An image (y, x) of values from 0 to 1.

    Parameters
    ----------
    rng : Generator
        Decides everything.
    shape : tuple of int
        Pixels along y and x.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image = np.full(shape, rng.random(), np.float32)
    small, large = (radius**-2.0 for radius in _RADII)
    # the largest first: small ones would all be hidden
    radii = np.sort(rng.uniform(large, small, _SHAPES) ** -0.5)[::-1]
    for radius in radii * np.exp(rng.normal(0, 0.5, _SHAPES)):
        y, x = rng.uniform(-radius, np.array(shape) + radius)
        _lay(rng, image, rows - np.float32(y), columns - np.float32(x), float(radius))
    return np.clip(image, 0, 1)


def _lay(
    rng: np.random.Generator,
    image: NDArray[np.float32],
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    radius: float,
) -> None:
    """Put one shape on the image: an ellipse or a rectangle with soft edges, plain, shaded or textured."""
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    u, v = (np.cos(turn) * x + np.sin(turn) * y), (np.cos(turn) * y - np.sin(turn) * x) / np.float32(ratio)
    far = np.sqrt(u * u + v * v) if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v))
    cover = np.clip((radius - far) / np.float32(rng.uniform(0.5, 2)), 0, 1)
    value = np.float32(rng.random()) + np.float32(rng.normal(0, 0.15) / radius) * u
    if rng.random() < _TEXTURED:
        value = value + _texture(rng, u, v)
    image += cover * (value - image)


def _texture(rng: np.random.Generator, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    strength = rng.uniform(0.02, 0.25)
    if rng.random() < 0.5:
        wave = np.exp(rng.uniform(np.log(2.5), np.log(12)))
        return np.asarray(strength * np.sin(2 * np.pi * (u + rng.normal(0, 0.5) * v) / wave), np.float32)
    spectrum = np.fft.rfft2(rng.normal(size=u.shape))
    k = np.hypot(np.fft.fftfreq(u.shape[0])[:, None], np.fft.rfftfreq(u.shape[1])) + 0.02
    grain = np.fft.irfft2(spectrum * k ** -rng.uniform(0, 1.5), s=u.shape)
    return np.asarray(strength * grain / grain.std(), np.float32)
