"""The audit warns of what was done to the data, and keeps quiet about noise."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.check.regions.matched import matched_snr
from denoise.noise import NoiseModel
from denoise.report import audit
from denoise.report.scene import observe

from .conftest import BEAM, toy_result

SHAPE = (30, 64, 64)


def titles(scene, level="warning"):
    return [f.title for f in scene.findings if f.level == level]


def test_a_perfect_result_raises_no_warning():
    warned = [titles(observe(toy_result(SHAPE, seed=s))) for s in range(12)]
    assert sum(map(bool, warned)) <= 1, warned


def test_emission_left_behind_is_found():
    scene = observe(toy_result(SHAPE, peak=12, kept=0.5))
    assert "Emission left in the residual" in titles(scene)
    assert "Flux changed" in titles(scene)


def test_flux_added_is_found():
    scene = observe(toy_result(SHAPE, peak=12, kept=1.4))
    assert "Flux changed" in titles(scene)
    assert scene.flux.percent > 25


def test_noise_that_stays_is_said():
    result = toy_result(SHAPE, peak=0.0)
    result.cube._data = (0.5 * result.input.read()).astype(np.float32)
    scene = observe(result)
    assert "Some noise stays" in titles(scene, "note")
    assert scene.sums.outside.std == pytest.approx(0.5, abs=0.02)


def test_extended_emission_in_the_residual_is_not_white():
    result = toy_result(SHAPE, peak=0.0)
    ramp = 1e-3 * np.sin(np.arange(64) / 64 * 2 * np.pi)[None, None, :].astype(np.float32)
    result.input._data += ramp
    result.support[:] = False
    assert any("not the noise along x" in t for t in titles(observe(result)))


def test_invented_structure_is_found_and_the_source_is_not():
    y, x = np.mgrid[:64, :64]
    blob = np.exp(-((y - 10) ** 2 + (x - 50) ** 2) / (2 * 2.2**2))
    flagged = []
    for seed in range(8):
        result = toy_result(SHAPE, seed=seed)
        result.cube._data[5:7] += (2e-3 * blob).astype(np.float32)
        flagged.append([r.at for r in observe(result).unmatched])
    exact = [f for f in flagged if len(f) == 1 and f[0][0] in (5, 6) and f[0][1:] == (10, 50)]
    assert len(exact) >= 7, flagged


def test_invented_hole_is_found():
    result = toy_result(SHAPE, seed=3)
    result.cube._data[20, 8:13, 8:13] -= 3e-3
    assert any(r.at[0] == 20 and r.peak < 0 for r in observe(result).unmatched)


def test_matched_snr_of_noise_has_unit_spread():
    noise = NoiseModel.from_beam((6, 24, 24), 3.0, BEAM)
    rng = np.random.default_rng(1)
    profile = np.where(rng.random((6, 24, 24)) > 0.6, rng.random((6, 24, 24)), 0.0)
    values = [matched_snr(profile, noise.sample(seed=2, draw=i), noise) for i in range(400)]
    assert np.std(values) == pytest.approx(1, abs=0.12)  # 400 draws: 0.035
    assert abs(np.mean(values)) < 0.2


def test_matched_snr_of_white_noise_is_the_optimal_filter():
    noise = NoiseModel.white((1, 5, 5), 2.0)
    profile = np.arange(25.0).reshape(1, 5, 5)
    wanted = np.sqrt((profile**2).sum()) / 2
    assert matched_snr(profile, profile, noise) == pytest.approx(wanted)


def test_excess_reports_the_largest_difference():
    measured, expected = np.array([1, 0.9, 0.6, 0.4]), np.array([1, 0.9])
    got = audit.excess(measured, expected)
    assert (got.lag, got.expected, got.significant) == (2, 0.0, True)
    assert not audit.excess(measured, expected, np.full(4, 0.5)).significant
    assert audit.excess(np.array([1, np.nan]), np.ones(2)).lag == 0


def test_acf_error_is_that_of_noise_draws():
    noise = NoiseModel.from_beam((4, 48, 48), 1.0, BEAM)
    scenes = [toy_result((4, 48, 48), peak=0.0, seed=s) for s in range(25)]
    curves = [observe(s).curves[0] for s in scenes]
    assert noise.spatial_acf.shape == scenes[0].noise.spatial_acf.shape
    spread = np.std([c.measured[10] for c in curves])
    assert 0.5 < curves[0].error[10] / spread < 2


def test_worst_level():
    good, warning = audit.Finding("good", "", ""), audit.Finding("warning", "", "")
    assert audit.worst([]) == audit.worst([good]) == "good"
    assert audit.worst([good, warning]) == "warning"
