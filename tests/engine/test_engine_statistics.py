"""Global statistics in one streaming pass: from a file in tiles and from an array whole, the same numbers."""

import numpy as np
import pytest
from astropy.io import fits

from denoise.cube import Cube, read
from denoise.engine.options import run_options
from denoise.engine.progress import Monitor
from denoise.engine.run import Run
from denoise.engine.sinks import ArraySink
from denoise.engine.tiles import Blocks
from denoise.methods._scatter import Scatter
from denoise.noise import estimate_noise
from denoise.testing.subject import blob, noise_model

SHAPE = (12, 420, 70)
AGREE = 1e-5  # largest difference over largest value
MEGABYTE = 10**6


def difference(first, second):
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    assert np.array_equal(np.isnan(first), np.isnan(second))
    return float(np.nanmax(np.abs(first - second)) / np.nanmax(np.abs(second)))


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Path, data and noise of a cube with several sources and a gap."""
    noise = noise_model(SHAPE)
    data = noise.sample(seed=3)
    for at in ((3.0, 60.0, 35.0), (8.5, 200.0, 30.0), (6.0, 215.0, 45.0), (5.0, 350.0, 40.0)):
        data += np.float32(25) * blob(SHAPE, at=at)
    data[:, :3] = np.nan
    path = tmp_path_factory.mktemp("statistics") / "obs.fits"
    fits.writeto(path, data.astype(">f4"), fits.Header({"BUNIT": "Jy"}))
    return path, data, noise


def states(cube, noise, method, memory, scratch):
    """Plan, fitted state and denoised cube of a run within a memory budget."""
    run = Run(cube, run_options(method=method, memory=memory, positivity="on"), Monitor(), noise=noise)
    prepared = run.prepare(scratch)
    fit, kept, out = prepared.denoiser.fit, [], np.empty(SHAPE, np.float32)
    prepared.denoiser.fit = lambda *given, **more: kept.append(fit(*given, **more)) or kept[0]
    for piece in prepared.pieces(seed=0):
        out[piece.region] = piece.after
    return prepared.plan, kept[0], out


@pytest.fixture(scope="module", params=["pca", "ica"])
def whole(request, observed):
    path, data, noise = observed
    plan, state, out = states(Cube(data), noise, request.param, 10**12, path.parent)
    assert len(plan.tiles) == 1
    return request.param, state, out


@pytest.mark.parametrize("megabytes", [40, 34])
def test_components_and_output_of_tiles_equal_those_of_the_whole(observed, whole, megabytes):
    path, _, noise = observed
    method, state, out = whole
    plan, tiled, denoised = states(read(path), noise, method, megabytes * MEGABYTE, path.parent)
    assert len(plan.tiles) > 1
    assert plan.peak_memory <= megabytes * MEGABYTE
    assert state.size == tiled.size > 1
    for name in ("analysis", "synthesis", "covariance"):
        assert difference(getattr(tiled, name), getattr(state, name)) < AGREE
    assert difference(denoised, out) < AGREE


@pytest.mark.parametrize("offset", [0.0, 200.0])
def test_covariance_of_tiles_equals_that_of_the_whole(observed, offset):
    path, data, noise = observed
    standardised = np.nan_to_num(data * np.float32(1 / noise.typical)) + np.float32(offset)
    whole = standardised.astype(np.float64)
    exact = np.cov(whole.reshape(SHAPE[0], -1), bias=True)
    for megabytes in (40, 34):
        run = Run(read(path), run_options(method="pca", memory=megabytes * MEGABYTE), Monitor(), noise=noise)
        plan = run.prepare(path.parent).plan
        scatter, counted = Scatter(SHAPE[0]), 0
        for sample in Blocks(read(path), noise, plan, Monitor()):
            core = np.nan_to_num(sample.data[sample.core]) + np.float32(offset)
            scatter.add(core.reshape(SHAPE[0], -1).T)
            counted += 1
        assert counted == len(plan.tiles) > 1
        assert difference(scatter.covariance(), exact) < AGREE
        vectors = np.linalg.eigh(scatter.covariance())[1][:, -3:]
        expected = np.linalg.eigh(exact)[1][:, -3:]
        signs = np.sign(np.sum(vectors * expected, axis=0))
        assert difference(vectors * signs, expected) < AGREE


def test_a_linear_run_of_tiles_equals_the_whole(observed):
    path, data, noise = observed
    results = [
        Run(cube, run_options(method="smooth", memory=memory), Monitor(), noise=noise).into(ArraySink())
        for cube, memory in ((Cube(data), 10**12), (read(path), 10 * MEGABYTE))
    ]
    for name in ("cube", "uncertainty"):
        one, other = (getattr(result, name).read() for result in results)
        assert difference(other, one) < AGREE


@pytest.mark.parametrize("voxels", [1 << 20, 1 << 15])
def test_noise_estimated_from_a_file_equals_that_of_an_array(observed, voxels):
    path, data, _ = observed
    lazy = estimate_noise(read(path), block_voxels=voxels)
    eager = estimate_noise(Cube(data), block_voxels=voxels)
    assert difference(lazy.sigma(), eager.sigma()) < AGREE
    assert difference(lazy.channel_sigma, eager.channel_sigma) < AGREE
    assert difference(lazy.spatial_acf, eager.spatial_acf) < AGREE
    assert difference(lazy.spectral_acf, eager.spectral_acf) < AGREE
    assert lazy.typical == pytest.approx(eager.typical, rel=AGREE)
