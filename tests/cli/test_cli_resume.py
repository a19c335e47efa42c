"""Batches: a status file for each input, and --resume does what is left, whatever ended the run before."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from denoise.cli.app import execute
from denoise.cube import read_provenance

RUN = ["-m", "smooth", "--no-report"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)


def _cube(name: str, seed: int, shape: tuple[int, int, int] = (8, 24, 24)) -> Path:
    data = np.random.default_rng(seed).normal(size=shape)
    data[3:6, 10:14, 10:14] += 15
    Path(name).parent.mkdir(exist_ok=True)
    fits.writeto(name, data.astype(">f4"), overwrite=True)
    return Path(name)


def _status(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(output).with_suffix(".status.json").read_text())
    return found


def _times(folder: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).glob("*.fits")}


def _redone(folder: str, before: dict[str, int]) -> set[str]:
    return {name for name, time in _times(folder).items() if before.get(name) != time}


def _rows(folder: str) -> list[dict[str, str]]:
    with (Path(folder) / "denoise_summary.csv").open() as file:
        return list(csv.DictReader(file))


def _science(path: Path) -> tuple[bytes, dict[str, str]]:
    """What "equal output" compares: the data HDUs and the science part."""
    with fits.open(path) as hdus:
        data = b"".join(hdu.data.tobytes() for hdu in hdus if hdu.is_image and hdu.data is not None)
    return data, read_provenance(path).science


def test_status_files_and_summary_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    one = _cube("in/one.fits", 1)
    Path("in/bad.fits").write_text("no FITS")
    assert execute(["run", str(one), "in/bad.fits", *RUN, "-o", "out"]) == 1
    done, failed = _status("out/one_denoised.fits"), _status("out/bad_denoised.fits")
    assert (done["state"], done["input"], done["error"]) == ("done", "in/one.fits", "")
    assert done["input_stamp"]["bytes"] == one.stat().st_size
    assert done["configuration"].startswith("sha256:")
    assert done["seconds"] > 0
    assert failed["state"] == "failed"
    assert "bad.fits" in failed["error"]
    good, bad = _rows("out")
    assert (good["state"], good["output"], good["error"]) == ("done", "out/one_denoised.fits", "")
    assert float(good["noise_before"]) == pytest.approx(1, rel=0.2)
    assert (bad["state"], bad["output"]) == ("failed", "")
    assert "bad.fits" in bad["error"]


def test_resume_does_what_is_missing_failed_or_changed(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(_cube(f"in/{name}.fits", seed)) for seed, name in enumerate("abcd")]
    Path("in/bad.fits").write_text("no FITS")
    argv = ["run", *names, "in/bad.fits", "-o", "out", "--resume"]
    assert execute([*argv, *RUN]) == 1
    before = _times("out")
    assert execute([*argv, *RUN]) == 1
    assert _redone("out", before) == set()
    Path("out/a_denoised.fits").unlink()  # missing
    _cube("in/b.fits", 11)  # another input
    _cube("in/bad.fits", 12)  # mended
    with Path("out/d_denoised.fits").open("ab") as file:  # touched by another hand
        file.write(b"\0" * 2880)
    capsys.readouterr()
    assert execute([*argv, *RUN]) == 0
    changed = {"a_denoised.fits", "b_denoised.fits", "bad_denoised.fits", "d_denoised.fits"}
    assert _redone("out", before) == changed
    assert [row["state"] for row in _rows("out")] == ["done", "done", "kept", "done", "done"]
    assert "│ kept" in capsys.readouterr().out
    assert float(_rows("out")[2]["noise_before"]) == pytest.approx(1, rel=0.2)
    before = _times("out")
    assert execute([*argv, *RUN, "--set", "fwhm=5"]) == 0  # another configuration
    assert _redone("out", before) == set(before)


def test_resume_redoes_what_a_companion_or_a_lost_report_changes() -> None:
    names = [str(_cube("in/a.fits", 1)), str(_cube("in/b.fits", 2))]
    _cube("sigma.fits", 3)
    fits.writeto("sigma.fits", np.ones((8, 24, 24), ">f4"), overwrite=True)
    argv = ["run", *names, "-m", "smooth", "-o", "out", "--resume", "--noise", "sigma.fits"]
    argv += ["--noise-kind", "sigma", "--no-report"]
    assert execute(argv) == 0
    before = _times("out")
    assert execute(argv) == 0
    assert _redone("out", before) == set()
    fits.writeto("sigma.fits", np.full((8, 24, 24), 1.01, ">f4"), overwrite=True)
    assert execute(argv) == 0
    assert _redone("out", before) == set(before)


def test_resume_redoes_what_other_draws_of_the_reliability_change() -> None:
    argv = ["run", str(_cube("in/one.fits", 1)), *RUN, "-o", "out", "--resume", "--save", "reliability"]
    assert execute([*argv, "--draws", "1"]) == 0
    before = _times("out")
    assert execute([*argv, "--draws", "1"]) == 0
    assert _redone("out", before) == set()
    assert execute([*argv, "--draws", "2"]) == 0
    assert _redone("out", before) == {"one_denoised.fits"}


def test_an_output_of_unknown_origin_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    one = str(_cube("in/one.fits", 1))
    Path("one_denoised.fits").write_text("mine")
    assert execute(["run", one, *RUN, "--resume"]) == 2
    assert "one_denoised.fits exists" in capsys.readouterr().err
    assert Path("one_denoised.fits").read_text() == "mine"


def test_a_single_input_can_be_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    one = str(_cube("in/one.fits", 1))
    assert execute(["run", one, *RUN, "--resume"]) == 0
    before = _times(".")
    assert execute(["run", one, *RUN, "--resume"]) == 0
    assert _redone(".", before) == set()
    assert "one_denoised.fits is done already" in capsys.readouterr().err


def test_json_log_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(_cube("in/a.fits", 1)), "in/none.fits", str(_cube("in/b.fits", 2))]
    assert execute(["run", names[0], names[2], *RUN, "-o", "out"]) == 0
    Path("out/b_denoised.fits").unlink()
    capsys.readouterr()
    assert execute(["run", *names, *RUN, "-o", "out", "--resume", "--json-log"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    events = [line for line in lines if line["event"] not in ("progress", "warning")]
    assert [line["event"] for line in events] == [
        "start",
        "kept",
        "start",
        "error",
        "start",
        "done",
        "summary",
    ]
    assert [line["input"] for line in events[:-1]] == [n for n in names for _ in range(2)]
    assert [(line["number"], line["total"]) for line in events[:-1:2]] == [(1, 3), (2, 3), (3, 3)]
    assert {name: events[-1][name] for name in ("inputs", "done", "kept", "failed")} == {
        "inputs": 3,
        "done": 1,
        "kept": 1,
        "failed": 1,
    }
    assert events[-1]["path"] == "out/denoise_summary.csv"


Start = Callable[[list[str]], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `denoise run` in a process of its own; it is gone after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(argv: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "denoise.cli.app", "run", *argv, "--json-log"]
        run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        running.append(run)
        return run

    yield begin
    for run in running:
        run.kill()
        run.wait()
        if run.stderr is not None:
            run.stderr.close()


def _wait_for(run: subprocess.Popen[str], **wanted: object) -> None:
    """Read the log up to a line with these values."""
    assert run.stderr is not None
    for line in run.stderr:
        event = json.loads(line)
        if all(event.get(name) == value for name, value in wanted.items()):
            return
    pytest.fail(f"the run ended before {wanted}")


@posix
def test_a_batch_with_broken_files_killed_and_resumed(start: Start) -> None:
    """Twelve inputs, three broken in different ways, SIGKILL in the middle of the sixth."""
    names = [str(_cube(f"in/{number:02}.fits", number)) for number in range(12)]
    _cube(names[5], 5, (32, 256, 256))
    with Path(names[1]).open("r+b") as file:
        file.truncate(9000)
    Path(names[7]).write_text("no FITS")
    fits.writeto(names[10], np.full((8, 24, 24), np.nan, ">f4"), overwrite=True)
    options = [*RUN, "--memory", "64MB"]
    run = start([*names, *options, "-o", "out"])
    _wait_for(run, event="start", number=6)
    _wait_for(run, event="progress", stage="denoising", done=1)
    run.kill()
    run.communicate()
    assert _status("out/05_denoised.fits")["state"] == "running"
    assert not Path("out/05_denoised.fits").exists()
    assert list(Path("out").glob(".*.part"))
    assert list(Path("scratch").iterdir())
    before = _times("out")
    assert len(before) == 4

    assert execute(["run", *names, *options, "-o", "out", "--resume"]) == 1
    assert _redone("out", before) == {f"{n:02}_denoised.fits" for n in (5, 6, 8, 9, 11)}
    assert not list(Path("out").glob(".*.part"))
    assert not list(Path("scratch").iterdir())
    states = [row["state"] for row in _rows("out")]
    assert [number for number, state in enumerate(states) if state == "failed"] == [1, 7, 10]
    assert states.count("kept") == 4
    errors = [row["error"] for row in _rows("out") if row["error"]]
    assert len(set(errors)) == 3

    assert execute(["run", *names, *options, "-o", "undisturbed"]) == 1
    for path in Path("undisturbed").glob("*.fits"):
        assert _science(path) == _science(Path("out") / path.name), path.name


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_tile_and_leaves_a_state_to_resume(number: int, start: Start) -> None:
    names = [str(_cube(f"in/{name}.fits", seed, (32, 256, 256))) for seed, name in enumerate("abc")]
    options = [*RUN, "--memory", "64MB", "-o", "out"]
    run = start([*names, *options])
    _wait_for(run, event="start", number=2)
    _wait_for(run, event="progress", stage="denoising", done=0)
    run.send_signal(number)
    assert run.stderr is not None
    said = [json.loads(line) for line in run.stderr]
    assert run.wait(timeout=30) == 130
    asked = next(n for n, line in enumerate(said) if str(line.get("message")).startswith("stopping after"))
    assert sum(line["event"] == "progress" for line in said[asked:]) <= 1
    assert said[-1]["event"] == "error"
    assert next(line for line in said if line["event"] == "summary")["cancelled"] == 2
    assert {path.name for path in Path("out").glob("*.fits")} == {"a_denoised.fits"}
    assert not list(Path("out").glob(".*.part"))
    assert not list(Path("scratch").iterdir())
    assert _status("out/b_denoised.fits")["state"] == "cancelled"
    before = _times("out")
    assert execute(["run", *names, *options, "--resume"]) == 0
    assert _redone("out", before) == {"b_denoised.fits", "c_denoised.fits"}


@posix
def test_a_second_signal_stops_at_once(start: Start) -> None:
    names = [str(_cube(f"in/{name}.fits", seed, (48, 256, 256))) for seed, name in enumerate("ab")]
    run = start([*names, *RUN, "-o", "out"])
    _wait_for(run, event="progress")
    before = time.monotonic()
    run.send_signal(signal.SIGINT)
    _wait_for(run, event="warning", message="stopping after this tile; once more stops at once")
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode == 130
    assert time.monotonic() - before < 10
    assert not list(Path("out").glob(".*.part"))
    assert _status("out/a_denoised.fits")["state"] == "cancelled"


@posix
def test_another_live_run_is_refused_and_its_files_are_left(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(_cube(f"in/{name}.fits", seed, (48, 256, 256))) for seed, name in enumerate("ab")]
    run = start([*names, *RUN, "-o", "out"])
    _wait_for(run, event="progress", stage="denoising")
    os.kill(run.pid, signal.SIGSTOP)
    parts = list(Path("out").glob(".*.part"))
    try:
        assert execute(["run", *names, *RUN, "-o", "out", "--resume"]) == 2
        assert (
            f"another run works on out/a_denoised.fits (found: process {run.pid})" in capsys.readouterr().err
        )
        assert parts
        assert list(Path("out").glob(".*.part")) == parts
    finally:
        os.kill(run.pid, signal.SIGCONT)


def test_a_dry_run_of_a_batch_writes_nothing() -> None:
    names = [str(_cube("in/a.fits", 1)), str(_cube("in/b.fits", 2))]
    assert execute(["run", *names, *RUN, "-o", "out", "--dry-run", "--resume"]) == 0
    assert not Path("out").exists()
