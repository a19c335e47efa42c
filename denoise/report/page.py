"""Write the page: figures as PNG files and inlined in one HTML file that works without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from denoise.atomic import replace_file
from denoise.check.readers import readers_of
from denoise.check.regions.judge import Judged
from denoise.errors import ResourceError
from denoise.report import leftover, reliability
from denoise.report.audit import Finding, worst
from denoise.report.labels import number, with_unit
from denoise.report.pages import inline, png_of, render_page
from denoise.report.scene import REQUIRED_SNR, ReportInput, Scene, observe
from denoise.report.sky import beam_shape
from denoise.report.tables import metric_rows

_LISTED = 12


class ReportFiles(NamedTuple):
    """Where a report is: the page, and its figures in reading order."""

    html: Path
    pngs: tuple[Path, ...]


@dataclass(frozen=True)
class _Figure:
    """A drawn figure: file name suffix, heading, caption, alternative text and PNG bytes."""

    name: str
    title: str
    caption: str
    alt: str
    png: bytes

    @property
    def inline(self) -> str:
        return inline(self.png)


def write_report(
    result: ReportInput, folder: str | Path, *, stem: str | None = None, judged: Judged | None = None
) -> ReportFiles:
    """Measure a result, draw it and write ``<stem>_report.html`` and ``<stem>_<figure>.png`` into `folder`.

    The cubes are read in blocks, in three passes; memory does not grow with them. Existing files of the same
    names are replaced; each file appears complete or not at all, the page last.

    Parameters
    ----------
    result : Result
        As ``denoise.denoise`` gives it; read through its public attributes only, never changed.
    folder : str or Path
        Made if it is missing.
    stem : str, optional
        Start of every file name; by default the name of the input without its suffixes.
    judged : Judged, optional
        Reliability of the regions, to be shown too.

    Returns
    -------
    ReportFiles
        The page and the figures.

    Raises
    ------
    ResourceError
        A file cannot be written.
    """
    folder = Path(folder)
    stem = stem or Path(str(result.input.name or "cube")).name.split(".")[0] or "cube"
    scene = observe(result)
    figures = _draw(scene, result, judged)
    page = _render(scene, result, figures, judged)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pngs = tuple(replace_file(folder / f"{stem}_{f.name}.png", f.png) for f in figures)
        html = replace_file(folder / f"{stem}_report.html", page.encode())
    except OSError as err:
        raise ResourceError(
            f"the report cannot be written to {folder}",
            value=err.strerror or err,
            action="choose another folder",
        ) from err
    return ReportFiles(html, pngs)


def _draw(scene: Scene, result: ReportInput, judged: Judged | None) -> list[_Figure]:
    from denoise.report import figures as draw

    beam = beam_shape(result.input.beams, scene.sky)
    texts = _texts(scene, beam is not None)
    if scene.display:
        return [_Figure("display", *texts["display"], png_of(draw.display_figure(scene, beam)))]
    drawn = (
        ("moment0", draw.moment0_figure(scene, beam)),
        ("moment1", draw.moment1_figure(scene, beam)),
        ("spectrum", draw.spectrum_figure(scene)),
        ("channels", None if scene.image else draw.channel_figure(scene, beam)),
        ("residual_map", draw.residual_map_figure(scene, beam)),
        ("residual", draw.residual_figure(scene)),
    )
    figures = [_Figure(name, *texts[name], png_of(fig)) for name, fig in drawn if fig is not None]
    if scene.leftover is not None:
        fig = leftover.leftover_figure(scene, scene.leftover, beam)
        figures.append(_Figure("leftover", *leftover.texts(scene.leftover), png_of(fig)))
    if judged is not None:
        fig = reliability.reliability_figure(scene, beam, judged, readers_of(result))
        figures.insert(1, _Figure("reliability", *reliability.texts(judged), png_of(fig)))
    return figures


def _texts(scene: Scene, beam: bool) -> dict[str, tuple[str, str, str]]:
    """Heading, caption and alternative text of every figure."""
    found = int(scene.where.channels.sum())
    level = "" if scene.continuum == "none" else f"The continuum ({scene.continuum}) is taken off. "
    over = f"the {found} channels in which emission was found" if scene.where.any else "all channels"
    marks = "The line encloses the emission found. " if scene.where.any else ""
    marks += "The ellipse is the beam. " if beam else "No beam is drawn: the file states none. "
    marks += f"Offsets are from the centre of the field, {scene.sky.origin}." if scene.sky.origin else ""
    spread = (
        f"{number(scene.sums.inside.std)} in the emission found, {number(scene.sums.outside.std)} elsewhere"
    )
    first = "Image" if scene.image else "Moment 0"
    what = "The image" if scene.image else f"Sum over {over} times the channel width"
    return {
        "moment0": (
            first, f"{what}, before and after, on one scale. {level}{marks}",
            f"Two maps side by side on one colour scale: {first.lower()} before and after denoising.",
        ),
        "moment1": (
            "Moment 1",
            "Intensity-weighted mean over the voxels of the emission found, before and after, on one scale; "
            "blank where the weighted mean falls outside the channels used. " + level + marks,
            "Two maps side by side on one diverging colour scale: moment 1 before and after denoising.",
        ),
        "spectrum": (
            "Spectrum",
            _spectrum_caption(scene),
            f"Spectrum before and after denoising against {scene.spectral.short}, with the noise as a band.",
        ),
        "channels": (
            "Channels",
            f"Representative channels{' across the emission found' if scene.where.any else ''}: before and "
            "after on one scale, and what was taken away in units of the noise. " + level,
            f"Three rows of {len(scene.panels)} channel maps: before, after, residual divided by the noise.",
        ),
        "display": (
            "Enhanced",
            f"{'The image' if scene.image else 'Representative channels'} before, and enhanced for display, each on a "
            "scale of its own. " + level,
            "Two rows of maps: before, and enhanced for display without a unit.",
        ),
        "residual_map": (
            "Residual", "What was taken away, in units of the noise. " + marks,
            "Map of the residual divided by the noise.",
        ),
        "residual": (
            "Residual against the noise",
            "If only noise was taken away, the histogram follows the unit Gaussian and the points follow the "
            "lines of the noise model. Bars: standard error for noise of this model.",
            f"Histogram of the residual in sigma (standard deviation {spread}) and its autocorrelation "
            "against the noise model.",
        ),
    }  # fmt: skip


def _spectrum_caption(scene: Scene) -> str:
    band = "The band is the 1-sigma noise by the noise model, correlations included."
    if scene.spectra.after_error is not None:
        band = (
            "The bands are 1 sigma: before, the noise by the noise model, correlations included; after, the error that "
            "draws of the noise give for the emission found."
        )
    if scene.where.any:
        return f"{scene.spectra.unit.name} of the emission found, before and after. {band}"
    return f"Nothing was detected, so this is the mean over the whole field, not of a source. {band}"


def _render(scene: Scene, result: ReportInput, figures: list[_Figure], judged: Judged | None) -> str:
    return render_page(
        "report.html.j2",
        title=_title(result),
        facts=_facts(scene, result),
        detection=_detection(scene),
        level=_level(scene, result),
        findings=scene.findings,
        warnings=[str(w) for w in result.warnings],
        figures=figures,
        rows=[row.cells() for row in metric_rows(result.metrics, scene.unit)],
        unmatched=_region_rows(scene),
        more=max(0, len(scene.unmatched) - _LISTED),
        catalogue=None if judged is None else reliability.table_rows(judged),
        places=[] if scene.leftover is None else leftover.place_rows(scene, scene.leftover),
        image=scene.image,
        required=number(REQUIRED_SNR),
        examined=f"{len(scene.regions):,} of {scene.region_count:,}",
        parameters=[(k, str(v)) for k, v in result.parameters.items()],
        provenance=[(f"{part}: {k}", str(v)) for part, entries in _parts(result) for k, v in entries.items()],
    )


def _title(result: ReportInput) -> str:
    header = result.input.header
    name = str(header.get("OBJECT", "") if header is not None else "").strip()
    return name or str(result.input.name or "cube")


def _facts(scene: Scene, result: ReportInput) -> list[tuple[str, str]]:
    """The header line as pairs of name and value."""
    cube = result.input
    nchan, ny, nx = scene.shape
    size = f"{nx:,} × {ny:,} pixels" + ("" if scene.image else f", {nchan:,} channels")
    facts = [
        ("File", Path(cube.path).name if cube.path else str(cube.name or "an array")),
        ("Size", size),
        ("Unit", scene.unit),
        ("Beam", _beam_text(cube)),
        ("Noise", f"{with_unit(number(scene.noise[0]), scene.unit)} (1σ, median; {result.noise.origin})"),
        ("Method", f"{result.method}" + (f" ({_short(result.parameters)})" if result.parameters else "")),
        ("Time", f"{result.seconds:.1f} s"),
    ]
    if result.limits is not None:
        found, rest = result.limits
        facts.append(
            (
                "Error bars",
                f"68 % within 1σ, 95 % within {found:g}σ where emission was found and {rest:g}σ elsewhere (UNCERT)",
            )
        )
    if not scene.image:
        facts.insert(3, ("Spectral axis", scene.spectral.text))
    return facts


def _short(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in parameters.items() if value is not None)


def _beam_text(cube: Any) -> str:
    from denoise.report.sky import sky_frame

    frame = sky_frame(cube.wcs, tuple(cube.shape[1:]))
    beam = beam_shape(cube.beams, frame)
    if beam is None:
        return "none stated"
    scale, unit = (frame.arcsec, "″") if frame.arcsec else (1.0, " pixels")
    pa = 90.0 - beam[2] if frame.on_sky else beam[2] - 90.0
    if np.isclose(beam[0], beam[1], rtol=1e-3):
        return f"{number(beam[0] * scale)}{unit}, circular"
    sizes = " × ".join(number(axis * scale) for axis in beam[:2])
    return f"{sizes}{unit}, position angle {pa % 180:.0f}°".replace("-", "−")


def _detection(scene: Scene) -> str:
    if not scene.where.any:
        return "Nothing was detected: no emission in this data stands out of the noise model."
    voxels, total = int(scene.where.voxels.sum()), scene.shape[0] * scene.shape[1] * scene.shape[2]
    area = int(scene.where.sky.sum())
    if scene.image:
        return f"Emission was found in {voxels:,} of {total:,} pixels."
    channels = int(scene.where.channels.sum())
    return (
        f"Emission was found in {voxels:,} voxels: "
        f"{area:,} pixels on the sky, {channels:,} of {scene.shape[0]:,} channels."
    )


def _level(scene: Scene, result: ReportInput) -> str:
    extra = [Finding("warning", "", str(w)) for w in result.warnings]
    return worst([*scene.findings, *extra])


def _region_rows(scene: Scene) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for region in scene.unmatched[:_LISTED]:
        channel, y, x = region.at
        place = f"{x}, {y}"
        where = (
            "" if scene.image else f"{number(float(scene.spectral.values[channel]), 5)} {scene.spectral.unit}"
        )
        rows.append(
            (place, str(channel), where, number(region.peak), f"{region.voxels:,}", number(region.snr))
        )
    return rows


def _parts(result: ReportInput) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return ("science", result.provenance.science), ("run", result.provenance.run)
