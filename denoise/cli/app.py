"""Entry point of the command ``denoise``: the commands, and every error as one line with its exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from denoise._version import __version__
from denoise.cli import (
    benchmark,
    check,
    cite,
    compare,
    demo,
    doctor,
    fine_tune,
    info,
    methods,
    recipe,
    rerun,
    run,
    simulate,
    train,
    tune,
    view,
)
from denoise.cli.console import Messages, explain
from denoise.errors import CancelledError

EPILOG = (
    "Exit codes: 0 ok, 1 some inputs failed, 2 usage, 3 unreadable input, "
    "4 not enough resources, 130 cancelled."
)
CANCELLED = CancelledError.exit_code

app = typer.Typer(
    name="denoise",
    help="Denoise astronomical spectral cubes and images.",
    epilog=EPILOG,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"denoise {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show the traceback of an error, and every warning (or DENOISE_DEBUG=1)."
        ),
    ] = False,
) -> None:
    """Options of every command; `main` reads ``--debug`` wherever it stands."""


app.command("info")(info.info)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
app.command("recipe")(recipe.recipe)
app.command("rerun")(rerun.rerun)
app.command("methods")(methods.methods)
app.command("cite")(cite.cite)
app.command("simulate")(simulate.simulate)
app.command("benchmark")(benchmark.benchmark)
app.command("train")(train.train)
app.command("fine-tune")(fine_tune.fine_tune)
app.command("demo")(demo.demo)
app.command("view")(view.view)
app.command("doctor")(doctor.doctor)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a sign shows a question mark
            stream.reconfigure(errors="replace")
    sys.exit(execute(sys.argv[1:] if argv is None else argv))


def execute(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    if "--debug" in argv:
        os.environ["DENOISE_DEBUG"] = "1"
        argv = [word for word in argv if word != "--debug"]
    try:
        code = app(argv or ["--help"], prog_name="denoise", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # `denoise methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _fail(argv, "cancelled", CANCELLED)
    except Exception as err:  # noqa: BLE001 - the last stop: one line, never a traceback
        return _fail(argv, *explain(err))
    return code if isinstance(code, int) else 0


def _fail(argv: list[str], text: str, code: int) -> int:
    Messages(as_json="--json-log" in argv).error(text)
    return code


if __name__ == "__main__":
    main()
