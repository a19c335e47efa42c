"""A trained network by OpenVINO, where that is installed: the same layers, built by hand for its CPU plug-in.

Arrays are (feature, channel, y, x) inside, which is what the plug-in's convolutions take; it chooses layouts and, on
CPUs with bfloat16 units, the precision itself. Shapes are free: one compilation serves every tile.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import torch

from denoise.networks.backend import torch_threads
from denoise.networks.routes import answers
from denoise.networks.scalespace import INPUTS, NUMBERS, Array
from denoise.networks.unet3d import SLOPE, ScaleSpaceUNet
from denoise.networks.weighing import Shares
from denoise.networks.weights import Model

_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class OpenvinoRoute:
    """Convolutions by OpenVINO on the CPU, the answer at every position by torch in float32.

    Parameters
    ----------
    model : Model
        Not changed.
    precision : {"f32", "bf16"}, optional
        Of the convolutions; None: what OpenVINO takes on this CPU.
    """

    def __init__(self, model: Model, *, precision: str | None = None) -> None:
        self._precision = precision
        self.floor = model.recipe.network.floor
        self._network = model.network
        self._compiled: dict[tuple[bool, int], Any] = {}
        found = self._on(image=False, threads=1).get_property("INFERENCE_PRECISION_HINT").to_string()
        release = importlib.metadata.version("openvino")
        self.label = f"cpu, openvino {release} {_NAMES.get(found, found)}"

    def answer(self, inputs: Array, numbers: Array, *, threads: int) -> Shares:
        """See ``routes.Route``."""
        inputs = np.ascontiguousarray(inputs)
        request = self._on(image=len(inputs) == 1, threads=threads).create_infer_request()
        features = torch.from_numpy(request.infer({0: inputs, 1: numbers[None]}, share_inputs=True)[0])
        seen, told = (torch.from_numpy(part)[None] for part in (inputs, numbers))
        with torch_threads(torch, threads), torch.inference_mode():
            return answers(self._network.answer, features, seen, told)

    def _on(self, *, image: bool, threads: int) -> Any:
        """Compiled for images or cubes, and for so many threads."""
        key = image, threads
        if key not in self._compiled:
            import openvino

            built = build(self._network, image=image)
            asked = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            if self._precision is not None:
                asked["INFERENCE_PRECISION_HINT"] = self._precision
            self._compiled[key] = openvino.Core().compile_model(built, "CPU", asked)
        return self._compiled[key]


def build(network: ScaleSpaceUNet, *, image: bool) -> Any:
    """``encode`` and ``features`` of the network as an ``openvino.Model``.

    Inputs (channel, y, x, 26) and the numbers (1, 8), output (1, channel, y, x, feature); of `image`, poolings leave
    the only channel alone.
    """
    import openvino
    from openvino import opset13 as op

    layers = _Layers(op, image)
    seen, told = op.parameter([-1, -1, -1, INPUTS], np.float32), op.parameter([1, NUMBERS], np.float32)
    column = op.reshape(told, np.array([1, NUMBERS, 1, 1, 1]), False)
    x, levels = op.unsqueeze(op.transpose(seen, np.array([3, 0, 1, 2])), np.array([0])), []
    for level, stage in enumerate(network.down):
        x = (
            layers.point(network.narrow[level - 1], layers.pooled(x))
            if level
            else layers.plane(network.stem, x)
        )
        x = layers.stage(stage, op.add(x, layers.point(network.told[level], column)))
        levels.append(x)
    for level in range(len(levels) - 2, -1, -1):
        larger = layers.repeated(layers.point(network.wide[level], x))
        x = layers.stage(network.up[level], op.add(levels[level], larger))
    out = op.transpose(x, np.array([0, 2, 3, 4, 1]))
    return openvino.Model([op.result(out)], [seen, told], "unet")


class _Layers:
    """Layers of the network in the operations of OpenVINO."""

    def __init__(self, op: Any, image: bool) -> None:
        self._op = op
        self._cell = (1 if image else 2, 2, 2)

    def plane(self, layer: Any, x: Any) -> Any:
        return self._convolved(x, layer.conv.weight[:, :, None], layer.conv.bias, [0, 1, 1])

    def line(self, layer: Any, x: Any) -> Any:
        return self._convolved(x, layer.conv.weight[..., None], layer.conv.bias, [1, 0, 0])

    def point(self, layer: Any, x: Any) -> Any:
        return self._convolved(x, layer.weight[:, :, None, None, None], layer.bias, [0, 0, 0])

    def stage(self, stage: Any, x: Any) -> Any:
        for block in stage:
            y = self.line(block.line, self._bent(self.plane(block.plane, self._bent(x))))
            x = self._op.add(y, x)
        return x

    def pooled(self, x: Any) -> Any:
        cell, none = list(self._cell), [0, 0, 0]
        return self._op.avg_pool(x, cell, none, none, cell, True)

    def repeated(self, x: Any) -> Any:
        sizes, axes = np.array(self._cell, np.float32), np.array([2, 3, 4])
        return self._op.interpolate(
            x,
            sizes,
            "nearest",
            "scales",
            axes=axes,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def _bent(self, x: Any) -> Any:
        return self._op.prelu(x, np.array([SLOPE], np.float32))

    def _convolved(self, x: Any, weight: Any, bias: Any, around: list[int]) -> Any:
        values = np.ascontiguousarray(weight.detach().cpu().numpy(), np.float32)
        y = self._op.convolution(x, values, [1, 1, 1], around, around, [1, 1, 1])
        return self._op.add(y, bias.detach().cpu().numpy().astype(np.float32).reshape(1, -1, 1, 1, 1))
