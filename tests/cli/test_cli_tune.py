"""`denoise tune` and `denoise compare`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from denoise.cli.app import execute
from denoise.engine.recipe_file import load_recipe

SHAPE = (12, 40, 40)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


def observe(path: Path, seed: int) -> Path:
    """White noise and one line source, 4 pixels wide."""
    data = np.random.default_rng(seed).normal(size=SHAPE)
    c, y, x = (np.arange(n) - at for n, at in zip(SHAPE, (6, 20, 20), strict=True))
    data += 9 * np.exp(-0.5 * ((c[:, None, None] / 1.5) ** 2 + (y[:, None] / 2.0) ** 2 + (x / 2.0) ** 2))
    header = fits.Header({
        "BUNIT": "Jy/beam", "BMAJ": 1e-3, "BMIN": 1e-3, "BPA": 0.0,
        "CTYPE1": "RA---SIN", "CDELT1": -2.8e-4, "CRVAL1": 10.0, "CUNIT1": "deg",
        "CTYPE2": "DEC--SIN", "CDELT2": 2.8e-4, "CRVAL2": 2.0, "CUNIT2": "deg",
        "CTYPE3": "VRAD", "CDELT3": 5000.0, "CRVAL3": 0.0, "CUNIT3": "m/s", "SPECSYS": "LSRK",
    })  # fmt: skip
    fits.writeto(path, data.astype(">f4"), header)
    return path


@pytest.fixture
def obs(tmp_path: Path) -> Path:
    return observe(tmp_path / "obs.fits", 3)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip()


def test_a_tuning_writes_page_numbers_curve_and_a_recipe_that_runs(
    obs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--grid", "fwhm=0.1,2.5", "--draws", "1", "--crop", "channels 1:10", "--continuum", "none")
    assert execute(["tune", str(obs), "-m", "smooth", *asked]) == 0
    shown = capsys.readouterr()
    folder = Path("obs_tune_smooth")
    assert sorted(path.name for path in folder.iterdir()) == [
        "tune.html", "tune.json", "tune_score.png", "tuned.yaml",
    ]  # fmt: skip
    numbers = json.loads((folder / "tune.json").read_text())
    assert numbers["shape"] == [10, 40, 40]
    assert numbers["default"] == {"fwhm": None}
    assert numbers["sentence"] in " ".join(shown.out.split())
    assert "2.5" in shown.out
    page = (folder / "tune.html").read_text()
    assert page.count("data:image/png") == 1
    assert "http" not in page
    recipe = load_recipe(folder / "tuned.yaml").recipe
    assert recipe.options().parameters == numbers["parameters"]
    assert recipe.options().continuum == "none"
    assert recipe.reading() == {"crop": "channels 1:10"}
    assert execute(["run", "-r", str(folder / "tuned.yaml"), str(obs), "--no-report"]) == 0
    assert fits.getdata("obs_denoised.fits").shape == (10, 40, 40)


def test_two_parameters_are_a_map_and_halves_a_score(obs: Path, tmp_path: Path) -> None:
    half = observe(tmp_path / "half.fits", 4)
    grid = ("--grid", "fwhm=2.5", "--grid", "spectral_fwhm=1.5,3")
    asked = ("--score", "halves", "--half", str(half), "-o", "out")
    assert execute(["tune", str(obs), "-m", "smooth", *grid, *asked]) == 0
    numbers = json.loads(Path("out/tune.json").read_text())
    assert numbers["kind"] == "halves"
    assert len(numbers["tried"]) == 3


def test_a_comparison_writes_page_numbers_and_figures(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--methods", "smooth", "--quick", "--draws", "1", "--sources", "0")
    assert execute(["compare", str(obs), *asked]) == 0
    shown = capsys.readouterr()
    folder = Path("obs_compare")
    assert sorted(path.name for path in folder.iterdir()) == [
        "compare.html", "compare.json", "compare_moment0.png", "compare_peak.png", "compare_scores.png",
        "compare_spectra.png",
    ]  # fmt: skip
    numbers = json.loads((folder / "compare.json").read_text())
    assert numbers["recommended"] == "smooth"
    assert numbers["reason"] in " ".join(shown.out.split())
    assert "smooth *" in shown.out
    assert "smooth: " in shown.err
    (entry,) = numbers["entries"]
    assert entry["memory"] > entry["idle"] > 2e7  # of a process of its own
    assert entry["first"] > 0
    assert entry["recovered"] == []
    page = (folder / "compare.html").read_text()
    assert page.count("data:image/png") == 4
    assert execute(["compare", str(obs), *asked]) == 2
    assert "compare.html exists" in error_of(capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tune", "--grid", "threshold"], "--grid needs name=value,value"),
        (["tune", "--grid", "threshold=4,,5"], "--grid needs name=value,value"),
        (["tune", "--grid", "threshold=4", "--grid", "threshold=5"], "--grid gives 'threshold' twice"),
        (["tune", "--grid", "treshold=4,5"], "no parameter 'treshold'"),
        (["tune", "--grid", "threshold=50"], "'threshold' of method ist is not valid"),
        (["tune", "--set", "threshold=4", "--grid", "threshold=5"], "both fixed and in the grid"),
        (["tune", "--score", "sure"], "--score does not know this word (found: sure)"),
        (["tune", "--score", "halves"], "needs a second half"),
        (["tune", "-m", "auto"], "tuning is for one method (found: auto)"),
        (["tune", "-m", "lidia"], "no parameter that is usually chosen"),
        (["compare", "--methods", "ist,nope"], "--methods does not know this word (found: nope)"),
        (["compare", "--draws", "0"], "at least 1 voxel and 1 draw"),
    ],
)
def test_bad_input_is_one_line(
    obs: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert execute([words[0], str(obs), *words[1:]]) == 2
    said = error_of(capsys)
    assert line in said
    assert said.count("\n") == 0
    assert not any(path.is_dir() for path in Path().iterdir())


def test_a_recipe_takes_what_was_asked_for(tmp_path: Path) -> None:
    from denoise.engine import run_options
    from denoise.engine.recipe_text import recipe_text

    weight = tmp_path / "weight.fits"
    weight.touch()
    options = run_options(
        method="smooth",
        parameters={"fwhm": 3.0},
        positivity="off",
        companion="scale",
        seed=7,
        vst={"gain": 2.0},
    )
    reading = {
        "crop": "-200:300 km/s, x 2:9",
        "noise": "weight.fits[1]",
        "noise_kind": "weight",
        "beam": "3arcsec",
    }
    text = recipe_text(options, reading, title="mine")
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    recipe = load_recipe(path).recipe
    assert recipe.options() == options.model_copy(update={"save": recipe.options().save})
    assert recipe.reading() == {
        **reading, "crop": "x 2:9, -200:300 km/s", "noise": f"{weight.resolve()}[1]",
    }  # fmt: skip
    assert yaml.safe_load(text)["title"] == "mine"
