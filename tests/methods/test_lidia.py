"""The method `lidia` beyond the conformance suite: what it takes off is noise, and channels are their own."""

import numpy as np
import pytest

pytest.importorskip("torch")

from denoise.errors import ParameterError
from denoise.methods.lidia import MOST, Lidia
from denoise.noise import NoiseModel
from denoise.testing.subject import blob

SHAPE = (1, 32, 30)


def test_no_more_than_noise_is_taken_off():
    noise = NoiseModel.white(SHAPE, 2.0)
    data = 2000 * blob(SHAPE) + noise.sample(seed=2)
    out = Lidia().apply(data, noise, None).data
    assert np.abs(data - out).max() <= 2.0 * MOST * (1 + 1e-5)


def test_more_than_half_of_the_power_of_white_noise_goes():
    noise = NoiseModel.white(SHAPE, 1.0)
    truth = 20 * blob(SHAPE)
    out = Lidia().apply(truth + noise.sample(seed=3), noise, None).data
    assert np.mean(np.square(out - truth)) < 0.5


def test_channels_are_their_own_unless_asked():
    noise = NoiseModel.white((3, 9, 12), 1.0)
    data = noise.sample(seed=4)
    changed = data.copy()
    changed[0] += 5
    for neighbours, same in (("channel", True), ("adjacent", False)):
        method = Lidia(neighbours=neighbours)
        one, other = (method.apply(values, noise, None).data[1] for values in (data, changed))
        assert np.array_equal(one, other) == same
        assert method.halo(data.shape, noise).channel == (0 if same else 1)


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
