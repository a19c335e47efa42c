"""A batch whose disk fills up, or whose output folder goes: a line for each input that fails, and --resume goes on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from denoise.cli.app import execute
from denoise.cli.console import Messages
from denoise.engine import ProgressEvent

from .test_cli_full_disk import fill, linux, observation

NAMES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    Path("in").mkdir()
    for name in NAMES:
        observation(Path(f"in/{name}.fits"))


def batch(folder: Path, *more: str) -> int:
    inputs = [f"in/{name}.fits" for name in NAMES]
    return execute(["run", *inputs, "-m", "smooth", "--no-report", "-o", str(folder), *more])


def at_the_second_input(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do it when the first tile of the second input is about to be done."""
    original, seen = Messages.progress, []

    def progress(self: Messages, event: ProgressEvent) -> None:
        if event.stage == "denoising" and event.done == 0:
            seen.append(event)
            if len(seen) == 2:
                action()
        original(self, event)

    monkeypatch.setattr(Messages, "progress", progress)


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("error:")]


def outputs(folder: Path) -> list[str]:
    """Names of outputs, and of anything half-written."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json" and path.suffix != ".csv")


def states(folder: Path) -> list[str]:
    return [json.loads((folder / f"{name}_denoised.status.json").read_text())["state"] for name in NAMES]


@linux
def test_a_disk_that_fills_up_during_a_batch(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        at_the_second_input(patch, lambda: fill(tiny / "somebody_else"))
        assert batch(tiny) == 1
    said = errors(capsys)
    assert len(said) == 2
    assert re.fullmatch(
        r"error: .*the disk is full: .*b_denoised\.fits.*No space left on device.*; .+", said[0]
    )
    assert re.fullmatch(
        r"error: .*c\.fits.*No space left on device.*|error: .*not enough space in .*", said[1]
    )
    assert outputs(tiny) == ["a_denoised.fits", "somebody_else"]
    before = (tiny / "a_denoised.fits").stat().st_mtime_ns
    (tiny / "somebody_else").unlink()
    assert batch(tiny, "--resume") == 0
    assert errors(capsys) == []
    assert outputs(tiny) == [f"{name}_denoised.fits" for name in NAMES]
    assert (tiny / "a_denoised.fits").stat().st_mtime_ns == before
    assert states(tiny) == ["done"] * 3


def test_an_output_folder_that_is_removed_during_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        at_the_second_input(patch, lambda: shutil.rmtree(out))
        assert batch(out) == 1
    said = errors(capsys)
    assert len(said) == 1
    assert re.fullmatch(
        r"error: .*the output cannot be written: .*b_denoised\.fits.*No such file.*; .+", said[0]
    )
    assert outputs(out) == ["c_denoised.fits"]  # the folder is made again for the next
    assert batch(out, "--resume") == 0
    assert outputs(out) == [f"{name}_denoised.fits" for name in NAMES]
    assert states(out) == ["done"] * 3
    for name in NAMES:
        assert np.isfinite(fits.getdata(out / f"{name}_denoised.fits")).all()
