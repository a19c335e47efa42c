"""The command as a user meets it: help, errors in one line, exit codes, tables."""

from __future__ import annotations

import re

import pytest

from denoise.cli.app import execute
from denoise.cli.doctor import LIBRARIES


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENOISE_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["run", "--help"], ["info", "-h"]])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(argv) == 0
    assert "Usage: denoise" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert re.fullmatch(r"denoise \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nope"], "nope"),
        (["methods", "--nope"], "--nope"),
        (["run"], "OBS.fits"),
        (["methods", "magic"], r"unknown method \(found: magic\); choose one of .*ist"),
        (["cite", "magic"], r"unknown method \(found: magic\)"),
        (["run", "x.fits", "-m", "magic"], "unknown method"),
        (["run", "x.fits", "-m", "smooth", "--set", "nope=1"], "has no parameter 'nope'; its parameters are"),
        (["run", "x.fits", "-m", "smooth", "--set", "nope"], "--set needs name=value"),
        (["run", "x.fits", "--memory", "much"], "--memory is not a size"),
        (["run", "x.fits", "--memory", "0"], "--memory is not a size"),
        (["run", "x.fits", "--seed", "-1"], "'seed' is not valid.*greater than or equal to 0"),
        (["run", "x.fits", "--positivity", "maybe"], "'positivity' is not valid.*'auto', 'on' or 'off'"),
        (["run", "x.fits", "--continuum", "guess"], "'continuum' is not valid.*choose auto, none"),
        (["run", "x.fits", "--vst", "0,0,0"], r"'vst\.gain' is not valid.*greater than 0"),
        (["run", "x.fits", "--save", "stat"], "--save does not know this word"),
        (["run", "x.fits", "--layout", "odd"], "'layout' is not valid"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(rf"error: .*{said}.*\n", shown.err)


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["methods", "magic", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_table_of_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["methods"]) == 0
    shown = capsys.readouterr().out
    for name in ("smooth", "pca", "ica", "ist"):
        assert re.search(rf"│ {name} +│ denoiser", shown)


@pytest.mark.parametrize("name", ["smooth", "pca", "ica", "ist"])
def test_one_methods_parameters(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from denoise.methods import get_method

    assert execute(["methods", name]) == 0
    shown = capsys.readouterr().out
    for field, model in get_method(name).Parameters.model_fields.items():
        assert field in shown
        assert model.description, f"{name}.{field} has no description for the table"


def test_cite(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["cite", "ist", "ist"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("@software{astro_denoise,")
    assert len(re.findall(r"^@\w+\{", shown, re.MULTILINE)) >= 2
    assert execute(["cite"]) == 0
    everything = capsys.readouterr().out
    assert everything.count("@software{astro_denoise,") == 1


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("denoise.cli.doctor._present", lambda name: False)
    monkeypatch.setitem(
        __import__("denoise.cli.doctor").cli.doctor.OPTIONAL, "no-such-package", ("nothing", "gui")
    )
    assert execute(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"│ numpy +│ \d", shown)
    assert re.search(r'no-such-package +│ missing .*pip install "astro-denoise\[gui\]"', shown)
    for apt in LIBRARIES.values():
        assert apt in shown
    assert "ready to denoise" in shown
    assert "threads" in shown
