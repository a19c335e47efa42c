"""Judge a result: its regions, how real each is, their catalogue, and the RELIABILITY extension of its file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from denoise.check.readers import Readers, array_readers, extent, readers_of
from denoise.check.regions.catalogue import make_catalogue
from denoise.check.regions.finding import MIN_SNR, FoundRegion, find_regions, output_level
from denoise.check.regions.null import NullRegions, find_null, share_kept
from denoise.check.regions.reliability import region_reliability
from denoise.check.regions.separate import ALONE
from denoise.check.rig import Rig, open_rig
from denoise.cube import Region
from denoise.cube.append import append_image
from denoise.cube.regions import full_region
from denoise.engine import Result, RunOptions
from denoise.engine.progress import Monitor, ProgressEvent
from denoise.engine.runners import Runner, Serial
from denoise.errors import ResourceError, UsageError

Floats = NDArray[np.float64]

EXTENSION = "RELIABILITY"
DRAWS = 8


@dataclass(frozen=True, eq=False)
class Judged:
    """The regions of a result and how real they are.

    Attributes
    ----------
    regions : tuple of FoundRegion
        Of the output, the surest first.
    reliability : ndarray, shape (n,)
        Their probability of being real.
    null : NullRegions
        What noise shows.
    catalogue : Table
        A row for each region, in the same order.
    """

    regions: tuple[FoundRegion, ...]
    reliability: Floats
    null: NullRegions
    catalogue: Table

    @property
    def doubtful(self) -> float:
        """How many of the regions are expected to be noise."""
        return float(np.sum(1.0 - self.reliability))

    def block(self, region: Region) -> NDArray[np.float32]:
        """Probability of the region that each voxel is in, shape (channel, y, x); 0 outside regions."""
        out = np.zeros(extent(region), np.float32)
        for one, sure in zip(self.regions, self.reliability, strict=True):
            for place, voxels in one.within(region):
                out[place][voxels] = sure
        return out


def judge_result(
    result: Result,
    options: RunOptions,
    *,
    draws: int = DRAWS,
    second: str | None = None,
    monitor: Monitor | None = None,
    runner: Runner | None = None,
) -> Judged:
    """Find the regions of a result and how likely each is real.

    Parameters
    ----------
    result : Result
        Of ``run_file`` or ``denoise.denoise``; cubes of any size are read block by block.
    options : RunOptions
        With which it was made.
    draws : int
        Noise draws that go through the method; for cubes that a draw of does not fit in memory, each draw covers a
        part of the field, and what it shows is scaled.
    second : str, optional
        Another method, with its default parameters: what it keeps of each region, in the cube and in the draws, counts
        too. Its output is held in memory.
    monitor, runner
        As for a run.

    Raises
    ------
    UsageError
        The output has no unit, or several steps made it.
    DenoiseError
        As a run of the method.
    """
    if options.then:
        raise UsageError(
            "the reliability of several denoise steps in a row is not known", action="run one method"
        )
    told, who = monitor or Monitor(), runner or Serial()
    told.tell(ProgressEvent("finding regions", 0, 1, None))
    readers = readers_of(result)
    level = output_level(readers)
    found, _ = find_regions(readers, result.noise, level=level, min_snr=MIN_SNR)
    again = options.model_copy(update={"uncertainty": 0, "save": (), "method": result.method})
    memory = options.memory or who.memory()
    with ExitStack() as stack:
        rigs = [
            stack.enter_context(open_rig(result.input, one, told, noise=result.noise, runner=who))
            for one in (again, *_other(again, second))
        ]
        null = find_null(
            rigs[0],
            level=level,
            draws=draws,
            min_snr=MIN_SNR,
            emission=[one for one in found if one.snr >= ALONE],
            memory=memory,
            second=rigs[1] if second else None,
        )
        agreement = _agreement(found, rigs[1], memory) if second else None
    return judged(found, null, result, readers, agreement=agreement, second=second or "")


def _other(options: RunOptions, method: str | None) -> list[RunOptions]:
    if not method:
        return []
    return [options.model_copy(update={"method": method, "parameters": {}, "positivity": "auto"})]


def _agreement(found: Sequence[FoundRegion], rig: Rig, memory: int) -> list[float]:
    """Share of each region that another method keeps."""
    if 8 * np.prod(rig.shape) > memory:
        raise ResourceError(
            "the agreement with another method needs its output in memory",
            value=f"{8 * np.prod(rig.shape) / 2**20:.0f} MB, {memory / 2**20:.0f} MB allowed",
            action="allow more memory, or leave --agree out",
        )
    other = array_readers(rig.data(), rig.apply(), rig.noise)
    return [share_kept(one, other, rig.noise, full_region(rig.shape)) for one in found]


def judged(
    found: Sequence[FoundRegion],
    null: NullRegions,
    result: Result,
    readers: Readers,
    *,
    agreement: Sequence[float] | None = None,
    second: str = "",
) -> Judged:
    """Regions with their reliability, the surest first, and their catalogue."""
    sure = region_reliability(found, null, agreement)
    order = sorted(range(len(found)), key=lambda i: (-sure[i], -found[i].snr))
    regions, sure = tuple(found[i] for i in order), sure[order]
    table = make_catalogue(
        regions,
        sure,
        result.input,
        noise=result.noise,
        readers=readers,
        errors=result.errors,
        meta=_about(result, null, float(np.sum(1.0 - sure))) | ({"agreement_with": second} if second else {}),
    )
    if agreement is not None:
        column = Column(np.asarray(agreement, float)[order], format=".3f")
        column.description = f"share of the signal in the input that method {second} keeps"
        table.add_column(column, name="agreement", index=len(table.colnames) - 1)
    return Judged(regions, sure, null, table)


def add_reliability(judged: Judged, result: Result, path: Path) -> Path:
    """Append the RELIABILITY extension to the file of a result: 0 outside regions, NaN without coverage.

    Raises
    ------
    UsageError, ResourceError
        The file is not FITS, or cannot be written; it is as it was.
    """

    def block_of(region: Region) -> NDArray[np.float32]:
        known = np.isfinite(result.input.read(region))
        return np.where(known, judged.block(region), np.float32(np.nan))

    comment = f"Probability of the voxel's region being real, 0 outside regions; {draws_text(judged.null)}."
    return append_image(path, result.cube, EXTENSION, block_of, cards={"COMMENT": comment})


def draws_text(null: NullRegions) -> str:
    """How the noise was drawn, in words."""
    part = "" if null.share > 0.999 else f" of {100 * null.share:.0f} % of the field each"
    more = " and the negated cube" if null.negated else ""
    told = ", which shows more than the noise model lets expect and counts alone" if null.model_fails else ""
    return f"{null.draws} noise draws{part}{more}{told}"


def _about(result: Result, null: NullRegions, doubtful: float) -> dict[str, Any]:
    rate = null.expected()
    return {
        "input": str(result.input.name),
        "method": result.method,
        "noise": draws_text(null),
        "noise_regions_per_cube": round(float(rate.value), 4),
        "noise_regions_per_cube_error": round(float(rate.error), 4),
        "expected_false": round(doubtful, 3),
        "level_sigma": round(float(null.level), 4),
        "min_snr": float(null.min_snr),
    }
