"""The notebooks hold no outputs and run from top to bottom, in an empty folder which they leave empty."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
QUICK = ("01-first-cube", "07-writing-a-plug-in")
SECONDS = 300  # of a cell, on a machine that does other things too


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_stripped(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"/(home|tmp|work|Users)/", text)


def test_the_index_names_each() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert re.findall(r"\]\((\S+)\.ipynb\)", index) == NOTEBOOKS
    assert set(QUICK) <= set(NOTEBOOKS)


@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.full]) for name in NOTEBOOKS]
)
def test_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the kernel of this environment, not one that the user installed under the same name
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    client = NotebookClient(read(name), timeout=SECONDS, resources={"metadata": {"path": str(tmp_path)}})
    done = client.execute()
    outputs = [one for cell in done.cells for one in cell.get("outputs", [])]
    assert any("image/png" in one.get("data", {}) for one in outputs)
    assert not [one for one in outputs if one.output_type == "stream" and "Traceback" in one.text]
    assert list(tmp_path.iterdir()) == []
