"""``denoise simulate``: cubes with known truth, as FITS files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.atomic import put
from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.asked import make_folder
from denoise.cli.console import Messages, out, table
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.simulate import Observation, Simulation

TABLE = "simulations.csv"
SCENE, OBSERVATION = "Scene", "Observation"
_SHOWN = 20  # rows of the table on the terminal


@dataclass(frozen=True)
class Task:
    """One cube to make."""

    name: str
    kind: str
    seed: int
    observation: Observation


def simulate(
    folder: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Where everything is written.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="In turn: disc, unresolved, multi, merger, empty, filled; ring, tails, outflow, shell, halo, "
            "absorber, continuum; compact; or toy, unseen: all of the first, of the second.",
            rich_help_panel=SCENE,
        ),
    ] = "disc",
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, help="Number of cubes.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Fixes every random draw.")] = 1,
    snr: Annotated[
        str, typer.Option(metavar="LOW[,HIGH]", help="Peak SNR, or a range.", rich_help_panel=OBSERVATION)
    ] = "2.5,8",
    shape: Annotated[
        str, typer.Option(metavar="C,Y,X", help="Channels and pixels.", rich_help_panel=OBSERVATION)
    ] = "40,96,96",
    beam: Annotated[
        str,
        typer.Option(
            metavar="MAJ,MIN,PA|LOW,HIGH",
            help="FWHM in pixels and angle in degrees; two numbers: mean FWHM drawn from this range.",
            rich_help_panel=OBSERVATION,
        ),
    ] = "4,5",
    noise: Annotated[
        str,
        typer.Option(
            metavar="FAMILY",
            help="white_convolved (with the beam), imaged (visibilities: its correlation is the dirty beam), "
            "imaged_gaussian, white.",
            rich_help_panel=OBSERVATION,
        ),
    ] = "white_convolved",
    dirty: Annotated[
        bool,
        typer.Option(
            "--dirty",
            help="The source has the dirty beam's sidelobes too (with --noise imaged).",
            rich_help_panel=OBSERVATION,
        ),
    ] = False,
    hanning: Annotated[
        bool,
        typer.Option("--hanning", help="Channels are Hanning smoothed.", rich_help_panel=OBSERVATION),
    ] = False,
    drift: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Noise varies over the band by up to this.", rich_help_panel=OBSERVATION
        ),
    ] = 0.0,
    primary_beam: Annotated[
        float | None,
        typer.Option(
            metavar="FWHM",
            help="Corrected for a primary beam of this many pixels: noise rises as 1/gain.",
            show_default=False,
            rich_help_panel=OBSERVATION,
        ),
    ] = None,
    sky_lines: Annotated[
        int,
        typer.Option(
            metavar="N", help="Residual sky lines: channels of much noise.", rich_help_panel=OBSERVATION
        ),
    ] = 0,
    counts: Annotated[
        str | None,
        typer.Option(
            metavar="BACKGROUND[,READNOISE[,GAIN]]",
            help="Poisson counts over this background (electrons, counts per electron), with --noise white.",
            show_default=False,
            rich_help_panel=OBSERVATION,
        ),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            metavar="velocity|frequency|wavelength",
            help="Spectral axis; wavelength for white noise, else velocity, when not given.",
            show_default=False,
            rich_help_panel=OBSERVATION,
        ),
    ] = None,
    halves: Annotated[
        bool, typer.Option("--halves", help="Two independent cubes of half the data as well.")
    ] = False,
    overwrite: opt.Overwrite = False,
    json_log: opt.JsonLog = False,
) -> int:
    """Simulate cubes: truth, noisy data and noise alone as FITS, the parameters as JSON, and a table of all."""
    from denoise.simulate import Observation
    from denoise.simulate.files import Axis, parts_of, refuse_existing, simulation_paths

    low, high = _pair(snr, "--snr")
    observation = Observation(
        shape=_shape(shape),
        peak_snr=low,
        noise=parse.choice(noise, option="--noise", allowed=_families()),  # type: ignore[arg-type]
        dirty=dirty,
        hanning=hanning,
        drift=drift,
        sky_lines=sky_lines,
        primary_beam=primary_beam,
        counts=None if counts is None else _counts(counts),
        **_beam(beam),
    )
    wanted_axis: Axis | None = (
        None
        if axis is None
        else parse.choice(  # type: ignore[assignment]
            axis, option="--axis", allowed=("velocity", "frequency", "wavelength")
        )
    )
    tasks = list(_tasks(_kinds(kind), count, seed, (low, high), observation))
    parts = parts_of(observation, halves=halves)
    planned = [path for task in tasks for path in simulation_paths(folder, task.name, parts).values()]
    refuse_existing([folder / TABLE, *planned], overwrite=overwrite)
    make_folder(folder)
    messages = Messages(as_json=json_log)
    with messages.working():
        rows = [
            _row(task, made, axis)
            for task, made in _make(tasks, folder, wanted_axis, messages, halves=halves, overwrite=overwrite)
        ]
    _finish(rows, folder, messages)
    return 0


def _make(
    tasks: Sequence[Task], folder: Path, axis: Any, messages: Messages, *, halves: bool, overwrite: bool
) -> Iterator[tuple[Task, Simulation]]:
    """Make and write the cubes one by one."""
    from denoise.engine.progress import Monitor
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import write_simulation

    for task in Monitor(messages.progress).track(tasks, stage="simulating", total=len(tasks)):
        made = simulate_cube(
            task.seed,
            kind=task.kind,  # type: ignore[arg-type]
            observation=task.observation,
            halves=halves,
        )
        write_simulation(made, folder, task.name, axis=axis, overwrite=overwrite)
        yield task, made


def _tasks(
    kinds: Sequence[str], count: int, seed: int, snr: tuple[float, float], observation: Observation
) -> Iterator[Task]:
    """Cube k has the seed that cube k of a tuning set has."""
    from denoise.simulate.simulations import drawn_snr

    for number in range(count):
        kind, cube_seed = kinds[number % len(kinds)], seed * 100_000 + number
        peak = snr[0] if snr[0] == snr[1] else drawn_snr(cube_seed, snr)
        yield Task(f"{kind}_{number:04d}", kind, cube_seed, replace(observation, peak_snr=peak))


def _row(task: Task, made: Simulation, axis: Any) -> dict[str, Any]:
    """One line of the table."""
    from denoise.simulate.files import format_of

    form = format_of(made, axis)
    major, minor, angle = made.beam_pixels
    seen = made.observation
    return {
        "name": task.name,
        "kind": task.kind,
        "seed": task.seed,
        "peak_snr": round(seen.peak_snr, 6),
        "sigma": float(f"{made.sigma * form.scale:.6g}"),
        "unit": form.unit,
        "beam_major_pixels": round(major, 4),
        "beam_minor_pixels": round(minor, 4),
        "beam_pa_deg": round(angle, 3),
        "noise": seen.noise,
        "dirty": seen.dirty,
        "hanning": seen.hanning,
        "drift": seen.drift,
        "sky_lines": seen.sky_lines,
        "primary_beam_pixels": "" if seen.primary_beam is None else seen.primary_beam,
        "counts": seen.counts is not None,
        "galaxies": len(made.parameters["galaxies"]),
        "structures": len(made.parameters["structures"]),
        "ranges": made.parameters["ranges"],
    }


def _finish(rows: Sequence[dict[str, Any]], folder: Path, messages: Messages) -> None:
    """The table as a file and on stdout."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    put(folder / TABLE, text.getvalue())
    columns = ("cube", "kind", "peak SNR", "beam (pixels, deg)", "noise (1 sigma)", "galaxies", "structures")
    table(f"{_counted(len(rows))} in {folder}", columns, [_cells(row) for row in rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        out(f"and {len(rows) - _SHOWN} more, see {folder / TABLE}")
    messages.done(f"wrote {_counted(len(rows))} and {folder / TABLE}", output=str(folder), cubes=len(rows))


def _counted(cubes: int) -> str:
    return f"{cubes} cube{'' if cubes == 1 else 's'}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    beam = f"{row['beam_major_pixels']:.2f} x {row['beam_minor_pixels']:.2f}, {row['beam_pa_deg']:.0f}"
    numbers = (str(row["galaxies"]), str(row["structures"]))
    level = f"{row['sigma']:.3g} {row['unit']}, {row['noise']}"
    return row["name"], row["kind"], f"{row['peak_snr']:.2f}", beam, level, *numbers


def _kinds(text: str) -> list[str]:
    from denoise.simulate import ALL_KINDS, TOY_KINDS, UNSEEN_KINDS

    sets: dict[str, tuple[str, ...]] = {"toy": TOY_KINDS, "unseen": UNSEEN_KINDS}
    words = parse.words(text, option="--kind", allowed=(*ALL_KINDS, *sets))
    if not words:
        raise UsageError("--kind names nothing", value=text, action="for instance --kind disc,merger")
    return [kind for word in words for kind in sets.get(word, (word,))]


def _families() -> tuple[str, ...]:
    from typing import get_args

    from denoise.simulate import NoiseFamily

    return get_args(NoiseFamily)


def _shape(text: str) -> tuple[int, int, int]:
    values = parse.numbers(text, option="--shape", counts=(3,), example="40,96,96")
    if any(value != int(value) or value < 1 for value in values):
        raise UsageError(
            "--shape needs whole numbers of at least 1",
            value=text,
            action="give channels, rows and columns, as --shape 40,96,96",
        )
    return int(values[0]), int(values[1]), int(values[2])


def _pair(text: str, option: str) -> tuple[float, float]:
    values = parse.numbers(text, option=option, counts=(1, 2), example="2.5,8")
    low, high = values[0], values[-1]
    if not 0 < low <= high:
        raise UsageError(
            f"{option} needs LOW or LOW,HIGH with 0 < LOW <= HIGH",
            value=text,
            action=f"give one number, or two in rising order, as {option} 2.5,8",
        )
    return low, high


def _beam(text: str) -> dict[str, Any]:
    values = parse.numbers(text, option="--beam", counts=(2, 3), example="5,4,30 or 4,5")
    return {"beam": values} if len(values) == 3 else {"beam_range": values}


def _counts(text: str) -> Any:
    from denoise.simulate import Counts

    return Counts(*parse.numbers(text, option="--counts", counts=(1, 2, 3), example="20,3"))
