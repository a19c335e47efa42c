"""A part of a cube in memory, and a method on it with the noise of the whole; no Qt."""

from __future__ import annotations

from denoise.cube import Cube, Region
from denoise.cube.crop import crop
from denoise.engine import Result, RunOptions
from denoise.engine.progress import Monitor
from denoise.engine.run import Run
from denoise.engine.sinks import ArraySink
from denoise.noise import NoiseModel


def held(cube: Cube, region: Region) -> Cube:
    """A part of a cube in memory, with its masks and coordinates.

    It has no path: the checksum in the record of a run is then of the part alone, not of a whole file of any size.
    """
    part = crop(cube, region)
    inside = part.with_pixels(part.read())
    inside.path = None
    spans = ", ".join(f"{s.start}:{s.stop}" for s in region)
    inside.name = f"{cube.name} [{spans}]"
    return inside


def run_part(part: Cube, noise: NoiseModel | None, options: RunOptions, monitor: Monitor) -> Result:
    """Denoise a part.

    Parameters
    ----------
    part : Cube
        As `held` gives it.
    noise : NoiseModel or None
        Of the part, in its unit; None: the run measures it, as it does for counts that are stabilised, whose noise is
        another.
    options : RunOptions
    monitor : Monitor

    Raises
    ------
    DenoiseError
        As a run.
    """
    return Run(part, options, monitor, noise=noise if options.vst is None else None).into(ArraySink())
