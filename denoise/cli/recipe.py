"""``denoise recipe``: the recipes that ship with the package, one of them, or the schema for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from denoise.cli.console import out, table
from denoise.errors import UsageError


def recipe(
    name: Annotated[
        str | None, typer.Argument(help="Show this recipe, to be changed in a copy.", show_default=False)
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON schema of recipes, for editors.")
    ] = False,
) -> None:
    """The ready recipes of `denoise run -r`, one of them, or their JSON schema."""
    from denoise.engine import recipe_file

    if schema and name is not None:
        raise UsageError("--schema is of all recipes", value=name, action="leave the name out")
    if schema:
        out(recipe_file.schema().rstrip())
    elif name is not None:
        out(recipe_file.load_recipe(name).path.read_text(encoding="utf-8").rstrip())
    else:
        found = {one: recipe_file.load_recipe(one).recipe for one in recipe_file.recipe_names()}
        rows = [(one, made.title, ", ".join(step.name for step in made.steps)) for one, made in found.items()]
        table("", ("recipe", "for", "steps"), rows)
