"""Write a tuning: one HTML page with its curve, the numbers as JSON, and a recipe with what was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from denoise.check.choosing.tuned import KINDS, Tried, Tuned, word
from denoise.metrics import Measurement
from denoise.report.labels import size_text
from denoise.report.pages import inline, png_of, put_files, render_page
from denoise.report.tune_figures import tune_figure

PAGE, NUMBERS, RECIPE, PICTURE = "tune.html", "tune.json", "tuned.yaml", "tune_score.png"


class TuneFiles(NamedTuple):
    """Where a tuning is."""

    html: Path
    json: Path
    recipe: Path
    png: Path


def tune_files(folder: str | Path) -> list[Path]:
    """Every file that a tuning writes into a folder."""
    return [Path(folder) / name for name in (PAGE, NUMBERS, RECIPE, PICTURE)]


def write_tuned(tuned: Tuned, recipe: str, folder: str | Path) -> TuneFiles:
    """Write a tuning into a folder.

    Parameters
    ----------
    tuned : Tuned
        What was found.
    recipe : str
        Text of the recipe.
    folder : str or Path
        Made if it does not exist; each file appears complete or not at all, the page last.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    picture = png_of(tune_figure(tuned))
    files = {PICTURE: picture, RECIPE: recipe.encode(), NUMBERS: tuned.to_json().encode()}
    page = put_files(folder, "tuning", files, (PAGE, _page(tuned, picture, recipe)))
    return TuneFiles(page, page.with_name(NUMBERS), page.with_name(RECIPE), page.with_name(PICTURE))


def columns_of(tuned: Tuned) -> tuple[str, ...]:
    """Names of the columns of the table."""
    unit = "" if tuned.kind == "injection" else " (σ²)"
    inside = () if tuned.kind == "injection" else (f"in the emission{unit}",)
    return (*tuned.default, f"score{unit}", f"less default{unit}", *inside, "seconds", "")


def rows_of(tuned: Tuned) -> list[tuple[str, ...]]:
    """Everything that was tried as text, in the order of `columns_of`."""
    return [_row(tuned, one) for one in tuned.tried]


def _row(tuned: Tuned, one: Tried) -> tuple[str, ...]:
    marks = [
        *(["default"] if one is tuned.tried[0] else []),
        *(["chosen"] if one is tuned.best else []),
        *([f"failed: {one.failure}"] if one.failure else []),
    ]
    values = (word(value) for value in tuned.values(one).values())
    less = [one.difference] if tuned.kind == "injection" else [one.difference, one.emission]
    first = one is tuned.tried[0]
    shown = (with_error(None if first else part, sign=True) for part in less)
    return (*values, with_error(one.score), *shown, f"{one.seconds:.1f}", ", ".join(marks))


def with_error(one: Measurement | None, *, sign: bool = False) -> str:
    """Value and standard error as text; a dash where nothing is known."""
    if one is None:
        return "–"
    text = f"{one.value:{'+' if sign else ''}.4f} ± {one.error:.4f}"
    return text.replace("-", "−")


def _page(tuned: Tuned, picture: bytes, recipe: str) -> str:
    facts = [
        ("Method", tuned.method),
        ("Judged", size_text(tuned.shape) + (f"; part: {tuned.part}" if tuned.part else "")),
        ("Score", KINDS[tuned.kind]),
        ("Draws", "the second half" if tuned.kind == "halves" else str(tuned.draws)),
        ("Time", f"{tuned.seconds:.0f} s"),
    ]
    return render_page(
        "tune.html.j2",
        title=tuned.input,
        facts=facts,
        sentence=tuned.sentence(),
        notes=tuned.notes,
        picture=inline(picture),
        caption=_caption(tuned),
        columns=columns_of(tuned),
        rows=rows_of(tuned),
        varied=len(tuned.default),
        recipe=recipe,
        asked=[(name, str(value)) for name, value in tuned.asked.items()],
    )


def _caption(tuned: Tuned) -> str:
    common = (
        "Bars of the score are its standard error, most of which all settings share; bars of the difference from the "
        "default are what counts: both saw the same noise. The best takes the place of the default only where it is "
        "better by more than twice that standard error, and not worse in the emission itself."
    )
    what = {
        "r2r": "Squared error against data with independent noise, by draws of the noise model, less the variance of "
        "that noise: in σ² of the data, at 1.12 times their noise, half of the weight or more on the emission and what "
        "is around it. It rests on the noise model: correlations that it lacks count as emission. ",
        "halves": "Squared error against the second half less the variance of its noise, in σ² of the first, half of "
        "the weight or more on the emission and what is around it. ",
        "injection": "Squared loss of flux of injected sources, averaged over their peak SNR, and the share of false "
        "regions in a list with one true source. ",
    }[tuned.kind]
    panels = (
        "From the left: the score, less that of the default, and, where it tells, the same in the emission. "
    )
    return (panels if len(tuned.default) == 1 else "") + what + common
