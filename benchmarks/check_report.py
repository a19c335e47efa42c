"""Does a check predict what a method does to the source that is really there?

Simulated discs of known truth, as in the suite toy-discs but with seeds of their own. For each cube the flux recovery
that `denoise check` predicts for "sources like the one found in the cube" is set beside the true one: the mean over
draws of the noise of the sum of the output over the truth's footprint (above 1 % of its peak) over that of the truth.

    python benchmarks/check_report.py [--cubes 30] [--sources 100] [--draws 16] [--method ist]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from denoise.check.outcome import Check
from denoise.check.recovery import check_recovery
from denoise.check.rig import open_rig
from denoise.check.settings import Settings
from denoise.check.sources import FOOTPRINT, FOUND
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.errors import ParameterError
from denoise.simulate import Simulation, noise_field, simulate_cube

SEED = 770_000
GOAL = 0.05


@dataclass(frozen=True)
class Row:
    """One cube: peak SNR and flux recovery, true and predicted, each with its standard error."""

    seed: int
    kind: str
    snr: float
    guessed: float | None
    true: tuple[float, float]
    predicted: tuple[float, float] | None

    @property
    def gap(self) -> float:
        """Predicted minus true."""
        return np.nan if self.predicted is None else self.predicted[0] - self.true[0]


def true_recovery(made: Simulation, cube: Cube, method: str, draws: int) -> tuple[float, float]:
    """Mean over noise draws, and its standard error, with the noise model of the cube."""
    feet = made.truth > FOOTPRINT * made.truth.max()
    rng = np.random.default_rng([made.parameters["seed"], 99])
    ratios = []
    with open_rig(cube, run_options(method=method)) as rig:
        for _ in range(draws):
            noise = made.sigma * noise_field(rng, made.truth.shape, made.beam_pixels)
            out = rig.apply((made.truth + noise).astype(np.float32))
            ratios.append(float(out[feet].sum(dtype=np.float64) / made.truth[feet].sum(dtype=np.float64)))
    return float(np.mean(ratios)), float(np.std(ratios, ddof=1) / np.sqrt(draws))


def predicted_recovery(done: Check) -> tuple[float | None, tuple[float, float] | None]:
    """Peak SNR that the source must have had, and the recovery there; None where it is outside what was checked."""
    if done.found_snr is None:
        return None, None
    try:
        snr = done.snr_of(done.found_snr, kind=FOUND)
        return snr, None if snr is None else done.curve("flux", kind=FOUND).at(snr)
    except ParameterError:
        return None, None


def study(seed: int, kind: str, snr: float, *, method: str, sources: int, draws: int) -> Row:
    """One cube."""
    made = simulate_cube(seed, kind=kind, peak_snr=snr)
    cube = Cube(made.noisy, beam=made.beam_pixels, unit="Jy/beam")
    settings = Settings(
        snr=(2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0), sizes=(), sources=sources, empty=0, seed=seed
    )
    try:
        guessed, predicted = predicted_recovery(check_recovery(cube, run_options(method=method), settings))
    except ValueError:  # nothing was found, so nothing is like it
        guessed, predicted = None, None
    return Row(seed, kind, snr, guessed, true_recovery(made, cube, method, draws), predicted)


def summary(rows: list[Row]) -> str:
    """How well it agrees, of the cubes of peak SNR 4 and more."""
    gaps = np.array([row.gap for row in rows if row.snr >= 4 and row.predicted is not None])
    errors = np.array([
        np.hypot(row.predicted[1], row.true[1]) for row in rows if row.snr >= 4 and row.predicted is not None
    ])  # fmt: skip
    if not gaps.size:
        return "nothing was predicted"
    return (
        f"SNR >= 4: {gaps.size} cubes, predicted - true = {100 * gaps.mean():+.1f} ± "
        f"{100 * gaps.std(ddof=1) / np.sqrt(gaps.size):.1f} %, spread {100 * gaps.std(ddof=1):.1f} % "
        f"(of which {100 * np.sqrt((errors**2).mean()):.1f} % from the number of sources and draws), "
        f"within {100 * GOAL:.0f} %: {(np.abs(gaps) <= GOAL).sum()} of {gaps.size}, "
        f"median |gap| {100 * np.median(np.abs(gaps)):.1f} %"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cubes", type=int, default=30)
    parser.add_argument("--sources", type=int, default=140)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--method", default="ist")
    args = parser.parse_args()
    print("| seed | source | peak SNR | from output | true recovery % | predicted % | gap % |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for number in range(args.cubes):
        kind = "unresolved" if number % 3 == 2 else "disc"
        snr = 3.0 + 6.0 * ((number * 0.618034) % 1.0)
        row = study(SEED + number, kind, snr, method=args.method, sources=args.sources, draws=args.draws)
        rows.append(row)
        guessed = "-" if row.guessed is None else f"{row.guessed:.1f}"
        predicted = (
            "-" if row.predicted is None else f"{100 * row.predicted[0]:.0f} ± {100 * row.predicted[1]:.0f}"
        )
        print(
            f"| {row.seed} | {kind} | {snr:.1f} | {guessed} | {100 * row.true[0]:.0f} ± {100 * row.true[1]:.0f} | "
            f"{predicted} | {100 * row.gap:+.1f} |",
            flush=True,
        )
    print(summary(rows))


if __name__ == "__main__":
    main()
