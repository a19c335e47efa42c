"""Pages of reports and studies: their templates, their figures inside, and how files are put in place."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denoise.atomic import put, replace_file
from denoise.errors import ResourceError


def render_page(template: str, **values: Any) -> str:
    """The text of a page; what a template names and is not given is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("denoise.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def png_of(fig: Any) -> bytes:
    """A figure as PNG, with the same bytes every time."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def inline(png: bytes) -> str:
    """A picture as the source of an image element."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def put_files(folder: str | Path, what: str, files: Mapping[str, bytes], page: tuple[str, str]) -> Path:
    """Write files into a folder, each complete or not at all, the page (name, text) last; returns its path.

    Raises
    ------
    ResourceError
        A file cannot be written; `what` names what they are of.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
    except OSError as err:
        raise ResourceError(
            f"the {what} cannot be written to {folder}",
            value=err.strerror or err,
            action="choose another folder",
        ) from err
    return put(folder / page[0], page[1])
