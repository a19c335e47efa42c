"""The guide: Sphinx with MyST. `make docs` builds it; its reference is made from the code on the way."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from denoise import __version__

HERE = Path(__file__).resolve().parent


def _from_code() -> ModuleType:
    """``docs/from_code.py``, which is no package."""
    spec = importlib.util.spec_from_file_location("from_code", HERE / "from_code.py")
    if spec is None or spec.loader is None:
        raise ImportError("docs/from_code.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_from_code().write_pages()

project = "astro-denoise"
author = "The astro-denoise developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # generated pages are included below a heading

autodoc_typehints = "none"  # the docstrings say shapes and units, the signatures the types
autodoc_member_order = "bysource"
autosummary_generate = False  # numpydoc loads it
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

smartquotes = False  # --option is no dash

html_theme = "furo"
html_title = f"astro-denoise {version}"
html_copy_source = False
html_show_sphinx = False
