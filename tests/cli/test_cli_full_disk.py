"""Disks that are really full: one line, exit 4, nothing under the final name, nothing left, the input untouched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from denoise.engine import run_file, run_options
from denoise.errors import ResourceError
from denoise.report import write_report

SHAPE = (12, 40, 40)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="file systems of Linux")


def observation(path: Path, shape: tuple[int, int, int] = SHAPE) -> Path:
    """Noise and a bright source in the middle."""
    data = np.random.default_rng(1).normal(size=shape)
    data[shape[0] // 2, shape[1] // 2, shape[2] // 2 :] += 30
    fits.writeto(path, data.astype(">f4"), fits.Header({"BUNIT": "Jy/beam"}))
    return path


def fill(filler: Path) -> None:
    """Write to a file until the disk is full."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


def command(*argv: str, limit: int | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`denoise run` in a process of its own; `limit`: largest file that it may write, bytes."""
    code = "import sys; from denoise.cli.app import main; "
    if limit:
        code += f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    return subprocess.run(
        [sys.executable, "-c", f"{code}main(sys.argv[1:])", "run", *argv, "-m", "smooth"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DENOISE_DEBUG": "0"} | environment,
    )


def assert_one_line(run: subprocess.CompletedProcess[str], said: str) -> None:
    errors = [line for line in run.stderr.splitlines() if not line.startswith("warning:")]
    assert run.returncode == 4, run.stderr
    assert len(errors) == 1
    assert re.fullmatch(rf"error: .*{said}.*; .+", errors[0]), errors
    assert "Traceback" not in run.stderr


@linux
def test_an_output_larger_than_the_disk(tiny: Path, tmp_path: Path) -> None:
    obs = observation(tmp_path / "big.fits", (20, 128, 128))
    before = obs.read_bytes()
    run = command(str(obs), "--no-report", "-o", str(tiny / "out.fits"))
    assert_one_line(run, rf"not enough space in {tiny}.*bytes free, \d+ needed")
    assert list(tiny.iterdir()) == []
    assert obs.read_bytes() == before


@linux
@pytest.mark.parametrize("existing", [False, True])
def test_a_disk_that_fills_up_while_the_run_goes_on(tiny: Path, tmp_path: Path, existing: bool) -> None:
    obs = observation(tmp_path / "obs.fits")
    before = obs.read_bytes()
    target, filler = tiny / "out.fits", tiny / "somebody_else"
    if existing:
        target.write_text("mine")

    options = run_options(method="smooth", overwrite=existing)
    with pytest.raises(ResourceError, match=r"the disk is full: .*out\.fits.*No space left on device"):
        run_file(obs, target, options, progress=lambda event: fill(filler))
    assert filler.stat().st_size > 1 << 20
    assert sorted(tiny.iterdir()) == [*([target] if existing else []), filler]
    assert not existing or target.read_text() == "mine"
    assert obs.read_bytes() == before


@linux
def test_a_report_that_does_not_fit_is_one_error(tiny: Path, tmp_path: Path) -> None:
    result = run_file(observation(tmp_path / "obs.fits"), tiny / "out.fits", run_options(method="smooth"))
    fill(tiny / "somebody_else")
    with pytest.raises(ResourceError, match=r"the report cannot be written to .*No space left on device"):
        write_report(result, tiny / "report")
    assert fits.getdata(tiny / "out.fits").shape == SHAPE
    assert [path for path in (tiny / "report").rglob("*") if not path.name.endswith(".png")] == []


@linux
@pytest.mark.parametrize("why", ["compressed input", "continuum"])
def test_scratch_that_is_too_small(tiny: Path, tmp_path: Path, why: str) -> None:
    obs = observation(tmp_path / "obs.fits", (40, 128, 128))
    options = ["--continuum", "median", "--memory", "9MB"]
    if why == "compressed input":
        options = []
        subprocess.run(["gzip", str(obs)], check=True)
        obs = obs.with_name("obs.fits.gz")
    before = obs.read_bytes()
    out = tmp_path / "out.fits"
    run = command(str(obs), *options, "--no-report", "-o", str(out), TMPDIR=str(tiny))
    assert_one_line(run, rf"not enough scratch space in {tiny}.*needed")
    assert not out.exists()
    assert sorted(tmp_path.iterdir()) == sorted([obs, tiny])
    assert list(tiny.iterdir()) == []
    assert obs.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    obs = observation(tmp_path / "obs.fits", (40, 128, 128))
    before = obs.read_bytes()
    run = command(str(obs), "--no-report", "-o", str(tmp_path / "out.fits"), limit=4 << 20)
    assert_one_line(run, r"the output cannot be written: .*out\.fits \(found: File too large\)")
    assert list(tmp_path.iterdir()) == [obs]
    assert obs.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """R3, the whole command: nothing under the final name, and the next run is not in its way."""
    obs = observation(tmp_path / "obs.fits", (24, 480, 64))
    before = obs.read_bytes()
    out = tmp_path / "out.fits"
    options = ["-m", "smooth", "--no-report", "-o", str(out), "--memory", "24MB"]
    argv = [sys.executable, "-m", "denoise.cli.app", "run", str(obs), *options]
    with subprocess.Popen([*argv, "--json-log"], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if '"denoising"' in line:
                run.send_signal(signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    assert not out.exists()
    assert obs.read_bytes() == before
    subprocess.run(argv, capture_output=True, check=True)
    assert fits.getdata(out).shape == (24, 480, 64)
