"""From a recipe to one task for each input: globs, the manifest, and what it overrides for one file."""

from __future__ import annotations

import copy
import csv
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from denoise.engine.options import RunOptions
from denoise.engine.recipe import ENDINGS, Recipe, Step
from denoise.engine.recipe_file import RecipeFile, check_recipe
from denoise.errors import InputError, UsageError

# fields that hold paths, and the keywords of `denoise.read` that they become
_PATHS = {
    "mask.file": "mask",
    "mask.exclude": "exclude",
    "noise.file": "noise",
    "noise.gain": "gain",
    "noise.psf": "psf",
}
_INPUT = ("hdu", "stokes", "beam", "rest")


@dataclass(frozen=True)
class Task:
    """One input and everything that is done with it.

    Attributes
    ----------
    source : Path
        The input.
    options : RunOptions
        What the engine does.
    reading : dict
        Keywords of ``denoise.read``.
    name : str
        File name of the output, ``{stem}`` for that of the input.
    folder : Path or None
        Of the output, if the recipe says.
    report : bool
        Whether there is an HTML report.
    metrics : tuple of {"csv", "json"}
        Files of numbers beside the output.
    """

    source: Path
    options: RunOptions
    reading: dict[str, Any] = field(default_factory=dict)
    name: str = "{stem}_denoised.fits"
    folder: Path | None = None
    report: bool = True
    metrics: tuple[str, ...] = ()


def recipe_tasks(file: RecipeFile, inputs: Sequence[Path] = ()) -> list[Task]:
    """The tasks of a recipe.

    Parameters
    ----------
    file : RecipeFile
        The recipe.
    inputs : sequence of Path
        In place of the files and the manifest of the recipe.

    Raises
    ------
    UsageError
        There is no input, a glob finds nothing, or a row of the manifest is wrong.
    InputError
        The manifest cannot be read.
    """
    base = file.path.parent
    if inputs:
        return [_task(file.recipe, source, base) for source in inputs]
    said = file.recipe.inputs
    found = [_task(file.recipe, path, base) for pattern in said.patterns for path in _expand(pattern, file)]
    if said.manifest is not None:
        found += _manifest(base / said.manifest, file)
    if not found:
        raise UsageError(
            f"{file.path.name}: inputs: no file",
            action="name inputs there, or after the recipe: -r RECIPE OBS.fits",
        )
    return found


def _expand(pattern: str, file: RecipeFile) -> list[Path]:
    """The files of a glob, by name; a path without * or ? stands for itself, there or not. ``*.fits[SCI]`` works."""
    base = file.path.parent
    where = base / pattern
    plain, bracket, hdu = pattern.partition("[") if pattern.endswith("]") else (pattern, "", "")
    if not re.search(r"[*?]", plain):
        return [where]
    names = sorted(glob.glob(plain, root_dir=base, recursive=True))
    paths = [base / f"{name}{bracket}{hdu}" for name in names]
    if not paths:
        raise UsageError(
            f"{file.path.name}: inputs.files: nothing matches",
            value=str(where),
            action="check the folder and the pattern",
        )
    return paths


def _task(recipe: Recipe, source: Path, base: Path, output: str | None = None) -> Task:
    report, metrics = recipe.step("report"), recipe.step("metrics")
    reading = {
        name: _resolved(name, value, base) if name in _PATHS.values() else value
        for name, value in recipe.reading().items()
    }
    folder = recipe.outputs.folder
    return Task(
        source,
        recipe.options(),
        reading,
        name=output or recipe.outputs.name,
        folder=None if folder is None else base / folder,
        report=report is not None and report.html,
        metrics=() if metrics is None else metrics.formats,
    )


def _resolved(name: str, value: str, base: Path) -> str:
    """A companion's path from the folder of the recipe; words that are no path stay."""
    path = base / value.partition("[")[0]
    if (name == "mask" and value.lower() in ("none", "off")) or (name == "exclude" and not path.exists()):
        return value
    return str(base / value)


def _manifest(path: Path, file: RecipeFile) -> list[Task]:
    rows = _rows(path)
    if not rows:
        raise UsageError(f"{path.name}: the manifest has no row", action="add one for each file")
    return [_of_row(row, f"{path.name}: line {line}", path.parent, file) for line, row in rows]


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line in the file; cells without the blanks around them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "not text"
        raise InputError(
            f"the manifest {path} cannot be read", value=reason, action="check the path"
        ) from None
    reader = csv.DictReader(text.splitlines())
    if "file" not in [str(name).strip() for name in reader.fieldnames or ()]:
        raise UsageError(
            f"{path.name}: the manifest has no column file",
            value=", ".join(map(str, reader.fieldnames or ())) or "an empty file",
            action="name the columns in the first line: file, and what differs",
        )
    out = []
    for row in reader:
        if None in row or None in row.values():
            raise UsageError(
                f"{path.name}: line {reader.line_num} has more or fewer cells than the first line",
                action="quote cells that hold commas",
            )
        out.append((reader.line_num, {str(k).strip(): str(v).strip() for k, v in row.items()}))
    return out


def _of_row(row: dict[str, str], where: str, base: Path, file: RecipeFile) -> Task:
    source, output = row.pop("file"), row.pop("output", "")
    if not source:
        raise UsageError(f"{where}: file: no name", action="name a file, or take the line out")
    if output and (not output.lower().endswith(ENDINGS) or "/" in output):
        raise UsageError(
            f"{where}: output: not valid",
            value=output,
            action="write a file name that ends in .fits or .zarr",
        )
    values: dict[str, Any] = copy.deepcopy(dict(file.values))
    given = {column: cell for column, cell in row.items() if cell}
    for column, cell in given.items():
        _set(values, column, _scalar(cell), where)
    recipe = check_recipe(values, where=f"{where}: {file.path.name}") if given else file.recipe
    task = _task(recipe, base / source, file.path.parent, output or None)
    for column, name in _PATHS.items():  # paths given in the manifest start at its folder
        if column in given:
            task.reading[name] = _resolved(name, given[column], base)
    return task


def _set(values: dict[str, Any], column: str, value: Any, where: str) -> None:
    """Put a cell of the manifest at its place in the recipe: an input option, or STEP.FIELD.

    The second denoise step is ``denoise2``.
    """
    first, *rest = column.split(".")
    if column in _INPUT:
        values.setdefault("inputs", {})
        values["inputs"] = {**(values["inputs"] or {}), column: value}
        return
    match = re.fullmatch(r"([a-z]+)(\d*)", first)
    name, number = (match[1], int(match[2] or 1)) if match else ("", 1)
    if name not in Step.model_fields or not rest:
        raise UsageError(
            f"{where}: column {column} is not known",
            action=f"use {', '.join(_INPUT)}, output, or a step and its field, as denoise.parameters.threshold",
        )
    steps = [step for step in values["steps"] if name in step]
    if len(steps) < number:
        raise UsageError(
            f"{where}: column {column}: the recipe has no such step", action=f"add - {name}: to its steps"
        )
    place = steps[number - 1]
    for key in (name, *rest[:-1]):
        if not isinstance(place.get(key), Mapping):
            place[key] = {}
        place = place[key]
    place[rest[-1]] = value


def _scalar(cell: str) -> Any:
    """A number, true, false, or a list in brackets where the cell is one, else its text."""
    try:
        return float(cell) if "." in cell or "e" in cell.lower() else int(cell)
    except ValueError:
        pass
    if cell in ("true", "false") or cell.startswith("["):
        try:
            return yaml.safe_load(cell)
        except yaml.YAMLError:
            return cell
    return cell
