"""What a tuning found, as an object, as JSON and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from denoise.check.record import Record
from denoise.metrics import Measurement

ERRORS = 2.0  # standard errors by which the default must be beaten, as a fine-tuned network must beat its own
Kind = Literal["r2r", "halves", "injection"]
KINDS: dict[Kind, str] = {
    "r2r": "error against data with noise of their own, at 1.12 times the noise",
    "halves": "error against the second half",
    "injection": "squared loss of flux of injected sources + false share of what is found",
}
UNITS: dict[Kind, str] = {"r2r": "σ²", "halves": "σ²", "injection": ""}


@dataclass(frozen=True)
class Tried:
    """One set of parameters.

    Attributes
    ----------
    parameters : dict
        Those that differ from the method's own defaults, and those of the grid.
    score : Measurement or None
        Lower is better; None where the method failed.
    difference : Measurement or None
        Score less that of the default, under the same draws; None where one of them failed.
    emission : Measurement or None
        The same difference in the emission itself: where `ist` shows it above 1 sigma; None where the score does not
        tell.
    seconds : float
        Wall time.
    failure : str
        Why there is no score; "" where there is one.
    """

    parameters: dict[str, Any]
    score: Measurement | None
    difference: Measurement | None
    emission: Measurement | None = None
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True)
class Tuned(Record):
    """Parameters of a method chosen on one cube.

    Attributes
    ----------
    input, checksum : str
        The cube.
    shape : tuple of int
        What was looked at (channel, y, x).
    part : str
        Which part of the cube that is; "" for all of it.
    method : str
        The denoiser.
    kind : {"r2r", "halves", "injection"}
        The score.
    default : dict
        The parameters that were varied, with their values by default.
    tried : tuple of Tried
        The default first.
    chosen : int
        Which of them.
    draws : int
        Draws of the noise.
    asked : dict
        How the input was read and what was done around the method.
    visible : bool
        Whether there is emission to judge by: without it the sky alone would decide, and the default stays.
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
    method: str
    kind: Kind
    default: dict[str, Any]
    tried: tuple[Tried, ...]
    chosen: int
    draws: int
    asked: dict[str, Any]
    visible: bool = True
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    version: str = ""

    @property
    def best(self) -> Tried:
        """What was chosen."""
        return self.tried[self.chosen]

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the method, to run it with."""
        return dict(self.best.parameters)

    def values(self, one: Tried) -> dict[str, Any]:
        """What was varied, with its values in this set of parameters."""
        return {name: one.parameters.get(name, value) for name, value in self.default.items()}

    def named(self, one: Tried) -> str:
        """A set of parameters in words: what was varied."""
        return ", ".join(f"{name}={word(value)}" for name, value in self.values(one).items())

    def sentence(self) -> str:
        """What was chosen, and why."""
        gain = self.best.difference
        if self.chosen and gain is not None:
            return (
                f"{self.method} with {self.named(self.best)}: its {self._error} is lower than that of the default, "
                f"{self.named(self.tried[0])}, by {self._amount(gain)} ({self.basis})."
            )
        return f"{self.method} stays with its default, {self.named(self.tried[0])}: {self._stays()} ({self.basis})."

    def _stays(self) -> str:
        """Why the default stays."""
        rival = best_scored(self.tried[1:])
        if not self.visible:
            return "there is no emission above 1 sigma to judge by"
        if rival is None or rival.difference is None:
            return "nothing else could be scored"
        if rival.difference.error == 0:
            return "nothing else makes a difference"
        if is_better(rival):
            return f"{self.named(rival)} has a lower error over all, but a higher one in the emission itself"
        amount = self._amount(rival.difference)
        if rival.difference.value >= 0:
            return f"no other has a lower {self._error}; next is {self.named(rival)}, higher by {amount}"
        less = "which is not more than two standard errors"
        return f"the {self._error} of {self.named(rival)} is lower by {amount}, {less}"

    @property
    def basis(self) -> str:
        """What the score rests on, in words."""
        if self.kind == "halves":
            return "against the second half"
        return f"{self.kind}, {self.draws} draw{'s' if self.draws > 1 else ''}"

    @property
    def _error(self) -> str:
        return "score" if self.kind == "injection" else "error"

    def _amount(self, one: Measurement) -> str:
        unit = f" {UNITS[self.kind]} a voxel" if UNITS[self.kind] else ""
        return f"{abs(one.value):.3g} ± {one.error:.2g}{unit}"

    def heading(self) -> dict[str, Any]:
        """The sentence, and the parameters to run the method with."""
        return {"sentence": self.sentence(), "parameters": self.parameters}


def word(value: Any) -> str:
    """A value as it is typed."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def is_better(one: Tried) -> bool:
    """Whether it beats the default by more than two standard errors of the difference."""
    return one.difference is not None and -one.difference.value > ERRORS * one.difference.error


def keeps_emission(one: Tried) -> bool:
    """Whether its error is not above that of the default in the emission itself."""
    return one.emission is None or one.emission.value <= 0


def best_scored(tried: Sequence[Tried]) -> Tried | None:
    """The one of the lowest score, if any has one."""
    scored = [one for one in tried if one.difference is not None]
    return min(scored, key=lambda one: one.difference.value, default=None)  # type: ignore[union-attr]


def choose_tried(tried: Sequence[Tried]) -> int:
    """The best, if it beats the default by more than two standard errors of their difference; else the default, 0.

    What is worse than the default in the emission itself is not chosen, however much it gains on the sky.

    Source: Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4.3 (the simplest
    within the standard error; here the simplest is the default, and the best of many must be clear of it).
    """
    rival = best_scored([one for one in tried[1:] if keeps_emission(one)])
    return list(tried).index(rival) if rival is not None and is_better(rival) else 0
