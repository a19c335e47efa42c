"""Regions of the output: found whatever the slabs, judged by the input, counted once."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.check import readers
from denoise.check.readers import array_readers
from denoise.check.regions.finding import find_regions, merge_repeats, output_level
from denoise.check.regions.labels import label_cube
from denoise.noise import NoiseModel

SHAPE = (24, 40, 40)
BEAM = (4.0, 4.0, 0.0)


def blob(centre, width=(1.5, 2.0, 2.0)):
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return np.exp(-0.5 * sum(((a - c) / w) ** 2 for a, c, w in zip(axes, centre, width, strict=True)))


@pytest.fixture(scope="module")
def noise():
    return NoiseModel.from_beam(SHAPE, 2.0, BEAM)


def found(truth, noise, *, seed=1, **options):
    data = (truth + noise.sample(seed=seed)).astype(np.float32)
    options = {"level": 0.25, **options}
    return find_regions(array_readers(data, truth.astype(np.float32), noise), noise, **options)[0]


def test_a_source_is_one_region_with_its_place_width_and_flux(noise):
    truth = 16.0 * blob((10, 15, 22))
    (region,) = found(truth, noise)
    assert region.sign == 1
    assert region.at == (10, 15, 22)
    assert region.centre == pytest.approx((10, 15, 22), abs=0.05)
    assert region.peak == pytest.approx(8.0, rel=1e-4)
    assert region.flux == pytest.approx(truth.sum(), rel=0.08)
    assert np.sqrt(np.diag(region.covariance)) == pytest.approx(2.0, rel=0.15)
    assert region.line_width == pytest.approx(1.5, rel=0.15)


def test_matched_snr_has_the_noise_of_the_model(noise):
    truth = 10.0 * blob((10, 15, 22))
    snrs = [found(truth, noise, seed=seed)[0].snr for seed in range(60)]
    assert np.std(snrs) == pytest.approx(1.0, abs=0.25)  # 60 draws: 0.09
    assert np.mean(snrs) > 5


def test_missing_voxels_leave_the_noise_of_the_filter_right(noise):
    truth = 10.0 * blob((10, 15, 22)).astype(np.float32)
    snrs = []
    for seed in range(60):
        data = truth + noise.sample(seed=seed)
        data[:, 16:] = np.nan
        out = np.where(np.isnan(data), np.nan, truth)
        snrs.append(find_regions(array_readers(data, out, noise), noise, level=0.25)[0][0].snr)
    assert np.std(snrs) == pytest.approx(1.0, abs=0.25)


def test_an_invented_blob_has_no_signal_in_the_input(noise):
    out = (10.0 * blob((10, 15, 22))).astype(np.float32)
    data = [noise.sample(seed=seed) for seed in range(20)]
    snrs = [find_regions(array_readers(d, out, noise), noise, level=0.25)[0][0] for d in data]
    assert np.abs([r.snr for r in snrs]).max() < 3.5
    assert all(r.match.snr_output > 5 for r in snrs)


def test_a_hole_is_a_region_of_its_own_sign(noise):
    truth = 12.0 * blob((6, 10, 10)) - 12.0 * blob((16, 28, 28))
    signs = {region.at: region.sign for region in found(truth, noise)}
    assert signs == {(6, 10, 10): 1, (16, 28, 28): -1}


def test_two_blended_sources_stay_two_and_share_all_voxels(noise):
    truth = 24.0 * (blob((10, 15, 16)) + 0.8 * blob((10, 15, 24)))
    regions = found(truth, noise)
    assert sorted(region.at[2] for region in regions) == [16, 24]
    assert sum(region.voxels for region in regions) == np.count_nonzero(truth > 0.25 * 2.0)
    assert sum(region.flux for region in regions) == pytest.approx(truth[truth > 0.5].sum(), rel=1e-5)


def test_a_core_in_its_own_halo_is_one(noise):
    truth = 30.0 * blob((10, 18, 18)) + 3.0 * blob((10, 18, 18), (3, 6, 6))
    assert len(found(truth, noise)) == 1


def test_bumps_on_one_source_do_not_split_it(noise):
    truth = 14.0 * blob((10, 18, 18), (3, 4, 4))
    bumpy = truth * (1 + 0.2 * np.sin(np.arange(40) * 1.3))
    assert len(found(bumpy, noise)) == 1


def test_the_horns_of_a_rotating_disc_are_one_source(noise):
    y, x = np.mgrid[:40, :40]
    disc = np.exp(-np.hypot((x - 20) / 8, (y - 20) / 2.5))
    line = 11.5 + 8.0 * np.tanh((x - 20) / 1.5)
    channel = np.arange(24)[:, None, None]
    truth = 60.0 * disc * np.exp(-((channel - line) ** 2) / 2)
    regions = [region for region in found(truth, noise) if region.snr > 5]
    assert len(regions) == 1


def test_slabs_do_not_matter(noise, monkeypatch):
    truth = 16.0 * blob((10, 15, 22)) + 16.0 * blob((5, 30, 8))
    whole = found(truth, noise)
    monkeypatch.setattr(readers, "BLOCK_VOXELS", 3000)
    parts = found(truth, noise)
    assert [(r.at, r.voxels, r.snr) for r in parts] == [(r.at, r.voxels, r.snr) for r in whole]


def test_what_is_excluded_belongs_to_no_region(noise):
    truth = (16.0 * blob((10, 15, 22))).astype(np.float32)
    pair = array_readers(truth, truth, noise)
    all_of_it = type(pair)(
        **{**vars(pair), "excluded": lambda box: np.ones([s.stop - s.start for s in box], bool)}
    )
    assert label_cube(pair, 0.25)
    assert not label_cube(all_of_it, 0.25)


def test_what_is_found_twice_counts_once(noise):
    region = found(16.0 * blob((10, 15, 22)), noise)[0]
    again = region.moved((0, 1, 0))
    apart = region.moved((0, 8, 0))
    hole = type(region)(**{**vars(region), "sign": -1})
    assert len(merge_repeats([region, again])) == 1
    assert len(merge_repeats([region, apart])) == 2
    assert len(merge_repeats([region, hole])) == 2
    assert merge_repeats([]) == []


def test_the_level_clears_what_noise_the_output_keeps(noise):
    data = noise.sample(seed=1)
    kept = output_level(array_readers(data, 0.5 * data, noise))
    assert kept == pytest.approx(1.5, rel=0.05)
    assert output_level(array_readers(data, 0 * data, noise)) == 0.25
