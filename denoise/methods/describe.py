"""A method's parameters in words, from its pydantic model: for the command line, messages, documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}
_TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", NoneType: "none"}


@dataclass(frozen=True)
class ParameterDescription:
    """One parameter: name, default, allowed values, what it is (with its unit)."""

    name: str
    default: str
    allowed: str
    text: str


def describe_parameters(model: type[BaseModel]) -> list[ParameterDescription]:
    """Every field of a parameter model, in the order of its definition."""
    return [
        ParameterDescription(
            name, _default(field), allowed_values(field), " ".join((field.description or "").split())
        )
        for name, field in model.model_fields.items()
    ]


def allowed_values(field: FieldInfo) -> str:
    """The type and range of a field in words: ``number > 0``, ``integer >= 1, <= 8``, ``soft | hard``."""
    parts = get_args(field.annotation)
    # the bounds are not about none
    if NoneType in parts and get_origin(field.annotation) in (Union, UnionType):
        rest = " or ".join(_type(part) for part in parts if part is not NoneType)
        return f"{_with_bounds(rest, field.metadata)} or none"
    return _with_bounds(_type(field.annotation), field.metadata)


def _with_bounds(text: str, rules: Sequence[Any]) -> str:
    flat = [part for rule in rules for part in getattr(rule, "metadata", [rule])]
    bounds = [
        f"{sign} {getattr(rule, key):g}"
        for rule in flat
        for key, sign in _BOUNDS.items()
        if getattr(rule, key, None) is not None
    ]
    return " ".join([text, ", ".join(bounds)]).strip()


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inside, *rules = get_args(annotation)
        return _with_bounds(_type(inside), rules)
    if origin is Literal:
        return " | ".join(str(value) for value in get_args(annotation))
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in get_args(annotation))
    if origin in (tuple, list):
        parts = [part for part in get_args(annotation) if part is not Ellipsis]
        return "list of " + ", ".join(dict.fromkeys(_type(part) for part in parts))
    return _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else str(value)
