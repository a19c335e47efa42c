"""Runs: reproducible, resumable after a kill, failures in the table, floors where they belong, comparison."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from denoise.benchmark import (
    compare,
    list_cases,
    load_results,
    load_suite,
    run_suite,
    scoring,
    summary,
    write_results,
)
from denoise.errors import InputError, NoiseError, OutputExistsError

CASES = {
    "source": "simulated",
    "groups": {"discs": {"disc": 1}},
    "snr_bins": [[5, 8]],
    "shape": [12, 48, 48],
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    values = {"suite": "small", "version": 1, "title": "Small", "seed": 3, "cubes": 4, "cases": CASES}
    rows = {"ist": {"method": "ist"}, "wide": {"method": "smooth", "parameters": {"fwhm": 8}}}
    path.write_text(yaml.safe_dump({**values, "methods": rows}))
    return path


@pytest.fixture(scope="module")
def whole(suite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    loaded = load_suite(suite)
    entries = run_suite(loaded, folder, workers=2)
    return loaded, entries, folder, write_results(loaded, entries, folder)


def test_every_row_on_every_cube_with_floor_and_ceiling(whole):
    _, entries, _, _ = whole
    lines = {line.row: line.scores for line in summary(entries)}
    assert list(lines) == ["noisy", "zeros", "smooth", "gauss_oracle", "wiener_oracle", "ist", "wide"]
    assert lines["noisy"]["rmse_ratio_cube"].value == 1
    assert lines["noisy"]["peak_voxel_kept"].value == pytest.approx(1, abs=0.5)
    assert lines["zeros"]["flux_emission_percent"].value == 0
    emission = {row: scores["rmse_ratio_emission"].value for row, scores in lines.items()}
    assert emission["wiener_oracle"] < emission["gauss_oracle"] <= emission["smooth"] < 1
    assert emission["wiener_oracle"] < emission["ist"] < emission["wide"]
    assert lines["wide"]["beam_broadening"].value > lines["ist"]["beam_broadening"].value >= 1


def test_files(whole):
    suite, entries, folder, files = whole
    page = files.html.read_text()
    assert page.startswith("<!doctype html>")
    assert suite.fingerprint in page
    assert "http" not in page.replace("http-equiv", "")
    table = (folder / "table.csv").read_text().splitlines()
    assert len(table) == 1 + len(entries)
    assert (folder / "times.csv").exists()
    pa = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert pa.read_table(folder / "table.parquet").num_rows == len(entries)


def test_the_same_seed_gives_the_same_table_whatever_the_workers(whole, tmp_path):
    suite, _, folder, _ = whole
    again = run_suite(suite, tmp_path / "again", workers=1)
    write_results(suite, again, tmp_path / "again")
    assert (tmp_path / "again/table.csv").read_bytes() == (folder / "table.csv").read_bytes()


def test_a_killed_run_goes_on(whole, suite, tmp_path):
    loaded, _, folder, _ = whole
    target = tmp_path / "killed"
    code = (
        "import sys; from denoise.benchmark import *\n"
        "if __name__ == '__main__': run_suite(load_suite(sys.argv[1]), sys.argv[2], workers=1)"
    )
    script = tmp_path / "go.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script, suite, target], start_new_session=True)
    rows = target / "rows.jsonl"
    deadline = time.monotonic() + 120
    while not (rows.exists() and rows.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = rows.read_text().count("\n")
    assert 0 < done < 4 * 7
    with rows.open("a") as file:
        file.write('{"case": "discs/5-8')  # a line that the kill cut
    with pytest.raises(OutputExistsError, match="--resume"):
        run_suite(loaded, target)
    write_results(loaded, run_suite(loaded, target, resume=True, workers=1), target)
    assert (target / "table.csv").read_bytes() == (folder / "table.csv").read_bytes()


def test_another_run_is_not_gone_on_with(whole, suite):
    _, _, folder, _ = whole
    with pytest.raises(InputError, match="another run"):
        run_suite(load_suite(suite, cubes=5), folder, resume=True)


def test_a_failing_method_is_a_row_with_its_reason(suite, tmp_path, monkeypatch):
    loaded = load_suite(suite, cubes=1, methods={"bad": {"method": "ist"}})

    def failing(cube, method, **options):
        raise NoiseError("too few voxels", value=3, action="give more")

    monkeypatch.setattr(scoring, "denoise", failing)
    entries = scoring.score_case(loaded, list_cases(loaded)[0], ["noisy", "bad"])
    noisy, bad = entries
    assert noisy["rmse_ratio_cube"] == 1
    assert "too few voxels" in bad["error"]
    assert "rmse_ratio_cube" not in bad
    assert [line.failed for line in summary(entries)] == [0, 1]
    page = write_results(loaded, entries, tmp_path).html.read_text()
    assert "Failed: bad: too few voxels" in page


def test_comparison_finds_what_changed_and_only_that(whole, tmp_path):
    _, _, folder, _ = whole
    old = load_results(folder / "results.json")
    new = json.loads(json.dumps(old))
    assert {one.verdict for one in compare(old, new)} == {"same"}
    rng = np.random.default_rng(1)
    for case in new["rows"]["ist"].values():
        case["rmse_ratio_emission"] *= 0.9
        case["flux_emission_percent"] += rng.normal(scale=5)
    found = {one.score: one for one in compare(old, new) if one.verdict != "same"}
    assert found["rmse_ratio_emission"].verdict == "better"
    assert "flux_emission_percent" not in found
    new["fingerprint"] = "0"
    with pytest.raises(InputError, match="not of the same cubes"):
        compare(old, new)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(InputError, match=r"not the results.json"):
        load_results(tmp_path / "no.json")
