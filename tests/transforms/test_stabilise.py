"""Generalised Anscombe transform on simulated detectors."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.transforms.stabilise import Anscombe

DETECTORS = [(1.0, 0.0, 0.0), (2.5, 100.0, 5.0), (0.5, -3.0, 2.0), (1.0, 0.0, 12.0), (3.0, 10.0, 1e4)]
DRAWS = 400_000


def draw(detector, events, rng, size=DRAWS):
    gain, offset, read_noise = detector
    return gain * rng.poisson(events, size) + rng.normal(offset, read_noise, size)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("events", [0.1, 0.5, 2.0, 10.0, 60.0, 99.0, 130.0, 1e4])
def test_inverse_of_the_mean_is_unbiased(detector, events):
    gain, offset, read_noise = detector
    transform = Anscombe(gain=gain, offset=offset, read_noise=read_noise)
    data = draw(detector, events, np.random.default_rng(7))
    mean = transform.inverse(transform.forward(data).mean(keepdims=True))[0]
    error = gain * np.sqrt((events + (read_noise / gain) ** 2) / DRAWS)
    truth = gain * events + offset
    # five standard errors of this simulation (below one, the output stops at the offset), or 0.3 %
    assert abs(mean - truth) <= 5 * error + 3e-3 * gain * events


def test_algebraic_inverse_would_be_biased():
    transform = Anscombe(gain=1.0)
    data = draw((1.0, 0.0, 0.0), 0.5, np.random.default_rng(8))
    mean = transform.forward(data).mean(keepdims=True)
    algebraic = mean[0] ** 2 / 4 - 3 / 8
    assert abs(algebraic - 0.5) > 10 * abs(transform.inverse(mean)[0] - 0.5)


@pytest.mark.parametrize("detector", DETECTORS)
def test_noise_becomes_one(detector):
    gain, offset, read_noise = detector
    transform = Anscombe(gain=gain, offset=offset, read_noise=read_noise)
    for events in (10.0, 100.0, 3000.0):
        data = draw(detector, events, np.random.default_rng(9))
        assert transform.forward(data).std() == pytest.approx(1.0, abs=0.02)


def test_dtype_nan_and_shape_are_kept():
    transform = Anscombe(gain=2.0, offset=1.0, read_noise=1.0)
    data = np.full((2, 3, 4), 50, np.float32)
    data[0, 0, 0] = np.nan
    there = transform.forward(data)
    back = transform.inverse(there)
    assert there.dtype == back.dtype == np.float32
    assert there.shape == back.shape == data.shape
    assert np.isnan(there[0, 0, 0])
    assert np.isnan(back[0, 0, 0])
    assert np.isnan(transform.forward(np.full((1, 2, 2), np.nan))).all()


def test_inverse_does_not_fall_below_the_offset_and_rises():
    transform = Anscombe(gain=2.0, offset=5.0, read_noise=3.0)
    values = np.linspace(-1, 60, 3000)
    back = transform.inverse(values)
    assert back.min() == 5.0
    assert (np.diff(back) >= 0).all()


def test_negative_mean_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(ParameterError, match="below the offset"):
        Anscombe(gain=1.0).forward(rng.normal(-1, 1, (4, 16, 16)))
    with pytest.raises(ParameterError, match="below the offset"):
        Anscombe(gain=1.0, offset=100.0, read_noise=3.0).forward(rng.normal(90, 3, (4, 16, 16)))
    # an empty frame of the right detector is not refused for the sign of its noise
    for seed in range(20):
        frame = np.random.default_rng(seed).normal(100, 3, (4, 16, 16))
        Anscombe(gain=1.0, offset=100.0, read_noise=3.0).forward(frame)


@pytest.mark.parametrize(
    "wrong",
    [{"gain": 0.0}, {"gain": np.nan}, {"gain": 1.0, "read_noise": -1.0}, {"gain": 1.0, "offset": np.inf}],
)
def test_wrong_detectors_are_refused(wrong):
    with pytest.raises(ParameterError):
        Anscombe(**wrong)
