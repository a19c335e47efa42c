"""Speed of `noiser`: its training, and 600 x 400 pixels through the network, with a Gaussian of the beam beside it.

    python benchmarks/bench_noiser.py                 # training takes most of the time: --no-train leaves it out
    python benchmarks/bench_noiser.py --threads 1

Least and median of the repeats; the peer is scipy's Gaussian filter with a FWHM of 4.5 pixels, in the same run and in
turn with it, because other work on the machine slows both. The published network takes 1.2 ms on an RTX 2080 Ti.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

import denoise
from denoise.cores import usable_cores
from denoise.networks.noiser import TAPS, Moments, enhance, freeze, moments_of, neighbourhoods
from denoise.networks.noiser_training import NoiserRecipe, default_smoothing, train, trained

SHAPE = (1, 400, 600)
FWHM = 4.5
REPEATS = 40


def in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each call, one after the other, so often."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return times


def show_inference(threads: int) -> None:
    image = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    everywhere = np.ones(SHAPE[1:], bool)
    weights = trained(default_smoothing()).weights

    def statistics() -> Moments:
        return moments_of(neighbourhoods(image[0], everywhere), TAPS)

    network = freeze(weights, statistics())
    sigma = FWHM / 2.3548
    calls: dict[str, Callable[[], object]] = {
        f"network, {threads} threads": lambda: enhance(image, network, threads=threads),
        "statistics of the cube": statistics,
        "scipy Gaussian of the beam": lambda: gaussian_filter(image[0], sigma),
    }
    print(f"{SHAPE[2]} x {SHAPE[1]} pixels, ms: least, median of {REPEATS}")
    for name, times in in_turn(calls, REPEATS).items():
        print(f"  {name:28s} {min(times):7.2f} {np.median(times):7.2f}")


def show_run(threads: int) -> None:
    """The whole of it: inspection, noise, statistics, network, account."""
    image = np.random.default_rng(2).normal(size=SHAPE[1:]).astype(np.float32)
    cube = denoise.Cube(image, beam=(FWHM, FWHM, 0.0))
    calls: dict[str, Callable[[], object]] = {
        "denoise.denoise, noiser": lambda: denoise.denoise(cube, "noiser", threads=threads),
        "denoise.denoise, smooth": lambda: denoise.denoise(cube, "smooth", threads=threads),
    }
    for name, times in in_turn(calls, 3).items():
        print(f"  {name:28s} {min(times):7.0f} {np.median(times):7.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--no-train", action="store_true")
    asked = parser.parse_args()
    show_inference(asked.threads)
    show_run(asked.threads)
    if not asked.no_train:
        wall, work = time.perf_counter(), time.process_time()
        train(NoiserRecipe(smoothing=default_smoothing()), threads=asked.threads)
        wall, work = time.perf_counter() - wall, time.process_time() - work
        print(f"training, {asked.threads} threads: {wall:.1f} s, {work:.1f} s of processor time")


if __name__ == "__main__":
    main()
