"""Give regions of an output the flux that the method takes from sources like them: asked for, limited and recorded.

Each region is multiplied by one over the recovery that injected sources of the same output peak had. Nothing is
extrapolated: a region whose peak lies outside what was checked stays as it is, and no factor exceeds a limit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, hypot
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.check.readers import Readers
from denoise.check.recovery.cells import Curve, unlikeness
from denoise.check.recovery.outcome import Check, read_check
from denoise.check.regions.finding import FoundRegion
from denoise.cube import Region, Shape
from denoise.errors import UsageError

LIMIT = 2.0


class Factor(NamedTuple):
    """What a region is multiplied by, the error of that, and why: "corrected", "limited" or "left"."""

    value: float
    error: float
    state: str


@dataclass(frozen=True)
class FluxCorrection:
    """A rule from a check.

    Attributes
    ----------
    check : Check
        Where it is from.
    name : str
        Name of its file, for the record.
    digest : str
        SHA-256 of that file.
    limit : float
        No factor is larger, or smaller than its inverse.
    """

    check: Check
    name: str
    digest: str
    limit: float = LIMIT

    @classmethod
    def from_file(cls, path: str | Path) -> FluxCorrection:
        """The rule of a ``check.json``.

        Raises
        ------
        InputError
            It cannot be read, or is none.
        UsageError
            Too few of its sources were found to say anything.
        """
        check = read_check(path)
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        made = cls(check, Path(path).name, f"sha256:{digest}")
        _ = made.curve
        return made

    @cached_property
    def curve(self) -> Curve:
        """Recovery of the sources found, surroundings included, against the peak SNR of the output."""
        return self.check.curve("flux_found", output=True)

    def factor(self, peak: float) -> Factor:
        """For a region of this peak SNR of the output (in sigma of the input)."""
        found = self.curve.at(peak)
        if found is None or not found[0] > 0:
            return Factor(1.0, 0.0, "left")
        value = 1.0 / found[0]
        kept = min(max(value, 1.0 / self.limit), self.limit)
        error = hypot(found[1], unlikeness(peak)) * value**2
        return Factor(kept, error, "corrected" if kept == value else "limited")

    def refuse_others(self, method: str, parameters: dict[str, Any], asked: dict[str, Any]) -> None:
        """Refuse a run that is not the one that was checked.

        Raises
        ------
        UsageError
            Method, parameters, reading or physics differ.
        """
        self._refuse("method", self.check.method, method)
        for name in sorted({*self.check.parameters, *parameters}):
            self._refuse(
                f"parameter {name}", _plain(self.check.parameters.get(name)), _plain(parameters.get(name))
            )
        for name in sorted({*self.check.asked, *asked}):
            self._refuse(f"option {name}", _plain(self.check.asked.get(name)), _plain(asked.get(name)))

    def refuse_input(self, checksum: str, weights: str) -> None:
        """Refuse another input, or other weights.

        Raises
        ------
        UsageError
        """
        self._refuse("input", self.check.checksum, checksum)
        self._refuse("weights", self.check.weights, weights)

    def _refuse(self, what: str, checked: Any, seen: Any) -> None:
        if checked != seen:
            raise UsageError(
                f"{self.name} does not belong to this run: the {what} differs",
                value=f"{_short(seen)}, checked with {_short(checked)}",
                action="repeat `denoise check` with the input and options of this run",
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    text = str(value) or "none"
    return text if len(text) <= 24 else f"{text[:20]}..."


@dataclass(frozen=True, eq=False)
class Amplifier:
    """The line emission of a result, region by region times its factor; a pixel source.

    Attributes
    ----------
    readers : Readers
        The cubes of the result; a continuum stays as it is.
    regions : tuple of (FoundRegion, float)
        With their factors.
    reach : tuple of int
        Voxels (channel, y, x) about a region that belong to its source too.
    dtype : dtype
        Of the blocks.
    """

    readers: Readers
    regions: tuple[tuple[FoundRegion, float], ...]
    reach: Shape
    dtype: np.dtype[Any]

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        return self.readers.shape

    def read(self, region: Region) -> NDArray[Any]:
        """The corrected output of a region."""
        gain = self.gain(region)
        out = self.readers.after(region)
        if not (gain != 1.0).any():
            return np.asarray(out, self.dtype)
        return np.asarray(out + (gain - 1.0) * self.readers.lines(region)[1], self.dtype)

    def gain(self, region: Region) -> NDArray[np.float64]:
        """Factors of a region (channel, y, x), 1 away from all regions."""
        from scipy.ndimage import maximum_filter, minimum_filter

        wide, inner = _widened(region, self.reach, self.shape)
        extra = np.zeros([part.stop - part.start for part in wide])
        for place, inside, factor in self._overlapping(wide):
            extra[place][inside] = factor - 1.0
        if not extra.any():
            return np.ones([part.stop - part.start for part in region])
        size = [2 * one + 1 for one in self.reach]
        near = maximum_filter(extra, size, mode="constant") + minimum_filter(extra, size, mode="constant")
        return np.asarray(1.0 + np.where(extra == 0, near, extra)[inner])

    def _overlapping(self, wide: Region) -> Iterator[tuple[Region, NDArray[np.bool_], float]]:
        for one, factor in self.regions:
            low = [max(a.start, b.start) for a, b in zip(one.box, wide, strict=True)]
            high = [min(a.stop, b.stop) for a, b in zip(one.box, wide, strict=True)]
            if all(b > a for a, b in zip(low, high, strict=True)):
                place = _shifted(low, high, [part.start for part in wide])
                yield place, one.footprint[_shifted(low, high, one.start)], factor


def _shifted(low: Sequence[int], high: Sequence[int], start: Sequence[int]) -> Region:
    c, y, x = (slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    return c, y, x


def _widened(region: Region, reach: Shape, shape: Shape) -> tuple[Region, Region]:
    """The region with its surroundings, and where it lies in them."""
    wide, inner = [], []
    for part, more, size in zip(region, reach, shape, strict=True):
        start, stop = max(0, part.start - more), min(size, part.stop + more)
        wide.append(slice(start, stop))
        inner.append(slice(part.start - start, part.stop - start))
    return (wide[0], wide[1], wide[2]), (inner[0], inner[1], inner[2])


def amplifier(rule: FluxCorrection, readers: Readers, found: Sequence[FoundRegion], fwhm: float) -> Amplifier:
    """The corrected output; `fwhm` of the beam in pixels: so far about a region its source may reach."""
    scaled = tuple((one, rule.factor(one.peak).value) for one in found if one.sign > 0)
    pixels = ceil(fwhm)
    reach = (1 if readers.shape[0] > 1 else 0, pixels, pixels)
    return Amplifier(readers, tuple(pair for pair in scaled if pair[1] != 1.0), reach, np.dtype(np.float32))


def account_of(rule: FluxCorrection, found: Sequence[FoundRegion]) -> tuple[str, dict[str, Any]]:
    """What was done, in a sentence and as plain values for the record."""
    factors = [rule.factor(one.peak) for one in found if one.sign > 0]
    states = Counter(one.state for one in factors)
    values = [one.value for one in factors if one.state != "left"]
    low, high = rule.curve.range
    span = f" times {min(values):.3g} to {max(values):.3g}" if values else ""
    text = f"Flux corrected by {rule.name} (injected sources): {len(values)} regions{span}"
    if states["limited"]:
        text += f", {states['limited']} of them at the limit of {rule.limit:g}"
    if states["left"]:
        text += f"; {states['left']} left as they were, peak SNR outside {low:.3g} to {high:.3g}"
    record = {
        "check": rule.name,
        "digest": rule.digest,
        "kind": rule.check.main_kind,
        "limit": rule.limit,
        "peak_snr": [round(float(v), 6) for v in rule.curve.snr],
        "recovery": [round(float(v), 6) for v in rule.curve.value],
        "recovery_error": [round(float(v), 6) for v in rule.curve.error],
        "regions": len(values),
        "limited": states["limited"],
        "left": states["left"],
    }
    return f"{text}.", record
