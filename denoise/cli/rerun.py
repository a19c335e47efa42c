"""``denoise rerun``: repeat a run from what its output file records."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli.batch import Job, plan_jobs, run_jobs, stem, stoppable
from denoise.cli.console import Messages, out
from denoise.cli.jobs import denoise_job
from denoise.errors import InputError, UsageError

if TYPE_CHECKING:
    from denoise.cube import Cube, Provenance
    from denoise.engine import RunOptions

_FILES = ("mask", "noise", "gain", "psf", "exclude")


def rerun(
    done: Annotated[
        Path, typer.Argument(metavar="OUT.fits", help="What `denoise run` wrote.", show_default=False)
    ],
    source: Annotated[
        Path | None,
        typer.Option("--input", help="The input, if it is no longer where it was.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .fits file or a folder; here as OUT_rerun.fits when not given."
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    json_log: opt.JsonLog = False,
    no_report: opt.NoReport = False,
) -> int:
    """Repeat a run from what its output file records, and say whether the data came out the same."""
    from denoise.cube import read_provenance

    messages = Messages(as_json=json_log)
    with messages.working():
        record = read_provenance(done)
        wanted, reading = recorded_options(record, done, overwrite=overwrite)
        found = find_input(record, done, source)
    target = output or Path(f"{stem(done)}_rerun.fits")
    jobs = plan_jobs([found], target, overwrite=overwrite, report=not no_report)
    with stoppable(messages) as token:
        work = partial(denoise_job, wanted, beside(found, reading), messages, token)
        code = run_jobs(jobs, work, messages)
    with messages.working():
        _compare(done, jobs[0], record)
    return code


def recorded_options(record: Provenance, done: Path, *, overwrite: bool) -> tuple[RunOptions, dict[str, Any]]:
    """The options of the run and of its reading, as the record has them.

    Raises
    ------
    InputError
        The record is not one of a run.
    UsageError
        It cannot be repeated from the record alone.
    """
    import yaml

    from denoise.engine import run_options

    try:
        values = dict(yaml.safe_load(record.science["configuration"]))
        reading = dict(values.pop("input", None) or {})
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        raise InputError(
            f"{done} does not record how it was made", action="give a file that `denoise run` wrote"
        ) from None
    if "flux_correction" in record.science:
        raise UsageError(
            f"the fluxes of {done} were corrected by a check",
            action="repeat it with `denoise run --correct-flux CHECK.json`",
        )
    save = tuple(word for word in record.run.get("save", "").split(",") if word)
    layout = record.run.get("layout", "default")
    return run_options(**values, save=save, layout=layout, overwrite=overwrite), reading


def find_input(record: Provenance, done: Path, given: Path | None) -> Path:
    """The input of the run: as given, where it was, or beside the output; it must be the same file.

    Raises
    ------
    InputError
        It is not there, or it has changed.
    """
    from denoise.cube import read

    recorded = Path(record.run.get("input", ""))
    places = [given] if given is not None else [recorded, done.parent / recorded.name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"the input of {done} is not there", value=str(places[0]), action="say where it is with --input"
        )
    if read(found).checksum() != record.science.get("input_checksum"):
        raise InputError(
            f"{found} is not the input that {done} was made from: its checksum differs",
            action="name the original with --input, or use `denoise run`",
        )
    return found


def beside(source: Path, reading: dict[str, Any]) -> dict[str, Any]:
    """Companion files that are not at their recorded place are looked for beside the input."""
    moved = {
        name: str(near)
        for name, value in reading.items()
        if name in _FILES and isinstance(value, str) and not Path(value.partition("[")[0]).exists()
        if (near := source.parent / Path(value).name).with_name(near.name.partition("[")[0]).exists()
    }
    return reading | moved


def _compare(done: Path, job: Job, record: Provenance) -> None:
    from denoise.cube import read

    if same_pixels(read(done, mask="none"), read(job.output, mask="none")):
        out(f"the data of {job.output} and {done} are identical")
        return
    version, numpy = record.science.get("version", "unknown"), record.run.get("numpy", "unknown")
    out(f"the data of {job.output} and {done} differ; made with version {version} and numpy {numpy}")


def same_pixels(one: Cube, two: Cube) -> bool:
    """Whether two cubes hold the same numbers, NaN in the same places."""
    import numpy as np

    from denoise.cube import blocks

    return one.shape == two.shape and all(
        np.array_equal(one.read(region), two.read(region), equal_nan=True)
        for region in blocks(one.shape, voxels=1 << 22)
    )
