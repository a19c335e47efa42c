"""Write small files whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from denoise.errors import ResourceError


def replace_file(path: Path, content: bytes) -> Path:
    """Write under a temporary name beside `path` and rename; what was there is replaced.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def put(path: Path, content: bytes | str) -> Path:
    """The same, with the error as a user is told it.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    try:
        return replace_file(path, content.encode() if isinstance(content, str) else content)
    except OSError as err:
        raise ResourceError(
            f"{path} cannot be written", value=err.strerror, action="choose another folder"
        ) from None
