"""What a check found, as an object, as JSON and in a sentence."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise.check.record import Record
from denoise.check.recovery.cells import ALL, Cell, Curve, unlikeness
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import FOUND
from denoise.errors import InputError

_QUOTED = 4.0  # peak SNR that the sentence is about, or the nearest to it


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes
    ----------
    name : str
        In words.
    size, width : float or None
        As `Template` has them.
    field : {"cube", "noise"}
        Put into emission-free parts of the cube itself, or into draws of its noise model.
    fwhm, line : float
        Mean FWHM of the sources from moments: on the sky (pixels) and along the spectral axis (channels).
    note : str
        What is special, in words; "" for nothing.
    """

    name: str
    size: float | None
    width: float | None
    field: str
    fwhm: float
    line: float
    note: str = ""


@dataclass(frozen=True)
class FalseRate:
    """Regions found where there is no source.

    Attributes
    ----------
    expected, error : float
        Number in the cube, and its error.
    draws : int
        Draws of noise that were searched.
    negated : float
        Part of the cube that was searched in the negated cube.
    by_snr : tuple of (float, float, float)
        The same (number, error) for regions of at least a matched-filter SNR (first), from low to high.
    model_fails : bool
        Whether the negated cube shows more than the draws let expect: then all numbers are of that cube alone.
    """

    expected: float
    error: float
    draws: int
    negated: float
    by_snr: tuple[tuple[float, float, float], ...] = ()
    model_fails: bool = False


@dataclass(frozen=True)
class Axes:
    """What a pixel and a channel are: None where the file does not say.

    Attributes
    ----------
    beam : tuple of float
        Beam of the sources: FWHM in pixels, degrees.
    beam_origin : str
        Where it is from.
    arcsec : float or None
        Side of a pixel.
    channel : float or None
        Width of a channel.
    unit : str
        Of that width.
    """

    beam: tuple[float, float, float]
    beam_origin: str
    arcsec: float | None
    channel: float | None
    unit: str


@dataclass(frozen=True)
class Check(Record):
    """Injection and recovery on one cube.

    Attributes
    ----------
    input, checksum : str
        The cube.
    shape : tuple of int
        What was checked (channel, y, x).
    part : str
        Which part of the cube that is; "" for all of it.
    method : str
        The denoiser.
    parameters : dict
        Its parameters, defaults filled in.
    asked : dict
        How the input was read and what was done around the method: a run that is to be corrected must agree.
    level, min_snr : float
        A region is found where the output exceeds `level` sigma of the input with a matched-filter SNR of at least
        `min_snr`.
    noise, unit : float, str
        Typical 1 sigma, and the unit of the data.
    axes : Axes
        What a pixel and a channel are.
    kinds : tuple of Kind
        The kinds of sources.
    cells : tuple of Cell
        Every kind at every peak SNR.
    false : FalseRate or None
        Regions expected where there is no source; None if they were not counted.
    found_snr : float or None
        Peak SNR of the emission of the most flux that the method finds, by a fit of its shape to the input.
    settings : Settings
        What was asked for.
    notes : tuple of str
        What the user should know.
    seconds : float
        Wall time.
    version : str
        Of this package.
    weights : str
        SHA-256 of the trained numbers that the method uses; "" if there are none.
    """

    input: str
    checksum: str
    shape: tuple[int, int, int]
    part: str
    method: str
    parameters: dict[str, Any]
    asked: dict[str, Any]
    level: float
    min_snr: float
    noise: float
    unit: str
    axes: Axes
    kinds: tuple[Kind, ...]
    cells: tuple[Cell, ...]
    false: FalseRate | None
    found_snr: float | None
    settings: Settings
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    version: str = ""
    weights: str = ""

    def of_kind(self, name: str) -> list[Cell]:
        """The cells of a kind, from low to high peak SNR."""
        return sorted((cell for cell in self.cells if cell.kind == name), key=lambda cell: cell.snr)

    @property
    def main_kind(self) -> str:
        """The kind that is most like the cube: what was found in it, else all kinds together."""
        names = [kind.name for kind in self.kinds]
        if FOUND in names or len(names) == 1:
            return FOUND if FOUND in names else names[0]
        return ALL

    def curve(self, score: str = "flux", *, kind: str | None = None, output: bool = False) -> Curve:
        """A score against peak SNR.

        Parameters
        ----------
        score : str
            See `Cell.scores`.
        kind : str, optional
            By default the `main_kind`.
        output : bool
            Against the peak SNR that the output shows, of those found, in place of that which was put in.

        Raises
        ------
        ParameterError
            Fewer than two cells know it.
        """
        points = []
        for cell in self.of_kind(kind or self.main_kind):
            one, peak = cell.scores.get(score), cell.scores.get("peak")
            if one is not None and (peak is not None or not output):
                at = peak.value if output and peak is not None else cell.snr
                points.append((at, one.value, one.error))
        return Curve.through(points)

    def sentence(self) -> str:
        """The check in a sentence, or two."""
        cells = self.of_kind(self.main_kind)
        cell = min(cells, key=lambda one: abs(one.snr - _QUOTED))
        flux, found = cell.scores["flux"], cell.scores["completeness"]
        like = {FOUND: "sources like the one found in the cube", ALL: "sources of all kinds checked"}
        what = like.get(cell.kind, f"sources of the kind “{cell.kind}”")
        kept = "an unknown part" if flux is None else per_cent(flux.value, flux.error)
        share = "" if found is None else f" and finds {100 * found.value:.0f} % of them"
        text = f"At peak SNR {cell.snr:g} {self.method} keeps {kept} of the flux of {what}{share}"
        if self.false is None:
            return f"{text}.{self._of_itself()}"
        rate = f"{decimals(self.false.expected, self.false.error)} ± {decimals(self.false.error, self.false.error)}"
        return f"{text}; expect {rate} false regions in this cube.{self._of_itself()}"

    def _of_itself(self) -> str:
        """What is expected of the source that was found, at its own brightness; "" where that is not known."""
        known = [cell for cell in self.of_kind(FOUND) if cell.scores["flux"] is not None]
        if self.found_snr is None or len(known) < 2:
            return ""
        kept = self.curve("flux", kind=FOUND).at(self.found_snr)
        if kept is None:
            return ""
        snr = f"{self.found_snr:.2g}"
        error = math.hypot(kept[1], unlikeness(self.found_snr))
        return f" Of the source found, peak SNR {snr}, it should have kept {per_cent(kept[0], error)}."

    def heading(self) -> dict[str, Any]:
        """The check in a sentence."""
        return {"sentence": self.sentence()}


def read_check(path: str | Path) -> Check:
    """Read a ``check.json``.

    Raises
    ------
    InputError
        It cannot be read, or is none.
    """
    advice = "give the check.json that `denoise check` wrote"
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if values["format"] != Check.FORMAT:
            raise InputError(f"{path} is a check of another format", value=values["format"], action=advice)
        return Check.from_dict(values)
    except OSError as err:
        raise InputError(f"{path} cannot be read", value=err.strerror, action=advice) from None
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"{path} is not a check", value=type(err).__name__, action=advice) from None


def decimals(value: float, error: float) -> str:
    """A value with as many decimals as its error has at one or two digits."""
    places = 0 if error >= 2 else 1 if error >= 0.1 else 2
    return f"{value:.{places}f}"


def per_cent(value: float, error: float) -> str:
    """A share with its error: "93 ± 4 %", with a decimal where the error is below one per cent."""
    places = 0 if error >= 0.0095 else 1
    return f"{100 * value:.{places}f} ± {max(100 * error, 0.1):.{places}f} %"
