"""The template of a plug-in: a distribution whose method shows, runs and keeps the laws like our own."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from denoise.cli.app import execute
from denoise.testing import conformance_checks

TEMPLATE = Path(__file__).parents[1] / "plugin_template"
MODULE = "denoise_running_mean"


@pytest.fixture
def installed(offered):
    """What installing the template would leave, for one test: its module and the entry points it declares."""
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    ((group, points),) = project["entry-points"].items()
    assert group == "denoise.methods"
    methods = {name: value.removeprefix(f"{MODULE}:") for name, value in points.items()}
    with offered(MODULE, (TEMPLATE / f"{MODULE}.py").read_text(), methods):
        yield


def test_it_shows_among_the_methods(installed, capsys):
    assert execute(["methods"]) == 0
    assert "running-mean" in capsys.readouterr().out
    assert execute(["methods", "running-mean"]) == 0
    assert "channels to either side" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("check", conformance_checks("running-mean", reach=2), ids=str)
def test_it_keeps_the_laws(installed, check):
    check()


@pytest.mark.full
def test_it_installs_and_its_own_tests_pass(tmp_path):
    """With pip, into a folder of its own."""
    place, copy = tmp_path / "site", tmp_path / "template"
    shutil.copytree(TEMPLATE, copy)
    python = [sys.executable, "-m"]
    pip = ["pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--target", str(place)]
    subprocess.run([*python, *pip, str(copy)], check=True, timeout=300)
    path = os.environ | {"PYTHONPATH": str(place)}
    quiet = [word for name in ("napari", "napari-plugin-engine", "npe2") for word in ("-p", f"no:{name}")]
    subprocess.run([*python, "pytest", "-q", *quiet], check=True, timeout=300, cwd=copy, env=path)
    done = subprocess.run(
        [*python, "denoise.cli.app", "methods"],
        check=True,
        timeout=100,
        env=path,
        capture_output=True,
        text=True,
    )
    assert "running-mean" in done.stdout
