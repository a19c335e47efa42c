"""Run every row of a suite on one case and score what comes out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.benchmark.cases import Case, Made, make_case
from denoise.benchmark.floors import gauss_oracle, wiener_oracle
from denoise.benchmark.suite import FLOORS, Row, Suite
from denoise.engine import denoise
from denoise.errors import DenoiseError
from denoise.methods import AUTO, get_method
from denoise.metrics import (
    FIDELITY_KEYS,
    SCORE_KEYS,
    blurred_moments,
    emission_auc,
    emission_mask,
    fidelity,
    flux_percent,
    half_rmse_ratio,
    near_truth,
    observed_rmse_ratio,
    residual_statistics,
    score,
)
from denoise.noise import NoiseModel

Array = NDArray[np.float32]
_STANDS_OUT = 5.0  # sigma of an observed truth's own noise: a twentieth of its peak may be less than that
RESIDUAL_KEYS = ("residual_std", "residual_acf_difference")
AUC, LINEARITY = "emission_auc", "linearity_error_percent"
KEYS = (*SCORE_KEYS, *FIDELITY_KEYS, *RESIDUAL_KEYS, AUC, LINEARITY)
_COMPUTED = ("noisy", "zeros", "gauss_oracle", "wiener_oracle")  # rows that no installed method makes


def rows_of(suite: Suite) -> dict[str, Row]:
    """Every row of the table: the floors that the suite's data allow, then its methods."""
    known = suite.cases.source in ("simulated", "stored", "degraded")
    names = [name for name in FLOORS if known or "oracle" not in name]
    floors = {name: Row(method="smooth" if name == "smooth" else name) for name in names}
    return floors | dict(suite.methods)


def score_case(
    suite: Suite, case: Case, names: Iterable[str], data: Path | None = None
) -> list[dict[str, Any]]:
    """Scores of these rows on one case: dictionaries that JSON can hold, one a row.

    A method that fails gives a row with ``error`` and no numbers: one failure does not stop a suite, and it is not
    left out of the table.
    """
    made = make_case(suite, case, data)
    rows = rows_of(suite)
    return list(_scored(suite, case, made, {name: rows[name] for name in names}))


class Known(NamedTuple):
    """What all rows of a case are scored with: the surroundings of the truth, and the truth ever more blurred."""

    near: NDArray[np.bool_]
    blurred: NDArray[np.float64]


def known_of(made: Made) -> Known | None:
    """Worked out once a case; None where there is no truth."""
    if made.other is not None:
        return None
    one = made.observation
    return Known(near_truth(one.truth, one.beam_pixels), blurred_moments(one.truth, one.beam_pixels))


def _scored(suite: Suite, case: Case, made: Made, rows: dict[str, Row]) -> Iterator[dict[str, Any]]:
    noise, known = made.noise, known_of(made)
    for name, row in rows.items():
        start = time.perf_counter()
        entry: dict[str, Any] = {
            "case": case.key,
            "row": name,
            "group": case.group,
            "bin": case.bin,
            "cube": case.name,
        }
        entry |= {"number": case.number, "draw": case.draw, "category": _category(row), **made.facts}
        try:
            output, used, display, linearity = apply_row(row, made, seed=suite.seed)
        except DenoiseError as err:
            yield {**entry, "error": err.message}
            continue
        seconds = time.perf_counter() - start
        noise = noise or used
        if display:
            found = dict.fromkeys(KEYS) | contrast(made, output)
        else:
            found = numbers(made, output, noise, known, false_structure=suite.false_structure)
        yield {**entry, **found, LINEARITY: linearity, "seconds": seconds}


def _category(row: Row) -> str | None:
    """Denoiser or enhancer; None where that is not known before the run, or no method makes the row."""
    if row.method in _COMPUTED or row.method == AUTO:
        return None
    return get_method(row.method).info.category


class Applied(NamedTuple):
    """Output of one row.

    Attributes
    ----------
    output : ndarray, shape (channel, y, x)
    noise : NoiseModel or None
        What its method measured, if it did.
    display : bool
        The output is for display only: it has no unit, and nothing of it is scored but its contrast.
    linearity : float or None
        Largest error of the flux of an injected source in per cent, where the method injected any.
    """

    output: Array
    noise: NoiseModel | None
    display: bool = False
    linearity: float | None = None


def apply_row(row: Row, made: Made, *, seed: int) -> Applied:
    """Output of one row and what is known of it."""
    noisy, truth = made.observation.noisy, made.observation.truth
    if row.method == "noisy":
        return Applied(noisy, None)
    if row.method == "zeros":
        return Applied(np.zeros_like(noisy), None)
    if row.method == "gauss_oracle":
        return Applied(gauss_oracle(noisy, truth, made.observation.beam_pixels), None)
    if row.method == "wiener_oracle":
        noise = made.noise or _noise_of(made)
        return Applied(wiener_oracle(noisy, truth, noise), noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a table of thousands of runs; `denoise run` shows them
        result = denoise(
            made.cube,
            row.method,
            seed=seed,
            threads=1,  # the processes are the parallelism
            positivity=row.positivity,
            continuum=row.continuum,
            **row.parameters,
        )
    output = np.asarray(result.cube.read(), np.float32)
    return Applied(output, result.noise, result.display, result.metrics.get(LINEARITY))


def contrast(made: Made, output: Array) -> dict[str, float | None]:
    """What can be said of values of any unit: how well the emission stands out; nothing without a truth."""
    return {AUC: None if made.other is not None else emission_auc(made.observation.truth, output)}


def numbers(
    made: Made,
    output: Array,
    noise: NoiseModel | None,
    known: Known | None,
    *,
    false_structure: bool = True,
) -> dict[str, float | None]:
    """Every score of one output; None where the case does not define it."""
    if known is None:
        return _against_half(made, output)
    one = made.observation
    found = score(
        one.truth,
        one.noisy,
        output,
        aperture=one.aperture,
        beam=one.beam_pixels,
        noise=noise if false_structure else None,
        near=known.near,
    )
    result: dict[str, float | None] = dict.fromkeys(KEYS) | found | contrast(made, output)
    if made.observed is not None:
        return result | _corrected(made, output)
    result |= fidelity(one.truth, output, aperture=one.aperture, blurred=known.blurred, sources=made.sources)
    if noise is not None:
        left = residual_statistics(one.noisy - output, noise)
        result |= {"residual_std": left.std, "residual_acf_difference": left.acf_difference}
    return result


def _corrected(made: Made, output: Array) -> dict[str, float | None]:
    """RMSE ratios less the noise that the truth itself has; emission is what stands out of that noise."""
    one, sigma = made.observation, made.observed
    assert sigma is not None
    emission = emission_mask(one.truth) & (one.truth > _STANDS_OUT * sigma)
    masks = {"aperture": one.aperture, "emission": emission, "cube": None}
    ratios = {
        f"rmse_ratio_{name}": observed_rmse_ratio(one.truth, sigma, one.noisy, output, mask)
        for name, mask in masks.items()
    }
    return ratios | {"flux_emission_percent": flux_percent(one.truth, output, emission)}


def _against_half(made: Made, output: Array) -> dict[str, float | None]:
    """Errors and flux against the other half, in masks that the first half alone chose."""
    one, other = made.observation, made.other
    assert other is not None
    masks = {"aperture": one.aperture, "emission": made.support, "cube": None}
    result: dict[str, float | None] = dict.fromkeys(KEYS)
    for name, mask in masks.items():
        result[f"rmse_ratio_{name}"] = half_rmse_ratio(other.data, other.variance, one.noisy, output, mask)
        result[f"flux_{name}_percent"] = flux_percent(other.data, output, mask)
    return result


def _noise_of(made: Made) -> NoiseModel:
    from denoise.noise import estimate_noise

    return estimate_noise(made.cube)
