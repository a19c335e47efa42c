"""What a study found, as plain values that JSON knows and back: one way for checks, comparisons and tunings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter


class Record:
    """Base of a dataclass that is written as JSON and read again.

    Its fields are numbers, texts, paths, tuples, dicts, named tuples, and dataclasses of these. NaN stays NaN, as
    Python writes and reads it.
    """

    FORMAT: ClassVar[int] = 1  # rises where a file of before cannot be read any more

    def heading(self) -> dict[str, Any]:
        """What stands before the fields, for whoever opens the file; it is not read again."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the format, the heading, every field by its name; a tuple is a list."""
        return {"format": self.FORMAT, **self.heading(), **plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError
            A field is missing, or is of another type.
        """
        return TypeAdapter(cls).validate_python({one: values[one] for one in _names(cls) if one in values})

    def to_json(self) -> str:
        """The text of the file."""
        return f"{json.dumps(self.to_dict(), indent=1)}\n"


def plain(value: Any) -> Any:
    """A value without classes of ours: dataclasses become dicts, tuples lists, paths texts."""
    if is_dataclass(value):
        return {name: plain(getattr(value, name)) for name in _names(value)}
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]
