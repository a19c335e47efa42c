"""``denoise.denoise`` on real situations: absorption, continuum, primary beam, flags, sidelobes, counts, memory."""

import re
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

import denoise
from denoise.cube import Cube
from denoise.engine import CancelToken, run_file, run_options
from denoise.errors import CancelledError, DenoiseError, InputError, ParameterError
from denoise.methods import get_method
from denoise.noise import NoiseModel
from denoise.simulate import simulate_cube
from denoise.testing.subject import BEAM, blob, noise_model, observation, prepare

SHAPE = (24, 64, 64)
METHODS = ["ist", "pca"]


def flux_ratio(result, truth, inside=None):
    inside = truth > 0.05 * truth.max() if inside is None else inside
    return float(result.cube.data[inside].sum() / truth[inside].sum())


def test_an_absorption_line_is_kept_negative():
    truth = -np.float32(20) * blob(SHAPE)
    noise = noise_model(SHAPE)
    ratios = []
    for seed in range(4):
        result = denoise.denoise(Cube(truth + noise.sample(seed=seed), beam=BEAM), "ist")
        assert result.cube.data.min() < -15
        ratios.append(flux_ratio(result, truth, truth < -1))
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_emission_is_clipped_only_where_asked():
    data, _, noise = observation(SHAPE, peak_snr=20.0)
    assert denoise.denoise(data, "ist", noise=noise, positivity="on").cube.data.min() >= 0
    assert denoise.denoise(-data, "ist", noise=noise, positivity="on").cube.data.max() < 20
    assert denoise.denoise(-data, "ist", noise=noise, positivity="off").cube.data.min() < -15


@pytest.mark.parametrize("method", METHODS)
def test_a_line_on_a_strong_continuum_keeps_its_flux(method):
    shape = (48, 48, 48)
    line = np.float32(20) * blob(shape)
    y, x = np.mgrid[:48, :48] - 23.5
    level = np.float32(60) * np.exp(-0.5 * (y**2 + x**2) / 6).astype(np.float32)
    noise = noise_model(shape)
    ratios = []
    for seed in range(3):
        data = line + level + noise.sample(seed=seed)
        result = denoise.denoise(Cube(data, beam=BEAM), method, continuum="smooth:25")
        inside = line > 1
        ratios.append((result.cube.data - level)[inside].sum() / line[inside].sum())
        off = result.cube.data[:8].mean(axis=0)
        assert np.abs(off - level).max() < 3  # the continuum is restored
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_primary_beam_corrected_edges_are_no_sources():
    y, x = np.mgrid[:64, :64] - 31.5
    gain = np.exp(-0.5 * (y**2 + x**2) / 18**2).astype(np.float32)
    gain[gain < 0.2] = np.nan
    noise = noise_model(SHAPE)

    def make(seed):
        truth = np.float32(20) * blob(SHAPE)
        return (truth * np.nan_to_num(gain) + noise.sample(seed=seed)) / gain, truth, {"gain": gain}

    ratios = []
    for seed in range(4):
        data, truth, extra = make(seed)
        result = denoise.denoise(Cube(data, beam=BEAM, **extra), "ist")
        assert np.array_equal(np.isnan(result.cube.data), np.isnan(data))
        outside = (blob(SHAPE) < 1e-9) & np.isfinite(data)  # beyond what its own search grows to
        # whatever noise alone does by chance, the rising edge adds nothing to it
        flat = denoise.denoise(Cube(truth + noise.sample(seed=seed), beam=BEAM), "ist")
        assert not (result.support.read() & ~flat.support.read() & outside).any()
        assert np.abs(result.cube.data * gain)[outside].max() < 1
        ratios.append(flux_ratio(result, truth))
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("how", ["exclude", "nan"])
@pytest.mark.parametrize("method", ["ist", "pca", "smooth"])
def test_flagged_channels_do_not_bleed(method, how):
    data, _, noise = observation(SHAPE, peak_snr=10.0)
    options = {"spectral_fwhm": 3.0} if method == "smooth" else {}
    flagged = np.zeros(SHAPE[0], bool)
    flagged[[4, 18, 19]] = True
    clean = data.copy()
    clean[flagged] = np.nan
    spoiled = data.copy()
    spoiled[flagged] = 500 if how == "exclude" else np.nan
    extra = {"exclude": flagged} if how == "exclude" else {}
    expected = denoise.denoise(Cube(clean), method, noise=noise, positivity="off", **options)
    result = denoise.denoise(Cube(spoiled, **extra), method, noise=noise, positivity="off", **options)
    assert np.array_equal(result.cube.data[~flagged], expected.cube.data[~flagged])
    # flagged data come out as they went in, and no emission is found there
    assert np.array_equal(result.cube.data[flagged], spoiled[flagged], equal_nan=True)
    assert not result.support.read()[flagged].any()


def test_dirty_sidelobes_are_noise_and_not_sources():
    for seed in (1, 2):
        empty = simulate_cube(seed, shape=(16, 64, 64), kind="empty", noise="imaged", peak_snr=1.0)
        out = denoise.denoise(Cube(empty.noisy, beam=empty.beam_pixels), "ist").cube.data
        assert np.mean(np.square(out)) < 0.02


def test_flux_under_imaged_noise():
    ratios = []
    for seed in range(4):
        field = simulate_cube(seed, shape=SHAPE, kind="empty", noise="imaged", peak_snr=1.0)
        truth = 20 * blob(SHAPE)
        result = denoise.denoise(Cube(truth + field.noise, beam=field.beam_pixels), "ist")
        ratios.append(flux_ratio(result, truth))
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_emission_all_over_the_field_is_remarked_upon():
    """As in cubes with leftover continuum: every spaxel has its own level."""
    shape = (40, 48, 48)
    rng = np.random.default_rng(3)
    level = ndimage.gaussian_filter(rng.normal(size=shape[1:]), 3)
    noise = noise_model(shape).sample(seed=1)
    data = (noise + 2 * level / level.std()).astype(np.float32)
    said = denoise.denoise(Cube(data, beam=BEAM), "ist").warnings
    assert any(
        re.search(r"emission was found in \d+ % of the voxels.*--continuum median", one) for one in said
    )
    for clean in (
        denoise.denoise(Cube(data, beam=BEAM), "ist", continuum="median"),
        denoise.denoise(Cube(noise, beam=BEAM), "ist"),
    ):
        assert not any("of the voxels" in one for one in clean.warnings)


@pytest.mark.parametrize("mode", ["median", "polynomial:1", "smooth"])
def test_what_the_fit_of_a_continuum_leaves_of_noise_is_no_emission(mode):
    """The errors of the fits are not as smooth on the sky as the noise that they come from."""
    shape = (40, 48, 48)
    for seed in (1, 2):
        noise = noise_model(shape).sample(seed=seed)
        result = denoise.denoise(Cube(noise, beam=BEAM), "ist", continuum=mode)
        assert result.support.read().mean() < 0.03


@pytest.mark.parametrize("factor", [1e-18, 1e6])
def test_the_whole_run_scales_with_the_unit(factor):
    data, _, _ = observation((16, 48, 48))
    first = denoise.denoise(Cube(data, beam=BEAM), "ist")
    scaled = denoise.denoise(Cube((data.astype(float) * factor).astype(np.float32), beam=BEAM), "ist")
    assert np.abs(scaled.cube.data / factor - first.cube.data).max() < 1e-4 * first.cube.data.max()
    assert scaled.noise.typical == pytest.approx(factor * first.noise.typical, rel=1e-4)
    for name in ("flux_before", "flux_after", "flux_before_error", "peak_after"):
        assert scaled.metrics[name] == pytest.approx(factor * first.metrics[name], rel=1e-3)


def test_float64_fluxes_that_float32_cannot_hold():
    data, _, noise = observation((8, 32, 32))
    tiny = denoise.denoise(data.astype(np.float64) * 1e-60, "ist", noise=noise.scaled(1e-60))
    assert tiny.cube.data.dtype == np.float64
    expected = denoise.denoise(data, "ist", noise=noise).cube.data
    assert np.allclose(tiny.cube.data * 1e60, expected, atol=1e-4)


def test_the_residual_is_what_was_taken_away():
    data, _, noise = observation((8, 32, 32))
    data[:, 3] = np.nan
    result = denoise.denoise(data.astype(np.float64), "ist", noise=noise)
    assert np.array_equal(result.residual.data, data.astype(np.float64) - result.cube.data, equal_nan=True)


def test_counts_come_out_unbiased():
    shape = (24, 48, 48)
    events = 20 + 100 * blob(shape)
    rng = np.random.default_rng(4)
    inside, ratios = events > 30, []
    for _ in range(3):
        counts = (2.5 * rng.poisson(events) + 100 + rng.normal(0, 2, shape)).astype(np.float32)
        result = denoise.denoise(
            Cube(counts), "ist", vst={"gain": 2.5, "offset": 100.0, "read_noise": 2.0}, continuum="median"
        )
        ratios.append(((result.cube.data - 100) / 2.5)[inside].sum() / events[inside].sum())
        far = blob(shape) < 1e-4
        assert ((result.cube.data - 100) / 2.5)[far].mean() == pytest.approx(20, rel=0.02)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_counts_below_the_offset_are_refused():
    counts = np.random.default_rng(0).poisson(5, (6, 32, 32)).astype(np.float32)
    with pytest.raises(ParameterError, match="mean of the data is below the offset"):
        denoise.denoise(counts, "ist", vst={"gain": 1.0, "offset": 50.0})


def test_the_error_of_counts_is_in_counts():
    counts = np.random.default_rng(1).poisson(400, (1, 64, 64)).astype(np.float32)
    result = denoise.denoise(counts, "smooth", vst={"gain": 1.0}, continuum="none", fwhm=2.5)
    pulls = (result.cube.data - 400) / result.uncertainty.data
    assert np.std(pulls) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("written_by", ["run", "result"])
def test_the_noise_of_counts_is_in_counts(tmp_path, written_by):
    gain, read_noise, mean = 2.0, 5.0, np.geomspace(20, 2000, 24)[:, None, None]
    rng = np.random.default_rng(4)
    counts = gain * rng.poisson(np.broadcast_to(mean, SHAPE)) + rng.normal(0, read_noise, SHAPE)
    path, out = tmp_path / "counts.fits", tmp_path / "out.fits"
    fits.writeto(path, counts.astype(np.float32), fits.Header({"BUNIT": "adu"}))
    options = {"vst": {"gain": gain, "read_noise": read_noise}, "continuum": "none"}
    settings = {"fwhm": 6.0, "spectral_fwhm": 1.0}
    if written_by == "run":
        run_file(path, out, run_options(method="smooth", parameters=settings, **options))
    else:
        denoise.denoise(path, "smooth", **options, **settings).write(out)
    with fits.open(out) as hdus:
        assert hdus["NOISE"].header["BUNIT"] == "adu"
        sigma = np.median(hdus["NOISE"].data, axis=(1, 2))
    truth = np.sqrt(gain**2 * mean.ravel() + read_noise**2)
    assert np.abs(sigma / truth - 1).max() < 0.05
    assert np.median(sigma / truth) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", ["ist", "smooth", "pca"])
def test_declared_memory_is_honest(method):
    shape = (40, 120, 120)
    noise = noise_model(shape)
    data = noise.sample(seed=0)
    for at in (30.0, 60.0, 90.0):
        data += 25 * blob(shape, at=(20.0, at, at))
    denoiser = get_method(method)()
    run = prepare(Cube(data), noise, denoiser)
    for _ in run.pieces(0):
        pass
    tracemalloc.start()
    for _ in prepare(Cube(data), noise, denoiser).pieces(0):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 1.05 * run.plan.peak_memory


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            {"method": "ist", "threshold": -1},
            "parameter 'threshold' of method ist is not valid (found: -1); input should be greater than 0",
        ),
        (
            {"method": "smooth", "width": 3},
            "method smooth has no parameter 'width'; its parameters are: fwhm, spectral_fwhm",
        ),
        (
            {"method": "magic"},
            "unknown method (found: magic); choose one of hybrid, ica, ist, lidia, noiser, pca, smooth, unet",
        ),
        (
            {"continuum": "spline"},
            "option 'continuum' is not valid (found: spline); "
            "choose auto, none, median, smooth, smooth:CHANNELS or polynomial:ORDER",
        ),
        (
            {"positivity": "maybe"},
            "option 'positivity' is not valid (found: maybe); input should be 'auto', 'on' or 'off'",
        ),
        (
            {"vst": {"gain": 0}},
            "option 'vst.gain' is not valid (found: 0); input should be greater than 0",
        ),
        (
            {"noise": NoiseModel.white((2, 8, 8), 1.0)},
            "the noise model does not fit the cube (found: (2, 8, 8)); give one of shape (6, 24, 24)",
        ),
    ],
)
def test_refusals_say_cause_value_and_what_to_do(call, message):
    data, _, _ = observation((6, 24, 24))
    with pytest.raises(ParameterError if "magic" not in message else DenoiseError) as caught:
        denoise.denoise(data, **call)
    assert str(caught.value) == message


@pytest.mark.parametrize("fill", [np.nan, 0.0, 7.0])
def test_nothing_to_denoise_is_an_error(fill):
    with pytest.raises(InputError):
        denoise.denoise(np.full((4, 16, 16), fill, np.float32), "ist")


def test_a_unit_for_what_has_its_own_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="unit"):
        denoise.denoise(tmp_path / "any.fits", unit="Jy")


class CancelledAfter:
    """Pixels that cancel a token when they are read for the nth time."""

    def __init__(self, data, token, reads):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.token, self.left = token, reads

    def read(self, region):
        assert self.left > 0, "read again after cancelling"
        self.left -= 1
        if not self.left:
            self.token.cancel()
        return self.data[region].copy()


@pytest.mark.parametrize("reads", range(1, 38, 4))
def test_cancelling_stops_at_the_next_block_before_there_are_tiles(reads):
    # one block of the inspection; windows, rows and blocks of the noise estimate; no tile yet
    data = np.random.default_rng(0).normal(size=(20, 300, 300)).astype(np.float32)
    token = CancelToken()
    cube = Cube(CancelledAfter(data, token, reads))
    with pytest.raises(CancelledError):
        denoise.denoise(cube, "smooth", fwhm=2.0, cancel=token)


def test_the_noise_of_the_file_is_scaled_where_asked():
    noise = noise_model(SHAPE)
    cube = Cube(noise.sample(seed=1), noise=3 * noise.sigma(), beam=BEAM)
    asked = {}
    for companion in ("trust", "scale", "ignore"):
        result = denoise.denoise(cube, "smooth", companion=companion)
        asked[companion] = result.noise.typical / noise.typical
        assert any("--companion" in text for text in result.warnings) == (companion != "ignore")
    assert asked["trust"] == pytest.approx(3.0, rel=1e-4)
    assert asked["scale"] == pytest.approx(1.0, rel=0.02)
    assert asked["ignore"] == pytest.approx(1.0, rel=0.02)


def test_cancelling_before_the_first_tile():
    token = CancelToken()
    token.cancel()
    data, _, noise = observation((6, 24, 24))
    with pytest.raises(CancelledError, match="cancelled"):
        denoise.denoise(data, "ist", noise=noise, cancel=token)
