"""Put sources into a cube, denoise it, and see what comes back: no truth is needed but that of the sources."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, prod, sqrt
from typing import Any

import numpy as np

from denoise._version import __version__
from denoise.check.recovery.baseline import Baseline, found_snr
from denoise.check.recovery.cells import all_cells
from denoise.check.recovery.injecting import Bench
from denoise.check.recovery.kinds import make_templates
from denoise.check.recovery.layout import Layout, describe_kinds, make_layout
from denoise.check.recovery.measuring import Measured
from denoise.check.recovery.outcome import Axes, Check, FalseRate
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import Shape, source_beam
from denoise.check.regions.finding import MIN_SNR
from denoise.check.regions.null import find_null
from denoise.check.rig import Rig, open_rig
from denoise.cube import Cube, Region, full_region, region_shape
from denoise.cube.crop import crop
from denoise.engine.options import RunOptions
from denoise.engine.progress import CancelToken, Monitor, Progress, ProgressEvent
from denoise.engine.run import make_denoiser
from denoise.engine.runners import Serial
from denoise.errors import UsageError
from denoise.methods import AUTO
from denoise.noise import NoiseModel

_BYTES = 36  # a voxel: data, field, two outputs and their copies, masks
_TILE = 24  # and of a run, beside what its method needs
_SIDE = 64  # pixels of a part of the field that keeps all channels, at least
_MATCHED = (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0)  # matched-filter SNR at which false regions are counted
# what is asked of a run and must be the same where its output is corrected
_ASKED = ("continuum", "positivity", "vst", "companion", "then")


def check_recovery(
    cube: Cube,
    options: RunOptions,
    settings: Settings | None = None,
    *,
    input_options: Mapping[str, Any] | None = None,
    noise: NoiseModel | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    threads: int | None = None,
) -> Check:
    """Inject sources into a cube and measure how a method recovers them.

    Sources go into parts of the cube without emission (where the continuum, if one is subtracted, is off already),
    several at a time and clear of one another; where there is no room for a kind of source, into draws of the cube's
    noise model. What the method makes of the same field without them is taken off their fluxes.

    Parameters
    ----------
    cube : Cube
        The observation; NaN is no coverage.
    options : RunOptions
        Method and physics, as for a run.
    settings : Settings, optional
        What to inject.
    input_options : mapping, optional
        How the cube was read, for the record.
    noise : NoiseModel, optional
        Known noise of the conditioned data.
    progress, cancel
        As for ``denoise.denoise``.
    threads : int, optional
        Threads of each run.

    Returns
    -------
    Check

    Raises
    ------
    UsageError
        No room for a kind of source; a method without a flux unit.
    InputError, NoiseError, ParameterError, ResourceError, CancelledError
        As a run.

    Notes
    -----
    A cube of which several copies do not fit the memory is checked on a part of it; the outcome says which.
    """
    settings, start = settings or Settings(), time.perf_counter()
    _refuse_steps(options)
    memory = options.memory or Serial().memory()
    region = part_that_fits(cube.shape, memory // bytes_of_voxel(cube.shape, options))
    part = cube if region == full_region(cube.shape) else crop(cube, region)
    given = noise if noise is None or part is cube else noise.window(region)
    left = None if options.memory is None else options.memory - _BYTES * prod(region_shape(region))
    share = options.model_copy(update={"memory": left})
    outer, silent = Monitor(progress, cancel), Monitor(None, cancel)
    outer.tell(ProgressEvent("denoising the cube", 0, 1, None))
    with open_rig(part, share, silent, noise=given, threads=threads) as rig:
        base = Baseline.of(rig)
        templates = make_templates(base, settings, np.random.default_rng([settings.seed, 0]))
        layout = make_layout(base, templates, settings, np.random.default_rng([settings.seed, 1]))
        sources = Bench(base, layout, settings, outer).sources()
        false = _false_rate(base, settings, outer)
        return _outcome(
            cube, options, settings, base, layout, sources, false,
            asked=asked_of(options, input_options), part=part_text(region, cube.shape),
            seconds=time.perf_counter() - start,
        )  # fmt: skip


def _refuse_steps(options: RunOptions) -> None:
    if options.then:
        raise UsageError(
            "several denoise steps in a row cannot be checked together", action="check each method alone"
        )


def _false_rate(base: Baseline, settings: Settings, monitor: Monitor) -> FalseRate | None:
    if not settings.empty:
        return None
    monitor.tell(ProgressEvent("counting false regions", 0, 1, None))
    null = find_null(
        base.rig,
        level=base.level,
        draws=settings.empty,
        seed=settings.seed,
        min_snr=MIN_SNR,
        emission=base.sure,
    )
    if not null.volumes > 0:  # emission everywhere
        return None
    rate = null.expected()
    rows = [(snr, null.expected(snr)) for snr in _MATCHED]
    by_snr = tuple((snr, float(one.value), float(one.error)) for snr, one in rows)
    return FalseRate(
        float(rate.value), float(rate.error), null.draws, float(null.negated), by_snr, null.model_fails
    )


def _outcome(
    cube: Cube,
    options: RunOptions,
    settings: Settings,
    base: Baseline,
    layout: Layout,
    sources: Sequence[Measured],
    false: FalseRate | None,
    *,
    asked: dict[str, Any],
    part: str,
    seconds: float,
) -> Check:
    kinds = describe_kinds(layout)
    return Check(
        input=cube.name,
        checksum=cube.checksum(),
        shape=base.rig.shape,
        part=part,
        method=base.result.method,
        parameters=dict(base.result.parameters),
        asked=asked,
        level=base.level,
        min_snr=MIN_SNR,
        noise=base.rig.noise.typical,
        unit=cube.unit_text,
        axes=axes_of(base.rig),
        kinds=kinds,
        cells=tuple(all_cells([kind.name for kind in kinds], sources)),
        false=false,
        found_snr=found_snr(base),
        settings=settings,
        notes=(*_notes(base, layout, settings, sources, options, part), *_noise_notes(false)),
        seconds=seconds,
        version=__version__,
        weights=base.result.provenance.science.get("weights", ""),
    )


def asked_of(options: RunOptions, input_options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run whose output is to be corrected must have been asked as well: reading and physics."""
    physics = options.model_dump(mode="json", include=set(_ASKED))
    reading = {
        name: value if isinstance(value, int | float | bool) else str(value)
        for name, value in (input_options or {}).items()
    }
    return {**physics, "input": reading}


def axes_of(rig: Rig) -> Axes:
    """What a pixel and a channel of the cube are."""
    beam, origin = source_beam(rig.cube, rig.noise)
    axis = rig.cube.spectral_axis
    scale = rig.cube.pixel_scale
    width, unit = None, ""
    if axis is not None and rig.shape[0] > 1:
        speeds = axis.velocity()
        if speeds is not None:
            width, unit = float(np.median(np.abs(np.diff(speeds)))), "km/s"
        elif axis.unit is not None:
            width, unit = abs(axis.step), str(axis.unit)
    return Axes(beam, origin, None if scale is None else float(scale), width, unit)


def _notes(
    base: Baseline,
    layout: Layout,
    settings: Settings,
    sources: Sequence[Measured],
    options: RunOptions,
    part: str,
) -> Iterator[str]:
    if part:
        yield f"checked on a part of the cube that fits the memory: {part}"
    missing = layout.total(settings) - len(sources)
    if missing > 0:
        yield f"{missing} of the sources that were asked for did not fit {settings.draws} draws (--draws)"
    into_noise = [
        t.name for t, field in zip(layout.templates, layout.fields, strict=True) if field == "noise"
    ]
    if into_noise:
        yield f"no room beside the emission of the cube: put into draws of its noise model: {'; '.join(into_noise)}"
    if layout.cut:
        names = "; ".join(layout.templates[kind].name for kind in sorted(layout.cut))
        yield f"larger than the field, fluxes are of what lies in it: {names}"
    if settings.as_found and base.main is None:
        yield "nothing was found in the cube, so there are no sources like what it holds"
    if options.vst is not None:
        yield "sources were put into the stabilised counts, where a bright source is not in proportion to its flux"
    if base.rig.continuum != "none":
        yield "sources were put in after the continuum was subtracted: what that takes of a line is not measured"


def _noise_notes(false: FalseRate | None) -> Iterator[str]:
    if false is not None and false.model_fails:
        yield (
            "the negated cube shows more regions than draws of the noise model: it has structure that the model lacks, "
            "and the false regions are counted in the negated cube alone"
        )


def bytes_of_voxel(shape: Shape, options: RunOptions) -> int:
    """What a check holds of each voxel: the cubes, and what a run in one tile needs."""
    method = (
        options.model_copy(update={"method": "ist", "parameters": {}}) if options.method == AUTO else options
    )
    work = make_denoiser(method, positivity=False).workspace(shape)
    return _BYTES + _TILE + ceil(work / prod(shape))


def part_that_fits(shape: Shape, voxels: int) -> Region:
    """The part about the middle of a cube with at most so many voxels: all channels if it can be.

    The field is cut first, down to squares of 64 pixels, then the band.
    """
    nchan, ny, nx = shape
    if prod(shape) <= voxels:
        return full_region(shape)
    side = max(_SIDE, int(sqrt(voxels / nchan)))
    rows = min(ny, side)
    columns = min(nx, max(side, voxels // (nchan * rows)))
    rows = min(ny, max(rows, voxels // (nchan * columns)))
    channels = min(nchan, max(1, voxels // (rows * columns)))
    c, y, x = (
        slice((size - part) // 2, (size - part) // 2 + part)
        for size, part in zip(shape, (channels, rows, columns), strict=True)
    )
    return c, y, x


def part_text(region: Region, shape: Shape) -> str:
    """The part in words, last channel and pixels included; "" for the whole cube."""
    if region == full_region(shape):
        return ""
    c, y, x = (f"{part.start}:{part.stop - 1}" for part in region)
    return f"channels {c}, y {y}, x {x}"
