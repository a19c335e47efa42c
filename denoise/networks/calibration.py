"""Calibrated error bars: what a network predicts of its error, times a factor learnt on simulations.

The network predicts the error of its own output; what users get has flux put back and no negative values, and depends
on weights that were trained for more than error bars. So the predicted error is multiplied by a factor, the product of
curves: of the predicted error, of the significance of the data nearby, of how large the result itself is nearby, and of
how much of what is around is emission that was found. There is one set for the emission found, whose error is that of
its shape, and one for the rest, whose error is what was not found. All are in units of sigma and local: the factor does
not depend on tiles, and the error scales with the data. The curves are fitted as conformal quantiles are, see
``denoise.networks.conformal``.

Errors are not Gaussian, least of all where nothing was found: mostly nothing is there, rarely a source. So 95 % of the
truth are not within 1.96 sigma, but within limits of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from denoise.atomic import put
from denoise.errors import InputError
from denoise.transforms._jit import run_ranges
from denoise.transforms.smoothing import box_mean

Array = NDArray[np.float32]
Curves = dict[str, tuple[float, ...]]

# parts of a cube: the emission that the method found, and the rest; by the truth: emission (above 5 % of its peak), sky
Where = Literal["found", "rest", "emission", "sky"]
PARTS: tuple[Where, ...] = get_args(Where)

FILE = "calibration.yaml"
BOX = (1, 3)  # half widths of the box over which the result's own size is taken: channels, pixels
AROUND = (4, 12)  # the same of the box whose share of emission found is taken
# where each curve is given, in sigma or as a share; straight in the logarithm between, level beyond
KNOTS: dict[str, tuple[float, ...]] = {
    "spread": (0.03, 0.1, 0.2, 0.3, 0.45, 0.7, 1.2, 2.0, 4.0),
    "strength": (2.5, 3.5, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0),
    "size": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "near": (1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0),
}
LEAST = KNOTS["spread"][0]  # sigma: no network knows its error better, whatever it predicts of single voxels
OF_DRAWS = ("spread", "strength", "size")  # what errors from draws of the noise look at


class Examined(NamedTuple):
    """A block as it was denoised, before calibration, in units of sigma.

    Attributes
    ----------
    data : ndarray, shape (channel, y, x), float32
        The final result.
    spread : ndarray, same shape
        The error that the network predicts.
    strength : ndarray, same shape
        Largest significance of the data nearby (`denoise.transforms.gates.strength`).
    valid : ndarray of bool, same shape
        Where there is coverage.
    found : ndarray of bool, same shape
        Emission, by the method's search.
    """

    data: Array
    spread: Array
    strength: Array
    valid: NDArray[np.bool_]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class Factor:
    """A factor for predicted errors.

    Attributes
    ----------
    found, rest : dict of tuple of float
        Logarithm of the factor at each of ``KNOTS``, or of some of them: the curves add up. In the emission found, and
        elsewhere.
    """

    found: Curves
    rest: Curves

    def error(self, seen: Examined, *, threads: int = 1) -> Array:
        """The calibrated 1 sigma error, shape (channel, y, x), in units of sigma."""
        looked, out = features(seen, tuple(self.found), threads=threads), np.empty_like(seen.spread)

        def planes(first: int, last: int) -> None:
            for k in range(first, last):
                here, at = seen.found[k], {name: values[k] for name, values in looked.items()}
                out[k] = _scaled(self.rest, at)
                if here.any():
                    out[k][here] = _scaled(self.found, {name: values[here] for name, values in at.items()})

        run_ranges(planes, len(out), threads=threads)
        return out


def features(seen: Examined, names: Iterable[str], *, threads: int = 1) -> dict[str, Array]:
    """What the curves of these names look at, shape (channel, y, x) each."""
    ways: dict[str, Callable[[], Array]] = {
        "spread": lambda: seen.spread,
        "strength": lambda: seen.strength,
        "size": lambda: size_of(seen.data, threads=threads),
        "near": lambda: _share_of(seen.found, threads=threads),
    }
    return {name: ways[name]() for name in names}


def _scaled(curves: Curves, seen: dict[str, Array]) -> Array:
    """The error of voxels in any order, from what the curves look at."""
    log = sum(np.interp(logs(values), _at(name), curves[name]) for name, values in seen.items())
    spread = seen["spread"]
    return np.asarray(spread * np.exp(log), spread.dtype)


def size_of(data: Array, *, threads: int = 1) -> Array:
    """Root mean square of the result over the box around every voxel (channel, y, x)."""
    box = (BOX[0] if len(data) > 1 else 0, BOX[1], BOX[1])
    return np.sqrt(np.maximum(box_mean(np.square(data), box, threads=threads), 0))


def _share_of(found: NDArray[np.bool_], *, threads: int) -> Array:
    """Share of the box around every voxel that is emission found."""
    box = (AROUND[0] if len(found) > 1 else 0, AROUND[1], AROUND[1])
    return box_mean(found.astype(np.float32), box, threads=threads)


def halo(channels: int) -> tuple[int, int]:
    """How far (channels, pixels) the factor looks around itself in the result; `AROUND` in the emission found."""
    return (BOX[0] if channels > 1 else 0), BOX[1]


def logs(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logarithms, of zeros too: curves are level there."""
    return np.asarray(np.log(np.maximum(values, 1e-6)))


def _at(name: str) -> NDArray[np.float64]:
    return np.log(KNOTS[name])


class Covered(BaseModel):
    """Coverage on simulations that the curves were not fitted to: mean over cubes, and its standard error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    positivity: bool
    snr: tuple[float, float] = Field(description="peak SNR; (0, 0): empty fields")
    where: Where
    cubes: int
    within_1: tuple[float, float | None] = Field(description="share within 1 sigma")
    within_2: tuple[float, float | None] = Field(description="share within the limit of 95 %")
    tails: float = Field(description="quantile .95 over quantile .68 of error / sigma; Gaussian: 1.97")


class Side(BaseModel):
    """What is known of results of both signs, or of those without negatives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    found: Curves = Field(description="where emission was found")
    rest: Curves = Field(description="everywhere else")
    limits: tuple[float, float] = Field(description="sigma within which 95 % lies: emission found, the rest")

    @field_validator("found", "rest")
    @classmethod
    def _of_these_names(cls, curves: Curves) -> Curves:
        expected = {name: len(knots) for name, knots in KNOTS.items()}
        lengths = {name: len(values) for name, values in curves.items()}
        if lengths not in (expected, {name: expected[name] for name in OF_DRAWS}):
            raise ValueError(f"curves must have the lengths {expected}, with or without near")
        return curves

    @property
    def factor(self) -> Factor:
        """For predicted errors."""
        return Factor(self.found, self.rest)


class Calibration(BaseModel):
    """What the file holds, and how good it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(description="of the weights it belongs to")
    cubes: tuple[int, int] = Field(description="fitted to, scored on")
    both_signs: Side
    positive: Side
    coverage: tuple[Covered, ...] = ()

    def side(self, *, positivity: bool) -> Side:
        """Curves for results with or without positivity."""
        return self.positive if positivity else self.both_signs


def write_calibration(found: Calibration, folder: Path) -> None:
    """Write it beside the weights.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    plain = found.model_dump(mode="json")
    put(folder / FILE, yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=110))


@cache
def calibration_of(folder: Path, checksum: str) -> Calibration | None:
    """The calibration of the weights with this SHA-256 in a folder; None if there is none.

    Raises
    ------
    InputError
        The file is none, or belongs to other weights.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = Calibration(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValidationError, ValueError) as err:
        raise InputError(
            f"{path} cannot be read as a calibration",
            value=" ".join(str(err).split())[:100],
            action="go on with denoise train --resume, which makes it again",
        ) from None
    if found.sha256 != checksum:
        raise InputError(
            f"{path} belongs to other weights",
            value=f"SHA-256 {found.sha256[:12]}, not {checksum[:12]}",
            action="go on with denoise train --resume, which makes it again",
        )
    return found
