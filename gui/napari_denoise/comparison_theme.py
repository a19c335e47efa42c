"""Colours of plots that follow napari's theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Colours:
    """Colours of a plot as hexadecimal text.

    Attributes
    ----------
    background, text : str
        Of the figure.
    faint : str
        Of frames and of what is not there yet.
    dark : bool
        Whether text is light on dark.
    """

    background: str
    text: str
    faint: str
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


DARK = Colours("#262930", "#f0f1f2", "#9a9fa8", True)
LIGHT = Colours("#ffffff", "#222222", "#777777", False)


def theme_colours(name: str) -> Colours:
    """Colours for a theme of napari; dark ones where it is unknown."""
    from napari.utils.theme import get_theme

    try:
        found = get_theme(name)
    except ValueError:
        return DARK
    dark = found.type == "dark"
    plain = DARK if dark else LIGHT
    return Colours(found.background.as_hex(format="long"), plain.text, plain.faint, dark)
