"""Loss and validation of a training as one PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from denoise.atomic import put
from denoise.networks.checkpoint import Progress

_TITLES = (
    ("RMSE ratio, emission", "emission "),
    ("flux in the emission (%)", "flux "),
    ("RMSE (sigma of the noise)", "rmse "),
)


def draw_curves(progress: Progress, path: Path) -> None:
    """Loss, and what else was validated, against the steps.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    from matplotlib.figure import Figure

    rows = progress.validations
    last = rows[-1] if rows else {}
    shown = [title for title in _TITLES if any(name.startswith(title[1]) for name in last)]
    figure = Figure(figsize=(4.4 * (1 + len(shown)), 4), layout="constrained")
    panels = figure.subplots(1, 1 + len(shown), squeeze=False)[0]
    if progress.losses:
        panels[0].plot(*np.array(progress.losses).T, lw=0.8, color="0.6", label="training")
    steps = [row["step"] for row in rows]
    panels[0].plot(steps, [row["loss"] for row in rows], "o-", ms=3, label="validation, mean of the weights")
    for panel, (title, prefix) in zip(panels, [("loss", ""), *shown], strict=True):
        for name in [name for name in last if prefix and name.startswith(prefix)]:
            values = [row.get(name, np.nan) for row in rows]
            panel.plot(steps, values, "o-", ms=3, label=f"peak SNR {snr_range(name.removeprefix(prefix))}")
        panel.set(title=title, xlabel="step")
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    put(path, content.getvalue())


def snr_range(label: str) -> str:
    """A range as the validation names it, "3.5-6" or "9", in words: "3.5 to 6", "above 9"."""
    low, _, high = label.partition("-")
    return f"{low} to {high}" if high else f"above {low}"
