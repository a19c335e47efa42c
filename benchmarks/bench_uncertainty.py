"""What error bars cost: `--uncertainty N` against one run, file to file, each in a process of its own.

    python benchmarks/bench_uncertainty.py [--shape 128,256,256] [--method ist] [--draws 16,32]

A field with four sources, and one full of sources, which draws cannot save work on. A run goes from file to file, the
report left out. Prints wall and processor time as ratios (goal: 16 draws at most 9 times one run), and the peak memory,
which should not grow with the number of draws.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from bench_run import everywhere, four_sources

from denoise.simulate import noise_field, simulate_cube

RUN = """
import json, os, resource, sys, time
import denoise.engine
from denoise.engine import run_file, run_options
source, output, method, draws = sys.argv[1:]
run_file(source, output, run_options(method=method, overwrite=True), input_options={"beam": "4.5arcsec"})
start, used = time.perf_counter(), os.times()
options = run_options(method=method, uncertainty=int(draws), overwrite=True, memory=int(2e9))
run_file(source, output, options, input_options={"beam": "4.5arcsec"})
wall, more = time.perf_counter() - start, os.times()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([wall, more.user + more.system - used.user - used.system, peak / 1024]))
"""


def measured(source: Path, method: str, draws: int) -> list[float]:
    """Wall and processor seconds of a second run, and the peak resident size in MB."""
    output = source.with_name("out.fits")
    words = [sys.executable, "-c", RUN, str(source), str(output), method, str(draws)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", default="128,256,256")
    parser.add_argument("--method", default="ist")
    parser.add_argument("--draws", default="16,32")
    asked = parser.parse_args()
    shape = tuple(int(n) for n in asked.shape.split(","))
    small = simulate_cube(1, peak_snr=5.0)
    noise = np.float32(small.sigma) * noise_field(np.random.default_rng(1), shape, small.beam_pixels)
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1 / 3600, "CDELT2": 1 / 3600}
    with tempfile.TemporaryDirectory() as folder:
        for name, field in (("four sources", four_sources), ("full of sources", everywhere)):
            path = Path(folder) / "cube.fits"
            fits.writeto(path, noise + field(small.truth, shape), fits.Header(cards), overwrite=True)
            once = measured(path, asked.method, 0)
            what = f"{asked.method}, {'x'.join(map(str, shape))}, {name}"
            print(
                f"{what}: one run {once[0]:.1f} s wall, {once[1]:.1f} s CPU, peak {once[2]:.0f} MB resident"
            )
            for draws in map(int, asked.draws.split(",")):
                more = measured(path, asked.method, draws)
                print(
                    f"    {draws} draws: {more[0] / once[0]:.1f} x wall, {more[1] / once[1]:.1f} x CPU, "
                    f"peak {more[2]:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
