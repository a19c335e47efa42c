"""Outputs are settled before any work, and one bad file never stops the rest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from denoise.cli.batch import Job, Outcome, plan_jobs, run_jobs, stem, stoppable
from denoise.cli.console import Messages
from denoise.errors import CancelledError, InputError, OutputExistsError, UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _plan(*names: str, out: str | None = None, overwrite: bool = False, report: bool = True) -> list[Job]:
    return plan_jobs(
        [Path(name) for name in names], None if out is None else Path(out), overwrite=overwrite, report=report
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/OBS.fits", "OBS"),
        ("OBS.fits.gz", "OBS"),
        ("x.FITS.fz", "x"),
        ("b.v2.fit", "b.v2"),
        (".fits", ".fits"),
        ("OBS.fits[SCI]", "OBS"),
        ("a[1].fits", "a[1]"),
    ],
)
def test_stem(name: str, expected: str) -> None:
    assert stem(Path(name)) == expected


def test_the_default_output_is_in_the_current_folder() -> None:
    assert _plan("far/OBS.fits.gz") == [
        Job(Path("far/OBS.fits.gz"), Path("OBS_denoised.fits"), Path("OBS_denoised_report"))
    ]
    assert _plan("OBS.fits", report=False)[0].report is None


def test_a_named_file_or_folder() -> None:
    assert _plan("a.fits", out="b.fits")[0].output == Path("b.fits")
    assert [job.output for job in _plan("a.fits", "b.fits", out="results")] == [
        Path("results/a_denoised.fits"),
        Path("results/b_denoised.fits"),
    ]
    Path("odd.fits").mkdir()
    assert _plan("a.fits", out="odd.fits")[0].output == Path("odd.fits/a_denoised.fits")


@pytest.mark.parametrize("existing", ["a_denoised.fits", "a_denoised_report"])
def test_an_existing_output_is_refused(existing: str) -> None:
    Path(existing).touch()
    with pytest.raises(OutputExistsError, match=rf"{existing} exists.*--overwrite"):
        _plan("b.fits", "a.fits")
    assert len(_plan("b.fits", "a.fits", overwrite=True)) == 2


def test_collisions_are_refused() -> None:
    with pytest.raises(UsageError, match="the output is an input"):
        _plan("a.fits", out="a.fits", overwrite=True)
    with pytest.raises(UsageError, match="would be written to one file"):
        _plan("x/a.fits", "y/a.fits")
    with pytest.raises(UsageError, match="one file for several inputs"):
        _plan("a.fits", "b.fits", out="c.fits")


def _work(job: Job) -> Outcome:
    if "bad" in job.source.name:
        raise InputError(f"{job.source} holds no image", action="give another")
    if "bug" in job.source.name:
        raise ZeroDivisionError("oops")
    if "stop" in job.source.name:
        raise CancelledError("cancelled")
    return Outcome("1 x 2 x 3", "1 -> 0.5", "+1 %", "0.1", str(job.output))


def test_one_bad_file_never_stops_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = _plan("a.fits", "bad.fits", "bug.fits", "z.fits")
    assert run_jobs(jobs, _work, Messages()) == 1
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if "done" in line and "fits" in line][-1].count(
        "z.fits"
    ) >= 1
    assert shown.out.count("failed") == 2
    errors = shown.err.splitlines()
    assert errors[0] == "error: bad.fits holds no image; give another"
    assert errors[1].startswith("error: bug.fits: unexpected ZeroDivisionError: oops; set DENOISE_DEBUG=1")
    assert len(errors) == 2


def test_all_well_is_0_and_a_single_error_is_raised() -> None:
    assert run_jobs(_plan("a.fits", "b.fits"), _work, Messages()) == 0
    with pytest.raises(InputError):
        run_jobs(_plan("bad.fits"), _work, Messages())


def test_cancelling_ends_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CancelledError):
        run_jobs(_plan("a.fits", "stop.fits", "z.fits"), _work, Messages())
    assert capsys.readouterr().out.count("cancelled") == 2


def test_the_first_signal_asks_and_the_second_stops(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable(Messages()) as token:
        os.kill(os.getpid(), signal.SIGTERM)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
    assert capfd.readouterr().err == "warning: stopping after this tile; once more stops at once\n"
