"""ica: separates mixed sources, keeps the subspace of pca, is deterministic, tiles do not matter, scores."""

import os
from pathlib import Path

import numpy as np
import pytest

from denoise.methods import ica
from denoise.methods._components import Basis
from denoise.methods.ica import Ica
from denoise.methods.pca import Pca
from denoise.noise import NoiseModel
from denoise.simulate import simulate_cube


@pytest.fixture(scope="module")
def observed():
    simulation = simulate_cube(5, kind="multi", shape=(20, 110, 110), peak_snr=7.0)
    noise = NoiseModel.from_beam(simulation.noisy.shape, simulation.sigma, simulation.beam_pixels)
    return simulation, noise


def test_unmixes_independent_sources():
    rng = np.random.default_rng(1)
    sources = rng.laplace(size=(3000, 3)) ** 3
    mixed = sources @ rng.standard_normal((3, 3)).T
    found = mixed @ ica.unmixing(mixed, seed=0).T
    match = np.abs(np.corrcoef(found.T, sources.T)[:3, 3:])
    assert (match.max(axis=1) > 0.98).all()
    assert sorted(match.argmax(axis=1)) == [0, 1, 2]


def test_too_few_spaxels_leave_the_components_alone():
    assert np.array_equal(ica.unmixing(np.ones((5, 3)), seed=0), np.eye(3))


def test_rotation_keeps_the_subspace_and_uncorrelated_noise():
    rng = np.random.default_rng(2)
    vectors = np.linalg.qr(rng.standard_normal((10, 3)))[0].astype(np.float32)
    basis = Basis(vectors.T, vectors, np.eye(3), (3, 3), 2, 5.0, 1.0, True)
    turned = ica.rotated(basis, rng.standard_normal((3, 3)))
    np.testing.assert_allclose(turned.analysis @ turned.synthesis, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(turned.synthesis @ turned.analysis, vectors @ vectors.T, atol=1e-5)
    np.testing.assert_allclose(turned.covariance, np.eye(3), atol=1e-12)


def test_has_the_components_of_pca_in_other_coordinates(observed, source):
    simulation, noise = observed
    ours, principal = (
        method.fit(source(method, simulation.noisy, noise), noise, seed=0)
        for method in (Ica(positivity=True), Pca(positivity=True))
    )
    assert ours.size == principal.size > 1
    np.testing.assert_allclose(
        ours.synthesis @ ours.analysis, principal.synthesis @ principal.analysis, atol=1e-5
    )
    assert not np.allclose(ours.analysis, principal.analysis, atol=1e-2)


def test_tiles_do_not_matter(observed, denoised):
    simulation, noise = observed
    whole, tiled = (
        denoised(Ica(positivity=True), simulation.noisy, noise, core=core)[0] for core in (None, 40)
    )
    assert np.abs(whole - tiled).max() < 1e-5 * simulation.sigma


def test_the_seed_fixes_the_bytes(observed, denoised):
    simulation, noise = observed
    first, second = (denoised(Ica(), simulation.noisy, noise, seed=3)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_subsample_depends_on_place_alone(observed, source, monkeypatch):
    simulation, noise = observed
    method = Pca(positivity=True)
    whole, tiled = (source(method, simulation.noisy, noise, core=core) for core in (None, 40))
    basis = method.fit(whole, noise, seed=0)
    monkeypatch.setattr(ica, "SPAXELS", 100)
    first, second = (ica.scores(each, basis) for each in (whole, tiled))
    assert 50 <= len(first) <= 100
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_nothing_found_gives_nothing(denoised):
    noise = NoiseModel.from_beam((12, 48, 48), 1.0, (5.0, 4.0, 0.0))
    out, variance = denoised(Ica(positivity=True, threshold=6.0), noise.sample(seed=1), noise)
    assert not out.any()
    assert not variance.any()


@pytest.mark.parametrize(
    ("peak_snr", "rmse", "flux"),
    [
        (2.75, 0.30, 45),
        pytest.param(4.5, 0.38, 65, marks=pytest.mark.full),
        pytest.param(7.0, 0.45, 80, marks=pytest.mark.full),
    ],
)
def test_goals_on_the_bench_cubes(denoised, peak_snr, rmse, flux):
    root = os.environ.get("DENOISE_TEST_DATA")
    if not root:
        pytest.skip("DENOISE_TEST_DATA is not set")
    ratios, fluxes = [], []
    for path in sorted((Path(root) / "bench").glob("*.npz")):
        with np.load(path) as stored:
            truth, unit, aperture = stored["truth"], stored["noise"], stored["aperture"]
            minor, major, angle = (float(value) for value in stored["beam"])
        noisy = (truth + unit / np.float32(peak_snr)).astype(np.float32)
        noise = NoiseModel.from_beam(truth.shape, 1 / peak_snr, (major, minor, angle))
        out = np.maximum(denoised(Ica(positivity=True), noisy, noise)[0], 0)
        inside, bright = np.broadcast_to(aperture, truth.shape), truth > 0.05 * truth.max()
        ratios.append(np.sqrt(np.mean((out - truth)[inside] ** 2) / np.mean((noisy - truth)[inside] ** 2)))
        fluxes.append(100 * out[bright].sum() / truth[bright].sum())
    assert np.median(ratios) <= rmse
    assert np.mean(fluxes) >= flux
