"""Which GPU a worker sees."""

import pytest

from denoise.engine import devices
from denoise.engine.devices import take_device


@pytest.mark.parametrize(
    ("worker", "visible", "installed", "expected"),
    [
        ("0", None, 0, None),
        ("0", None, 2, "0"),
        ("1", None, 2, "1"),
        ("2", None, 2, "0"),  # more workers than GPUs share them
        ("SLURMCluster-5-1", "4,6", 8, "6"),  # the second process of a job to which the queue gave two
        ("SLURMCluster-7", "GPU-ab12", 8, "GPU-ab12"),
        ("tcp://node:worker", None, 2, "0"),
        ("0", "", 2, None),  # hidden by the user
        ("1", "-1", 2, "-1"),
    ],
)
def test_each_worker_sees_one_device(monkeypatch, tmp_path, worker, visible, installed, expected):
    for number in range(installed):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    monkeypatch.setattr(devices, "_INSTALLED", tmp_path)
    before = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    environment = dict(before)
    assert take_device(worker, environment=environment) == expected
    assert environment == (before if expected is None else {"CUDA_VISIBLE_DEVICES": expected})


def test_a_machine_without_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_INSTALLED", tmp_path / "absent")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert take_device("1") is None
