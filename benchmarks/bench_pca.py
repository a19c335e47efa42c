"""Principal and independent components of a large cube, beside scikit-learn, in one run.

    python benchmarks/bench_pca.py                 # 128 x 512 x 512, then 1024 x 160 x 160; takes some minutes
    python benchmarks/bench_pca.py --quick         # 64 x 128 x 128

Streamed: row strips as the engine reads them (as thick as a halo), the ``Scatter`` that ``pca`` uses, covariance about
the mean, all eigenvectors. Peers get the whole matrix (spaxel, channel), float32, in memory; its transposition is not
counted. ICA: ours learns the rotation from at most 65,536 spaxels in whitened coordinates of the subspace; the peer is
FastICA with its defaults on all.

Calls are interleaved, so that all see the same load. Columns: best time, ratio to ours (median over the rounds of the
ratio within a round), bytes allocated beside the cube, least cosine between the subspaces of the first components.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from denoise.methods import ica
from denoise.methods._scatter import Scatter

COMPONENTS = 10
ROWS = 64  # of a strip
PAUSE = 0.1  # seconds between calls: the threads of BLAS spin that long for more work, and would slow what comes next


def sources(shape: tuple[int, int, int], *, rank: int = COMPONENTS) -> np.ndarray:
    """Sparse sources with Gaussian lines in unit white noise, (channel, y, x)."""
    rng = np.random.default_rng(1)
    nchan, ny, nx = shape
    channels = np.arange(nchan)[:, None]
    lines = np.exp(-0.5 * ((channels - np.linspace(0.1, 0.9, rank) * nchan) / (0.02 * nchan)) ** 2)
    maps = (np.abs(rng.standard_normal((rank, ny * nx))) ** 4).astype(np.float32)
    cube = lines.astype(np.float32) @ maps
    cube += rng.standard_normal(cube.shape, dtype=np.float32)
    return cube.reshape(shape)


def streamed_pca(cube: np.ndarray) -> np.ndarray:
    """All components, falling (channel, channel), in one pass of row strips."""
    scatter, flat = Scatter(len(cube), threads=os.cpu_count() or 1), cube.reshape(len(cube), -1)
    strip = max(ROWS * cube.shape[2], len(cube))
    for start in range(0, flat.shape[1], strip):
        scatter.add(flat[:, start : start + strip].T)
    return np.linalg.eigh(scatter.covariance())[1][:, ::-1]


def streamed_ica(cube: np.ndarray) -> np.ndarray:
    """Independent spectra (channel, K): subspace from all spaxels, rotation from a subsample."""
    vectors = streamed_pca(cube)[:, :COMPONENTS]
    spaxels = cube.reshape(len(cube), -1)
    step = -(-spaxels.shape[1] // ica.SPAXELS)
    scores = np.tensordot(np.ascontiguousarray(spaxels[:, ::step]), vectors.astype(np.float32), (0, 0))
    return vectors @ np.linalg.pinv(ica.unmixing(scores.astype(np.float64), seed=0))


def peer_pca(spectra: np.ndarray, components: int | None = None, **options: Any) -> np.ndarray:
    """Components of scikit-learn, (channel, K)."""
    from sklearn.decomposition import PCA

    return PCA(components, **options).fit(spectra).components_.T


def peer_ica(spectra: np.ndarray) -> np.ndarray:
    """Mixing matrix of FastICA with its defaults (channel, K)."""
    from sklearn.decomposition import FastICA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FastICA(COMPONENTS, random_state=0).fit(spectra).mixing_


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Least cosine between two subspaces of the first components: 1 where they agree."""
    a, b = (np.linalg.qr(each[:, :COMPONENTS])[0] for each in (first, second))
    return float(np.linalg.svd(a.T @ b, compute_uv=False).min())


def compare(methods: dict[str, Callable[[], np.ndarray]], rounds: int) -> None:
    """Print a row a method; the first is ours."""
    results, extra = {}, {}
    times: dict[str, list[float]] = {name: [] for name in methods}
    for name, function in methods.items():  # also loads what has to be loaded
        tracemalloc.start()
        results[name] = function()
        extra[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    for _ in range(rounds):
        for name, function in methods.items():
            gc.collect()
            time.sleep(PAUSE)
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    ours = next(iter(methods))
    print("| method | seconds | ratio to ours | extra MB | overlap |\n|---|---|---|---|---|")
    for name in methods:
        ratio = float(np.median(np.array(times[name]) / np.array(times[ours])))
        cells = f"{min(times[name]):.3f} | {ratio:.1f} | {extra[name] / 1e6:.0f}"
        print(f"| {name} | {cells} | {overlap(results[name], results[ours]):.4f} |", flush=True)


def tables(shape: tuple[int, int, int], rounds: int, *, independent: bool) -> None:
    """PCA, and ICA if asked, on one cube."""
    cube = sources(shape)
    spectra = np.ascontiguousarray(cube.reshape(shape[0], -1).T)
    print(f"\n{shape[0]} x {shape[1]} x {shape[2]}, {cube.nbytes / 1e6:.0f} MB")
    compare(
        {
            "denoise, streamed": lambda: streamed_pca(cube),
            "scikit-learn PCA()": lambda: peer_pca(spectra),
            "scikit-learn PCA(svd_solver='full')": lambda: peer_pca(spectra, svd_solver="full"),
            f"scikit-learn PCA({COMPONENTS}, svd_solver='randomized')": lambda: peer_pca(
                spectra, COMPONENTS, svd_solver="randomized", random_state=0
            ),
        },
        rounds,
    )
    if independent:
        ours = {"denoise, ICA": lambda: streamed_ica(cube)}
        compare(ours | {f"scikit-learn FastICA({COMPONENTS})": lambda: peer_ica(spectra)}, 1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small cube")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        tables((64, 128, 128), options.rounds, independent=True)
        return
    tables((128, 512, 512), options.rounds, independent=True)
    tables((1024, 160, 160), options.rounds, independent=False)


if __name__ == "__main__":
    main()
