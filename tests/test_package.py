"""The package as a whole: quick to import, one-way dependencies, data found, facts stated once."""

from __future__ import annotations

import re
import resource as resource_usage
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import denoise
from denoise.errors import InputError
from denoise.resources import resource

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "torch", "dask", "distributed", "qtpy", "PySide6", "napari", "numba", "scipy", "sklearn", "pydantic",
    "matplotlib", "astropy", "pandas", "zarr",
}  # fmt: skip


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def _cpu_seconds(command: list[str]) -> float:
    """Least processor time of three runs: the wall time that one thread takes on a free machine."""
    best = float("inf")
    for _ in range(3):
        before = resource_usage.getrusage(resource_usage.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, timeout=120)
        after = resource_usage.getrusage(resource_usage.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


@pytest.mark.parametrize("module", ["denoise", "denoise.cli.app"])
def test_import_loads_nothing_heavy(module: str) -> None:
    loaded = _python(
        f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ).split()
    assert "denoise" in loaded
    assert not HEAVY & set(loaded)


def test_import_and_help_are_quick() -> None:
    assert _cpu_seconds([sys.executable, "-c", "import denoise"]) < 0.3
    assert _cpu_seconds([sys.executable, "-m", "denoise.cli.app", "--help"]) < 0.6


def test_every_public_name_is_reachable() -> None:
    for name in denoise.__all__:
        assert getattr(denoise, name) is not None
    assert set(denoise.__all__) <= set(dir(denoise))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = denoise.no_such_name


def test_no_public_function_shares_a_modules_name() -> None:
    modules = {path.stem for path in (ROOT / "denoise").rglob("*.py")} - {"__init__"}
    assert not modules & (set(denoise.__all__) - {"denoise"})


def test_the_packaged_sample_is_found() -> None:
    assert resource("samples", "muse_udf_line.fits").is_file()


def test_a_missing_resource_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"models/none does not ship .*reinstall") as caught:
        resource("models", "none")
    assert "\n" not in caught.value.message


def test_a_checkout_keeps_its_data_folders_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "denoise"
    (tmp_path / "models" / "net").mkdir(parents=True)
    monkeypatch.setattr("denoise.resources._PACKAGE", package)
    with pytest.raises(InputError):  # an installed package must not pick up a stranger's folder beside it
        resource("models", "net")
    (tmp_path / "pyproject.toml").touch()
    assert resource("models", "net") == tmp_path / "models" / "net"
    (package / "models" / "net").mkdir(parents=True)
    assert resource("models", "net") == package / "models" / "net"


def test_the_constraints_satisfy_the_ranges() -> None:
    """Every dependency named in pyproject.toml is pinned, to a version its range allows."""
    requirements = pytest.importorskip("packaging.requirements")
    pins = dict(
        re.fullmatch(r"([A-Za-z0-9_.-]+)==(\S+)", line).groups()  # type: ignore[union-attr]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    for text in wanted:
        requirement = requirements.Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        if name != "astro-denoise":
            assert name in pins, f"{text} is not in constraints.txt"
            assert requirement.specifier.contains(pins[name]), f"{text}, but constraints.txt has {pins[name]}"


def test_the_version_is_stated_once() -> None:
    assert re.search(
        rf"^version: {re.escape(denoise.__version__)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE
    )
    assert f"## {denoise.__version__}" in (ROOT / "CHANGES.md").read_text()
