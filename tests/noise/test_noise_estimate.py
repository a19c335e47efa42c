"""estimate_noise on simulations of known noise: the thresholds are those of requirements R13, R14, R16, R17."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve

from denoise.errors import DenoiseWarning, NoiseError
from denoise.noise import NoiseModel, estimate_noise, judge_tails, residual_acf
from denoise.noise import covariance as cov
from denoise.noise.estimate import memory_of_estimate
from denoise.noise.thinning import step_for
from denoise.simulate import simulate_cube

SHAPE = (40, 96, 96)


class Pixels:
    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def read(self, region):
        return self.array[region]


class Source:
    def __init__(self, kind, array, label="ERR"):
        self.kind, self.pixels, self.label = kind, Pixels(array), label


class Cube:
    """The part of denoise.cube.Cube that the estimate uses; remembers the largest read."""

    def __init__(self, data, *, excluded=None, noise_source=None, gain=None):
        self.data, self.shape, self.mask = data, data.shape, excluded
        self.noise_source, self.gain, self.largest = noise_source, gain, 0

    def read(self, region):
        block = self.data[region]
        self.largest = max(self.largest, block.size)
        return block

    def excluded(self, region):
        if self.mask is None:
            return np.zeros(self.data[region].shape, dtype=bool)
        return np.broadcast_to(self.mask, self.shape)[region]


def estimate(data, **kwargs):
    options = {k: kwargs.pop(k) for k in ("psf", "companion", "block_voxels") if k in kwargs}
    return estimate_noise(Cube(np.asarray(data, dtype=np.float32), **kwargs), **options)


def beam_model(beam, family="white_convolved", shape=SHAPE, **fields):
    if not beam:
        return NoiseModel.white(shape, 1.0, **fields)
    return NoiseModel.from_beam(shape, 1.0, (1.15 * beam, beam, 30.0), family, **fields)


def discs(shape, peak, beam, seed):
    """Three rotating exponential discs convolved with the beam, peak of the truth = peak."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]].astype(np.float32)
    out = np.zeros(shape, dtype=np.float32)
    for _ in range(3):
        u, v = y - rng.uniform(0.2, 0.8) * shape[1], x - rng.uniform(0.2, 0.8) * shape[2]
        size, middle = rng.uniform(3, 9), rng.uniform(0.35, 0.65) * shape[0]
        radius = np.hypot(u, v / rng.uniform(0.4, 1.0))
        velocity = middle + 0.15 * shape[0] * np.tanh(u / size)
        out += np.exp(-1.68 * radius / size - 0.5 * ((z - velocity) / 2) ** 2)
    out = np.stack([gaussian_filter(p, max(beam, 1) / 2.355) for p in out])
    return peak * out / out.max()


def field_of_emission(shape, peak, seed, *, channels=8.0, pixels=12.0):
    """Positive emission in every pixel and channel, smooth along both."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, (channels, pixels, pixels))
    smooth = smooth - smooth.min()
    return peak * (0.05 + 0.95 * smooth / smooth.max())


def true_sigma(noise):
    return float(np.sqrt(np.nanmean(np.square(noise, dtype=float))))


CASES = [(0, "white_convolved")] + [(b, f) for b in (2, 5, 10) for f in ("white_convolved", "imaged")]


@pytest.mark.parametrize(("beam", "family"), CASES)
@pytest.mark.parametrize("peak", [0, 3, 8, 50])
def test_sigma_within_two_percent(beam, family, peak):
    noise = beam_model(beam, family).sample(seed=10 + peak)
    data = noise + (discs(SHAPE, peak, beam, seed=peak) if peak else 0)
    assert estimate(data).typical == pytest.approx(true_sigma(noise), rel=0.02)


@pytest.mark.parametrize(("beam", "family"), [(0, "imaged"), (4, "white_convolved"), (5, "imaged")])
@pytest.mark.parametrize(("peak", "channels"), [(20, 8.0), (60, 15.0), (30, 4.0)])
def test_sigma_under_emission_that_fills_the_field(beam, family, peak, channels):
    noise = beam_model(beam, family).sample(seed=3)
    model = estimate(noise + field_of_emission(SHAPE, peak, seed=4, channels=channels))
    assert model.typical == pytest.approx(true_sigma(noise), rel=0.02)
    assert np.ptp(model.relative) == 0


def filled_field(beam, family, seed):
    """Truth of a field full of emission, and the noise, of a 40 x 96 x 96 cube."""
    simulated = simulate_cube(seed, kind="filled", beam=(1.1 * beam, beam / 1.1, 30.0), noise=family)
    return simulated.truth, simulated.noise


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 8))]


@pytest.mark.parametrize("beam", [3, 5, 10])
@pytest.mark.parametrize("family", ["white_convolved", "imaged"])
@pytest.mark.parametrize("seed", SEEDS)
def test_sigma_of_simulated_fields_full_of_emission(beam, family, seed, request):
    if (beam, family, seed) == (10, "imaged", 7):
        reason = "5 % high at a peak SNR of 8: its emission varies as smoothly as the noise of so wide a beam"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    # against the root mean square of the noise that was drawn: with a beam of 10 pixels a cube holds so few
    # beams that this itself scatters by more than 1 % about the sigma it was drawn with
    truth, noise = filled_field(beam, family, seed)
    for peak_snr in (3, 8, 20):
        found = estimate(noise + peak_snr * truth).typical
        assert found == pytest.approx(true_sigma(noise), rel=0.02), f"peak SNR {peak_snr}"


@pytest.mark.parametrize(("beam", "step"), [(0, 3), (4, 3), (12, 7)])
def test_a_thinned_cube_gives_what_all_pixels_give(beam, step, monkeypatch):
    shape = (12, 400, 400)
    data = beam_model(beam, shape=shape).sample(seed=4)
    data += discs(shape, 20, beam, seed=1)
    data[:, :30, :50] = np.nan
    thinned = estimate(data)
    assert step_for(shape, max(thinned.correlation_fwhm)) == step
    monkeypatch.setattr("denoise.noise.estimate.step_for", lambda shape, width: 1)
    whole = estimate(data)
    assert thinned.typical == pytest.approx(whole.typical, rel=0.005)
    np.testing.assert_allclose(thinned.channel_sigma, whole.channel_sigma, rtol=0.02)
    np.testing.assert_array_equal(np.isnan(thinned.relative), np.isnan(whole.relative))
    assert thinned.tails.negative_tail_agrees == whole.tails.negative_tail_agrees


def test_absorption_smaller_than_a_square_of_a_thinned_cube_is_seen():
    data = beam_model(0, shape=(12, 400, 400)).sample(seed=4)
    assert estimate(data).tails.negative_tail_agrees
    data[6, 200, 200] = -8.0  # not the pixel that is picked
    assert step_for(data.shape, 1.0) == 3
    assert 200 % 3 != 1
    assert not estimate(data).tails.negative_tail_agrees


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_byte(threads):
    data = beam_model(4, shape=(40, 200, 200)).sample(seed=3) + discs((40, 200, 200), 8, 4, seed=2)
    one, other = (
        estimate_noise(Cube(data.astype(np.float32)), block_voxels=200_000, threads=n) for n in (1, threads)
    )
    np.testing.assert_array_equal(one.sigma(), other.sigma())
    assert one.tails == other.tails


@pytest.mark.parametrize("emission", ["none", "filled"])
@pytest.mark.parametrize("shape", [(40, 96, 96), (40, 150, 160), (60, 300, 300), (500, 64, 64)])
def test_memory_is_as_declared(shape, emission):
    data = NoiseModel.white(shape, 1.0).sample(seed=1)
    if emission == "filled":
        data += field_of_emission(shape, 30, seed=4)
    estimate(data[:, :40, :40])
    cube = Cube(data)
    tracemalloc.start()
    estimate_noise(cube)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= memory_of_estimate(shape)


def test_sigma_and_acf_of_a_larger_cube():
    truth = beam_model(5, "imaged", (60, 200, 200))
    noise = truth.sample(seed=2)
    model = estimate(noise + discs(truth.shape, 20, 5, seed=1))
    assert model.typical == pytest.approx(true_sigma(noise), rel=0.02)
    lags = cov.resize_centred(model.spatial_acf, (13, 13)) - cov.resize_centred(truth.spatial_acf, (13, 13))
    assert np.abs(lags).max() < 0.02
    assert model.spectral_acf.size == 1 or np.abs(model.spectral_acf[1:]).max() < 0.05


def test_anisotropic_acf_keeps_its_direction():
    truth = NoiseModel.from_beam((40, 128, 128), 1.0, (8.0, 4.0, 45.0))
    model = estimate(truth.sample(seed=5))
    centre = np.array(model.spatial_acf.shape) // 2
    along, across = (
        model.spatial_acf[tuple(centre + np.array([3, -3]))],
        model.spatial_acf[tuple(centre + np.array([3, 3]))],
    )
    expected = np.array(truth.spatial_acf.shape) // 2
    assert along == pytest.approx(truth.spatial_acf[tuple(expected + np.array([3, -3]))], abs=0.03)
    assert across == pytest.approx(truth.spatial_acf[tuple(expected + np.array([3, 3]))], abs=0.03)


def b3_bands(scales):
    """Details of the starlet transform as single kernels."""
    kernel = np.ones((1, 1))
    for j in range(scales):
        taps = np.zeros(4 * 2**j + 1)
        taps[:: 2**j] = np.array([1, 4, 6, 4, 1]) / 16
        wider = convolve(convolve(kernel, taps[None, :]), taps[:, None])
        yield cov.resize_centred(kernel, wider.shape) - wider
        kernel = wider


def test_filtered_sigma_of_the_estimate_serves_wavelet_bands():
    truth = beam_model(5, "white_convolved")
    model = estimate(truth.sample(seed=8) + discs(SHAPE, 10, 5, seed=1))
    for band in b3_bands(4):
        assert model.filtered_sigma(band) == pytest.approx(truth.filtered_sigma(band), rel=0.1)


@pytest.mark.parametrize("beam", [0, 5])
def test_equal_channels_are_pooled_and_a_flat_field_stays_flat(beam):
    model = estimate(beam_model(beam).sample(seed=12))
    assert np.ptp(model.channel_sigma) < 1e-6
    assert np.ptp(model.relative) == 0


def test_noise_that_changes_with_channel_is_followed():
    ramp = np.linspace(1, 3, SHAPE[0])
    ramp[17] = 6.0
    model = estimate(NoiseModel.from_beam(SHAPE, ramp, (3, 3, 0)).sample(seed=1))
    error = 1 / np.sqrt(2 * 96 * 96 / np.sum(model.spatial_acf**2))
    assert np.abs(model.channel_sigma / ramp - 1).max() < 4 * error


def test_noisy_channel_under_emission_that_fills_the_field():
    sigma = np.ones(SHAPE[0])
    sigma[17] = 3.0
    data = NoiseModel.white(SHAPE, sigma).sample(seed=1) + field_of_emission(SHAPE, 30, seed=4)
    found = estimate(data).channel_sigma
    assert found[17] == pytest.approx(3.0, rel=0.1)
    assert np.median(found) == pytest.approx(1.0, rel=0.02)


def primary_beam():
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    gain = np.exp(-0.5 * ((y - 48) ** 2 + (x - 48) ** 2) / 34**2)
    return np.where(gain > 0.3, gain, np.nan)


@pytest.mark.parametrize("beam", [0, 5])
def test_map_follows_the_inverse_gain(beam):
    gain = primary_beam()
    truth = beam_model(beam, "imaged", relative=(1 / gain).astype(np.float32))
    model = estimate(truth.sample(seed=3))
    ratio = model.sigma()[0] * gain
    rings = [(0.3, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)]
    medians = [np.median(ratio[(gain >= low) & (gain < high)]) for low, high in rings]
    assert np.abs(np.array(medians) - 1).max() < 0.1
    assert np.isnan(model.sigma()[:, np.isnan(gain)]).all()


def test_given_gain_sets_the_map():
    gain = primary_beam()
    noise = beam_model(5, "imaged", relative=(1 / gain).astype(np.float32)).sample(seed=3)
    model = estimate(noise, gain=Pixels(gain[None].astype(np.float32)))
    product = (model.sigma()[0] * gain)[np.isfinite(gain)]
    np.testing.assert_allclose(product, model.channel_sigma[0], rtol=1e-4)
    assert model.channel_sigma[0] == pytest.approx(1.0, rel=0.02)


def test_spectral_correlation_is_measured():
    rho = cov.valid_acf(np.array([1.0, 0.67, 0.2]))
    truth = NoiseModel.from_beam((80, 70, 130), 1.0, (3, 3, 0), spectral_acf=rho)
    noise = truth.sample(seed=1)
    model = estimate(noise + discs(truth.shape, 20, 3, seed=1))
    assert model.typical == pytest.approx(true_sigma(noise), rel=0.02)
    assert model.spectral_acf[1] == pytest.approx(rho[1], abs=0.04)
    assert model.spectral_acf[2] == pytest.approx(rho[2], abs=0.04)


def test_absorption_and_bowls_are_not_noise_and_are_seen():
    noise = beam_model(4, "imaged").sample(seed=21)
    deep = noise.copy()
    deep[10:20, 30:50, 30:50] -= 8.0
    bowl = noise - 0.8 * np.exp(-0.5 * np.hypot(*np.mgrid[-48:48, -48:48]) ** 2 / 15**2)
    for data in (deep, bowl):
        model = estimate(data)
        assert model.typical == pytest.approx(true_sigma(noise), rel=0.02)
        assert not model.tails.negative_tail_agrees
        assert not judge_tails(data.astype(np.float32), model).negative_tail_agrees


@pytest.mark.parametrize("beam", [0, 4])
def test_negative_tail_agrees_on_noise_and_emission(beam):
    verdicts = []
    for seed in range(8):
        noise = beam_model(beam, "imaged", (20, 64, 64)).sample(seed=100 + seed)
        for data in (noise, noise + discs(noise.shape, 30, beam, seed=seed)):
            verdicts.append(estimate(data).tails.negative_tail_agrees)
    assert all(verdicts)


@pytest.mark.parametrize("factor", [1e-18, 1e6])
def test_scaling_the_data_scales_sigma_exactly(factor):
    data = beam_model(4).sample(seed=3) + discs(SHAPE, 8, 4, seed=2)
    one, other = estimate(data), estimate(data * factor)
    assert other.typical / factor == pytest.approx(one.typical, rel=1e-4)
    np.testing.assert_allclose(other.spatial_acf, one.spatial_acf, atol=1e-4)


def test_missing_excluded_and_padded_voxels():
    rng = np.random.default_rng(3)
    data = NoiseModel.white((40, 64, 64), 2.0).sample(seed=3)
    data[5] = np.nan
    data[20, 30:40] = np.nan
    data[rng.random(data.shape) < 0.05] = np.nan
    data[:, :20] = 0.0
    excluded = np.zeros((40, 1, 1), dtype=bool)
    excluded[30:36] = True
    data[30:36] *= 40.0
    model = estimate(data, excluded=excluded)
    assert model.typical == pytest.approx(2.0, rel=0.02)
    assert np.isfinite(model.channel_sigma).all()


def test_same_numbers_every_time_and_for_any_block_size():
    data = beam_model(4).sample(seed=3) + discs(SHAPE, 8, 4, seed=2)
    one, again = estimate(data), estimate(data)
    np.testing.assert_array_equal(one.sigma(), again.sigma())
    small = estimate(data, block_voxels=60_000)
    assert small.typical == pytest.approx(one.typical, rel=0.005)


def test_a_large_cube_is_never_read_at_once():
    cube = Cube(NoiseModel.white((64, 320, 320), 1.0).sample(seed=1))
    model = estimate_noise(cube, block_voxels=500_000)
    assert cube.largest <= 1_000_000
    assert model.typical == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    "shape", [(1, 64, 64), (2, 64, 64), (3, 64, 64), (6, 48, 48), (1800, 8, 6), (40, 3, 200)]
)
def test_images_few_channels_and_few_spaxels(shape):
    assert estimate(NoiseModel.white(shape, 3.0).sample(seed=4)).typical == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("shape", [(200, 1, 1), (100, 2, 2), (25, 1, 1), (1, 5, 5), (1, 1, 100)])
def test_a_handful_of_voxels_still_gives_a_number(shape):
    data = NoiseModel.white(shape, 3.0).sample(seed=4)
    error = 1 / np.sqrt(2 * data.size)
    assert estimate(data).typical == pytest.approx(data.std(), rel=0.1 + 3 * error)


def test_image_of_stars_on_a_sky():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:256, :256]
    image = 20.0 * NoiseModel.white((1, 256, 256), 1.0).sample(seed=6)[0]
    for _ in range(60):
        cy, cx = rng.uniform(0, 256, 2)
        image += 10 ** rng.uniform(2, 4.5) * np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / 1.8**2)
    image += 1000 + 0.2 * x + 0.1 * y
    assert estimate(image[None]).typical == pytest.approx(20.0, rel=0.03)
    counts = estimate(np.round(image)[None])
    assert counts.typical == pytest.approx(20.0, rel=0.03)


@pytest.mark.parametrize(
    "data", [np.full((4, 8, 8), np.nan), np.ones((19, 1, 1)) * np.arange(19)[:, None, None]]
)
def test_too_little_to_estimate_from(data):
    with pytest.raises(NoiseError, match="too few voxels"):
        estimate(data)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_data_are_refused(value):
    with pytest.raises(NoiseError, match="constant"):
        estimate(np.full((4, 8, 8), value))


def test_data_without_noise_give_a_tiny_sigma_not_an_error():
    data = discs((30, 40, 40), 1.0, 4, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DenoiseWarning)  # it may say that no voxel looks like noise
        model = estimate(data)
    assert 0 < model.typical < 0.02


def varied_noise(seed=1):
    """Noise and its known sigma, varying by 4 over field and channels."""
    rng = np.random.default_rng(seed)
    sigma = gaussian_filter(rng.normal(size=SHAPE), (3, 8, 8))
    sigma = 2e-3 * np.exp(0.5 * sigma / sigma.std())
    return sigma * NoiseModel.white(SHAPE, 1.0).sample(seed=seed), sigma


@pytest.mark.parametrize(("kind", "power"), [("sigma", 1), ("variance", 2), ("weight", -2)])
def test_companion_is_trusted_and_checked(kind, power):
    noise, sigma = varied_noise()
    model = estimate(noise + 2e-3 * discs(SHAPE, 20, 4, seed=1), noise_source=Source(kind, sigma**power))
    np.testing.assert_allclose(model.sigma(), sigma, rtol=1e-4)
    assert model.details["measured_over_given"] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("kind", "power"), [("sigma", 1), ("variance", 2), ("weight", -2)])
@pytest.mark.parametrize("unit", [1.0, 500.0, 1e-17])
def test_unknown_companion_is_recognised(kind, power, unit):
    noise, sigma = (a * unit for a in varied_noise())
    with pytest.warns(DenoiseWarning, match=kind):
        model = estimate_noise(Cube(noise, noise_source=Source("unknown", sigma**power)))
    np.testing.assert_allclose(model.sigma(), sigma, rtol=1e-4)


def test_wrong_companion_is_reported_with_both_values():
    noise, sigma = varied_noise()
    with pytest.warns(DenoiseWarning, match="factor 3") as caught:
        model = estimate(noise, noise_source=Source("sigma", 3 * sigma))
    assert f"{3 * np.median(sigma):.2g}"[:3] in str(caught[0].message)
    assert model.typical == pytest.approx(3 * np.median(sigma), rel=0.05)
    with pytest.warns(DenoiseWarning):
        scaled = estimate(noise, noise_source=Source("sigma", 3 * sigma), companion="scale")
    np.testing.assert_allclose(scaled.sigma(), sigma, rtol=0.03)
    ignored = estimate(noise, noise_source=Source("sigma", 3 * sigma), companion="ignore")
    assert ignored.pixels is None
    with pytest.raises(NoiseError, match="trust"):
        estimate(noise, companion="maybe")


def test_companion_with_missing_values():
    noise, sigma = varied_noise()
    variance = sigma**2
    variance[:, :10] = 0.0
    variance[:, 10:12] = np.nan
    model = estimate(noise, noise_source=Source("variance", variance))
    assert np.isnan(model.sigma()[:, :12]).all()
    assert model.details["measured_over_given"] == pytest.approx(1.0, rel=0.02)


def test_continuum_is_not_noise():
    rng = np.random.default_rng(2)
    rho = cov.valid_acf(np.array([1.0, 0.2]))
    noise = NoiseModel.white((300, 24, 24), 1.0, spectral_acf=rho).sample(seed=2)
    slope = rng.uniform(-5, 30, (24, 24)) * (1 + 0.3 * np.linspace(-1, 1, 300)[:, None, None])
    model = estimate(noise + slope)
    assert model.typical == pytest.approx(1.0, rel=0.02)
    assert model.spectral_acf[1] == pytest.approx(0.2, abs=0.03)


def test_given_psf_is_the_acf():
    psf = cov.beam_acf((6.0, 5.0, 0.0), family="imaged")
    model = estimate(beam_model(5, "imaged").sample(seed=3), psf=psf)
    np.testing.assert_allclose(model.spatial_acf, cov.psf_acf(psf))


def test_residual_acf_tells_right_from_wrong():
    truth = beam_model(5, "imaged")
    noise = truth.sample(seed=9)
    right = residual_acf(truth, noise)
    assert right.whiteness < 2.5
    assert right.sigma_ratio == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(right.along_x, right.model_x, atol=0.06)
    assert residual_acf(NoiseModel.white(SHAPE, 1.0), noise).whiteness > 10
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 40:60] = True
    assert residual_acf(truth, np.where(mask, 50.0, noise), mask=mask).whiteness < 2.5


@pytest.mark.parametrize("tasks", [1, 3, 1000])
def test_a_pass_in_other_processes_gives_the_same_bytes(tasks, monkeypatch):
    monkeypatch.setattr("denoise.noise.estimate._TASKS", tasks)
    given = []

    def spread(work, items):
        given.append(len(items))
        return map(work, items)

    cube = Cube(NoiseModel.from_beam((48, 160, 160), 2.0, (4.0, 3.0, 20.0)).sample(seed=4))
    here = estimate_noise(cube, block_voxels=40_000)
    apart = estimate_noise(cube, block_voxels=40_000, spread=spread)
    assert len(given) == 1
    assert given[0] <= tasks
    for name in ("channel_sigma", "relative", "spatial_acf", "spectral_acf"):
        assert np.array_equal(getattr(here, name), getattr(apart, name))
    assert here.tails == apart.tails


@pytest.mark.parametrize("sign", [1, -1])
def test_a_source_in_an_image_is_not_taken_for_more_noise(sign):
    y, x = np.mgrid[:80, :80]
    source = 20 * np.exp(-((y - 30.0) ** 2 + (x - 44.0) ** 2) / (2 * 5.0**2))
    noise = np.random.default_rng(8).standard_normal((80, 80))
    sigma = np.broadcast_to(estimate_noise(Cube((noise + sign * source)[None])).sigma(), (1, 80, 80))
    assert sigma[0, 30, 44] == pytest.approx(1, abs=0.1)
    assert sigma.max() < 1.2


def test_noise_that_grows_over_an_image_is_seen():
    growing = np.linspace(1, 3, 96)[None, :, None]
    noise = np.random.default_rng(9).standard_normal((1, 96, 96)) * growing
    sigma = estimate_noise(Cube(noise)).sigma()
    assert np.median(np.abs(sigma / growing - 1)) < 0.1


@pytest.mark.parametrize(("channels", "bad"), [(3, 0), (3, 1), (4, 2), (6, 3), (8, 4), (12, 5)])
def test_a_channel_without_data_among_few_leaves_a_noise_estimate(channels, bad):
    data = np.random.default_rng(4).normal(0, 2, (channels, 40, 40)).astype(np.float32)
    data[bad] = np.nan
    sigma = estimate_noise(Cube(data)).sigma()
    assert np.nanmedian(sigma) == pytest.approx(2, rel=0.05)
