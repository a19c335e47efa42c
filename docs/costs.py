"""What each method costs: processor seconds for a million voxels, with its noise, on one core. Prints YAML.

    python docs/costs.py > docs/costs.yaml

Processor time of the second run on a simulated cube of 40 x 96 x 96 voxels: what is compiled or loaded once does not
count, and other work on the machine hardly does.
"""

from __future__ import annotations

import sys
import time

import denoise
from denoise.simulate import simulate_cube

SHAPE = (40, 96, 96)


def seconds(method: str) -> float:
    """Of the second run, for a million voxels."""
    simulation = simulate_cube(1, kind="disc", peak_snr=7.0, shape=SHAPE)
    cube = denoise.Cube(simulation.noisy, beam=simulation.beam_pixels)
    spent = []
    for _ in range(2):
        start = time.process_time()
        denoise.denoise(cube, method, threads=1)
        spent.append(time.process_time() - start)
    return spent[-1] / simulation.noisy.size * 1e6


def main() -> None:
    """All methods that are installed."""
    out = sys.stdout
    out.write("# processor seconds for a million voxels on one core; made by: python docs/costs.py\n")
    for name in denoise.list_methods():
        out.write(f"{name}: {seconds(name):.2g}\n")
        out.flush()


if __name__ == "__main__":
    main()
