"""What a cube would take on a cluster: a model from measured costs, checked against one and two workers here.

    python benchmarks/cluster_model.py                      # calibrate, check, then 1 TB on 64 nodes of 16 workers
    python benchmarks/cluster_model.py --nodes 8 --cores 32 --terabytes 0.1 --bandwidth 2

The model: two passes over the cube (inspection, noise) and the tiles, each spread over the workers in the order that
the engine has them, with a bounded number under way. An item costs its voxels times the stage's seconds per voxel on a
worker, no less than its share of the file system's bandwidth allows, and a fixed time in the process that hands it out
and takes its result. Costs are measured with one worker on cubes of two sizes; the check predicts another cube with one
and with two workers.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
from collections import deque
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from bench_engine import PATCH, WARM, make_run, write

from denoise.cube import Cube
from denoise.engine import open_runner
from denoise.engine.plan import make_plan
from denoise.engine.progress import Monitor
from denoise.methods import get_method
from denoise.noise import NoiseModel
from denoise.testing.subject import BEAM

EACH = 2  # items under way for each worker, as the engine has it
ITEMS = 400  # of nothing, to measure what handing out costs
CHANNELS, TERABYTE_CHANNELS = 64, 2048


@dataclass(frozen=True)
class Stage:
    """Items of equal voxels: how many, voxels of each, seconds a voxel on a worker."""

    name: str
    items: int
    voxels: float
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Seconds a voxel that is denoised, a voxel that the passes look at, and an item that is handed out."""

    tile: float
    passes: float
    item: float


def simulate(stage: Stage, workers: int, item: float, bandwidth: float | None) -> float:
    """Seconds of a stage: workers take items as they come, one process hands them out and takes them in order."""
    each = stage.voxels * stage.seconds
    if bandwidth is not None:  # all read at once, in the long run
        each = max(each, 4 * stage.voxels * min(workers, stage.items) / bandwidth)
    free = [0.0] * workers
    under_way: deque[float] = deque()
    clock, left = 0.0, stage.items
    while left or under_way:
        while left and len(under_way) < EACH * workers:
            clock += item
            start = max(clock, heapq.heappop(free))
            heapq.heappush(free, start + each)
            under_way.append(start + each)
            left -= 1
        clock = max(clock, under_way.popleft())
    return clock


class Shape:
    """A cube that holds nothing, to plan for."""

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape


def stages(shape: tuple[int, int, int], memory: int, costs: Costs) -> list[Stage]:
    """What the engine would do with a cube of this shape."""
    noise = NoiseModel.from_beam(shape, 1.0, BEAM)
    plan = make_plan(Cube(Shape(shape)), get_method("ist")(), noise, memory, conditioned=False)
    voxels, blocks = prod(shape), max(1, ceil(prod(shape) / 4e6))
    return [
        Stage("passes", blocks, voxels / blocks, costs.passes),
        Stage("tiles", len(plan.tiles), plan.work * voxels / len(plan.tiles), costs.tile),
    ]


def predict(
    shape: tuple[int, int, int], memory: int, costs: Costs, workers: int, bandwidth: float | None
) -> dict[str, float]:
    """Seconds of each stage."""
    return {one.name: simulate(one, workers, costs.item, bandwidth) for one in stages(shape, memory, costs)}


def nothing(number: int) -> int:
    """An item that costs only its way."""
    return number


def measured(runner, gigabytes: float, memory: int) -> tuple[dict[str, float], tuple[int, int, int], float]:
    """Seconds of the passes and of the tiles of a run, the shape of its cube, and voxels denoised for each."""
    marks: list[float] = []

    def progress(event) -> None:
        if event.stage == "denoising":
            marks.append(time.perf_counter())

    run = make_run(gigabytes, memory, channels=CHANNELS, runner=runner, monitor=Monitor(progress))
    run.noise = None  # estimated, as for any user
    start = time.perf_counter()
    prepared = {}
    inner = run.prepare

    def prepare(scratch):
        found = inner(scratch)
        prepared["at"], prepared["plan"] = time.perf_counter(), found.plan
        return found

    run.prepare = prepare  # type: ignore[method-assign]
    write(run)
    seconds = {"passes": prepared["at"] - start, "tiles": marks[-1] - prepared["at"]}
    return seconds, run.cube.shape, prepared["plan"].work


def calibrate(sizes: tuple[float, float], memory: int) -> Costs:
    """Costs from one worker."""
    with open_runner(workers=1) as runner:
        write(make_run(*WARM, channels=CHANNELS, runner=runner))
        start = time.perf_counter()
        assert sum(1 for _ in runner.map(nothing, range(ITEMS), check=lambda: None)) == ITEMS
        item = (time.perf_counter() - start) / ITEMS
        found = [measured(runner, size, memory) for size in sizes]
    voxels = np.array([prod(shape) for _, shape, _ in found], float)
    work = voxels * np.array([work for _, _, work in found])
    # the slope, where it can be told from the start: what does not grow with the cube is not the cluster's
    passes, tiles = (np.array([s[name] for s, _, _ in found]) for name in ("passes", "tiles"))
    return Costs(
        tile=float(np.diff(tiles)[0] / np.diff(work)[0]),
        passes=float(np.diff(passes)[0] / np.diff(voxels)[0]),
        item=item,
    )


def check(costs: Costs, gigabytes: float, memory: int) -> None:
    """Prediction against measurement with one and with two workers."""
    for workers in (1, 2):
        with open_runner(workers=workers) as runner:
            write(make_run(*WARM, channels=CHANNELS, runner=runner))
            seconds, shape, _ = measured(runner, gigabytes, memory)
        wanted = predict(shape, memory, costs, workers, None)
        for name, value in wanted.items():
            off = 100 * (value / seconds[name] - 1)
            print(
                f"  {workers} worker(s), {gigabytes:g} GB, {name}: predicted {value:.1f} s, "
                f"took {seconds[name]:.1f} s ({off:+.0f} %)",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--terabytes", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--cores", type=int, default=16, help="workers on a node")
    parser.add_argument("--memory", type=float, default=4.0, help="GB of a worker")
    parser.add_argument(
        "--bandwidth", type=float, default=10.0, help="GB/s of the file system, all nodes together"
    )
    parser.add_argument(
        "--sizes", type=float, nargs=3, default=(0.05, 0.15, 0.25), help="GB: two to calibrate, one to check"
    )
    options = parser.parse_args()
    here = 800_000_000
    first, second, third = options.sizes
    costs = calibrate((first, second), here)
    print(
        f"costs: {costs.tile * 1e9:.0f} ns a voxel denoised, {costs.passes * 1e9:.1f} ns a voxel of the passes, "
        f"{costs.item * 1e3:.2f} ms an item (patch {PATCH[0]} pixels, {CHANNELS} channels)"
    )
    check(costs, third, here)
    side = round(np.sqrt(options.terabytes * 1e12 / 4 / TERABYTE_CHANNELS))
    shape, memory = (TERABYTE_CHANNELS, side, side), round(options.memory * 1e9)
    print(f"{options.terabytes:g} TB, {shape}, {options.memory:g} GB a worker, {options.bandwidth:g} GB/s:")
    for nodes in sorted({1, 8, options.nodes}):
        workers = nodes * options.cores
        found = predict(shape, memory, costs, workers, options.bandwidth * 1e9)
        parts = ", ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in found.items())
        print(f"  {nodes} node(s), {workers} workers: {sum(found.values()) / 60:.0f} min ({parts})")
    mask = prod(shape) / 8e9
    print(
        f"  the process that hands out keeps {mask:.0f} GB of mask in a file, and takes as many bytes as results"
    )


if __name__ == "__main__":
    sys.exit(main())
