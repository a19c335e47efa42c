"""Whether the reliability of regions is what it says: calibration, ROC area, and the number of false regions.

Cubes of 0 to 5 rotating discs of peak SNR 3 to 8 each in beam-correlated noise. A region is real if the truth holds at
least 1 sigma under a Gaussian of the region's moments; false by the protocol of `denoise.metrics.regions`
if no truth lies within two beams: both are counted. Constants of the method were chosen on seeds from 71,000,000;
those reported start at 82,000,000.

    python benchmarks/reliability_report.py --methods ist pca unet --cubes 60 60 25
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import array_readers
from denoise.check.regions.finding import FoundRegion, find_regions, output_level
from denoise.check.regions.null import NullRegions, find_null, signal_under
from denoise.check.regions.reliability import region_reliability
from denoise.check.regions.separate import ALONE
from denoise.check.rig import open_rig
from denoise.cube import Cube
from denoise.cube.regions import full_region
from denoise.engine import run_options
from denoise.metrics.apertures import near_truth
from denoise.simulate import draw_scene
from denoise.simulate.fields import noise_field
from denoise.simulate.scenes import render_scene

SHAPE = (40, 96, 96)
BEAM = (4.5, 4.0, 30.0)
PEAKS = (3.0, 8.0)
REPORTED, TUNED = 82_000_000, 71_000_000
LOWEST, LISTED = 2.0, 3.0
THRESHOLDS = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """One cube: for each region its SNR, reliability, truth, and truth within two beams; the expected numbers."""

    snr: Floats
    reliability: Floats
    real: Floats
    near: Floats
    expected: Floats


def simulated(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Truth in sigma and noise of sigma 1."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, np.float32)
    for _ in range(int(rng.integers(0, 6))):
        scene = draw_scene(rng, "disc", shape=SHAPE, fwhm=4.2)
        truth += np.float32(np.exp(rng.uniform(*np.log(PEAKS)))) * render_scene(scene, SHAPE, BEAM, rng=rng)
    return truth, noise_field(rng, SHAPE, BEAM)


def judge(method: str, seed: int, draws: int) -> Judgement:
    """Run the method on one cube and judge its regions."""
    truth, noise = simulated(seed)
    options = run_options(method=method, seed=seed)
    with open_rig(Cube(truth + noise, beam=BEAM, unit="Jy/beam"), options) as rig:
        readers = array_readers(rig.data(), rig.apply(), rig.noise)
        level = output_level(readers)
        found, _ = find_regions(readers, rig.noise, level=level, min_snr=LOWEST)
        emission = [one for one in found if one.snr >= ALONE]
        null = find_null(rig, level=level, draws=draws, min_snr=LOWEST, emission=emission)
        model = rig.noise
    scaled, near = truth / model.typical, near_truth(truth, BEAM)
    whole = full_region(SHAPE)
    return Judgement(
        np.array([one.snr for one in found]),
        reliability_of(found, null),
        np.array([signal_under(one, scaled, model, whole) >= 1 for one in found], float),
        np.array([near[one.at] for one in found], float),
        np.array([null.expected(snr).value for snr in THRESHOLDS]),
    )


def reliability_of(found: list[FoundRegion], null: NullRegions) -> Floats:
    """As ``denoise run`` does it, from regions of at least `LISTED`; NaN for others."""
    kept = [one for one in null.regions if one.snr >= LISTED]
    negated = sum(one.snr >= LISTED for one in null.regions[len(null.regions) - null.from_negated :])
    strong = [one for one in found if one.snr >= LISTED]
    sure = iter(region_reliability(strong, replace(null, regions=tuple(kept), from_negated=negated)))
    return np.array([next(sure) if one.snr >= LISTED else np.nan for one in found])


def merged(rows: list[Judgement]) -> Judgement:
    """All cubes as one; the expected numbers are added."""
    parts = {
        name: np.concatenate([getattr(row, name) for row in rows])
        for name in ("snr", "reliability", "real", "near")
    }
    return Judgement(**parts, expected=np.sum([row.expected for row in rows], axis=0))


def roc_area(score: Floats, real: NDArray[np.bool_]) -> float:
    """Probability that a real region scores above a false one."""
    a, b = score[real][:, None], score[~real][None]
    return float((a > b).mean() + 0.5 * (a == b).mean()) if a.size and b.size else float("nan")


def lines(name: str, cubes: int, all_of_it: Judgement) -> Iterator[str]:
    """The table of one method, or of all."""
    listed = np.isfinite(all_of_it.reliability)
    sure, real, near = (getattr(all_of_it, part)[listed] for part in ("reliability", "real", "near"))
    yield f"{name}: {cubes} cubes, {sure.size} regions, {int(real.sum())} real"
    areas = [f"{roc_area(sure, truth > 0):.3f}" for truth in (real, near)]
    yield f"  ROC area {areas[0]} (by truth within two beams: {areas[1]})"
    yield "  reliability   regions  mean   real    real, two beams"
    for low, high in pairwise(BINS):
        here = (sure >= low) & ((sure < high) | (high == 1.0))
        if here.any():
            shares = (100 * real[here].mean(), 100 * near[here].mean())
            mean = f"{here.sum():6d}   {sure[here].mean():.2f}"
            yield f"  {low:.1f} to {high:.1f}   {mean}   {shares[0]:4.0f} %   {shares[1]:4.0f} %"
    yield f"  false by their reliability {np.sum(1 - sure):.1f}, in truth {int(np.sum(real == 0))}"
    yield "  matched SNR   false, expected   false   no truth within two beams   in Poisson errors"
    for i, snr in enumerate(THRESHOLDS):
        above = all_of_it.snr >= snr
        false, alone = (int(np.sum(above & (truth == 0))) for truth in (all_of_it.real, all_of_it.near))
        wanted = float(all_of_it.expected[i])
        off = (false - wanted) / np.sqrt(max(wanted, 1.0))
        yield f"  >= {snr:.1f}        {wanted:8.1f}        {false:6d}   {alone:8d}   {off:+.1f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables; with ``--out``, write every region as JSON lines too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["ist", "pca", "unet"])
    parser.add_argument("--cubes", nargs="+", type=int, default=[60, 60, 25])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--seed", type=int, default=REPORTED)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    everything: list[Judgement] = []
    for method, cubes in zip(asked.methods, asked.cubes, strict=True):
        start, rows = time.perf_counter(), []
        for number in range(cubes):
            rows.append(judge(method, asked.seed + number, asked.draws))
            if asked.out is not None:
                with asked.out.open("a") as file:
                    file.write(
                        json.dumps({"method": method, "seed": asked.seed + number, **_plain(rows[-1])}) + "\n"
                    )
        print("\n".join(lines(method, cubes, merged(rows))), flush=True)
        print(f"  {time.perf_counter() - start:.0f} s\n", flush=True)
        everything += rows
    print("\n".join(lines("all", len(everything), merged(everything))))


def _plain(row: Judgement) -> dict[str, Any]:
    return {name: np.round(value, 5).tolist() for name, value in vars(row).items()}


if __name__ == "__main__":
    main()
