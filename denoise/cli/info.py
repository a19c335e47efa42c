"""``denoise info``: what a file is, and how noisy."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from denoise.cli import options as opt
from denoise.cli.asked import reading_of
from denoise.cli.batch import Job, Outcome, run_jobs
from denoise.cli.console import Messages, facts
from denoise.errors import NoiseError

if TYPE_CHECKING:
    from denoise.cube import Cube, Inspection
    from denoise.noise import NoiseModel

_BLOCK = 1 << 22  # voxels


def info(
    inputs: Annotated[list[Path], typer.Argument(metavar="OBS.fits", help="FITS cubes or images.")],
    hdu: opt.Hdu = None,
    stokes: opt.Stokes = None,
    mask: opt.Mask = None,
    exclude: opt.Exclude = None,
    noise: opt.Noise = None,
    noise_kind: opt.NoiseKind = None,
    gain: opt.Gain = None,
    psf: opt.Psf = None,
    beam: opt.Beam = None,
    rest: opt.Rest = None,
) -> int:
    """What a file is: axes, frame, unit, beam, share of NaN, noise, peak SNR, suggested method."""
    reading = reading_of(dict(locals()))
    jobs = [Job(source, source, None) for source in inputs]
    return run_jobs(jobs, partial(_describe, reading), Messages(), summary=False)


def _describe(reading: dict[str, Any], job: Job) -> Outcome:
    from denoise.cube import read

    cube = read(job.source, **reading)
    found = cube.inspect(allow_constant=True)
    used = cube if found.blanks is None else cube.with_mask(found.blanks)
    facts(str(job.source), header_facts(cube) | pixel_facts(found, cube) | noise_facts(used))
    return Outcome()


def header_facts(cube: Cube) -> dict[str, str]:
    """What the header says: axes, unit, sky, spectral axis, beam, companions."""
    channels, rows, columns = cube.shape
    depth = "image of" if cube.is_image else f"{channels} channels x"
    values = {
        "shape": f"{depth} {rows} x {columns} pixels, {cube.dtype.name}",
        "unit": cube.unit_text or "not stated",
        "sky": _sky(cube),
        "spectral axis": _spectral(cube),
        "velocities": _velocities(cube),
        "beam": _beam(cube),
        "noise in the file": _companion(cube),
    }
    if cube.gain is not None:
        values["gain"] = "given: the data are corrected for the primary beam"
    return values


def pixel_facts(found: Inspection, cube: Cube) -> dict[str, str]:
    """What a pass over the pixels found."""
    unit = f" {cube.unit_text}" if cube.unit_text else ""
    values = {
        "no data": f"{100 * found.nan_share:.1f} % of the voxels",
        "range": f"{found.minimum:.4g} to {found.maximum:.4g}{unit}",
    }
    if found.notes:
        values["blanks"] = "; ".join(found.notes)
    return values


def noise_facts(cube: Cube) -> dict[str, str]:
    """The noise as a run would estimate it, and the brightest voxel over it."""
    from denoise.noise import estimate_noise

    try:
        noise = estimate_noise(cube, psf=cube.psf_image())
    except NoiseError as err:
        return {"noise": f"cannot be estimated: {err.message}"}
    unit = f" {cube.unit_text}" if cube.unit_text else ""
    spatial, spectral = _neighbours(noise)
    peak = _peak_snr(cube, noise)
    values = {
        "noise (1 sigma)": f"{noise.typical:.4g}{unit}, median over the cube; {noise.origin}",
        "noise correlation": f"{spatial} of the next pixel, {spectral} of the next channel",
    }
    if noise.seams:
        values["noise breaks"] = f"at {noise.seams}, counted from 0: seams of a mosaic?"
    return values | {
        "peak SNR": f"{peak:.1f} in one voxel",
        "suggested": _suggested(noise, peak),
    }


def _suggested(noise: NoiseModel, peak: float) -> str:
    from denoise.methods import choose

    chosen = choose(noise, peak_snr=peak)
    return f"denoise run -m {chosen.method}: {chosen.reason}"


def _neighbours(noise: NoiseModel) -> tuple[str, str]:
    rows, columns = (size // 2 for size in noise.spatial_acf.shape)
    beside = [
        noise.spatial_acf[rows + step, columns + 1 - step]
        for step in (0, 1)
        if min(noise.spatial_acf.shape) > 1
    ]
    spatial = f"{sum(beside) / len(beside):.2f}" if beside else "0.00"
    return spatial, f"{noise.spectral_acf[1]:.2f}" if noise.spectral_acf.size > 1 else "0.00"


def _peak_snr(cube: Cube, noise: NoiseModel) -> float:
    import numpy as np

    from denoise.cube import blocks

    peak = -np.inf
    for region in blocks(cube.shape, voxels=_BLOCK):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = cube.read(region) / noise.sigma(region)
        finite = ratio[np.isfinite(ratio)]
        peak = max(peak, float(finite.max(initial=-np.inf)))
    return peak


def _sky(cube: Cube) -> str:
    scale = cube.pixel_scale
    if cube.wcs is None or scale is None:
        return "no celestial coordinates"
    celestial = cube.wcs.celestial.wcs
    axes = ", ".join(str(name) for name in celestial.ctype)
    frame = celestial.radesys.strip()
    return f"{axes}{f' ({frame})' if frame else ''}, pixels of {scale:.4g} arcsec"


def _spectral(cube: Cube) -> str:
    axis = cube.spectral_axis
    if axis is None:
        return "none" if cube.is_image else "not stated"
    first, last = axis.values[0], axis.values[-1]
    step = "" if axis.values.size == 1 else f" to {last:.8g}, step {axis.step:.6g}"
    return f"{axis.label}: {first:.8g}{step}"


def _velocities(cube: Cube) -> str:
    axis = cube.spectral_axis
    speeds = None if axis is None else axis.velocity()
    if axis is None or speeds is None:
        return "none without a rest frequency or wavelength (--rest)" if axis is not None else "none"
    last = "" if speeds.size == 1 else f" to {speeds[-1]:.6g}"
    return f"{axis.velocity_label}: {speeds[0]:.6g}{last}"


def _beam(cube: Cube) -> str:
    beams = cube.beams
    if beams is None:
        return "none"
    major, minor, angle = beams.median
    sky = "" if math.isnan(major) else f"{3600 * major:.3g} x {3600 * minor:.3g} arcsec, {angle:.0f} deg"
    pixels = "" if beams.pixels is None else f"{beams.pixels[0]:.2f} x {beams.pixels[1]:.2f} pixels"
    planes = (
        f"; one a channel, {int(beams.valid.sum())} of {beams.valid.size} usable" if beams.per_plane else ""
    )
    return f"{'; '.join(part for part in (sky, pixels) if part)} ({beams.origin}){planes}"


def _companion(cube: Cube) -> str:
    source = cube.noise_source
    return "none" if source is None else f"{source.label}, {source.kind}"
