"""Layers from cubes: place, unit, colours and limits; and back from a layer to its cube."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from napari_denoise.lazy import planes
from napari_denoise.world import World, world_of

KEY = "astro-denoise"  # in the metadata of a layer
Role = Literal[
    "input", "denoised", "display", "residual", "uncertainty", "noise", "reliability", "difference", "map"
]
LayerData = tuple[Any, dict[str, Any], str]

COLOURS: dict[Role, str] = {
    "input": "inferno",
    "denoised": "inferno",
    "display": "gray",
    "residual": "gray",
    "uncertainty": "viridis",
    "noise": "viridis",
    "reliability": "viridis",
    "difference": "PiYG",
    "map": "inferno",
}
_SAMPLED = 5  # planes that set the limits
_MOST = 1 << 18  # pixels of each


@dataclass(frozen=True, eq=False)
class Entry:
    """What a layer shows; in its metadata under ``KEY``.

    Attributes
    ----------
    cube : Cube
        The pixels of the layer with their coordinates, unit and masks.
    world : World
        Where they lie.
    role : str
        What they are.
    source : Cube or None
        The input they were made from; None for an input.
    result : Result or None
        The run that made them.
    options : RunOptions or None
        And what it was asked to do.
    reading : mapping
        Keywords with which ``denoise.read`` opened the file.
    """

    cube: Cube
    world: World
    role: Role
    source: Cube | None = None
    result: Any = None
    options: Any = None
    reading: Mapping[str, Any] = field(default_factory=dict)


def entry_of(layer: Any) -> Entry | None:
    """What a layer shows, if it is one of ours."""
    found = None if layer is None else layer.metadata.get(KEY)
    return found if isinstance(found, Entry) else None


def layer_of(
    cube: Cube,
    name: str,
    role: Role = "input",
    *,
    visible: bool = True,
    limits: tuple[float, float] | None = None,
    world: World | None = None,
    **more: Any,
) -> LayerData:
    """A layer of a cube, read plane by plane when it is shown.

    Parameters
    ----------
    cube : Cube
        Shape (channel, y, x); an image gives a layer of two axes.
    name : str
        Of the layer.
    role : str
        Decides colours and limits.
    limits : tuple of float, optional
        Contrast limits in the unit of the data; None: from a few planes.
    world : World, optional
        Where it lies; None: as its header says.
    **more
        Of the `Entry`.
    """
    where = world or world_of(cube)
    options = {
        "name": name,
        "colormap": COLOURS[role],
        "contrast_limits": limits or contrast(cube, role),
        "visible": visible,
        "metadata": {KEY: Entry(cube, where, role, **more)},
        **where.placed(),
    }
    return planes(cube, image=cube.is_image), options, "image"


def contrast(cube: Cube, role: Role) -> tuple[float, float]:
    """Contrast limits from a few planes, never from all of them.

    Data from 1 sigma below zero (below the median of an image with a sky) to their brightest 0.05 per cent, 6 sigma at
    least; residuals 4 sigma to both sides; errors from zero up.
    """
    values = sampled(cube)
    if not values.size:
        return 0.0, 1.0
    if role in ("uncertainty", "noise"):
        return 0.0, _positive(float(np.percentile(values, 99.5)))
    if role == "reliability":
        return 0.0, 1.0
    middle = float(np.median(values))
    sigma = _positive(1.4826 * float(np.median(np.abs(values - middle))), float(values.std()))
    if role in ("residual", "difference"):
        return middle - 4 * sigma, middle + 4 * sigma
    return middle - sigma, max(float(np.percentile(values, 99.95)), middle + 6 * sigma)


def sampled(cube: Cube) -> NDArray[np.float64]:
    """Finite values of a few channels, evenly spaced; of a large field, of its middle rows."""
    channels, rows, columns = cube.shape
    high = max(1, min(rows, _MOST // columns))
    first = (rows - high) // 2
    picked = sorted({round(c) for c in np.linspace(0, channels - 1, _SAMPLED + 2)[1:-1]})
    where = (slice(first, first + high), slice(0, columns))
    read = [cube.read((slice(c, c + 1), *where)).astype(np.float64) for c in picked]
    values = np.concatenate([one.ravel() for one in read])
    return np.asarray(values[np.isfinite(values)])


def _positive(*values: float) -> float:
    return next((value for value in values if np.isfinite(value) and value > 0), 1.0)


@contextmanager
def same_choice(viewer: Any) -> Iterator[None]:
    """While inside, layers that are added do not become the chosen one: they come by themselves."""
    chosen = viewer.layers.selection.active
    yield
    viewer.layers.selection.active = chosen
