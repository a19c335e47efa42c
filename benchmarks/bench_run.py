"""Time of a whole run, noise estimate included, and of the imports.

    python benchmarks/bench_run.py [--shape 128,512,512] [--memory]

Prints wall and processor time a voxel for ``denoise.denoise`` on a simulated 40 x 96 x 96 cube and on a large one, warm
and with an empty kernel cache, the same for the method alone, peak memory, ``import denoise`` and ``denoise --help``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

import denoise
from denoise.methods import get_method
from denoise.noise import NoiseModel
from denoise.simulate import noise_field, simulate_cube


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", default="128,512,512")
    shape = tuple(int(n) for n in parser.parse_args().shape.split(","))
    import_times()
    cold()
    small = simulate_cube(1, peak_snr=5.0)
    measure("40x96x96", small.noisy, small.beam_pixels)
    name = "x".join(map(str, shape))
    noise = np.float32(small.sigma) * noise_field(np.random.default_rng(1), shape, small.beam_pixels)
    measure(f"{name} sparse", noise + four_sources(small.truth, shape), small.beam_pixels)
    measure(f"{name} full", noise + everywhere(small.truth, shape), small.beam_pixels)


def four_sources(truth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The source four times in an empty field: what most fields look like."""
    field = np.zeros(shape, np.float32)
    nchan, ny, nx = truth.shape
    for y in (shape[1] // 8, shape[1] // 2):
        for x in (shape[2] // 8, shape[2] // 2):
            field[:nchan, y : y + ny, x : x + nx] += truth
    return field


def everywhere(truth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A field full of the source: the worst case for a search that skips empty sky."""
    repeats = [-(-n // m) for n, m in zip(shape, truth.shape, strict=True)]
    return np.ascontiguousarray(np.tile(truth, repeats)[tuple(slice(0, n) for n in shape)])


def measure(name: str, noisy: np.ndarray, beam: tuple[float, float, float]) -> None:
    noise = NoiseModel.from_beam(noisy.shape, float(np.std(noisy)), beam)
    method = get_method("ist")(positivity=True, threads=os.cpu_count() or 1)
    calls: dict[str, Callable[[], object]] = {
        "method alone": lambda: method.apply(noisy, noise, None),
        "run, noise given": lambda: denoise.denoise(noisy, "ist", beam=beam, noise=noise),
        "run, noise estimated": lambda: denoise.denoise(noisy, "ist", beam=beam),
    }
    for label, call in calls.items():
        call()
        wall, cpu = min(timed(call) for _ in range(3 if noisy.size > 4e6 else 20))
        per = 1e9 / noisy.size
        print(f"{name:22s} {label:22s} {wall:7.3f} s wall {cpu:7.3f} s cpu {wall * per:7.1f} ns/voxel wall")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:22s} peak memory of the process {peak:.2f} GB")


def timed(call: Callable[[], object]) -> tuple[float, float]:
    start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def import_times() -> None:
    for label, command in (
        ("python -c pass", [sys.executable, "-c", "pass"]),
        ("import denoise", [sys.executable, "-c", "import denoise"]),
        ("denoise --help", [sys.executable, "-m", "denoise.cli.app", "--help"]),
    ):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        print(f"{label:20s} {min(seconds):.3f} s")


def cold() -> None:
    code = (
        "import time, numpy as np; from denoise.simulate import simulate_cube; import denoise;"
        "s = simulate_cube(1); t = time.perf_counter(); denoise.denoise(s.noisy, 'ist', beam=s.beam_pixels);"
        "print(f'first run of all, kernels compiled: {time.perf_counter() - t:.1f} s')"
    )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"NUMBA_CACHE_DIR": folder})


if __name__ == "__main__":
    main()
