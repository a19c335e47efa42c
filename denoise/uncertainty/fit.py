"""Fit the curves that make a 1 sigma error of the spread over draws of the noise (`denoise.methods.errorbars`).

The factor is a conformal quantile, as in `denoise.networks.conformal`, fitted to emission brighter than the noise: in
what the method found, and in what it did not. Every range of SNR counts alike, in it every cube. The simulations are
those that networks are trained on, under streams of the seed that no training sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.engine.bootstrap import Bootstrap, Look, final, near, redrawn
from denoise.engine.plan import REFITS, Tile
from denoise.methods import Denoiser, Sample, get_method
from denoise.methods.errorbars import DrawnSide, ErrorCurves, Held
from denoise.metrics import LEVELS
from denoise.networks.calibration import OF_DRAWS, features
from denoise.networks.conformal import TOLD_APART, Voxels, draw_cube, drawn_voxels, fit_side, snr_ranges
from denoise.networks.examples import Observed
from denoise.networks.recipe import TrainingRecipe
from denoise.noise import NoiseModel

Floats = NDArray[np.float64]
Range = tuple[float, float]

FIT, SCORE = 20, 21  # streams of the seed
BRIGHT = 1.0  # sigma of the noise: the emission that errors are fitted to
_SURE = 3.0  # peak SNR from which fluxes are fitted to


@dataclass(frozen=True)
class Drawing:
    """A method and its draws, for one block; picklable.

    Attributes
    ----------
    method : str
        Its name; default parameters.
    positivity : bool
        The emission is not negative.
    draws : int
        Of the noise.
    """

    method: str
    positivity: bool
    draws: int

    def __call__(self, noisy: NDArray[np.float32], noise: NoiseModel) -> Look:
        """Denoise a whole cube (channel, y, x) and draws of it, in the unit of the noise."""
        denoiser = get_method(self.method)(positivity=self.positivity)
        state = _learned(denoiser, noisy, noise)
        estimate = denoiser.apply(noisy, noise, state)
        states = [state]
        if denoiser.passes:
            result = final(estimate.data, denoiser)
            states = [
                _learned(denoiser, redrawn(result, noisy, noise, 0, draw), noise)
                for draw in range(min(REFITS, self.draws))
            ]
        whole = Tile(*((slice(0, noisy.shape[0]), slice(0, noisy.shape[1]), slice(0, noisy.shape[2])),) * 2)
        reach = near(denoiser, noisy.shape, noise)
        return Bootstrap(self.draws, 0, tuple(states)).look(denoiser, whole, noisy, noise, estimate, reach)


@dataclass
class _Whole:
    """A cube in memory as a source of one block."""

    data: NDArray[np.float32]
    noise: NoiseModel

    def __post_init__(self) -> None:
        self.shape = self.data.shape

    def __iter__(self) -> Any:
        yield Sample(self.data, self.noise, (slice(None), slice(None), slice(None)))

    def tell(self, stage: str, done: int, total: int, seconds_left: float | None = None) -> None:
        """Nobody asks."""


def _learned(denoiser: Denoiser, data: NDArray[np.float32], noise: NoiseModel) -> Any:
    return denoiser.fit(_Whole(data, noise), noise, seed=0) if denoiser.passes else None


class Seen(NamedTuple):
    """What is fitted to of one cube.

    Attributes
    ----------
    voxels : list of Voxels
        Emission brighter than the noise, in what was found and in the rest.
    snr : tuple of float
        Range of the peak SNR; (0, 0): an empty field.
    flux : float or None
        |flux - true flux| over the error that draws give; None where nothing was found.
    """

    voxels: list[Voxels]
    snr: Range
    flux: float | None


def sampled(recipe: TrainingRecipe, drawing: Drawing, number: int) -> Seen:
    """Draw a cube, denoise it and its draws."""
    cube, snr = draw_cube(recipe, FIT, number)
    look = drawing(cube.noisy, cube.model)
    seen, rng = look.seen, np.random.default_rng((recipe.seed, FIT, number, 1))
    error, looked = np.abs(seen.data - _scaled(cube)), features(seen, OF_DRAWS)
    bright = seen.valid & (_scaled(cube) > BRIGHT)
    voxels = [
        drawn_voxels(rng, snr, where, part, looked, error)
        for where, part in zip(TOLD_APART, (bright & seen.found, bright & ~seen.found), strict=True)
        if part.any()
    ]
    pull = flux_pull(look, cube)
    return Seen(voxels, snr, None if pull is None else abs(pull))


def flux_pull(look: Look, cube: Observed) -> float | None:
    """(Flux found - true flux) / the error that draws give, not calibrated; None where nothing was found."""
    error = look.drawn.error
    if error <= 0:
        return None
    return float((look.drawn.flux[0].sum() - cube.truth.sum(dtype=np.float64)) / error)


def fit_drawn(cubes: Iterable[Seen]) -> DrawnSide:
    """Curves of what was found and of the rest, and the factor of fluxes."""
    seen = list(cubes)
    side = fit_side(one for cube in seen for one in cube.voxels)
    pulls = [cube.flux for cube in seen if cube.flux is not None and cube.snr[0] >= _SURE]
    return DrawnSide(**side.model_dump(), flux=round(float(np.quantile(pulls, LEVELS[0][0])), 3))


class Scored(NamedTuple):
    """Errors of one cube: shares within 1 sigma and the limits, mean and width of the pulls, pull of the flux."""

    snr: Range
    within: tuple[float, float]
    pulls: tuple[float, float]
    flux: float | None


def scored(recipe: TrainingRecipe, drawing: Drawing, curves: ErrorCurves, number: int) -> Scored | None:
    """A cube that nothing was fitted to; None where no emission exceeds the noise."""
    cube, snr = draw_cube(recipe, SCORE, number)
    look = drawing(cube.noisy, cube.model)
    bright = look.seen.valid & (_scaled(cube) > BRIGHT)
    if not bright.any():
        return None
    error = curves.error(look.seen, positivity=drawing.positivity)
    pull = ((look.seen.data - _scaled(cube)) / error)[bright]
    limits = np.where(look.seen.found, *curves.side(positivity=drawing.positivity).limits)[bright]
    within = tuple(float(np.mean(np.abs(pull) <= sigmas)) for sigmas in (1, limits))
    flux = flux_pull(look, cube)
    factor = curves.side(positivity=drawing.positivity).flux
    return Scored(
        snr,
        (within[0], within[1]),
        (float(pull.mean()), float(pull.std())),
        None if flux is None else flux / factor,
    )


def fit_errors(
    recipe: TrainingRecipe,
    method: str,
    *,
    draws: int,
    fit: int,
    score: int,
    mapped: Callable[..., Iterable[Any]] = map,
) -> ErrorCurves:
    """Curves of a method with its default parameters, fitted to some cubes and scored on others.

    Parameters
    ----------
    recipe : TrainingRecipe
        What is simulated.
    method : str
        Name of the denoiser.
    draws : int
        Of the noise.
    fit, score : int
        Cubes.
    mapped : callable
        ``map``, or that of a pool.
    """
    from functools import partial

    drawings = {positivity: Drawing(method, positivity, draws) for positivity in (False, True)}
    sides = {p: fit_drawn(mapped(partial(sampled, recipe, one), range(fit))) for p, one in drawings.items()}
    weights = get_method(method)().weights
    curves = ErrorCurves(
        method=method,
        weights=weights,
        draws=draws,
        cubes=(fit, score),
        both_signs=sides[False],
        positive=sides[True],
    )
    rows = [
        row
        for positivity, one in drawings.items()
        for row in held(
            mapped(partial(scored, recipe, one, curves), range(score)),
            snr_ranges(recipe.simulation),
            positivity,
        )
    ]
    return curves.model_copy(update={"held": tuple(rows)})


def held(cubes: Iterable[Scored | None], ranges: list[Range], positivity: bool) -> list[Held]:
    """A row for each range of SNR."""
    known = [one for one in cubes if one is not None]
    rows = []
    for snr in ranges:
        part = [one for one in known if one.snr == snr]
        if len(part) < 2:
            continue
        fluxes = np.array([one.flux for one in part if one.flux is not None])
        rows.append(
            Held(
                positivity=positivity,
                snr=snr,
                cubes=len(part),
                within_1=_mean([one.within[0] for one in part]),
                within_2=_mean([one.within[1] for one in part]),
                pull_mean=_mean([one.pulls[0] for one in part]),
                pull_width=_mean([one.pulls[1] for one in part]),
                flux_pull=_spread(fluxes),
            )
        )
    return rows


def _scaled(cube: Observed) -> NDArray[np.float32]:
    """Truth in units of the noise of each voxel."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(cube.truth / cube.model.sigma(), posinf=0, neginf=0), np.float32)


def _mean(values: list[float]) -> tuple[float, float]:
    return round(float(np.mean(values)), 4), round(float(np.std(values, ddof=1) / np.sqrt(len(values))), 4)


def _spread(values: Floats) -> tuple[float, float]:
    if values.size < 2:
        return float("nan"), float("nan")
    return round(float(values.mean()), 3), round(float(values.std(ddof=1)), 3)
