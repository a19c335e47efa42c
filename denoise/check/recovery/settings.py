"""What is injected, how often and where from: the settings of a check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from denoise.errors import ParameterError

_LEAST = 2  # sources of a cell: a scatter needs two


@dataclass(frozen=True)
class Settings:
    """What a check injects.

    Attributes
    ----------
    snr : tuple of float
        Peak SNR: brightest voxel of the source, after the beam, over the 1 sigma noise there.
    sizes : tuple of float
        Diameters 2 R_e of discs before the beam, in beams; 0: unresolved.
    widths : tuple of float
        Line widths, FWHM in channels; empty: that of the emission found, or an eighth of the band (2 to 8 channels).
    sources : int
        Sources in all; each cell of the grid gets its share, at least two.
    draws : int
        At most so many fields, each denoised once (fields of noise twice).
    empty : int
        Draws of pure noise in which false regions are counted.
    as_found : bool
        Whether the emission that the method finds is a source too.
    template : Path, optional
        A FITS cube on this pixel grid that is a source too.
    seed : int
        Fixes places, shapes and noise.

    Raises
    ------
    ParameterError
        A number is out of range.
    """

    snr: tuple[float, ...] = (2.0, 3.0, 4.0, 6.0, 10.0)
    sizes: tuple[float, ...] = (0.0, 2.0)
    widths: tuple[float, ...] = ()
    sources: int = 200
    draws: int = 60
    empty: int = 8
    as_found: bool = True
    template: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "snr", tuple(sorted(set(self.snr))))
        _positive("--snr", self.snr, "peak SNR above 0", zero=False)
        _positive("--size", self.sizes, "sizes in beams of at least 0", zero=True)
        _positive("--width", self.widths, "line widths in channels above 0", zero=False)
        if not self.snr or not (self.sizes or self.template or self.as_found):
            raise ParameterError(
                "a check needs at least one peak SNR and one kind of source",
                value=f"snr {self.snr}, sizes {self.sizes}",
                action="give --snr, for instance 2,4,8, and --size, or leave both out",
            )
        if self.sources < _LEAST or self.draws < 1 or self.empty < 0:
            raise ParameterError(
                "a check needs at least 2 sources, 1 draw, and no negative number of empty draws",
                value=f"{self.sources} sources, {self.draws} draws, {self.empty} empty draws",
                action="give numbers within these limits, or leave them out",
            )

    def per_cell(self, kinds: int) -> int:
        """Sources of each kind at each peak SNR."""
        return max(_LEAST, math.ceil(self.sources / (kinds * len(self.snr))))


def _positive(option: str, values: Sequence[float], what: str, *, zero: bool) -> None:
    if any(not math.isfinite(value) or value < 0 or (value == 0 and not zero) for value in values):
        raise ParameterError(
            f"{option} needs {what}",
            value=", ".join(f"{value:g}" for value in values),
            action=f"give numbers in this range, or leave {option} out",
        )
