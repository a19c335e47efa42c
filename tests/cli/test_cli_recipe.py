"""`denoise run -r`: the same bytes as the command line, every step on a file, and the ready recipes on real cubes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from denoise.cli.app import execute
from denoise.cube import read_provenance
from denoise.engine.recipe_file import schema

SHAPE = (12, 24, 28)
DATA = os.environ.get("DENOISE_TEST_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="DENOISE_TEST_DATA names no folder of real cubes")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def obs() -> Path:
    data = np.random.default_rng(1).normal(size=SHAPE)
    data[4:8, 10:15, 10:15] += 15
    header = fits.Header({"BUNIT": "Jy/beam", "CTYPE3": "VRAD", "CUNIT3": "km/s", "CDELT3": 10.0})
    header.update({"CRVAL3": 0.0, "CRPIX3": 1.0, "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"})
    header.update(
        {"CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 10.0, "CRVAL2": 2.0, "CRPIX1": 14.0, "CRPIX2": 12.0}
    )
    fits.writeto("OBS.fits", data.astype(">f4"), header)
    fits.writeto("mask.fits", (np.arange(28) < 2).astype("u1") * np.ones(SHAPE, "u1"))
    fits.writeto("sigma.fits", np.full(SHAPE, 1.1, ">f4"))
    return Path("OBS.fits")


def _write(steps: list[object], **more: object) -> str:
    Path("r.yaml").write_text(yaml.safe_dump({"version": 1, "steps": steps, **more}))
    return "r.yaml"


def _numbers(path: Path) -> dict[str, str]:
    with path.open() as file:
        return dict(csv.reader(file))


def _same(first: str, second: str) -> None:
    """Equal output: the same HDUs up to the table, and the same science part."""
    with fits.open(first) as one, fits.open(second) as two:
        assert [hdu.name for hdu in one] == [hdu.name for hdu in two]
        for a, b in zip(one[:-1], two[:-1], strict=True):
            assert a.header.tostring() == b.header.tostring()
            np.testing.assert_array_equal(a.data, b.data)
    assert read_provenance(first).science == read_provenance(second).science


def test_a_recipe_gives_the_bytes_of_the_equal_command_line(obs: Path) -> None:
    recipe = _write(
        [
            {"crop": {"channels": "1:10", "x": "0:25", "around": "10deg 2deg 8arcsec"}},
            {"mask": {"file": "mask.fits", "exclude": "10:20 km/s"}},
            {"continuum": {"mode": "median"}},
            {"noise": {"file": "sigma.fits", "kind": "sigma", "companion": "scale"}},
            {"denoise": {"method": "smooth", "parameters": {"fwhm": 3}, "positivity": "off"}},
            {"uncertainty": {"draws": 4}},
            {"metrics": {"formats": ["csv", "json"]}},
        ],
        inputs={"rest": "115.271 GHz"},
        seed=2,
        outputs={"folder": "results", "name": "{stem}_r.fits"},
    )
    assert execute(["run", "-r", recipe, str(obs)]) == 0
    words = ["-m", "smooth", "--set", "fwhm=3", "--positivity", "off", "--seed", "2", "--continuum", "median"]
    words += ["--companion", "scale", "--noise", "sigma.fits", "--noise-kind", "sigma", "--mask", "mask.fits"]
    words += ["--exclude", "10:20 km/s", "--rest", "115.271 GHz", "--uncertainty", "4"]
    words += ["--crop", "channels 1:10, x 0:25, around 10deg 2deg 8arcsec", "--no-report", "-o", "line.fits"]
    assert execute(["run", str(obs), *words]) == 0
    _same("results/OBS_r.fits", "line.fits")
    assert fits.getdata("line.fits").shape == (10, 22, 22)
    made = {path.name for path in Path("results").iterdir()}
    assert made == {"OBS_r.fits", "OBS_r_metrics.csv", "OBS_r_metrics.json"}
    rows = _numbers(Path("results/OBS_r_metrics.csv"))
    numbers = json.loads(Path("results/OBS_r_metrics.json").read_text())
    assert rows["method"] == numbers["method"] == "smooth"
    assert float(rows["noise_before"]) == numbers["metrics"]["noise_before"] == pytest.approx(1, rel=0.2)


def test_several_steps_and_their_rerun(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = _write([{"denoise": {"method": "smooth"}}, {"denoise": {"method": "pca"}}, {"report": None}])
    assert execute(["run", "-r", recipe, str(obs), "--dry-run"]) == 0
    assert "smooth, then pca" in capsys.readouterr().out
    assert not Path("OBS_denoised.fits").exists()
    assert execute(["run", "-r", recipe, str(obs)]) == 0
    assert list(Path("OBS_denoised_report").glob("*.html"))
    assert execute(["rerun", "OBS_denoised.fits", "--no-report"]) == 0
    assert "are identical" in capsys.readouterr().out
    with fits.open("OBS_denoised.fits") as hdus:
        np.testing.assert_allclose(hdus[0].data + hdus["RESIDUAL"].data, fits.getdata(obs), atol=1e-5)


def test_a_crop_is_rerun(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", str(obs), "-m", "smooth", "--crop", "x 3:20", "--no-report"]) == 0
    assert execute(["rerun", "OBS_denoised.fits", "--no-report"]) == 0
    assert "are identical" in capsys.readouterr().out


def test_inputs_of_the_recipe_with_a_manifest_and_resume(obs: Path) -> None:
    Path("sub").mkdir()
    for name in ("a", "b"):
        Path(f"sub/{name}.fits").write_bytes(obs.read_bytes())
    Path("sub/list.csv").write_text("file,output,denoise.parameters.fwhm\na.fits,first.fits,4\nb.fits,,\n")
    recipe = _write(
        [{"denoise": {"method": "smooth"}}],
        inputs={"files": "O*.fits", "manifest": "sub/list.csv"},
        outputs={"folder": "out"},
    )
    assert execute(["run", "-r", recipe]) == 0
    made = sorted(path.name for path in Path("out").glob("*.fits"))
    assert made == ["OBS_denoised.fits", "b_denoised.fits", "first.fits"]
    assert "fwhm: 4.0" in read_provenance("out/first.fits").science["configuration"]
    before = {name: Path("out", name).stat().st_mtime_ns for name in made}
    Path("sub/list.csv").write_text("file,output,denoise.parameters.fwhm\na.fits,first.fits,5\nb.fits,,\n")
    assert execute(["run", "-r", recipe, "--resume"]) == 0
    redone = {name for name in made if Path("out", name).stat().st_mtime_ns != before[name]}
    assert redone == {"first.fits"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-r", "r.yaml", "OBS.fits", "-m", "ist"], "--method and a recipe were given"),
        (["-r", "r.yaml", "OBS.fits", "--noise-kind", "sigma"], "--noise-kind and a recipe were given"),
        (["-r", "r.yaml"], "r.yaml: inputs: no file"),
        (["-r", "odd", "OBS.fits"], "there is no recipe 'odd'; choose alma-cii"),
        ([], "no input was named"),
    ],
)
def test_what_does_not_go_together(
    obs: Path, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _write([{"denoise": {"method": "smooth"}}])
    assert execute(["run", *argv]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_an_existing_file_of_numbers_is_refused_first(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = _write([{"denoise": {"method": "smooth"}}, {"metrics": None}])
    Path("OBS_denoised_metrics.csv").write_text("mine")
    assert execute(["run", "-r", recipe, str(obs)]) == 2
    assert "OBS_denoised_metrics.csv exists" in capsys.readouterr().err
    assert execute(["run", "-r", recipe, str(obs), "--overwrite"]) == 0


def test_recipe_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["recipe"]) == 0
    assert "muse-deep" in capsys.readouterr().out
    assert execute(["recipe", "--schema"]) == 0
    assert capsys.readouterr().out == schema()
    assert execute(["recipe", "image"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["version"] == 1


def _jwst(path: Path) -> Path:
    """SIMULATED cube with the layout of the JWST pipeline: SCI, ERR, DQ, WMAP, in MJy/sr."""
    shape, rng = (120, 30, 30), np.random.default_rng(7)
    c, y, x = (np.arange(n) - n / 2 for n in shape)
    sky = np.exp(-0.5 * ((y[:, None] / 4) ** 2 + (x / 4) ** 2))
    line = 30 * np.exp(-0.5 * (c / 2) ** 2)[:, None, None] * sky
    sigma = np.ones(shape) * (1 + 0.5 * (np.abs(y)[:, None] > 12))
    data = line + (20 + 0.02 * c)[:, None, None] * sky + rng.normal(size=shape) * sigma
    outside = np.abs(x) > 13
    data[:, :, outside] = np.nan
    flags = np.zeros(shape, np.int32)
    flags[:, :, outside] = 513  # DO_NOT_USE and NON_SCIENCE
    flags[60, 3, 3], data[60, 3, 3] = 1, 5e4  # a cosmic ray that is flagged
    sci = fits.Header({"BUNIT": "MJy/sr", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CTYPE3": "WAVE"})
    sci.update(
        {"CUNIT1": "deg", "CUNIT2": "deg", "CUNIT3": "um", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRVAL3": 3.0}
    )
    sci.update(
        {"CRPIX1": 15.0, "CRPIX2": 15.0, "CRPIX3": 1.0, "CDELT1": -2.8e-5, "CDELT2": 2.8e-5, "CDELT3": 4e-4}
    )
    primary = fits.Header({"TELESCOP": "JWST", "INSTRUME": "NIRSPEC", "EXP_TYPE": "NRS_IFU"})
    fits.HDUList(
        [
            fits.PrimaryHDU(header=primary),
            fits.ImageHDU(data.astype(">f4"), sci, name="SCI"),
            fits.ImageHDU((0.8 * sigma).astype(">f4"), name="ERR"),  # too low, as drizzling leaves it
            fits.ImageHDU(flags, name="DQ"),
            fits.ImageHDU(np.ones(shape, ">f4"), name="WMAP"),
        ]
    ).writeto(path)
    return path


def test_jwst_recipe_on_a_simulated_file(tmp_path: Path) -> None:
    source = _jwst(tmp_path / "simulated_nirspec_s3d.fits")
    assert execute(["run", "-r", "jwst-nirspec-ifu", str(source)]) == 0
    out = Path("simulated_nirspec_s3d_denoised.fits")
    with fits.open(out) as hdus, fits.open(source) as old:
        assert hdus["SCI"].header["BUNIT"] == "MJy/sr"
        np.testing.assert_array_equal(hdus["DQ"].data, old["DQ"].data)
        flagged = old["DQ"].data != 0
        assert np.isnan(hdus["SCI"].data[flagged]).all()
        assert np.isfinite(hdus["SCI"].data[~flagged]).all()
        # ERR was 0.8 of the noise: its level is that of the data, its shape stays
        ratio = np.nanmedian(hdus["NOISE"].data / old["ERR"].data)
    assert ratio == pytest.approx(1 / 0.8, rel=0.1)
    assert list(Path("simulated_nirspec_s3d_denoised_report").glob("*.html"))
    settled = read_provenance(out).science["settled"]
    assert "continuum: smooth" in settled


REAL = {
    "alma-cii": "sim_alma_cii_disk/snr08_full.fits",
    "hi-survey": "hi_wein069_wsrt/WEIN069.fits",
    "muse-deep": "muse_udf_mosaic/subcub_mosaic.fits",
    "image": "deepshallow_decam_obs04/DEC-OBS04a.mini.fits",
}


@needs_data
@pytest.mark.parametrize("recipe", REAL)
def test_ready_recipes_on_their_cubes(recipe: str) -> None:
    source = Path(str(DATA), "cubes", REAL[recipe])
    assert execute(["run", "-r", recipe, str(source), "-o", "out"]) == 0
    name = f"{source.name.removesuffix('.fits')}_denoised"
    numbers = _numbers(Path("out", f"{name}_metrics.csv"))
    assert float(numbers["noise_before"]) > 0
    assert 0.5 < float(numbers["residual_std_sigma"]) < 1.6
    assert list(Path("out", f"{name}_report").glob("*.html"))
    record = read_provenance(Path("out", f"{name}.fits"))
    assert record.science["method"] == "ist"


@needs_data
def test_the_alma_recipe_comes_closer_to_the_truth() -> None:
    folder = Path(str(DATA), "cubes/sim_alma_cii_disk")
    assert execute(["run", "-r", "alma-cii", str(folder / "snr08_full.fits"), "--no-report"]) == 0
    truth = fits.getdata(folder / "truth.fits").squeeze()
    before, after = (
        fits.getdata(name).squeeze() for name in (folder / "snr08_full.fits", "snr08_full_denoised.fits")
    )
    assert np.std(after - truth) < 0.2 * np.std(before - truth)
