"""`ist`: flux, thresholds, false-discovery rate, the published algorithm, its parameters."""

from dataclasses import replace

import numpy as np
import pytest

from denoise.errors import ParameterError
from denoise.methods._fdr import SignificanceCounts, fdr_threshold
from denoise.methods._ist_reference import ReferenceTuning, published
from denoise.methods.ist import Ist
from denoise.noise import NoiseModel, Seams
from denoise.testing.subject import Subject, blob, noise_model, observation

SHAPE = (20, 48, 48)
PENALTIES = ["gated", "soft", "hard", "reweighted", "l0"]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_better_than_nothing_and_than_zero(penalty):
    data, truth, noise = observation(SHAPE, peak_snr=10.0)
    out = Subject("ist", {"penalty": penalty}).tiled(data, noise)
    near = truth > 0.5

    def error(values, where):
        return np.sqrt(np.mean(np.square(values - truth)[where]))

    everywhere = np.ones(SHAPE, bool)
    assert error(out, everywhere) < 0.4 * error(data, everywhere)
    assert error(out, near) < 0.5 * error(0, near)
    if penalty == "gated":  # the classical thresholds are not, at the source itself
        assert error(out, near) < 0.8 * error(data, near)
    assert np.square(out - truth)[truth < 1e-3].mean() < 0.02


def test_a_seam_of_the_noise_is_no_emission():
    noise = replace(noise_model((16, 64, 64)), seams=Seams((29,), (3, 40)))
    data = noise.sample(seed=2)
    out = Subject("ist").tiled(data, noise)
    assert not out.any()
    blind = Subject("ist").tiled(data, replace(noise, seams=Seams()))
    assert np.count_nonzero(blind[:, 27:31]) > 100
    data += np.float32(10) * blob(noise.shape, at=(8.0, 29.0, 20.0))
    whole = Subject("ist").tiled(data, noise)
    assert whole.any()
    assert np.abs(Subject("ist").tiled(data, noise, core=(16, 17, 23)) - whole).max() < 0.02


@pytest.mark.parametrize("penalty", PENALTIES)
def test_compact_bright_flux_is_kept(penalty):
    noise = NoiseModel.white(SHAPE, 1.0)
    truth = np.float32(20) * blob(SHAPE)
    inside = truth > 0.01
    subject = Subject("ist", {"penalty": penalty})
    # each draw with both signs: what is linear in it cancels
    ratios = [
        subject.tiled(truth + sign * noise.sample(seed=k), noise)[inside].sum() / truth.sum()
        for k in range(4)
        for sign in (1, -1)
    ]
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("peak", [20, 60])
@pytest.mark.parametrize("width", [(2.5, 2.5), (2.5, 3.5), (6.0, 3.5)])
def test_sources_no_wider_than_the_seeing_keep_their_flux_and_grow_no_halo(peak, width):
    """As MUSE sees a line of a few channels; FWHM (channel, pixel)."""
    z, y, x = (np.arange(n)[(slice(None), *(None,) * (2 - k))] - n // 2 for k, n in enumerate((32, 64, 64)))
    radius = np.hypot(y, x) + 0 * z
    truth = peak * np.exp(-4 * np.log(2) * ((z / width[0]) ** 2 + (radius / width[1]) ** 2)).astype(
        np.float32
    )
    noise = NoiseModel.white(truth.shape, 1.0)
    aperture = radius < 2 * width[1]
    out = np.mean(
        [
            Ist().apply(truth + sign * noise.sample(seed=k), noise, None).data
            for k in range(3)
            for sign in (1, -1)
        ],
        axis=0,
    )
    assert out[aperture].sum() == pytest.approx(truth.sum(), rel=0.05)
    assert abs(out[~aperture].sum()) < 0.05 * truth.sum()


def test_a_higher_threshold_finds_less():
    data, _, noise = observation(SHAPE, peak_snr=7.0)
    found = [Ist(threshold=level).apply(data, noise, None).support.sum() for level in (4.0, 6.0)]
    assert found[0] >= found[1] > 0
    assert Ist(threshold=20.0).apply(noise.sample(seed=9), noise, None).support.sum() == 0


def test_positivity_is_kept_inside():
    data, _, noise = observation(SHAPE)
    assert (Ist(positivity=True).apply(data, noise, None).data >= 0).all()


def test_varying_sigma_is_the_same_as_flat_data():
    noise = noise_model(SHAPE)
    data, _, _ = observation(SHAPE)
    rise = np.linspace(0.5, 2, SHAPE[2], dtype=np.float32)
    varying = NoiseModel(
        shape=SHAPE,
        channel_sigma=noise.channel_sigma,
        relative=noise.relative * rise,
        spatial_acf=noise.spatial_acf,
        spectral_acf=noise.spectral_acf,
    )
    flat = Ist().apply(data, noise, None).data
    assert np.allclose(Ist().apply(data * rise, varying, None).data, flat * rise, atol=1e-4)


def test_fdr_threshold_falls_with_emission_and_rises_without():
    noise = NoiseModel.white(SHAPE, 1.0)

    def level(data, rate):
        counts = SignificanceCounts()
        valid = np.ones(SHAPE, bool)
        counts.add(data, np.ones((1, 1)), valid, (slice(None),) * 3, both_signs=False, threads=1)
        return fdr_threshold(counts, rate)

    empty = noise.sample(seed=0)
    full = empty + np.float32(6) * (blob(SHAPE) > 0.01)
    assert level(full, 0.01) < level(empty, 0.01)
    assert level(full, 0.1) <= level(full, 0.01) <= level(full, 0.0001)
    # of what exceeds the threshold no more than the rate is noise, within the counting error
    above = full > level(full, 0.1)
    assert above[blob(SHAPE) <= 0.01].sum() <= 0.1 * above.sum() + 3 * np.sqrt(0.1 * above.sum())


def test_counts_in_tiles_are_the_counts_of_the_whole():
    data, _, _ = observation((8, 24, 24))
    valid = np.isfinite(data)
    left = np.ones((1, 1))
    whole, parts = SignificanceCounts(), SignificanceCounts()
    whole.add(data, left, valid, (slice(None),) * 3, both_signs=True, threads=1)
    for rows in (slice(0, 10), slice(10, 24)):
        parts.add(data, left, valid, (slice(None), rows, slice(None)), both_signs=True, threads=1)
    assert np.array_equal(whole.counts[0, 0], parts.counts[0, 0])


def test_the_published_algorithm_finds_a_bright_source_and_never_goes_negative():
    data, truth, _ = observation((16, 32, 32), peak_snr=25.0)
    estimate, steps = published(data)
    assert (estimate >= 0).all()
    assert 1 <= steps <= 200
    assert np.abs(estimate - truth)[truth > 2].mean() < 4
    assert np.std(data - estimate) < np.std(data)


def test_the_published_algorithm_needs_no_noise_model():
    data, _, noise = observation((16, 32, 32), peak_snr=25.0)
    subject = Subject("ist", {"preset": "reference"})
    first = subject.make().apply(data, noise, None).data
    assert np.array_equal(first, subject.make().apply(data, noise.scaled(3), None).data)
    assert np.array_equal(first, published(data, ReferenceTuning(threshold=5.0))[0])
    assert subject.make().halo(SHAPE, noise) == (None, None, None)


def test_images_have_no_spectral_halo():
    assert Ist().halo((1, 200, 200), noise_model((1, 200, 200))).channel == 0


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_mirrored_data_give_the_mirrored_result(axes):
    data, _, noise = observation(SHAPE)
    expected = np.flip(Ist().apply(data, noise, None).data, axes)
    acf = noise.spatial_acf if axes == 0 else np.flip(noise.spatial_acf, axes - 1)
    mirrored = replace(noise, spatial_acf=np.ascontiguousarray(acf))
    assert np.allclose(Ist().apply(np.flip(data, axes), mirrored, None).data, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["wavelet", "iterations"])
def test_what_belongs_to_a_classical_penalty_is_refused_for_the_gates(name):
    value = {"wavelet": "biorthogonal", "iterations": 3}[name]
    with pytest.raises(ParameterError, match=f"{name} goes with a classical penalty"):
        Ist(**{name: value})
    assert Ist(penalty="soft", **{name: value}).weights == ""
    assert len(Ist().weights) == 64
