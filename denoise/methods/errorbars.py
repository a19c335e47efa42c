"""From what draws of the noise say to a 1 sigma error: calibrated curves, one set for each method.

The spread of a result over draws of the noise is not its error: what a method did not find it does not find in the
draws either, and the draws start from a result that is smoother than the truth. So the spread, with a floor, is
multiplied by a factor that was learnt on simulations with known truth, the product of three curves (see
`denoise.networks.calibration`), one set for the emission found and one for the rest. They are fitted so that 68 % of
the *emission* lies within 1 sigma: where nothing was found the error says how bright emission may be that was not
found, about as bright as the noise, and it is far too wide for sky that is truly empty. No map can do both: faint
emission that was missed looks like empty sky.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from denoise.errors import InputError
from denoise.methods.contract import Denoiser, Limits
from denoise.networks.calibration import Examined, Side
from denoise.noise import NoiseModel
from denoise.resources import resource
from denoise.transforms import detection
from denoise.transforms.gaps import bridged
from denoise.transforms.gates import strength
from denoise.transforms.wavelets import default_scales
from denoise.transforms.whitening import whiten

Array = NDArray[np.float32]

FILE = "calibration.yaml"
FLOOR = 0.1  # sigma: spread of voxels that draws leave alone
_FINEST = 1  # smoothing that the significance nearby is taken from


class Held(BaseModel):
    """How errors did on simulations that the curves were not fitted to, where the truth exceeds 1 sigma of the noise.

    Means over cubes and their standard errors; the pull is (result - truth) / error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    positivity: bool
    snr: tuple[float, float] = Field(description="peak SNR")
    cubes: int
    within_1: tuple[float, float]
    within_2: tuple[float, float]
    pull_mean: tuple[float, float]
    pull_width: tuple[float, float]
    flux_pull: tuple[float, float] = Field(description="mean and width over the cubes, of the flux found")


class DrawnSide(Side):
    """The same of errors from draws, and of fluxes."""

    flux: float = Field(gt=0, description="factor for the errors of fluxes that draws give")


class ErrorCurves(BaseModel):
    """What the file ``models/METHOD-errors/calibration.yaml`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    weights: str = Field("", description="SHA-256 of the trained numbers that the method used")
    draws: int
    cubes: tuple[int, int] = Field(description="fitted to, scored on")
    both_signs: DrawnSide
    positive: DrawnSide
    held: tuple[Held, ...] = ()

    def side(self, *, positivity: bool) -> DrawnSide:
        """Curves for results with or without positivity."""
        return self.positive if positivity else self.both_signs

    def error(self, seen: Examined, *, positivity: bool, threads: int = 1) -> Array:
        """The calibrated 1 sigma error, shape (channel, y, x), in units of sigma."""
        return self.side(positivity=positivity).factor.error(seen, threads=threads)


@cache
def error_curves(method: str, weights: str) -> ErrorCurves | None:
    """Those of a packaged method; None where there are none for it with these trained numbers.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        path = resource("models", f"{method}-errors", FILE)
    except InputError:
        return None
    try:
        found = ErrorCurves(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValidationError, ValueError) as err:
        raise InputError(
            f"{path} cannot be read as a calibration of error bars",
            value=" ".join(str(err).split())[:100],
            action="reinstall astro-denoise",
        ) from None
    return found if found.weights == weights else None


def flux_factor(denoiser: Denoiser) -> float:
    """What the errors of fluxes that draws give are multiplied by; 1 where nothing is known of the method."""
    curves = error_curves(denoiser.info.name, denoiser.weights)
    return 1.0 if curves is None else curves.side(positivity=denoiser.positivity).flux


def drawn_limits(denoiser: Denoiser) -> Limits | None:
    """How many of the sigma that draws give hold 95 %; None where nothing is known of the method."""
    curves = error_curves(denoiser.info.name, denoiser.weights)
    return None if curves is None else Limits(*curves.side(positivity=denoiser.positivity).limits)


class Surroundings(NamedTuple):
    """What a calibration looks at beside the result, shape (channel, y, x) each; see ``Examined``."""

    strength: Array
    valid: NDArray[np.bool_]
    found: NDArray[np.bool_]

    def examined(self, data: Array, spread: Array, sigma: Array) -> Examined:
        """With the result and its spread over draws, in the unit of `sigma`; `FLOOR` is added in quadrature."""
        wide = np.hypot(_over(spread, sigma), np.float32(FLOOR))
        return Examined(_over(data, sigma), wide, self.strength, self.valid, self.found)


def surroundings(
    block: Array, noise: NoiseModel, support: NDArray[np.bool_] | None, *, positivity: bool, threads: int = 1
) -> Surroundings:
    """Search a block.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x), float32
        The data, NaN where there is no coverage.
    noise : NoiseModel
        Of the block.
    support : ndarray of bool, same shape, or None
        The emission found; None: it is searched for here, as the engine does.
    positivity : bool
        Only emission is searched for.
    threads : int
        Threads of this call.
    """
    scaled, valid = detection.standardise(block, noise.sigma(), threads=threads)
    if support is None:
        seen = detection.find_emission(scaled, valid, noise, both_signs=not positivity, threads=threads)
        white, support = seen.white, seen.support
    else:
        white = whiten(scaled, valid, noise, threads=threads)
    scales = tuple(min(most, _FINEST) for most in default_scales(noise.cube_shape))
    left = detection.noise_left(white.noise, (scales[0], scales[1]))
    near = strength(bridged(white.data, valid), left, threads=threads)
    return Surroundings(near, valid, support)


def _over(values: Array, sigma: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(values / sigma, posinf=0, neginf=0), np.float32)
