"""pca: decomposition against NumPy, null against noise, variance against draws, tiles, gaps, scores."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from denoise.cores import one_blas_thread
from denoise.errors import ParameterError
from denoise.methods import _components, _learning
from denoise.methods._scatter import Scatter
from denoise.methods.pca import Pca
from denoise.metrics import false_structure
from denoise.noise import NoiseModel
from denoise.simulate import simulate_cube, tuning_set


@pytest.fixture(scope="module")
def observed():
    simulation = simulate_cube(5, kind="multi", shape=(20, 130, 110), peak_snr=7.0)
    noise = NoiseModel.from_beam(simulation.noisy.shape, simulation.sigma, simulation.beam_pixels)
    return simulation, noise


class TestScatter:
    @settings(deadline=None, max_examples=25)
    @given(spaxels=st.integers(1, 60), nchan=st.integers(1, 30), pieces=st.integers(1, 5))
    def test_equals_a_direct_decomposition(self, spaxels, nchan, pieces):
        spectra = (
            np.random.default_rng(spaxels * 100 + nchan).standard_normal((spaxels, nchan)).astype(np.float32)
        )
        scatter = Scatter(nchan)
        for part in np.array_split(spectra, pieces):
            scatter.add(part)
        exact = spectra.astype(np.float64)
        power = np.sum(exact**2)
        np.testing.assert_allclose(scatter.matrix(), exact.T @ exact, atol=1e-6 * power)
        values, vectors = scatter.components(6)
        expected = np.linalg.svd(exact, compute_uv=False)[: len(values)] ** 2
        np.testing.assert_allclose(values, expected, atol=1e-6 * power)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-8)
        np.testing.assert_allclose(np.linalg.norm(exact @ vectors, axis=0) ** 2, values, atol=1e-6 * power)

    def test_gram_and_covariance_agree(self):
        rng = np.random.default_rng(1)
        spectra = (rng.standard_normal((29, 30)) * np.geomspace(1, 30, 29)[:, None]).astype(np.float32)
        few, many = Scatter(30), Scatter(30)
        few.add(spectra)
        many.add(spectra)
        many.add(np.zeros((5, 30), np.float32))
        for a, b in zip(few.components(5), many.components(5), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert len(many.components(30)[0]) == 29  # rounding is no component

    @pytest.mark.parametrize("offset", [0.0, 0.7, 3.0, 1000.0])
    @pytest.mark.parametrize("spaxels", [20, 30_000])
    def test_covariance_equals_that_in_double_precision(self, offset, spaxels):
        rng = np.random.default_rng(4)
        level = offset * (1 + rng.random(32))
        spectra = (rng.standard_normal((spaxels, 32)) * np.linspace(1, 5, 32) + level).astype(np.float32)
        scatter = Scatter(32)
        for part in np.array_split(spectra, 3):
            scatter.add(part)
        exact = np.cov(spectra.astype(np.float64), rowvar=False, bias=True)
        assert np.abs(scatter.covariance() - exact).max() < 1e-6 * np.trace(exact) / 32
        second = exact + np.outer(mean := spectra.mean(axis=0, dtype=np.float64), mean)
        assert np.abs(scatter.matrix() / spaxels - second).max() < 1e-6 * np.trace(second) / 32

    def test_threads_change_nothing_and_blas_gets_its_own_back(self):
        spectra = np.random.default_rng(6).standard_normal((40_000, 12)).astype(np.float32)
        before = [pool["num_threads"] for pool in threadpool_info()]
        one, more = Scatter(12), Scatter(12, threads=3)
        for scatter in (one, more):
            scatter.add(spectra, spectra[:, ::-1])
        assert one.matrix().tobytes() == more.matrix().tobytes()
        values, vectors = one.components(3)
        for a, b in zip(one.regressed(values, vectors), more.regressed(values, vectors), strict=True):
            assert a.tobytes() == b.tobytes()
        with one_blas_thread():
            with one_blas_thread():
                pass
            pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            assert {pool["num_threads"] for pool in pools} == {1}
        assert [pool["num_threads"] for pool in threadpool_info()] == before

    def test_nothing_added(self):
        values, vectors = Scatter(7).components(3)
        assert values.shape == (0,)
        assert vectors.shape == (7, 0)


class TestSelection:
    def test_pure_noise_keeps_one_and_signal_all_of_its_rank(self):
        rng = np.random.default_rng(2)
        noise = [rng.standard_normal((400, 25)) for _ in range(_learning.DRAWS + 1)]
        null = [Scatter(25) for _ in range(_learning.DRAWS)]
        for scatter, rows in zip(null, noise[1:], strict=True):
            scatter.add(rows)
        spectra, maps = np.linalg.qr(rng.standard_normal((25, 3)))[0].T, 2 * rng.standard_normal((400, 3))
        empty, full = Scatter(25), Scatter(25)
        empty.add(noise[0], noise[0], *noise[1:])
        full.add(noise[0] + maps @ spectra, noise[0] + maps @ spectra, *noise[1:])
        assert _learning.select(empty, null, "auto").shape[1] == 1
        kept = _learning.select(full, null, "auto")
        assert kept.shape[1] >= 3
        # 400 spaxels of signal-to-noise 2 fix a direction to about 1 / (2 sqrt(400)) in each other channel
        assert np.linalg.norm(spectra - spectra @ kept @ kept.T, axis=1).max() < 0.2

    def test_spectra_are_as_sharp_as_the_lines(self):
        channels, rng = np.arange(30), np.random.default_rng(3)
        line, broad = (np.exp(-0.5 * ((channels - 14) / width) ** 2) for width in (1.2, 1.56))
        maps = rng.uniform(5, 20, (500, 1))
        total = Scatter(30)
        total.add(maps * broad, maps * line, *(rng.standard_normal((500, 30)) for _ in range(4)))
        values, vectors = total.components(1)
        sharp = _learning.sharpened(total, values, vectors)[:, 0]
        flux = abs(sharp.sum() * (sharp @ line) / line.sum())
        blurred = abs(vectors[:, 0].sum() * (vectors[:, 0] @ line) / line.sum())
        assert flux == pytest.approx(1.0, abs=0.01)
        assert blurred > 1.08

    def test_a_given_number_is_kept(self, observed, source):
        simulation, noise = observed
        method = Pca(positivity=True, n_components=4)
        assert method.fit(source(method, simulation.noisy, noise), noise, seed=0).size == 4


class TestComponents:
    def test_band_products_equal_those_of_draws(self):
        noise = NoiseModel.from_beam((40, 160, 160), 1.0, (5.0, 4.0, 20.0))
        from denoise.transforms.starlet import forward

        bands = forward(noise.sample(seed=1), spatial_scales=3, spectral_scales=0)[:, 0, :, 20:-20, 20:-20]
        flat = bands.reshape(4, -1).astype(np.float64)
        measured = flat @ flat.T / flat.shape[1]
        analytic = _components.band_products(noise, 3)
        assert np.abs(measured - analytic).max() < 0.03 * analytic.max()

    @pytest.mark.parametrize("correlated", [False, True])
    def test_variance_given_the_gains_is_exact(self, correlated):
        acf = {"spectral_acf": np.array([1.0, 0.6, 0.2])} if correlated else {}
        noise = NoiseModel.from_beam((12, 64, 64), 1.0, (5.0, 4.0, 20.0), **acf)
        rng = np.random.default_rng(3)
        vectors = np.linalg.qr(rng.standard_normal((12, 3)))[0]
        white = _learning.whitening(noise)
        analysis, synthesis = vectors.T, vectors
        if correlated:
            analysis, synthesis = vectors.T @ white.inverse, white.root @ vectors
        basis = _components.Basis(
            analysis.astype(np.float32), synthesis.astype(np.float32), np.eye(3), (3, 3), 2, 5.0, 1.0, True
        )
        gains = rng.uniform(0, 1, (3, 3, 64, 64)).astype(np.float32)
        from denoise.transforms.starlet import forward

        rebuilt = []
        for k in range(300):
            maps = _components.project(noise.sample(seed=4, draw=k), np.ones(noise.shape, bool), basis)
            bands = forward(maps, spatial_scales=2, spectral_scales=0)[:, 0]
            rebuilt.append(np.tensordot(basis.synthesis, (gains * bands).sum(0), 1)[:, 8:-8, 8:-8])
        analytic = _components.component_variance(gains, _components.band_products(noise, 2), basis)[
            :, 8:-8, 8:-8
        ]
        assert np.var(rebuilt, axis=0).mean() == pytest.approx(analytic.mean(), rel=0.03)

    def test_projection_does_without_missing_channels(self):
        rng = np.random.default_rng(5)
        vectors = np.linalg.qr(rng.standard_normal((15, 3)))[0].astype(np.float32)
        basis = _components.Basis(vectors.T, vectors, np.eye(3), (3, 3), 2, 5.0, 1.0, True)
        maps = rng.standard_normal((3, 6, 5)).astype(np.float32)
        data = np.tensordot(vectors, maps, 1)
        known = np.ones(data.shape, bool)
        known[4:6, 2, :] = False
        recovered = _components.project(np.where(known, data, 0), known, basis)
        np.testing.assert_allclose(recovered, maps, atol=1e-4)


class TestPca:
    def test_tiles_do_not_matter(self, observed, denoised):
        simulation, noise = observed
        data = simulation.noisy.copy()
        data[:, :6] = np.nan
        data[4:7, 60:75, 50:65] = np.nan
        method = Pca(positivity=True)
        whole, tiled = (denoised(method, data, noise, core=core) for core in (None, 48))
        for a, b, unit in zip(whole, tiled, (simulation.sigma, simulation.sigma**2), strict=True):
            assert np.array_equal(np.isnan(a), np.isnan(data))
            assert np.nanmax(np.abs(a - b)) < 1e-5 * unit
        assert np.nanmax(whole[0]) > 3 * simulation.sigma

    def test_scales_with_the_data(self, observed, denoised):
        simulation, noise = observed
        one, _ = denoised(Pca(positivity=True), simulation.noisy, noise)
        for factor in (1e-18, 1e6):
            scaled = (simulation.noisy.astype(np.float64) * factor).astype(np.float32)
            other, _ = denoised(Pca(positivity=True), scaled, noise.scaled(factor))
            np.testing.assert_allclose(other / np.float32(factor), one, atol=2e-5 * simulation.sigma)

    def test_missing_voxels_act_no_further_than_the_halo(self, observed, source):
        simulation, noise = observed
        method = Pca(positivity=True, spatial_scales=1)
        state = method.fit(source(method, simulation.noisy, noise), noise, seed=0)
        holed = simulation.noisy.copy()
        holed[:, :4, :4] = np.nan
        before, after = (method.apply(data, noise, state).data for data in (simulation.noisy, holed))
        reach = method.halo(holed.shape, noise).y
        far = np.ones(holed.shape[1:], bool)
        far[: 4 + reach, : 4 + reach] = False
        assert far.any()
        assert np.array_equal(np.isnan(after), np.isnan(holed))
        assert np.abs(before - after)[:, far].max() < 1e-5 * simulation.sigma

    def test_input_is_not_changed_and_the_seed_fixes_the_bytes(self, observed, denoised):
        simulation, noise = observed
        copy = simulation.noisy.copy()
        first, second = (denoised(Pca(), simulation.noisy, noise, seed=7)[0] for _ in range(2))
        assert first.tobytes() == second.tobytes()
        assert copy.tobytes() == simulation.noisy.tobytes()

    def test_state_is_small_and_pickles(self, observed, source):
        simulation, noise = observed
        method = Pca(positivity=True)
        state = method.fit(source(method, simulation.noisy, noise), noise, seed=0)
        packed = pickle.dumps(state)
        assert len(packed) < 100_000
        again = method.apply(simulation.noisy, noise, pickle.loads(packed)).data
        assert np.array_equal(again, method.apply(simulation.noisy, noise, state).data)

    def test_empty_fields_stay_empty(self, denoised):
        noise = NoiseModel.from_beam((40, 96, 96), 1.0, (5.0, 4.2, 30.0))
        false, left = 0, 0.0
        for draw in range(6):
            noisy = noise.sample(seed=8, draw=draw)
            out = np.maximum(denoised(Pca(positivity=True), noisy, noise)[0], 0)
            found = false_structure(np.zeros_like(out), noisy, out, noise=noise, beam=(5.0, 4.2, 30.0))
            false += len(found.regions)
            left += float(out.sum() / np.abs(noisy).sum()) / 6
        # pure noise itself holds 0.1 detections a cube (`expected_flukes`): three or more of six are a 2 % chance
        assert false <= 2
        assert left < 0.01

    def test_absorption_is_kept_without_positivity(self, observed, denoised):
        simulation, noise = observed
        up, _ = denoised(Pca(), simulation.noisy, noise)
        down, _ = denoised(Pca(), -simulation.noisy, noise)
        np.testing.assert_allclose(down, -up, atol=1e-5 * simulation.sigma)

    def test_one_channel_and_few_pixels(self, denoised):
        for shape in ((1, 40, 40), (5, 3, 3), (30, 1, 1), (2, 1, 50)):
            noise = NoiseModel.white(shape, 1.0)
            data = noise.sample(seed=1)
            data[:, shape[1] // 2, shape[2] // 2] += 20
            out, variance = denoised(Pca(positivity=True), data, noise)
            assert np.isfinite(out).all()
            assert np.isfinite(variance).all()
            assert out[:, shape[1] // 2, shape[2] // 2].max() > 5

    def test_all_missing(self, denoised):
        noise = NoiseModel.white((6, 20, 20), 1.0)
        out, _ = denoised(Pca(), np.full((6, 20, 20), np.nan, np.float32), noise)
        assert np.isnan(out).all()

    def test_parameters_are_checked(self):
        with pytest.raises(ParameterError, match="n_components"):
            Pca(n_components=0)


def emission_scores(denoised, method, simulations):
    """Median RMSE ratio in the aperture, mean flux (percent) where truth > 5 % of its peak."""
    ratios, fluxes = [], []
    for truth, noisy, noise, aperture in simulations:
        out = np.maximum(denoised(method, noisy, noise)[0], 0)
        inside = np.broadcast_to(aperture, truth.shape)
        error = np.mean((out - truth)[inside] ** 2) / np.mean((noisy - truth)[inside] ** 2)
        bright = truth > 0.05 * truth.max()
        ratios.append(np.sqrt(error))
        fluxes.append(100 * out[bright].sum() / truth[bright].sum())
    return float(np.median(ratios)), float(np.mean(fluxes))


def bench_cubes(peak_snr):
    root = os.environ.get("DENOISE_TEST_DATA")
    if not root:
        pytest.skip("DENOISE_TEST_DATA is not set")
    for path in sorted((Path(root) / "bench").glob("*.npz")):
        with np.load(path) as stored:
            truth, unit, aperture = stored["truth"], stored["noise"], stored["aperture"]
            minor, major, angle = (float(value) for value in stored["beam"])
        noise = NoiseModel.from_beam(truth.shape, 1 / peak_snr, (major, minor, angle))
        yield truth, (truth + unit / np.float32(peak_snr)).astype(np.float32), noise, aperture


@pytest.mark.parametrize(("peak_snr", "rmse", "flux"), [(2.75, 0.30, 55), (4.5, 0.38, 70), (7.0, 0.45, 85)])
def test_goals_on_the_bench_cubes(denoised, peak_snr, rmse, flux):
    ratio, kept = emission_scores(denoised, Pca(positivity=True), bench_cubes(peak_snr))
    assert ratio <= rmse
    assert kept >= flux


def test_less_noise_and_most_flux_on_simulations_at_high_snr(denoised):
    cubes = [
        (s.truth, s.noisy, NoiseModel.from_beam(s.truth.shape, s.sigma, s.beam_pixels), s.aperture)
        for s in tuning_set(3, 10.0, seed=4)
    ]
    ratio, kept = emission_scores(denoised, Pca(positivity=True), cubes)
    assert ratio < 0.45
    assert 75 < kept < 110
