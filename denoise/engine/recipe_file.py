"""Read a recipe from YAML: every mistake is one line with the file, the place in it and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from denoise.engine.options import Stabilisation
from denoise.engine.recipe import Denoise, Inputs, Outputs, Recipe, Step
from denoise.errors import DenoiseError, InputError, ParameterError, UsageError
from denoise.methods import AUTO, get_method, refuse_parameters
from denoise.resources import resource

FOLDER = "pipelines"
SCHEMA = "recipe.schema.json"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as it stands in its file.

    Attributes
    ----------
    path : Path
        The file; relative paths in it start at its folder.
    values : mapping
        What the YAML holds, before defaults.
    recipe : Recipe
        The same, checked.
    """

    path: Path
    values: Mapping[str, Any]
    recipe: Recipe


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    return sorted(path.stem for path in resource(FOLDER).glob("*.yaml"))


def load_recipe(name: str | Path) -> RecipeFile:
    """A recipe by its name or from a YAML file, checked down to the parameters of its methods.

    Parameters
    ----------
    name : str or Path
        One of `recipe_names`, or a file ending in ``.yaml`` or ``.yml``.

    Raises
    ------
    UsageError
        There is no such recipe, or something in it is wrong.
    InputError
        The file cannot be read.
    """
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        if str(name) not in recipe_names():
            raise UsageError(
                f"there is no recipe {str(name)!r}",
                action=f"choose {', '.join(recipe_names())}, or name a .yaml file",
            )
        path = resource(FOLDER, f"{name}.yaml")
    values = _read(path)
    return RecipeFile(path, values, check_recipe(values, where=path.name))


def check_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """A recipe from plain values.

    Parameters
    ----------
    values : mapping
        As from YAML.
    where : str
        Name of the file, for messages.

    Raises
    ------
    UsageError
        With the place: ``steps.2.denoise.parameters.threshold``.
    """
    try:
        recipe = Recipe(**values)
        _check_methods(recipe, where)
        recipe.options()
    except ValidationError as err:
        raise _readable(err, where) from None
    return recipe


def schema() -> str:
    """JSON schema of a recipe, for editors."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
    return f"{json.dumps(found, indent=2)}\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "not text"
        raise InputError(f"{path} cannot be read", value=reason, action="check the path") from None
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise UsageError(
            f"{path.name} is not valid YAML{line}",
            value=getattr(err, "problem", None),
            action="mend the file",
        ) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(
            f"{path.name} holds no recipe", value=type(values).__name__, action="start with: version: 1"
        )
    return values


def _readable(err: ValidationError, where: str, prefix: tuple[str | int, ...] = ()) -> UsageError:
    first = err.errors()[0]
    place = (*prefix, *first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return UsageError(
            f"{where}: {_dotted(place)} is not known", action=f"known there: {', '.join(_known(place[:-1]))}"
        )
    if first["type"] == "value_error" and not place:  # of the recipe as a whole: it names the place itself
        cause, _, action = reason.rpartition(": ")
        return UsageError(f"{where}: {cause}", action=action)
    seen = None if first["type"] == "missing" else first.get("input")
    return UsageError(
        f"{where}: {_dotted(place) or 'the recipe'}: not valid",
        value=seen if isinstance(seen, str | int | float | bool | None) else type(seen).__name__,
        action=reason[0].lower() + reason[1:],
    )


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place))


def _known(place: Sequence[str | int]) -> list[str]:
    """What may stand at a place of the recipe."""
    model: type[BaseModel] = Recipe
    if place and place[0] in ("inputs", "outputs"):
        model = Inputs if place[0] == "inputs" else Outputs
    elif len(place) == 2:
        model = Step
    elif len(place) == 3:
        model = next(t for t in Step.model_fields[str(place[2])].annotation.__args__ if t is not type(None))  # type: ignore[union-attr]
    elif len(place) > 3:
        model = Stabilisation
    return list(model.model_fields)


def _check_methods(recipe: Recipe, where: str) -> None:
    several = len(recipe.denoise_steps()) > 1
    for number, step in enumerate(recipe.steps):
        place = ("steps", number, step.name)
        if step.denoise is not None:
            _check_method(step.denoise, where, place, leading=step.denoise is recipe.denoise_steps()[0])
    first = recipe.denoise_steps()[0].method
    errors = recipe.step("uncertainty")
    wanted, drawn = (
        errors is not None or "uncert" in recipe.outputs.save,
        errors is not None and errors.draws > 0,
    )
    # what auto chooses is not known before the cube is read
    if wanted and (several or not (drawn or first == AUTO or get_method(first).info.error_bar)):
        names = [step.name for step in recipe.steps]
        at = f"steps.{names.index('uncertainty')}.uncertainty" if "uncertainty" in names else "outputs.save"
        what = "several denoise steps give" if several else f"method {first} gives"
        raise UsageError(
            f"{where}: {at}: {what} no 1 sigma error",
            action="take it out" if several else "write uncertainty: {draws: 16}, or take it out",
        )


def _check_method(step: Denoise, where: str, place: tuple[str | int, ...], *, leading: bool) -> None:
    try:
        if step.method == AUTO and leading:
            refuse_parameters(step.parameters)
            return
        method = get_method(step.method)
        method.Parameters(**step.parameters)
        method(**step.parameters)
    except ValidationError as err:
        first = err.errors()[0]
        inner = (*place, "parameters", *first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(method.Parameters.model_fields)
            raise ParameterError(
                f"{where}: {_dotted(inner)}: method {step.method} has no such parameter",
                action=f"its parameters are: {known or 'none'}",
            ) from None
        raise _readable(err, where, (*place, "parameters")) from None
    except DenoiseError as err:
        raise ParameterError(
            f"{where}: {_dotted(place)}: {err.cause}", value=err.value, action=err.action
        ) from None
