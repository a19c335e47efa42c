"""What the guide, the README and the indexes take from the code, so that they cannot go stale. Prints nothing.

    make generated        # the tables of README.md, pipelines/README.md and models/README.md
    make docs             # builds the guide, and the pages of ``docs/_generated`` with it

``PARTS`` are tables in files that people read in the checkout, between two comments; a test compares them. ``PAGES``
are written when the guide is built, and never committed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATED = DOCS / "_generated"
ERRORS = {
    "UsageError": 2,
    "ParameterError": 2,
    "UnknownMethodError": 2,
    "OutputExistsError": 2,
    "InputError": 3,
    "NoiseError": 3,
    "ResourceError": 4,
    "CancelledError": 130,
    "DenoiseError": 1,
}
WARNING = "DenoiseWarning"
USED_BY = {
    "ist-gates": "`ist`, and `hybrid` where it follows `ist`",
    "unet3d-small": "`unet`, `hybrid`",
    "unet3d-base": "`unet`, `hybrid` with `--set preset=base`",
    "lidia-beams": "`lidia`",
    "lidia-white": "`lidia --set model=lidia-white`",
    "noiser": "`noiser`",
}
NOTES = {
    "remarks",
    "doubts",
    "said",
    "notes",
    "_notes",
    "_noise_notes",
}  # functions whose results are warnings
_SENTENCE = 25  # letters; shorter texts are pieces of others


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# methods


def methods_table() -> str:
    """The methods, for the README: what each is for, what it needs and costs, its errors, its source."""
    from denoise.methods import list_methods

    costs = yaml.safe_load((DOCS / "costs.yaml").read_text(encoding="utf-8"))
    rows = [
        (f"`{name}`", info.summary, _needs(name), f"{costs[name]:g} s", _errors(name), _source(info.citation))
        for name, info in list_methods().items()
        if name in costs
    ]
    return table(("method", "what it is for", "needs", "cost", "1σ error", "cite"), rows)


def _needs(name: str) -> str:
    from denoise.methods import Denoiser, get_method

    method = get_method(name)
    modules = {importlib.import_module(base.__module__) for base in method.__mro__ if base is not object}
    needs = ["`[networks]`"] if any("check_torch(" in inspect.getsource(one) for one in modules) else []
    if method.weights is not Denoiser.weights:
        needs.append("packaged weights")
    return ", ".join(needs) + ("; a GPU helps" if "cuda" in method.info.device else "") or "—"


def _errors(name: str) -> str:
    from denoise.methods import get_method

    info = get_method(name).info
    if info.category == "enhancer":
        return "none: for display"
    if info.error_bar:
        return "its own: exact, of the noise" if info.linear else "its own: learnt and calibrated"
    return f"`--uncertainty 16`{': calibrated' if (ROOT / 'models' / f'{name}-errors').is_dir() else ''}"


def _source(bibtex: str) -> str:
    """First author and year of every entry."""
    found = re.findall(r"author\s*=\s*\{(.*?)\}\s*,.*?year\s*=\s*\{?(\d{4})", bibtex, re.DOTALL)
    return "; ".join(f"{_family(authors)} {year}" for authors, year in found)


def _family(authors: str) -> str:
    names = [
        one.split(",")[0].strip() for one in re.sub(r'\{\\"a\}', "ä", authors).split(" and ") if one.strip()
    ]
    return names[0] if len(names) == 1 else f"{names[0]} et al."


def error_bars_page() -> str:
    """Where the error of each method comes from."""
    from denoise.methods import list_methods

    return table(("method", "1σ error"), [(f"`{name}`", _errors(name)) for name in list_methods()])


def methods_page() -> str:
    """Every method with its parameters and its source."""
    from denoise.methods import get_method, list_methods
    from denoise.methods.describe import describe_parameters

    parts = []
    for name, info in list_methods().items():
        rows = [
            (f"`{one.name}`", f"`{one.default}`", one.allowed, one.text)
            for one in describe_parameters(get_method(name).Parameters)
        ]
        works = " and ".join({2: "images", 3: "cubes"}[axes] for axes in info.ndim)
        reads = f"reads the data {info.passes + 1} ×; runs on {', '.join(info.device)}"
        facts = f"{info.category}; works on {works}; {reads}; 1σ error: {_errors(name)}."
        shown = table(("parameter", "default", "allowed", "meaning"), rows) if rows else "No parameters.\n"
        parts.append(
            f"## {name}\n\n{info.summary}.\n\n{facts}\n\n{shown}\n```bibtex\n{info.citation.strip()}\n```\n"
        )
    return "\n".join(parts)


# command line


def cli_page() -> str:
    """Every command with its arguments and options, as ``--help`` shows them."""
    import typer

    from denoise.cli.app import EPILOG, app

    group: Any = typer.main.get_command(app)
    parts = [f"{EPILOG}\n", _options("Global options", [p for p in group.params if p.name != "help"])]
    for name, command in group.commands.items():
        words = [
            _named(p) if p.required else f"[{_named(p)}]"
            for p in command.params
            if p.param_type_name == "argument"
        ]
        help_text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
        parts.append(f"## denoise {name}\n\n```text\ndenoise {' '.join([name, '[OPTIONS]', *words])}\n```\n")
        parts.append(f"{help_text}\n")
        panels: dict[str, list[Any]] = {}
        for one in command.params:
            if one.name != "help":
                kind = "Arguments" if one.param_type_name == "argument" else "Options"
                panels.setdefault(one.rich_help_panel or kind, []).append(one)
        parts += [_options(title, params) for title, params in panels.items()]
    return "\n".join(parts)


def _named(param: Any) -> str:
    dots = "..." if param.nargs == -1 else ""
    return f"{(param.metavar or param.name.upper()).strip('[].')}{dots}"


def _options(title: str, params: Sequence[Any]) -> str:
    rows = [(_option(one), _help(one)) for one in params]
    return f"**{title}**\n\n{table(('option', 'meaning'), rows)}"


def _option(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{_named(param)}`"
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    return names if param.is_flag or not param.metavar else f"{names} `{param.metavar}`"


def _help(param: Any) -> str:
    text = (param.help or "").strip()
    shown = param.show_default and param.default not in (None, False, True, ())
    return f"{text} Default: `{param.default}`." if shown else text


# recipes, suites, weights


def recipe_page() -> str:
    """What each part of a recipe may say, from the models that check it."""
    from denoise.engine.options import Stabilisation
    from denoise.engine.recipe import Inputs, Outputs, Recipe, Step
    from denoise.methods.describe import allowed_values, describe_parameters

    places = {"the recipe": Recipe, "inputs": Inputs}
    for name, field in Step.model_fields.items():
        places[f"steps: {name}"] = field.annotation.__args__[0]  # type: ignore[union-attr]
    places |= {"steps: noise: counts": Stabilisation, "outputs": Outputs}
    parts = []
    for place, model in places.items():
        rows = [
            (
                f"`{one.name}`",
                one.default and f"`{one.default}`",
                allowed_values(model.model_fields[one.name]),
                one.text,
            )
            for one in describe_parameters(model)
        ]
        if model is Recipe:
            rows = [(key, "" if "=" in default else default, "", text) for key, default, _, text in rows]
        parts.append(f"**{place}**\n\n{table(('key', 'default', 'allowed', 'meaning'), rows)}")
    return "\n".join(parts)


def recipes_table() -> str:
    """The ready recipes."""
    from denoise.engine.recipe_file import load_recipe, recipe_names

    rows = []
    for name in recipe_names():
        recipe = load_recipe(name).recipe
        rows.append((f"[`{name}`]({name}.yaml)", recipe.title, ", ".join(step.name for step in recipe.steps)))
    return table(("recipe", "for", "steps"), rows)


def suites_table() -> str:
    """The suites of the benchmark."""
    rows = []
    for path in sorted((ROOT / "pipelines" / "suites").glob("*.yaml")):
        suite = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "suite" in suite:
            text = _sentence(suite["description"].partition(";")[0])
            rows.append((f"[`{path.stem}`](suites/{path.name})", str(suite["version"]), suite["title"], text))
    return table(("suite", "version", "title", "what"), rows)


def clusters_table() -> str:
    """The templates of queues."""
    folder = ROOT / "pipelines" / "clusters"
    rows = [
        (f"[`{path.name}`](clusters/{path.name})", _sentence(path.read_text(encoding="utf-8").strip("# ")))
        for path in sorted(folder.glob("*.yaml"))
    ]
    return table(("file", "what"), rows)


def models_table() -> str:
    """The folders of trained numbers, each with its card."""
    rows = []
    for folder in sorted(path for path in (ROOT / "models").iterdir() if path.is_dir()):
        size = sum(path.stat().st_size for path in folder.iterdir())
        text = _sentence((folder / "CARD.md").read_text(encoding="utf-8").split("\n\n")[1])
        rows.append((f"[`{folder.name}`]({folder.name}/CARD.md)", text, _used_by(folder.name), _size(size)))
    return table(("folder", "what it is", "used by", "size"), rows)


def _used_by(model: str) -> str:
    if model.endswith("-errors"):
        return f"`{model.removesuffix('-errors')}` with `--uncertainty`"
    return USED_BY.get(model, f"`--set model={model}`")


def _sentence(text: str) -> str:
    """The first, or what comes before its colon."""
    return re.split(r"(?<! al)[.:] ", " ".join(text.split()))[0].rstrip(".:")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{max(count / 1e3, 1):.0f} kB"


# errors and warnings


class Message(NamedTuple):
    """Something the package may say.

    Attributes
    ----------
    kind : str
        The class.
    cause, action : str
        With ‹what is filled in›.
    """

    kind: str
    cause: str
    action: str


def messages(kinds: Iterable[str]) -> list[Message]:
    """Every place in the source where an error or warning of these classes is made, once for each text."""
    wanted, found = set(kinds), {}
    for path in (*sorted((ROOT / "denoise").rglob("*.py")), *sorted((ROOT / "gui").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in wanted:
                for one in _made(node):
                    found[one] = None
    return sorted(found)


def _made(call: ast.Call) -> Iterator[Message]:
    action = next((word.value for word in call.keywords if word.arg == "action"), None)
    for cause in _texts(call.args[0]) if call.args else ():
        yield Message(_name(call.func), cause, next(iter(_texts(action)), "") if action is not None else "")


def _texts(node: ast.expr) -> list[str]:
    """The texts that an expression may be; empty where it is a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(map(_piece, node.values))]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return []


def _piece(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(inner, ast.Constant):
        return str(inner.value)
    return f"‹{_label(inner)}›"


def _label(node: ast.AST) -> str:
    """A word for what is filled in: the name in the expression, without what is done to it."""
    match node:
        case ast.Call(func=ast.Attribute(attr="join"), args=[first, *_]):
            return _label(first)
        case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() | ast.Subscript() as inner)):
            return _label(inner)
        case ast.Call(args=[first, *_]):
            return _label(first)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.strip("_").replace("_", " ").lower()
        case ast.Subscript(value=inner) | ast.Starred(value=inner):
            return _label(inner)
    inside = [_label(child) for child in ast.iter_child_nodes(node)]
    return next((name for name in inside if name != "…"), "…")


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def errors_page() -> str:
    """Every error by class, with what to do."""
    import denoise.errors

    found = messages(ERRORS)
    parts = []
    for kind, code in ERRORS.items():
        rows = [(_code_free(m.cause), _code_free(m.action) or "as it says") for m in found if m.kind == kind]
        if rows:
            text = (getattr(denoise.errors, kind).__doc__ or "").strip().splitlines()[0]
            parts.append(
                f"### {kind} (exit code {code})\n\n{text}\n\n{table(('message', 'what to do'), rows)}"
            )
    return "\n".join(parts)


def _code_free(text: str) -> str:
    """Text as it is, with nothing that Markdown would take for markup."""
    return re.sub(r"([*_<>\[\]`$\\])", r"\\\1", " ".join(text.split()))


def warnings_told() -> list[str]:
    """Every warning that a user may see, with ‹what is filled in›: of reading, noise, runs, studies, and the report."""
    found: dict[str, None] = {}
    for path in sorted((ROOT / "denoise").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            texts = _notes(node) if isinstance(node, ast.FunctionDef) else _warned(node)
            found.update(dict.fromkeys(" ".join(text.split()) for text in texts))
    return [text for text in found if re.sub(r"‹[^›]*›|[^a-z]", "", text)]


def _warned(node: ast.AST) -> list[str]:
    """Of a call that warns, or of a finding that is a warning: its title."""
    if not isinstance(node, ast.Call) or not node.args:
        return []
    if _name(node.func) in ("warn", "_warn", WARNING):
        return _texts(node.args[0])
    is_warning = _name(node.func) == "Finding" and _texts(node.args[0]) == ["warning"]
    return _texts(node.args[1]) if is_warning else []


def _notes(function: ast.FunctionDef) -> list[str]:
    """Sentences in a function whose result is warnings."""
    if function.name not in NOTES:
        return []
    told: list[str] = []
    inside: set[ast.AST] = set()
    for node in ast.walk(ast.Module(function.body[1:], [])):
        if node not in inside and isinstance(node, ast.JoinedStr | ast.Constant):
            inside.update(ast.walk(node))
            told += [text for text in _texts(node) if len(text) > _SENTENCE]
    return told


PAGES: dict[str, Callable[[], str]] = {
    "methods.md": methods_page,
    "cli.md": cli_page,
    "recipe.md": recipe_page,
    "errors.md": errors_page,
    "errorbars.md": error_bars_page,
}
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"methods": methods_table},
    "pipelines/README.md": {"recipes": recipes_table, "suites": suites_table, "clusters": clusters_table},
    "models/README.md": {"models": models_table},
}


def with_part(text: str, name: str, made: str) -> str:
    """`text` with what stands between the comments of this name replaced."""
    start, end = f"<!-- {name}: from the code, make generated -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"no part {name!r}: put {start.strip()} and {end} around it")
    return f"{before}{start}\n{made}\n{end}{after}"


def fresh(path: str) -> str:
    """A file of ``PARTS`` as it should be."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for name, make in PARTS[path].items():
        text = with_part(text, name, make())
    return text


def write_pages() -> None:
    """The pages of the reference."""
    GENERATED.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        made, path = make(), GENERATED / name
        if not path.is_file() or path.read_text(encoding="utf-8") != made:
            path.write_text(made, encoding="utf-8")


def main() -> None:
    """Write the tables in the files of the checkout again."""
    for path in PARTS:
        (ROOT / path).write_text(fresh(path), encoding="utf-8")


if __name__ == "__main__":
    main()
