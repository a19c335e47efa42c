"""Suites on files: real cubes with noise added, independent halves, stored cubes."""

import numpy as np
import pytest
import yaml
from astropy.io import fits

from denoise.benchmark import agreements, list_cases, load_suite, make_case, run_suite
from denoise.errors import InputError
from denoise.simulate import Galaxy, simulate_cube

BEAM = (4.4, 4.0, 20.0)
SHAPE = (16, 64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bright observation and its truth, and two halves of a fainter one."""
    path = tmp_path_factory.mktemp("data")
    galaxy = Galaxy(1.0, (8, 31, 33), 6.0, inclination=50, velocity=3)
    for name, seed, snr in (("bright", 1, 60.0), ("half_a", 2, 8.0), ("half_b", 3, 8.0)):
        made = simulate_cube(seed, shape=SHAPE, galaxies=[galaxy], beam=BEAM, peak_snr=snr)
        fits.writeto(path / f"{name}.fits", made.noisy)
        fits.writeto(path / "truth.fits", made.truth, overwrite=True)
    return path


def suite(tmp_path, cases, methods=("ist",)):
    path = tmp_path / "s.yaml"
    values = {
        "suite": "s",
        "version": 1,
        "title": "S",
        "seed": 1,
        "cases": cases,
        "methods": methods if isinstance(methods, dict) else list(methods),
    }
    path.write_text(yaml.safe_dump(values))
    return load_suite(path)


def test_degraded_scores_are_those_against_the_truth(folder, tmp_path):
    cases = {"source": "degraded", "files": {"bright": "bright.fits"}, "peak_snr": {"bright": [5]}}
    found = suite(tmp_path, cases)
    case = list_cases(found, folder)[0]
    made = make_case(found, case, folder)
    noise = made.observation.noise
    truth = fits.getdata(folder / "truth.fits")
    assert made.observation.truth.max() / noise.std() == pytest.approx(5, rel=0.1)
    entries = run_suite(found, tmp_path / "run", data=folder, workers=1)
    for entry in entries:
        assert "error" not in entry
    # against the true truth: what the correction is for
    for row, output in (("noisy", made.observation.noisy), ("zeros", np.zeros(SHAPE, np.float32))):
        entry = next(e for e in entries if e["row"] == row)
        exact = np.sqrt(np.mean((output - truth) ** 2) / np.mean((made.observation.noisy - truth) ** 2))
        assert entry["rmse_ratio_cube"] == pytest.approx(exact, rel=0.03)


def test_a_truth_must_be_bright_enough(folder, tmp_path):
    cases = {"source": "degraded", "files": {"faint": "half_a.fits"}, "peak_snr": {"faint": [5]}}
    found = suite(tmp_path, cases)
    with pytest.raises(InputError, match="too faint"):
        make_case(found, list_cases(found, folder)[0], folder)


def test_halves_rank_as_the_truth_does(folder, tmp_path):
    pair = ["half_a.fits", "half_b.fits", "truth.fits"]
    rows = {"pca": {"method": "pca"}, "ist": {"method": "ist"}}
    rows |= {f"smooth {w}": {"method": "smooth", "parameters": {"fwhm": w}} for w in (2, 8, 14)}
    found = suite(tmp_path, {"source": "halves", "pairs": {"disc": pair}}, rows)
    entries = run_suite(found, tmp_path / "run", data=folder, workers=2)
    by_group = {
        group: {e["row"]: e["rmse_ratio_cube"] for e in entries if e["group"] == group}
        for group in ("half", "truth")
    }
    names = list(by_group["half"])
    assert set(names) == set(by_group["truth"])
    half, truth = (np.array([by_group[g][n] for n in names]) for g in ("half", "truth"))
    assert half == pytest.approx(truth, abs=0.05)
    found = {one.score: one for one in agreements(entries)}
    assert found["RMSE cube"].rows == len(names)
    assert found["RMSE cube"].spearman > 0.9


def test_agreement_is_of_the_order_alone_and_needs_both_groups():
    def scored(cube, group, values):
        rows = zip("abcd", values, strict=True)
        return [{"cube": cube, "group": group, "row": row, "rmse_ratio_cube": value} for row, value in rows]

    one = scored("one", "half", (1, 2, 3, 4)) + scored("one", "truth", (10, 20, 30, 90))
    other = scored("other", "half", (1, 2, 3, 4)) + scored("other", "truth", (9, 5, 3, 2))
    found = {a.cube: a for a in agreements([*one, *other, *scored("real", "half", (1, 2, 3, 4))])}
    assert set(found) == {"one", "other", "mean of these cubes"}
    assert found["one"].spearman == pytest.approx(1)
    assert found["other"].spearman == pytest.approx(-1)
    assert found["mean of these cubes"].rows == 4
    assert agreements(scored("real", "half", (1, 2, 3, 4))) == []
    assert agreements([]) == []


def test_missing_data_are_told_before_anything_is_run(folder, tmp_path):
    found = suite(tmp_path, {"source": "halves", "pairs": {"a": ["half_a.fits", "none.fits"]}})
    with pytest.raises(InputError, match=r"none\.fits is missing"):
        run_suite(found, tmp_path / "run", data=folder)
    with pytest.raises(InputError, match="--data"):
        run_suite(found, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_of_a_figure_are_told_apart():
    from denoise.benchmark.figure import STYLES, _style

    for rows in (
        ["ist", "unet", "lidia", "noiser restored"],
        list("abcdef"),
        ["ist", "pca", "ica", "x", "y", "z"],
    ):
        assert len({_style(row, rows) for row in rows}) == len(rows)
    assert _style("ist", ["other", "ist"]) == _style("ist", ["ist"]) == STYLES[0]
