"""NoiSER: contrast for display from a tiny network that was taught to reproduce noise.

Its values have no unit and do not grow in proportion to the flux (Zhang et al. 2022, arXiv:2211.04700, and
`denoise.networks.noiser`). With ``restore="photometric"`` it only guides: the data are smoothed where the guide is
smooth (`denoise.transforms.guided`), which keeps every sum, and sources that are injected into the cube have to come
back with their flux, or the result stays one for display.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from denoise.errors import ParameterError
from denoise.methods._restore import LIMIT, Injected, Probe, calibration, injections
from denoise.methods.contract import (
    Block,
    Denoiser,
    Estimate,
    Halo,
    MethodInfo,
    Parameters,
    Reduction,
    Sample,
    Source,
)
from denoise.methods.smooth import beam_widths
from denoise.networks.noiser import (
    AT_ONCE,
    REACH,
    TAPS,
    Frozen,
    Moments,
    enhance,
    freeze,
    moments_of,
    neighbourhoods,
    values,
)
from denoise.noise import NoiseModel
from denoise.transforms.guided import guided_mean, reach

CITATION = """@article{Zhang2022,
  author = {Zhang, Zhao and Zhao, Suiyi and Jin, Xiaojie and Xu, Mingliang and Yang, Yi and Yan, Shuicheng},
  title = {NoiSER: Noise is All You Need for Enhancing Low-Light Images Without Task-Related Data},
  journal = {arXiv e-prints},
  eprint = {2211.04700},
  year = {2022},
}"""

SMOOTHING = 0.4
_EDGE = 6.0  # sigma of the guide's own noise across which nothing is exchanged
_PROBED = (4, 64, 64)  # voxels of noise from which that is measured
_GUIDE_DRAW = 2
_NUMBERS: dict[str, Reduction] = {
    "restore_passed": "max",
    "linearity_error_percent": "max",
    "injected_sources": "max",
    "restore_gain": "max",
    "restore_offset_sigma": "max",
}


class NoiserParameters(Parameters):
    """What users can set."""

    smoothing: float = Field(
        SMOOTHING,
        ge=0,
        le=0.45,
        description="weight of the total variation in the training: 0 leaves the noise, more smooths more and flattens "
        "faint structure; another value than the default is trained once, in half a minute, and kept in the cache",
    )
    clip: float | None = Field(
        5.0,
        ge=3,
        le=1000,
        description="voxels further than so many standard deviations from the mean do not count in the contrast, so "
        "that a bright source does not dim the faint ones; none: all count, as published",
    )
    region: tuple[int, int, int, int] | None = Field(
        None,
        description="rows and columns y0, y1, x0, x1 (from 0, ends not included) whose contrast sets that of all; "
        "none: the whole field",
    )
    restore: Literal["none", "photometric"] = Field(
        "none",
        description="photometric: the data themselves, smoothed where the enhanced image is smooth, in their unit if "
        "injected sources of 3 to 50 sigma come back within 10 % of their flux",
    )

    @model_validator(mode="after")
    def _region_in_order(self) -> Self:
        if self.region is not None:
            y0, y1, x0, x1 = self.region
            if not (0 <= y0 < y1 and 0 <= x0 < x1):
                raise ValueError("region is y0, y1, x0, x1 with 0 <= y0 < y1 and 0 <= x0 < x1")
        return self


class Guide(NamedTuple):
    """The network with the statistics of the cube, and what is standardised before it: ``(x - mean) / spread``."""

    mean: float
    spread: float
    network: Frozen

    def of(self, block: Block, *, threads: int) -> Block:
        """The enhanced block (channel, y, x); missing voxels count as the mean."""
        return enhance(_standard(block, self.mean, self.spread), self.network, threads=threads)


class Restored(NamedTuple):
    """How the guide weighs the data: ``gain * guided_mean + offset``, and what injected sources said."""

    width: tuple[float, float]
    edge: float
    gain: float = 1.0
    offset: float = 0.0
    injected: tuple[Injected, ...] = ()

    def of(self, block: Block, guide: Guide, *, threads: int) -> Block:
        """The restored block (channel, y, x), NaN where the block is."""
        shown = guide.of(block, threads=threads)
        smooth = guided_mean(block, shown, width=self.width, edge=self.edge, threads=threads)
        return np.float32(self.gain) * smooth + np.float32(self.offset)

    @property
    def error(self) -> float:
        """Largest relative error of the flux of an injected source; infinite if none was."""
        return max((abs(one.ratio - 1) for one in self.injected), default=float("inf"))

    @property
    def passed(self) -> bool:
        """Whether every source came back."""
        return self.error <= LIMIT

    def numbers(self, sigma: float) -> dict[str, float]:
        """For the report."""
        found = {
            "restore_passed": float(self.passed),
            "injected_sources": float(len(self.injected)),
            "restore_gain": self.gain,
            "restore_offset_sigma": self.offset / sigma,
        }
        return found | ({"linearity_error_percent": 100 * self.error} if self.injected else {})


class State(NamedTuple):
    """What the fit leaves."""

    guide: Guide
    restored: Restored | None
    sigma: float


class Noiser(Denoiser):
    """Enhancer for display; see the module."""

    Parameters = NoiserParameters
    info: ClassVar[MethodInfo] = MethodInfo(
        name="noiser",
        summary="Contrast for display from a tiny network, in milliseconds: values without unit unless restored",
        category="enhancer",
        citation=CITATION,
        passes=2,
        diagnostics=_NUMBERS,
        remarks=True,
    )

    @property
    def passes(self) -> int:
        """Mean and spread, then the neighbourhoods; the injected sources read the cube once more."""
        return 3 if self._restores else 2

    @property
    def _restores(self) -> bool:
        return bool(self.parameters.restore == "photometric")

    @property
    def weights(self) -> str:
        """Checksum of the network's weights."""
        from denoise.networks.noiser_training import trained

        return trained(self.parameters.smoothing).checksum

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """The two convolutions; restored, also the smoothing and the aperture of an injected source."""
        if not self._restores:
            return Halo(0, REACH, REACH)
        return Halo(*_probe(noise).reach(shape[0]))

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Standardised data, result and guide; the neighbourhoods of a part of a channel in double precision."""
        return (16 + 16 * self._restores) * prod(shape) + 24 * TAPS * AT_ONCE

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> State:
        """Contrast of the cube; restored, calibrate the weights and inject sources."""
        from denoise.networks.noiser_training import trained

        network = trained(self.parameters.smoothing).weights
        mean, spread = self._level(source)
        around = self._around(source, mean, spread)
        guide = Guide(mean, spread, freeze(network, around))
        restored = self._restored(guide, source, noise, seed) if self._restores else None
        return State(guide, restored, noise.typical)

    def apply(self, block: Block, noise: NoiseModel, state: State) -> Estimate:
        """Enhance one block: numbers from -1 to 1, or the restored data where every injected source came back."""
        restored = state.restored
        if restored is None:
            return Estimate(state.guide.of(block, threads=self.threads))
        numbers = restored.numbers(state.sigma)
        if not restored.passed:
            return Estimate(state.guide.of(block, threads=self.threads), diagnostics=numbers)
        data = restored.of(block, state.guide, threads=self.threads)
        return Estimate(np.nan_to_num(data, copy=False), diagnostics=numbers)

    def keeps_unit(self, state: State) -> bool:
        """Only where the data were restored and every injected source came back."""
        return state.restored is not None and state.restored.passed

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """Whether the injected sources came back."""
        if "restore_passed" not in numbers:
            return []
        count = int(numbers["injected_sources"])
        if not count:
            return [
                "photometric restore FAILED: no source could be injected, so that the output is for display"
            ]
        error = f"{count} injected sources of 3 to 50 sigma: flux off by {numbers['linearity_error_percent']:.1f} %"
        limit = f"at most (limit {100 * LIMIT:.0f} %)"
        if numbers["restore_passed"]:
            return [f"photometric restore passed: {error} {limit}"]
        return [f"photometric restore FAILED: {error} {limit}, so that the output is for display"]

    def _level(self, source: Source) -> tuple[float, float]:
        """Mean and standard deviation of the voxels that count.

        Raises
        ------
        ParameterError
            There are none with contrast in the region.
        """
        total = moments_of(
            (
                part
                for sample in source
                for plane, wanted in zip(sample.data, self._chosen(sample), strict=True)
                for part in values(plane, wanted)
            ),
            1,
        )
        spread = float(np.sqrt(total.covariance[0, 0]))
        if not spread > 0:
            raise ParameterError(
                "method noiser finds no contrast in the region whose statistics it takes",
                value=f"{total.number} voxels, region {self.parameters.region}",
                action="choose a region with data, or leave region out",
            )
        return float(total.mean[0]), spread

    def _around(self, source: Source, mean: float, spread: float) -> Moments:
        """Statistics of the 3 x 3 neighbourhoods of the voxels that count and are not clipped."""
        limit = self.parameters.clip or np.inf

        def parts() -> Iterator[Block]:
            for sample in source:
                chosen = self._chosen(sample)
                for data, wanted in zip(sample.data, chosen, strict=True):
                    plane = _standard(data, mean, spread)
                    yield from neighbourhoods(plane, wanted & (np.abs(plane) <= limit))

        return moments_of(parts(), TAPS)

    def _chosen(self, sample: Sample) -> NDArray[np.bool_]:
        """Voxels of the block that this sample answers for, with data and in the region."""
        chosen = np.zeros(sample.data.shape, bool)
        chosen[sample.core] = np.isfinite(sample.data[sample.core])
        if self.parameters.region is not None:
            y0, y1, x0, x1 = self.parameters.region
            for axis, low, high in ((1, y0, y1), (2, x0, x1)):
                place = sample.noise.start[axis] + np.arange(chosen.shape[axis])
                inside = (place >= low) & (place < high)
                chosen &= inside[:, None] if axis == 1 else inside
        return chosen

    def _restored(self, guide: Guide, source: Source, noise: NoiseModel, seed: int) -> Restored:
        probe, threads = _probe(noise), self.threads
        plain = Restored(probe.width, _EDGE * _guide_noise(guide, noise, seed))
        gain, offset = calibration(lambda data: plain.of(data, guide, threads=threads), probe, noise, seed)
        ready = plain._replace(gain=gain, offset=offset)
        found = injections(
            lambda data: ready.of(data, guide, threads=threads), probe, source, source.shape, seed
        )
        return ready._replace(injected=tuple(found))


def _standard(block: Block, mean: float, spread: float) -> Block:
    """``(x - mean) / spread`` in float32, worked out in double precision, no copy in it; 0 where data are missing."""
    out = np.subtract(
        block, np.float64(mean), dtype=np.float64, out=np.empty(block.shape, np.float32), casting="same_kind"
    )
    np.divide(out, np.float64(spread), dtype=np.float64, out=out, casting="same_kind")
    return np.nan_to_num(out, copy=False, nan=0.0)


def _probe(noise: NoiseModel) -> Probe:
    """The kernel that colours the noise, as wide as the beam: of sources, and of the smoothing."""
    width = beam_widths(noise)
    far = reach(width)
    return Probe(width, (far[0] + REACH, far[1] + REACH))


def _guide_noise(guide: Guide, noise: NoiseModel, seed: int) -> float:
    """Spread of the guide of an independent draw of the noise, about the mean of the data."""
    region = tuple(
        slice((size - most) // 2, (size - most) // 2 + most)
        for size, most in zip(noise.shape, map(min, noise.shape, _PROBED), strict=True)
    )
    draw = noise.sample((region[0], region[1], region[2]), seed=seed, draw=_GUIDE_DRAW)
    shown = guide.of(draw + np.float32(guide.mean), threads=1)
    return max(float(shown.std()), float(np.finfo(np.float32).eps))
