"""All scores of one output with known truth, and their summary over cubes. Keys are stable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.metrics import accuracy
from denoise.metrics.apertures import emission_mask, near_truth
from denoise.metrics.regions import DETECTION, false_structure
from denoise.noise import NoiseModel

Array = NDArray[Any]
Score = dict[str, float | None]
Beam = tuple[float, float, float]

MEDIAN_KEYS = ("rmse_ratio_aperture", "rmse_ratio_emission", "rmse_ratio_cube")
MEAN_KEYS = (
    "flux_aperture_percent",
    "flux_emission_percent",
    "flux_cube_percent",
    "peak_kept",
    "peak_voxel_kept",
    "bright_mean_kept",
    "mad_gain",
    "snr_gain",
    "false_regions",
    "false_volume",
    "residue_regions",
    "residue_volume",
)
SCORE_KEYS = MEDIAN_KEYS + MEAN_KEYS


class Observation(NamedTuple):
    """A cube with known truth: arrays (channel, y, x), noise in the truth's unit, aperture (y, x)."""

    name: str
    truth: NDArray[np.float32]
    noise: NDArray[np.float32]
    beam_pixels: Beam
    aperture: NDArray[np.bool_]
    sigma: float

    @property
    def noisy(self) -> NDArray[np.float32]:
        """Truth plus noise."""
        return self.truth + self.noise


class Summary(NamedTuple):
    """A score over many cubes: median or mean, its standard error, and how many cubes define it."""

    value: float | None
    error: float | None
    cubes: int
    statistic: str


def score(
    truth: Array,
    noisy: Array,
    denoised: Array,
    *,
    aperture: NDArray[np.bool_],
    beam: Beam,
    noise: NoiseModel | None = None,
    threshold: float = DETECTION,
    near: NDArray[np.bool_] | None = None,
) -> Score:
    """Every score of one output.

    Parameters
    ----------
    truth, noisy, denoised : ndarray, shape (channel, y, x)
        One unit.
    aperture : ndarray of bool, shape (y, x)
        The source, all channels.
    beam : tuple of float
        (major, minor, pa): FWHM in pixels, degrees from +y towards -x.
    noise : NoiseModel, optional
        Noise of ``noisy``; without it false structure is None.
    threshold : float
        Matched-filter SNR of a false region.
    near : ndarray of bool, shape (channel, y, x), optional
        Surroundings of the truth, if known already (see `near_truth`).

    Returns
    -------
    dict
        One value for each of ``SCORE_KEYS``: RMSE ratios (1 = input), flux in percent, peak ratios, gains,
        numbers of regions and of voxels; None where it is undefined.
    """
    emission = emission_mask(truth)
    near = near_truth(truth, beam) if near is None else near
    result: Score = dict.fromkeys(SCORE_KEYS)
    for name, mask in (("aperture", aperture), ("emission", emission), ("cube", None)):
        result[f"rmse_ratio_{name}"] = accuracy.rmse_ratio(truth, noisy, denoised, mask)
        result[f"flux_{name}_percent"] = accuracy.flux_percent(truth, denoised, mask)
    result["peak_kept"] = accuracy.peak_kept(truth, denoised)
    result["peak_voxel_kept"] = accuracy.peak_voxel_kept(truth, denoised)
    result["bright_mean_kept"] = accuracy.bright_mean_kept(truth, denoised)
    result["mad_gain"] = accuracy.mad_gain(noisy, denoised, ~near)
    result["snr_gain"] = accuracy.snr_gain(noisy, denoised, background=~near)
    if noise is not None:
        found = false_structure(
            truth, noisy, denoised, noise=noise, beam=beam, threshold=threshold, near=near
        )
        result["false_regions"] = float(len(found.regions))
        result["false_volume"] = float(found.volume)
        result["residue_regions"] = float(found.residue_count)
        result["residue_volume"] = float(found.residue_volume)
    return result


def score_function(
    function: Callable[[NDArray[np.float32], Beam], Array],
    observations: Iterable[Observation],
    *,
    false_regions: bool = True,
    family: Any = "white_convolved",
) -> list[dict[str, Any]]:
    """Score ``function(noisy, beam_pixels) -> denoised`` on cubes with known truth.

    Parameters
    ----------
    function : callable
        Gets the noisy array and the beam (major, minor, pa), nothing else.
    observations : iterable of Observation
        Read one at a time.
    false_regions : bool
        Whether to look for false structure.
    family : str
        Correlation of the noise, as in `NoiseModel.from_beam`.

    Returns
    -------
    list of dict
        One score a cube, with "cube" and "seconds" added.
    """
    rows = []
    for one in observations:
        start = time.perf_counter()
        denoised = function(one.noisy, one.beam_pixels)
        seconds = time.perf_counter() - start
        model = (
            NoiseModel.from_beam(one.truth.shape, one.sigma, one.beam_pixels, family)
            if false_regions
            else None
        )
        found = score(
            one.truth, one.noisy, denoised, aperture=one.aperture, beam=one.beam_pixels, noise=model
        )
        rows.append({"cube": one.name, **found, "seconds": seconds})
    return rows


def summarise(scores: Sequence[Mapping[str, Any]], keys: Sequence[str] | None = None) -> dict[str, Summary]:
    """Medians of the RMSE ratios, means of everything else, with standard errors.

    Of `keys`, or of ``SCORE_KEYS`` and whatever other numbers there are.

    The error of a mean is s / sqrt(n); that of a median 1.2533 s / sqrt(n), exact for a Gaussian spread.
    Cubes where a score is None do not count in it.
    """
    keys = [*SCORE_KEYS, *_other_numbers(scores)] if keys is None else keys
    return {key: _summary(key, [row.get(key) for row in scores]) for key in keys}


def _other_numbers(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    first = scores[0] if scores else {}
    return [key for key, value in first.items() if key not in SCORE_KEYS and isinstance(value, (int, float))]


def _summary(key: str, entries: Sequence[float | None]) -> Summary:
    values = np.array([value for value in entries if value is not None], dtype=np.float64)
    statistic = "median" if key in MEDIAN_KEYS else "mean"
    if not values.size:
        return Summary(None, None, 0, statistic)
    centre = np.median(values) if statistic == "median" else values.mean()
    efficiency = math.sqrt(math.pi / 2.0) if statistic == "median" else 1.0
    error = efficiency * values.std(ddof=1) / math.sqrt(values.size) if values.size > 1 else None
    return Summary(float(centre), None if error is None else float(error), values.size, statistic)
