"""Sources that stand in for the engine: a cube whole, or in square tiles with the method's halo."""

import itertools

import numpy as np
import pytest

from denoise.methods.contract import Sample


class Tiled:
    """A cube in spatial tiles of `core` pixels; iterating is a pass over them."""

    def __init__(self, data, noise, denoiser, core):
        self.data, self.noise, self.shape, self.core = data, noise, data.shape, core
        self.halo = denoiser.halo(data.shape, noise)

    def tiles(self):
        for at in itertools.product(*(range(0, n, self.core) for n in self.shape[1:])):
            outer, inner, whole = [slice(None)], [slice(None)], [slice(None)]
            for start, size, reach in zip(at, self.shape[1:], self.halo[1:], strict=True):
                stop = min(size, start + self.core)
                low, high = max(0, start - reach), min(size, stop + reach)
                outer.append(slice(low, high))
                inner.append(slice(start - low, stop - low))
                whole.append(slice(start, stop))
            yield tuple(outer), tuple(inner), tuple(whole)

    def __iter__(self):
        for outer, inner, _ in self.tiles():
            yield Sample(self.data[outer], self.noise.window(outer), inner)

    def tell(self, stage, done, total, seconds_left=None):
        pass

    def denoise(self, denoiser, *, seed=0):
        state = denoiser.fit(self, self.noise, seed=seed)
        data, variance = np.empty(self.shape, np.float32), np.empty(self.shape, np.float32)
        for outer, inner, whole in self.tiles():
            estimate = denoiser.apply(self.data[outer], self.noise.window(outer), state)
            data[whole], variance[whole] = estimate.data[inner], estimate.variance[inner]
        return data, variance


@pytest.fixture
def denoised():
    """Function (denoiser, data, noise, seed=0, core=None) -> (data, variance)."""

    def run(denoiser, data, noise, *, seed=0, core=None):
        return Tiled(data, noise, denoiser, core or max(data.shape)).denoise(denoiser, seed=seed)

    return run


@pytest.fixture
def source():
    """Function (denoiser, data, noise, core=None) -> source of a fit."""

    def make(denoiser, data, noise, *, core=None):
        return Tiled(data, noise, denoiser, core or max(data.shape))

    return make
