"""The published algorithm: its transform, a literal version of its loops, and its own scores."""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from denoise.methods._ist_reference import ReferenceTuning, Transform, published
from denoise.metrics import accuracy
from denoise.metrics.apertures import emission_mask
from denoise.testing.subject import observation
from denoise.transforms.wavelets import wavelet

SHAPE = (12, 24, 20)
ROOT = os.environ.get("DENOISE_TEST_DATA")
BENCH = Path(ROOT or ".") / "bench"
needs_data = pytest.mark.skipif(not ROOT, reason="DENOISE_TEST_DATA is not set")
KEYS = (
    "rmse_ratio_aperture",
    "rmse_ratio_emission",
    "rmse_ratio_cube",
    "flux_aperture_percent",
    "flux_emission_percent",
    "peak_kept",
)


def smooth(cube, step):
    taps = np.zeros(4 * step + 1)
    taps[::step] = np.array([1, 4, 6, 4, 1]) / 16
    return correlate1d(correlate1d(cube, taps, 1, mode="nearest"), taps, 2, mode="nearest")


def mirrored(cube, taps):
    return np.sqrt(2) * correlate1d(cube, taps, 0, mode="mirror")


def spectral(cube, levels):
    """Bands one after the other, coarse first."""
    bank, bands = wavelet("biorthogonal"), []
    assert (len(bank.dual_low), len(bank.dual_high)) == (7, 9)
    for _ in range(levels):
        bands.insert(0, mirrored(cube, bank.dual_high)[1::2])
        cube = mirrored(cube, bank.dual_low)[::2]
    return np.concatenate([cube, *bands])


def spectral_back(coefficients, sizes):
    bank = wavelet("biorthogonal")
    cube, *bands = np.split(coefficients, np.cumsum(sizes)[:-1])
    for high in bands:
        even, odd = np.zeros((2, len(cube) + len(high), *cube.shape[1:]))
        even[::2], odd[1::2] = cube, high
        cube = mirrored(even, bank.low) + mirrored(odd, bank.high)
    return cube


def literal_forward(cube, spatial, levels):
    details, current = [], cube
    for j in range(spatial):
        coarse = smooth(current, 2**j)
        details.append(current - smooth(coarse, 2**j))
        current = coarse
    return np.array([spectral(d, levels) for d in [*details, current]])


def literal_synthesis(coefficients, sizes):
    rows = [spectral_back(c, sizes) for c in coefficients]
    current = rows[-1]
    for j in range(len(rows) - 2, -1, -1):
        current = smooth(current, 2**j) + rows[j]
    return current


def literal_levels(coefficients, sizes):
    result = np.empty_like(coefficients)
    edges = [0, *np.cumsum(sizes)]
    for j, rows in enumerate(coefficients):
        for a, b in pairwise(edges):
            result[j, a:b] = 5 * 1.48 * np.median(np.abs(rows[a:b] - np.median(rows[a:b])))
    return result


def literal_soft(values, threshold):
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def literal(data, spatial, sizes):
    """The whole algorithm in float64."""
    levels = len(sizes) - 1
    alpha = literal_forward(data, spatial, levels)
    level = literal_levels(alpha, sizes)
    threshold, best, least = level, np.zeros_like(data), data.std()
    spreads = []
    for _ in range(100):
        x = np.maximum(literal_synthesis(literal_soft(alpha, threshold), sizes), 0)
        spreads.append((data - x).std())
        if spreads[-1] < least:
            best, least = x, spreads[-1]
        changes = np.abs(np.diff(spreads)) / spreads[:-1]
        if len(changes) >= 5 and (changes[-5:] <= 1e-3).all():
            break
        own = literal_forward(x, spatial, levels)
        weight = literal_levels(own, sizes) / (np.abs(own) + 1e-33)
        threshold = np.where(np.abs(alpha) > level, weight * level, level)
    support, x, before = literal_forward(best, spatial, levels) != 0, best, np.inf
    for _ in range(100):
        missed = literal_soft(literal_forward(data - x, spatial, levels), threshold) * support
        x = np.maximum(x + literal_synthesis(missed, sizes), 0)
        spread = (data - x).std()
        if spread < least:
            best, least = x, spread
        if np.isfinite(before) and abs(before - spread) <= 5e-4 * before:
            break
        before = spread
    return best


def test_the_transform_is_the_literal_one():
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    transform = Transform(SHAPE)
    assert transform.spatial == 3
    # coarse first: 12 channels give 6 + 3 details and 3 coarse ones
    assert transform.bands == [slice(6, 12), slice(3, 6), slice(0, 3)]
    assert np.allclose(transform.forward(data), literal_forward(data.astype(float), 3, 2), atol=2e-6)


@pytest.mark.parametrize("shape", [SHAPE, (1, 9, 8), (2, 4, 4), (5, 3, 7), (11, 1, 1), (37, 17, 33)])
def test_the_transform_reconstructs_whatever_the_shape(shape):
    data = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    transform = Transform(shape)
    assert np.allclose(transform.synthesis(transform.forward(data)), data, atol=3e-6)


def test_sigma_is_of_each_band():
    transform = Transform(SHAPE)
    coefficients = np.zeros((4, *SHAPE), np.float32)
    coefficients[1, 6:12] = np.random.default_rng(2).normal(7, 3, (6, *SHAPE[1:]))
    sigma = transform.sigma(coefficients)[..., 0, 0]
    assert sigma[1, 6:12] == pytest.approx(3, rel=0.06)
    sigma[1, 6:12] = 0
    assert (sigma == 0).all()


@pytest.mark.parametrize("peak_snr", [12.0, 25.0])
def test_the_loops_are_the_literal_ones(peak_snr):
    data, _, _ = observation(SHAPE, peak_snr=peak_snr)
    expected = literal(data.astype(float), 3, [3, 3, 6])
    assert expected.max() > 0.3 * peak_snr
    assert np.allclose(published(data)[0], expected, atol=1e-3)


def test_threads_and_units_do_not_matter():
    data, _, _ = observation(SHAPE, peak_snr=25.0)
    estimate, steps = published(data)
    assert np.array_equal(published(data, threads=2)[0], estimate)
    scaled = published(data * np.float32(2**-20))
    assert np.array_equal(scaled[0] * 2**20, estimate)
    assert scaled[1] == steps


def test_noise_below_every_threshold_gives_zero_and_both_loops_end():
    data = np.random.default_rng(3).uniform(-1, 1, SHAPE).astype(np.float32)
    estimate, steps = published(data, ReferenceTuning(threshold=20.0))
    assert not estimate.any()
    assert steps == 6 + 2  # the first step of a loop has nothing to compare with


def scores(path, snr):
    """Of ours and of the published code on one cube, in the order of KEYS."""
    with np.load(path) as file:
        truth, noise, aperture = file["truth"], file["noise"], file["aperture"]
    noisy = truth + noise / np.float32(snr)
    estimate, _ = published(noisy)
    regions = (aperture, emission_mask(truth), None)
    ours = [accuracy.rmse_ratio(truth, noisy, estimate, mask) for mask in regions]
    ours += [accuracy.flux_percent(truth, estimate, mask) for mask in regions[:2]]
    wanted = (path.stem, snr, "published_ist")
    rows = json.loads((BENCH / "reference_scores.json").read_text())
    theirs = next(row for row in rows if (row["cube"], row["peak_snr"], row["method"]) == wanted)
    return [*ours, accuracy.peak_kept(truth, estimate)], [theirs[key] for key in KEYS]


def assert_close(ours, theirs):
    assert ours[:3] == pytest.approx(theirs[:3], rel=0.15)
    assert ours[3:5] == pytest.approx(theirs[3:5], abs=5)
    assert ours[5] == pytest.approx(theirs[5], rel=0.15)


@needs_data
@pytest.mark.parametrize(("cube", "snr"), [("resolved_1202", 2.75), ("unresolved_1101", 7.0)])
def test_scores_of_the_published_code(cube, snr):
    assert_close(*scores(BENCH / f"{cube}.npz", snr))


@needs_data
@pytest.mark.full
@pytest.mark.parametrize("snr", [2.75, 4.5, 7.0])
def test_table_of_the_published_code(snr):
    cubes = np.array([scores(path, snr) for path in sorted(BENCH.glob("*.npz"))])
    assert len(cubes) == 10
    ratios, means = np.median(cubes, axis=0)[:, :3], np.mean(cubes, axis=0)[:, 3:]
    assert_close(*np.hstack([ratios, means]).tolist())
