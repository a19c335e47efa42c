"""What a method makes of the cube itself: where its emission is, and how bright."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoise.check.readers import readers_of
from denoise.check.recovery.placing import Mask
from denoise.check.recovery.sources import FOOTPRINT, Block
from denoise.check.regions.finding import MIN_SNR, FoundRegion, find_regions, output_level
from denoise.check.regions.null import dilated
from denoise.check.regions.separate import ALONE
from denoise.check.rig import Rig
from denoise.engine import Result

_LOOKED_AT = 200  # brightest connected sets of the output


@dataclass(frozen=True)
class Baseline:
    """What the method makes of the cube itself.

    Attributes
    ----------
    rig : Rig
        The method on the cube.
    result : Result
        Of the cube.
    level : float
        In sigma: what output has to exceed to be a region.
    emission : tuple of FoundRegion
        Regions of it.
    """

    rig: Rig
    result: Result
    level: float
    emission: tuple[FoundRegion, ...]

    @classmethod
    def of(cls, rig: Rig) -> Baseline:
        """Run the method and look at what it finds."""
        result = rig.run()
        readers = readers_of(result)
        level = output_level(readers)
        found, _ = find_regions(readers, rig.noise, level=level, min_snr=MIN_SNR, limit=_LOOKED_AT)
        return cls(rig, result, level, tuple(found))

    @cached_property
    def output(self) -> Block:
        """The denoised cube, shape (channel, y, x); NaN without coverage and where excluded."""
        return self.rig.pixels_of(self.result)

    @property
    def sure(self) -> list[FoundRegion]:
        """The regions that are surely real: sources are kept off them."""
        return [one for one in self.emission if one.snr >= ALONE]

    @property
    def main(self) -> FoundRegion | None:
        """The region of the most flux."""
        positive = [one for one in self.sure if one.sign > 0]
        return max(positive, key=lambda one: one.flux, default=None)

    def real(self) -> Mask:
        """Voxels of emission or absorption, grown by the correlation of the noise."""
        mask = np.asarray(self.result.support.read())
        for one in self.sure:
            mask[one.box] |= one.footprint
        return dilated(mask, self.rig.noise.correlation_fwhm)


def found_peak(base: Baseline) -> float | None:
    """Peak SNR of the output in the emission of the most flux; None where there is none."""
    return None if base.main is None else float(base.main.peak)


def found_snr(base: Baseline) -> float | None:
    """Peak SNR of the emission of the most flux, by a least-squares fit of its shape to the input.

    The noise of a peak is that of a voxel, the noise of the fit that of the whole source.
    """
    if base.main is None:
        return None
    one, rig = base.main, base.rig
    output = np.where(one.footprint, np.nan_to_num(base.output[one.box]), 0.0).astype(np.float64)
    shape, sigma = output / output.max(), rig.noise.sigma(one.box).astype(np.float64)
    data = rig.data(one.box)
    use = (shape > FOOTPRINT) & np.isfinite(data) & (sigma > 0)
    weight = shape[use] / sigma[use] ** 2
    scale = float(weight.max())  # 1e-20 fluxes
    height = float((weight / scale) @ data[use] / ((weight / scale) @ shape[use]))
    return height / float(sigma[np.unravel_index(int(np.argmax(shape)), shape.shape)])
