"""Which kinds of sources a check of this cube uses, and where there is room for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from denoise.check.measuring import moments
from denoise.check.null import dilated
from denoise.check.outcome import Kind
from denoise.check.placing import Mask, Wanted, clear_of, fill, free_places
from denoise.check.readers import readers_of
from denoise.check.regions import FoundRegion, find_regions, output_level
from denoise.check.rig import Rig
from denoise.check.settings import Settings
from denoise.check.sources import (
    FOOTPRINT,
    FOUND,
    Block,
    Shape,
    Template,
    disc,
    file_template,
    found_template,
    source_beam,
    trimmed,
    unresolved,
)
from denoise.engine import Result
from denoise.engine.run import make_denoiser
from denoise.errors import UsageError
from denoise.methods import get_method

MIN_SNR = 3.0  # matched-filter SNR of a region that counts, here and where there is no source
_REAL = 5.0  # of one that is surely real: sources are kept off it
_LOOKED_AT = 200  # brightest connected sets of the output
_AT_ONCE = 6  # draws over which the sources are spread at least
_TOGETHER = 4  # sources in a draw for a method that learns from the whole cube
_ROOM = 10  # sources that must fit the cube's own emission-free regions at once
_ABOVE = 1.15  # what was found is not the brightest of its kind that is checked
_NEAR = (3, 8)  # channels and pixels over which detections support one another


@dataclass(frozen=True)
class Baseline:
    """What the method makes of the cube itself.

    Attributes
    ----------
    rig : Rig
        The method on the cube.
    result : Result
        Of the cube.
    level : float
        In sigma: what output has to exceed to be a region.
    emission : tuple of FoundRegion
        Regions of it.
    """

    rig: Rig
    result: Result
    level: float
    emission: tuple[FoundRegion, ...]

    @classmethod
    def of(cls, rig: Rig) -> Baseline:
        """Run the method and look at what it finds."""
        result = rig.run()
        readers = readers_of(result)
        level = output_level(readers)
        found, _ = find_regions(readers, rig.noise, level=level, min_snr=MIN_SNR, limit=_LOOKED_AT)
        return cls(rig, result, level, tuple(found))

    @cached_property
    def output(self) -> Block:
        """The denoised cube, shape (channel, y, x); NaN without coverage and where excluded."""
        out = np.array(self.result.cube.read(), np.float32)
        if self.rig.cube.has_exclusions:
            out[self.rig.cube.excluded()] = np.nan
        return out

    @property
    def sure(self) -> list[FoundRegion]:
        """The regions that are surely real."""
        return [one for one in self.emission if one.snr >= _REAL]

    @property
    def main(self) -> FoundRegion | None:
        """The region of the most flux."""
        positive = [one for one in self.sure if one.sign > 0]
        return max(positive, key=lambda one: one.flux, default=None)

    def real(self) -> Mask:
        """Voxels of emission or absorption, grown by the correlation of the noise."""
        mask = np.asarray(self.result.support.read())
        for one in self.sure:
            mask[one.box] |= one.footprint
        return dilated(mask, self.rig.noise.correlation_fwhm)


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


def snr_levels(template: Template, base: Baseline, settings: Settings) -> tuple[float, ...]:
    """Peak SNR of a kind: as asked, and for what was found brighter than that, its own with some room above it."""
    peak = found_peak(base)
    if template.name != FOUND or peak is None or peak <= settings.snr[-1]:
        return settings.snr
    return (*settings.snr, float(math.ceil(_ABOVE * peak)))


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


def found_peak(base: Baseline) -> float | None:
    """Peak SNR of the output in the emission of the most flux; None where there is none."""
    return None if base.main is None else float(base.main.peak)


def found_snr(base: Baseline) -> float | None:
    """Peak SNR of the emission of the most flux, by a least-squares fit of its shape to the input.

    The noise of a peak is that of a voxel, the noise of the fit that of the whole source.
    """
    if base.main is None:
        return None
    one, rig = base.main, base.rig
    output = np.where(one.footprint, np.nan_to_num(base.output[one.box]), 0.0).astype(np.float64)
    shape, sigma = output / output.max(), rig.noise.sigma(one.box).astype(np.float64)
    data = rig.data(one.box)
    use = (shape > FOOTPRINT) & np.isfinite(data) & (sigma > 0)
    weight = shape[use] / sigma[use] ** 2
    scale = float(weight.max())  # 1e-20 fluxes
    height = float((weight / scale) @ data[use] / ((weight / scale) @ shape[use]))
    return height / float(sigma[np.unravel_index(int(np.argmax(shape)), shape.shape)])
