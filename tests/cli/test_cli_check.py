"""`denoise check` and `denoise run --correct-flux`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from denoise.cli.app import execute

SHAPE = (16, 48, 48)
QUICK = ("--sources", "12", "--snr", "5,12", "--size", "0", "--width", "3", "--empty", "1", "--no-found")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def obs(tmp_path: Path) -> Path:
    """White noise and one line source, 3 pixels wide."""
    data = np.random.default_rng(3).normal(size=SHAPE)
    c, y, x = (np.arange(n) - at for n, at in zip(SHAPE, (8, 14, 14), strict=True))
    data += 9 * np.exp(-0.5 * ((c[:, None, None] / 1.5) ** 2 + (y[:, None] / 1.5) ** 2 + (x / 1.5) ** 2))
    header = fits.Header({
        "BUNIT": "JY/BEAM", "BMAJ": 1e-3, "BMIN": 1e-3, "BPA": 0.0,
        "CTYPE1": "RA---SIN", "CDELT1": -2.8e-4, "CRVAL1": 10.0, "CUNIT1": "deg",
        "CTYPE2": "DEC--SIN", "CDELT2": 2.8e-4, "CRVAL2": 2.0, "CUNIT2": "deg",
        "CTYPE3": "VRAD", "CDELT3": 5000.0, "CRVAL3": 0.0, "CUNIT3": "m/s", "SPECSYS": "LSRK",
    })  # fmt: skip
    path = tmp_path / "obs.fits"
    fits.writeto(path, data.astype(">f4"), header)
    return path


def test_a_check_writes_page_numbers_table_and_figures(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", str(obs), "-m", "smooth", *QUICK]) == 0
    shown = capsys.readouterr()
    folder = Path("obs_check_smooth")
    assert sorted(path.name for path in folder.iterdir()) == [
        "check.ecsv", "check.html", "check.json", "check_purity.png", "check_recovery.png", "check_shape.png",
    ]  # fmt: skip
    numbers = json.loads((folder / "check.json").read_text())
    assert numbers["method"] == "smooth"
    assert numbers["axes"]["channel"] == pytest.approx(5.0)
    assert numbers["axes"]["unit"] == "km/s"
    assert numbers["sentence"] in shown.out
    assert "At peak SNR 5 smooth keeps" in shown.out
    assert "false regions in this cube" in shown.out
    table = Table.read(folder / "check.ecsv")
    assert len(table) == len(numbers["cells"])
    assert str(table["fwhm"].unit) == "pix"
    page = (folder / "check.html").read_text()
    assert " Jy beam⁻¹ (1σ, median)" in page  # as in every report, not as the header shouts it
    assert page.count("<img ") == 3
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "wrote obs_check_smooth/check.html" in shown.err


def test_an_existing_output_is_refused_before_any_work(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("mine")
    folder.mkdir()
    (folder / "check.json").write_text("mine")
    (folder / "notes.txt").write_text("mine too")
    assert execute(["check", str(obs), "-o", str(folder), *QUICK]) == 2
    assert "exists" in capsys.readouterr().err
    assert (folder / "check.json").read_text() == "mine"
    assert execute(["check", str(obs), "-m", "smooth", "-o", str(folder), "--overwrite", *QUICK]) == 0
    assert (folder / "check.json").read_text() != "mine"
    assert (folder / "notes.txt").read_text() == "mine too"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--snr", "0,3"], 2, "--snr needs peak SNR above 0"),
        (["--snr", "two"], 2, "--snr needs"),
        (["--size=-1"], 2, "--size needs"),
        (["--sources", "1"], 2, "at least 2 sources"),
        (["-m", "none"], 2, "unknown method"),
        (["-m", "smooth", "--set", "nonsense=1"], 2, "nonsense"),
        (["-m", "smooth", "--template", "none.fits"], 3, "none.fits"),
        (["-m", "smooth", "--size", "40"], 2, "no room for sources"),
        (["-m", "noiser"], 2, "display"),
        (["-o", "obs.fits"], 2, "output is a file"),
    ],
)
def test_bad_input_is_one_line(
    obs: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, part: str
) -> None:
    quick = ["--sources", "4", "--width", "3", "--no-found"]
    assert execute(["check", str(obs), *quick, *words]) == code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert part in error[0]
    assert [path.name for path in Path().iterdir()] == ["obs.fits"]


def test_progress_and_result_as_json_lines(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", str(obs), "-m", "smooth", "--json-log", *QUICK]) == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    stages = [event["stage"] for event in events if event["event"] == "progress"]
    assert "injecting sources" in stages
    assert events[-1]["event"] == "done"
    assert Path(events[-1]["json"]).is_file()


def test_fluxes_are_corrected_on_request_only(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", str(obs), *QUICK]) == 0
    check = "obs_check_ist/check.json"
    assert execute(["run", str(obs), "--no-report", "-o", "plain.fits"]) == 0
    assert "corrected" not in capsys.readouterr().err
    assert execute(["run", str(obs), "--correct-flux", check, "-o", "out.fits"]) == 0
    assert "Flux corrected by check.json" in capsys.readouterr().err
    assert "Flux corrected by check.json" in Path("out_report/out_report.html").read_text()
    assert "Flux corrected" in str(fits.getheader("out.fits")["HISTORY"])
    plain, out = fits.getdata("plain.fits"), fits.getdata("out.fits")
    assert np.array_equal(plain == 0, out == 0)
    assert not np.array_equal(plain, out)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--correct-flux", "none.json"], "cannot be read"),
        (["--correct-flux", "check.json", "--set", "threshold=4"], "parameter threshold differs"),
        (["--correct-flux", "check.json", "-m", "smooth"], "method differs"),
        (["--correct-flux", "check.json", "obs.fits"], "one input"),
        (["--correct-flux", "check.json", "--resume"], "without --resume"),
    ],
)
def test_a_correction_that_does_not_belong_to_the_run_is_refused(
    obs: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    cells = [
        {"kind": "all", "snr": snr, "count": 3, "found": 3,
         "scores": {"flux_found": [0.9, 0.1, 0.1], "peak": [snr, 0.1, 0.1]}}
        for snr in (3.0, 9.0)
    ]  # fmt: skip
    from denoise.engine.options import run_options
    from denoise.engine.run import make_denoiser

    used = make_denoiser(run_options(method="ist"), positivity=False).parameters.model_dump(mode="json")
    values = {
        "format": 1, "input": "obs.fits", "checksum": "sha256:1", "shape": list(SHAPE), "part": "", "method": "ist",
        "parameters": used, "level": 0.25, "min_snr": 3.0, "noise": 1.0, "unit": "Jy", "cells": cells,
        "asked": {
            "continuum": "auto", "positivity": "auto", "vst": None, "companion": "trust", "then": [], "input": {},
        },
        "axes": {"beam": [3, 3, 0], "beam_origin": "", "arcsec": None, "channel": None, "unit": ""},
        "kinds": [{"name": "all", "size": 0, "width": 3, "field": "cube", "fwhm": 3, "line": 3}],
        "false": None, "found_snr": None, "settings": {}, "weights": "", "notes": [],
    }  # fmt: skip
    Path("check.json").write_text(json.dumps(values))
    assert execute(["run", str(obs), "-o", "out.fits", *words]) in (2, 3)
    assert part in capsys.readouterr().err
    assert not Path("out.fits").exists()
