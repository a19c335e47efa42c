"""Which parameters of a method are tried: as asked, or those that decide most, at values about the default."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from denoise.errors import DenoiseError, ParameterError
from denoise.methods import get_method
from denoise.methods.contract import Parameters, validated

Grid = Mapping[str, Sequence[Any]]

MOST = 200  # combinations
_COMPONENTS = {"n_components": ("auto", 2, 4, 8), "threshold": (4.5, 5.5, 7.0)}
_GRIDS: dict[str, Grid] = {
    "ist": {"threshold": (3.5, 4.5, 5.5, 6.5, 8.0)},
    "smooth": {"fwhm": (None, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)},
    "pca": _COMPONENTS,
    "ica": _COMPONENTS,
    "unet": {"preset": ("small", "base")},
    "hybrid": {"preset": ("small", "base")},
    "lidia": {},
}
_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)  # of a default that is a number


def default_grid(method: str) -> Grid:
    """What is tried where nothing is asked for.

    Of methods from outside: their first parameter that is a choice of words, or a number with a default other than 0.

    Raises
    ------
    UnknownMethodError
        There is no such method.
    ParameterError
        It has no parameter that could be chosen so.
    """
    parameters = get_method(method).Parameters
    grid = _GRIDS[method] if method in _GRIDS else _about_default(method, parameters)
    if not grid:
        raise ParameterError(
            f"method {method} has no parameter that is usually chosen on a cube",
            value=", ".join(parameters.model_fields) or "no parameter at all",
            action="name one with --grid NAME=VALUE,VALUE",
        )
    return grid


def candidates(method: str, base: Mapping[str, Any], grid: Grid) -> list[dict[str, Any]]:
    """Every combination as parameters, the default first.

    Parameters
    ----------
    method : str
        The denoiser.
    base : mapping
        Parameters that all have: with them alone it is the default.
    grid : mapping of str to sequence
        Values by name; what equals the default is not repeated.

    Raises
    ------
    ParameterError
        A name or value is not valid, a parameter is given twice, there are no or too many combinations.
    """
    for name in grid:
        if name in base:
            raise ParameterError(
                f"parameter {name!r} is both fixed and in the grid",
                action="leave it out of one of --set and --grid",
            )
    rows = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(rows) > MOST:
        raise ParameterError(
            "the grid has too many combinations", value=len(rows), action=f"ask for {MOST} at most"
        )
    found = [dict(base)]
    seen = [validated(get_method(method), base)]
    for row in rows:
        one = validated(get_method(method), {**base, **row})
        if one not in seen:
            seen.append(one)
            found.append({**base, **row})
    if len(found) < 2:
        raise ParameterError(
            "the grid holds the default alone: there is nothing to choose",
            value=", ".join(f"{name}={list(values)}" for name, values in grid.items()),
            action="give other values, as --grid threshold=4,5,6",
        )
    return found


def default_values(method: str, base: Mapping[str, Any], grid: Grid) -> dict[str, Any]:
    """The parameters of a grid as they are without it."""
    values = validated(get_method(method), base).model_dump(mode="json")
    return {name: values[name] for name in grid}


def _about_default(method: str, parameters: type[Parameters]) -> Grid:
    for name, field in parameters.model_fields.items():
        default = field.default
        if get_origin(field.annotation) is Literal:
            return {name: get_args(field.annotation)}
        if isinstance(default, int | float) and not isinstance(default, bool) and default:
            values = [type(default)(default * factor) for factor in _FACTORS]
            return {name: [value for value in dict.fromkeys(values) if _is_valid(method, {name: value})]}
    return {}


def _is_valid(method: str, values: Mapping[str, Any]) -> bool:
    try:
        validated(get_method(method), values)
    except DenoiseError:
        return False
    return True
