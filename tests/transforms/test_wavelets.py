"""Filters, scale counts, halos, and the noise of each band from its impulse response."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.noise import NoiseModel
from denoise.transforms import starlet, starlet_reference
from denoise.transforms.smoothing import scaling_cubes
from denoise.transforms.wavelets import (
    band_kernels,
    default_scales,
    halo,
    mirror_index,
    reference_scales,
    smoothing_kernels,
    wavelet,
)

SPECTRAL = ("starlet", "biorthogonal")


@pytest.mark.parametrize("name", SPECTRAL)
def test_filters_reconstruct_at_every_frequency(name):
    bank = wavelet(name)
    phase = np.linspace(0, np.pi, 50)

    def response(taps):
        reach = len(taps) // 2
        return np.cos(np.outer(phase, np.arange(-reach, reach + 1))) @ taps

    total = response(bank.low) * response(bank.dual_low) + response(bank.high) * response(bank.dual_high)
    np.testing.assert_allclose(total, 1, atol=1e-10)
    assert bank.low.sum() == pytest.approx(1)
    assert bank.high.sum() == pytest.approx(0, abs=1e-10)


def test_unknown_wavelet_names_the_known_ones():
    with pytest.raises(ParameterError, match="starlet, biorthogonal"):
        wavelet("haar")


def test_mirror_repeats_the_reflection():
    assert mirror_index(np.arange(-7, 8), 3).tolist() == [1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirror_index(np.arange(-3, 4), 1).tolist() == [0] * 7


@pytest.mark.parametrize("name", SPECTRAL)
def test_band_kernels_are_the_impulse_responses(name):
    delta = np.zeros((61, 41, 41))
    delta[30, 20, 20] = 1
    bands = starlet_reference.forward(delta, spatial_scales=3, spectral_scales=2, spectral=name)
    spatial, spectral = band_kernels(3, 2, spectral=name)
    for j2, plane in enumerate(spatial):
        for j1, line in enumerate(spectral):
            kernel = line[:, None, None] * plane
            z, y, x = (n // 2 for n in kernel.shape)
            cut = bands[j2, j1, 30 - z : 31 + z, 20 - y : 21 + y, 20 - x : 21 + x]
            np.testing.assert_allclose(cut, kernel, atol=1e-12)
            assert np.abs(bands[j2, j1]).sum() == pytest.approx(np.abs(kernel).sum())


def test_smoothing_kernels_are_the_impulse_responses():
    delta = np.zeros((41, 41, 41), np.float32)
    delta[20, 20, 20] = 1
    spatial, spectral = smoothing_kernels(2, 2)
    for (j2, j1), cube in scaling_cubes(delta, spatial_scales=2, spectral_scales=2):
        kernel = spectral[j1][:, None, None] * spatial[j2]
        z, y, x = (n // 2 for n in kernel.shape)
        cut = cube[20 - z : 21 + z, 20 - y : 21 + y, 20 - x : 21 + x]
        np.testing.assert_allclose(cut, kernel, atol=1e-7)


def test_noise_model_predicts_the_noise_of_every_band():
    noise = NoiseModel.from_beam((72, 160, 160), 2.0, beam_pixels=(4.5, 3.5, 30.0))
    draw = noise.sample(seed=1) / 2.0
    bands = starlet.forward(draw, spatial_scales=3, spectral_scales=2, threads=2)
    # mirrored borders repeat the noise, which the stationary prediction does not know
    inside = bands[:, :, 6:-6, 14:-14, 14:-14]
    spatial, spectral = band_kernels(3, 2)
    for j2, plane in enumerate(spatial):
        for j1, line in enumerate(spectral):
            expected = noise.filtered_sigma(plane, line)
            patch = max(20, 4**j2 * 20) * 2**j1  # voxels of one independent value: beam, or kernel
            tolerance = max(0.01, 4 / np.sqrt(2 * inside[0, 0].size / patch))
            assert np.sqrt(np.mean(inside[j2, j1] ** 2)) == pytest.approx(expected, rel=tolerance)


def test_scale_counts_fit_the_axes():
    assert default_scales((40, 96, 96)) == (5, 4)
    assert default_scales((3681, 300, 300)) == (5, 4)
    assert default_scales((1, 512, 512)) == (5, 0)
    assert default_scales((1, 1, 1)) == (0, 0)
    assert default_scales((8, 6, 1800))[0] <= 1
    assert reference_scales((40, 96, 96)) == (6, 5)


@pytest.mark.parametrize("name", SPECTRAL)
def test_output_does_not_look_beyond_the_halo(name):
    channel, y, x = halo(2, 2, spectral=name)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2 * channel + 9, 2 * y + 9, 2 * x + 9)).astype(np.float32)
    options = {"level": 0.4, "spatial_scales": 2, "spectral_scales": 2, "spectral": name}
    whole = starlet.fused(data, **options)
    near, far = data.copy(), data.copy()
    centre = tuple(n // 2 for n in data.shape)
    inside = tuple(slice(c - h, c + h + 1) for c, h in zip(centre, (channel, y, x), strict=True))
    far[...] = 5.0
    far[inside] = near[inside]
    assert starlet.fused(far, **options)[centre] == pytest.approx(whole[centre], abs=1e-5)
    assert (channel, y, x) == ((6, 6, 6) if name == "starlet" else (24, 6, 6))
