"""How long `denoise check` takes: 200 sources in a cube of 128 x 256 x 256 with ``ist``.

python benchmarks/bench_check.py [--sources 200] [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from denoise.check.recovery.settings import Settings
from denoise.check.recovery.study import check_recovery
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.simulate import Galaxy, noise_field, render_galaxies

SHAPE = (128, 256, 256)
BEAM = (4.5, 4.0, 30.0)


def make_cube() -> Cube:
    """One disc of peak SNR 8 in the corner of a field of noise."""
    rng = np.random.default_rng(1)
    disc = Galaxy(1.0, (64.0, 60.0, 60.0), 5.0, velocity=8.0)
    truth = render_galaxies([disc], SHAPE, beam=BEAM, clouds=20000, rng=rng)
    noise = noise_field(rng, SHAPE, BEAM)
    return Cube((8.0 * truth / truth.max() + noise).astype(np.float32), beam=BEAM, unit="Jy/beam")


def main() -> None:
    """Time one check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--method", default="ist")
    args = parser.parse_args()
    cube, start = make_cube(), time.perf_counter()
    done = check_recovery(
        cube, run_options(method=args.method), Settings(sources=args.sources), threads=args.threads
    )
    seconds = time.perf_counter() - start
    sources = sum(cell.count for cell in done.cells if cell.kind != "all kinds")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fields = ", ".join(f"{kind.name}: {kind.field}" for kind in done.kinds)
    print(
        f"{args.method}, {' x '.join(map(str, SHAPE))}: {sources} sources in {seconds:.0f} s, peak memory {peak:.0f} MB"
    )
    print(f"put into {fields}")
    print(done.sentence())


if __name__ == "__main__":
    main()
