"""Whether the error bars of a method are right: coverage by peak SNR, and pulls of fluxes.

    python benchmarks/coverage.py                                    # fresh simulations of unet3d-small's recipe
    python benchmarks/coverage.py --suite toy-discs --cubes 20       # a suite of the benchmark, noise measured
    python benchmarks/coverage.py --model FOLDER --positivity on --seed 7

68 % of the truth should lie within 1 sigma and 95 % within 1.96 sigma, in the emission that the run found and in the
rest; and by the truth, in the emission (above 5 % of its peak) and the sky, which no data tell apart. Voxels where the
result is exactly zero and the truth below .01 sigma of the noise do not count. The pull of a flux is (flux - true flux)
/ error in the source's aperture, all channels: with the error of the data's noise (`denoise.metrics.masked_flux`),
and with that of UNCERT in its place, correlated as the noise is. Mean and width should be 0 and 1.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import denoise
from denoise.metrics import coverage, emission_mask, scored, sum_error
from denoise.networks.calibration import PARTS
from denoise.noise import NoiseModel

Array = NDArray[np.float32]


class Known(NamedTuple):
    """A cube with its truth: what is denoised, of which noise, in which line of the table."""

    label: str
    cube: Any
    given: NoiseModel | None
    truth: Array
    aperture: NDArray[np.bool_]
    noise: NoiseModel


def simulations(model: str, cubes: int, seed: int) -> Iterator[Known]:
    """Fresh cubes of the model's recipe, the noise model given; ranges of SNR take turns."""
    from denoise.networks.conformal import draw_cube, snr_ranges
    from denoise.networks.weights import recipe_of

    recipe = recipe_of(model).model_copy(update={"seed": seed})
    for number in range(cubes * len(snr_ranges(recipe.simulation))):
        one, snr = draw_cube(recipe, 12, number)
        label = f"{snr[0]:g}-{snr[1]:g}" if snr[1] else "empty"
        yield Known(label, one.noisy, one.model, one.truth, one.aperture, one.model)


def suite(name: str, cubes: int, seed: int) -> Iterator[Known]:
    """Cubes of a simulated suite under another seed; the method measures the noise."""
    from denoise.benchmark.cases import list_cases, make_case
    from denoise.benchmark.suite import load_suite

    asked = load_suite(name, cubes=cubes, seed=seed)
    for case in list_cases(asked):
        made = make_case(asked, case)
        assert made.noise is not None
        one = made.observation
        yield Known(f"{case.group} {case.bin}", made.cube, None, one.truth, one.aperture, made.noise)


def score(one: Known, arguments: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """Coverage (and tails) of every part, and pulls of the flux in the aperture."""
    given = {} if one.given is None else {"noise": one.given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = denoise.denoise(
            one.cube,
            "unet",
            model=arguments.model,
            positivity=arguments.positivity,
            threads=arguments.threads,
            **given,
        )
    data, sigma = (np.asarray(part.read(), np.float32) for part in (result.cube, result.uncertainty))
    known, emission = scored(one.truth, data, one.noise.sigma()), emission_mask(one.truth)
    seen = result.support.read()
    parts = dict(zip(PARTS, (seen, ~seen, emission, ~emission), strict=True))
    found: dict[str, tuple[float, ...]] = {}
    for name, mask in parts.items():
        got = coverage(one.truth, data, sigma, known & mask)
        if got is not None:
            found[name] = tuple(got)
    if emission.any():
        mask = np.broadcast_to(one.aperture, data.shape)
        off = float((data - one.truth)[mask].sum(dtype=np.float64))
        share = np.where(mask, sigma / one.noise.sigma(), 0.0)
        errors = sum_error(mask.astype(float), one.noise), sum_error(share, one.noise)
        found["pulls"] = tuple(off / error for error in errors)
    return found


def show(rows: dict[str, list[dict[str, tuple[float, ...]]]]) -> None:
    """The table: means over cubes with standard errors."""
    side = "".join(f"{name + ' .68':>13s} {'.95':>13s} {'tails':>5s} " for name in PARTS)
    print(f"{'':18s} {'cubes':>5s} {side} {'pull, noise':>14s} {'pull, UNCERT':>14s}")
    for label, found in rows.items():
        cells = [f"{label:18s} {len(found):5d} "]
        for name in PARTS:
            table = np.array([one[name] for one in found if name in one])
            cells.append(_shares(table) if len(table) else f"{'-':>13s} {'-':>13s} {'-':>5s} ")
        pulls = np.array([one["pulls"] for one in found if "pulls" in one])
        if len(pulls) > 1:
            cells.append(" ".join(f"{np.mean(p):+6.2f} x {np.std(p, ddof=1):5.2f}" for p in pulls.T))
        print(" ".join(cells), flush=True)


def _shares(table: NDArray[np.float64]) -> str:
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.full(3, np.nan)
    shares = " ".join(f"{table[:, k].mean():6.3f} ± {error[k]:.3f}" for k in (0, 1))
    return f"{shares} {np.nanmedian(table[:, 2]):5.2f} "


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="unet3d-small", help="name or folder")
    parser.add_argument("--suite", help="a simulated suite of the benchmark; none: simulations as trained on")
    parser.add_argument("--cubes", type=int, default=20, help="cubes of each line")
    parser.add_argument("--positivity", choices=["auto", "on", "off"], default="on")
    parser.add_argument("--seed", type=int, default=4711, help="neither of a training nor of a suite")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    source = (
        suite(arguments.suite, arguments.cubes, arguments.seed)
        if arguments.suite
        else simulations(arguments.model, arguments.cubes, arguments.seed)
    )
    rows: dict[str, list[dict[str, tuple[float, ...]]]] = {}
    for one in source:
        rows.setdefault(one.label, []).append(score(one, arguments))
    show(rows)


if __name__ == "__main__":
    main()
