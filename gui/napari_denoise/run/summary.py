"""What is known of an input, a preview and a result, in lines for the docks."""

from __future__ import annotations

from math import prod
from typing import Any

from denoise.cli.console import lasting
from denoise.cli.info import header_facts
from denoise.cube import Cube
from denoise.engine import ProgressEvent
from denoise.report.labels import number, unit_text
from napari_denoise.run.previews import Preview
from napari_denoise.studies import LARGE, Study


def study_lines(cube: Cube, study: Study | None) -> list[str]:
    """Shape, beam, noise, peak and the suggested method of an input."""
    facts = header_facts(cube)
    lines = [facts["shape"], *([f"beam {facts['beam']}"] if cube.beams is not None else [])]
    if study is None and prod(cube.shape) > LARGE:
        return [*lines, "a large cube: its noise is measured when a preview or a run needs it"]
    if study is None:
        return [*lines, "measuring the noise…"]
    unit = unit_text(cube.unit, cube.unit_text)
    width = max(study.noise.correlation_fwhm)
    return [
        *lines,
        f"noise {number(study.noise.typical)} {unit} (1 σ), correlated over {number(width, 2)} pixels",
        f"brightest voxel {number(study.peak_snr)} σ; {number(100 * study.nan_share, 2)} % without data",
        f"suggested: {study.method}, because {study.reason}",
        *study.notes,
    ]


def preview_line(found: Preview) -> str:
    """How large a preview is, what it took and what it did."""
    channels, rows, columns = found.cube.shape
    size = f"{rows} × {columns} pixels" + (f", {channels} channels" if channels > 1 else "")
    return f"Preview of {size} in {found.seconds:.1f} s. {_did(found.result)}"


def result_line(result: Any) -> str:
    """What a run did, and what the user should know of it."""
    where = f"Wrote {result.path}. " if result.path is not None else ""
    return "\n".join([f"{where}{result.method}, {result.seconds:.1f} s. {_did(result)}", *result.warnings])


def _did(result: Any) -> str:
    if result.display:
        return "For display only: the values have no unit."
    metrics = result.metrics
    change = metrics.get("flux_change_percent")
    noise = f"Noise {number(metrics['noise_before'])} → {number(metrics['noise_after'] or 0.0)}"
    return noise if change is None else f"{noise}; flux of what was found {change:+.1f} %."


def time_left(event: ProgressEvent) -> str:
    """Stage, tiles and time left of a run."""
    tiles = f" {event.done} of {event.total}" if event.total > 1 else ""
    if event.seconds_left is None:
        return f"{event.stage}{tiles}"
    return f"{event.stage}{tiles}, {lasting(event.seconds_left)} left"
