"""``denoise benchmark``: how well each method does on cubes with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli import parse
from denoise.cli.batch import stoppable
from denoise.cli.console import Messages, out, table
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.benchmark import Difference, Line, Suite


def benchmark(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUITE]",
            help="A packaged suite, a YAML file, or the results.json of a run to compare; none: the list of suites.",
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME[:P=V,...]",
            help="Rows in place of the suite's; repeat.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; benchmark-SUITE when not given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the files that a suite on real data names.")
    ] = None,
    cubes: Annotated[int | None, typer.Option(min=1, help="Cubes a bin, in place of the suite's.")] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Noise draws a cube, in place of the suite's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other cubes than the fixed ones.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="OLD.json", help="results.json of an earlier run.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    overwrite: opt.Overwrite = False,
    json_log: opt.JsonLog = False,
) -> int:
    """Score methods on a suite: tables (CSV, Parquet), a figure, an HTML page, and a JSON to compare runs by."""
    if suite is None:
        _list()
        return 0
    if suite.endswith(".json"):
        if compare is None:
            raise UsageError("a results.json alone is nothing to run", action="add --compare OLD.json")
        return _compare(compare, Path(suite))
    from denoise.benchmark import load_suite

    wanted = load_suite(suite, cubes=cubes, draws=draws, seed=seed, methods=_rows(methods))
    if compare is not None:
        from denoise.benchmark import load_results

        load_results(compare)  # refused before hours of work
    folder = output or Path(f"benchmark-{wanted.suite}")
    _run(wanted, folder, data, workers, resume=resume, overwrite=overwrite, json_log=json_log)
    return 0 if compare is None else _compare(compare, folder / "results.json")


def _run(
    suite: Suite,
    folder: Path,
    data: Path | None,
    workers: int | None,
    *,
    resume: bool,
    overwrite: bool,
    json_log: bool,
) -> None:
    from denoise.benchmark import agreements, run_suite, summary, write_results
    from denoise.benchmark.page import failures
    from denoise.benchmark.ranking import HEAD, TITLE, ranking_rows

    messages = Messages(as_json=json_log)
    with stoppable(messages) as token, messages.working():
        entries = run_suite(
            suite,
            folder,
            data=data,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=messages.progress,
            cancel=token,
        )
        for text in failures(entries):
            messages.warn(f"failed: {text}")
        files = write_results(suite, entries, folder)
    show(suite, summary(entries))
    if found := agreements(entries):
        table(TITLE, HEAD, ranking_rows(found))
    messages.done(f"wrote {files.html}", html=str(files.html), figure=str(files.figure))


def show(suite: Suite, lines: list[Line]) -> None:
    """The summary as tables on stdout, one a group."""
    from denoise.benchmark.tables import SHOWN, cells

    keep = [k for k, key in enumerate(SHOWN) if any(line.scores[key].value is not None for line in lines)]
    titles = [title for title, _ in SHOWN.values()]
    for group in dict.fromkeys(line.group for line in lines):
        rows = []
        for line in (one for one in lines if one.group == group):
            values = cells(line, errors=False)
            # a space is where a narrow column may break
            rows.append((line.bin, line.row.replace("_oracle", " oracle"), *(values[k] for k in keep)))
        table(
            f"{suite.title} ({suite.label}): {group}", ("peak SNR", "row", *(titles[k] for k in keep)), rows
        )


def _list() -> None:
    from denoise.benchmark import load_suite, suite_names

    rows = []
    for name in suite_names():
        suite = load_suite(name)
        rows.append((name, str(suite.version), suite.title, ", ".join(suite.methods)))
    table("Benchmark suites", ("suite", "version", "what", "methods"), rows)


def _rows(methods: list[str] | None) -> dict[str, Any] | None:
    """Rows from the command line: ``ist:threshold=4`` is shown under that name."""
    if not methods:
        return None
    from denoise.benchmark import FLOORS

    rows = {}
    for text in methods:
        if text in FLOORS:  # in every table anyway
            continue
        name, _, settings = text.partition(":")
        parameters = parse.assignments(settings.split(",")) if settings else {}
        rows[text] = {"method": name, "parameters": parameters}
    return rows


def _compare(old: Path, new: Path) -> int:
    from denoise.benchmark import compare, load_results

    found = compare(load_results(old), load_results(new))
    changed = [one for one in found if one.verdict != "same"]
    table(
        f"{new} against {old}: beyond the noise of the draw",
        ("row", "bin", "score", "before", "after", "sigma", "verdict"),
        [_difference(one) for one in changed],
    )
    counts = {name: sum(one.verdict == name for one in found) for name in ("better", "worse", "same")}
    out(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 0


def _difference(one: Difference) -> tuple[str, ...]:
    values = (f"{one.before:.4g}", f"{one.after:.4g}", f"{one.sigmas:.1f}")
    return (one.row, one.bin, one.score, *values, one.verdict)
