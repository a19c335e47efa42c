"""Methods side by side: a real one wins over those that cheat, and one that fails leaves the others alone."""

import json
import math
import os
import time

import numpy as np
import pytest

from denoise.check.choosing.alone import peak_memory, run_alone
from denoise.check.choosing.compared import AtSnr, Compared, Entry
from denoise.check.choosing.comparison import Effort, compare_methods
from denoise.check.choosing.contender import contenders
from denoise.check.choosing.recommendation import recommend
from denoise.cube import Cube
from denoise.engine import CancelToken, run_options
from denoise.engine.progress import Monitor
from denoise.errors import CancelledError, DenoiseError, UnknownMethodError, UsageError
from denoise.methods import Denoiser, Estimate, MethodInfo, registry
from denoise.metrics import Measurement
from denoise.noise import NoiseModel
from denoise.report.compare_page import COLUMNS, failures_of, rows_of

SHAPE = (12, 40, 40)
BEAM = (4.0, 3.5, 30.0)
NOISE = NoiseModel.from_beam(SHAPE, 1.0, BEAM)
SMALL = Effort(voxels=10**6, draws=2, sources=8, empty=1)


class Zeros(Denoiser):
    """Nothing is left, so nothing is wrong on the sky."""

    info = MethodInfo("zeros", "no emission at all", "")

    def apply(self, block, noise, state):
        return Estimate(np.where(np.isnan(block), np.nan, 0.0).astype(np.float32))


class Nothing(Denoiser):
    """The input as it is: all flux is kept."""

    info = MethodInfo("nothing", "the input", "")

    def apply(self, block, noise, state):
        return Estimate(block.copy())


class Broken(Denoiser):
    """Fails on every block."""

    info = MethodInfo("broken", "fails", "")

    def apply(self, block, noise, state):
        raise RuntimeError("out of\nluck")


class Point:
    """An entry point of a class that is here already."""

    def __init__(self, method):
        self.method, self.value = method, method.__name__

    def load(self):
        return self.method


@pytest.fixture
def fakes(monkeypatch):
    known = dict(registry._entry_points())
    more = {one.info.name: Point(one) for one in (Zeros, Nothing, Broken)}
    monkeypatch.setattr(registry, "_entry_points", lambda: {**known, **more})


@pytest.fixture(scope="module")
def cube():
    c, y, x = (np.arange(n) - n // 2 for n in SHAPE)
    square = (c[:, None, None] / 1.5) ** 2 + (y[:, None] / 2.5) ** 2 + (x / 2.5) ** 2
    return Cube(
        (9 * np.exp(-0.5 * square)).astype(np.float32) + NOISE.sample(seed=3), beam=BEAM, unit="Jy/beam"
    )


def compared(cube, methods, **more):
    options = run_options(positivity="off")  # else the input would be clipped
    return compare_methods(cube, options, methods, effort=SMALL, noise=NOISE, alone=False, **more)


def test_a_real_method_wins_over_zeros_and_the_input_and_one_that_fails_is_told(fakes, cube):
    told = []
    found = compared(cube, ["zeros", "nothing", "broken", "ist"], told=told.append)
    numbers = found.compared
    assert numbers.recommended == "ist"
    assert numbers.sentence().startswith("ist: ")
    assert [one.method for one in told] == ["zeros", "nothing", "broken", "ist"]
    assert numbers.entry("broken").failure == "RuntimeError: out of luck"
    assert "broken" not in found.views.after
    zeros, nothing, ist = (numbers.entry(name) for name in ("zeros", "nothing", "ist"))
    assert nothing.score.value == pytest.approx(1.25, abs=3 * nothing.score.error)
    assert zeros.kept.value == pytest.approx(0.0, abs=1e-6)
    assert nothing.kept.value == pytest.approx(1.0, abs=1e-3)
    assert zeros.difference.value > zeros.difference.error > 0
    assert ist.difference == Measurement(0.0, 0.0)
    assert nothing.flux.value == pytest.approx(numbers.flux.value)
    assert nothing.residual["std"] == 0
    assert ist.residual["std"] == pytest.approx(1.0, abs=0.1)
    assert numbers.entry("ist").memory is None  # not in a process of its own
    assert Compared.from_dict(json.loads(numbers.to_json())).to_json() == numbers.to_json()
    assert {len(row) for row in rows_of(numbers)} == {len(COLUMNS)}
    assert failures_of(numbers) == [("broken", "RuntimeError: out of luck")]
    view = found.views.after["nothing"]
    assert np.array_equal(view.moment0, found.views.before.moment0)
    assert found.views.before.spectrum.shape == SHAPE[:1]


def test_cancelling_stops_between_methods(fakes, cube):
    token = CancelToken()
    with pytest.raises(CancelledError):
        compared(cube, ["zeros", "ist"], told=lambda entry: token.cancel(), cancel=token)


def test_a_large_cube_is_compared_in_part_and_says_so(fakes, cube):
    effort = Effort(voxels=SHAPE[1] * SHAPE[2] * 6, draws=1, sources=0)
    found = compare_methods(
        cube, run_options(), ["nothing"], effort=effort, noise=NOISE, alone=False
    ).compared
    assert found.shape == (6, 40, 40)
    assert found.part.startswith("channels 3:8")
    assert any("9,600 voxels" in note for note in found.notes)


def test_all_that_keep_or_may_restore_the_unit_are_compared():
    found = {one.method: one.parameters for one in contenders()}
    assert next(iter(found)) == "ist"
    assert {"smooth", "pca", "ica", "unet", "lidia", "hybrid"} <= set(found)
    assert found["noiser"] == {"restore": "photometric"}
    with pytest.raises(UnknownMethodError):
        contenders(("nope",))
    with pytest.raises(UsageError, match="at least 1 voxel"):
        Effort(draws=0)


def test_a_process_that_dies_or_fails_or_is_cancelled_ends():
    with pytest.raises(DenoiseError, match="exit code 3"):
        run_alone(os._exit, 3, Monitor())
    with pytest.raises(DenoiseError, match="ValueError"):
        run_alone(math.sqrt, -1.0, Monitor())
    token = CancelToken()
    token.cancel()
    start = time.perf_counter()
    with pytest.raises(CancelledError):
        run_alone(time.sleep, 60, Monitor(None, token))
    assert time.perf_counter() - start < 20
    assert peak_memory() > 1e7


def entry(name, score, *, kept=1.0, kept_error=0.02, false=0.1, bar=False, seconds=1.0):
    sources = (AtSnr(8.0, Measurement(kept, kept_error), None),)
    return Entry(
        name, score=Measurement(score, 0.1), recovered=sources, false=Measurement(false, 0.3), error_bar=bar,
        seconds=seconds,
    )  # fmt: skip


def chosen(*entries, error=0.01):
    by_name = {one.method: one for one in entries}

    def differences(method):
        return {
            n: Measurement(one.score.value - by_name[method].score.value, error) for n, one in by_name.items()
        }

    return recommend(entries, differences)


def test_the_lowest_error_wins():
    method, why = chosen(entry("a", 0.5), entry("b", 0.3))
    assert method == "b"
    assert "lowest error" in why
    assert "100 ± 2 %" in why


def test_a_lower_error_does_not_pay_for_lost_flux_or_invented_structure():
    method, why = chosen(entry("dim", 0.1, kept=0.7), entry("bold", 0.1, false=6.0), entry("fair", 0.3))
    assert method == "fair"
    assert "dim has a lower error but does not keep the flux" in why
    assert "bold has a lower error but invents structure" in why


def test_what_leaves_the_noise_is_no_yardstick_for_the_flux():
    method, _ = chosen(entry("input", 1.25, kept_error=0.0), entry("fair", 0.3, kept=0.95))
    assert method == "fair"


def test_of_equals_one_with_an_error_bar_then_the_fastest():
    slow = entry("slow", 0.300, bar=True, seconds=9.0)
    assert chosen(slow, entry("fast", 0.299, seconds=0.1))[0] == "slow"
    assert chosen(entry("a", 0.300, seconds=2.0), entry("b", 0.301, seconds=1.0))[0] == "b"
    assert chosen(entry("a", 0.300, seconds=2.0), entry("b", 0.301, seconds=1.0), error=1e-4)[0] == "a"


def test_where_none_keeps_the_flux_the_one_that_keeps_the_most():
    method, why = chosen(entry("a", 0.1, kept=0.5), entry("b", 0.2, kept=0.8))
    assert method == "b"
    assert "no method keeps the flux, this one keeps 80 ± 2 %" in why


def test_more_flux_than_there_is_is_not_kept_flux():
    assert chosen(entry("a", 0.1, kept=1.3), entry("b", 0.2))[0] == "b"


def test_where_all_invent_the_lowest_error_of_those_that_invent_least():
    method, why = chosen(entry("a", 0.1, false=4.3), entry("b", 0.2, false=4.1), entry("c", 0.05, false=9.0))
    assert method == "a"
    assert "no method has clearly fewer" in why


def test_where_none_could_be_scored_there_is_no_recommendation():
    assert recommend([Entry("a", failure="no")], lambda method: {}) == ("", "No method could be scored.")
