"""Calibration of error bars on simulations with known truth.

The factor is a quantile of |error| / predicted error, as in conformal prediction with quantile regression (Romano,
Patterson & Candes 2019, arXiv:1905.03222): curves that minimise the pinball loss of its logarithm, for 68 % within 1
sigma and 95 % within 1.96 sigma together, because one map of errors serves both. Every range of SNR counts alike, in it
the emission that the method found and everything else, and in those every cube: what is promised must be told apart by
the data. (Where the truth is not zero and nothing was found looks like empty sky, and no error bar of single voxels can
be right for both.) Coverage is then counted on other cubes, by what was found and by the truth. All is of the method's
final output, as users get it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics import LEVELS, Coverage, coverage, emission_mask, scored
from denoise.networks.calibration import (
    KNOTS,
    PARTS,
    Calibration,
    Covered,
    Examined,
    Factor,
    Where,
    logs,
    size_of,
)
from denoise.networks.examples import Observed, draw_observed
from denoise.networks.recipe import BatchShape, SimulationRecipe, TrainingRecipe
from denoise.noise import NoiseModel

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Examine = Callable[[Array, NoiseModel], Examined]  # denoises a block, in units of sigma
Range = tuple[float, float]

FIT, SCORE = 10, 11  # streams of the seed
EMPTY: Range = (0.0, 0.0)
EDGES = (2.5, 3.5, 6.0, 9.0)  # of the ranges of peak SNR
_TOLD_APART: tuple[Where, ...] = ("found", "rest")  # what is fitted to: the data tell these from each other
_MOST = 1000  # voxels of a cube that are fitted to, in the emission found and as many elsewhere
_SOFT = 0.08  # width of the step of a quantile, in the logarithm of the error
_STIFF = 1e-3  # weight of the curvature of the curves
_LEAST = 1e-4  # sigma: smaller errors are as good as none


class Voxels(NamedTuple):
    """Voxels of one cube, in the emission found or elsewhere.

    Attributes
    ----------
    snr : tuple of float
        Range of the peak SNR.
    where : str
        "found" or "rest".
    features : ndarray, shape (3, voxels)
        Logarithms, in the order of ``calibration.KNOTS``.
    ratio : ndarray, shape (voxels,)
        Logarithm of |error| / predicted error.
    """

    snr: Range
    where: Where
    features: Floats
    ratio: Floats


class Mark(NamedTuple):
    """Coverage in one part of one cube."""

    snr: Range
    where: Where
    found: Coverage


def calibrate(
    recipe: TrainingRecipe,
    checksum: str,
    method: Callable[[bool], Examine],
    *,
    workers: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a calibration and score it on other cubes.

    Parameters
    ----------
    recipe : TrainingRecipe
        Of the model: what is simulated, how many cubes, and the seed.
    checksum : str
        SHA-256 of its weights.
    method : callable
        What denoises a block, given whether the emission is non-negative; picklable if there are workers.
    workers : int
        Processes; 0: none but this. The result does not depend on it.
    report : callable, optional
        Told of cubes done, of so many; what it raises ends the calibration.
    """
    fit, score = recipe.calibration.cubes, recipe.calibration.score
    tick = _counted(2 * (fit + score), report)
    factors, rows = {}, []
    with _pool(workers) as mapped:
        for positivity in (False, True):
            examine = method(positivity)
            voxels = tick(mapped(partial(sampled, recipe, examine), range(fit)))
            factors[positivity] = fit_factor([one for cube in voxels for one in cube])
            marks = tick(mapped(partial(marked, recipe, examine, factors[positivity]), range(score)))
            rows += covered((one for cube in marks for one in cube), positivity=positivity)
    return Calibration(
        sha256=checksum,
        cubes=(fit, score),
        both_signs=factors[False].curves,
        positive=factors[True].curves,
        coverage=tuple(rows),
    )


def draw_cube(recipe: TrainingRecipe, stream: int, number: int) -> tuple[Observed, Range]:
    """A simulated cube of one stream of the seed, and the range of peak SNR it belongs to; ranges take turns."""
    rng = np.random.default_rng((recipe.seed, stream, number))
    known = snr_ranges(recipe.simulation)
    wanted = known[number % len(known)]
    # one range is drawn from, whatever share of the training it had
    simulation = recipe.simulation.model_copy(update={"snr": wanted, "bright": 0.0})
    shares = np.array([one.weight for one in simulation.shapes])
    chosen: BatchShape = simulation.shapes[int(rng.choice(len(shares), p=shares / shares.sum()))]
    cube = draw_observed(simulation, chosen.field or chosen.shape, int(rng.integers(2**62)))
    return cube, wanted if cube.snr else EMPTY


def snr_ranges(simulation: SimulationRecipe) -> list[Range]:
    """Ranges of peak SNR of a training, cut at ``EDGES``."""
    low, high = simulation.snr[0], max(simulation.snr[1], simulation.bright_snr[1])
    edges = [low, *(edge for edge in EDGES if low < edge < high), high]
    return list(pairwise(edges))


def sampled(recipe: TrainingRecipe, examine: Examine, number: int) -> list[Voxels]:
    """What is fitted to of one cube."""
    cube, snr = draw_cube(recipe, FIT, number)
    found = examine(cube.noisy, cube.model)
    rng = np.random.default_rng((recipe.seed, FIT, number, 1))
    seen = (found.spread, found.strength, size_of(found.data))
    error = np.maximum(np.abs(found.data - cube.truth), _LEAST)
    parts, voxels = _parts(cube, found), []
    for where in _TOLD_APART:
        at = np.flatnonzero(parts[where])
        if at.size:
            at = rng.choice(at, min(at.size, _MOST), replace=False)
            features = np.stack([logs(values.ravel()[at]) for values in seen]).astype(np.float64)
            ratio = np.log(error.ravel()[at]) - np.log(found.spread.ravel()[at])
            voxels.append(Voxels(snr, where, features, ratio.astype(np.float64)))
    return voxels


def marked(recipe: TrainingRecipe, examine: Examine, factor: Factor, number: int) -> list[Mark]:
    """Coverage in one cube that nothing was fitted to."""
    cube, snr = draw_cube(recipe, SCORE, number)
    found = examine(cube.noisy, cube.model)
    error = factor.error(found)
    marks = []
    for where, mask in _parts(cube, found).items():
        got = coverage(cube.truth, found.data, error, mask)
        if got is not None:
            marks.append(Mark(snr, where, got))
    return marks


def _parts(cube: Observed, examined: Examined) -> dict[Where, NDArray[np.bool_]]:
    """Voxels that are scored, by what was found, and by the truth: what only a simulation can tell."""
    known, emission = scored(cube.truth, examined.data, 1.0) & examined.valid, emission_mask(cube.truth)
    masks = examined.found, ~examined.found, emission, ~emission
    return {where: known & mask for where, mask in zip(PARTS, masks, strict=True)}


def fit_factor(voxels: Iterable[Voxels]) -> Factor:
    """Curves whose factor covers 68 and 95 % of these voxels as nearly as they can."""
    from scipy.optimize import minimize

    parts = list(voxels)
    ratio = np.concatenate([one.ratio for one in parts])
    basis = _basis(np.concatenate([one.features for one in parts], axis=1))
    weight, bend = np.concatenate(_weights(parts)), _bends()

    def loss(values: Floats) -> tuple[float, Floats]:
        inside, stiff = basis @ values, bend @ values
        total, slope = float(_STIFF * stiff @ stiff), 2 * _STIFF * (bend.T @ stiff)
        for share, sigmas in LEVELS:
            beyond = (inside + np.log(sigmas) - ratio) / _SOFT
            each = _SOFT * np.logaddexp(0, beyond) - share * inside
            total += float(weight @ each)
            slope += basis.T @ (weight * (0.5 * (1 + np.tanh(0.5 * beyond)) - share))
        return total, slope

    start = np.zeros(basis.shape[1])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    ends = np.cumsum([len(knots) for knots in KNOTS.values()])[:-1]
    curves = np.split(best, ends)
    return Factor(
        {
            name: tuple(round(float(value), 4) for value in curve)
            for name, curve in zip(KNOTS, curves, strict=True)
        }
    )


def _weights(parts: list[Voxels]) -> list[Floats]:
    """Of every voxel: every range of SNR and part counts alike, in it every cube, in that every voxel."""
    groups = [(one.snr, one.where) for one in parts]
    count = len(set(groups))
    return [
        np.full(one.ratio.size, 1 / (count * groups.count(group) * one.ratio.size))
        for one, group in zip(parts, groups, strict=True)
    ]


def _basis(features: Floats) -> Any:
    """Sparse (voxels, knots): what each knot of the three curves says of a voxel."""
    from scipy import sparse

    blocks = []
    for values, knots in zip(features, KNOTS.values(), strict=True):
        at = np.interp(values, np.log(knots), np.arange(len(knots)))
        low = np.minimum(at.astype(np.int64), len(knots) - 2)
        rows, share = np.arange(at.size), at - low
        content = np.concatenate([1 - share, share])
        places = np.concatenate([rows, rows]), np.concatenate([low, low + 1])
        blocks.append(sparse.csr_array((content, places), shape=(at.size, len(knots))))
    return sparse.hstack(blocks, format="csr")


def _bends() -> Floats:
    """Second differences of every curve, and a little of its size: what no voxel speaks of stays near 1."""
    blocks = [
        np.concatenate([np.diff(np.eye(len(k)), 2, axis=0), 0.1 * np.eye(len(k))]) for k in KNOTS.values()
    ]
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    out, row, column = np.zeros((rows, columns)), 0, 0
    for block in blocks:
        out[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return out


def covered(marks: Iterable[Mark], *, positivity: bool) -> list[Covered]:
    """Means over the cubes of every part and range of SNR, with standard errors."""
    groups: dict[tuple[Where, Range], list[Coverage]] = {}
    for one in marks:
        groups.setdefault((one.where, one.snr), []).append(one.found)
    rows = []
    for (where, snr), found in sorted(groups.items(), key=lambda item: (PARTS.index(item[0][0]), item[0][1])):
        table = np.array(found)
        rows.append(
            Covered(
                positivity=positivity,
                snr=snr,
                where=where,
                cubes=len(found),
                within_1=_mean(table[:, 0]),
                within_2=_mean(table[:, 1]),
                tails=round(float(np.nanmedian(table[:, 2])), 3),
            )
        )
    return rows


def _mean(values: Floats) -> tuple[float, float | None]:
    error = round(float(values.std(ddof=1) / np.sqrt(values.size)), 4) if values.size > 1 else None
    return round(float(values.mean()), 4), error


def _counted(total: int, report: Callable[[int, int], None] | None) -> Callable[[Iterator[Any]], list[Any]]:
    """Collects results one by one and tells how many there are of all."""
    done = 0

    def tick(results: Iterator[Any]) -> list[Any]:
        nonlocal done
        kept = []
        for one in results:
            kept.append(one)
            done += 1
            if report is not None:
                report(done, total)
        return kept

    return tick


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    if workers == 0:
        yield map
        return
    # spawn: a fork of a process with torch's threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool.map
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
