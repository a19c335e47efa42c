"""One connected set of voxels, one source or several: levels are walked, and the evidence decides.

The set's parts above rising levels form a tree (a dendrogram: Rosolowsky et al. 2008, ApJ 679, 1338). Along a
branch without forks there is one source, whose signal to noise is that of the level where it is best. At a fork
the branches are sources of their own if

- each would be a detection alone and rises to twice the level of the saddle between them,
- the sum over the channels dips to half between them too: the two horns of a rotating disc are one source, and
- together they hold more evidence than the whole, ``sum(snr_i^2) > snr^2`` (for Gaussian noise the improvement of
  chi^2 by a source of known shape is its SNR squared).

So the extended foot of a bright core is not counted beside it, and two blended sources stay two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.matched import Match

Mask = NDArray[np.bool_]
Window = tuple[slice, slice, slice]
Measure = Callable[[Mask, Window], Match]

STEP = 2.0**0.5
CONTRAST = 2.0
ALONE = 5.0  # matched SNR of what may be a source of its own


@dataclass(frozen=True)
class Part:
    """One source of a connected set: its voxels in a window, its largest value, and its best match."""

    inside: Mask
    window: Window
    peak: float
    match: Match


def separate_parts(
    scaled: NDArray[Any], inside: Mask, level: float, measure: Measure, smallest: int
) -> list[Part]:
    """The sources in one connected set; together they hold all its voxels.

    Parameters
    ----------
    scaled : ndarray, shape (channel, y, x)
        Output in sigma, positive in the set.
    inside : ndarray of bool, shape (channel, y, x)
        The set, found at `level`.
    level : float
        In sigma.
    measure : callable
        Match of a part, given as its voxels in a window.
    smallest : int
        Smaller parts (voxels) are not looked at.
    """
    whole = slice(0, inside.shape[0]), slice(0, inside.shape[1]), slice(0, inside.shape[2])
    parts = _walk(scaled, inside, whole, level, measure, smallest)
    return [replace(parts[0], inside=inside, window=whole)] if len(parts) == 1 else _shared(inside, parts)


def _walk(
    scaled: NDArray[Any], inside: Mask, window: Window, level: float, measure: Measure, smallest: int
) -> list[Part]:
    peak = float(scaled[window][inside].max())
    whole = Part(inside, window, peak, measure(inside, window))
    above: list[Part] = []
    if peak > level * STEP:
        for branch, place in _branches(scaled, inside, window, level * STEP, smallest):
            above += _walk(scaled, branch, place, level * STEP, measure, smallest)
    if not above:
        return [whole]
    own = [p for p in above if p.match.snr >= ALONE and p.peak >= CONTRAST * level]
    apart = _apart_on_sky(own, np.where(inside, scaled[window], 0.0).sum(axis=0), window)
    if len(apart) > 1 and sum(p.match.snr**2 for p in apart) > whole.match.snr**2:
        return apart
    return [replace(whole, match=max((p.match for p in (whole, *above)), key=lambda match: match.snr))]


def _apart_on_sky(parts: list[Part], plane: NDArray[Any], window: Window) -> list[Part]:
    """The strongest parts between any two of which the map (y, x) of the whole, in `window`, dips to half."""
    if len(parts) < 2:
        return parts
    kept: list[tuple[Part, tuple[float, float]]] = []
    for part in sorted(parts, key=lambda one: -one.match.snr):
        sky = part.inside.any(axis=0)
        y, x = np.nonzero(sky)
        offset = part.window[1].start - window[1].start, part.window[2].start - window[2].start
        light = plane[y + offset[0], x + offset[1]]
        place = float(y @ light / light.sum()) + offset[0], float(x @ light / light.sum()) + offset[1]
        if all(_dips(plane, place, other) for _, other in kept):
            kept.append((part, place))
    return [part for part, _ in kept]


def _dips(plane: NDArray[Any], one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a map falls to half of the fainter of two places on the way between them."""
    steps = 2 * int(np.ceil(max(abs(a - b) for a, b in zip(one, other, strict=True)))) + 2
    y, x = (np.linspace(a, b, steps).round().astype(int) for a, b in zip(one, other, strict=True))
    way = plane[y, x]
    return bool(way.min() * CONTRAST <= min(way[0], way[-1]))


def _branches(
    scaled: NDArray[Any], inside: Mask, window: Window, level: float, smallest: int
) -> list[tuple[Mask, Window]]:
    from scipy.ndimage import find_objects, label

    labels, count = label(inside & (scaled[window] > level))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    found = []
    for i, place in enumerate(find_objects(labels), start=1):
        if sizes[i] >= smallest:
            c, y, x = (slice(s.start + w.start, s.stop + w.start) for s, w in zip(place, window, strict=True))
            found.append((labels[place] == i, (c, y, x)))
    return found


def _shared(inside: Mask, parts: list[Part]) -> list[Part]:
    """Every voxel of the set goes to the nearest part."""
    from scipy.ndimage import distance_transform_edt, find_objects

    owner = np.zeros(inside.shape, np.int32)
    for i, part in enumerate(parts, start=1):
        owner[part.window][part.inside] = i
    nearest = distance_transform_edt(owner == 0, return_distances=False, return_indices=True)
    owner = np.where(inside, owner[tuple(nearest)], 0)
    boxes = find_objects(owner)
    return [
        replace(part, inside=owner[box] == i, window=box)
        for i, (part, box) in enumerate(zip(parts, boxes, strict=True), start=1)
    ]
