"""`denoise run`, `rerun`, `info` and `demo` on small files, as a user runs them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from denoise.cli.app import execute

SHAPE = (12, 32, 32)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


def _observation(path: Path, shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> Path:
    """White noise of sigma 1 and one bright line source, in Jy/beam."""
    noise = np.random.default_rng(seed).normal(size=shape)
    c, y, x = (np.arange(n) - n // 2 for n in shape)
    noise += 20 * np.exp(-0.5 * ((c[:, None, None] / 2) ** 2 + (y[:, None] / 2.5) ** 2 + (x / 2.5) ** 2))
    header = fits.Header(
        {
            "BUNIT": "Jy/beam",
            "CTYPE1": "RA---SIN",
            "CTYPE2": "DEC--SIN",
            "CTYPE3": "FREQ",
            "CDELT1": -1e-4,
            "CDELT2": 1e-4,
            "CDELT3": 1e6,
            "CRVAL1": 10.0,
            "CRVAL2": 2.0,
            "CRVAL3": 1e11,
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CUNIT3": "Hz",
            "OBJECT": "made up",
            "BMAJ": 3e-4,
            "BMIN": 3e-4,
            "BPA": 0.0,
        }
    )
    fits.writeto(path, noise.astype(">f4"), header)
    return path


@pytest.fixture
def obs(tmp_path: Path) -> Path:
    return _observation(tmp_path / "OBS.fits")


def test_a_run_writes_result_residual_noise_and_report(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = obs.read_bytes()
    assert execute(["run", str(obs), "-m", "smooth"]) == 0
    shown = capsys.readouterr()
    assert "Flux of the emission found" in shown.out
    assert "wrote OBS_denoised.fits and OBS_denoised_report" in shown.err
    assert obs.read_bytes() == before
    with fits.open("OBS_denoised.fits") as hdus:
        assert {"RESIDUAL", "NOISE", "PROVENANCE"} <= {hdu.name for hdu in hdus}
        assert hdus[0].header["OBJECT"] == "made up"
        total = hdus[0].data + hdus["RESIDUAL"].data
    np.testing.assert_allclose(total, fits.getdata(obs), atol=1e-5)
    assert list(Path("OBS_denoised_report").glob("*.html"))
    assert list(Path("OBS_denoised_report").glob("*.png"))


def test_rerun_gives_the_same_data(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", str(obs), "-m", "smooth", "--set", "fwhm=3.5", "--exclude", "channels 0:1", "--no-report"]
    assert execute([*argv, "-o", "one.fits"]) == 0
    assert execute(["rerun", "one.fits", "--no-report"]) == 0
    assert "the data of one_rerun.fits and one.fits are identical" in capsys.readouterr().out
    np.testing.assert_array_equal(fits.getdata("one.fits"), fits.getdata("one_rerun.fits"))


def test_rerun_finds_a_moved_input_and_refuses_a_changed_one(
    obs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["run", str(obs), "-m", "smooth", "--no-report", "-o", "one.fits"]) == 0
    Path("archive").mkdir()
    moved = obs.rename("archive/OBS.fits")
    capsys.readouterr()
    assert execute(["rerun", "one.fits", "--no-report"]) == 3
    assert re.fullmatch(
        r"error: the input of one\.fits is not there .*say where it is with --input\n",
        capsys.readouterr().err,
    )
    assert execute(["rerun", "one.fits", "--no-report", "--input", str(moved)]) == 0
    fits.setval(moved, "OBJECT", value="another")
    capsys.readouterr()
    assert execute(["rerun", "one.fits", "--no-report", "--input", str(moved), "--overwrite"]) == 3
    assert "its checksum differs" in capsys.readouterr().err
    assert execute(["rerun", str(moved)]) == 3
    assert "no PROVENANCE table" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", str(obs), "-m", "smooth", "--dry-run", "--memory", "1GB"]) == 0
    shown = capsys.readouterr().out
    for word in ("tiles", "halo", "passes", "bytes read", "peak memory", "scratch", "OBS_denoised.fits"):
        assert word in shown
    assert [path.name for path in Path().iterdir()] == ["OBS.fits"]


def test_a_dry_run_for_workers_is_the_plan_of_one_of_them(
    obs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from denoise.engine import runners

    free = SimpleNamespace(available=80_000_000)
    monkeypatch.setattr(runners.psutil, "virtual_memory", lambda: free)
    planned = ["run", str(obs), "-m", "smooth", "--set", "fwhm=2", "--dry-run"]
    for more, allowed in (
        ([], "40 MB"),
        (["--workers", "4"], "10 MB"),
        (["--workers", "4", "--memory", "9MB"], "9 MB"),
    ):
        assert execute([*planned, *more]) == 0
        shown = capsys.readouterr().out
        assert f"of {allowed} allowed" in shown
        assert ("4 local processes; the peak memory is that of each" in shown) == bool(more)
    Path("jobs").mkdir()
    cluster = Path("jobs/slurm.yaml")
    cluster.write_text("version: 1\nqueue: slurm\nmaximum: 8\n")
    assert execute([*planned, "--cluster", str(cluster)]) == 2
    assert (
        "what a worker may take is not known yet (found: slurm, at most 8 workers)" in capsys.readouterr().err
    )
    assert execute([*planned, "--cluster", str(cluster), "--memory", "9MB"]) == 0
    assert "slurm, at most 8 workers; the peak memory is that of each" in capsys.readouterr().out
    assert execute([*planned, "--workers", "0"]) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["OBS.fits", "jobs"]


def test_an_existing_output_is_refused_before_any_work(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("OBS_denoised.fits").write_text("mine")
    assert execute(["run", str(obs), "-m", "smooth"]) == 2
    assert "OBS_denoised.fits exists" in capsys.readouterr().err
    assert Path("OBS_denoised.fits").read_text() == "mine"
    assert execute(["run", str(obs), "-m", "smooth", "--overwrite", "--no-report"]) == 0


def test_a_parameter_out_of_range_names_the_range(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", str(obs), "-m", "smooth", "--set", "fwhm=-2"]) == 2
    assert re.fullmatch(
        r"error: parameter 'fwhm' of method smooth is not valid \(found: -2\); .*greater than 0.*\n",
        capsys.readouterr().err,
    )


def test_one_bad_file_of_many(obs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.fits").write_text("no FITS")
    last = _observation(tmp_path / "last.fits", seed=2)
    argv = [
        "run",
        str(obs),
        "bad.fits",
        "none.fits",
        str(last),
        "-m",
        "smooth",
        "-o",
        "results",
        "--no-report",
    ]
    assert execute(argv) == 1
    shown = capsys.readouterr()
    assert {path.name for path in Path("results").glob("*.fits")} == {
        "OBS_denoised.fits",
        "last_denoised.fits",
    }
    assert len(re.findall(r"│ failed │", shown.out)) == 2
    assert len(re.findall(r"│ done   │ 12 x 32 x 32 │", shown.out)) == 2
    errors = [line for line in shown.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert "bad.fits" in errors[0]
    assert "none.fits" in errors[1]


@pytest.mark.parametrize("content", [b"", b"no FITS", None])
def test_an_unreadable_input_is_3_and_leaves_nothing(
    content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("x.fits").write_bytes(content)
    for argv in (["run", "x.fits", "-m", "smooth"], ["info", "x.fits"]):
        assert execute(argv) == 3
        shown = capsys.readouterr()
        assert re.fullmatch(r"error: .*x\.fits.*; .*\n", shown.err)
        assert shown.out == ""
    assert [path.name for path in Path().iterdir()] == ([] if content is None else ["x.fits"])


def test_an_output_that_cannot_be_written_is_4(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert execute(["run", str(obs), "-m", "smooth", "-o", "file/out.fits"]) == 4
    assert re.fullmatch(r"error: the folder file cannot be created .*\n", capsys.readouterr().err)


def test_json_log(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", str(obs), "-m", "smooth", "--json-log", "--no-report"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["event"] == "done"
    assert lines[-1]["output"] == "OBS_denoised.fits"
    assert lines[-1]["metrics"]["voxels"] == np.prod(SHAPE)
    assert {"stage", "done", "total", "seconds_left"} <= next(
        x for x in lines if x["event"] == "progress"
    ).keys()


def test_info(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["info", str(obs)]) == 0
    shown = capsys.readouterr().out
    assert "12 channels x 32 x 32 pixels, float32" in shown
    assert "pixels of 0.36 arcsec" in shown
    assert re.search(
        r"spectral axis +frequency, frame not stated \[Hz\]: 1e\+11 to 1\.00011e\+11, step 1e\+06", shown
    )
    assert re.search(r"unit +Jy/beam", shown)
    assert re.search(r"velocities +none without a rest", shown)
    sigma = float(re.search(r"noise \(1 sigma\) +([\d.]+) Jy/beam", shown)[1])  # type: ignore[index]
    assert sigma == pytest.approx(1.0, rel=0.1)  # 12,288 voxels and a bright source: enough for a tenth
    peak = float(re.search(r"peak SNR +([\d.]+)", shown)[1])  # type: ignore[index]
    assert peak == pytest.approx(20, abs=5)


def test_info_of_several_files(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["info", str(obs), "none.fits", str(obs)]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("12 channels") == 2
    assert shown.err.count("error:") == 1


def test_options_reach_the_reader(obs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["info", str(obs), "--beam", "1.5arcsec,1arcsec,30deg", "--rest", "100 GHz"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"beam +1\.5 x 1 arcsec, 30 deg", shown)
    assert re.search(r"velocities +radio velocity", shown)
    for wrong in (
        ["--hdu", "9"],
        ["--beam", "5,4,30"],
        ["--exclude", "channels 90:99"],
        ["--noise-kind", "odd"],
    ):
        code = execute(["info", str(obs), *wrong])
        assert code in (2, 3), wrong
        assert capsys.readouterr().err.count("\n") == 1


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["demo", "shown"]) == 0
    out = capsys.readouterr().out
    for method in ("as observed", "smooth", "pca", "ica", "ist"):
        assert re.search(rf"│ {method} +│", out)
    for name in ("muse_udf_line_denoised.fits", "alma_simulated_denoised.fits", "alma_simulated_truth.fits"):
        assert Path("shown", name).is_file()
    for name in ("muse_udf_line_report", "alma_simulated_report"):
        assert list(Path("shown", name).glob("*.html"))
        assert list(Path("shown", name).glob("*.png"))
        assert f"shown/{name}" in out
    assert execute(["demo", "shown"]) == 2
    assert "shown exists" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_nothing_and_is_130(tmp_path: Path) -> None:
    big = _observation(tmp_path / "big.fits", (64, 256, 256))
    options = ["-m", "smooth", "--no-report", "--memory", "64MB", "--json-log"]
    argv = [sys.executable, "-m", "denoise.cli.app", "run", str(big), *options]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if json.loads(line)["event"] == "progress":
                run.send_signal(signal.SIGINT)
                break
        start = time.monotonic()
        said = [json.loads(line) for line in run.stderr]
    assert run.returncode == 130, said
    assert said[-1]["event"] == "error"
    assert "cancelled" in said[-1]["message"]
    assert time.monotonic() - start < 30
    assert {path.name for path in tmp_path.iterdir()} == {"big.fits"}
