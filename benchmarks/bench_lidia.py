"""The network of the method `lidia`: speed, memory, PSNR and adaptation, with its peers in the same run.

    python benchmarks/bench_lidia.py --model models/lidia-white                 # all parts
    python benchmarks/bench_lidia.py --only speed --small                       # weights do not matter to speed
    python benchmarks/bench_lidia.py --only psnr --model FOLDER --size 256
    python benchmarks/bench_lidia.py --only adapt                               # of the method's own weights

Speed: an image of 481 x 321 pixels, processor and wall time; the goal is 8 s of wall time on two idle cores and 600 MB
at the peak, which is measured in a process of its own. PSNR: the grey images of scikit-image's ``data`` that are in the
public domain or CC0, with white noise of sigma 15, 25 and 50 grey levels from a fixed seed, not clipped. Peers:
non-local means and wavelets of scikit-image with the settings its documentation gives for a known sigma, and BM3D where
the package is installed. Adaptation: to a simulated cube of 40 x 96 x 96, by the network's own result and by data with
noise of their own, and what the gate says; the goal is five minutes of wall time on two idle cores, all in all.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise.networks.lidia import Lidia
from denoise.networks.lidia_inference import Folded, denoised, folded_network
from denoise.networks.neighbours import find_neighbours, with_border

Image = NDArray[np.float32]
Peer = Callable[[Image, float], Image]

IMAGES = ("camera", "brick", "grass", "gravel", "text", "cell", "clock")
SIGMAS = (15.0, 25.0, 50.0)
SHAPE = (321, 481)


def with_lidia(network: Folded, noisy: Image, sigma: float, threads: int = 1) -> Image:
    mean = noisy.mean()
    planes = with_border((noisy - mean)[None] / np.float32(sigma))
    return denoised(network, planes, threads=threads) * np.float32(sigma) + mean


def with_means(noisy: Image, sigma: float) -> Image:
    from skimage.restoration import denoise_nl_means

    found = denoise_nl_means(
        noisy, patch_size=7, patch_distance=11, h=0.6 * sigma, sigma=sigma, fast_mode=False
    )
    return np.asarray(found, np.float32)


def with_fast_means(noisy: Image, sigma: float) -> Image:
    from skimage.restoration import denoise_nl_means

    found = denoise_nl_means(
        noisy, patch_size=7, patch_distance=11, h=0.8 * sigma, sigma=sigma, fast_mode=True
    )
    return np.asarray(found, np.float32)


def with_wavelets(noisy: Image, sigma: float) -> Image:
    import pywt  # noqa: F401 - scikit-image needs it
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(noisy, sigma=sigma, rescale_sigma=True), np.float32)


def with_bm3d(noisy: Image, sigma: float) -> Image:
    import bm3d

    return np.asarray(bm3d.bm3d(noisy, sigma), np.float32)


def peers() -> dict[str, Peer]:
    if importlib.util.find_spec("skimage") is None:
        print("no peers: scikit-image is not installed")
        return {}
    found: dict[str, Peer] = {
        "nl_means": with_means,
        "nl_means fast": with_fast_means,
        "wavelet": with_wavelets,
    }
    if importlib.util.find_spec("bm3d") is not None:
        found["bm3d"] = with_bm3d
    return found


def network_of(options: argparse.Namespace) -> Folded:
    """The model that was asked for, or one without training: speed is the same."""
    if options.model is None:
        return folded_network(Lidia(small=options.small).eval().requires_grad_(False))
    from denoise.networks.lidia_weights import load_lidia

    return load_lidia(str(options.model)).network


def picture(shape: tuple[int, int] = SHAPE, sigma: float = 25.0) -> Image:
    """Smooth shapes in noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    clean = 128 + 90 * np.sin(x / 23) * np.cos(y / 31) + 30 * ((x // 40 + y // 40) % 2)
    return np.asarray(clean + np.random.default_rng(1).normal(0, sigma, shape), np.float32)


def timed(task: Callable[[], object]) -> str:
    wall, busy = time.perf_counter(), time.process_time()
    task()
    return f"{time.process_time() - busy:7.2f} s processor {time.perf_counter() - wall:7.2f} s wall"


def speed(options: argparse.Namespace) -> None:
    network, noisy = network_of(options), picture()
    planes = with_border(noisy[None] / 25)
    with_lidia(network, noisy[:64, :64], 25.0)  # compiles
    print(f"image {SHAPE[1]} x {SHAPE[0]}, {options.threads} threads")
    print("  search  ", timed(lambda: [find_neighbours(planes, k, threads=options.threads) for k in (0, 1)]))
    print("  lidia   ", timed(lambda: with_lidia(network, noisy, 25.0, options.threads)))
    for name, peer in peers().items():
        print(f"  {name:14s}", timed(lambda peer=peer: peer(noisy, 25.0)))


def memory(options: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--only", "peak", "--threads", str(options.threads)]
    command += ["--small"] if options.small else []
    command += [] if options.model is None else ["--model", str(options.model)]
    print(
        "peak memory of a process:",
        subprocess.run(command, check=True, capture_output=True, text=True).stdout,
    )


def peak(options: argparse.Namespace) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with_lidia(network_of(options), picture(), 25.0, options.threads)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, {before:.0f} MB of imports")


def psnr(options: argparse.Namespace) -> None:
    """Means over images, in decibel."""
    from skimage import data

    network, others = network_of(options), peers()
    names = ["noisy", "lidia", *others]
    print(f"PSNR of {', '.join(IMAGES)}; the middle {options.size} pixels")
    print("sigma", *(f"{name:>14s}" for name in names))
    for sigma in SIGMAS:
        rows = []
        for number, name in enumerate(IMAGES):
            clean = middle(np.asarray(getattr(data, name)(), np.float32), options.size)
            rng = np.random.default_rng((number, int(sigma)))
            noisy = clean + np.float32(sigma) * rng.standard_normal(clean.shape, np.float32)
            tried = [noisy, with_lidia(network, noisy, sigma, options.threads)]
            tried += [peer(noisy, sigma) for peer in others.values()]
            rows.append([20 * np.log10(255 / np.sqrt(np.mean((one - clean) ** 2))) for one in tried])
            if options.each:
                print(f"{name:>5s}", *(f"{value:14.2f}" for value in rows[-1]))
        print(f"{sigma:5.0f}", *(f"{value:14.2f}" for value in np.mean(rows, axis=0)), flush=True)


def adapt(options: argparse.Namespace) -> None:
    """Time of the method with an adaptation, and what its gate said."""
    import denoise
    from denoise.simulate import simulate_cube

    made = simulate_cube(1, kind="multi", peak_snr=6.0)
    cube = denoise.Cube(made.noisy, beam=made.beam_pixels)
    print(f"adaptation to a cube of {' x '.join(map(str, cube.shape))}, {options.threads} threads")
    for how in ("none", "internal", "r2r"):
        said: list[str] = []

        def task(how: str = how, said: list[str] = said) -> None:
            said += denoise.denoise(cube, "lidia", adapt=how, threads=options.threads).remarks

        print(f"  {how:9s}", timed(task), *said, flush=True)


def middle(image: Image, size: int) -> Image:
    first = [max(0, (n - size) // 2) for n in image.shape]
    return image[first[0] : first[0] + size, first[1] : first[1] + size]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("speed", "memory", "psnr", "adapt", "peak"))
    parser.add_argument("--model", type=Path, help="folder of a trained model")
    parser.add_argument("--small", action="store_true", help="without a model: the small network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--each", action="store_true", help="every image by itself too")
    options = parser.parse_args()
    parts = {"speed": speed, "memory": memory, "psnr": psnr, "adapt": adapt, "peak": peak}
    for name, part in parts.items():
        if options.only == name or (options.only is None and name != "peak"):
            if name == "psnr" and options.model is None:
                print("no PSNR without --model")
            else:
                part(options)


if __name__ == "__main__":
    main()
