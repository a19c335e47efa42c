"""Whether error bars are right: coverage and pulls by peak SNR, and pulls of fluxes.

    python benchmarks/coverage.py                          # fresh simulations of unet3d-small's recipe
    python benchmarks/coverage.py --method ist --suite toy-discs --cubes 20        # a suite, noise measured
    python benchmarks/coverage.py --method ist --suite real-degraded --data FOLDER
    python benchmarks/coverage.py --model FOLDER --positivity on --seed 7

68 % of the truth should lie within 1 sigma and 95 % within the limits that the run states (1.96 sigma without): in the
emission that the run found and in the rest; and by the truth, where it exceeds the noise ("bright", with mean and width
of the pulls, which should be 0 and 1) and in the sky (truth below 5 % of its peak), which no data tell apart from faint
emission that was missed. Voxels where the result is exactly zero and the truth below .01 sigma of the noise do not
count. A truth that is itself observed counts with its own noise. The pull of a flux is (flux - true flux) / error: in
the source's aperture with the error of the data's noise (`denoise.metrics.masked_flux`); and of all the flux that was
found, with the error from draws of the noise. Methods that do not know their own errors get them from draws (--draws).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import denoise
from denoise.metrics import LEVELS, coverage, emission_mask, scored, sum_error
from denoise.noise import NoiseModel

Array = NDArray[np.float32]
PARTS = ("found", "rest", "bright", "sky")


class Known(NamedTuple):
    """A cube with its truth: what is denoised, of which noise, in which line of the table."""

    label: str
    cube: Any
    given: NoiseModel | None
    truth: Array
    aperture: NDArray[np.bool_]
    noise: NoiseModel
    own: Array | None = None  # 1 sigma of the truth's noise


def simulations(model: str, cubes: int, seed: int) -> Iterator[Known]:
    """Fresh cubes of the model's recipe, the noise model given; ranges of SNR take turns."""
    from denoise.networks.conformal import draw_cube, snr_ranges
    from denoise.networks.weights import recipe_of

    recipe = recipe_of(model).model_copy(update={"seed": seed})
    for number in range(cubes * len(snr_ranges(recipe.simulation))):
        one, snr = draw_cube(recipe, 12, number)
        label = f"{snr[0]:g}-{snr[1]:g}" if snr[1] else "empty"
        yield Known(label, one.noisy, one.model, one.truth, one.aperture, one.model)


def suite(name: str, cubes: int, seed: int, data: Path | None) -> Iterator[Known]:
    """Cubes of a suite under another seed; the method measures the noise."""
    from denoise.benchmark.cases import list_cases, make_case
    from denoise.benchmark.suite import load_suite

    asked = load_suite(name, cubes=cubes, seed=seed)
    for case in list_cases(asked, data):
        made = make_case(asked, case, data)
        assert made.noise is not None
        one = made.observation
        yield Known(
            f"{case.group} {case.bin}", made.cube, None, one.truth, one.aperture, made.noise, made.observed
        )


def score(one: Known, arguments: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """Coverage (and tails) of every part, and pulls of voxels and fluxes."""
    given: dict[str, Any] = {} if one.given is None else {"noise": one.given}
    if arguments.method in ("unet", "hybrid"):
        given["model"] = arguments.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = denoise.denoise(
            one.cube,
            arguments.method,
            uncertainty=arguments.draws,
            positivity=arguments.positivity,
            continuum="none",
            threads=arguments.threads,
            **given,
        )
    data, error = (np.asarray(part.read(), np.float32) for part in (result.cube, result.uncertainty))
    sigma = one.noise.sigma()
    error = error if one.own is None else np.hypot(error, one.own)
    known, seen = scored(one.truth, data, sigma), result.support.read()
    limits = np.where(seen, *(result.limits or (LEVELS[1][1],) * 2))
    masks = seen, ~seen, one.truth > sigma, ~emission_mask(one.truth)
    found: dict[str, tuple[float, ...]] = {}
    for name, mask in zip(PARTS, masks, strict=True):
        got = coverage(one.truth, data, error, known & mask, limits=limits)
        if got is not None:
            found[name] = tuple(got)
    usable = masks[2] & np.isfinite(data - one.truth)
    if usable.any():
        pull = ((data - one.truth) / error)[usable]
        found["voxel pulls"] = float(pull.mean()), float(pull.std())
    if one.own is None and emission_mask(one.truth).any():
        inside = np.broadcast_to(one.aperture, data.shape)
        off = float((data - one.truth)[inside].sum(dtype=np.float64)) / sum_error(
            inside.astype(float), one.noise
        )
        drawn = result.metrics.get("flux_after_error") or np.nan
        flux = (result.metrics["flux_after"] or 0.0) - float(one.truth.sum(dtype=np.float64))
        found["flux pulls"] = off, flux / drawn
    return found


def show(rows: dict[str, list[dict[str, tuple[float, ...]]]]) -> None:
    """The table: means over cubes with standard errors."""
    side = "".join(f"{name + ' .68':>13s} {'.95':>13s} {'tails':>5s} " for name in PARTS)
    print(f"{'':28s} {'cubes':>5s} {side} {'bright: pull':>14s} {'flux, noise':>14s} {'flux, draws':>14s}")
    for label, found in rows.items():
        cells = [f"{label:28s} {len(found):5d} "]
        for name in PARTS:
            table = np.array([one[name] for one in found if name in one])
            cells.append(_shares(table) if len(table) else f"{'-':>13s} {'-':>13s} {'-':>5s} ")
        voxels = np.array([one["voxel pulls"] for one in found if "voxel pulls" in one])
        cells.append(
            f"{np.mean(voxels[:, 0]):+6.2f} x {np.mean(voxels[:, 1]):5.2f}" if len(voxels) else f"{'-':>14s}"
        )
        pulls = np.array([one["flux pulls"] for one in found if "flux pulls" in one])
        if len(pulls) > 1:
            known = [p[np.isfinite(p)] for p in pulls.T]
            cells.append(
                " ".join(f"{np.mean(p):+6.2f} x {np.std(p, ddof=1):5.2f}" for p in known if p.size > 1)
            )
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
    parser.add_argument("--method", default="unet")
    parser.add_argument("--draws", type=int, default=16, help="of the noise, for the errors")
    parser.add_argument("--data", type=Path, help="folder of the files that a suite on real data names")
    parser.add_argument("--model", default="unet3d-small", help="of unet and hybrid: name or folder")
    parser.add_argument("--suite", help="a suite of the benchmark; none: simulations as trained on")
    parser.add_argument("--cubes", type=int, default=20, help="cubes of each line")
    parser.add_argument("--positivity", choices=["auto", "on", "off"], default="on")
    parser.add_argument("--seed", type=int, default=4711, help="neither of a training nor of a suite")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    source = (
        suite(arguments.suite, arguments.cubes, arguments.seed, arguments.data)
        if arguments.suite
        else simulations(arguments.model, arguments.cubes, arguments.seed)
    )
    rows: dict[str, list[dict[str, tuple[float, ...]]]] = {}
    for one in source:
        rows.setdefault(one.label, []).append(score(one, arguments))
    show(rows)


if __name__ == "__main__":
    main()
