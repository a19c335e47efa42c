"""3D U-Net: a trained network weighs the sub-bands of the data, where the noise is white.

The network (`denoise.networks.unet3d`) sees significances at all scales with everything around them, and says what
share of each coefficient of the data to keep, a correction, and how far off the result may be. What it leaves of the
flux in regions that a search finds is put back from the residual, as `ist` does (`denoise.transforms.flux`). Nothing is
shown where the search finds nothing, nor where what the network makes of it does not stand out itself
(`denoise.transforms.standing`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import ceil, inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from denoise.errors import DenoiseWarning
from denoise.methods.contract import (
    Block,
    Denoiser,
    Device,
    Estimate,
    Halo,
    Limits,
    MethodInfo,
    Parameters,
    Reduction,
)
from denoise.networks import calibration
from denoise.networks.backend import check_torch
from denoise.networks.calibration import FILE as CALIBRATION
from denoise.networks.calibration import Calibration, Examined, calibration_of
from denoise.networks.guard import Guard, assess, cube_numbers, doubts, model_guard, spread_over
from denoise.networks.lines import line_width
from denoise.networks.scalespace import STEP, Grid, NoiseNumbers, network_reach, noise_numbers
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux, positivity, standing, wavelets
from denoise.transforms.gaps import WIDEST, bridged
from denoise.transforms.gates import BRIGHT, SIDE, strength
from denoise.transforms.whitening import Whitened, filters_for

if TYPE_CHECKING:
    from denoise.networks.routes import Route

CITATION = """@article{Lahiry2026,
  author = {Lahiry and others},
  title = {Deep and Sparse Denoising Benchmarks for Spectral Data Cubes of High-z Galaxies},
  journal = {arXiv e-prints},
  eprint = {2602.10893},
  year = {2026},
}"""

GUARD_NUMBERS: dict[str, Reduction] = {
    "windows": "sum",
    "unusual_windows": "sum",
    "brightest": "max",
    "noise_reach": "max",
    "channel_correlation": "max",
    "channel_steps": "max",
    "line_width": "max",
}

# share of the reach of network and transform, in channels and in pixels, that a halo needs: beyond it what is changed
# changes the result by less than a third of what tiles may differ (benchmarks/bench_unet.py --only halo)
EFFECTIVE = 0.55, 0.45
# soft edge of a region within which the result fades: what a network leaves of empty sky is noise, and clipped at zero
# it would add up to more flux than there is
_FULL = np.float32(100)
# bytes a voxel: search, inputs and answer of the network, its features (for each of the first level), a second answer
_BYTES, _BYTES_FEATURE, _BYTES_ANSWER = 100, 6, 30


class UnetParameters(Parameters):
    """What users can set."""

    preset: Literal["small", "base"] = Field("small", description="which of the packaged networks")
    model: str | None = Field(
        None,
        description="another trained network: a name in models/, or the folder that `denoise train` or `fine-tune` "
        "wrote",
    )
    precision: Literal["auto", "float32"] = Field(
        "auto",
        description="auto: shorter numbers where the processor is faster with them and a trial stays within 0.02 "
        "sigma; float32: the same on every machine but for the last digits",
    )
    flips: Literal[1, 2, 4, 8] = Field(
        1,
        description="mean over mirror images (2: of x, 4: of y too, 8: of the spectrum too): slower, a little better",
    )

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model or f"unet3d-{self.preset}"


class Weighed(NamedTuple):
    """Result of the network for one block: whitened data units, the variance in sigma squared, how unusual it is.

    `ratio` is above 1 where emission is unlike that of the training, see ``guard.assess``.
    """

    data: Block
    variance: Block
    ratio: Block
    windows: int
    unusual: int


class Mixed(NamedTuple):
    """What goes on to be restored: whitened data units, the variance beyond that of the network, and numbers."""

    data: Block
    doubt: Block | float
    numbers: Mapping[str, float]


class _Denoised(NamedTuple):
    """One block: the result with its predicted error and the emission found, variance beyond it, diagnostics."""

    result: Examined
    doubt: Block | float
    numbers: Mapping[str, float]


class Unet(Denoiser):
    """Trained 3D U-Net; see the module."""

    Parameters = UnetParameters
    info: ClassVar[MethodInfo] = MethodInfo(
        name="unet",
        summary="Trained 3D U-Net with an error for every voxel; best on sources like those it was trained on",
        citation=CITATION,
        device=("cpu", "cuda"),
        variance=True,
        calibrated=True,
        diagnostics=GUARD_NUMBERS,
        remarks=True,
    )

    def __init__(
        self, *, positivity: bool = False, threads: int = 1, device: Device = "auto", **parameters: Any
    ) -> None:
        super().__init__(positivity=positivity, threads=threads, device=device, **parameters)
        check_torch(f"method {self.info.name}")

    @property
    def weights(self) -> str:
        """Checksum of the network's weights."""
        from denoise.networks.weights import checksum_of, model_folder

        return checksum_of(model_folder(self.parameters.name))

    @property
    def _calibration(self) -> Calibration | None:
        from denoise.networks.weights import checksum_of, model_folder

        folder = model_folder(self.parameters.name).resolve()
        return calibration_of(folder, checksum_of(folder))

    @property
    def limits(self) -> Limits | None:
        """As its calibration says."""
        found = self._calibration
        return None if found is None else Limits(*found.side(positivity=self.positivity).limits)

    @property
    def backend(self) -> str:
        """What computes the network in this process."""
        return self._route.label

    @property
    def _route(self) -> Route:
        from denoise.networks.routes import route_for

        return route_for(self.parameters.name, self.device, exact=self.parameters.precision == "float32")

    @property
    def rounding(self) -> float:
        """What a route may be off, unless float32 was asked for."""
        from denoise.networks.routes import WORST

        return 0.0 if self.parameters.precision == "float32" else WORST

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """Network and transform as far as they matter, the filters that whiten, and the search.

        Warns
        -----
        DenoiseWarning
            The network is not trained, or its errors not calibrated: every plan asks for the halo, so that every
            run says so.
        """
        from denoise.networks.weights import recipe_of

        recipe = recipe_of(self.parameters.name)
        if not recipe.trained:
            _warn(
                f"model {recipe.name} is not trained: its weights are those that a training starts from; do "
                "not use the result for science (denoise train makes a model, --set model=FOLDER uses it)"
            )
        elif self._calibration is None:
            _warn(
                f"the errors of model {recipe.name} are not calibrated: its folder holds no {CALIBRATION} (denoise "
                "train --resume makes one)"
            )
        network = network_reach(recipe.network.blocks)
        scales = (min(most, SIDE - 1) for most in wavelets.default_scales(shape))
        pixels, channels = (2 * (2**scale - 1) for scale in scales)
        filters = filters_for(noise)
        beyond = 0 if filters is None else filters.reach + filters.spread
        search = detection.emission_halo(shape, noise)
        around = calibration.AROUND
        deep = (
            max(search[0] + around[0], BRIGHT[0] + 2, ceil(EFFECTIVE[0] * (network[0] + channels))) + WIDEST
        )
        side = max(
            search[1] + around[1], BRIGHT[1] + 2 + beyond, ceil(EFFECTIVE[1] * (network[1] + pixels)) + beyond
        )
        later = [(flux, True), (positivity, self.positivity), (calibration, True)]
        after = [step.halo(shape[0]) for step, used in later if used]
        after.append(standing.halo(detection.search_scales(shape)))
        deep, side = deep + sum(far for far, _ in after), side + sum(far for _, far in after)
        return Halo(deep if shape[0] > 1 else 0, side, side)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block, measured: ``benchmarks/bench_unet.py --only memory``."""
        from denoise.networks.weights import recipe_of

        more: int = (not self.positivity) + (self.parameters.flips > 1) * 2
        each = _BYTES + _BYTES_FEATURE * recipe_of(self.parameters.name).network.widths[0]
        padded = Grid.of(shape, (STEP[0] - 1, STEP[1] - 1, STEP[2] - 1), image=shape[0] == 1).padded
        return (each + _BYTES_ANSWER * more) * int(np.prod(padded))

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        found = self._denoised(block, noise)
        known = np.where(found.result.valid, noise.sigma(), np.float32(0))
        error, known_errors = found.result.spread, self._calibration
        if known_errors is not None:
            side = known_errors.side(positivity=self.positivity)
            error = side.factor.error(found.result, threads=self.threads)
        variance = np.asarray((np.square(error) + found.doubt) * np.square(known), np.float32)
        return Estimate(
            found.result.data * known,
            variance=variance,
            support=found.result.found,
            diagnostics=found.numbers,
        )

    def examine(self, block: Block, noise: NoiseModel) -> Examined:
        """Result and predicted error of one block (channel, y, x), not calibrated, in units of sigma."""
        return self._denoised(block, noise).result

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """What is unlike the training of the network."""
        from denoise.networks.weights import recipe_of

        guard = self._guard
        lines = inf if guard is None else guard.lines.item()
        return doubts(recipe_of(self.parameters.name), numbers, guarded=guard is not None, lines=lines)

    def _denoised(self, block: Block, noise: NoiseModel) -> _Denoised:
        data, valid = detection.standardise(block, noise.sigma(), threads=self.threads)
        both = not self.positivity
        seen = detection.find_emission(data, valid, noise, both_signs=both, threads=self.threads)
        white, region, whole = seen.white, seen.found.region, bridged(seen.white.data, valid)
        weighed = self._weigh(whole, white, noise)
        left = detection.noise_left(white.noise, noise_numbers(white.noise).scales)
        near = strength(whole, left, threads=self.threads)
        mixed = self._mixed(weighed, whole, white, noise, region, near)
        kept = self._standing(mixed.data, white.noise, region)
        region = region * kept
        mixed.data[...] *= np.minimum(_FULL * region, 1)
        # the flux that was left out of the regions found, and the correlation
        flux.put_back(mixed.data, whole, region=region, strength=near, threads=self.threads)
        estimate = white.restore(mixed.data, region, threads=self.threads)
        shown = white.widened(region > 0, self.threads) & valid
        if self.positivity:
            estimate = positivity.without_negatives(estimate, shown, threads=self.threads)
        else:
            estimate = np.where(shown, estimate, np.float32(0))
        width, most = line_width(estimate), float(np.abs(data).max())
        numbers = cube_numbers(noise, most, weighed.windows, weighed.unusual, width)
        spread = np.maximum(np.sqrt(weighed.variance), np.float32(calibration.LEAST))
        found = white.widened(seen.found.support & (kept > 0.5), self.threads) & valid
        result = Examined(estimate, spread, near, valid, found)
        return _Denoised(result, mixed.doubt, {**numbers, **mixed.numbers})

    def _search_left(self, white: NoiseModel) -> NDArray[np.float32]:
        """What noise keeps at the scales of a search, those of the cube: tiles agree."""
        return detection.noise_left(white, detection.search_scales(white.cube_shape))

    def _standing(self, estimate: Block, white: NoiseModel, region: Block) -> Block:
        """Share of every voxel to show, see ``standing``."""
        left, both = self._search_left(white), not self.positivity
        return standing.standing(estimate, left, region, both_signs=both, threads=self.threads)

    def _mixed(
        self, found: Weighed, whole: Block, white: Whitened, noise: NoiseModel, region: Block, near: Block
    ) -> Mixed:
        """What the method makes of the network's result; here nothing else."""
        return Mixed(found.data, 0.0, {})

    def _weigh(self, whole: Block, white: Whitened, noise: NoiseModel) -> Weighed:
        from denoise.networks.inference import weigh

        grid = Grid.of(noise.shape, noise.start, image=noise.cube_shape[0] == 1)
        numbers: NoiseNumbers = noise_numbers(white.noise)
        both, ratio, windows, unusual = not self.positivity, np.zeros((1, 1, 1), np.float32), 0, 0

        def look(inputs: Block) -> None:
            nonlocal ratio, windows, unusual
            ratio, windows, unusual = self._assessed(inputs, numbers, both=both)

        data, variance = weigh(
            self._route,
            whole,
            numbers,
            grid,
            both=both,
            flips=self.parameters.flips,
            threads=self.threads,
            look=look,
        )
        return Weighed(data, variance, spread_over(ratio, grid.padded)[grid.inside], windows, unusual)

    def _assessed(self, inputs: Block, numbers: NoiseNumbers, *, both: bool) -> tuple[Block, int, int]:
        """What the guard says, see ``guard.assess``; nothing without one."""
        from denoise.networks.weights import load_model

        guard = self._guard
        if guard is None:
            return np.zeros((1, 1, 1), np.float32), 0, 0
        network = load_model(self.parameters.name).network
        return assess(guard, network, inputs, numbers.numbers, both=both, threads=self.threads)

    @property
    def _guard(self) -> Guard | None:
        from denoise.networks.weights import checksum_of, model_folder

        folder = model_folder(self.parameters.name)
        return model_guard(folder, checksum_of(folder))


def _warn(text: str) -> None:
    warnings.warn(DenoiseWarning(text), stacklevel=3)
