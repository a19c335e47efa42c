"""What the dock is set to, as a recipe and as a command: the same run outside the viewer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denoise.cube import Cube
from denoise.engine import RunOptions
from denoise.engine.recipe_text import recipe_text
from denoise.errors import UsageError

_PLAIN = RunOptions()


def source_of(cube: Cube) -> Path:
    """The file of a cube.

    Raises
    ------
    UsageError
        It does not come from one.
    """
    if cube.path is None:
        raise UsageError(
            "the cube is in memory only", value=cube.name, action="save the layer as FITS and open that"
        )
    return cube.path.absolute()


def recipe_of(source: Path, options: RunOptions, reading: Mapping[str, Any] | None = None) -> str:
    """The text of a recipe that repeats a run on its file.

    Parameters
    ----------
    source : Path
        The input.
    options : RunOptions
        What was done.
    reading : mapping, optional
        Keywords of ``denoise.read``.
    """
    title = f"{options.method} on {source.name}, set up in the viewer"
    return recipe_text(options, reading or {}, title=title, source=source)


def command_line(source: Path, options: RunOptions, reading: Mapping[str, Any] | None = None) -> str:
    """The ``denoise run`` that repeats a run on its file; quoted for a shell."""
    words = ["denoise", "run", str(source), "-m", options.method]
    for name, value in options.parameters.items():
        words += ["--set", f"{name}={_yaml(value)}"]
    for name in ("continuum", "positivity", "companion", "uncertainty", "seed", "device"):
        if getattr(options, name) != getattr(_PLAIN, name):
            words += [f"--{name}", str(getattr(options, name))]
    if options.save != RunOptions(uncertainty=options.uncertainty).save:
        words += ["--save", ",".join(options.save)]
    if options.memory is not None:
        words += ["--memory", str(options.memory)]
    if options.vst is not None:
        words += ["--vst", f"{options.vst.gain},{options.vst.offset},{options.vst.read_noise}"]
    for name, value in (reading or {}).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)
