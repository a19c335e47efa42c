"""The scale-space search: calibrated by the noise model, local, both signs, few false alarms."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import label
from scipy.stats import norm

from denoise.noise import NoiseModel
from denoise.testing.subject import blob, noise_model, observation
from denoise.transforms import detection
from denoise.transforms.bitmask import BitMask, scan, take_off
from denoise.transforms.positivity import BOX, without_negatives
from denoise.transforms.smoothing import box_mean, correlate, gaussian, scaling_cubes
from denoise.transforms.wavelets import B3
from denoise.transforms.windows import windows_around

SHAPE = (20, 48, 48)


@pytest.mark.parametrize("noise", [noise_model(SHAPE), NoiseModel.white(SHAPE, 1.0)], ids=["beam", "white"])
def test_what_noise_keeps_after_smoothing_is_what_draws_keep(noise):
    scales = detection.search_scales(SHAPE)
    left = detection.noise_left(noise, scales)
    squares = np.zeros(left.shape)
    for draw in range(12):
        data = noise.sample(seed=2, draw=draw)
        # mirrored borders are no part of the prediction: only the middle counts
        for scale, cube in scaling_cubes(data, spatial_scales=scales[0], spectral_scales=scales[1]):
            squares[scale] += np.mean(np.square(cube[9:11, 22:26, 22:26])) / 12
    assert left[0, 0] == pytest.approx(1, abs=1e-6)
    fine = left[:2, :2]
    assert np.sqrt(squares[:2, :2]) == pytest.approx(fine, rel=0.35)
    assert (np.diff(left, axis=0) < 0).all()
    assert (np.diff(left, axis=1) < 0).all()


def test_seed_levels_expect_as_many_noise_peaks_at_every_scale():
    noise = noise_model(SHAPE)
    levels = detection.seed_levels(noise, (2, 2), 5.0)
    assert levels.shape == (2, 3, 3)
    assert (np.diff(levels, axis=1) < 0).all()
    assert (np.diff(levels, axis=2) < 0).all()
    assert (levels[1] < levels[0]).all()
    white = detection.seed_levels(NoiseModel.white(SHAPE, 1.0), (2, 2), 5.0)
    assert white[0, 0, 0] == pytest.approx(5.0, abs=1e-3)
    assert detection.seed_levels(noise, (2, 2), 2.0).min() >= 3.0


def test_peaks_of_noise_above_a_seed_level_are_as_many_as_expected():
    shape = (24, 64, 64)
    white = NoiseModel.white(shape, 1.0)
    peaks = 0
    for draw in range(20):
        peaks += label(white.sample(seed=3, draw=draw) > 3.5)[1]
    expected = 20 * np.prod(shape) * norm.sf(3.5)
    assert abs(peaks - expected) < 4 * np.sqrt(expected)  # isolated voxels: one peak each
    # the Euler characteristic counts the peaks of a smooth field; a lattice of independent values has fewer
    assert np.prod(shape) * 20 * detection.peak_density(3.5, spectral=True) > 0.5 * expected


def test_sources_are_found_where_they_are():
    data, truth, noise = observation(SHAPE, peak_snr=12.0)
    found = detection.support(data, noise)
    assert found[truth > 6].all()
    assert not found[truth < 1e-10].any()  # seven widths of the source away: kernels and beam widen it
    assert detection.support(-data, noise, both_signs=True)[truth > 6].all()


def test_absorption_is_not_found_as_emission():
    data, truth, noise = observation(SHAPE, peak_snr=12.0)
    assert not detection.support(-data, noise)[truth > 6].any()


def test_missing_data_are_never_found():
    data, _, noise = observation(SHAPE, peak_snr=12.0)
    data[8:12] = np.nan
    found = detection.support(data, noise)
    assert not found[8:12].any()
    assert not detection.support(np.full_like(data, np.nan), noise).any()


def test_standardised_is_zero_where_anything_is_unknown():
    sigma = np.array([[[1.0, 2.0, np.nan, 0.0]]], np.float32)
    block = np.array([[[3.0, np.nan, 1.0, 1.0]]], np.float32)
    ratio, valid = detection.standardise(block, sigma)
    assert ratio.tolist() == [[[3.0, 0.0, 0.0, 0.0]]]
    assert valid.tolist() == [[[True, False, False, False]]]


@pytest.mark.parametrize(("shape", "axis"), [((8, 24, 200), 2), ((200, 12, 12), 0)])
def test_the_halo_is_all_that_a_search_sees(shape, axis):
    noise = noise_model(shape)
    data, _, _ = observation(shape, peak_snr=8.0)
    reach = detection.halo(shape)[axis]
    assert reach < shape[axis] - 20
    changed = data.copy()
    near = [slice(None)] * 3
    near[axis] = slice(0, 3)
    changed[tuple(near)] = 50
    far = [slice(None)] * 3
    far[axis] = slice(3 + reach, None)
    scales = detection.search_scales(shape)
    left, seeds = detection.noise_left(noise, scales), detection.seed_levels(noise, scales)
    first, second = (
        detection.search(each, left, seeds=seeds, both_signs=True, faint=True) for each in (data, changed)
    )
    for name in ("region", "faint"):
        a, b = (getattr(found, name)[tuple(far)] for found in (first, second))
        assert np.array_equal(a, b), name


def test_threads_do_not_matter():
    data, _, noise = observation(SHAPE)
    scales = detection.search_scales(SHAPE)
    left, seeds = detection.noise_left(noise, scales), detection.seed_levels(noise, scales)
    one, two = (detection.search(data, left, seeds=seeds, faint=True, threads=n) for n in (1, 2))
    assert np.array_equal(one.region, two.region)
    assert np.array_equal(one.faint, two.faint)


def test_noise_alone_is_rarely_a_source():
    shape = (24, 64, 64)
    noise = noise_model(shape)
    regions = sum(label(detection.support(noise.sample(seed=7, draw=k), noise))[1] for k in range(20))
    assert regions <= 2


def test_a_faint_extended_source_needs_the_scales():
    shape = (20, 64, 64)
    noise = NoiseModel.white(shape, 1.0)
    data = noise.sample(seed=5) + 1.2 * np.float32(blob((20, 64, 64)) ** 0.1)
    found = detection.support(data, noise)
    assert found[10, 30:34, 30:34].all()


@pytest.mark.parametrize("shape", [(5, 9, 64), (7, 40, 130), (1, 20, 30)])
@pytest.mark.parametrize("both", [False, True])
def test_scan_marks_what_the_scaling_cubes_exceed(shape, both):
    rng = np.random.default_rng(1)
    data = rng.normal(size=shape).astype(np.float32)
    levels = np.array([[1.5, 1.0], [0.9, 1.2], [9.0, 0.4]], np.float32)
    bits, found = scan(data, levels, both_signs=both, threads=2)
    mask = BitMask(shape)
    for (_, j1), cube in scaling_cubes(data, spatial_scales=0, spectral_scales=2):
        for kind, level in enumerate(levels[j1]):
            mask.bits[:] = bits[j1, kind]
            wanted = (np.abs(cube) if both else cube) > level
            assert np.array_equal(mask.booleans(), wanted)
            assert found[j1, kind] == wanted.any()


def test_what_is_bright_is_taken_off():
    data = np.random.default_rng(2).normal(size=(6, 20, 70)).astype(np.float32)
    smooth = correlate(data, spatial_taps=B3)
    whole = correlate(correlate(smooth, spectral_taps=B3), spectral_taps=B3, step=2)
    out = data.copy()
    bits = take_off(out, smooth, 0.2, out, scales=2, both_signs=True, threads=2)
    bright = np.abs(whole) > 0.2
    assert np.abs(out - np.where(bright, data - whole, data)).max() < 1e-5
    mask = BitMask(data.shape)
    assert bits is not None
    mask.join(bits)
    assert np.array_equal(mask.booleans(), bright)
    assert take_off(data, smooth, 9.0, out, scales=2, both_signs=False) is None
    assert np.array_equal(out, data)


def test_windows_hold_the_mask_and_what_is_around_it():
    mask = np.zeros((30, 150, 170), bool)
    for c, y, x in ((10, 5, 8), (12, 12, 30), (3, 100, 160), (29, 60, 40), (20, 64, 62)):
        mask[c, y, x] = True
    windows = windows_around(mask, (2, 7), threads=2)
    seen = np.zeros(mask.shape, int)
    for window in windows:
        seen[window] += 1
    assert seen.max() == 1
    wide = ndimage.maximum_filter(mask, (5, 15, 15), mode="constant")
    assert (seen[wide] == 1).all()
    assert seen.mean() < 0.5
    assert windows_around(np.zeros((2, 5, 5), bool), (1, 1)) == []


@pytest.mark.parametrize("share", [0.002, 0.3])
def test_soft_edges_and_cutting_in_windows_equal_those_of_the_whole(share):
    rng = np.random.default_rng(3)
    support = ndimage.binary_dilation(rng.random((20, 140, 150)) < share / 200, iterations=4)
    whole = gaussian(support, spatial=1.5, spectral=1.0, border="mirror")
    assert np.abs(detection._soft_edge(support, 2) - whole).max() < 1e-6
    data = rng.normal(size=support.shape).astype(np.float32)
    values, level = data * support, np.zeros_like(data)
    half = (BOX[0], BOX[1], BOX[1])
    for _ in range(2):
        left = np.maximum(values - level, 0) * support
        too_much, above = box_mean(left - values, half), box_mean((left > 0).astype(np.float32), half)
        level += np.maximum(too_much, 0) / np.maximum(above, 0.002)
    wanted = np.maximum(values - level, 0) * support
    assert np.abs(without_negatives(data, support, threads=2) - wanted).max() < 1e-5
