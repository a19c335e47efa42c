"""What computes a network: only what agrees with float32, in parts or whole, on the device that was asked for."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.errors import ResourceError  # noqa: E402
from denoise.networks import routes  # noqa: E402
from denoise.networks.routes import WORST, TorchRoute, disagreement, fastest, route_for, where  # noqa: E402
from denoise.networks.scalespace import INPUTS, NUMBERS  # noqa: E402


def inputs(shape=(4, 8, 12)):
    rng = np.random.default_rng(1)
    return rng.normal(size=(*shape, INPUTS)).astype(np.float32), rng.normal(size=NUMBERS).astype(np.float32)


class Off(TorchRoute):
    """A route whose correction is a little wrong."""

    by = 0.0

    def answer(self, inputs, numbers, *, threads):
        found = super().answer(inputs, numbers, threads=threads)
        return found._replace(correction=found.correction + np.float32(self.by))


class TooFar(Off):
    by = 1.5 * WORST


class Near(Off):
    by = 0.5 * WORST


class Broken(Off):
    by = float("nan")


@pytest.mark.parametrize(("first", "used"), [(Near, Near), (TooFar, TorchRoute), (Broken, TorchRoute)])
def test_a_route_is_used_only_if_it_agrees_with_float32(monkeypatch, caplog, tiny_model, first, used):
    monkeypatch.setattr(routes, "candidates", lambda device: iter([first]))
    with caplog.at_level(logging.DEBUG, "denoise.networks"):
        assert type(fastest(tiny_model, "cpu")) is used
    assert [record.getMessage().count("is not used") for record in caplog.records] == [1] * (
        used is not first
    )


def test_the_fastest_that_agrees_is_the_first(monkeypatch, tiny_model):
    monkeypatch.setattr(routes, "candidates", lambda device: iter([TooFar, Near, TorchRoute]))
    assert type(fastest(tiny_model, "cpu")) is Near


def test_a_disagreement_is_that_of_the_result(tiny_model):
    assert disagreement(Near(tiny_model), TorchRoute(tiny_model)) == pytest.approx(0.01, abs=1e-4)


def test_bfloat16_keeps_what_is_summed_in_float32(tiny_model):
    half = TorchRoute(tiny_model, precision="bfloat16")
    assert half.label.startswith("cpu, torch ")
    assert half.label.endswith("bfloat16")
    one, other = (route.answer(*inputs(), threads=1) for route in (half, TorchRoute(tiny_model)))
    assert one.gains.dtype == one.correction.dtype == np.float32
    difference = np.abs(one.correction - other.correction) / np.abs(other.correction).max()
    assert 0 < difference.max() < 0.02


def test_answers_in_parts_are_those_of_the_whole(monkeypatch, tiny_model):
    whole = TorchRoute(tiny_model).answer(*inputs(), threads=1)
    monkeypatch.setattr(routes, "PART", 37)
    parts = TorchRoute(tiny_model).answer(*inputs(), threads=1)
    assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(whole, parts, strict=True))


def test_on_a_gpu_the_precisions_are_tried_from_the_fastest(monkeypatch, tiny_model):
    tried = []

    class Fake(TorchRoute):
        def __init__(self, model, device="cpu", *, precision="float32"):
            super().__init__(model)
            tried.append((device, precision))
            self.by = 1.0 if precision in ("bfloat16", "float16") else 0.0

        def answer(self, inputs, numbers, *, threads):
            found = super().answer(inputs, numbers, threads=threads)
            return found._replace(correction=found.correction + np.float32(self.by))

    monkeypatch.setattr(routes, "TorchRoute", Fake)
    fastest(tiny_model, "cuda")
    assert tried == [("cpu", "float32"), ("cuda", "bfloat16"), ("cuda", "float16"), ("cuda", "tensorfloat32")]


@pytest.mark.parametrize(
    ("units", "order"),
    [
        ({"_is_amx_tile_supported", "_is_avx512_bf16_supported"}, ["openvino", "bfloat16", "openvino f32"]),
        ({"_is_avx512_bf16_supported"}, ["bfloat16", "openvino f32"]),
        (set(), ["openvino f32"]),
    ],
)
def test_openvino_comes_first_where_there_are_matrix_units(monkeypatch, tiny_model, units, order):
    def made(model, *, precision=None):
        return f"openvino {precision or ''}".strip()

    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in units)
    monkeypatch.setattr(routes, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "denoise.networks.openvino", SimpleNamespace(OpenvinoRoute=made))
    monkeypatch.setattr(routes, "TorchRoute", lambda model, device, *, precision: precision)
    assert [make(tiny_model) for make in routes.candidates("cpu")] == order


def test_float32_is_not_replaced_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(routes, "fastest", lambda model, device: pytest.fail("looked for another"))
    assert route_for("unet3d-small", "cpu", exact=True).label.endswith("float32")


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_where_it_computes(monkeypatch, asked, there, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert where(asked) == found


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ResourceError, match=r"there is no GPU that torch can use \(found: torch .*\); leave --device out"
    ):
        where("cuda")


@pytest.mark.parametrize("shape", [(4, 8, 12), (1, 8, 12), (8, 16, 8)])
def test_openvino_gives_the_features_of_torch(tiny_model, shape):
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    from denoise.networks.openvino import OpenvinoRoute

    found = OpenvinoRoute(tiny_model)
    assert found.label.startswith("cpu, openvino ")
    one, other = (route.answer(*inputs(shape), threads=1) for route in (found, TorchRoute(tiny_model)))
    for a, b in zip(one, other, strict=True):
        assert np.allclose(a, b, atol=1e-3 if found.label.endswith("float32") else 5e-2)
