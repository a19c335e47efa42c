"""Flux against RMSE and false structure: what it costs to find more, and to put more of it back.

    python benchmarks/flux_tradeoff.py --method ist --cubes 12              # how rare what starts a region must be
    python benchmarks/flux_tradeoff.py --method unet --knob put-back        # share of what is put back, 1 as it is
    python benchmarks/flux_tradeoff.py --method unet --knob again           # the gains once more, on the residual
    python benchmarks/flux_tradeoff.py --method unet --knob standing        # what a result must stand out by

`search` moves the significance that starts a region (``denoise.transforms.detection``) by so many sigma; `put-back`
takes the step of ``denoise.transforms.flux`` by 0 to 2 times what the method takes it; `again` adds, in the regions
found, so much of what the network's gains make of the residual (twicing: Tukey 1977, Exploratory Data Analysis): what a
gain g leaves out falls from 1 - g to (1 - g)^2, and the noise rises; `standing` moves the sigma that a result needs to
be shown (``denoise.transforms.standing``; -9: no second opinion). Medians over simulated cubes of the tuning set, noise
measured from each cube as in any run; not the bench cubes. "empty" is the share of fields in which anything is shown
where the noise of these cubes is all there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from score_bench import SNRS, installed, load_tuning

from denoise.metrics import score_function, summarise
from denoise.networks import inference
from denoise.networks.weighing import Shares, weighed_sum
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux, standing

SETTINGS = {
    "search": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "put-back": (0.0, 0.5, 1.0, 1.5, 2.0),
    "again": (0.0, 0.25, 0.5, 0.75, 1.0),
    "standing": (-9.0, -0.5, 0.0, 0.5, 1.0),
}
COLUMNS = {
    "rmse_ratio_aperture": "RMSE aperture",
    "rmse_ratio_emission": "RMSE emission",
    "flux_aperture_percent": "flux aperture %",
    "flux_emission_percent": "flux emission %",
    "flux_cube_percent": "flux cube %",
    "peak_kept": "peak kept",
    "false_regions": "false regions",
}


@contextmanager
def turned(knob: str, setting: float) -> Iterator[None]:
    """While inside, every method searches, or puts back, as set."""
    put_back, seed_levels = flux.put_back, detection.seed_levels
    gains: dict[str, Any] = {}

    def partly(estimate: np.ndarray, data: np.ndarray, **how: Any) -> None:
        before = estimate.copy()
        put_back(estimate, data, **how)
        estimate[...] = before + np.float32(setting) * (estimate - before)

    def moved(noise: NoiseModel, scales: tuple[int, int], seed: float = detection.SEED) -> np.ndarray:
        return seed_levels(noise, scales, seed + setting)

    def kept(
        white: np.ndarray, noise: Any, grid: Any, shares: Shares, floor: float, **how: Any
    ) -> np.ndarray:
        plain = shares._replace(correction=np.zeros_like(shares.correction))
        gains["of"] = lambda rest: weighed_sum(rest, noise, grid, plain, np.inf, **how)
        return weighed_sum(white, noise, grid, shares, floor, **how)

    def again(estimate: np.ndarray, data: np.ndarray, *, region: np.ndarray, **how: Any) -> None:
        estimate += np.float32(setting) * region * gains["of"](data - estimate)
        put_back(estimate, data, region=region, **how)

    changes: dict[str, list[tuple[Any, str, Any]]] = {
        "search": [(detection, "seed_levels", moved)],
        "put-back": [(flux, "put_back", partly)],
        "standing": [(standing, "STANDS", tuple(limit + setting for limit in standing.STANDS))],
        "again": [(inference, "weighed_sum", kept), (flux, "put_back", again)],
    }
    with ExitStack() as patches:
        for place, name, function in changes[knob]:
            patches.enter_context(patch.object(place, name, function))
        yield


def empty_shown(method: str, snr: float, cubes: int) -> float:
    """Share of fields of noise alone in which a method shows anything."""
    denoised, fields = installed(method, {}), load_tuning(snr, cubes=cubes)
    return float(np.mean([denoised(one.noise, one.beam_pixels).any() for one in fields]))


def main() -> None:
    """Print a table for each SNR."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--method", default="unet", help="unet, hybrid, ist or lidia")
    parser.add_argument("--knob", choices=SETTINGS, default="search")
    parser.add_argument("--cubes", type=int, default=12)
    asked = parser.parse_args()
    for snr in SNRS:
        print(f"{asked.method}, peak SNR {snr:g}, {asked.cubes} cubes")
        print(f"{asked.knob:10}" + "".join(f"{name:>20}" for name in [*COLUMNS.values(), "empty"]))
        for setting in SETTINGS[asked.knob]:
            with turned(asked.knob, setting):
                rows = score_function(installed(asked.method, {}), load_tuning(snr, cubes=asked.cubes))
                shown = empty_shown(asked.method, snr, asked.cubes)
            scores = summarise(rows)
            cells = (f"{scores[name].value:.3g} +- {scores[name].error or 0:.2g}" for name in COLUMNS)
            print(
                f"{setting:8.2f}  " + "".join(f"{cell:>20}" for cell in [*cells, f"{shown:.2f}"]), flush=True
            )


if __name__ == "__main__":
    main()
