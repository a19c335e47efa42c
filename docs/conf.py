"""The guide: Sphinx with MyST. `make docs` builds it; its reference is made from the code on the way."""

from __future__ import annotations

import importlib.util
import shutil
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


def _copy_notebooks() -> None:
    """From the root of the repository to where Sphinx reads; one that did not change keeps its time."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    there = {path.name: path for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for old in folder.glob("*.ipynb"):
        if old.name not in there:
            old.unlink()
    for name, path in there.items():
        copy = folder / name
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


_from_code().write_pages()
_copy_notebooks()

project = "astro-denoise"
author = "The astro-denoise developers"
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}  # a page without a kernel is not run
exclude_patterns = ["_build", "_generated"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # generated pages are included below a heading

nb_execution_mode = "cache"  # in docs/_build/.jupyter_cache, until a notebook changes
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")
nb_execution_in_temp = True
# without torch, which is large, these are shown without their pictures
nb_execution_excludepatterns = [] if importlib.util.find_spec("torch") else ["*/04-*", "*/05-*"]
nb_execution_timeout = 300  # seconds of a cell
nb_execution_raise_on_error = True
nb_merge_streams = True

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
