"""What a cube would take on a cluster: a model from measured costs, checked against one and two workers here.

    python benchmarks/cluster_model.py                      # calibrate, check, then 1 TB on 64 nodes of 16 workers
    python benchmarks/cluster_model.py --nodes 8 --cores 32 --terabytes 0.1 --bandwidth 2

The model: two passes over the cube (inspection, noise) and the tiles, each in as many items as the engine makes of a
cube of that shape, in its order, with as many under way as it has. An item costs its voxels times the stage's seconds
per voxel on a worker, no less than its share of the file system's bandwidth allows, and a fixed time in the process
that hands it out and takes its result. What that process does between the stages does not grow with the cube. Costs are
measured on a small cube (tiles) and on two larger ones (passes), with one worker and with a worker on every core, which
share the bandwidth of the memory; those of the full machine serve for the cluster. The check predicts another cube with
either.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from bench_engine import PATCH, WARM, Generated, Shape, make_run, patch, size, square, write

from denoise.cores import usable_cores
from denoise.cube import Cube
from denoise.cube.inspection import inspect
from denoise.engine import open_runner
from denoise.engine.dask_runner import UNDER_WAY
from denoise.engine.plan import make_plan
from denoise.methods import get_method
from denoise.noise import NoiseModel, estimate_noise
from denoise.testing.subject import BEAM

ITEMS = 400  # of nothing, to measure what handing out costs
CHANNELS, TERABYTE_CHANNELS = 64, 2048
PASSED = square(0.5, CHANNELS), square(2.0, CHANNELS)  # cubes that are inspected, and their noise measured
STAGES = ("inspection", "noise", "tiles")  # in the order of the run


@dataclass(frozen=True)
class Costs:
    """Seconds a voxel of each stage, to start it, to hand out an item, and for all that is between the stages."""

    voxel: dict[str, float]
    start: dict[str, float]
    item: float
    between: float


@dataclass(frozen=True)
class Stage:
    """How many items, and voxels that a worker goes through in all."""

    items: int
    voxels: float


class _Counted(Exception):  # noqa: N818 - an answer
    """Items that the engine would hand out."""


def counting(_: Callable[..., Any], items: Sequence[Any]) -> Iterator[Any]:
    """In place of a cluster: tells how many items there are."""
    raise _Counted(len(items))


def counted(work: Callable[[], Any]) -> int:
    try:
        work()
    except _Counted as answer:
        return int(answer.args[0])
    raise AssertionError("nothing was handed out")


def stages(shape: Shape, memory: int) -> dict[str, Stage]:
    """What the engine makes of a cube of this shape."""
    cube, noise = Cube(Generated(patch(CHANNELS), shape)), NoiseModel.from_beam(shape, 1.0, BEAM)
    plan = make_plan(cube, get_method("ist")(), noise, memory, conditioned=False)
    voxels = prod(shape)
    return {
        "inspection": Stage(counted(lambda: inspect(cube, spread=counting)), voxels),
        "noise": Stage(counted(lambda: estimate_noise(cube, spread=counting)), voxels),
        "tiles": Stage(len(plan.tiles), plan.work * voxels),
    }


def simulate(stage: Stage, seconds: float, workers: int, item: float, bandwidth: float | None) -> float:
    """Seconds of a stage: workers take items as they come, one process hands them out and takes them in order."""
    voxels = stage.voxels / stage.items
    each = voxels * seconds
    if bandwidth is not None:  # all read at once, in the long run
        each = max(each, 4 * voxels * min(workers, stage.items) / bandwidth)
    free = [0.0] * workers
    under_way: deque[float] = deque()
    clock, left = 0.0, stage.items
    while left or under_way:
        while left and len(under_way) < UNDER_WAY * workers:
            clock += item
            start = max(clock, heapq.heappop(free))
            heapq.heappush(free, start + each)
            under_way.append(start + each)
            left -= 1
        clock = max(clock, under_way.popleft())
    return clock


def predict(
    found: dict[str, Stage], costs: Costs, workers: int, bandwidth: float | None = None
) -> dict[str, float]:
    """Seconds of each stage, and of what is between them."""
    times = {
        name: costs.start[name] + simulate(one, costs.voxel[name], workers, costs.item, bandwidth)
        for name, one in found.items()
    }
    return times | {"between": costs.between}


class Watched:
    """A runner whose stages are timed, and which stops before the tiles where only the passes are asked for."""

    def __init__(self, runner: Any, most: int = len(STAGES)) -> None:
        self._runner, self._most = runner, most
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def map(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        if len(self.seconds) == self._most:
            raise _Counted(self._most)
        start = time.perf_counter()
        yield from self._runner.map(*arguments, **named)
        self.seconds.append(time.perf_counter() - start)


def measured(runner: Any, shape: Shape, memory: int) -> dict[str, float]:
    """Seconds of the stages and between them."""
    watched = Watched(runner)
    run = make_run(shape, memory, runner=watched)
    run.noise = None  # estimated, as for any user
    whole = write(run)
    times = dict(zip(STAGES, watched.seconds, strict=True))
    return times | {"between": whole - sum(watched.seconds)}


def passes(runner: Any, shape: Shape, memory: int) -> np.ndarray:
    """Seconds of the two passes before the tiles."""
    watched = Watched(runner, most=2)
    run = make_run(shape, memory, runner=watched)
    run.noise = None
    counted(lambda: write(run))
    return np.array(watched.seconds)


def nothing(number: int) -> int:
    """An item that costs only its way."""
    return number


def calibrate(shape: Shape, memory: int, workers: int) -> Costs:
    """Costs with so many workers at a time."""
    with open_runner(workers=workers) as runner:
        write(make_run(*WARM, runner=runner))
        start = time.perf_counter()
        assert sum(1 for _ in runner.map(nothing, range(ITEMS), check=lambda: None)) == ITEMS
        item = (time.perf_counter() - start) / ITEMS
        found = measured(runner, shape, memory)
        short, long = (passes(runner, one, memory) for one in PASSED)
    slopes = (long - short) / (prod(PASSED[1]) - prod(PASSED[0]))
    voxel = dict(zip(STAGES, workers * slopes, strict=False))
    start = dict(zip(STAGES, short - slopes * prod(PASSED[0]), strict=False))
    # the start of the tiles is nothing beside them
    voxel["tiles"] = workers * found["tiles"] / stages(shape, memory)["tiles"].voxels
    return Costs(voxel, start | {"tiles": 0.0}, item, found["between"])


def check(costs: Costs, shape: Shape, memory: int, workers: int) -> None:
    """Prediction against measurement."""
    with open_runner(workers=workers) as runner:
        write(make_run(*WARM, runner=runner))
        seconds = measured(runner, shape, memory)
    wanted = predict(stages(shape, memory), costs, workers)
    for name in (*wanted, "all"):
        value, took = (sum(one.values()) if name == "all" else one[name] for one in (wanted, seconds))
        print(
            f"  {workers} worker(s), {size(shape)}, {name}: predicted {value:.1f} s, "
            f"took {took:.1f} s ({100 * (value / took - 1):+.0f} %)",
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
    parser.add_argument("--sizes", type=float, nargs=2, default=(0.2, 0.3), help="GB: to calibrate, to check")
    options = parser.parse_args()
    here = 800_000_000
    known, new = (square(gigabytes, CHANNELS) for gigabytes in options.sizes)
    for busy in (1, usable_cores()):
        costs = calibrate(known, here, busy)
        each = ", ".join(f"{1e9 * value:.0f} ({name})" for name, value in costs.voxel.items())
        print(
            f"costs, {busy} worker(s): ns a voxel {each}; {costs.item * 1e3:.2f} ms an item; {costs.between:.1f} s "
            f"between the stages (patch {PATCH[0]} pixels, {CHANNELS} channels)",
            flush=True,
        )
        check(costs, new, here, busy)
    shape, memory = square(1000 * options.terabytes, TERABYTE_CHANNELS), round(options.memory * 1e9)
    found = stages(shape, memory)
    items = ", ".join(f"{one.items} of {name}" for name, one in found.items())
    print(
        f"{options.terabytes:g} TB, {shape}, {options.memory:g} GB a worker, {options.bandwidth:g} GB/s: items {items}"
    )
    for nodes in sorted({1, 8, options.nodes}):
        workers = nodes * options.cores
        seconds = predict(found, costs, workers, options.bandwidth * 1e9)
        parts = ", ".join(f"{name} {value / 60:.1f} min" for name, value in seconds.items())
        print(f"  {nodes} node(s), {workers} workers: {sum(seconds.values()) / 60:.0f} min ({parts})")
    mask = prod(shape) / 8e9
    print(
        f"  the process that hands out keeps {mask:.0f} GB of mask in a file, and takes as many bytes as results"
    )


if __name__ == "__main__":
    sys.exit(main())
