"""Calibrated errors: a factor that is local and scales, curves that make predicted errors right, files that fit."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

from denoise.errors import InputError
from denoise.networks import calibration, conformal
from denoise.networks.calibration import KNOTS, OF_DRAWS, Calibration, Examined, Factor, Side
from denoise.networks.conformal import EMPTY, Voxels, draw_cube, fit_curves, fit_side, limit_of, snr_ranges
from denoise.networks.recipe import checked_recipe

LEVEL = {name: (0.0,) * len(knots) for name, knots in KNOTS.items()}
SHAPE = (8, 40, 40)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def examined(rng, shape=SHAPE):
    data, spread, strength = (np.exp(rng.normal(size=shape)).astype(np.float32) for _ in range(3))
    return Examined(data, spread, 5 * strength, np.ones(shape, bool), rng.random(shape) > 0.5)


def voxels(rng, scale, *, snr=(2.5, 3.5), where="found", size=4000, draw="normal"):
    """Errors of `scale` of the predicted ones, by the features; Gaussian, or of another distribution."""
    features = {name: rng.uniform(-3, 2, size) for name in KNOTS}
    error = np.abs(getattr(rng, draw)(size=size)) * scale(features)
    return Voxels(snr, where, features, np.log(np.maximum(error, 1e-4)))


def share(one, curves, sigmas=1.0):
    """Share of voxels within so many of the errors that the curves give."""
    log = sum(np.interp(one.features[name], np.log(KNOTS[name]), curves[name]) for name in curves)
    return np.mean(one.ratio <= log + np.log(sigmas))


def test_level_curves_change_nothing(rng):
    found = examined(rng)
    assert np.allclose(Factor(LEVEL, LEVEL).error(found), found.spread)


def test_the_factor_is_the_product_of_the_curves_of_each_part(rng):
    curves = LEVEL | {"spread": (0.5,) * len(KNOTS["spread"]), "near": (-0.2,) * len(KNOTS["near"])}
    found = examined(rng)
    wanted = np.where(found.found, np.exp(0.3), 1) * found.spread
    assert np.allclose(Factor(curves, LEVEL).error(found), wanted, rtol=1e-5)
    fewer = {name: curves[name] for name in OF_DRAWS}
    wanted = np.where(found.found, 1, np.exp(0.5)) * found.spread
    assert np.allclose(
        Factor({name: LEVEL[name] for name in OF_DRAWS}, fewer).error(found), wanted, rtol=1e-5
    )


def test_the_factor_looks_no_further_than_its_halo(rng):
    ramps = {name: tuple(np.linspace(-1, 1, len(KNOTS[name]))) for name in ("size", "near")}
    factor = Factor(LEVEL, LEVEL | ramps)
    found = examined(rng, (20, 70, 70))
    deep, side = (
        max(pair) for pair in zip(calibration.halo(len(found.data)), calibration.AROUND, strict=True)
    )
    whole = factor.error(found, threads=2)
    part = Examined(*(values[2:18, 10:60, 5:65] for values in found))
    inner = (slice(deep, -deep), slice(side, -side), slice(side, -side))
    assert np.allclose(factor.error(part)[inner], whole[2:18, 10:60, 5:65][inner], rtol=1e-5)
    one = Examined(*(values[:1] for values in found))
    assert calibration.halo(1)[0] == 0
    assert np.isfinite(factor.error(one)).all()


def test_curves_learn_how_wrong_the_predicted_errors_are(rng):
    def scale(features):
        return 0.4 * np.exp(0.3 * np.clip(features["size"], np.log(0.01), np.log(3)))

    known = [voxels(rng, scale) for _ in range(5)]
    curves = fit_curves(known)
    fresh = voxels(rng, scale, size=20000)
    assert share(fresh, curves) == pytest.approx(0.683, abs=0.02)
    assert limit_of(known, curves) == pytest.approx(1.96, abs=0.1)
    assert share(fresh, curves, limit_of(known, curves)) == pytest.approx(0.95, abs=0.01)
    faint = fresh.features["size"] < -2
    low = Voxels(fresh.snr, fresh.where, {k: v[faint] for k, v in fresh.features.items()}, fresh.ratio[faint])
    assert share(low, curves) == pytest.approx(0.683, abs=0.04)


def test_heavy_tails_have_a_limit_of_their_own_in_each_part(rng):
    def as_said(features):
        return np.ones_like(features["size"])

    known = [voxels(rng, as_said) for _ in range(4)]
    known += [voxels(rng, as_said, where="rest", draw="standard_cauchy") for _ in range(4)]
    side = fit_side(known)
    # of a Cauchy distribution 68 % are within 1.82, 95 % within 12.7
    assert side.limits == (pytest.approx(1.96, abs=0.1), pytest.approx(12.7 / 1.82, rel=0.1))
    assert np.mean(side.rest["size"]) > np.mean(side.found["size"])
    assert share(voxels(rng, as_said, draw="standard_cauchy"), side.rest) == pytest.approx(0.68, abs=0.03)


def test_every_range_counts_alike_whatever_its_voxels(rng):
    few = [voxels(rng, lambda f: np.full(f["size"].size, 2.0), size=200)]
    many = [voxels(rng, lambda f: np.full(f["size"].size, 0.5), snr=(6.0, 9.0)) for _ in range(5)]
    got = [share(one, fit_curves(few + many)) for one in (few[0], many[0])]
    alone = share(many[0], fit_curves(many))
    assert got[0] < 0.6 < alone + 0.05 < got[1]
    assert np.mean(got) == pytest.approx(0.68, abs=0.08)


def test_a_part_without_voxels_is_level_in_the_same_curves(rng):
    one = voxels(rng, lambda f: np.ones_like(f["size"]))
    of_draws = one._replace(features={name: one.features[name] for name in OF_DRAWS})
    side = fit_side([of_draws])
    assert tuple(side.rest) == tuple(side.found) == OF_DRAWS
    assert not any(map(any, side.rest.values()))


def test_without_voxels_nothing_is_changed():
    side = fit_side([])
    assert side == Side(found=LEVEL, rest=LEVEL, limits=(1.96, 1.96))


def test_ranges_take_turns_and_a_seed_fixes_the_cubes(tiny):
    recipe = checked_recipe(tiny, "")
    ranges = snr_ranges(recipe.simulation)
    assert ranges == [(1.5, 2.5), (2.5, 3.5), (3.5, 6.0), (6.0, 9.0), (9.0, 50.0)]
    for number in range(5):
        cube, found = draw_cube(recipe, conformal.FIT, number)
        assert found in (EMPTY, ranges[number])
        assert found == EMPTY or found[0] <= cube.snr <= found[1]
        assert np.array_equal(cube.noisy, draw_cube(recipe, conformal.FIT, number)[0].noisy)
    other, _ = draw_cube(recipe, conformal.SCORE, 0)
    assert not np.array_equal(other.noisy, draw_cube(recipe, conformal.FIT, 0)[0].noisy)


@dataclasses.dataclass(frozen=True)
class Halved:
    """Half of the noise stays; it believes in twice as much."""

    def __call__(self, block, noise):
        size = block.shape
        spread = np.ones(size, np.float32)
        valid = np.ones(size, bool)
        return Examined(block / 2, spread, np.full(size, 4, np.float32), valid, ~valid)


def test_a_calibration_is_the_same_with_workers_and_right_in_empty_fields(tiny):
    tiny["simulation"]["kinds"] = {"empty": 1.0}
    tiny["calibration"] = {"cubes": 4, "score": 4}
    recipe, told = checked_recipe(tiny, ""), []
    found = conformal.calibrate(
        recipe, "0" * 64, lambda positivity: Halved(), report=lambda *at: told.append(at)
    )
    assert told == [(n, 16) for n in range(1, 17)]
    assert [(one.snr, one.where) for one in found.coverage] == [(EMPTY, "rest"), (EMPTY, "sky")] * 2
    for one in found.coverage:
        assert one.within_1[0] == pytest.approx(0.683, abs=0.05)
        assert one.within_2[0] == pytest.approx(0.95, abs=0.03)
        assert one.tails == pytest.approx(1.97, abs=0.15)
    assert found == conformal.calibrate(recipe, "0" * 64, lambda positivity: Halved(), workers=1)


@pytest.fixture
def stored(tmp_path):
    side = Side(found=LEVEL, rest=LEVEL, limits=(1.96, 5.0))
    made = Calibration(sha256="a" * 64, cubes=(1, 1), both_signs=side, positive=side)
    calibration.write_calibration(made, tmp_path)
    return made, tmp_path


def test_what_is_written_is_read_and_belongs_to_its_weights(stored, tmp_path):
    made, folder = stored
    assert calibration.calibration_of(folder, "a" * 64) == made
    assert calibration.calibration_of(folder / "nothing", "a" * 64) is None
    with pytest.raises(InputError, match=r"belongs to other weights \(found: SHA-256 aaaaaaaaaaaa, not bbb"):
        calibration.calibration_of(folder, "b" * 64)


@pytest.mark.parametrize(
    "content",
    [
        "- 3",
        "sha256: [",
        "sha256: x\ncubes: [1, 1]\nboth_signs: {}\npositive: {}",
        "sha256: x\ncubes: [1, 1]\n"
        "both_signs: &a {found: {size: [1.0]}, rest: {}, limits: [2, 3]}\npositive: *a",
    ],
)
def test_a_file_that_is_no_calibration(tmp_path, content):
    (tmp_path / calibration.FILE).write_text(content)
    with pytest.raises(InputError, match="cannot be read as a calibration") as caught:
        calibration.calibration_of(tmp_path, "a" * 64)
    assert "\n" not in str(caught.value)
