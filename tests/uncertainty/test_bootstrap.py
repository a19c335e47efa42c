"""Errors from draws of the noise: what they are, what they cost, and that tiles and workers agree."""

import numpy as np
import pytest
from astropy.io import fits

import denoise
from denoise.engine import run_file, run_options
from denoise.engine.bootstrap import LAGS, Drawn, _products, _side_by_side
from denoise.errors import ParameterError, UsageError
from denoise.methods.smooth import Smooth
from denoise.metrics import sum_error
from denoise.noise import NoiseModel
from denoise.simulate import Observation, draw_scene, observe

SHAPE = (24, 64, 64)
BEAM = (4.5, 4.0, 30.0)
DRAWS = 8


@pytest.fixture(scope="module")
def made():
    scene = draw_scene(np.random.default_rng(3), "disc", shape=SHAPE, fwhm=4.2)
    return observe(scene, Observation(SHAPE, BEAM, peak_snr=10.0), 5, kind="disc")


@pytest.fixture(scope="module")
def cube(made):
    return denoise.Cube(made.noisy * 1e-20, beam=BEAM, unit="erg/s/cm2")


@pytest.fixture(scope="module")
def drawn(cube):
    return denoise.denoise(cube, "ist", uncertainty=DRAWS)


def test_the_data_are_those_of_a_run_without_draws(cube, drawn):
    plain = denoise.denoise(cube, "ist")
    assert plain.uncertainty is None
    assert plain.errors is None
    assert np.array_equal(plain.cube.read(), drawn.cube.read())
    assert {k: v for k, v in drawn.metrics.items() if k != "flux_after_error"} == plain.metrics


def test_errors_are_in_the_unit_of_the_data_and_everywhere(cube, drawn):
    error = drawn.uncertainty.read()
    assert np.isfinite(error).all()
    assert (error > 0).all()
    assert drawn.uncertainty.unit == cube.unit
    assert 0.05 < np.median(error) / drawn.noise.typical < 5


def test_most_of_the_truth_lies_within_two_errors(made, drawn):
    bright = made.truth > made.sigma
    pull = (drawn.cube.read() * 1e20 - made.truth)[bright] / (drawn.uncertainty.read() * 1e20)[bright]
    assert np.mean(np.abs(pull) < 1.96) > 0.8
    assert 0.3 < np.std(pull) < 3


def test_the_flux_has_an_error_of_the_size_of_its_noise(made, drawn):
    flux, error = drawn.metrics["flux_after"], drawn.metrics["flux_after_error"]
    assert 0.3 < error / drawn.metrics["flux_before_error"] < 4
    assert abs(flux * 1e20 - made.truth.sum()) < 5 * error * 1e20


def test_tiles_give_the_same_errors():
    """Draws depend on absolute voxels; what differs is how exactly halos know the result."""
    shape = (16, 48, 480)
    scene = draw_scene(np.random.default_rng(8), "multi", shape=shape, fwhm=4.2)
    cube = denoise.Cube(observe(scene, Observation(shape, BEAM, peak_snr=10.0), 6).noisy, beam=BEAM)
    drawn = denoise.denoise(cube, "ist", uncertainty=DRAWS)
    cut = denoise.denoise(cube, "ist", uncertainty=DRAWS, memory=50_000_000)
    assert int(cut.provenance.run["tiles"].split()[0]) > 1
    error, whole, found = cut.uncertainty.read(), drawn.uncertainty.read(), drawn.support.read()
    assert found.any()
    assert np.abs(error - whole)[found].mean() < 0.02 * whole[found].mean()
    assert cut.metrics["flux_after_error"] == pytest.approx(drawn.metrics["flux_after_error"], rel=0.05)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(cube, drawn):
    again = denoise.denoise(cube, "ist", uncertainty=DRAWS, threads=1)
    assert np.array_equal(again.uncertainty.read(), drawn.uncertainty.read())
    other = denoise.denoise(cube, "ist", uncertainty=DRAWS, seed=1)
    assert not np.array_equal(other.uncertainty.read(), drawn.uncertainty.read())


def test_boxes_denoised_side_by_side_give_the_same_bytes(made):
    """Draws of sources far apart are denoised at the same time, one thread each."""
    empty = NoiseModel.from_beam((24, 64, 320), made.sigma, BEAM).sample(seed=2)
    empty[:, :, :64] = empty[:, :, 256:] = made.noisy
    cube = denoise.Cube(empty, beam=BEAM)
    one, more = (denoise.denoise(cube, "ist", uncertainty=3, threads=threads) for threads in (1, 3))
    found = one.support.read()
    assert found[:, :, :64].any()
    assert found[:, :, 256:].any()
    assert np.array_equal(one.uncertainty.read(), more.uncertainty.read())
    assert np.array_equal(one.drawn.flux, more.drawn.flux)


@pytest.mark.parametrize(("memory", "expected"), [(1, ([2, 0, 1], 4)), (4, ([2, 0, 1], 2)), (9, ([], 1))])
def test_boxes_side_by_side_take_no_more_memory_than_the_tile(memory, expected):
    whole = (8, 100, 100)

    class Hungry(Smooth):
        def workspace(self, shape):
            return 10 if shape == whole else memory

    shapes = [(8, 20, 20), (8, 10, 10), (8, 30, 30), (8, 500, 500)]
    assert _side_by_side(Hungry(threads=4), shapes, whole) == expected


@pytest.mark.parametrize("method", ["pca", "ica"])
def test_a_method_that_learns_from_the_cube_learns_from_the_draws(cube, method):
    result = denoise.denoise(cube, method, uncertainty=4)
    assert (result.uncertainty.read() > 0).all()
    assert result.metrics["flux_after_error"] > 0


def test_a_linear_method_keeps_its_exact_noise_and_gains_the_blur(cube):
    exact = denoise.denoise(cube, "smooth").uncertainty.read()
    more = denoise.denoise(cube, "smooth", uncertainty=DRAWS).uncertainty.read()
    assert (more >= exact * (1 - 1e-6)).all()
    assert (more > 1.05 * exact).any()


def test_missing_voxels_stay_missing(made):
    data = made.noisy.copy()
    data[:, :8] = np.nan
    result = denoise.denoise(denoise.Cube(data, beam=BEAM), "ist", uncertainty=4)
    assert np.array_equal(np.isnan(result.uncertainty.read()), np.isnan(data))


def test_nothing_found_costs_no_draws_and_says_what_may_hide():
    noise = NoiseModel.from_beam(SHAPE, 1.0, BEAM).sample(seed=4)
    result = denoise.denoise(denoise.Cube(noise, beam=BEAM), "ist", uncertainty=4)
    assert not result.support.read().any()
    assert np.allclose(result.drawn.flux, 0)
    assert (result.uncertainty.read() > 0).all()


def test_errors_add_up_with_their_correlation(drawn):
    model = drawn.errors
    assert model.spatial_acf.shape == (2 * LAGS + 1,) * 2
    assert model.correlation_fwhm[0] > 3
    region = (slice(8, 16), slice(20, 44), slice(20, 44))
    alone = float(np.sqrt(np.square(drawn.uncertainty.read(region)).sum()))
    weights = np.zeros(SHAPE)
    weights[region] = 1
    assert sum_error(weights, model) > 2 * alone


def test_the_output_file_has_the_errors(tmp_path, cube, drawn):
    path = tmp_path / "cube.fits"
    fits.writeto(path, np.asarray(cube.read()), fits.Header({"BUNIT": "erg/s/cm2"}))
    options = run_options(method="ist", uncertainty=4)
    assert options.save == ("uncert", "residual", "noise")
    result = run_file(path, tmp_path / "out.fits", options)
    with fits.open(tmp_path / "out.fits") as hdus:
        assert np.array_equal(hdus["UNCERT"].data, result.uncertainty.read())
        assert "uncertainty: 4" in str(hdus["PROVENANCE"].data)


def test_sums_of_draws_add_up_over_parts():
    rng = np.random.default_rng(0)
    one = Drawn(rng.normal(size=(4, 3)), rng.normal(size=(25, 25)), rng.normal(size=13))
    assert np.allclose(one.plus(Drawn.nothing(3, 3)).flux, one.flux)
    assert Drawn.nothing(3, 3).correlation() is None
    assert Drawn.nothing(3, 3).error == 0


def test_products_are_those_of_a_plain_sum():
    values = np.random.default_rng(1).normal(size=(5, 9, 11))
    spatial, spectral = _products(values)
    assert spatial[LAGS, LAGS] == pytest.approx((values**2).sum())
    assert spatial[LAGS + 2, LAGS - 3] == pytest.approx((values[:, 2:, :-3] * values[:, :-2, 3:]).sum())
    assert spatial[0, 0] == pytest.approx(0, abs=1e-9)
    assert spectral[2] == pytest.approx((values[2:] * values[:-2]).sum())


@pytest.mark.parametrize("draws", [1, -2])
def test_too_few_draws_are_refused(cube, draws):
    with pytest.raises(ParameterError, match="uncertainty"):
        denoise.denoise(cube, "ist", uncertainty=draws)


def test_an_enhancer_has_no_errors(cube):
    with pytest.raises(ParameterError, match="enhancer"):
        denoise.denoise(cube, "noiser", uncertainty=4)


def test_errors_that_nobody_asked_for_are_refused_with_what_helps(tmp_path, cube):
    path = tmp_path / "cube.fits"
    fits.writeto(path, np.asarray(cube.read()))
    with pytest.raises(UsageError, match="--uncertainty 16"):
        run_file(path, tmp_path / "out.fits", run_options(method="ist", save=("uncert",)))
