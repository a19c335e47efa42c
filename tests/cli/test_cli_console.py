"""Messages: one line each, duplicates merged, JSON where asked for."""

from __future__ import annotations

import io
import json
import sys
import warnings

import pytest

from denoise.cli.console import Messages, explain
from denoise.engine.progress import ProgressEvent
from denoise.errors import DenoiseWarning, InputError


def test_warnings_are_one_line_each_and_merged(capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages()
    with messages.working("a.fits"):
        for _ in range(3):
            warnings.warn("two\n lines", DenoiseWarning, stacklevel=1)
        warnings.warn("for developers", RuntimeWarning, stacklevel=1)
        messages.warn("two lines")
    assert capsys.readouterr().err == "warning: a.fits: two lines\n"


def test_debugging_shows_every_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENOISE_DEBUG", "1")
    with Messages().working():
        warnings.warn("for developers", RuntimeWarning, stacklevel=1)
    assert "warning: RuntimeWarning: for developers (" in capsys.readouterr().err


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages(as_json=True)
    with messages.working("a.fits"):
        messages.progress(ProgressEvent("denoising", 1, 4, 3.04))
        messages.warn("beware")
        messages.error("broken")
        messages.done("wrote b.fits", output="b.fits")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["progress", "warning", "error", "done"]
    assert lines[0] | {"time": 0} == {
        "time": 0,
        "event": "progress",
        "stage": "denoising",
        "done": 1,
        "total": 4,
        "seconds_left": 3.0,
    }
    assert lines[3]["output"] == "b.fits"


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages()
    with messages.working():
        messages.progress(ProgressEvent("denoising", 1, 4, None))
    assert capsys.readouterr().err == ""


def test_a_line_a_minute_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    messages = Messages(clock=lambda: now)
    with messages.working("a.fits"):
        for step in range(1, 9):  # a step every 20 s
            now += 20
            messages.progress(ProgressEvent("denoising", step, 8, 20.0 * (8 - step)))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["a.fits: denoising: 3 of 8, 2 min left", "a.fits: denoising: 6 of 8, 40 s left"]


def test_a_bar_with_time_left_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    messages = Messages()
    with messages.working("a.fits"):
        messages.progress(ProgressEvent("denoising", 1, 4, 3.0))
        messages.warn("beware")
        messages.progress(ProgressEvent("denoising", 4, 4, 0.0))
    shown = screen.getvalue()
    assert "a.fits: denoising" in shown
    assert "4/4" in shown
    assert "warning: a.fits: beware" in shown


def test_errors_in_one_line_with_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DENOISE_DEBUG", raising=False)
    assert explain(InputError("x is empty", value=0, action="give more")) == (
        "x is empty (found: 0); give more",
        3,
    )
    text, code = explain(ValueError("two\nlines"))
    assert text == "unexpected ValueError: two lines; set DENOISE_DEBUG=1 (or --debug) for the traceback"
    assert code == 1
