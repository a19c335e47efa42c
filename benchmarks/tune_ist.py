"""Random search over the constants of ``ist`` on the simulated tuning set; prints each improvement.

    python benchmarks/tune_ist.py --minutes 30 --cubes 10 --seed 1

The score sums RMSE ratios (aperture, emission, cube), relative to the constants in the code, and what is missing of the
flux of the emission and of the value at the truth's peak; it never looks at the ten bench cubes.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from denoise.methods import ist
from denoise.metrics import score
from denoise.noise import NoiseModel
from denoise.simulate import tuning_set
from denoise.transforms import detection

SNRS = (2.75, 4.5, 7.0)
LEVELS = ("rmse_ratio_aperture", "rmse_ratio_emission", "rmse_ratio_cube")


def observations(cubes: int, seed: int) -> list[tuple[Any, Any]]:
    return [
        (s, NoiseModel.from_beam(s.truth.shape, s.sigma, s.beam_pixels))
        for snr in SNRS
        for s in tuning_set(cubes, snr, seed=seed)
    ]


def evaluate(constants: dict[str, float], data: list[tuple[Any, Any]]) -> dict[str, np.ndarray]:
    apply(constants)
    method = ist.Ist(positivity=True, threads=2, threshold=constants["seed"])
    rows = []
    for s, noise in data:
        out = method.apply(s.noisy, noise, None).data
        rows.append(score(s.truth, s.noisy, out, aperture=s.aperture, beam=s.beam_pixels))
    keys = (*LEVELS, "flux_emission_percent", "peak_voxel_kept")
    per_snr = len(rows) // len(SNRS)
    return {key: np.reshape([row[key] for row in rows], (len(SNRS), per_snr)).mean(axis=1) for key in keys}


def apply(constants: dict[str, float]) -> None:
    """Put a set of constants where the method reads them."""
    thresholds = {name: constants[name] for name in ("low", "high", "finer", "grow")}
    defaults = detection.Thresholds.__init__
    defaults.__kwdefaults__ = None
    defaults.__defaults__ = (constants["seed"], *thresholds.values())
    ist._PASSES = tuple(
        ist.Pass(
            (constants[f"level{n}"], constants[f"pixels{n}"], constants[f"channels{n}"]),
            p.spatial,
            p.spectral,
        )
        for n, p in enumerate(ist._PASSES)
    )


def current() -> dict[str, float]:
    found = {
        name: float(getattr(detection.Thresholds(), name))
        for name in ("seed", "low", "high", "finer", "grow")
    }
    for n, one in enumerate(ist._PASSES):
        found |= {f"level{n}": one.prior[0], f"pixels{n}": one.prior[1], f"channels{n}": one.prior[2]}
    return found


def badness(now: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> float:
    ratios = sum(float((now[key] / first[key]).sum()) for key in LEVELS)
    lost = 3 * np.maximum(first["flux_emission_percent"] - now["flux_emission_percent"], 0).sum() / 100
    peak = np.maximum(first["peak_voxel_kept"] - now["peak_voxel_kept"], 0).sum()
    return ratios + float(lost) + float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cubes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    data = observations(asked.cubes, asked.seed)
    best = current()
    first = evaluate(best, data)
    least = badness(first, first)
    report(least, best, first)
    end = time.monotonic() + 60 * asked.minutes
    while time.monotonic() < end:
        trial = dict(best)
        for name in rng.choice(list(trial), size=int(rng.integers(1, 4)), replace=False):
            trial[name] += rng.normal(0, 0.1 * max(abs(trial[name]), 0.5))
        if not 0 < trial["low"] < trial["high"] or trial["grow"] <= 0:
            continue
        scores = evaluate(trial, data)
        if (now := badness(scores, first)) < least:
            least, best = now, trial
            report(least, best, scores)


def report(value: float, constants: dict[str, float], scores: dict[str, np.ndarray]) -> None:
    print(f"{value:.4f}  " + "  ".join(f"{name} {number:.3f}" for name, number in constants.items()))
    for key, numbers in scores.items():
        print(f"    {key:24s} " + "  ".join(f"{number:8.3f}" for number in numbers), flush=True)


if __name__ == "__main__":
    main()
