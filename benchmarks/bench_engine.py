"""The engine: its overhead over the bare kernel, workers, memory against the budget, and time against size.

    python benchmarks/bench_engine.py            # full sizes: 2 GB, and 1 to 16 GB within 2 GB; takes hours
    python benchmarks/bench_engine.py --quick    # a thirtieth of them
    python benchmarks/bench_engine.py --only peak --methods lidia --minutes 20

Cubes are generated as they are read: noise of a beam repeated over the field, with a source in every repeat. Results go
to a file (DATA alone) in the folder for temporary files, and are removed. ``ist`` with its noise model given, so that
what is measured is plan, tiles, kernel and writing. Each line says what was measured, the goal, and whether it is met.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import psutil

from denoise.cores import usable_cores
from denoise.cube import Cube
from denoise.engine import open_runner, run_options
from denoise.engine.progress import CancelToken, Monitor, ProgressEvent
from denoise.engine.run import Run
from denoise.engine.runners import Serial
from denoise.engine.sinks import file_sink
from denoise.engine.tiles import TileReader
from denoise.errors import CancelledError
from denoise.methods import get_method
from denoise.noise import NoiseModel
from denoise.testing.subject import BEAM, observation

Shape = tuple[int, int, int]

PATCH = (256, 256)
CHANNELS = 128  # of the patch, at most
WARM = (32, 128, 128), 1 << 30  # a small cube, whole: imports and kernels
# methods that tile; channels of the cube, and its size over that of the first: thin, and larger, where little memory
# makes small tiles of much halo
TILING = {
    "smooth": (16, 1),
    "ist": (16, 1),
    "pca": (16, 1),
    "ica": (16, 1),
    "noiser": (4, 1),
    "unet": (4, 1),
    "hybrid": (4, 2),
    "lidia": (4, 2),
}
SMALL = 256_000_000  # bytes for cubes of unusual shapes
UNUSUAL = ((16384, 64, 64), (1800, 6, 8))


@dataclass(frozen=True)
class Generated:
    """Pixels that are made as they are read: one patch over and over."""

    patch: np.ndarray
    shape: tuple[int, int, int]
    dtype = np.dtype(np.float32)

    def read(self, region: tuple[slice, slice, slice]) -> np.ndarray:
        out = np.empty([part.stop - part.start for part in region], np.float32)
        axes = [_repeats(part, n) for part, n in zip(region, self.patch.shape, strict=True)]
        # copies of rows, as fast as a file in memory
        for (c, from_c), (y, from_y), (x, from_x) in product(*axes):
            out[c, y, x] = self.patch[from_c, from_y, from_x]
        return out


def _repeats(part: slice, period: int) -> list[tuple[slice, slice]]:
    """Pieces of a range: where each goes, and which part of the pattern it is."""
    edges = [part.start, *range(period * (part.start // period + 1), part.stop, period), part.stop]
    return [
        (slice(a - part.start, b - part.start), slice(a % period, a % period + b - a))
        for a, b in pairwise(edges)
    ]


@cache
def patch(channels: int) -> np.ndarray:
    """Noise of a beam with a source."""
    return observation((channels, *PATCH), peak_snr=10.0)[0]


def square(gigabytes: float, channels: int) -> Shape:
    """Shape of a cube of this size."""
    side = round(np.sqrt(gigabytes * 1e9 / 4 / channels))
    return channels, side, side


def make_run(
    shape: Shape, memory: int, *, method="ist", runner=None, monitor=None, threads: int | None = None
) -> Run:
    """A run on a generated cube."""
    noise = NoiseModel.from_beam(shape, 1.0, BEAM)
    positivity = "on" if get_method(method).info.category == "denoiser" else "auto"
    options = run_options(method=method, memory=memory, save=(), positivity=positivity, continuum="none")
    return Run(
        Cube(Generated(patch(min(shape[0], CHANNELS)), shape)),
        options,
        monitor or Monitor(),
        noise=noise,
        threads=threads or usable_cores(),
        runner=runner or Serial(),
    )


def write(run: Run) -> float:
    """Seconds of a run into a file."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start = time.perf_counter()
        run.into(file_sink(Path(folder) / "out.fits", save=()))
        return time.perf_counter() - start


def say(what: str, value: str, goal: str, met: bool) -> None:
    print(f"{'met   ' if met else 'MISSED'}  {what}: {value} (goal {goal})", flush=True)


def overhead(shape: Shape, memory: int) -> None:
    """Seconds of a run over those of ``apply`` on the same blocks; the halo is the kernel's in both."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = make_run(shape, memory).prepare(Path(scratch))
    reader, tiles, kernel = TileReader(prepared.data.cube, prepared.noise), prepared.plan.tiles, 0.0
    for tile in tiles:
        block, noise = reader.read(tile)[1], reader.noise.window(tile.outer)
        start = time.perf_counter()
        prepared.denoiser.apply(block, noise, None)
        kernel += time.perf_counter() - start
    seconds = write(make_run(shape, memory))
    halo = sum(np.prod(tile.outer_shape) for tile in tiles) / np.prod(prepared.plan.shape)
    print(f"        {size(shape)}, {len(tiles)} tiles ({prepared.plan.layout}), halo {halo:.2f} x the voxels")
    more = 100 * (seconds / kernel - 1)
    say("engine over kernel", f"{seconds:.1f} s / {kernel:.1f} s = {more:+.0f} %", "<= 15 %", more <= 15)


def size(shape: Shape) -> str:
    return f"{' x '.join(map(str, shape))} ({4e-9 * np.prod(shape, dtype=float):.3g} GB)"


def stage_seconds(shape: Shape, memory: int, workers: int) -> float:
    """Seconds from the first tile to the last, start of the processes not counted."""
    times = []

    def progress(event) -> None:
        if event.stage == "denoising":
            times.append(time.perf_counter())

    with open_runner(workers=workers) as runner:
        write(make_run(*WARM, runner=runner))  # imports and kernels
        write(make_run(shape, memory, runner=runner, monitor=Monitor(progress)))
    return times[-1] - times[0]


def workers(shape: Shape, memory: int) -> None:
    one, two = (stage_seconds(shape, memory, n) for n in (1, 2))
    say(
        "two workers over one", f"{one:.1f} s / {two:.1f} s = {one / two:.2f} x", ">= 1.7 x", one / two >= 1.7
    )


class Watched(Monitor):
    """Follows the tiles of the last stage, and stops a run after some seconds."""

    def __init__(self, seconds: float | None) -> None:
        self.token, self.last = CancelToken(), ProgressEvent("", 0, 0, None)
        super().__init__(self.follow, self.token)
        self._until = time.perf_counter() + (seconds or np.inf)

    def follow(self, event: ProgressEvent) -> None:
        self.last = event
        if event.done and time.perf_counter() > self._until:
            self.token.cancel()


@dataclass(frozen=True)
class Measured:
    """A run in its own process: what it took above the imports' own, and the tiles it came to."""

    seconds: float
    used: int
    done: int
    total: int

    @property
    def part(self) -> str:
        return "" if self.done == self.total else f", {self.done} of {self.total} tiles"


def _child(shape: Shape, memory: int, method: str, limit: float | None, answer) -> None:
    patch(min(shape[0], CHANNELS))
    write(make_run(*WARM, method=method))
    gc.collect()
    process, used, over = psutil.Process(), [], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not over.wait(0.01):
            used.append(process.memory_info().rss)

    watcher, monitor = threading.Thread(target=watch), Watched(limit)
    watcher.start()
    start = time.perf_counter()
    try:
        write(make_run(shape, memory, method=method, monitor=monitor))
    except CancelledError:
        pass  # the time allowed is over
    finally:
        over.set()
    watcher.join()
    seconds = time.perf_counter() - start
    answer.put(Measured(seconds, max(used) - before, monitor.last.done, monitor.last.total))


def in_a_process(shape: Shape, memory: int, method: str = "ist", limit: float | None = None) -> Measured:
    """A run in a fresh process, stopped after `limit` seconds."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_child, args=(shape, memory, method, limit, answer))
    process.start()
    while process.is_alive() and answer.empty():
        time.sleep(0.1)
    if answer.empty():
        raise SystemExit(f"{method} on {size(shape)} did not finish")
    found = answer.get()
    process.join()
    return found


def peak(gigabytes: float, methods: list[str], limit: float | None) -> None:
    """Methods that tile, on a cube of four times the budget; `ist` on unusual shapes."""
    for method in methods:
        channels, times = TILING[method]
        shape = square(times * gigabytes, channels)
        peak_of(shape, round(4 * np.prod(shape, dtype=float)) // 4, method, limit)
    if "ist" in methods:
        for unusual in UNUSUAL:
            peak_of(unusual, SMALL, "ist", limit)


def peak_of(shape: Shape, memory: int, method: str, limit: float | None = None) -> None:
    found = in_a_process(shape, memory, method, limit)
    say(
        f"peak memory of {method}, {size(shape)}, {found.seconds:.0f} s{found.part}",
        f"{found.used / 1e6:.0f} MB of {memory / 1e6:.0f} MB",
        "within the budget",
        found.used <= memory,
    )


def growth(shapes: list[Shape], memory: int) -> None:
    seconds, most = np.zeros(len(shapes)), 0.0
    for number, shape in enumerate(shapes):
        found = in_a_process(shape, memory)
        seconds[number], most = found.seconds, max(most, found.used)
        print(
            f"        {size(shape)}: {found.seconds:.1f} s, {found.used / 1e6:.0f} MB of {memory / 1e6:.0f} MB",
            flush=True,
        )
    sizes = np.array([4e-9 * np.prod(shape, dtype=float) for shape in shapes])
    slope, start = np.polyfit(sizes, seconds, 1)
    worst = float(np.abs(start + slope * sizes - seconds).max() / seconds.max())
    say(
        "time against size",
        f"{slope:.1f} s/GB + {start:.1f} s, off by {100 * worst:.0f} %",
        "a line, 10 %",
        worst <= 0.1,
    )
    say("memory of all sizes", f"{most / 1e6:.0f} MB", f"<= {memory / 1e6:.0f} MB", most <= memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", choices=["overhead", "workers", "peak", "growth"])
    parser.add_argument(
        "--sizes", type=float, nargs="+", metavar="GB", help="of the cubes whose time is to grow"
    )
    parser.add_argument("--methods", nargs="+", choices=list(TILING), default=list(TILING), help="for peak")
    parser.add_argument(
        "--minutes", type=float, help="for peak: stop a run after this time, and say its tiles"
    )
    options = parser.parse_args()
    quick, limit = options.quick, options.minutes and 60 * options.minutes
    channels = 32 if quick else CHANNELS
    cube, memory = (1 / 16, 400_000_000) if quick else (2, 4_000_000_000)
    sizes = options.sizes or ([1 / 32, 1 / 16, 1 / 8] if quick else [1, 2, 4, 8, 16])
    jobs = {
        "overhead": lambda: overhead(square(cube, channels), memory),
        "workers": lambda: workers(square(cube, channels), memory),
        "peak": lambda: peak(1 / 4 if quick else 1, options.methods, limit),
        "growth": lambda: growth([square(one, channels // 2) for one in sizes], memory // 2),
    }
    for name, job in jobs.items():
        if options.only in (None, name):
            job()


if __name__ == "__main__":
    sys.exit(main())
