"""Numbers of a run against direct sums; the packed support; the error of a flux against draws."""

import mmap

import numpy as np
import psutil
import pytest

from denoise.engine.account import Account, PackedMask, flux_error, mad_of_histogram
from denoise.noise import NoiseModel

SHAPE = (7, 13, 21)


@pytest.fixture
def counted():
    """Input, output, sigma and support with missing voxels, and their account in two parts."""
    rng = np.random.default_rng(1)
    before = rng.normal(size=SHAPE).astype(np.float32)
    after = (0.3 * before + 0.05 * rng.normal(size=SHAPE)).astype(np.float32)
    support = rng.random(SHAPE) < 0.2
    sigma = rng.uniform(0.8, 1.2, size=(SHAPE[0], 1, SHAPE[2])).astype(np.float32)
    before[:, :2] = np.nan
    sigma[:, :, 5] = np.nan
    support &= np.isfinite(before)
    account = Account()
    for rows in (slice(0, 6), slice(6, 13)):
        account.add(before[:, rows], after[:, rows], sigma, support[:, rows])
    return before, after, np.broadcast_to(sigma, SHAPE), support, account


def test_sums_are_those_of_numpy(counted):
    before, after, sigma, support, account = counted
    use = np.isfinite(before) & np.isfinite(sigma)
    found = support & use
    residual = ((before - after) / sigma)[use].astype(np.float64)
    numbers = account.summary(noise=2.0, scale=2.0, flux_error=0.5)
    expected = {
        "voxels": use.sum(),
        "detected_voxels": found.sum(),
        "detected_percent": 100 * found.sum() / use.sum(),
        "peak_before": 2 * before[use].max(),
        "peak_after": 2 * after[use].max(),
        "peak_snr_before": (before / sigma)[use].max(),
        "flux_before": 2 * before[found].sum(dtype=float),
        "flux_after": 2 * after[found].sum(dtype=float),
        "flux_change_percent": 100 * (after[found].sum(dtype=float) / before[found].sum(dtype=float) - 1),
        "total_before": 2 * before[use].sum(dtype=float),
        "total_after": 2 * after[use].sum(dtype=float),
        "residual_mean_sigma": residual.mean(),
        "residual_std_sigma": residual.std(),
        "flux_before_error": 0.5,
        "noise_before": 2.0,
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_background_noise_is_a_median_about_zero(counted):
    before, after, sigma, support, account = counted
    use = np.isfinite(before) & np.isfinite(sigma)
    numbers = account.summary(noise=2.0, scale=2.0, flux_error=0.0)
    ratio = 1.4826 * np.median(np.abs((after / sigma)[use & ~support]))
    assert numbers["noise_after"] == pytest.approx(2.0 * ratio, abs=2 * 1.5 / 80)  # one bin
    assert numbers["noise_ratio"] == pytest.approx(1 / ratio, rel=0.1)
    residual = 1.4826 * np.median(np.abs((before - after) / sigma)[use])
    assert numbers["residual_mad_sigma"] == pytest.approx(residual, abs=1.5 / 80)


def test_threads_do_not_change_a_byte(counted):
    before, after, sigma, support, _ = counted
    numbers = []
    for threads in (1, 3):
        account = Account(threads=threads)
        account.add(before, after, sigma, support)
        numbers.append(account.summary(noise=1.0, scale=1.0, flux_error=0.0))
    assert numbers[0] == numbers[1]


def test_what_is_undefined_is_none():
    account = Account()
    account.add(np.ones(SHAPE), np.zeros(SHAPE), np.ones((1, 1, 1)), np.zeros(SHAPE, bool))
    numbers = account.summary(noise=1.0, scale=1.0, flux_error=0.0)
    for name in ("flux_before", "flux_after", "flux_change_percent", "flux_before_error", "noise_after"):
        assert numbers[name] is None


def test_mad_of_a_histogram_of_nothing():
    assert mad_of_histogram(np.zeros(1921, np.int64)) == 0


@pytest.mark.parametrize("most", [None, 10], ids=["in memory", "in a file"])
@pytest.mark.parametrize("width", [1, 8, 21])
def test_packed_mask_is_a_mask(width, most):
    rng = np.random.default_rng(width)
    shape = (5, 6, width)
    mask = rng.random(shape) < 0.3
    packed = PackedMask(shape, most=most)
    assert isinstance(packed._bits, np.memmap) == (most is not None)
    for x in (slice(0, width // 2), slice(width // 2, width)):
        packed.write((slice(0, 5), slice(0, 6), x), mask[:, :, x])
    assert np.array_equal(packed.read(), mask)
    part = (slice(1, 3), slice(2, 6), slice(width // 3, width))
    assert np.array_equal(packed.read(part), mask[part])
    assert packed.count() == mask.sum()
    assert np.array_equal(packed.any_channel(), mask.any(axis=0))
    assert np.array_equal(packed.places(10_000), np.argwhere(mask))


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system does not release mapped pages")
def test_a_mask_in_a_file_takes_no_memory():
    mib = 2**20
    packed = PackedMask((64, 1024, 8 * 1024), most=0)  # 64 MiB
    plane = np.ones((1, 1024, 8 * 1024), bool)
    before = psutil.Process().memory_info().rss
    for channel in range(64):
        packed.write((slice(channel, channel + 1), slice(0, 1024), slice(0, 8 * 1024)), plane)
    assert packed.count() == 64 * plane.size
    assert len(packed.places(10)) == 10
    assert packed.any_channel().all()
    assert psutil.Process().memory_info().rss - before < 32 * mib


def test_places_are_all_voxels_or_evenly_spaced_ones():
    mask = np.random.default_rng(2).random(SHAPE) < 0.1
    packed = PackedMask(SHAPE)
    packed.write((slice(0, 7), slice(0, 13), slice(0, 21)), mask)
    everywhere = np.argwhere(mask)
    assert np.array_equal(packed.places(10_000), everywhere)
    assert np.array_equal(packed.places(1), everywhere[:1])
    assert np.array_equal(packed.places(2), everywhere[[0, -1]])
    some = packed.places(50)
    assert len(some) == 50
    assert mask[tuple(some.T)].all()
    assert PackedMask(SHAPE).places(5).shape == (0, 3)


def test_writing_again_clears_bits():
    packed = PackedMask((1, 2, 10))
    whole = (slice(0, 1), slice(0, 2), slice(0, 10))
    packed.write(whole, np.ones((1, 2, 10), bool))
    packed.write(whole, np.zeros((1, 2, 10), bool))
    assert packed.count() == 0


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 6, 9), (9, 20, 20)])
def test_flux_error_is_the_spread_of_sums_over_draws(size):
    shape = (10, 24, 24)
    spectral = np.array([1.0, 0.6, 0.2])
    gradient = np.linspace(0.7, 1.3, 24, dtype=np.float32)[:, None] * np.ones(24, np.float32)
    model = NoiseModel.from_beam(
        shape, np.linspace(1, 2, 10), (3.5, 3.0, 20.0), spectral_acf=spectral, relative=gradient
    )
    mask = np.zeros(shape, bool)
    mask[: size[0], 2 : 2 + size[1], 2 : 2 + size[2]] = True
    packed = PackedMask(shape)
    packed.write((slice(0, 10), slice(0, 24), slice(0, 24)), mask)
    sums = [model.sample(seed=5, draw=k)[mask].sum() for k in range(300)]
    # 300 draws know their spread to 4 %
    assert flux_error(packed, model) == pytest.approx(np.std(sums), rel=0.13)


def test_flux_error_of_nothing_is_zero():
    assert flux_error(PackedMask(SHAPE), NoiseModel.white(SHAPE, 1.0)) == 0
