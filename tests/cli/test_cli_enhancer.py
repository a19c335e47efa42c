"""An enhancer from the command line: no unit in the file, and every message says what that means."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

import denoise
from denoise.cli.app import execute

SHAPE = (8, 32, 32)


@pytest.fixture
def observation(tmp_path, monkeypatch):
    """White noise and a source, in Jy/beam, in a file beside which the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    c, y, x = (np.arange(n) - n // 2 for n in SHAPE)
    data = np.random.default_rng(1).normal(size=SHAPE)
    data += 15 * np.exp(-0.5 * ((c[:, None, None] / 2) ** 2 + (y[:, None] / 2) ** 2 + (x / 2) ** 2))
    header = fits.Header(
        {"BUNIT": "Jy/beam", "CTYPE3": "FREQ", "CDELT3": 1e6, "CRVAL3": 1e11, "CUNIT3": "Hz"}
    )
    path = tmp_path / "obs.fits"
    fits.writeto(path, (1e-20 * data).astype(">f4"), header)
    return path


def test_the_output_for_display_has_no_unit_and_says_so(observation, capsys):
    assert execute(["run", "obs.fits", "-m", "noiser"]) == 0
    shown = capsys.readouterr()
    assert "for display only" in shown.out
    assert "Flux" not in shown.out
    with fits.open("obs_denoised.fits") as file:
        assert "BUNIT" not in file[0].header
        assert [one.name for one in file[1:]] == ["PROVENANCE"]
        history = " ".join(file[0].header["HISTORY"])
        assert "Enhanced by astro-denoise, method noiser" in history
        assert "display only" in history
        assert np.abs(file[0].data).max() <= 1
        science = {row["key"]: row["value"] for row in file["PROVENANCE"].data if row["part"] == "science"}
    assert len(science["weights"]) == 64
    page = next(observation.parent.glob("**/*_report.html")).read_text()
    assert "Display only" in page
    assert "<h2>Enhanced</h2>" in page
    assert "Flux of the emission" not in page


def test_a_restored_output_keeps_its_unit_and_reports_the_check(observation, capsys):
    assert execute(["run", "obs.fits", "-m", "noiser", "--set", "restore=photometric"]) == 0
    shown = capsys.readouterr()
    assert "Linearity error" in shown.out
    assert "Flux of the emission found" in shown.out
    with fits.open("obs_denoised.fits") as file:
        assert file[0].header["BUNIT"] == "Jy/beam"
        assert "restore passed" in " ".join(file[0].header["HISTORY"])
        assert "RESIDUAL" in file
    page = next(observation.parent.glob("**/*_report.html")).read_text()
    assert "Photometric restore" in page
    assert "restore passed" in page


def test_a_unit_in_the_primary_header_goes_too(observation):
    with fits.open("obs.fits") as file:
        primary = fits.PrimaryHDU(header=fits.Header({"BUNIT": "Jy/beam"}))
        image = fits.ImageHDU(file[0].data, name="SCI")
        fits.HDUList([primary, image]).writeto("mef.fits")
    assert execute(["run", "mef.fits", "-m", "noiser", "--no-report"]) == 0
    with fits.open("mef_denoised.fits") as file:
        assert not any("BUNIT" in one.header for one in file[:2])


def test_the_zarr_output_has_no_unit_either(observation):
    pytest.importorskip("zarr")
    assert execute(["run", "obs.fits", "-m", "noiser", "--no-report", "-o", "out.zarr"]) == 0
    assert denoise.read("out.zarr").unit is None


def test_the_batch_table_says_display_only(observation, capsys):
    (observation.parent / "two.fits").write_bytes(observation.read_bytes())
    assert execute(["run", "obs.fits", "two.fits", "-m", "noiser", "--no-report", "-o", "out"]) == 0
    assert capsys.readouterr().out.count("display only") >= 2


def test_the_log_says_display(observation, capsys):
    assert execute(["run", "obs.fits", "-m", "noiser", "--no-report", "--json-log"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert next(one for one in lines if one["event"] == "done")["display"] is True


def test_an_enhancer_is_no_step_among_others(observation, capsys):
    recipe = observation.parent / "r.yaml"
    recipe.write_text("version: 1\nsteps: [{denoise: {method: smooth}}, {denoise: {method: noiser}}]\n")
    assert execute(["run", "obs.fits", "-r", str(recipe)]) == 2
    assert "cannot be one of several steps" in capsys.readouterr().err


def test_positivity_is_refused(observation, capsys):
    assert execute(["run", "obs.fits", "-m", "noiser", "--positivity", "on"]) == 2
    assert "positivity is for denoisers" in capsys.readouterr().err


def test_the_table_of_methods_names_the_category(capsys):
    assert execute(["methods"]) == 0
    cells = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()]
    assert next(row for row in cells if "noiser" in row)[2] == "enhancer"
