"""Loss and validation of a training as one PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from denoise.atomic import put
from denoise.networks.checkpoint import Progress


def draw_curves(progress: Progress, path: Path) -> None:
    """Loss, RMSE ratios and flux against the steps.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    if progress.losses:
        panels[0].plot(*np.array(progress.losses).T, lw=0.8, color="0.6", label="training")
    rows = progress.validations
    steps = [row["step"] for row in rows]
    panels[0].plot(steps, [row["loss"] for row in rows], "o-", ms=3, label="validation, mean of the weights")
    titles = (("loss", ""), ("RMSE ratio, emission", "emission "), ("flux in the emission (%)", "flux "))
    for panel, (title, prefix) in zip(panels, titles, strict=True):
        names = [name for name in (rows[-1] if rows else {}) if prefix and name.startswith(prefix)]
        for name in names:
            values = [row.get(name, np.nan) for row in rows]
            panel.plot(steps, values, "o-", ms=3, label=f"peak SNR {name.removeprefix(prefix)}")
        panel.set(title=title, xlabel="step")
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    put(path, content.getvalue())
