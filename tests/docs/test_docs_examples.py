"""Every example of the README and the guide runs as printed, in an empty folder, page by page.

``bash`` and ``python`` blocks are run, each python block as a script of its own. A block that cannot run in a test has
``<!-- not run: REASON -->`` in the line above it. Other languages (text, yaml) are only shown; a yaml block whose first
line is a comment with a file name, such as ``# mine.yaml``, is written to that file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = [path for path in (ROOT / "docs").rglob("*.md") if "docs/_" not in str(path)]
PAGES = sorted(["README.md", *(str(path.relative_to(ROOT)) for path in GUIDE)])
QUICK = ("docs/explanation/errors.md", "docs/howto/gpu.md")
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    language: str
    code: str


def blocks(page: str) -> Iterator[Block]:
    for found in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        if found["why"] is None:
            yield Block(found["language"], found["code"])


def run(block: Block, folder: Path) -> None:
    named = re.match(r"# (\S+\.(?:ya?ml|csv))\n", block.code)
    if block.language == "yaml" and named:
        (folder / named[1]).write_text(block.code)
        return
    if block.language == "bash":
        command = ["bash", "-eu", "-o", "pipefail", "-c", block.code]
    elif block.language == "python":
        command = [sys.executable, "-c", block.code]
    else:
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, f"{block.code}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in QUICK else [pytest.mark.full]) for page in PAGES]
)
def test_the_examples_run(page: str, tmp_path: Path) -> None:
    for block in blocks(page):
        run(block, tmp_path)


def test_there_are_examples() -> None:
    assert sum(1 for page in PAGES for _ in blocks(page)) > 20
    assert set(QUICK) <= set(PAGES)
