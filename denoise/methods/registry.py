"""Find the denoisers that are installed: ours and those of other packages, through one entry-point group."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from denoise.errors import DenoiseWarning, ParameterError, UnknownMethodError
from denoise.methods.contract import Denoiser, MethodInfo

GROUP = "denoise.methods"


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def get_method(name: str) -> type[Denoiser]:
    """The denoiser class of this name.

    Raises
    ------
    UnknownMethodError
        No installed package offers it; the message lists those that are there.
    ParameterError
        An outside package registered something that cannot be loaded or is not a ``Denoiser``.
    """
    found = _entry_points()
    if name not in found:
        raise UnknownMethodError(
            "unknown method", value=name, action=f"choose one of {', '.join(sorted(found))}"
        )
    try:
        method = found[name].load()
    except (ImportError, AttributeError) as err:
        raise ParameterError(
            f"method {name!r} cannot be loaded",
            value=err,
            action="uninstall or mend the package that provides it",
        ) from err
    if not (isinstance(method, type) and issubclass(method, Denoiser)):
        raise ParameterError(
            f"entry point {name!r} of group {GROUP} is not a Denoiser class",
            value=found[name].value,
            action="uninstall or mend the package that provides it",
        )
    return method


def list_methods() -> dict[str, MethodInfo]:
    """Every installed method by name: what it is for, what it needs, how to cite it.

    Warns
    -----
    DenoiseWarning
        An outside package offers a method that cannot be used; the others are listed.
    """
    found = {}
    for name in sorted(_entry_points()):
        try:
            found[name] = get_method(name).info
        except ParameterError as err:
            warnings.warn(str(err), DenoiseWarning, stacklevel=2)
    return found
