"""The streamed Wiener gain against its equation in NumPy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from denoise.errors import ParameterError
from denoise.transforms import starlet, starlet_reference
from denoise.transforms.wiener import default_windows, wiener, wiener_halo


@pytest.fixture(autouse=True, scope="module")
def strips_even_of_small_cubes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starlet, "FREE_BYTES", 0)
        yield


def expected_output(data, pilot, *, noise, prior, sigma, rule, options):
    bands, model = (starlet_reference.forward(x, **options) for x in (data, pilot))
    spatial, spectral = default_windows(options["spatial_scales"], options["spectral_scales"])
    for j2, j1 in np.ndindex(*bands.shape[:2]):
        box = (2 * spectral[j1] + 1, 2 * spatial[j2] + 1, 2 * spatial[j2] + 1)
        power = ndimage.uniform_filter(model[j2, j1] ** 2, box, mode="mirror") * prior[j2, j1]
        variance = (noise[j2, j1] * sigma) ** 2
        wanted = power if rule == "wiener" else np.maximum(power - variance, 0)
        bands[j2, j1] *= wanted / (power + variance if rule == "wiener" else np.maximum(power, 1e-300))
    return starlet_reference.synthesis(bands, spectral=options["spectral"])


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 40), st.integers(1, 20)),
    spatial=st.integers(0, 3),
    spectral=st.integers(0, 3),
    filters=st.sampled_from(["starlet", "biorthogonal"]),
    rule=st.sampled_from(["wiener", "empirical"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_its_equation(shape, spatial, spectral, filters, rule, seed):
    rng = np.random.default_rng(seed)
    data, pilot = rng.normal(size=(2, *shape))
    pilot[:, : shape[1] // 2] *= 100  # a bright source must not leave its rounding behind
    options = {"spatial_scales": spatial, "spectral_scales": spectral, "spectral": filters}
    noise, prior = rng.uniform(0.3, 2, size=(2, spatial + 1, spectral + 1))
    sigma = rng.uniform(0.5, 2, size=(1, shape[1], 1))
    expected = expected_output(data, pilot, noise=noise, prior=prior, sigma=sigma, rule=rule, options=options)
    for memory in (20.0, 0.01):
        got = wiener(data, pilot, noise=noise, prior=prior, sigma=sigma, rule=rule, memory=memory, **options)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_limits_of_the_gain():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(12, 24, 24)).astype(np.float32)
    options = {"spatial_scales": 2, "spectral_scales": 2}
    np.testing.assert_allclose(wiener(data, 1e8 * data, noise=1.0, **options), data, atol=1e-5)
    np.testing.assert_allclose(wiener(data, 0 * data, noise=1.0, **options), 0, atol=0)
    np.testing.assert_allclose(wiener(data, 0 * data, noise=0.0, **options), data, atol=1e-5)
    np.testing.assert_allclose(wiener(data, data, noise=np.inf, **options), 0, atol=0)


def test_threads_do_not_change_a_byte():
    data = np.random.default_rng(1).normal(size=(2, 17, 60, 41)).astype(np.float32)
    options = {"noise": 0.5, "spatial_scales": 3, "spectral_scales": 2}
    assert wiener(*data, threads=1, **options).tobytes() == wiener(*data, threads=2, **options).tobytes()


def test_output_does_not_look_beyond_the_halo():
    reach = wiener_halo(2, 1)
    rng = np.random.default_rng(2)
    data = rng.normal(size=tuple(2 * h + 5 for h in reach)).astype(np.float32)
    centre = tuple(n // 2 for n in data.shape)
    far = np.full_like(data, 9.0)
    inside = tuple(slice(c - h, c + h + 1) for c, h in zip(centre, reach, strict=True))
    far[inside] = data[inside]
    options = {"noise": 0.5, "spatial_scales": 2, "spectral_scales": 1}
    one, two = wiener(data, data, **options), wiener(far, far, **options)
    assert two[centre] == pytest.approx(one[centre], abs=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "magic"},
        {"noise": -1.0},
        {"prior": np.ones(3)},
        {"spatial_windows": [1]},
        {"spectral_windows": [1, -1]},
        {"pilot": np.ones((4, 8, 7))},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    options = {"pilot": np.ones((4, 8, 8)), "noise": 1.0, "spatial_scales": 1, "spectral_scales": 1} | wrong
    with pytest.raises(ParameterError):
        wiener(np.ones((4, 8, 8)), **options)
