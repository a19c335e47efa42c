"""Tiles cover the cube once, fit the budget, and say what they cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import denoise
from denoise.cube import Cube
from denoise.engine.plan import choose_core, make_plan, make_tiles, readable_bytes
from denoise.errors import ResourceError
from denoise.methods import get_method
from denoise.noise import NoiseModel
from denoise.testing.laws import ITERATIVE, ONE_PASS
from denoise.testing.subject import observation

MB = 1_000_000


class Sparse:
    """A cube that holds nothing and counts what is read."""

    dtype = np.dtype(np.float32)

    def __init__(self, shape):
        self.shape = shape

    def read(self, region):
        return np.zeros([s.stop - s.start for s in region], np.float32)


def plan_for(shape, budget, method="ist", **parameters):
    noise = NoiseModel.from_beam(shape, 1.0, (4.0, 4.0, 0.0))
    denoiser = get_method(method)(**parameters)
    return make_plan(Cube(Sparse(shape)), denoiser, noise, budget, conditioned=False)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 70)] * 3),
    core=st.tuples(*[st.integers(1, 70)] * 3),
    halo=st.tuples(*[st.integers(0, 20)] * 3),
)
def test_cores_cover_every_voxel_once_and_outer_regions_hold_the_halo(shape, core, halo):
    counted = np.zeros(shape, np.int64)
    for tile in make_tiles(shape, core, halo):
        counted[tile.core] += 1
        view = np.zeros(shape, np.int64)[tile.outer]
        assert view.shape == tile.outer_shape
        for inner, inside, reach, outside, n in zip(
            tile.inner, tile.core, halo, tile.outer, shape, strict=True
        ):
            assert outside.start + inner.start == inside.start
            assert outside.start == max(0, inside.start - reach)
            assert outside.stop == min(n, inside.stop + reach)
            assert inner.stop - inner.start == inside.stop - inside.start
    assert (counted == 1).all()


@pytest.mark.parametrize(
    ("shape", "budget", "layout"),
    [
        ((40, 96, 96), 200 * MB, "whole"),
        ((128, 512, 512), 1700 * MB, "row strips"),
        ((64, 480, 480), 192 * MB, None),
        ((16384, 64, 64), 256 * MB, "spectral blocks"),
        ((32, 4096, 4096), 256 * MB, None),
        ((1, 6000, 6000), 128 * MB, None),
        ((4000, 300, 300), 2000 * MB, None),
        ((2048, 4096, 3000), 2000 * MB, None),
    ],
)
@pytest.mark.parametrize("method", ["ist", "smooth"])
def test_large_cubes_run_in_small_budgets(shape, budget, layout, method):
    plan = plan_for(shape, budget, method)
    assert plan.peak_memory <= budget
    if layout and method == "ist":
        assert plan.layout == layout
    assert sum(np.prod([s.stop - s.start for s in tile.core]) for tile in plan.tiles) == np.prod(shape)


def test_an_axis_that_is_needed_whole_is_never_cut():
    plan = plan_for((300, 400, 400), 1500 * MB, "pca")
    assert all(tile.core[0] == slice(0, 300) for tile in plan.tiles)
    assert plan.halo[0] == 300


def test_too_little_memory_is_said_in_numbers():
    with pytest.raises(ResourceError) as caught:
        plan_for((300, 400, 400), 64 * MB, preset="reference")
    message = str(caught.value)
    assert message.startswith("the smallest tile of this 300x400x400 cube needs ")
    assert "MB allowed)" in message
    assert message.endswith("allow more memory or choose a method or parameters with a smaller halo")


def test_the_budget_alone_decides_the_tiles():
    assert plan_for((128, 512, 512), 800 * MB) == plan_for((128, 512, 512), 800 * MB)


def test_choose_core_prefers_whole_then_rows():
    def need(shape):
        return int(np.prod(shape))

    def layout(halo, budget):
        return choose_core((10, 100, 100), halo, need, budget)[1]

    assert layout((0, 2, 2), 10**5) == "whole"
    assert layout((4, 2, 2), 60_000) == "row strips"
    assert layout((4, 9, 9), 12_000) == "spatial tiles"
    assert layout((0, None, None), 50_000) == "spectral blocks"
    assert layout((2, 10, 10), 6_000) == "blocks"


def test_the_core_is_that_which_makes_the_least_work():
    shape, halo, budget = (40, 60, 50), (3, 5, 5), 30_000

    def work(core):
        outer = [min(n, k + 2 * h) for n, k, h in zip(shape, core, halo, strict=True)]
        return np.prod(outer) / np.prod(core) if np.prod(outer) <= budget else np.inf

    best = min(work((c, y, x)) for c in range(1, 41) for y in range(1, 61) for x in range(1, 51))
    core, _ = choose_core(shape, halo, lambda block: int(np.prod(block)), budget)
    # lengths are tried a fifth apart, and a cut row counts a tenth more
    assert work(core) < 1.25 * best


def test_the_plan_in_words():
    words = plan_for((40, 96, 96), 200 * MB).describe()
    assert words["cube (channel, y, x)"] == "40 x 96 x 96"
    assert words["tiles"] == "1 (whole)"
    assert words["peak memory"].endswith("of 200 MB allowed")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2.5e9, "2.5 GB"), (3e15, "3e+03 TB")]
)
def test_bytes_in_words(count, text):
    assert readable_bytes(count) == text


@pytest.mark.parametrize("method", ["smooth", "pca", "ica", "ist"])
@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(200, 400), st.integers(2, 12)),
    share=st.floats(0.6, 1.0),
)
def test_any_memory_gives_the_result_of_ample_memory(method, shape, share):
    data, _, noise = observation(shape, at=(shape[0] // 2, shape[1] // 2, shape[2] // 2))
    whole = plan_for(shape, 1 << 40, method).peak_memory
    ample = denoise.denoise(data, method, noise=noise, memory=2 * whole)
    try:
        tight = denoise.denoise(data, method, noise=noise, memory=int(share * whole))
    except ResourceError:
        return  # not even the smallest tile fits, as the error says
    worst = np.abs(tight.cube.data - ample.cube.data).max()
    assert worst < (ONE_PASS if get_method(method).info.linear else ITERATIVE)
