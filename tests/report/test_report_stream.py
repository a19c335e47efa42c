"""What is gathered block by block equals what the whole arrays give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from denoise.check import readers
from denoise.check.readers import readers_of
from denoise.noise import NoiseModel
from denoise.report import audit, stream
from denoise.report.scene import observe, representative

from .conftest import BEAM, toy_result


def test_maps_and_spectra_equal_the_direct_sums(result):
    scene = observe(result)
    data, v = result.input.read().astype(float), scene.spectral.values
    channels, sky = result.support.any(axis=(1, 2)), result.support.any(axis=0)
    assert np.allclose(scene.sums.moment0[0], 10.0 * data[channels].sum(axis=0), atol=1e-6)
    assert np.allclose(scene.sums.spectrum[0], data[:, sky].sum(axis=1))
    after = np.where(result.support, result.cube.read(), 0).astype(float)
    with np.errstate(invalid="ignore"):
        direct = (after * v[:, None, None]).sum(axis=0) / after.sum(axis=0)
    assert np.allclose(scene.sums.moment1[1][sky], direct[sky], rtol=1e-5)
    assert np.isnan(scene.sums.moment1[1][~sky]).all()


def test_blocks_do_not_matter(result, monkeypatch):
    whole = observe(result)
    monkeypatch.setattr(stream, "BLOCK_VOXELS", 5000)
    monkeypatch.setattr(readers, "BLOCK_VOXELS", 5000)
    monkeypatch.setattr(stream.tiles, "__kwdefaults__", {"voxels": 5000})
    parts = observe(result)
    result.input.largest = 0
    stream.accumulate(readers_of(result), parts.where, parts.spectral.values, parts.spectral.width)
    assert result.input.largest <= 5000 * 4 // 3
    for name in ("moment0", "moment1", "spectrum", "spectral_acf", "planes"):
        assert np.allclose(
            getattr(whole.sums, name), getattr(parts.sums, name), rtol=1e-4, equal_nan=True, atol=1e-7
        )
    assert whole.sums.inside.count == parts.sums.inside.count
    assert [r.voxels for r in whole.regions] == [r.voxels for r in parts.regions]


def test_binned_maps_are_means(result, monkeypatch):
    full = observe(result).sums
    monkeypatch.setattr(stream, "MAP_PIXELS", 20)
    monkeypatch.setattr(stream.tiles, "__kwdefaults__", {"voxels": 24 * 48 * 7})
    small = observe(result).sums
    assert small.factor == 3
    assert np.allclose(small.moment0[0], full.moment0[0].reshape(16, 3, 16, 3).mean(axis=(1, 3)))


def test_continuum_is_taken_off_both(result):
    plain = readers_of(result)
    level = np.linspace(1, 2, 48)[None, None, :]
    shifted = replace(
        plain,
        before=lambda r: plain.before(r) + level[:, :, r[2]],
        after=lambda r: plain.after(r) + level[:, :, r[2]],
        level=lambda block: np.broadcast_to(level, block.shape),
    )
    part = (slice(4, 9), slice(3, 40), slice(0, 48))
    for got, wanted in zip(shifted.lines(part), plain.lines(part), strict=True):
        assert np.allclose(got, wanted, atol=1e-6)


def test_noise_gives_a_unit_gaussian_and_the_model_acf():
    result = toy_result((40, 96, 96), peak=0.0)
    scene = observe(result)
    assert scene.sums.outside.std == pytest.approx(1, abs=0.02)
    for curve in scene.curves:
        n = min(curve.model.size, curve.measured.size)
        assert np.abs(curve.measured[:n] - curve.model[:n]).max() < 0.03


def test_aperture_correlation_equals_all_pairs():
    rng = np.random.default_rng(0)
    mask = rng.random((9, 7)) > 0.5
    acf = NoiseModel.from_beam((1, 9, 7), 1.0, BEAM).spatial_acf
    ys, xs = np.nonzero(mask)
    h, w = (n // 2 for n in acf.shape)
    dy, dx = ys[:, None] - ys, xs[:, None] - xs
    inside = (abs(dy) <= h) & (abs(dx) <= w)
    total = acf[np.clip(h + dy, 0, 2 * h), np.clip(w + dx, 0, 2 * w)][inside].sum()
    assert stream.aperture_correlation(mask, acf) == pytest.approx(total / mask.sum())


def test_flux_error_is_that_of_noise_draws():
    shape, aperture = (12, 40, 40), np.zeros((40, 40), bool)
    aperture[12:25, 15:30] = True
    noise = replace(NoiseModel.from_beam(shape, 2.0, BEAM), spectral_acf=np.array([1.0, 0.5, 0.1]))
    width = np.ones(12) * 3.0
    spatial = stream.aperture_correlation(aperture, noise.spatial_acf)
    variance = np.full(12, 4.0 * aperture.sum())
    error = audit.flux_error(variance, width, spatial=spatial, spectral_acf=noise.spectral_acf)
    sums = [3.0 * noise.sample(seed=5, draw=i)[:, aperture].sum(dtype=float) for i in range(300)]
    assert np.std(sums) == pytest.approx(error, rel=0.15)  # 300 draws: 4 % error


def test_representative_channels_lie_in_the_emission(result):
    scene = observe(result)
    channels = representative(scene.where)
    assert 4 <= len(channels) <= 6
    assert all(scene.where.channels[c] for c in channels)
