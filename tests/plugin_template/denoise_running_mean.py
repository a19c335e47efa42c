"""A method for astro-denoise: the mean of neighbouring channels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.ndimage import uniform_filter1d

from denoise.methods import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters
from denoise.noise import NoiseModel


class RunningMeanParameters(Parameters):
    """What a user may set; the descriptions are what ``denoise methods running-mean`` shows."""

    reach: int = Field(1, ge=1, le=50, description="channels to either side that are averaged")


class RunningMean(Denoiser):
    """Mean over ``2 reach + 1`` channels; voxels without coverage do not count."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="running-mean",  # that of the entry point
        summary="Mean of neighbouring channels: linear, for lines much wider than a channel",
        citation="@misc{runningmean, author = {Author, A.}, title = {The running mean}, year = {2026}}",
        uses_noise=False,
        linear=True,
    )
    Parameters: ClassVar[type[Parameters]] = RunningMeanParameters

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """How far a voxel of the result looks around itself: the engine cuts tiles by it."""
        return Halo(channel=self.parameters.reach, y=0, x=0)

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block (channel, y, x), NaN where there is no coverage; `block` stays as it is."""
        width = 2 * self.parameters.reach + 1
        covered = np.isfinite(block)
        data = np.where(covered, block, 0).astype(np.float64)
        total = uniform_filter1d(data, width, axis=0, mode="constant")
        share = uniform_filter1d(covered.astype(np.float64), width, axis=0, mode="constant")
        mean = np.divide(total, share, out=np.zeros_like(total), where=covered)
        return Estimate(mean.astype(np.float32))
