"""Matplotlib in a dock: colours of napari's theme, labels that fit, pictures on disk."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtWidgets import QSizePolicy

from denoise.atomic import put
from denoise.report.labels import power_of_ten
from denoise.report.panels import LABEL, TICK, few_ticks
from napari_denoise.theme import PAPER, colours_of

Canvas: Any = FigureCanvasQTAgg
DPI = 100
SAVED_DPI = 200


class PlotCanvas(Canvas):
    """A figure of a fixed height that follows the theme of a viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    height : int
        In pixels.
    """

    def __init__(self, viewer: Any, height: int) -> None:
        super().__init__(Figure(figsize=(3.4, height / DPI), dpi=DPI, layout="constrained"))
        self.figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.05)
        self.viewer = viewer
        self.colours = colours_of(viewer.theme)
        self.setFixedHeight(height)
        self.setMinimumWidth(240)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        viewer.events.theme.connect(self._on_theme)
        self.destroyed.connect(lambda: viewer.events.theme.disconnect(self._on_theme))

    def paint(self) -> None:
        """Draw everything again; of the one that inherits."""
        raise NotImplementedError

    def save(self, path: Path) -> Path:
        """Write the plot as PNG, dark on white whatever the theme.

        Raises
        ------
        ResourceError
            It cannot be written.
        """
        kept, self.colours = self.colours, PAPER
        content = BytesIO()
        try:
            self.paint()
            self.figure.savefig(content, format="png", dpi=SAVED_DPI)
        finally:
            self.colours = kept
            self.paint()
        return put(path, content.getvalue())

    def clear(self) -> None:
        """An empty figure in the colours of the theme."""
        self.figure.clear()
        self.figure.set_facecolor(self.colours.background)

    def dress(self, ax: Any, xlabel: str, ylabel: str) -> None:
        """Colours and sizes of one plot's frame, ticks and labels."""
        ax.set_facecolor(self.colours.background)
        ax.set_xlabel(xlabel, fontsize=LABEL, color=self.colours.text)
        ax.set_ylabel(ylabel, fontsize=LABEL, color=self.colours.text)
        ax.tick_params(labelsize=TICK, colors=self.colours.text, length=3)
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_offset_text().set(fontsize=TICK, color=self.colours.text)
        for spine in ax.spines.values():
            spine.set_color(self.colours.text)
        few_ticks(ax.xaxis, 5)

    def legend(self, ax: Any, **options: Any) -> None:
        """A legend without a frame, in the colours of the theme."""
        ax.legend(fontsize=TICK, frameon=False, labelcolor=self.colours.text, **options)

    def say(self, text: str) -> None:
        """A sentence in place of a plot."""
        self.clear()
        self.figure.text(
            0.5, 0.5, text, ha="center", va="center", fontsize=LABEL, color=self.colours.text, wrap=True
        )
        self.draw_idle()

    def _on_theme(self, _event: Any = None) -> None:
        self.colours = colours_of(self.viewer.theme)
        self.paint()


def in_powers(ax: Any, name: str, unit: str) -> None:
    """Label the y axis with `name` and `unit`, and take a power of ten out of its ticks where they need one."""
    low, high = ax.get_ylim()
    size = max(abs(low), abs(high))
    power = 0 if 1e-2 <= size < 1e4 else int(np.floor(np.log10(size)))
    times = " × " if unit.startswith("10") else " "
    shown = f"{power_of_ten(power)}{times}{unit}" if power else unit
    ax.set_ylabel(f"{name}\n({shown})", fontsize=LABEL, color=ax.yaxis.label.get_color())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value / 10.0**power:.5g}".replace("-", "−"))
