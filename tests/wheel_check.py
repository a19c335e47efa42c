"""Run by ``make wheel-check`` with a Python that has only the wheel of this project; not a pytest file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    import denoise
    from denoise.engine.recipe_file import load_recipe, schema
    from denoise.resources import resource

    home = Path(denoise.__file__).resolve().parent
    if "site-packages" not in home.parts:
        sys.exit(f"denoise was imported from {home}, not from the installed wheel")
    for name in ("models", "pipelines", "tests", "benchmarks", "notebooks", "docs", "gui"):
        if importlib.util.find_spec(name) is not None:
            sys.exit(f"the wheel exposes {name!r} as a package")
    sample = resource("samples", "muse_udf_line.fits")
    if not sample.is_file():
        sys.exit("the packaged sample is missing")
    if load_recipe("muse-deep").path.parent != home / "pipelines":
        sys.exit("the recipes are not in the wheel")
    if resource("pipelines", "recipe.schema.json").read_text(encoding="utf-8") != schema():
        sys.exit("the schema of recipes is not that of the code")
    viewer = importlib.util.find_spec("napari_denoise")
    if viewer is None or not (home.parent / "napari_denoise" / "napari.yaml").is_file():
        sys.exit("the viewer's plugin is not in the wheel")
    if not (home / "py.typed").is_file():
        sys.exit("py.typed is missing")
    sys.stdout.write(f"wheel {denoise.__version__} is fine: {home}\n")


if __name__ == "__main__":
    main()
