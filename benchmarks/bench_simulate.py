"""Time of one simulated cube by kind and by noise, on one core.

    python benchmarks/bench_simulate.py

Prints milliseconds of processor time for truth, beam and noise of a 40 x 96 x 96 cube: the median and the least over
several seeds, after a first cube that compiles the kernels (or loads them) is left out.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import time
from statistics import median

from denoise.simulate import ALL_KINDS, Counts, Observation, simulate_cube

OBSERVATIONS = {
    "white_convolved": Observation(),
    "imaged": Observation(noise="imaged"),
    "imaged, dirty truth": Observation(noise="imaged", dirty=True),
    "white": Observation(noise="white"),
    "hanning": Observation(hanning=True),
    "primary beam": Observation(primary_beam=70.0),
    "counts": Observation(noise="white", counts=Counts(20.0, 3.0)),
}


def milliseconds(
    kind: str, observation: Observation, seeds: int, *, halves: bool = False
) -> tuple[float, float]:
    """Median and least processor time of one cube."""
    simulate_cube(0, kind=kind, observation=observation, halves=halves)  # type: ignore[arg-type]
    times = []
    for seed in range(seeds):
        start = time.process_time()
        simulate_cube(seed, kind=kind, observation=observation, halves=halves)  # type: ignore[arg-type]
        times.append(1e3 * (time.process_time() - start))
    return median(times), min(times)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=12, help="cubes of each kind")
    seeds = parser.parse_args().seeds
    print(f"{'kind':<22} median ms   least ms   (white noise convolved with the beam)")
    for kind in ALL_KINDS:
        middle, least = milliseconds(kind, Observation(), seeds)
        print(f"{kind:<22} {middle:9.1f} {least:10.1f}")
    print(f"\n{'one disc, noise':<22} median ms   least ms")
    for name, observation in OBSERVATIONS.items():
        middle, least = milliseconds("disc", observation, seeds)
        print(f"{name:<22} {middle:9.1f} {least:10.1f}")
    middle, least = milliseconds("disc", Observation(), seeds, halves=True)
    print(f"{'with halves':<22} {middle:9.1f} {least:10.1f}")


if __name__ == "__main__":
    main()
