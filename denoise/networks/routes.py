"""What computes a network: torch in float32, or what is faster on this machine and as good as that.

Every other route is tried once in each process against float32 on the CPU, on a fixed cube of noise and sources: one
whose result is `WORST` sigma or more away is not used. What goes into the sums of the output (gates, gains, correction
and variance) is float32 in torch whatever the rest is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from denoise.errors import ResourceError
from denoise.networks.backend import torch_threads
from denoise.networks.scalespace import BANDS, Array, Grid, noise_numbers
from denoise.networks.unet3d import SUBPIXELS
from denoise.networks.weighing import Shares
from denoise.networks.weights import Model, load_model, model_folder
from denoise.noise import NoiseModel

WORST = 0.02  # sigma: how far a route may be from float32 anywhere in the trial
PART = 1 << 13  # positions whose answers are computed at a time, so that what is between stays in cache
_TRIAL = (16, 48, 48)
_PEAKS = (
    (4.0, 3, 12, 12),
    (12.0, 8, 24, 30),
    (80.0, 11, 36, 16),
)  # sigma, and where, of the sources of the trial

Precision = Literal["float32", "tensorfloat32", "float16", "bfloat16"]

_log = logging.getLogger(__name__)


class Route(Protocol):
    """A network and what computes it.

    Attributes
    ----------
    label : str
        Device, library, precision: for the record.
    floor : float
        Of the network, see ``unet3d.weighed``.
    """

    label: str
    floor: float

    def answer(self, inputs: Array, numbers: Array, *, threads: int) -> Shares:
        """Answer to inputs (channel, y / 2, x / 2, 26) and the numbers of the noise (8,)."""


class TorchRoute:
    """torch on the CPU or a GPU.

    Parameters
    ----------
    model : Model
        Not changed.
    device : str
        "cpu" or "cuda".
    precision : {"float32", "tensorfloat32", "float16", "bfloat16"}
        Of the convolutions; float32 with products of 10 bits, as GPUs have it, or numbers of 16 bits.
    """

    def __init__(self, model: Model, device: str = "cpu", *, precision: Precision = "float32") -> None:
        self.floor = model.recipe.network.floor
        name = f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device
        self.label = f"{name}, torch {torch.__version__} {precision}"
        self._network = deepcopy(model.network).to(device)
        self._device, self._precision = device, precision

    def answer(self, inputs: Array, numbers: Array, *, threads: int) -> Shares:
        """See ``Route``."""
        with torch_threads(torch, threads), torch.inference_mode(), self._same_every_time():
            seen, told = (
                torch.from_numpy(np.ascontiguousarray(part))[None].to(self._device)
                for part in (inputs, numbers)
            )
            half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(self._precision)
            with torch.autocast(self._device, half, enabled=half is not None):
                features = self._network.features(self._network.encode(seen, told))
            return answers(self._network.answer, features, seen, told)

    def _same_every_time(self) -> Any:
        """Same input, same bytes on a GPU too; and float32 that is float32."""
        short = self._precision == "tensorfloat32"
        return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=short)


def answers(answer: Callable[..., Any], features: Tensor, seen: Tensor, told: Tensor) -> Shares:
    """What a network says of every position from its features and inputs, a part at a time."""
    shape = seen.shape[1:4]
    flat, wide = seen.reshape(1, 1, 1, -1, seen.shape[-1]), features.reshape(1, 1, 1, -1, features.shape[-1])
    count = flat.shape[3]
    outs = [torch.empty((count, n), dtype=torch.float32) for n in (BANDS, SUBPIXELS, 1)]
    for first in range(0, count, PART):
        part = slice(first, first + PART)
        found = answer(wide[..., part, :].float(), flat[..., part, :], told)
        for out, one in zip(outs, found, strict=True):
            out[part] = one[0, 0, 0].to(out.device)
    return Shares(*(out.reshape(*shape, -1).numpy() for out in outs))


def route_for(name: str, device: str = "auto", *, exact: bool = False) -> Route:
    """The fastest route of this process that agrees with float32, for a model by its name or folder.

    Exact: float32 in torch, whatever is faster.

    Raises
    ------
    ResourceError
        "cuda", and there is no GPU that torch can use.
    ParameterError, InputError
        See ``weights.load_model``.
    """
    return _route_for(str(model_folder(name).resolve()), where(device), exact)


@cache
def _route_for(folder: str, device: str, exact: bool) -> Route:
    model = load_model(folder)
    return TorchRoute(model, device) if exact else fastest(model, device)


def where(device: str) -> str:
    """Where this process computes: "cpu" or "cuda".

    Raises
    ------
    ResourceError
        "cuda", and there is no GPU that torch can use.
    """
    there = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ResourceError(
            "there is no GPU that torch can use",
            value=f"torch {torch.__version__}",
            action="leave --device out to use the CPU, or see: denoise doctor",
        )
    return "cuda" if there else "cpu"


def fastest(model: Model, device: str) -> Route:
    """The first route that agrees with float32; float32 itself where none does, or where there is no other."""
    plain = TorchRoute(model)
    for make in candidates(device):
        route = make(model)
        error = disagreement(route, plain)
        if error < WORST:
            return route
        _log.debug("%s is not used: %.3f sigma from float32, %g allowed", route.label, error, WORST)
    return plain if device == "cpu" else TorchRoute(model, device)


def candidates(device: str) -> Iterator[Callable[[Model], Route]]:
    """Routes that may be faster than float32 in torch, the fastest first."""
    if device == "cuda":
        for precision in ("bfloat16", "float16", "tensorfloat32"):
            yield partial(TorchRoute, device=device, precision=precision)
        return
    library = find_spec("openvino") is not None
    if library:
        from denoise.networks.openvino import OpenvinoRoute

        # where bfloat16 is only a vector instruction, torch is the faster of the two (benchmarks/bench_unet.py)
        if _supports("_is_amx_tile_supported"):
            yield OpenvinoRoute
    if bfloat16_units():
        yield partial(TorchRoute, device=device, precision="bfloat16")
    if library:
        yield partial(OpenvinoRoute, precision="f32")


def bfloat16_units() -> bool:
    """Whether this CPU multiplies bfloat16 itself; where it does not, torch takes many times as long as in float32."""
    return _supports("_is_amx_tile_supported") or _supports("_is_avx512_bf16_supported")


def _supports(name: str) -> bool:
    """What torch says of this CPU; no where it cannot tell."""
    return bool(getattr(torch.cpu, name, lambda: False)())


def disagreement(route: Route, plain: Route) -> float:
    """Largest difference of the results of two routes on the cube of the trial, in sigma."""
    from denoise.networks.inference import weigh

    white, numbers = trial_cube(), noise_numbers(NoiseModel.white(_TRIAL, 1.0))
    one, other = (
        weigh(each, white, numbers, Grid.of(_TRIAL), both=False)[0].astype(np.float64)
        for each in (route, plain)
    )
    difference = np.abs(one - other)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def trial_cube() -> Array:
    """White noise of sigma 1 with a faint, a middling and a bright source, the same every time."""
    cube = np.random.default_rng(0).standard_normal(_TRIAL, dtype=np.float32)
    axes = np.indices(_TRIAL, dtype=np.float32)
    for peak, *centre in _PEAKS:
        far = sum(
            np.square((axis - at) / width) for axis, at, width in zip(axes, centre, (2, 4, 4), strict=True)
        )
        cube += np.float32(peak) * np.exp(-0.5 * far)
    return cube
