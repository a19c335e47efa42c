"""The audit catches a method that cheats and says so; honest methods are not accused."""

from __future__ import annotations

import numpy as np
import pytest

import denoise
from denoise.cube import Cube
from denoise.noise import NoiseModel
from denoise.report.scene import observe
from denoise.simulate import draw_scene
from denoise.simulate.scenes import render_scene

SHAPE = (24, 56, 56)
BEAM = (4.5, 4.0, 30.0)
CODE = """
import numpy as np
from denoise.methods import Denoiser, Estimate, MethodInfo, get_method


def spot(shape, at, width):
    axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.exp(-0.5 * sum(((a - c) / w) ** 2 for a, c, w in zip(axes, at, width)))


class Zeros(Denoiser):
    info = MethodInfo(name="zeros", summary="Nothing", citation="@misc{zeros}")

    def apply(self, block, noise, state):
        return Estimate(np.zeros_like(block))


class Template(Denoiser):
    info = MethodInfo(name="template", summary="The same galaxy always", citation="@misc{template}")

    def apply(self, block, noise, state):
        galaxy = 6 * noise.typical * spot(block.shape, (12, 14, 40), (3, 3, 5))
        return Estimate(galaxy.astype(np.float32))


class Blob(Denoiser):
    info = MethodInfo(name="blob", summary="One source more", citation="@misc{blob}")

    def apply(self, block, noise, state):
        honest = get_method("ist")(positivity=self.positivity).apply(block, noise, None)
        blob = 3 * noise.typical * spot(block.shape, (5, 44, 12), (1.2, 2.0, 2.0))
        return Estimate((honest.data + blob).astype(np.float32))
"""


@pytest.fixture(scope="module", autouse=True)
def _cheats(offered):
    with offered("cheating_methods", CODE, {name.lower(): name for name in ("Zeros", "Template", "Blob")}):
        yield


def observed(seed, *, peak=8.0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, np.float32)
    if peak:
        scene = draw_scene(rng, "disc", shape=shape, fwhm=4.2)
        truth = np.float32(peak) * render_scene(scene, shape, BEAM, rng=rng)
    noise = NoiseModel.from_beam(shape, 1.0, BEAM).sample(seed=seed)
    return Cube(1e-3 * (truth + noise), beam=BEAM, unit="Jy/beam")


def warned(method, cube, **parameters):
    scene = observe(denoise.denoise(cube, method, **parameters))
    return {one.title: one.text for one in scene.findings if one.level == "warning"}, scene


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_method_that_returns_nothing_is_caught(seed):
    said, scene = warned("zeros", observed(seed))
    assert "the output lacks emission that the input holds" in said["Emission left behind"]
    assert scene.leftover.places[0].share == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_method_that_returns_its_own_galaxy_is_caught(seed):
    said, scene = warned("template", observed(seed))
    assert "does not come from the data" in said["Output not in the data"]
    assert "do not take it for real" in said["Structure only after denoising"]
    assert any(np.abs(np.subtract(p.at, (12, 14, 40))).max() <= 4 for p in scene.leftover.places if p.snr < 0)


def test_the_same_galaxy_is_caught_in_pure_noise():
    said, _ = warned("template", observed(5, peak=0))
    assert {"Output not in the data", "Structure only after denoising"} <= set(said)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_method_that_adds_a_source_is_caught_where_it_is(seed):
    said, scene = warned("blob", observed(seed))
    assert "Structure only after denoising" in said
    assert any(np.abs(np.subtract(r.at, (5, 44, 12))).max() <= 1 for r in scene.unmatched)
    assert len(scene.unmatched) == 1


@pytest.mark.parametrize("peak", [0.0, 6.0, 25.0])
def test_honest_methods_are_not_accused(peak):
    # 22 is left out: it loses a source cut by the corner of the field, and the audit says so
    accused = [warned("ist", observed(seed, peak=peak))[0] for seed in (20, 21, 23, 24)]
    assert not any(accused), accused


def test_noise_has_the_power_of_its_model_at_every_scale():
    scene = warned("ist", observed(31, peak=0))[1]
    titles = {one.title: one.level for one in scene.findings}
    assert titles["Power of the noise at every scale"] == "good"
    assert titles["No place with signal in the residual"] == "good"


def test_power_that_is_left_is_said_with_its_scale():
    cube = observed(32, peak=0)
    wave = np.sin(np.arange(56) / 56 * 8 * np.pi)[None, None, :] * 0.7e-3
    said, _ = warned("zeros", Cube(cube.read() + wave, beam=BEAM, unit="Jy/beam", noise=np.full(SHAPE, 1e-3)))
    assert "times the power of the noise model" in said["Residual holds more than noise at some scales"]
