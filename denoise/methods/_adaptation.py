"""What the gate of an adaptation said, as numbers of a run and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from denoise.methods.contract import Reduction

if TYPE_CHECKING:
    from denoise.networks.tuning import Verdict

# of the whole cube, and the same in every block
NUMBERS: dict[str, Reduction] = {
    "adapted": "max",
    "adapt_gain": "max",
    "adapt_gain_error": "max",
    "adapt_blocks": "max",
    "adapt_steps": "max",
    "faint_flux_before": "max",
    "faint_flux_after": "max",
}


def numbers_of(verdict: Verdict) -> dict[str, float]:
    """Numbers of a verdict: gain in sigma squared a pixel, shares of the flux."""
    score, flux = verdict.score, verdict.flux
    return {
        "adapted": float(verdict.adopted),
        "adapt_gain": score.gain,
        "adapt_gain_error": score.error,
        "adapt_blocks": float(score.blocks),
        "adapt_steps": float(verdict.step),
        "faint_flux_before": flux.before,
        "faint_flux_after": flux.after,
    }


def refused(blocks: int) -> dict[str, float]:
    """Numbers of a cube that is too small: so many independent blocks could judge."""
    return {"adapted": 0.0, "adapt_blocks": float(blocks)}


def said(numbers: Mapping[str, float]) -> list[str]:
    """The decision with its numbers, one sentence; nothing where there was no adaptation."""
    from denoise.networks.gate import in_words

    if "adapted" not in numbers:
        return []
    if "adapt_gain" not in numbers:
        few = int(numbers["adapt_blocks"])
        return [
            f"the network was not adapted, the universal one is used: the cube is too small to judge by parts of it "
            f"that were held out ({few} independent blocks)"
        ]
    keys = ("adapt_gain", "adapt_gain_error", "adapt_blocks", "faint_flux_before", "faint_flux_after")
    gain, error, blocks, before, after = (numbers[key] for key in keys)
    line = in_words(gain, error, int(blocks), before, after)
    if numbers["adapted"]:
        return [f"the network was adapted to the cube: {line}"]
    return [f"adaptation refused, the universal network is used: {line}"]
