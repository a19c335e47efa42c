"""``denoise simulate``: files, table, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from denoise.cli.app import execute

SMALL = ["--shape", "8,32,36"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


def test_a_set_of_cubes_and_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "out", "--kind", "disc,ring", "-n", "3", "--seed", "4", "--halves", *SMALL]
    assert execute([*argv, "--snr", "3,6"]) == 0
    said = capsys.readouterr()
    assert "ring_0001" in said.out
    assert "wrote 3 cubes" in said.err
    names = ["disc_0000", "ring_0001", "disc_0002"]
    parts = ["noisy", "truth", "noise", "half_a", "half_b"]
    expected = {f"{name}_{part}.fits" for name in names for part in parts}
    expected |= {f"{name}.json" for name in names} | {"simulations.csv"}
    assert {path.name for path in Path("out").iterdir()} == expected
    with Path("out/simulations.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert 3 <= float(row["peak_snr"]) <= 6
        stored = json.loads(Path(f"out/{row['name']}.json").read_text())
        assert stored["seed"] == int(row["seed"])
        assert stored["peak_snr"] == pytest.approx(float(row["peak_snr"]), abs=1e-5)
    assert rows[1]["ranges"] == "unseen-morphology v1"


def test_one_seed_one_set() -> None:
    for folder in ("a", "b"):
        assert execute(["simulate", folder, "--noise", "imaged", "--dirty", *SMALL]) == 0
    for path in Path("a").iterdir():
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()


def test_info_is_right_about_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "out", "--kind", "empty", "--beam", "5,4,30", "--hanning", "--primary-beam", "60"]
    assert execute([*argv, "--shape", "20,64,64", "--snr", "5"]) == 0
    capsys.readouterr()
    assert execute(["info", "out/empty_0000_noise.fits", "--gain", "out/empty_0000_gain.fits"]) == 0
    said = capsys.readouterr().out
    for words in (
        "20 channels x 64 x 64",
        "Jy/beam",
        "RA---TAN, DEC--TAN (ICRS), pixels of 0.05 arcsec",
        "radio velocity, LSRK",
        "5.00 x 4.00 pixels (BMAJ)",
    ):
        assert words in said


def test_existing_outputs_are_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/disc_0001.json").touch()
    assert execute(["simulate", "out", "-n", "2", *SMALL]) == 2
    assert "disc_0001.json" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["disc_0001.json"]
    assert execute(["simulate", "out", "-n", "2", "--overwrite", *SMALL]) == 0
    assert json.loads(Path("out/disc_0001.json").read_text())["kind"] == "disc"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--kind", "spiral"], "--kind does not know this word"),
        (["--kind", ","], "--kind names nothing"),
        (["--noise", "pink"], "--noise does not know this word"),
        (["--snr", "8,3"], "--snr needs LOW"),
        (["--snr", "x"], "--snr needs 1 or 2 numbers"),
        (["--shape", "8,8"], "--shape needs 3 numbers"),
        (["--shape", "8,8.5,8"], "--shape needs whole numbers"),
        (["--beam", "5"], "--beam needs 2 or 3 numbers"),
        (["--beam", "3,5,0"], "beam must be"),
        (["--dirty"], "needs noise='imaged'"),
        (["--counts", "20"], "counts need noise='white'"),
        (["--axis", "energy"], "--axis does not know this word"),
        (["--drift", "2"], "drift must be"),
        (["--count", "0"], "--count"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["simulate", "out", *argv]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not Path("out").exists()
