"""Where there is room for each kind of source: off the emission of the cube, else in draws of its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise.check.recovery.baseline import Baseline
from denoise.check.recovery.kinds import snr_levels
from denoise.check.recovery.measuring import moments
from denoise.check.recovery.outcome import Kind
from denoise.check.recovery.placing import Wanted, clear_of, fill, free_places
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import Shape, Template, trimmed
from denoise.check.rig import Rig
from denoise.engine.run import make_denoiser
from denoise.errors import UsageError
from denoise.methods import get_method

_AT_ONCE = 6  # draws over which the sources are spread at least
_TOGETHER = 4  # sources in a draw for a method that learns from the whole cube
_ROOM = 10  # sources that must fit the cube's own emission-free regions at once
_NEAR = (3, 8)  # channels and pixels over which detections support one another


@dataclass(frozen=True)
class Layout:
    """Where each kind of source goes.

    Attributes
    ----------
    templates : tuple of Template
        The kinds.
    fields : tuple of {"cube", "noise"}
        Of each kind.
    places : dict of int to ndarray, shape (n, 3)
        Free places of each kind.
    gap : tuple of int
        Between two sources (channel, y, x).
    most : int
        Sources in a draw.
    cut : frozenset of int
        Kinds that fit the field only in part.
    levels : tuple of tuple of float
        Peak SNR of each kind.
    """

    templates: tuple[Template, ...]
    fields: tuple[str, ...]
    places: dict[int, NDArray[np.int32]]
    gap: Shape
    most: int
    cut: frozenset[int]
    levels: tuple[tuple[float, ...], ...]

    def total(self, settings: Settings) -> int:
        """Sources in all."""
        return settings.per_cell(len(self.templates)) * sum(len(levels) for levels in self.levels)

    def wanted(self, settings: Settings, rng: np.random.Generator) -> list[Wanted]:
        """Every source that is to be placed, in random order; each cell has its share of any part of it."""
        order: list[Wanted] = []
        for _ in range(settings.per_cell(len(self.templates))):
            cells = [(kind, snr) for kind, levels in enumerate(self.levels) for snr in levels]
            for number in rng.permutation(len(cells)):
                kind, snr = cells[number]
                order.append(Wanted(kind, int(rng.integers(len(self.templates[kind].stamps))), snr))
        return order


def make_layout(
    base: Baseline, templates: Sequence[Template], settings: Settings, rng: np.random.Generator
) -> Layout:
    """Find room for every kind: off the emission of the cube, else in draws of its noise.

    Raises
    ------
    UsageError
        A kind is too large for the field.
    """
    rig = base.rig
    known = np.isfinite(rig.data()) & (rig.noise.sigma() > 0)
    gap = source_gap(rig)
    quiet = known & clear_of(base.real(), gap)
    levels = tuple(snr_levels(template, base, settings) for template in templates)
    total = settings.per_cell(len(templates)) * sum(len(own) for own in levels)
    most = _TOGETHER if get_method(rig.options.method).info.passes else math.ceil(total / _AT_ONCE)
    fields, places, cut = [], {}, set()
    for kind, template in enumerate(templates):
        own = free_places(quiet, template.extent, rng)
        if _capacity(own, kind, templates, rig.shape, gap, rng) >= min(_ROOM, total):
            fields.append("cube")
            places[kind] = own
            continue
        fields.append("noise")
        places[kind] = free_places(known, template.extent, rng)
        if not len(places[kind]):
            places[kind] = free_places(known, template.core_extent, rng)
            cut.add(kind)
        if not len(places[kind]):
            raise UsageError(
                f"there is no room for sources “{template.name}” in this field",
                value=f"{_extent_text(template.core_extent)} needed, the field has {_extent_text(rig.shape)}",
                action="choose smaller ones with --size and --width",
            )
    return Layout(tuple(templates), tuple(fields), places, gap, most, frozenset(cut), levels)


def _extent_text(extent: Shape) -> str:
    return f"{extent[0]} channels x {extent[1]} x {extent[2]} pixels"


def source_gap(rig: Rig) -> Shape:
    """How far apart sources are: the halo of the method, but no farther than detections support one another."""
    options = rig.options
    denoiser = make_denoiser(options, positivity=options.positivity == "on")
    halo = denoiser.halo(rig.shape, rig.noise)
    wide = max(_NEAR[1], math.ceil(1.5 * max(rig.noise.correlation_fwhm)))
    reach = (_NEAR[0], wide, wide)
    c, y, x = (most if own is None else min(own, most) for own, most in zip(halo, reach, strict=True))
    return c, y, x


def _capacity(
    places: NDArray[np.int32],
    kind: int,
    templates: Sequence[Template],
    shape: Shape,
    gap: Shape,
    rng: np.random.Generator,
) -> int:
    """How many sources of a kind a draw holds, as far as it matters."""
    if not len(places):
        return 0
    tried = [Wanted(kind, 0, 1.0)] * _ROOM
    return len(fill(tried, templates, {kind: places}, shape, gap=gap, most=_ROOM, rng=rng)[0])


def describe_kinds(layout: Layout) -> tuple[Kind, ...]:
    """The kinds for the outcome, with their widths as moments measure them."""
    kinds = []
    for number, template in enumerate(layout.templates):
        sizes = [moments(trimmed(stamp)) for stamp in template.stamps]
        known = [one for one in sizes if one is not None]
        kinds.append(
            Kind(
                name=template.name,
                size=template.size,
                width=template.width,
                field=layout.fields[number],
                fwhm=float(np.mean([one.fwhm for one in known])),
                line=float(np.mean([one.line for one in known])),
                note="cut by the edge of the field" if number in layout.cut else "",
            )
        )
    return tuple(kinds)
