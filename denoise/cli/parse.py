"""Turn what is typed into values: pure functions that raise ``UsageError`` with what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from denoise.errors import UsageError

_BYTES = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BYTES |= {f"{prefix}I": 1024**power for power, prefix in enumerate("KMGT", start=1)}


def assignments(words: Sequence[str]) -> dict[str, Any]:
    """``["threshold=4", "penalty=soft"]`` as a dict; each value is a YAML scalar or list."""
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.strip():
            raise UsageError("--set needs name=value", value=word, action="for instance --set threshold=4")
        if name.strip() in values:
            raise UsageError(f"--set gives {name.strip()!r} twice", value=word, action="keep one of them")
        values[name.strip()] = scalar(text.strip())
    return values


def scalar(text: str) -> Any:
    """A YAML value, but on, off, yes and no stay the words they are (the names of choices)."""
    import yaml

    if text.lower() in ("on", "off", "yes", "no", "y", "n"):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        with suppress(ValueError):  # YAML 1.1 takes 1e-3, without a dot, for text
            return float(value) if any(c.isdigit() for c in value) else value
    return value if isinstance(value, (bool, int, float, str, list)) or value is None else text


def size(text: str) -> int:
    """``8GB``, ``512MiB`` or a plain number as bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?I?)B?\s*", text.upper())
    if match is None or match[2] not in _BYTES or float(match[1]) <= 0:
        raise UsageError("--memory is not a size", value=text, action="write for instance 8GB or 512MiB")
    return int(float(match[1]) * _BYTES[match[2]])


def stabilisation(text: str) -> dict[str, float]:
    """``gain,offset,readnoise`` (the last two may be missing) as the fields of ``Stabilisation``."""
    names = ("gain", "offset", "read_noise")
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= len(names):
        raise UsageError(
            "--vst needs gain,offset,readnoise", value=text, action="for instance --vst 1.5,0,3.2"
        )
    return dict(zip(names, numbers, strict=False))


def words(text: str, *, option: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """A comma-separated list of known words, in order, each once."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for word in found:
        if word not in allowed:
            raise UsageError(
                f"{option} does not know this word", value=word, action=f"use {', '.join(allowed)}"
            )
    return found


def choice(text: str, *, option: str, allowed: Sequence[str]) -> str:
    """One of a few known words."""
    if text in allowed:
        return text
    raise UsageError(f"{option} does not know this word", value=text, action=f"use {', '.join(allowed)}")


def numbers(text: str, *, option: str, counts: Sequence[int], example: str) -> tuple[float, ...]:
    """Comma-separated finite numbers, as many as one of `counts`."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in counts or not all(math.isfinite(value) for value in values):
        raise UsageError(
            f"{option} needs {' or '.join(map(str, counts))} numbers",
            value=text,
            action=f"for instance {example}",
        )
    return values


def number_list(text: str, *, option: str, example: str) -> tuple[float, ...]:
    """Comma-separated finite numbers, at least one."""
    return numbers(text, option=option, counts=(len(text.split(",")),), example=example)


def noise_kind(text: str | None) -> str | None:
    """What a noise file holds, one of three words."""
    known = ("sigma", "variance", "weight")
    return None if text is None else choice(text, option="--noise-kind", allowed=known)


def hdu(text: str | None) -> int | str | None:
    """An extension by number or by name."""
    return int(text) if text is not None and text.isdigit() else text
