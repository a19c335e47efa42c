"""Speed and memory of the 2D-1D transform with its peers, in one run.

    python benchmarks/bench_starlet.py [--shape 128,512,512] [--threads 2] [--peers scipy,pywt,skimage]

Transform + soft threshold + synthesis, 4 spatial x 3 spectral scales, float32. Peers are timed on a smaller
cube where they would take minutes, each with the fused call on the same cube beside it, on one thread as
they do for their users. Wall and processor time are both printed: on a shared machine only the second, and
ratios, mean much.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from denoise.methods._gates import trained_gates
from denoise.transforms import smoothing, starlet
from denoise.transforms.gates import gated

SPATIAL, SPECTRAL, LEVEL = 4, 3, 0.5
SCALES = {"spatial_scales": SPATIAL, "spectral_scales": SPECTRAL}
Cube = NDArray[np.float32]


def soft(values: Cube, threshold: float) -> Cube:
    return np.asarray(values - np.clip(values, -threshold, threshold))


def with_scipy(cube: Cube) -> Cube:
    """The same transform, as one writes it with scipy.ndimage."""

    def smooth(data: Cube, axes: tuple[int, ...], step: int) -> Cube:
        taps = np.zeros(4 * step + 1, np.float32)
        taps[::step] = np.array([1, 4, 6, 4, 1]) / 16
        for axis in axes:
            data = ndimage.correlate1d(data, taps, axis=axis, mode="mirror")
        return data

    def details(data: Cube, axes: tuple[int, ...], scales: int) -> list[Cube]:
        out = []
        for j in range(scales):
            coarse = smooth(data, axes, 2**j)
            out.append(data - coarse)
            data = coarse
        return [*out, data]

    out = np.zeros_like(cube)
    for plane in details(cube, (1, 2), SPATIAL):
        for band in details(plane, (0,), SPECTRAL):
            out += soft(band, LEVEL)
    return out


def with_pywt(cube: Cube, wavelet: str = "haar") -> Cube:
    """PyWavelets: ``swt2`` on each channel, ``swt`` on each band along channels, and back."""
    import pywt

    planes = pywt.swt2(cube, wavelet, SPATIAL, axes=(1, 2), trim_approx=True)
    shrunk = []
    for level in planes:
        parts = level if isinstance(level, tuple) else (level,)
        done = []
        for part in parts:
            lines = pywt.swt(part, wavelet, SPECTRAL, axis=0, trim_approx=True)
            done.append(pywt.iswt([soft(line, LEVEL) for line in lines], wavelet, axis=0))
        shrunk.append(tuple(done) if isinstance(level, tuple) else done[0])
    return np.asarray(pywt.iswt2(shrunk, wavelet, axes=(1, 2)), np.float32)


def with_skimage(cube: Cube) -> Cube:
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(cube, sigma=1.0, wavelet="haar", wavelet_levels=3))


def timed(task: Callable[[], object], voxels: int, repeats: int) -> tuple[float, float]:
    """Best wall and processor time in ns a voxel."""
    walls, loads = [], []
    for _ in range(repeats):
        wall, load = time.perf_counter(), time.process_time()
        task()
        walls.append(time.perf_counter() - wall)
        loads.append(time.process_time() - load)
    return 1e9 * min(walls) / voxels, 1e9 * min(loads) / voxels


def workspace(shape: tuple[int, int, int], memory: float, threads: int) -> float:
    """Peak memory of one call beyond input and output, in units of the data; measured in a fresh process."""
    program = (
        "import numpy as np\n"
        "from denoise.transforms import starlet\n"
        f"shape, options = {shape}, {dict(level=LEVEL, **SCALES)}\n"
        "starlet.fused(np.zeros((8, 8, 8), np.float32), **options)\n"
        "cube = np.ones(shape, np.float32)\n"
        "def peak():\n"
        "    with open('/proc/self/status') as status:\n"
        "        return 1024 * next(int(row.split()[1]) for row in status if row.startswith('VmHWM'))\n"
        "before = peak()\n"
        f"starlet.fused(cube, memory={memory}, threads={threads}, **options)\n"
        "print((peak() - before) / cube.nbytes - 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def cold_start() -> tuple[float, float]:
    """Seconds of a process that has to compile, and of one that finds the kernels on disk."""
    program = (
        "import time; start = time.perf_counter()\n"
        "import numpy as np\n"
        "from denoise.transforms import starlet\n"
        "starlet.fused(np.zeros((8, 8, 8), np.float32), level=1, spatial_scales=2, spectral_scales=1)\n"
        "print(time.perf_counter() - start)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", program]
        done = [
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            for _ in range(2)
        ]
    return float(done[0].stdout), float(done[1].stdout)


def line(name: str, wall: float, load: float, ratio: float | None = None) -> None:
    print(f"{name:46s} {wall:9.1f} {load:9.1f} {'' if ratio is None else f'{ratio:8.1f}'}", flush=True)


def peers(shape: tuple[int, int, int], wanted: list[str], threads: int) -> None:
    """Each peer next to the fused call on the same cube, so that both see the same machine."""
    cases = {
        "scipy": ("scipy.ndimage", with_scipy, shape),
        "pywt": ("PyWavelets swt2 + swt, haar", with_pywt, (64, 128, 128)),
        "pywt-bior": ("PyWavelets swt2 + swt, bior2.2", lambda c: with_pywt(c, "bior2.2"), (64, 128, 128)),
        "skimage": ("scikit-image denoise_wavelet (decimated)", with_skimage, (64, 128, 128)),
    }
    for key in wanted:
        name, task, size = cases[key]
        cube = np.random.default_rng(1).normal(size=size).astype(np.float32)
        slow = timed(lambda task=task, cube=cube: task(cube), cube.size, 1)
        fast = timed(
            lambda cube=cube: starlet.fused(cube, level=LEVEL, threads=threads, **SCALES), cube.size, 3
        )
        line(f"{name} {'x'.join(map(str, size))}", *slow, slow[0] / fast[0])
        line("    fused, same cube, same minute", *fast)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", default="128,512,512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", default="scipy,pywt,pywt-bior,skimage")
    arguments = parser.parse_args()
    nchan, ny, nx = (int(n) for n in arguments.shape.split(","))
    shape, threads, repeats = (nchan, ny, nx), arguments.threads, arguments.repeats
    cube = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    cold, warm = cold_start()
    print(f"{arguments.shape} float32, {SPATIAL} x {SPECTRAL} scales, {threads} threads")
    print(f"first call in a process: {cold:.1f} s compiling, {warm:.1f} s with the kernels on disk")
    print(f"{'':46s} {'wall':>9s} {'cpu':>9s} {'ratio':>8s}\n{'':46s} {'ns/voxel':>9s} {'ns/voxel':>9s}")
    starlet.fused(cube[:8, :8, :8], level=LEVEL, **SCALES)
    for memory in (5.0, 2.0, 1.0, 0.5):
        used = workspace(shape, memory, threads)
        cost = timed(
            lambda memory=memory: starlet.fused(cube, level=LEVEL, threads=threads, memory=memory, **SCALES),
            cube.size,
            repeats,
        )
        line(f"fused soft, workspace {used:.1f} x the cube", *cost)
    others: dict[str, Callable[[], object]] = {
        "fused soft, one thread": lambda: starlet.fused(cube, level=LEVEL, **SCALES),
        "fused reweighted": lambda: starlet.fused(
            cube, level=LEVEL, previous=cube, operation="reweighted", threads=threads, **SCALES
        ),
        "fused soft, 7/9 along channels": lambda: starlet.fused(
            cube, level=LEVEL, spectral="biorthogonal", threads=threads, **SCALES
        ),
        "gated synthesis, every voxel": lambda: gated(
            cube,
            region=np.ones_like(cube),
            strength=np.ones_like(cube),
            network=trained_gates().network,
            left=np.ones((SPATIAL + 1, SPECTRAL + 1), np.float32),
            noise=1.0,
            threads=threads,
            **SCALES,
        ),
        "20 scaling cubes for detection": lambda: [
            None for _ in smoothing.scaling_cubes(cube, threads=threads, **SCALES)
        ],
    }
    for name, task in others.items():
        task()
        line(name, *timed(task, cube.size, repeats))
    peers(shape, arguments.peers.split(","), threads)


if __name__ == "__main__":
    main()
