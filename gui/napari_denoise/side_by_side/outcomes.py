"""Several methods on the same part of a cube, one after the other; no Qt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, Region
from denoise.engine import CancelToken, Progress, Result, RunOptions
from denoise.engine.progress import Monitor
from denoise.errors import CancelledError, DenoiseError
from denoise.noise import NoiseModel
from napari_denoise.part import held, run_part

log = logging.getLogger(__name__)
INPUT = "input"
_FEW = 100  # voxels without emission: fewer say nothing about the noise left


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a part of a cube.

    Attributes
    ----------
    label : str
        "input", or the name of the method.
    cube : Cube or None
        The pixels (channel, y, x), in memory; None where the method failed.
    source : Cube or None
        The part of the input that it was made from, in memory.
    region : Region
        Of the whole cube.
    options : RunOptions or None
        What was asked for; None for the input.
    result : Result or None
        The run.
    seconds : float
        Wall time.
    sigma : float or None
        Typical noise of the input there, in its unit.
    noise_left : float or None
        Noise of the result where no emission was found, in sigma of the input; None where that is not known.
    peak_snr : float or None
        Brightest voxel in sigma of the input.
    error : str
        Why there is no result; "" where there is one.
    """

    label: str
    cube: Cube | None
    source: Cube | None
    region: Region
    options: RunOptions | None = None
    result: Result | None = None
    seconds: float = 0.0
    sigma: float | None = None
    noise_left: float | None = None
    peak_snr: float | None = None
    error: str = ""

    @property
    def display(self) -> bool:
        """Whether the result is for display only: numbers without a unit."""
        return self.result is not None and self.result.display


def run_methods(
    cube: Cube,
    noise: NoiseModel | None,
    region: Region,
    options_list: Sequence[RunOptions],
    tell: Callable[[Outcome], None] | None = None,
    token: CancelToken | None = None,
    *,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run methods on the same part of a cube, one after the other.

    The part is read once, into memory. What one method cannot do becomes the text of its outcome; the others run.

    Parameters
    ----------
    cube : Cube
        The whole cube (channel, y, x); NaN is no coverage and stays NaN.
    noise : NoiseModel or None
        Of the whole cube, in its unit; its window is used. None: every run estimates it from the part.
    region : Region
        The part.
    options_list : sequence of RunOptions
        One for each run.
    tell : callable, optional
        Called with every outcome as it comes, first with that of the input.
    token : CancelToken, optional
        Stops within a tile.
    progress : callable, optional
        Called with a ``ProgressEvent`` at every tile.

    Returns
    -------
    list of Outcome
        The input, and one for each run.

    Raises
    ------
    CancelledError
        `token` was used.
    DenoiseError
        The part cannot be read.
    """
    found = []
    for outcome in _outcomes(cube, noise, region, options_list, Monitor(progress, token)):
        found.append(outcome)
        if tell is not None:
            tell(outcome)
    return found


def _outcomes(
    cube: Cube,
    noise: NoiseModel | None,
    region: Region,
    options_list: Sequence[RunOptions],
    monitor: Monitor,
) -> Iterator[Outcome]:
    part = held(cube, region)
    local = None if noise is None else noise.window(region)
    sigma = None if local is None else local.sigma()
    typical = None if local is None else local.typical
    peak = None if sigma is None else peak_in_sigma(part.data, sigma)
    yield Outcome(INPUT, part, part, region, sigma=typical, peak_snr=peak)
    for options in options_list:
        monitor.check()
        yield _one(part, local, region, options, monitor)


def _one(
    part: Cube, noise: NoiseModel | None, region: Region, options: RunOptions, monitor: Monitor
) -> Outcome:
    try:
        result = run_part(part, noise, options, monitor)
    except CancelledError:
        raise
    except Exception as err:  # noqa: BLE001 - one method that fails must not stop the others
        return Outcome(options.method, None, part, region, options, error=_words(err))
    left, peak = _numbers(result, noise)
    return Outcome(
        options.method,
        result.cube,
        part,
        region,
        options,
        result,
        result.seconds,
        None if noise is None else noise.typical,
        left,
        peak,
    )


def _numbers(result: Result, noise: NoiseModel | None) -> tuple[float | None, float | None]:
    """Noise left and peak of a result in sigma of the input; None where they have no meaning."""
    used = noise if noise is not None or result.stabiliser is not None else result.noise
    if result.display or used is None:
        return None, None
    data, sigma = result.cube.data, used.sigma()
    return noise_left(data, sigma, result.support.read()), peak_in_sigma(data, sigma)


def noise_left(
    data: NDArray[np.floating], sigma: NDArray[np.floating], emission: NDArray[np.bool_]
) -> float | None:
    """Standard deviation of the data where there is no emission, in sigma.

    Parameters
    ----------
    data : ndarray, shape (channel, y, x)
        NaN take no part.
    sigma : ndarray, same shape, same unit
        Noise of the input; voxels where it is unknown or zero take no part.
    emission : ndarray of bool, same shape
        The emission found in the input.

    Returns
    -------
    float or None
        None where fewer than a hundred voxels are left.
    """
    off = np.isfinite(data) & (sigma > 0) & ~emission
    if int(off.sum()) < _FEW:
        return None
    return float(np.std(data[off].astype(np.float64) / sigma[off]))


def peak_in_sigma(data: NDArray[np.floating], sigma: NDArray[np.floating]) -> float | None:
    """Largest value of data / sigma, both (channel, y, x) in one unit; None where there is none."""
    known = np.isfinite(data) & (sigma > 0)
    return float(np.max(data[known].astype(np.float64) / sigma[known])) if known.any() else None


def _words(err: Exception) -> str:
    if isinstance(err, DenoiseError):
        return str(err)
    log.error("a method failed", exc_info=err)
    return f"unexpected error ({type(err).__name__}: {err})"
