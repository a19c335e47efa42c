"""`denoise run --save reliability`: the extension, the catalogues and the report, or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from denoise.cli.app import execute

SHAPE = (12, 32, 32)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    noise = np.random.default_rng(1).normal(size=SHAPE)
    c, y, x = (np.arange(n) - n // 2 for n in SHAPE)
    noise += 12 * np.exp(-0.5 * ((c[:, None, None] / 2) ** 2 + (y[:, None] / 2.5) ** 2 + (x / 2.5) ** 2))
    fits.writeto("obs.fits", noise.astype(">f4"), fits.Header({"BUNIT": "Jy/beam"}))


def test_the_output_has_its_reliability_and_a_catalogue(capsys):
    assert execute(["run", "obs.fits", "--save", "residual,reliability", "--draws", "2"]) == 0
    with fits.open("obs_denoised.fits") as hdus:
        assert {"RESIDUAL", "RELIABILITY"} <= {hdu.name for hdu in hdus}
        comment = " ".join(str(hdus["RELIABILITY"].header["COMMENT"]).split())
        assert "2 noise draws" in comment
    rows = Table.read("obs_denoised_catalogue.ecsv")
    assert rows["reliability"][0] > 0.95
    assert rows["id"][0] == 1
    assert Path("obs_denoised_catalogue.vot").is_file()
    page = Path("obs_denoised_report/obs_denoised_report.html").read_text()
    assert 'id="catalogue"' in page
    assert 'id="reliability"' in page
    assert "1 with a reliability" in capsys.readouterr().out


def test_a_catalogue_that_exists_is_refused_before_the_work(capsys):
    Path("obs_denoised_catalogue.vot").write_text("mine")
    assert execute(["run", "obs.fits", "--save", "reliability", "--no-report"]) == 2
    assert "obs_denoised_catalogue.vot exists" in capsys.readouterr().err
    assert not Path("obs_denoised.fits").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--draws", "4"], "--save reliability"),
        (["--agree", "pca"], "--save reliability"),
        (["--save", "reliability", "--agree", "nope"], "unknown method"),
        (["--save", "reliability", "-o", "out.zarr"], "FITS"),
        (["--save", "reliable"], "reliability"),
    ],
)
def test_what_cannot_be_done_is_one_line(options, said, capsys):
    assert execute(["run", "obs.fits", *options]) == 2
    assert said in capsys.readouterr().err
    assert not Path("obs_denoised.fits").exists()
