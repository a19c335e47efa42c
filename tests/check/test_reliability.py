"""The probability of being real is calibrated, rises with the signal, and stands on few regions."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.check.regions.reliability import FEW, fit_densities


def noise_regions(rng, count):
    """(s, q, log area, log width) as noise draws give them."""
    snr = rng.normal(4.3, 0.5, count)
    return np.column_stack([snr, *(rng.normal(m, w, count) for m, w in ((0.5, 0.1), (3.6, 0.8), (0.1, 0.5)))])


def sources(rng, count):
    snr = 4.3 / rng.random(count)
    return np.column_stack([snr, *(rng.normal(m, w, count) for m, w in ((0.7, 0.2), (3.3, 0.8), (0.1, 0.6)))])


def cubes(seed, number=60, *, rate=2.0, volumes=8.0):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        null = noise_regions(rng, rng.poisson(rate * volumes))
        false, real = noise_regions(rng, rng.poisson(rate)), sources(rng, rng.poisson(3))
        yield null, volumes, np.concatenate([false, real]), np.r_[np.zeros(len(false)), np.ones(len(real))]


def judged(*args, **options):
    rows = [(fit_densities(n, v, f).reliability(f), real) for n, v, f, real in cubes(*args, **options)]
    return np.concatenate([r for r, _ in rows]), np.concatenate([t for _, t in rows]).astype(bool)


@pytest.mark.parametrize(("rate", "volumes"), [(2.0, 8.0), (0.3, 4.0)])
def test_it_is_calibrated_with_many_and_with_few_noise_regions(rate, volumes):
    reliability, real = judged(1, 80, rate=rate, volumes=volumes)
    sure, doubtful = reliability > 0.9, reliability < 0.3
    assert sure.sum() > 100
    assert real[sure].mean() >= 0.95
    assert real[doubtful].mean() <= 0.3 + 1 / np.sqrt(doubtful.sum())
    middle = ~sure & ~doubtful
    assert real[middle].mean() == pytest.approx(reliability[middle].mean(), abs=0.25)


def test_it_tells_sources_from_noise():
    reliability, real = judged(2)
    assert (reliability[real][:, None] > reliability[~real]).mean() > 0.93


def test_it_rises_with_the_signal_everywhere():
    rng = np.random.default_rng(0)
    fitted = fit_densities(noise_regions(rng, 12), 8.0, sources(rng, 4))
    rising = np.column_stack([np.linspace(1, 20, 100), *np.tile([[0.6], [3.4], [0.0]], 100)])
    assert (np.diff(fitted.reliability(rising)) >= -1e-12).all()
    assert fitted.reliability(rising)[-1] > 0.99


def test_what_only_noise_would_keep_so_little_of_counts_less():
    rng = np.random.default_rng(0)
    fitted = fit_densities(noise_regions(rng, 40), 8.0, sources(rng, 4))
    kept, suppressed = np.array([[5.0, 0.85, 3.4, 0.0]]), np.array([[5.0, 0.5, 3.4, 0.0]])
    assert fitted.reliability(kept) > fitted.reliability(suppressed)


def test_without_any_noise_region_a_weak_one_is_still_in_doubt():
    weak, strong = np.array([[4.0, 0.5, 3.5, 0.0]]), np.array([[12.0, 0.8, 3.5, 0.0]])
    fitted = fit_densities(np.zeros((0, 4)), 8.0, np.concatenate([weak, strong]))
    assert fitted.rate == pytest.approx(FEW / 8)
    assert fitted.reliability(weak) < 0.97
    assert fitted.reliability(strong) > 0.99


def test_more_noise_regions_per_cube_lower_it():
    rng = np.random.default_rng(3)
    null, found = noise_regions(rng, 16), np.array([[5.0, 0.6, 3.5, 0.0]])
    assert fit_densities(null, 2.0, found).reliability(found) < fit_densities(null, 16.0, found).reliability(
        found
    )


def test_nothing_found_is_no_error():
    fitted = fit_densities(np.zeros((0, 4)), 9.0, np.zeros((0, 4)))
    assert fitted.reliability(np.zeros((0, 4))).shape == (0,)


def test_what_another_method_does_not_show_counts_less():
    rng = np.random.default_rng(0)
    null = np.column_stack([noise_regions(rng, 40), rng.normal(0.3, 0.15, 40)])
    bright = np.column_stack([sources(rng, 4), np.full(4, 0.7)])
    fitted = fit_densities(null, 8.0, bright)
    both, alone = np.array([[5.2, 0.7, 3.4, 0.0, 0.7]]), np.array([[5.2, 0.7, 3.4, 0.0, 0.1]])
    assert fitted.reliability(both) > fitted.reliability(alone) + 0.1
