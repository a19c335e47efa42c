"""Does tuning on a cube without truth ever end worse than the default?

Simulated sources of known truth, with seeds of their own. Each method is tuned by r2r with
its usual grid, then run on the cube with its default and with what was chosen. The true squared error, with the
weights of the score (half or more for the emission found and what is around it), is set beside the difference that the
score saw, and the same in the emission itself (truth above 5 % of its peak); then RMSE in the aperture and in the
emission, as ratios chosen / default.

    python benchmarks/tune_report.py [--cubes 30] [--draws 4] [--methods ist,pca,smooth]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from denoise.check.choosing.heldout import Block, Recorrupted
from denoise.check.choosing.tuned import Tuned
from denoise.check.choosing.tuning import tune_method, with_parameters
from denoise.check.rig import open_rig
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.metrics import Measurement, emission_mask, rmse
from denoise.simulate import Simulation, simulate_cube

SEED = 880_000
SHAPE = (24, 64, 64)
KINDS = ("disc", "unresolved", "multi", "ring", "tails")


@dataclass(frozen=True)
class Row:
    """One cube and method: what the score saw, and what is true; chosen less default, or chosen over default."""

    seed: int
    kind: str
    snr: float
    tuned: Tuned
    seen: Measurement
    true: float
    seen_inside: Measurement
    true_inside: float
    aperture: float
    emission: float

    @property
    def worse(self) -> bool:
        """The truth says that the choice lost more, over all or in the emission, than the score's standard error."""
        lost = self.true > self.seen.error or self.true_inside > self.seen_inside.error
        return self.tuned.chosen > 0 and lost


def true_error(made: Simulation, output: Block, weight: Block) -> float:
    """Weighted squared error in sigma squared."""
    return float((weight * np.square((output - made.truth) / made.sigma)).sum())


def study(seed: int, kind: str, snr: float, method: str, draws: int) -> Row:
    """One cube and method."""
    made = simulate_cube(seed, shape=SHAPE, kind=kind, peak_snr=snr)  # type: ignore[arg-type]
    cube, options = Cube(made.noisy, beam=made.beam_pixels, unit="Jy/beam"), run_options(method=method)
    tuned = tune_method(cube, options, draws=draws)
    with open_rig(cube, options) as rig:
        weight = Recorrupted(rig, 1).weight(rig.data())
        outputs = [with_parameters(rig, one.parameters).apply() for one in (tuned.tried[0], tuned.best)]
    errors = [true_error(made, output, weight) for output in outputs]
    inside = emission_mask(made.truth)
    bright = [true_error(made, output, inside / inside.sum()) for output in outputs]
    masks = (np.broadcast_to(made.aperture, made.truth.shape), inside)
    ratios = [
        (rmse(outputs[1], made.truth, mask) or 0.0) / (rmse(outputs[0], made.truth, mask) or 1.0)
        for mask in masks
    ]
    seen = tuned.best.difference or Measurement(0.0, 0.0)
    seen_inside = tuned.best.emission or Measurement(0.0, 0.0)
    return Row(
        seed, kind, snr, tuned, seen, errors[1] - errors[0], seen_inside, bright[1] - bright[0], *ratios
    )  # fmt: skip


def line(row: Row) -> str:
    """A row of the table."""
    tuned, seen = row.tuned, row.seen
    return (
        f"| {row.seed} | {row.kind} | {row.snr:.1f} | {tuned.method} | {tuned.named(tuned.tried[0])} | "
        f"{tuned.named(tuned.best) if tuned.chosen else 'default'} | {seen.value:+.4f} ± {seen.error:.4f} | "
        f"{row.true:+.4f} | {row.seen_inside.value:+.3f} ± {row.seen_inside.error:.3f} | {row.true_inside:+.3f} | "
        f"{row.aperture:.3f} | {row.emission:.3f} | {'worse' if row.worse else ''} |"
    )


def summary(rows: list[Row], method: str) -> str:
    """How the choices of a method did."""
    chosen = [row for row in rows if row.tuned.method == method and row.tuned.chosen]
    total = sum(row.tuned.method == method for row in rows)
    if not chosen:
        return f"{method}: {total} cubes, the default stayed in all"
    pulls = np.array([(row.true - row.seen.value) / row.seen.error for row in chosen])
    return (
        f"{method}: {total} cubes, another setting chosen in {len(chosen)}, worse than the default by more than the "
        f"score's standard error in {sum(row.worse for row in chosen)}; RMSE chosen / default: aperture "
        f"{np.exp(np.mean(np.log([row.aperture for row in chosen]))):.3f} (worst "
        f"{max(row.aperture for row in chosen):.3f}), emission "
        f"{np.exp(np.mean(np.log([row.emission for row in chosen]))):.3f} (worst "
        f"{max(row.emission for row in chosen):.3f}); (true - seen) / error {pulls.mean():+.2f} ± {pulls.std():.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cubes", type=int, default=30)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--methods", default="ist,pca,smooth")
    args = parser.parse_args()
    print(
        "| seed | source | peak SNR | method | default | chosen | score difference | true difference | "
        "in the emission | true there | RMSE aperture | RMSE emission | |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    rows: list[Row] = []
    for number in range(args.cubes):
        snr = 3.0 + 6.0 * ((number * 0.618034) % 1.0)
        for method in args.methods.split(","):
            row = study(SEED + number, KINDS[number % len(KINDS)], snr, method, args.draws)
            rows.append(row)
            print(line(row), flush=True)
    for method in args.methods.split(","):
        print(summary(rows, method))


if __name__ == "__main__":
    main()
