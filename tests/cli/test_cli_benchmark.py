"""``denoise benchmark``: list, run, resume, compare, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from denoise.benchmark import suite_names
from denoise.cli.app import execute

TINY = {
    "suite": "tiny",
    "version": 1,
    "title": "Two discs",
    "cubes": 2,
    "cases": {
        "source": "simulated",
        "groups": {"discs": {"disc": 1}},
        "snr_bins": [[6, 8]],
        "shape": [8, 32, 32],
    },
    "methods": ["smooth"],
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    suite = TINY | {"methods": {"narrow": {"method": "smooth", "parameters": {"fwhm": 2}}}}
    Path("tiny.yaml").write_text(yaml.safe_dump(suite))


def test_without_a_suite_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["benchmark"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in suite_names())


def test_a_run_its_files_and_its_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["benchmark", "tiny.yaml", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "Two discs (tiny v1): discs" in said.out
    assert "wiener oracle" in said.out
    folder = Path("benchmark-tiny")
    assert {"index.html", "tiny.png", "table.csv", "results.json"} <= {p.name for p in folder.iterdir()}

    assert execute(["benchmark", "tiny.yaml", "--workers", "1"]) == 2
    assert "--resume" in capsys.readouterr().err
    before = (folder / "table.csv").read_bytes()
    assert execute(["benchmark", "tiny.yaml", "--resume"]) == 0
    assert (folder / "table.csv").read_bytes() == before

    better = json.loads((folder / "results.json").read_text())
    for scores in better["rows"]["narrow"].values():
        scores["rmse_ratio_cube"] /= 2
    Path("better.json").write_text(json.dumps(better))
    capsys.readouterr()
    assert execute(["benchmark", "better.json", "--compare", str(folder / "results.json")]) == 0
    said = capsys.readouterr()
    assert "1 better, 0 worse" in said.out
    assert "narrow" in said.out


def test_rows_of_the_command_line_replace_those_of_the_suite(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["benchmark", "tiny.yaml", "--workers", "1", "--cubes", "1", "-o", "out"]
    assert execute([*argv, "-m", "smooth:fwhm=3", "-m", "zeros"]) == 0
    rows = json.loads(Path("out/results.json").read_text())["rows"]
    assert "smooth:fwhm=3" in rows
    assert "narrow" not in rows
    assert all(len(cases) == 1 for cases in rows.values())


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["no-such-suite"], "no-such-suite"),
        (["tiny.yaml", "-m", "nothing"], "nothing"),
        (["tiny.yaml", "-m", "smooth:fwhm=-1"], "fwhm"),
        (["half-data"], "--data"),
        (["tiny.yaml", "--compare", "absent.json"], "absent.json"),
        (["results.json"], "--compare"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    argv: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path().iterdir())
    assert execute(["benchmark", *argv]) in (2, 3)
    said = capsys.readouterr().err.strip()
    assert what in said
    assert "Traceback" not in said
    assert sorted(Path().iterdir()) == before
