"""Calibration of error bars on simulations with known truth.

The factor is a quantile of |error| / predicted error, as in conformal prediction with quantile regression (Romano,
Patterson & Candes 2019, arXiv:1905.03222): curves that minimise the pinball loss of its logarithm, for 68 % within 1
sigma, one set for the emission that the method found and one for everything else, because what is promised must be told
apart by the data. In both every range of SNR counts alike, in it every cube. (Where the truth is not zero and nothing
was found looks like empty sky, and no error bar of single voxels can be right for both.) How many sigma hold 95 % is
then the quantile of |error| / sigma, one number for each part: errors are far from Gaussian. Coverage is counted on
other cubes, by what was found and by the truth. All is of the method's final output, as users get it.
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
    Curves,
    Examined,
    Side,
    Where,
    features,
    logs,
)
from denoise.networks.examples import Observed, draw_observed
from denoise.networks.recipe import BatchShape, SimulationRecipe, TrainingRecipe
from denoise.noise import NoiseModel

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Examine = Callable[[Array, NoiseModel], Examined]  # denoises a block, in units of sigma
Range = tuple[float, float]

FIT, SCORE = 10, 11  # streams of the seed
EMPTY: Range = (0.0, 0.0)
EDGES = (2.5, 3.5, 6.0, 9.0)  # of the ranges of peak SNR
TOLD_APART: tuple[Where, Where] = ("found", "rest")  # what is fitted to: the data tell these from each other
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
    features : dict of ndarray, shape (voxels,)
        Logarithms of what the curves of these names look at.
    ratio : ndarray, shape (voxels,)
        Logarithm of |error| / predicted error.
    """

    snr: Range
    where: Where
    features: dict[str, Floats]
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
    sides, rows = {}, []
    with _pool(workers) as mapped:
        for positivity in (False, True):
            examine = method(positivity)
            voxels = tick(mapped(partial(sampled, recipe, examine), range(fit)))
            sides[positivity] = fit_side([one for cube in voxels for one in cube])
            marks = tick(mapped(partial(marked, recipe, examine, sides[positivity]), range(score)))
            rows += covered((one for cube in marks for one in cube), positivity=positivity)
    return Calibration(
        sha256=checksum,
        cubes=(fit, score),
        both_signs=sides[False],
        positive=sides[True],
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
    error, seen = np.abs(found.data - cube.truth), features(found, KNOTS)
    parts = _parts(cube, found)
    return [
        drawn_voxels(rng, snr, where, parts[where], seen, error) for where in TOLD_APART if parts[where].any()
    ]


def drawn_voxels(
    rng: np.random.Generator, snr: Range, where: Where, part: Mask, seen: dict[str, Array], error: Array
) -> Voxels:
    """Some voxels of a part of a cube, each with the same chance.

    Parameters
    ----------
    part : ndarray of bool, shape (channel, y, x)
        Not empty.
    seen : dict of ndarray, same shape
        What the curves look at, the predicted error as "spread".
    error : ndarray, same shape
        |result - truth| in units of sigma.
    """
    at = np.flatnonzero(part)
    at = rng.choice(at, min(at.size, _MOST), replace=False)
    known = {name: logs(values.ravel()[at]).astype(np.float64) for name, values in seen.items()}
    ratio = np.log(np.maximum(error.ravel()[at], _LEAST)) - np.log(seen["spread"].ravel()[at])
    return Voxels(snr, where, known, ratio.astype(np.float64))


def marked(recipe: TrainingRecipe, examine: Examine, side: Side, number: int) -> list[Mark]:
    """Coverage in one cube that nothing was fitted to."""
    cube, snr = draw_cube(recipe, SCORE, number)
    found = examine(cube.noisy, cube.model)
    error, limits = side.factor.error(found), np.where(found.found, *side.limits)
    marks = []
    for where, mask in _parts(cube, found).items():
        got = coverage(cube.truth, found.data, error, mask, limits=limits)
        if got is not None:
            marks.append(Mark(snr, where, got))
    return marks


def _parts(cube: Observed, examined: Examined) -> dict[Where, NDArray[np.bool_]]:
    """Voxels that are scored, by what was found, and by the truth: what only a simulation can tell."""
    known, emission = scored(cube.truth, examined.data, 1.0) & examined.valid, emission_mask(cube.truth)
    masks = examined.found, ~examined.found, emission, ~emission
    return {where: known & mask for where, mask in zip(PARTS, masks, strict=True)}


def fit_side(voxels: Iterable[Voxels]) -> Side:
    """Curves whose factor covers 68 % of the emission found and of the rest, and the limits that cover 95 %."""
    known = list(voxels)
    names = tuple(known[0].features) if known else tuple(KNOTS)
    curves, limits = {}, []
    for where in TOLD_APART:
        part = [one for one in known if one.where == where]
        curves[where] = fit_curves(part, names)
        limits.append(limit_of(part, curves[where]))
    return Side(found=curves["found"], rest=curves["rest"], limits=(limits[0], limits[1]))


def fit_curves(parts: list[Voxels], names: tuple[str, ...] = tuple(KNOTS)) -> Curves:
    """Curves of these names whose factor covers 68 % of the voxels; level without any."""
    from scipy.optimize import minimize

    if not parts:
        return {name: (0.0,) * len(KNOTS[name]) for name in names}
    ratio, basis = np.concatenate([one.ratio for one in parts]), _basis(parts)
    weight, bend, share = np.concatenate(_weights(parts)), _bends(names), LEVELS[0][0]

    def loss(values: Floats) -> tuple[float, Floats]:
        inside, stiff = basis @ values, bend @ values
        beyond = (inside - ratio) / _SOFT
        total = float(weight @ (_SOFT * np.logaddexp(0, beyond) - share * inside) + _STIFF * stiff @ stiff)
        slope = basis.T @ (weight * (0.5 * (1 + np.tanh(0.5 * beyond)) - share))
        return total, slope + 2 * _STIFF * (bend.T @ stiff)

    best = minimize(loss, np.zeros(basis.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    ends = np.cumsum([len(KNOTS[name]) for name in names])[:-1]
    return {
        name: tuple(round(float(value), 4) for value in curve)
        for name, curve in zip(names, np.split(best, ends), strict=True)
    }


def limit_of(parts: list[Voxels], curves: Curves) -> float:
    """How many of the sigma that the curves give hold 95 % of these voxels; that of a Gaussian without any."""
    share, gaussian = LEVELS[1]
    if not parts:
        return gaussian
    factor = _basis(parts) @ np.concatenate([curves[name] for name in parts[0].features])
    beyond = np.concatenate([one.ratio for one in parts]) - factor
    order, weight = np.argsort(beyond), np.concatenate(_weights(parts))
    inside = np.cumsum(weight[order]) / weight.sum()
    return round(float(np.exp(beyond[order][np.searchsorted(inside, share)])), 2)


def _weights(parts: list[Voxels]) -> list[Floats]:
    """Of every voxel: every range of SNR counts alike, in it every cube, in that every voxel."""
    groups = [one.snr for one in parts]
    count = len(set(groups))
    return [
        np.full(one.ratio.size, 1 / (count * groups.count(group) * one.ratio.size))
        for one, group in zip(parts, groups, strict=True)
    ]


def _basis(parts: list[Voxels]) -> Any:
    """Sparse (voxels, knots): what each knot of the curves says of a voxel."""
    from scipy import sparse

    blocks = []
    for name in parts[0].features:
        values, knots = np.concatenate([one.features[name] for one in parts]), KNOTS[name]
        at = np.interp(values, np.log(knots), np.arange(len(knots)))
        low = np.minimum(at.astype(np.int64), len(knots) - 2)
        rows, share = np.arange(at.size), at - low
        content = np.concatenate([1 - share, share])
        places = np.concatenate([rows, rows]), np.concatenate([low, low + 1])
        blocks.append(sparse.csr_array((content, places), shape=(at.size, len(knots))))
    return sparse.hstack(blocks, format="csr")


def _bends(names: Iterable[str]) -> Any:
    """Second differences of every curve, and a little of its size: what no voxel speaks of stays near 1."""
    from scipy import sparse

    sizes = [len(KNOTS[name]) for name in names]
    return sparse.block_diag(
        [np.concatenate([np.diff(np.eye(size), 2, axis=0), 0.1 * np.eye(size)]) for size in sizes],
        format="csr",
    )


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
