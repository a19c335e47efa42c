"""``denoise methods``: the table of methods, or one method's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from denoise.cli import console

if TYPE_CHECKING:
    from denoise.methods import MethodInfo


def methods(
    name: Annotated[
        str | None, typer.Argument(help="Show this method's parameters.", show_default=False)
    ] = None,
) -> None:
    """The methods that are installed, or one method's parameters with units, ranges and defaults."""
    if name is None:
        _all()
    else:
        _one(name)


def _all() -> None:
    from denoise.methods import list_methods

    columns = ("method", "category", "works on", "passes", "noise model", "what it is")
    rows = [
        (
            name,
            info.category,
            _works_on(info),
            str(info.passes + 1),
            "yes" if info.uses_noise else "no",
            info.summary,
        )
        for name, info in list_methods().items()
    ]
    console.table("", columns, rows)


def _one(name: str) -> None:
    from denoise.methods import get_method
    from denoise.methods.describe import describe_parameters

    method = get_method(name)
    info = method.info
    console.out(f"{info.name}: {info.summary}")
    console.out(
        f"{info.category}; works on {_works_on(info)}; reads the data {info.passes + 1} x; runs on "
        f"{', '.join(info.device)}; 1 sigma error {'yes' if info.error_bar else 'no'}"
    )
    rows = [(one.name, one.default, one.allowed, one.text) for one in describe_parameters(method.Parameters)]
    if rows:
        console.table("", ("parameter", "default", "allowed", "meaning"), rows)
    else:
        console.out("no parameters")
    console.out(f"cite: denoise cite {info.name}")


def _works_on(info: MethodInfo) -> str:
    return ", ".join({2: "images", 3: "cubes"}[axes] for axes in sorted(info.ndim, reverse=True))
