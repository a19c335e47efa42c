"""A recipe from what was asked for: the text of a file that ``denoise run -r`` takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from denoise.engine.options import RunOptions
from denoise.engine.recipe_file import check_recipe

_INPUTS = ("hdu", "stokes", "beam", "rest")
_MASKS = {"mask": "file", "exclude": "exclude"}
_NOISES = {"noise": "file", "noise_kind": "kind", "gain": "gain", "psf": "psf"}
_CROPPED = re.compile(r"^(channels|x|y|around)\s+(.*)$")


def recipe_text(
    options: RunOptions, reading: Mapping[str, Any], *, title: str, source: Path | None = None
) -> str:
    """One denoise step and how the data are read, as YAML.

    Parameters
    ----------
    options : RunOptions
        What is done. Memory and device belong to the machine: a recipe does not hold them.
    reading : mapping
        Keywords of ``denoise.read``; files become absolute paths.
    title : str
        One line.
    source : Path, optional
        The input; None: it is named when the recipe is run.

    Raises
    ------
    UsageError
        They make no recipe.
    """
    steps: list[dict[str, Any]] = []
    if "crop" in reading:
        steps.append({"crop": _crop(str(reading["crop"]))})
    if mask := _renamed(reading, _MASKS):
        steps.append({"mask": mask})
    if options.continuum != "auto":
        steps.append({"continuum": {"mode": options.continuum}})
    noise = _renamed(reading, _NOISES)
    if options.companion != "trust":
        noise["companion"] = options.companion
    if options.vst is not None:
        noise["counts"] = options.vst.model_dump(mode="json")
    if noise:
        steps.append({"noise": noise})
    denoise: dict[str, Any] = {"method": options.method}
    if options.parameters:
        denoise["parameters"] = dict(options.parameters)
    if options.positivity != "auto":
        denoise["positivity"] = options.positivity
    steps.append({"denoise": denoise})
    if options.uncertainty:
        steps.append({"uncertainty": {"draws": options.uncertainty}})
    values: dict[str, Any] = {"version": 1, "title": title}
    inputs = {} if source is None else {"files": str(source)}
    if inputs := inputs | {name: reading[name] for name in _INPUTS if name in reading}:
        values["inputs"] = inputs
    if options.seed:
        values["seed"] = options.seed
    values["steps"] = steps
    if options.save != RunOptions(uncertainty=options.uncertainty).save:
        values["outputs"] = {"save": list(options.save)}
    check_recipe(values, where="the recipe")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    return f"# denoise run -r THIS.yaml{'' if source else ' OBS.fits'}\n{text}"


def _renamed(reading: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {new: _absolute(reading[old]) for old, new in names.items() if old in reading}


def _absolute(value: Any) -> Any:
    """A file by its whole path, as a recipe may lie anywhere; words and ranges as they are."""
    plain, bracket, rest = str(value).partition("[")
    if isinstance(value, str | Path) and Path(plain).is_file():
        return f"{Path(plain).resolve()}{bracket}{rest}"
    return value


def _crop(text: str) -> dict[str, str]:
    """The parts of a crop by their names; what has none is a range of the spectral axis."""
    parts: dict[str, str] = {}
    for part in (one.strip() for one in text.split(",")):
        named = _CROPPED.match(part)
        if named:
            parts[named[1]] = named[2].strip()
        elif part:
            parts["spectral"] = part
    return parts
