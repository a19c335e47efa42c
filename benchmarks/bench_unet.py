"""The network of the method `unet`: speed by every route beside its bound, memory, and how far it looks.

    python benchmarks/bench_unet.py                          # unet3d-small and -base, all parts
    python benchmarks/bench_unet.py --only speed --quick     # one part, small cubes
    python benchmarks/bench_unet.py --model my-training      # a folder that `denoise train` wrote

A model without weights is measured with those that a training starts from: speed and memory are the same. Speed is that
of the network alone, from its inputs to its answer, and of ``apply`` with everything around it. Peers in the same run:
the same layers as 3D convolutions in torch, as one writes them (eager float32), and the published network on the same
voxels. The bound is the time that the multiplications would take at the speed of a large matrix product on this CPU,
measured beside them. Ratios count; times are those of a shared machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import ceil
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise.cores import usable_cores
from denoise.methods.unet import EFFECTIVE, Unet
from denoise.networks import routes
from denoise.networks.backend import torch_threads
from denoise.networks.examples import draw_observed
from denoise.networks.inference import weigh
from denoise.networks.recipe import load_recipe
from denoise.networks.scalespace import Grid, network_reach, noise_numbers
from denoise.networks.unet3d import SLOPE, ReferenceUNet, ScaleSpaceUNet
from denoise.networks.weighing import seen
from denoise.networks.weights import RECIPE, WEIGHTS, Model, build, load_model, write_model
from denoise.noise import NoiseModel
from denoise.resources import resource
from denoise.testing.laws import ITERATIVE
from denoise.testing.subject import observation
from denoise.transforms import detection
from denoise.transforms.gaps import bridged

SHAPE, QUICK = (64, 128, 128), (40, 96, 96)
GEMM = 2048


class Plain3D(nn.Module):
    """The layers of ``ScaleSpaceUNet`` as 3D convolutions of (batch, feature, channel, y, x): the peer.

    Not its gates: these are compared without them.
    """

    def __init__(self, network: ScaleSpaceUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, numbers: Tensor) -> Tensor:
        net, levels = self.network, []
        for level, stage in enumerate(net.down):
            finer = functional.avg_pool3d(x, 2) if level else x
            x = self._point(net.narrow[level - 1], finer) if level else self._plane(net.stem, finer)
            x = self._stage(stage, x + net.told[level](numbers)[..., None, None, None])
            levels.append(x)
        for level in range(len(levels) - 2, -1, -1):
            larger = functional.interpolate(self._point(net.wide[level], x), scale_factor=2)
            x = self._stage(net.up[level], levels[level] + larger)
        return x

    def _stage(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        for block in stage:
            y = functional.leaky_relu(self._plane(block.plane, functional.leaky_relu(x, SLOPE)), SLOPE)
            weight = block.line.conv.weight[..., None]
            x = x + functional.conv3d(y, weight, block.line.conv.bias, padding=(1, 0, 0))
        return x

    def _plane(self, layer: nn.Module, x: Tensor) -> Tensor:
        return functional.conv3d(x, layer.conv.weight[:, :, None], layer.conv.bias, padding=(0, 1, 1))

    def _point(self, layer: nn.Linear, x: Tensor) -> Tensor:
        return functional.conv3d(x, layer.weight[..., None, None, None], layer.bias)


def model_of(name: str) -> Model:
    """A model by its name or folder; with starting weights where it has none."""
    folder = Path(name) if (Path(name) / RECIPE).is_file() else resource("models", name)
    if (folder / WEIGHTS).is_file():
        return load_model(str(folder))
    recipe = load_recipe(folder / RECIPE)
    return Model(build(recipe).eval().requires_grad_(False), recipe, "")


def operations(network: ScaleSpaceUNet) -> float:
    """Floating-point operations of the network for a voxel of a cube, from its layers."""
    total = 0.0
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear) or name.startswith("told"):
            continue
        part, number = name.split(".")[0], name.split(".")[1] if "." in name else "0"
        level = int(number) + (part == "narrow") + (part == "wide") if number.isdigit() else 0
        twice = 2 if name == "gates.out" else 1
        total += twice * 2 * layer.weight.numel() / (4 * 8**level)
    return total


def seconds(work: Callable[[], object], *, least: float) -> float:
    """Median time of a call, over `least` seconds and three calls at least, after one that does not count."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def gemm_speed(device: str, kind: torch.dtype, least: float) -> float:
    """Operations a second of a large matrix product."""
    a, b = (torch.rand(GEMM, GEMM, device=device, dtype=kind) for _ in range(2))

    def work() -> None:
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()

    return 2 * GEMM**3 / seconds(work, least=least)


def report(what: str, ratio: float | None, goal: float, why_not: str = "") -> None:
    """One goal: met, missed, or why it cannot be judged here."""
    if ratio is None:
        print(f"-       {what}: {why_not}")
    else:
        print(f"{'met   ' if ratio >= goal else 'MISSED'}  {what}: {ratio:.2f} (goal {goal:g})", flush=True)


class Rates:
    """Voxels a second of the routes of one network, printed as they are found."""

    def __init__(self, voxels: float, each: float, limit: float, least: float) -> None:
        self.found: dict[str, float] = {}
        self._voxels, self._each, self._limit, self._least = voxels, each, limit, least

    def add(self, label: str, work: Callable[[], object], error: float | None = None) -> None:
        """Time one; the first is what the others are compared with."""
        self.found[label] = rate = self._voxels / seconds(work, least=self._least)
        ratio, share = rate / next(iter(self.found.values())), 100 * rate * self._each / self._limit
        off = "" if error is None else f", {error:.1e} sigma from float32"
        print(f"        {label:36} {rate / 1e6:6.2f} Mvoxel/s {ratio:6.2f} x {share:4.0f} %{off}", flush=True)


def speed(name: str, shape: tuple[int, int, int], threads: int, least: float) -> None:
    """Voxels a second by every route."""
    model, each = model_of(name), operations(model_of(name).network)
    data = observation(shape)[0]
    numbers = noise_numbers(NoiseModel.white(shape, 1.0))
    inputs, told = seen(data, numbers, Grid.of(shape), threads=threads), numbers.numbers
    with torch_threads(torch, threads):
        limit = gemm_speed("cpu", torch.float32, least)
    size = " x ".join(map(str, shape))
    print(
        f"{name}: {each / 1e3:.1f} kFLOP a voxel, {size}, {threads} threads, {torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"        matrix product {limit / 1e9:.0f} GFLOP/s: at most {limit / each / 1e6:.2f} Mvoxel/s")
    rates = Rates(float(np.prod(shape)), each, limit, least)
    with torch_threads(torch, threads), torch.inference_mode():
        rates.add("eager float32, 3D convolutions", _eager(model, inputs, told))
        rates.add("ours, compiled", _compiled(model, inputs, told))
        published, cube = ReferenceUNet().eval(), torch.from_numpy(data)[None, None]
        rates.add("published network (another one)", lambda: published(cube))
    plain = routes.TorchRoute(model)
    for route in (plain, *(make(model) for make in routes.candidates("cpu"))):
        error = None if route is plain else routes.disagreement(route, plain)
        rates.add(route.label, partial(route.answer, inputs, told, threads=threads), error)
    _judge(rates.found)
    if torch.cuda.is_available():
        _on_gpu(model, inputs, told, each, least)
    else:
        report("share of the bound on a GPU", None, 0.3, "torch sees none")
    _whole(model, shape, threads, least)


def _judge(found: dict[str, float]) -> None:
    """The goals where the hardware has what they are for."""
    eager = next(iter(found.values()))
    best = {
        kind: max((rate for label, rate in found.items() if f", {kind} " in label), default=None)
        for kind in ("torch", "openvino")
    }
    for kind, goal in (("torch", 3), ("openvino", 6)):
        rate = best[kind] if routes.bfloat16_units() else None
        why = "this CPU has no bfloat16 units" if best[kind] else "not installed"
        report(f"{kind} over eager", rate and rate / eager, goal, why)


def _whole(model: Model, shape: tuple[int, int, int], threads: int, least: float) -> None:
    data, _, noise = observation(shape)
    with tempfile.TemporaryDirectory() as folder:
        write_model(model.network.state_dict(), model.recipe, Path(folder))
        method = Unet(model=folder, positivity=True, threads=threads)
        took = seconds(lambda: method.apply(data, noise, None), least=least)
        print(f"        all of apply, by {method.backend}: {data.size / took / 1e6:.2f} Mvoxel/s", flush=True)


def _eager(model: Model, inputs: np.ndarray, numbers: np.ndarray) -> Callable[[], Tensor]:
    x = torch.from_numpy(inputs)[None].permute(0, 4, 1, 2, 3).contiguous()
    told, network = torch.from_numpy(numbers)[None], Plain3D(model.network)
    flat = torch.from_numpy(inputs)[None]

    def work() -> Tensor:
        features = network(x, told).permute(0, 2, 3, 4, 1)
        return model.network.answer(features, flat, told).gains

    return work


def _compiled(model: Model, inputs: np.ndarray, numbers: np.ndarray) -> Callable[[], Tensor]:
    start = time.perf_counter()
    network = torch.compile(model.network)
    x, told = torch.from_numpy(inputs)[None], torch.from_numpy(numbers)[None]
    network(x, told)
    print(f"        torch.compile takes {time.perf_counter() - start:.1f} s for one shape", flush=True)
    return lambda: network(x, told).gains


def _on_gpu(model: Model, inputs: np.ndarray, told: np.ndarray, each: float, least: float) -> None:
    voxels = 4 * inputs[..., 0].size
    kinds = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    for precision, kind in kinds.items():
        limit = gemm_speed("cuda", kind, least)
        route = routes.TorchRoute(model, "cuda", precision=precision)
        rate = voxels / seconds(partial(route.answer, inputs, told, threads=1), least=least)
        error = routes.disagreement(route, routes.TorchRoute(model))
        print(f"        {route.label}: {rate / 1e6:.1f} Mvoxel/s, {error:.1e} sigma from float32")
        report(f"share of the bound ({limit / 1e12:.0f} TFLOP/s)", rate * each / limit, 0.3)


def _peak(folder: str, shape: tuple[int, int, int], positive: bool, answer) -> None:
    method = Unet(model=folder, positivity=positive)
    for small in ((16, 48, 48), (1, 64, 64)):  # imports and kernels
        method.apply(*observation(small)[::2], None)
    data, _, noise = observation(shape)
    Path("/proc/self/clear_refs").write_text("5")  # of Linux: the peak counts from here
    before = _status("VmRSS")
    method.apply(data, noise, None)
    answer.put((_status("VmHWM") - before, method.workspace(shape)))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def memory(name: str, shapes: tuple[tuple[int, int, int], ...]) -> None:
    """Peak of ``apply`` in a fresh process against what the plan counts for it."""
    model = model_of(name)
    context = multiprocessing.get_context("spawn")
    for shape in shapes:
        for positive in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                write_model(model.network.state_dict(), model.recipe, Path(folder))
                answer = context.Queue()
                process = context.Process(target=_peak, args=(folder, shape, positive, answer))
                process.start()
                used, planned = answer.get()
                process.join()
            sign = "one sign" if positive else "both signs"
            each = used / np.prod(shape)
            print(
                f"{'met   ' if used <= planned else 'MISSED'}  {name} {' x '.join(map(str, shape))}, {sign}: "
                f"{used / 1e6:.0f} MB ({each:.0f} B a voxel) of {planned / 1e6:.0f} MB planned",
                flush=True,
            )


def looks(name: str, cubes: int, shape: tuple[int, int, int]) -> None:
    """How the difference between a block cut from a cube and the cube falls with the distance from the cut."""
    model = model_of(name)
    route, blocks = routes.TorchRoute(model), model.recipe.network.blocks
    reach = network_reach(blocks)
    most = {axis: np.zeros(shape[axis]) for axis in (0, 2)}
    for seed in range(cubes):
        cube = draw_observed(model.recipe.simulation, shape, seed)
        white = detection.find_emission(cube.noisy, np.ones(shape, bool), cube.model, both_signs=True).white
        whole = bridged(white.data, np.ones(shape, bool))
        numbers = noise_numbers(white.noise)
        full = weigh(route, whole, numbers, Grid.of(shape), both=False)[0]
        for axis, cut in ((0, shape[0] // 3 | 1), (2, shape[2] // 3 | 1)):
            start = tuple(cut if axis == k else 0 for k in range(3))
            part = np.ascontiguousarray(whole[start[0] :, :, start[2] :])
            grid = Grid.of(part.shape, start)
            off = np.abs(weigh(route, part, numbers, grid, both=False)[0] - full[start[0] :, :, start[2] :])
            along = off.max(axis=tuple(k for k in range(3) if k != axis))
            most[axis][: len(along)] = np.maximum(most[axis][: len(along)], along)
    for place, (axis, unit) in enumerate(((0, "channels"), (2, "pixels"))):
        theory = reach[place] + 2 * (2 ** numbers.scales[1 - place] - 1)
        beyond = np.maximum.accumulate(most[axis][::-1])[::-1]
        steps = ", ".join(f"{d}: {beyond[d]:.4f}" for d in range(0, len(beyond) - shape[axis] // 3 - 1, 4))
        used = ceil(EFFECTIVE[place] * theory)
        print(f"        {name}, {unit}, sigma beyond a distance of {steps}")
        print(
            f"{'met   ' if beyond[used] < ITERATIVE else 'MISSED'}  {beyond[used]:.4f} sigma beyond {used} {unit}, "
            f"what the halo counts of {theory}; below {ITERATIVE} from {np.argmax(beyond < ITERATIVE)} on",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="default: unet3d-small and unet3d-base")
    parser.add_argument("--only", choices=["speed", "memory", "halo"])
    parser.add_argument("--quick", action="store_true", help="small cubes, short times")
    parser.add_argument("--threads", type=int, default=usable_cores())
    asked = parser.parse_args()
    shape, least = (QUICK, 0.3) if asked.quick else (SHAPE, 2.0)
    shapes = (QUICK,) if asked.quick else (QUICK, (64, 160, 160), (1, 768, 768))
    for name in asked.model or ["unet3d-small", "unet3d-base"]:
        if asked.only in (None, "speed"):
            speed(name, shape, asked.threads, least)
        if asked.only in (None, "memory"):
            memory(name, shapes)
        if asked.only in (None, "halo") and model_of(name).recipe.trained:
            looks(name, 4 if asked.quick else 16, (96, 160, 160))


if __name__ == "__main__":
    sys.exit(main())
