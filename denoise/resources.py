"""Find what ships with the package and is not code: samples, models, pipelines."""

from __future__ import annotations

from pathlib import Path

from denoise.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def resource(folder: str, *parts: str) -> Path:
    """Path of a file or folder that ships with the package, in a checkout and in an installed wheel alike.

    Parameters
    ----------
    folder : {"samples", "models", "pipelines"}
        Which of the data folders.
    *parts : str
        Path below it.

    Raises
    ------
    InputError
        It is not there.
    """
    roots = [_PACKAGE]
    # a checkout keeps models/ and pipelines/ beside the package
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        roots.append(_PACKAGE.parent)
    for root in roots:
        path = root.joinpath(folder, *parts)
        if path.exists():
            return path
    raise InputError(
        f"{'/'.join((folder, *parts))} does not ship with this installation",
        value=str(_PACKAGE),
        action="reinstall astro-denoise, or check the name",
    )
