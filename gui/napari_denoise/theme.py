"""Colours of plots and pictures that follow napari's theme."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from denoise.report.panels import AFTER, BEFORE, SECOND


@dataclass(frozen=True)
class Colours:
    """Hexadecimal text.

    Attributes
    ----------
    background, text : str
        Of the figure.
    faint : str
        Of frames and of what is not there yet.
    before, after, second : str
        Curves: the input, the denoised, and what goes with either.
    marker : str
        Of the channel in view.
    dark : bool
        Whether text is light on dark.
    """

    background: str
    text: str
    faint: str
    before: str
    after: str
    second: str
    marker: str
    dark: bool

    def settings(self) -> Any:
        """Matplotlib's rc settings, for ``rc_context``."""
        lines = dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), self.faint)
        words = dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor"),
            self.text,
        )
        ground = dict.fromkeys(("figure.facecolor", "savefig.facecolor", "axes.facecolor"), self.background)
        return {**lines, **words, **ground}


LIGHT = Colours("#ffffff", "#1e1e21", "#777777", BEFORE, AFTER, SECOND, "#b0003a", dark=False)
DARK = Colours("#23242b", "#f0f1f2", "#9a9fa8", "#b4b8bf", "#5fb4ff", "#ffa94d", "#ff6b8b", dark=True)
PAPER = replace(LIGHT, text="#000000")


def colours_of(theme: str) -> Colours:
    """Colours for a theme of napari; dark ones where it is unknown."""
    from napari.utils.theme import get_theme

    try:
        found = get_theme(theme)
    except ValueError:
        return DARK
    plain = DARK if found.type == "dark" else LIGHT
    ground, text = (one.as_hex(format="long") for one in (found.background, found.text))
    return replace(plain, background=ground, text=text)
