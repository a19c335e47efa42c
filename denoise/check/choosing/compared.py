"""What a comparison found, as an object and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from denoise.check.record import Record
from denoise.metrics import Measurement


@dataclass(frozen=True)
class AtSnr:
    """Injected sources of one peak SNR: share of the flux that came back, and share of them found."""

    snr: float
    flux: Measurement | None
    found: Measurement | None


@dataclass(frozen=True)
class Entry:
    """One method.

    Attributes
    ----------
    method : str
        Its name.
    failure : str
        Why there are no numbers; "" where there are.
    parameters : dict
        Defaults filled in.
    score : Measurement or None
        Squared error against data with noise of their own, in sigma squared a voxel (see `heldout`).
    difference : Measurement or None
        Score less that of the recommended method, under the same draws.
    flux : Measurement or None
        Sum of the output over the emission of the input; the error is that of the input there.
    noise : float or None
        Spread of the output off the emission (1.4826 MAD), in the unit of the data; 0: most of it is zero.
    residual : dict
        Moments and autocorrelation of input less output over sigma: fields of ``metrics.ResidualStatistics``.
    recovered : tuple of AtSnr
        Injected sources.
    false : Measurement or None
        Regions expected where there is no source, in what was compared.
    error_bar : bool
        Whether the method gives a 1 sigma error.
    seconds, first : float
        Wall time of a run, and of the first one, which loads what the method needs.
    memory, idle : int or None
        Bytes: what a process of its own had at most in the first run, and of these, before it.
    """

    method: str
    failure: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    score: Measurement | None = None
    difference: Measurement | None = None
    flux: Measurement | None = None
    noise: float | None = None
    residual: dict[str, float] = field(default_factory=dict)
    recovered: tuple[AtSnr, ...] = ()
    false: Measurement | None = None
    error_bar: bool = False
    seconds: float = 0.0
    first: float = 0.0
    memory: int | None = None
    idle: int | None = None

    @property
    def whiteness(self) -> float | None:
        """Largest difference of the residual's autocorrelation from that of the noise."""
        gaps = [
            self.residual[name]
            for name in ("acf_difference", "spectral_acf_difference")
            if name in self.residual
        ]
        return max(gaps, default=None)

    @property
    def kept(self) -> Measurement | None:
        """Share of the flux of the brightest injected sources that came back."""
        return self.recovered[-1].flux if self.recovered else None


@dataclass(frozen=True)
class Compared(Record):
    """Methods side by side on one cube.

    Attributes
    ----------
    input, checksum : str
        The cube.
    shape : tuple of int
        What was compared (channel, y, x).
    part : str
        Which part of the cube that is; "" for all of it.
    unit : str
        Of the data.
    noise : float
        Typical 1 sigma.
    flux : Measurement
        Of the emission of the input, a sum over voxels.
    emission : int
        Voxels of it: where `ist` shows the input above 1 sigma, grown by the correlation of the noise and a channel.
    entries : tuple of Entry
        The methods, in the order in which they were run.
    recommended : str
        One of them; "" if none ran.
    reason : str
        Why, in a sentence.
    draws : int
        Trials of the score.
    asked : dict
        How the input was read and what was done around the methods.
    notes : tuple of str
        What the user should know.
    seconds : float
        Wall time.
    version : str
        Of this package.
    """

    input: str
    checksum: str
    shape: tuple[int, int, int]
    part: str
    unit: str
    noise: float
    flux: Measurement
    emission: int
    entries: tuple[Entry, ...]
    recommended: str
    reason: str
    draws: int
    asked: dict[str, Any]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    version: str = ""

    def entry(self, method: str) -> Entry:
        """The numbers of a method."""
        return next(one for one in self.entries if one.method == method)

    def sentence(self) -> str:
        """Which method, and why."""
        return self.reason
