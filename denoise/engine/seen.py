"""Cubes as a method sees them, read by region without a run: what networks are fine-tuned on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, Region
from denoise.cube.wcs import pixels_apart
from denoise.engine.options import RunOptions
from denoise.engine.progress import Monitor
from denoise.engine.run import Run
from denoise.engine.tiles import scaled_float32
from denoise.errors import InputError, UsageError
from denoise.noise import NoiseModel, mad_std

_VOXELS = 1 << 20  # of the middle of two halves that are compared
_PIXELS = 0.1  # by which halves may be apart
_BEAM = 0.05  # and their beams differ
_AGREES = 1.25  # factor by which their difference may miss the noise of two independent ones


class Seen:
    """A checked and conditioned cube, in the unit of its noise model.

    Parameters
    ----------
    cube : Cube
        Conditioned.
    noise : NoiseModel
        Of it, in its unit.
    scale : float
        Number that both are divided by, so that no flux is too small for float32.
    """

    def __init__(self, cube: Cube, noise: NoiseModel, scale: float) -> None:
        self.cube, self.scale = cube, scale
        self.noise = noise.scaled(1 / scale)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channel, y, x)."""
        return self.cube.shape

    def read(self, region: Region) -> NDArray[np.float32]:
        """Data of a region (channel, y, x), NaN where there is no coverage and where data are excluded."""
        block = scaled_float32(self.cube.read(region), 1 / self.scale)
        if self.cube.has_exclusions:
            block[self.cube.excluded(region)] = np.nan
        return block


@contextmanager
def open_seen(
    groups: Sequence[Sequence[Cube]], options: RunOptions, monitor: Monitor
) -> Iterator[list[list[Seen]]]:
    """Cubes in groups that share a unit: each divided by the typical noise of the first.

    Inside the context files that conditioning needs exist.

    Raises
    ------
    InputError, NoiseError, ResourceError
        As for a run.
    """
    with tempfile.TemporaryDirectory(prefix="denoise-", ignore_cleanup_errors=True) as scratch:
        found = []
        for group in groups:
            settled = [Run(cube, options, monitor).settle(Path(scratch)) for cube in group]
            scale = settled[0].noise.typical
            found.append([Seen(data.cube, noise, scale) for data, noise, _ in settled])
        yield found


def check_halves(one: Cube, two: Cube) -> None:
    """Refuse two cubes that cannot be observations of one field on one grid in one unit; pixels are not read.

    Raises
    ------
    UsageError
        Shape, unit, beam or coordinates differ.
    """
    names = f"{one.name} and {two.name}"
    if one.shape != two.shape:
        raise UsageError(
            f"the halves {names} differ in shape",
            value=f"{one.shape} and {two.shape}",
            action="give two halves of the same data, on one grid",
        )
    same = one.unit == two.unit if one.unit and two.unit else one.unit_text == two.unit_text
    if not same:
        seen = " and ".join(cube.unit_text or "none" for cube in (one, two))
        raise UsageError(f"the halves {names} differ in unit", value=seen, action="convert one of them")
    _check_beams(one, two, names)
    apart = pixels_apart(one.wcs, two.wcs, one.axes.file_shape)
    if apart > _PIXELS:
        raise UsageError(
            f"the halves {names} differ in their world coordinates",
            value=f"{apart:.3g} pixels apart",
            action="put them on one grid first",
        )


def _check_beams(one: Cube, two: Cube, names: str) -> None:
    beams = [
        cube.beams.pixels for cube in (one, two) if cube.beams is not None and cube.beams.pixels is not None
    ]
    if len(beams) == 2 and not np.allclose(beams[0][:2], beams[1][:2], rtol=_BEAM):
        seen = " and ".join(f"{major:.3g} x {minor:.3g} pixels" for major, minor, _ in beams)
        raise UsageError(
            f"the halves {names} differ in their beam", value=seen, action="smooth them to one beam first"
        )


def check_independent(one: Seen, two: Seen) -> None:
    """Refuse halves whose difference does not have the noise that two independent observations have.

    Raises
    ------
    InputError
        They share noise, or differ in more than noise.
    """
    depth, rows, columns = one.shape
    count = max(1, min(depth, _VOXELS // (rows * columns)))
    first = (depth - count) // 2
    region = (slice(first, first + count), slice(0, rows), slice(0, columns))
    expected = np.hypot(one.noise.sigma(region), two.noise.sigma(region))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (one.read(region) - two.read(region)) / expected
    factor = float(mad_std(ratio[np.isfinite(ratio)], about="zero"))
    if not 1 / _AGREES < factor < _AGREES:
        reason = "they share noise" if factor < 1 else "they differ in more than noise"
        raise InputError(
            f"{one.cube.name} and {two.cube.name} are not independent halves: {reason}",
            value=f"their difference has {factor:.2f} times the noise of two independent observations",
            action="give two observations of one field with noise of their own",
        )
