"""The noise of a cube: its model, its estimate, draws from it, and robust statistics."""

from __future__ import annotations

from denoise.noise.estimate import estimate_noise, memory_of_estimate
from denoise.noise.model import NoiseModel, Tails
from denoise.noise.seams import Seams
from denoise.noise.statistics import clipped_std, mad_std
from denoise.noise.tails import judge_tails
from denoise.noise.whiteness import AcfComparison, residual_acf

__all__ = [
    "AcfComparison",
    "NoiseModel",
    "Seams",
    "Tails",
    "clipped_std",
    "estimate_noise",
    "judge_tails",
    "mad_std",
    "memory_of_estimate",
    "residual_acf",
]
