"""False structure: what must be counted is, what must not be is not, and pure noise is calibrated."""

import math

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.metrics import expected_flukes, false_structure, sum_error
from denoise.metrics.apertures import near_truth
from denoise.noise import NoiseModel
from denoise.simulate import noise_field

BEAM = (5.0, 4.0, 30.0)
SHAPE = (20, 64, 64)
NOISE = NoiseModel.from_beam(SHAPE, 1.0, BEAM, "white_convolved")


def blob(centre=(10, 20, 45), widths=(1.5, 3.0, 3.0), shape=SHAPE):
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    exponent = sum(((g - c) / w) ** 2 for g, c, w in zip(grids, centre, widths, strict=True))
    values = np.exp(-0.5 * exponent)
    return np.where(values > 0.01, values, 0.0).astype(np.float32)


def matched_amplitude(template, snr, noise=NOISE):
    """Amplitude at which the template's own matched filter gives this SNR."""
    return snr * sum_error(template, noise) / float((template.astype(np.float64) ** 2).sum())


def found(denoised, noisy=None, truth=None, **options):
    zeros = np.zeros(denoised.shape, np.float32)
    options = {"noise": NOISE, "beam": BEAM, **options}
    return false_structure(
        zeros if truth is None else truth, zeros if noisy is None else noisy, denoised, **options
    )


def test_nothing_shown_is_nothing_false():
    result = found(np.zeros(SHAPE, np.float32))
    assert result.regions == ()
    assert (result.volume, result.residue_count, result.residue_volume) == (0, 0, 0)


@pytest.mark.parametrize("widths", [(0.7, 2.0, 2.0), (1.5, 3.0, 3.0), (3.0, 7.0, 7.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_invented_source_counts_from_the_threshold_on(widths, sign):
    template = blob(widths=widths)
    for snr, count in ((4.0, 0), (7.0, 1)):
        amplitude = matched_amplitude(template, snr)
        result = found((sign * amplitude * template).astype(np.float32))
        assert len(result.regions) == count, (snr, result)
        if count:
            (region,) = result.regions
            assert region.snr_output == pytest.approx(snr, rel=0.15)
            assert region.centre == pytest.approx((10, 20, 45), abs=0.3)
            assert np.sign(region.flux) == sign
            assert result.residue_count == 0
        else:
            assert result.residue_count == 1
            assert result.residue_volume > 0


def test_fluke_kept_by_a_shrinking_method_counts_by_its_input():
    template = blob()
    fluke = matched_amplitude(template, 7.0) * template
    result = found(0.2 * fluke, noisy=fluke)
    (region,) = result.regions
    assert region.snr_input == pytest.approx(7.0, rel=0.15)
    assert region.snr_output < 5
    assert region.snr == region.snr_input


def test_output_noise_is_never_the_measure():
    """A lone bump on zeros is infinite in sigmas of the output; by the input's noise it is nothing."""
    result = found((0.3 * blob(widths=(0.7, 2.0, 2.0))).astype(np.float32))
    assert result.regions == ()
    assert result.residue_count == 1


def test_truth_within_two_beams_excuses_a_region_and_farther_does_not():
    truth = np.zeros(SHAPE, np.float32)
    truth[10, 32, 20] = 1.0
    strong = 10.0 * blob(centre=(10, 32, 29), widths=(0.6, 0.8, 0.8))
    assert near_truth(truth, BEAM)[10, 32, 27]
    assert found(strong, truth=truth).regions == ()
    far = 10.0 * blob(centre=(10, 32, 45), widths=(0.6, 0.8, 0.8))
    assert len(found(far, truth=truth).regions) == 1
    other_channel = 10.0 * blob(centre=(17, 32, 20), widths=(0.6, 0.8, 0.8))
    assert len(found(other_channel, truth=truth).regions) == 1


def test_two_sources_joined_by_faint_residue_are_two():
    pair = 8.0 * blob(centre=(10, 16, 45)) + 8.0 * blob(centre=(10, 46, 45))
    bridge = np.zeros(SHAPE, np.float32)
    bridge[10, 10:52, 44:47] = 0.5
    assert len(found(pair + bridge).regions) == 2


def test_position_and_unit_do_not_matter():
    template = 7.0 * matched_amplitude(blob(), 1.0) * blob()
    base = found(template).regions[0].snr
    moved = found(np.roll(template, (3, 20, -20), (0, 1, 2))).regions[0].snr
    assert moved == pytest.approx(base, rel=1e-4)
    scaled = found((template * 1e-18).astype(np.float32), noise=NOISE.scaled(1e-18)).regions[0].snr
    assert scaled == pytest.approx(base, rel=1e-4)


def test_voxels_without_data_or_noise_do_not_count():
    denoised = 10.0 * blob()
    denoised[:, :, 32:] = np.nan
    assert found(denoised).regions == ()
    hole = np.ones(SHAPE[1:], np.float32)
    hole[:, 32:] = np.nan
    unknown = NoiseModel.from_beam(SHAPE, 1.0, BEAM, "white_convolved", relative=hole)
    assert found(10.0 * blob(), noise=unknown).regions == ()


def test_noise_that_varies_over_the_field_is_used_where_the_region_is():
    relative = np.ones(SHAPE[1:], np.float32)
    relative[:, 32:] = 4.0
    noise = NoiseModel.from_beam(SHAPE, 1.0, BEAM, "white_convolved", relative=relative)
    quiet, loud = blob(centre=(10, 20, 14)), blob(centre=(10, 20, 50))
    amplitude = matched_amplitude(quiet, 10.0)
    assert found(amplitude * quiet, noise=noise).regions[0].snr_output == pytest.approx(10.0, rel=0.15)
    assert found(amplitude * loud, noise=noise).regions == ()


def test_pure_noise_reaches_the_threshold_as_often_as_expected():
    """At 4.2 sigma, where flukes are common: no more than the bound, and not absurdly fewer."""
    shape, threshold, draws = (16, 64, 64), 4.2, 6
    noise = NoiseModel.from_beam(shape, 1.0, BEAM, "white_convolved")
    zeros = np.zeros(shape, np.float32)
    count = 0
    for draw in range(draws):
        y = noise_field(np.random.default_rng((4, draw)), shape, BEAM)
        count += len(false_structure(zeros, y, y, noise=noise, beam=BEAM, threshold=threshold).regions)
    bound = 2 * draws * expected_flukes(threshold, noise)  # both signs
    assert count <= bound + 3 * math.sqrt(bound)
    assert count >= 0.1 * bound


def test_detection_threshold_leaves_few_flukes_in_a_toy_cube():
    noise = NoiseModel.from_beam((40, 96, 96), 1.0, (5.0, 4.5, 0.0), "white_convolved")
    assert expected_flukes(5.0, noise) < 0.5
    assert expected_flukes(6.0, noise) < 0.01 * expected_flukes(5.0, noise)


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"levels": ()}, {"levels": (0.0, 1.0)}])
def test_refuses_thresholds_that_make_no_sense(options):
    with pytest.raises(ParameterError):
        found(np.zeros(SHAPE, np.float32), **options)
