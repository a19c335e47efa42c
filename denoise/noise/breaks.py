"""Find the seams of a field: neighbouring rows or columns whose noise has nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.noise import _kernels, detrend
from denoise.noise.seams import NONE, Seams
from denoise.noise.statistics import mad_std
from denoise.noise.stream import Region, Shape, View

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_VOXELS = 1_000_000  # of noise that are looked at, about, in small cubes all
_TOGETHER = 1 << 18  # voxels read at once
_PLANES = 2  # of noise in each of the runs of channels, at least
_RUNS = (1 / 3, 2 / 3)  # where they lie
_CLIP = 4.0  # sigma of a plane, beyond which values are sources
_SAMPLED = 1024  # values of a plane behind its sigma
_CORRELATED = 0.5  # least correlation of neighbours for which a seam matters
_MOST = 0.9999  # correlation
_BROKEN = 0.3  # share of the usual correlation below which it is broken
_WHOLE = 0.6  # share that the boundaries beside it still have
_SURE = 8.0  # sampling errors by which a seam stands out
_DIFFERENCES = 2.6  # planes of differences of fourth order as good as one that is independent
_FEWEST = 16  # boundaries


def find_seams(view: View) -> Seams:
    """Rows and columns at which the noise does not continue.

    Noise is seen in differences along the channels (of an image: in the image), off what is bright. The
    correlation of neighbours across every boundary of rows, and of columns, is compared with the usual one.

    A seam is a boundary across which it is below .3 of the usual one, by more than eight sampling errors
    and eight times the scatter of the others, while beside it it is as usual. Nothing is found in noise that
    is hardly correlated, or in fields of a few beams. A piece may be narrow: whitened on
    its own even a single row has noise at most 1.25 times too large; a seam left in doubles it all along.

    Parameters
    ----------
    view : View

    Returns
    -------
    Seams
    """
    ny, nx = view.shape[1:]
    rows, columns = np.zeros((4, max(0, ny - 1))), np.zeros((4, max(0, nx - 1)))
    if min(ny, nx) <= _FEWEST:
        return NONE
    for region in _regions(view.shape):
        first = region[1].start
        noise = _noise(view.read(region))
        _kernels.neighbours(noise, np.float32(_CLIP), rows[:, first : region[1].stop - 1], columns)
    across, along = _correlations(rows), _correlations(columns)
    return Seams(_broken(across, rows[3], along), _broken(along, columns[3], across))


def _regions(shape: Shape) -> Iterator[Region]:
    """Runs of channels, in strips of rows that share a row with the next."""
    nchan, ny, nx = shape
    planes = max(_PLANES, _VOXELS // (ny * nx * len(_RUNS)))
    depth = detrend.order_for(nchan) + planes
    starts = [round(place * nchan - depth / 2) for place in _RUNS] if len(_RUNS) * depth < nchan else [0]
    depth = depth if len(starts) > 1 else min(nchan, len(_RUNS) * depth)
    tall = max(1, min(ny, _TOGETHER // (depth * nx)))
    for start in starts:
        for top in range(0, ny - 1, tall):
            yield slice(start, start + depth), slice(top, min(ny, top + tall + 1)), slice(0, nx)


def _noise(block: Block) -> Block:
    """Differences along the channels in units of the sigma of each plane; NaN without data."""
    order = detrend.order_for(block.shape[0])
    noise = detrend.difference(block, 1, order) if order else block
    flat = noise.reshape(len(noise), -1)[:, :: max(1, noise[0].size // _SAMPLED)]
    if not order:
        noise = noise - _medians(flat)
        flat = flat - _medians(flat)[:, 0]
    sigma = np.asarray(mad_std(flat, about="zero", axis=1), np.float32)[:, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(noise / sigma, np.float32)


def _medians(flat: NDArray[Any]) -> Block:
    return detrend.medians(flat[:, :, None], np.isfinite(flat[:, :, None]))


def _correlations(sums: Array) -> Array:
    """Correlation across each boundary; NaN without pairs."""
    products, before, after, _ = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.clip(products / np.sqrt(before * after), -_MOST, _MOST))


def _broken(across: Array, pairs: Array, along: Array) -> tuple[int, ...]:
    """First rows (columns) beyond the seams.

    Parameters
    ----------
    across : ndarray, shape (boundaries,)
        Correlation of the neighbours on both sides of each.
    pairs : ndarray, shape (boundaries,)
        Number of pairs behind it.
    along : ndarray
        Correlations of neighbours along the boundaries.
    """
    known = np.isfinite(across)
    if np.count_nonzero(known) < _FEWEST or not np.isfinite(along).any():
        return ()
    usual = float(np.median(across[known]))
    if not usual > _CORRELATED:
        return ()
    samples = pairs / (_DIFFERENCES * _length(float(np.nanmedian(along))))
    # Fisher's z: its sampling error hardly depends on the correlation
    apart = (np.arctanh(usual) - np.arctanh(across)) * np.sqrt(np.maximum(samples - 3.0, 0.0))
    scatter = float(mad_std(across[known], about="median"))
    low = known & (across < _BROKEN * usual) & (apart > _SURE) & (usual - across > _SURE * scatter)
    beside = np.pad(np.where(known, across, np.inf), 1, constant_values=np.inf)
    whole = np.minimum(beside[:-2], beside[2:]) > _WHOLE * usual
    return tuple(int(at) for at in np.flatnonzero(low & whole) + 1)


def _length(neighbours: float) -> float:
    """Pixels in a row as good as one that is independent, of a Gaussian ACF with this value at lag one."""
    rho = max(neighbours, 1e-3)
    return max(1.0, float(np.sqrt(np.pi / (-2.0 * np.log(rho)))))
