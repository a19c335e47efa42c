"""The fused kernels against the NumPy reference, and the reference against scipy and the algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from denoise.errors import ParameterError
from denoise.transforms import starlet, starlet_reference

SPECTRAL = ("starlet", "biorthogonal")
FLOAT32 = 3e-6  # of the largest value: a few dozen roundings

shapes = st.tuples(st.integers(1, 24), st.integers(1, 20), st.integers(1, 20))
cases = given(
    shape=shapes,
    spatial=st.integers(0, 4),
    spectral=st.integers(0, 4),
    filters=st.sampled_from(SPECTRAL),
    seed=st.integers(0, 2**32 - 1),
)
quick = settings(max_examples=25, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def strips_even_of_small_cubes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starlet, "FREE_BYTES", 0)
        yield


def soft(values, threshold):
    return values - np.clip(values, -threshold, threshold)


def expand(per_band):
    return np.asarray(per_band)[:, :, None, None, None]


def assert_close(fast, slow):
    assert fast.dtype == np.float32
    assert np.abs(fast - slow).max() <= FLOAT32 * max(1.0, np.abs(slow).max())


def test_reference_smoothing_is_scipy_mirror():
    data = np.random.default_rng(0).normal(size=(9, 21, 17))
    taps = np.zeros(17)
    taps[::4] = np.array([1, 4, 6, 4, 1]) / 16
    for axis in range(3):
        expected = ndimage.correlate1d(data, taps, axis=axis, mode="mirror")
        got = starlet_reference.correlate(data, np.array([1, 4, 6, 4, 1]) / 16, axis, 4)
        np.testing.assert_allclose(got, expected, atol=1e-14)


@quick
@cases
def test_reference_reconstructs_and_its_adjoint_is_the_transpose(shape, spatial, spectral, filters, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape)
    bands = starlet_reference.forward(
        data, spatial_scales=spatial, spectral_scales=spectral, spectral=filters
    )
    assert bands.shape == (spatial + 1, spectral + 1, *shape)
    np.testing.assert_allclose(starlet_reference.synthesis(bands, spectral=filters), data, atol=1e-10)
    other = rng.normal(size=bands.shape)
    left = np.vdot(bands, other)
    right = np.vdot(data, starlet_reference.adjoint(other, spectral=filters))
    assert left == pytest.approx(right, abs=1e-10 * bands.size)


@quick
@cases
def test_forward_synthesis_adjoint_equal_the_reference(shape, spatial, spectral, filters, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape).astype(np.float32)
    options = {"spatial_scales": spatial, "spectral_scales": spectral, "spectral": filters}
    bands = starlet.forward(data, **options)
    assert_close(bands, starlet_reference.forward(data.astype(float), **options))
    assert_close(starlet.synthesis(bands, spectral=filters), data)
    other = rng.normal(size=bands.shape).astype(np.float32)
    expected = starlet_reference.adjoint(other.astype(float), spectral=filters)
    assert_close(starlet.adjoint(other, spectral=filters), expected)


@quick
@cases
def test_fused_soft_equals_the_reference(shape, spatial, spectral, filters, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape).astype(np.float32)
    options = {"spatial_scales": spatial, "spectral_scales": spectral, "spectral": filters}
    level = rng.uniform(0, 0.6, size=(spatial + 1, spectral + 1))
    sigma = rng.uniform(0.5, 2, size=tuple(rng.choice([1, n]) for n in shape))
    bands = starlet_reference.forward(data.astype(float), **options)
    expected = starlet_reference.synthesis(soft(bands, expand(level) * sigma), spectral=filters)
    for memory in (10.0, 0.01):
        assert_close(starlet.fused(data, level=level, sigma=sigma, memory=memory, **options), expected)


def hard(v, t):
    return np.where(np.abs(v) > t, v, 0)


def garrote(v, t):
    return np.where(np.abs(v) > t, v - t**2 / v, 0)


def firm(v, t):
    size = np.abs(v)
    return np.where(size <= t, 0, np.sign(v) * np.minimum(size, (size - t) * 3 / 2))


@pytest.mark.parametrize("filters", SPECTRAL)
@pytest.mark.parametrize(
    ("operation", "rule"),
    [("hard", hard), ("garrote", garrote), ("firm", firm), ("linear", lambda v, t: t * v)],
)
def test_other_rules_equal_their_equations(operation, rule, filters):
    rng = np.random.default_rng(1)
    data = rng.normal(size=(20, 30, 26)).astype(np.float32)
    options = {"spatial_scales": 3, "spectral_scales": 2, "spectral": filters}
    level = rng.uniform(0.05, 0.5, size=(4, 3))
    # from the float32 bands: a hard threshold is not continuous
    changed = rule(starlet.forward(data, **options), expand(level).astype(np.float32))
    got = starlet.fused(data, level=level, operation=operation, shape=3.0, **options)
    assert_close(got, starlet_reference.synthesis(changed, spectral=filters))


@pytest.mark.parametrize("filters", SPECTRAL)
def test_reweighted_equals_its_equation(filters):
    rng = np.random.default_rng(2)
    data, before = (rng.normal(size=(20, 30, 26)) for _ in range(2))
    options = {"spatial_scales": 3, "spectral_scales": 2, "spectral": filters}
    level, old = rng.uniform(0.1, 0.5, size=(2, 4, 3))
    bands, previous = (np.asarray(starlet_reference.forward(x, **options)) for x in (data, before))
    size = np.abs(previous)
    threshold = np.where(size > expand(old), expand(level) * expand(old) / (size + 1e-33), expand(level))
    expected = starlet_reference.synthesis(soft(bands, threshold), spectral=filters)
    got = starlet.fused(
        data, level=level, previous=before, previous_level=old, operation="reweighted", memory=0.01, **options
    )
    assert_close(got, expected)


@pytest.mark.parametrize("filters", SPECTRAL)
def test_threads_do_not_change_a_byte(filters):
    data = np.random.default_rng(3).normal(size=(23, 70, 61)).astype(np.float32)
    options = {"spatial_scales": 3, "spectral_scales": 3, "spectral": filters}
    outputs = [starlet.fused(data, level=0.3, threads=n, **options).tobytes() for n in (1, 2, 3)]
    assert outputs[0] == outputs[1] == outputs[2]
    assert starlet.forward(data, threads=2, **options).tobytes() == starlet.forward(data, **options).tobytes()


def test_zero_keeps_and_infinity_removes_a_band():
    data = np.random.default_rng(4).normal(size=(16, 32, 32)).astype(np.float32)
    options = {"spatial_scales": 2, "spectral_scales": 2}
    assert_close(starlet.fused(data, level=0.0, **options), data)
    level = np.zeros((3, 3))
    level[0, 0] = np.inf
    expected = data - starlet_reference.forward(data, **options)[0, 0]
    assert_close(starlet.fused(data, level=level, **options), expected)


def test_scaling_by_powers_of_two_is_exact_and_input_untouched():
    data = np.random.default_rng(5).normal(size=(16, 32, 32)).astype(np.float32)
    kept = data.copy()
    data.flags.writeable = False
    options = {"spatial_scales": 3, "spectral_scales": 2}
    one = starlet.fused(data, level=0.5, **options)
    small = starlet.fused(data * np.float32(2.0**-40), level=0.5, sigma=2.0**-40, **options)
    assert np.array_equal(small * np.float32(2.0**40), one)
    assert np.array_equal(data, kept)


def test_nan_spreads_and_does_not_vanish():
    data = np.zeros((8, 32, 32), np.float32)
    data[4, 16, 16] = np.nan
    for operation in ("soft", "hard", "garrote", "firm", "linear"):
        out = starlet.fused(data, level=1.0, operation=operation, spatial_scales=2, spectral_scales=1)
        assert np.isnan(out[4, 16, 16])
        assert np.isfinite(out[0, 0, 0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "median"},
        {"spectral": "haar"},
        {"level": np.ones((2, 2))},
        {"level": -1.0},
        {"level": np.nan},
        {"sigma": np.ones((3, 1, 1))},
        {"shape": 1.0},
        {"spatial_scales": -1},
        {"operation": "reweighted"},
        {"previous": np.ones((4, 8, 8))},
        {"operation": "reweighted", "previous": np.ones((4, 8, 7))},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    options = {"level": 1.0, "spatial_scales": 2, "spectral_scales": 1} | wrong
    with pytest.raises(ParameterError):
        starlet.fused(np.ones((4, 8, 8)), **options)


def test_not_a_cube_is_refused():
    with pytest.raises(ParameterError, match="3D"):
        starlet.forward(np.ones((4, 8)), spatial_scales=1, spectral_scales=1)
    with pytest.raises(ParameterError, match="non-empty"):
        starlet.forward(np.ones((0, 4, 8)), spatial_scales=1, spectral_scales=1)
