"""The noise of a cube: its model, its estimate, draws from it, and robust statistics."""

from __future__ import annotations

from denoise.noise.model import NoiseModel, Tails
from denoise.noise.statistics import clipped_std, mad_std

__all__ = ["NoiseModel", "Tails", "clipped_std", "mad_std"]
