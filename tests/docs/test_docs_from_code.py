"""What the README, the indexes and the guide say of the code is what the code says."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import denoise
from denoise.engine.recipe_file import check_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("from_code", ROOT / "docs" / "from_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", ["README.md", "pipelines/README.md", "models/README.md"])
def test_the_tables_are_those_of_the_code(generator: ModuleType, path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == generator.fresh(path), "run: make generated"


def test_every_method_is_in_the_table_of_the_readme_with_its_cost(generator: ModuleType) -> None:
    costs = yaml.safe_load((ROOT / "docs" / "costs.yaml").read_text())
    own = {name for name in denoise.list_methods() if name != "running-mean"}
    assert set(costs) == own, "run: python docs/costs.py > docs/costs.yaml"
    assert {f"`{name}`" for name in own} <= set(
        re.findall(r"^\| (`[\w-]+`) \|", generator.methods_table(), re.MULTILINE)
    )


def test_every_recipe_suite_and_queue_is_in_the_index() -> None:
    index = (ROOT / "pipelines" / "README.md").read_text()
    for path in (ROOT / "pipelines").rglob("*.yaml"):
        assert str(path.relative_to(ROOT / "pipelines")) in index, path.name


def test_every_recipe_says_what_it_is_for_and_how_it_is_run() -> None:
    for path in (ROOT / "pipelines").glob("*.yaml"):
        card = path.read_text().partition("version:")[0]
        assert f"denoise run -r {path.stem}" in card, path.name


def test_every_folder_of_weights_has_a_card_and_is_in_the_index() -> None:
    index = (ROOT / "models" / "README.md").read_text()
    folders = [path for path in (ROOT / "models").iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        card = (folder / "CARD.md").read_text()
        assert card.startswith(f"# {folder.name}\n"), folder.name
        assert "**Licence**" in card, folder.name
        assert f"[`{folder.name}`]({folder.name}/CARD.md)" in index, folder.name


def test_the_recipe_in_the_reference_is_sound() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/reference/recipe.md").read_text(), re.DOTALL)
    assert check_recipe(yaml.safe_load(text), where="recipe.md").step("metrics").formats == ("csv",)


def test_every_error_of_the_package_says_what_to_do() -> None:
    names = {name for name in vars(denoise.errors) if name.endswith("Error")}
    without = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / "denoise").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names
        if "action" not in {word.arg for word in call.keywords}
    ]
    assert not without


def test_every_error_is_told_with_what_to_do(generator: ModuleType) -> None:
    found = generator.messages(generator.ERRORS)
    assert len(found) > 300
    page = generator.errors_page()
    assert page.count("\n| ") >= len(found)
    classes = {name for name in vars(denoise.errors) if name.endswith("Error")}
    assert classes <= set(generator.ERRORS)
    for name, code in generator.ERRORS.items():
        assert getattr(denoise.errors, name).exit_code == code


def test_every_warning_is_explained(generator: ModuleType) -> None:
    """The page of warnings is written by hand: each text of the source that a user may see is quoted there."""
    page = " ".join((ROOT / "docs/reference/warnings.md").read_text().split())
    pieces = {
        told: max(re.split(r"‹[^›]*›|\{[^}]*\}", told), key=len).strip() for told in generator.warnings_told()
    }
    assert len(pieces) > 40
    missing = [told for told, longest in pieces.items() if longest not in page]
    assert not missing, "docs/reference/warnings.md says nothing of these"


def test_every_command_is_in_the_reference(generator: ModuleType) -> None:
    import typer

    from denoise.cli.app import app

    page, group = generator.cli_page(), typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f"## denoise {name}\n" in page
        for option in (opt for param in command.params for opt in param.opts if opt.startswith("--")):
            assert option == "--help" or f"`{option}`" in page
