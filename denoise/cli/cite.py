"""``denoise cite``: BibTeX of the software and of the methods."""

from __future__ import annotations

from typing import Annotated

import typer

from denoise._version import __version__
from denoise.cli import console

SOFTWARE = f"""@software{{astro_denoise,
  author  = {{{{The astro-denoise developers}}}},
  title   = {{astro-denoise: denoise astronomical spectral cubes and images}},
  version = {{{__version__}}},
}}"""


def cite(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[METHOD]...", help="Methods; all when none is named.", show_default=False),
    ] = None,
) -> None:
    """BibTeX entries to cite: this software and the methods used."""
    from denoise.methods import get_method, list_methods

    infos = [get_method(name).info for name in names] if names else list(list_methods().values())
    entries = [SOFTWARE, *(info.citation.strip() for info in infos)]
    console.out("\n\n".join(dict.fromkeys(entry for entry in entries if entry)))
