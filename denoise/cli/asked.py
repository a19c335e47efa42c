"""What several commands are asked alike: reading; physics; and a folder for the files of those that try methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise.cli import parse
from denoise.errors import OutputExistsError, ResourceError, UsageError

if TYPE_CHECKING:
    from denoise.engine import RunOptions

_PLAIN = ("stokes", "mask", "exclude", "noise", "gain", "psf", "beam", "rest", "crop")
_PHYSICS = ("continuum", "positivity", "companion", "device", "seed")


def reading_of(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of ``denoise.read`` that were given, from options as they were typed, by their names."""
    values = {"hdu": parse.hdu(typed["hdu"]), "noise_kind": parse.noise_kind(typed["noise_kind"])}
    values |= {name: typed[name] for name in _PLAIN if name in typed}
    return {name: value for name, value in values.items() if value is not None}


def options_of(
    typed: Mapping[str, Any], method: str, settings: Sequence[str] = (), **more: Any
) -> RunOptions:
    """What a run of a method is asked, from options as they were typed, by their names; `more`: as RunOptions has them.

    Raises
    ------
    ParameterError, UsageError
        One of them is not valid.
    """
    from denoise.engine.options import run_options

    vst, memory = typed["vst"], typed["memory"]
    return run_options(
        method=method,
        parameters=parse.assignments(settings),
        vst=None if vst is None else parse.stabilisation(vst),
        memory=None if memory is None else parse.size(memory),
        **{name: typed[name] for name in _PHYSICS},
        **more,
    )


def check_method(wanted: RunOptions) -> None:
    """Refuse an unknown method or a wrong parameter before anything is read."""
    from denoise.engine.run import check_methods

    check_methods(wanted)


def refuse_existing(folder: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse to replace the files of an earlier run before any work starts.

    Raises
    ------
    UsageError
        The folder is a file.
    OutputExistsError
        One of the files is there.
    """
    if folder.is_file():
        raise UsageError("the output is a file", value=str(folder), action="name a folder with -o")
    for path in files:
        if path.exists() and not overwrite:
            raise OutputExistsError(
                f"{path} exists", action="name another folder with -o, or allow --overwrite"
            )


def make_folder(folder: Path) -> None:
    """Create the output's folder.

    Raises
    ------
    ResourceError
        It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(
            f"the folder {folder} cannot be created", value=err.strerror, action="name another output with -o"
        ) from None
