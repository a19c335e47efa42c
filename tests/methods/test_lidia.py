"""The method `lidia` beyond the conformance suite: what it takes off is noise, and channels are their own."""

import numpy as np
import pytest

pytest.importorskip("torch")

from denoise.errors import ParameterError
from denoise.methods.lidia import Lidia
from denoise.networks.lidia_inference import MOST
from denoise.noise import NoiseModel
from denoise.testing import Subject
from denoise.testing.laws import ITERATIVE
from denoise.testing.subject import blob, observation

SHAPE = (1, 32, 30)


def test_no_more_than_noise_is_taken_off_however_bright_a_source_is():
    data = 1000 * blob(SHAPE) + NoiseModel.white(SHAPE, 1.0).sample(seed=2)
    out = Lidia()._denoised(data, np.ones(SHAPE, bool))
    assert np.abs(data - out).max() <= MOST * (1 + 1e-4)


def test_the_flux_of_a_bright_source_is_kept():
    noise = NoiseModel.white(SHAPE, 1.0)
    truth = 300 * blob(SHAPE)
    out = Lidia().apply(truth + noise.sample(seed=6), noise, None).data
    inside = truth > 0.1
    assert out[inside].sum() == pytest.approx(truth[inside].sum(), rel=0.02)


def test_more_than_half_of_the_power_of_white_noise_goes():
    noise = NoiseModel.white(SHAPE, 1.0)
    truth = 20 * blob(SHAPE)
    out = Lidia().apply(truth + noise.sample(seed=3), noise, None).data
    assert np.mean(np.square(out - truth)) < 0.5


def test_patches_come_from_their_own_channel_unless_asked():
    data = NoiseModel.white((3, 9, 12), 1.0).sample(seed=4)
    changed, valid = data.copy(), np.ones(data.shape, bool)
    changed[0] = changed[1] + 0.01
    for neighbours, same in (("channel", True), ("adjacent", False)):
        method = Lidia(neighbours=neighbours)
        one, other = (method._denoised(values, valid)[1] for values in (data, changed))
        assert np.array_equal(one, other) == same


@pytest.mark.parametrize(("shape", "core"), [((1, 40, 170), (1, 40, 60)), ((3, 12, 190), (2, 12, 60))])
def test_tiles_equal_the_whole(shape, core):
    data, _, noise = observation(shape, at=(0.0, shape[1] / 2, core[2] + 1.0))
    subject = Subject("lidia")
    assert subject.make().halo(shape, noise).x + core[2] < shape[2]
    whole, tiled = subject.tiled(data, noise), subject.tiled(data, noise, core=core)
    assert np.abs(tiled - whole).max() < ITERATIVE


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 5), (2, 20, 20)])
def test_images_smaller_than_a_patch_or_a_window(shape):
    noise = NoiseModel.white(shape, 1.0)
    data = noise.sample(seed=5)
    data[0, 0, 0] = np.nan
    out = Lidia().apply(data, noise, None).data
    assert out.shape == shape
    assert np.isfinite(out).all()


def test_a_model_that_is_not_there_is_one_line():
    with pytest.raises(ParameterError, match="there is no such model"):
        _ = Lidia(model="lidia-none").weights
    with pytest.raises(ParameterError, match="is no LIDIA network"):
        Lidia(model="unet3d-small").apply(np.zeros(SHAPE, np.float32), NoiseModel.white(SHAPE, 1.0), None)
