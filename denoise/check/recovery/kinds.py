"""Which kinds of sources a check of this cube uses."""

from __future__ import annotations

import math

import numpy as np

from denoise.check.recovery.baseline import Baseline, found_peak, found_snr
from denoise.check.recovery.measuring import moments
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import (
    FOUND,
    Template,
    disc,
    file_template,
    found_template,
    source_beam,
    unresolved,
)
from denoise.errors import UsageError

_ABOVE = 1.15  # what was found is not the brightest of its kind that is checked


def make_templates(base: Baseline, settings: Settings, rng: np.random.Generator) -> list[Template]:
    """The kinds of sources: sizes and widths, the file, what was found.

    Raises
    ------
    UsageError, InputError
        The template does not fit, or cannot be read.
    """
    found = None if base.main is None else found_template(base.output[base.main.box], base.main.footprint)
    beam, _ = source_beam(base.rig.cube, base.rig.noise)
    widths = line_widths(settings, base.rig.shape[0], found)
    made = [
        unresolved(beam, width, rng) if size == 0 else disc(beam, size, width, rng)
        for size in settings.sizes
        for width in widths
    ]
    if settings.template is not None:
        made.append(file_template(settings.template, base.rig.cube))
    if settings.as_found and found is not None:
        made.append(found)
    if not made:
        raise UsageError(
            "there is no source to inject: nothing was found in the cube", action="give --size or --template"
        )
    return made


def line_widths(settings: Settings, channels: int, found: Template | None) -> tuple[float | None, ...]:
    """Line widths in channels: as asked, that of what was found, or an eighth of the band; None for images."""
    if channels == 1:
        return (None,)
    if settings.widths:
        return settings.widths
    if found is not None:
        measured = moments(found.stamps[0])
        if measured is not None and measured.line > 0:
            return (round(float(np.clip(measured.line, 2.0, max(2.0, channels / 4.0))), 1),)
    return (round(float(np.clip(channels / 8.0, 1.0, 8.0)), 1),)


def snr_levels(template: Template, base: Baseline, settings: Settings) -> tuple[float, ...]:
    """Peak SNR of a kind: as asked, and for what was found brighter than that, its own with some room above it."""
    peak = max(found_peak(base) or 0.0, found_snr(base) or 0.0)
    if template.name != FOUND or peak <= settings.snr[-1]:
        return settings.snr
    return (*settings.snr, float(math.ceil(_ABOVE * peak)))
