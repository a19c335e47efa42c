"""Odd, broken and unusual files through the command: never a traceback, never half an output."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from denoise.cli.app import execute

DATA = os.environ.get("DENOISE_TEST_DATA")
needs_data = pytest.mark.skipif(
    DATA is None, reason="DENOISE_TEST_DATA does not name the folder of the test data"
)


def _table() -> list[dict[str, str]]:
    if DATA is None:
        return []
    with Path(DATA, "cubes/odd_fits_share/expected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@needs_data
def test_every_odd_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    wrong = []
    for number, row in enumerate(_table()):
        out = tmp_path / f"{number}.fits"
        path = Path(str(DATA), "cubes/odd_fits_share", row["file"])
        code = execute(["run", str(path), "-m", "smooth", "--no-report", "-o", str(out)])
        errors = [
            line
            for line in capsys.readouterr().err.splitlines()
            if not line.startswith(("warning:", "wrote"))
        ]
        # a constant image can be read; there is nothing to denoise in it
        refused = (
            code == 3 and len(errors) == 1 and bool(re.match(r"error: .*; .", errors[0])) and not out.exists()
        )
        written = code == 0 and not errors and out.is_file()
        constant = refused and "constant" in errors[0]
        if not (refused if row["expect"].startswith("refuse") else written or constant):
            wrong.append(f"{row['file']}: {row['expect']}, exit {code}, {errors}")
    assert not wrong, "\n".join(wrong)
    assert not [path for path in tmp_path.iterdir() if not re.fullmatch(r"\d+\.fits", path.name)]
