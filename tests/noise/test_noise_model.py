"""NoiseModel: sigma, windows, draws that do not know tiles, filtered sigma, covariance within limits."""

import json
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denoise.errors import NoiseError
from denoise.noise import NoiseModel, clipped_std, mad_std
from denoise.noise import covariance as cov

SHAPE = (12, 70, 65)
BEAM = (6.0, 4.0, 30.0)


def slices(bounds):
    return tuple(slice(a, b) for a, b in bounds)


def full_model():
    y = np.mgrid[: SHAPE[1], : SHAPE[2]][0]
    relative = (1.0 + 0.01 * y).astype(np.float32)
    relative[:3, :5] = np.nan
    return NoiseModel.from_beam(
        SHAPE,
        np.linspace(1e-20, 3e-20, SHAPE[0]),
        BEAM,
        relative=relative,
        spectral_acf=cov.valid_acf(np.array([1.0, 0.6, 0.2])),
    )


def measured_acf(noise, lag):
    dc, dy, dx = lag
    a = noise[dc:, dy:, dx:]
    b = noise[: noise.shape[0] - dc, : noise.shape[1] - dy, : noise.shape[2] - dx]
    return float(np.mean(a * b) / np.mean(noise**2))


def test_philox_known_answer():
    # Random123, kat_vectors: philox4x32 10 rounds, counter and key all zero, and all ones
    from denoise.noise.draws import philox

    zero, ones = np.uint64(0), np.uint64(0xFFFFFFFF)
    words = [int(w) for w in philox.py_func((zero,) * 4, (zero,) * 2)]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    with np.errstate(over="ignore"):
        words = [int(w) for w in philox.py_func((ones,) * 4, (ones,) * 2)]
    assert words == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_normal_deviates_are_those_of_box_and_muller():
    from denoise.noise.draws import _normals

    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 2**32, (2, 100_000), dtype=np.uint64)
    ends = [
        0,
        1,
        2**29,
        2**30,
        2**31,
        2**32 - 1,
    ]  # of the range, and of an octant, a quadrant and a half turn
    first[: len(ends)] = second[: len(ends)] = second[len(ends) : 2 * len(ends)] = ends
    radius = np.sqrt(-2 * np.log((first + 0.5) / 2**32))
    cosine, sine = np.empty(first.size), np.empty(first.size)
    _normals(first, second, cosine, sine, np.empty(first.size))
    assert np.allclose(cosine, radius * np.cos(2 * np.pi * second / 2**32), rtol=0, atol=1e-11)
    assert np.allclose(sine, radius * np.sin(2 * np.pi * second / 2**32), rtol=0, atol=1e-11)


def test_white_draws_are_standard_normal():
    from scipy.stats import kstest

    noise = NoiseModel.white((20, 128, 128), 1.0).sample(seed=7).ravel()
    root = np.sqrt(noise.size)
    assert abs(noise.mean()) * root < 4
    assert abs(noise.var() - 1) * root / np.sqrt(2) < 4
    assert abs(np.mean(noise**4) - 3) * root / np.sqrt(96) < 4
    assert kstest(noise, "norm").pvalue > 1e-3
    assert abs(np.mean(noise[1:] * noise[:-1])) * root < 4


bound = st.tuples(st.integers(0, 100), st.integers(1, 60))


@settings(max_examples=25, deadline=None)
@given(st.tuples(bound, bound, bound), st.integers(0, 3))
def test_any_tile_has_the_bytes_of_the_whole(starts, draw):
    model = full_model()
    whole = model.sample(seed=3, draw=draw)
    region = slices(((a % n), min(n, a % n + size)) for (a, size), n in zip(starts, SHAPE, strict=True))
    np.testing.assert_array_equal(model.sample(region, seed=3, draw=draw), whole[region])
    np.testing.assert_array_equal(model.window(region).sample(seed=3, draw=draw), whole[region])
    np.testing.assert_array_equal(model.window(region).sigma(), model.sigma()[region])


def test_window_of_a_window_and_pickle():
    model = full_model()
    part = model.window(slices(((2, 10), (10, 60), (5, 50)))).window(slices(((1, 4), (3, 30), (0, 20))))
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.sample(seed=1), model.sample(seed=1)[3:6, 13:40, 5:25])


def test_tiles_larger_than_one_block_join():
    model = NoiseModel.from_beam((2, 410, 300), 1.0, (5, 5, 0))
    whole = model.sample(seed=5)
    region = slices(((0, 2), (150, 250), (150, 260)))
    np.testing.assert_array_equal(model.sample(region, seed=5), whole[region])
    # noise does not know the seams of the blocks
    seam = np.mean(whole[:, 191] * whole[:, 192]) / np.mean(whole**2)
    elsewhere = np.mean(whole[:, 100:150] * whole[:, 101:151]) / np.mean(whole**2)
    assert abs(seam - elsewhere) < 0.1


def test_draws_differ_with_seed_and_draw():
    model = full_model()
    first = model.sample(seed=1)
    for other in (model.sample(seed=2), model.sample(seed=1, draw=1), model.sample(seed=1 + 2**32)):
        good = np.isfinite(first)
        assert abs(np.corrcoef(first[good], other[good])[0, 1]) < 0.1


@pytest.mark.parametrize("family", ["white_convolved", "imaged"])
@pytest.mark.parametrize("width", [2.0, 5.0, 10.0])
def test_draws_have_the_covariance_of_the_model(family, width):
    model = NoiseModel.from_beam((24, 256, 256), 2.0, (1.3 * width, width, 40.0), family)
    noise = model.sample(seed=11)
    assert noise.std() == pytest.approx(2.0, rel=0.01)
    centre = np.array(model.spatial_acf.shape) // 2
    for lag in [(1, 0), (0, 1), (2, 2), (int(width), 0), (0, int(width))]:
        assert measured_acf(noise, (0, *lag)) == pytest.approx(
            model.spatial_acf[tuple(centre + lag)], abs=0.02
        )


def test_spectral_correlation_of_draws():
    model = NoiseModel.white((400, 40, 40), 1.0, spectral_acf=cov.valid_acf(np.array([1.0, 0.67, 0.2, 0.0])))
    noise = model.sample(seed=2)
    for lag, expected in enumerate(model.spectral_acf):
        assert measured_acf(noise, (lag, 0, 0)) == pytest.approx(expected, abs=0.01)


def test_missing_sigma_is_nan_in_sigma_and_draws():
    model = full_model()
    assert np.isnan(model.sigma()[:, :3, :5]).all()
    assert np.array_equal(np.isnan(model.sample(seed=1)), np.isnan(model.sigma()))


def gaussian(width, half):
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.exp(-0.5 * (x**2 + y**2) / width**2)
    return kernel / kernel.sum()


@pytest.mark.parametrize("kernel", [gaussian(1.5, 6), gaussian(12.0, 64), np.eye(3) - gaussian(1.0, 1)])
def test_filtered_sigma_is_what_filtering_draws_gives(kernel):
    from scipy.signal import fftconvolve

    model = NoiseModel.from_beam((40, 256, 256), 1.0, BEAM)
    noise = model.sample(seed=4).astype(float)
    measured = np.std([fftconvolve(p, kernel, mode="valid") for p in noise])
    independent = 40 * (256 - kernel.shape[0] + 1) ** 2 / max(50, 2 * kernel.shape[0] ** 2 / 10)
    assert model.filtered_sigma(kernel) == pytest.approx(measured, rel=4 / np.sqrt(2 * independent))


def test_filtered_sigma_of_spectral_kernels():
    rho = np.array([1.0, 0.5, 0.1])
    model = NoiseModel.white((50, 8, 8), 1.0, spectral_acf=rho)
    assert model.filtered_sigma(None) == 1.0
    assert model.filtered_sigma(None, np.array([1.0, -1.0])) == pytest.approx(np.sqrt(2 - 2 * 0.5))
    second = np.array([1.0, -2.0, 1.0])
    assert model.filtered_sigma(None, second) == pytest.approx(np.sqrt(6 - 8 * 0.5 + 2 * 0.1))
    assert model.filtered_sigma(np.ones((2, 2)), second) == pytest.approx(2 * np.sqrt(2.2))


def test_scaled_and_typical():
    model = full_model()
    assert model.scaled(1e20).typical == pytest.approx(1e20 * model.typical)
    assert model.typical == pytest.approx(float(np.nanmedian(model.sigma())), rel=0.02)


def test_dictionary_round_trip_is_plain_and_exact():
    model = full_model()
    again = NoiseModel.from_dict(json.loads(json.dumps(replace(model, trusted=0.1).to_dict())))
    assert again.trusted == 0.1
    np.testing.assert_array_equal(again.sample(seed=9), model.sample(seed=9))
    assert again.describe().keys() == model.describe().keys()


class Stored:
    def __init__(self, sigma):
        self.array, self.shape = sigma, sigma.shape

    def read(self, region):
        return self.array[region]


def test_stored_sigma_is_read_by_region():
    sigma = np.random.default_rng(1).uniform(1, 2, SHAPE)
    model = NoiseModel.white(SHAPE, 0.5, pixels=Stored(sigma))
    region = slices(((3, 5), (10, 20), (0, 7)))
    np.testing.assert_allclose(model.window(region).sigma(), 0.5 * sigma[region], rtol=1e-6)
    assert model.typical == pytest.approx(0.5 * np.median(sigma), rel=0.01)
    with pytest.raises(NoiseError, match="sigma array"):
        NoiseModel.from_dict(model.to_dict())


def test_valid_acf_keeps_a_valid_one_and_mends_a_measured_one():
    acf = cov.beam_acf(BEAM)
    np.testing.assert_allclose(cov.valid_acf(acf), acf, atol=1e-4)
    error = np.random.default_rng(3).normal(0, 0.005, acf.shape)
    noisy = acf + 0.5 * (error + error[::-1, ::-1])
    noisy[tuple(n // 2 for n in acf.shape)] = 1.0
    mended = cov.valid_acf(noisy)
    core = cov.crop_acf(mended, 6)
    assert mended[tuple(n // 2 for n in acf.shape)] == pytest.approx(1.0)
    assert np.abs(core - cov.crop_acf(noisy, 6)).max() < 0.02
    assert np.abs(core - cov.crop_acf(acf, 6)).max() < 0.02


def test_psf_model_has_the_psf_as_acf():
    psf = cov.beam_acf((8.0, 6.0, 20.0), family="imaged")
    model = NoiseModel.from_psf((1, 64, 64), 1.0, 3.0 * psf)
    centre = tuple(n // 2 for n in psf.shape)
    half = min(model.spatial_acf.shape[0] // 2, 8)
    expected = cov.crop_acf(psf, half) / psf[centre]
    np.testing.assert_allclose(cov.crop_acf(model.spatial_acf, half), expected, atol=0.02)


@pytest.mark.parametrize("about", ["median", "zero"])
def test_mad_of_drawn_noise_within_two_percent(about):
    noise = NoiseModel.from_beam((60, 128, 128), 3.0, (4, 4, 0)).sample(seed=6)
    noise[0, :5] = np.nan
    assert mad_std(noise, about=about) == pytest.approx(3.0, rel=0.02)
    assert mad_std(noise + (5.0 if about == "median" else 0.0), about=about) == pytest.approx(3.0, rel=0.02)


def test_mad_states_its_centre():
    assert mad_std(np.full(9, 2.0), about="median") == 0.0
    assert mad_std(np.full(9, 2.0), about="zero") == pytest.approx(2.0 * 1.4826, rel=1e-4)
    with pytest.raises(NoiseError, match="median"):
        mad_std(np.ones(3), about="mean")
    per_channel = mad_std(np.array([[1.0, -1.0, np.nan], [np.nan, np.nan, np.nan]]), about="zero", axis=1)
    assert per_channel[0] == pytest.approx(1.4826, rel=1e-4)
    assert np.isnan(per_channel[1])


def test_clipped_std_ignores_a_contaminated_tail():
    noise = NoiseModel.white((20, 100, 100), 2.0).sample(seed=8)
    assert clipped_std(noise) == pytest.approx(2.0, rel=0.01)
    noise[:, :10, :10] += 50.0
    assert clipped_std(noise) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize(
    "fields",
    [
        {"channel_sigma": np.ones(3)},
        {"relative": np.ones((3, 3), np.float32)},
        {"spatial_acf": np.ones((2, 2))},
        {"spatial_acf": np.full((3, 3), 0.5)},
        {"spectral_acf": np.array([0.5])},
        {"channel_sigma": -np.ones(12)},
        {"trusted": 0.0},
        {"trusted": np.nan},
    ],
)
def test_models_that_are_none_are_refused(fields):
    good = {
        "channel_sigma": np.ones(12),
        "relative": np.ones((70, 65), np.float32),
        "spatial_acf": np.ones((1, 1)),
        "spectral_acf": np.ones(1),
    }
    with pytest.raises(NoiseError):
        NoiseModel(shape=SHAPE, **(good | fields))


@pytest.mark.parametrize("beam", [(0, 1, 0), (np.nan, 1, 0), (-1, -1, 0)])
def test_beams_that_are_none_are_refused(beam):
    with pytest.raises(NoiseError, match="beam"):
        NoiseModel.from_beam(SHAPE, 1.0, beam)


def test_a_flat_map_is_one_number_whatever_the_field():
    model = NoiseModel.from_beam((2, 4000, 4000), 3.0, (4.0, 4.0, 0.0))
    tracemalloc.start()
    try:
        found = model.typical, model.describe()["relative_sigma_max"], NoiseModel.from_dict(model.to_dict())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[:2] == (3.0, 1.0)
    assert found[2].relative.shape == (4000, 4000)
    assert found[2].map_bytes == 0
    assert most < 1e6  # the map would be 64 MB
