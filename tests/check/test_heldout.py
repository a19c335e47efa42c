"""Scores without truth: they agree with the true error where it is known."""

from dataclasses import replace

import numpy as np
import pytest

from denoise.check.choosing.heldout import (
    AMPLITUDE,
    Halves,
    Recorrupted,
    bright_weight,
    difference_of,
    error_of,
    marks_of,
)
from denoise.check.choosing.tuning import averaged, with_parameters
from denoise.check.part import brightest_part
from denoise.check.rig import Rig, open_rig
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.errors import UsageError
from denoise.noise import NoiseModel

SHAPE = (16, 40, 44)
BEAM = (4.0, 3.5, 30.0)
SIGMA = 1e-3


def truth(peak=8.0, at=(8, 20, 20), width=3.0):
    c, y, x = (np.arange(n) - middle for n, middle in zip(SHAPE, at, strict=True))
    square = (c[:, None, None] / 2.0) ** 2 + (y[:, None] / width) ** 2 + (x / width) ** 2
    return (SIGMA * peak * np.exp(-0.5 * square)).astype(np.float32)


def model():
    return NoiseModel.from_beam(SHAPE, SIGMA, BEAM)


def observed(seed, sky=None):
    return (truth() if sky is None else sky) + model().sample(seed=seed)


def smoothed(rig, pixels, fwhm):
    return with_parameters(rig, {"fwhm": fwhm}).apply(pixels)


def opened(data):
    options = run_options(method="smooth", positivity="off")
    return open_rig(Cube(data, beam=BEAM, unit="Jy/beam"), options, noise=model())


def test_the_score_is_the_true_error_of_a_linear_method_within_its_error():
    pulls = []
    for seed in range(6):
        with opened(observed(seed)) as rig:
            held = Recorrupted(rig, 2)
            marks, true = [], []
            for draw in range(2):
                trial = held.trial(draw)
                out = smoothed(held.rig, trial.seen, 4.0)
                marks.append(marks_of(trial, out, held))
                true.append(float((trial.weight * ((out - truth()) / SIGMA) ** 2).sum()))
            found = error_of(marks)
            assert 0.1 < np.mean(true) < 1.0
            pulls.append((found.value - np.mean(true)) / found.error)
    assert abs(np.mean(pulls)) < 1.2
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8


def test_a_difference_is_true_and_its_error_is_that_of_the_scatter():
    pulls = []
    for seed in range(10):
        with opened(observed(seed)) as rig:
            held = Recorrupted(rig, 2)
            pairs, true = [], []
            for draw in range(2):
                trial = held.trial(draw)
                one, two = (smoothed(held.rig, trial.seen, fwhm) for fwhm in (3.0, 6.0))
                pairs.append(difference_of(trial, one, two, held))
                off = [np.square((out - truth()) / SIGMA) for out in (one, two)]
                true.append(float((trial.weight * (off[0] - off[1])).sum()))
            found = averaged(pairs, held)
            pulls.append((found.value - np.mean(true)) / found.error)
    assert abs(np.mean(pulls)) < 0.9
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.6


def test_what_is_seen_has_more_noise_and_the_rig_knows():
    with opened(observed(0, np.zeros(SHAPE, np.float32))) as rig:
        held = Recorrupted(rig, 1)
        seen = held.trial(0).seen
        assert seen.std() == pytest.approx(np.hypot(1, AMPLITUDE) * SIGMA, rel=0.05)
        assert held.rig.noise.typical == pytest.approx(np.hypot(1, AMPLITUDE) * SIGMA)


def test_the_sky_has_no_more_weight_than_the_emission_found():
    with opened(observed(1, truth(width=1.5))) as rig:
        trial = Recorrupted(rig, 1).trial(0)
    near = trial.weight == trial.weight.max()
    assert near[8, 20, 20]
    assert near.mean() < 0.4
    assert trial.weight[near].sum() == pytest.approx(0.5, abs=1e-4)
    assert trial.weight.sum() == pytest.approx(1.0, rel=1e-4)


def test_the_emission_itself_is_the_bright_core():
    with opened(observed(1)) as rig:
        held = Recorrupted(rig, 1)
        weight = bright_weight(held.trial(0), held)
    bright = truth() > 2 * SIGMA
    assert weight[bright].sum() > 0.5
    assert weight.sum() == pytest.approx(1.0, rel=1e-4)


def test_voxels_without_data_have_no_weight_and_change_nothing():
    data = observed(2)
    data[:, :6] = np.nan
    with opened(data) as rig:
        held = Recorrupted(rig, 1)
        trial = held.trial(0)
        out = smoothed(held.rig, trial.seen, 4.0)
    assert (trial.weight[:, :6] == 0).all()
    assert np.isfinite(error_of([marks_of(trial, out, held)]).value)


def test_two_halves_give_the_error_at_their_own_noise():
    pulls = []
    for seed in range(6):
        with opened(observed(seed)) as rig, opened(observed(100 + seed)) as other:
            held = Halves(rig, other=other)
            trial = held.trial(0)
            one, two = (smoothed(rig, trial.seen, fwhm) for fwhm in (3.0, 6.0))
            off = [np.square((out - truth()) / SIGMA) for out in (one, two)]
            true = float((trial.weight * (off[0] - off[1])).sum())
            found = averaged([difference_of(trial, one, two, held)], held)
            pulls.append((found.value - true) / found.error)
    assert abs(np.mean(pulls)) < 1.2
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8


def test_the_same_data_are_not_two_halves():
    with opened(observed(0)) as rig, pytest.raises(UsageError, match="the same data"):
        Halves(rig, other=rig)


def test_the_part_is_about_what_is_bright_and_as_large_as_allowed():
    noise = NoiseModel.white((30, 200, 220), 1.0)
    data = noise.sample(seed=1)
    data[20:24, 150:156, 40:46] += 30
    with open_rig(Cube(data, beam=BEAM), run_options(method="smooth"), noise=noise) as rig:
        assert brightest_part(rig, data.size) == tuple(slice(0, n) for n in data.shape)
        part = brightest_part(rig, 64 * 64 * 20)
    assert np.prod([s.stop - s.start for s in part]) <= 64 * 64 * 20
    middle = [(s.start + s.stop) / 2 for s in part]
    assert middle == pytest.approx([22, 153, 43], abs=4)


def test_a_rig_of_other_parameters_is_another_rig():
    with opened(observed(0)) as rig:
        other = with_parameters(rig, {"fwhm": 5.0})
    assert isinstance(other, Rig)
    assert replace(other, options=rig.options) == rig
