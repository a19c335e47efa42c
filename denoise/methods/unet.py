"""3D U-Net: a trained network weighs the sub-bands of the data, where the noise is white.

The network (`denoise.networks.unet3d`) sees significances at all scales with everything around them, and says what
share of each coefficient of the data to keep, a correction, and how far off the result may be. What it leaves of the
flux in regions that a search finds is put back from the residual, as `ist` does (`denoise.transforms.flux`).
"""

from __future__ import annotations

import warnings
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from denoise.errors import DenoiseWarning
from denoise.methods.contract import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters
from denoise.networks.backend import check_torch
from denoise.networks.scalespace import Grid, NoiseNumbers, network_reach, noise_numbers, scale_space
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux, positivity, wavelets
from denoise.transforms.gaps import WIDEST, bridged
from denoise.transforms.gates import BRIGHT, SIDE, strength
from denoise.transforms.whitening import Whitened, filters_for

if TYPE_CHECKING:
    from denoise.networks.weights import Model

CITATION = """@article{Lahiry2026,
  author = {Lahiry and others},
  title = {Deep and Sparse Denoising Benchmarks for Spectral Data Cubes of High-z Galaxies},
  journal = {arXiv e-prints},
  eprint = {2602.10893},
  year = {2026},
}"""

_EFFECTIVE = 0.5  # share of the reach of network and transform that a halo needs: beyond it nothing is seen
_BYTES = 640  # a voxel: sub-bands three times over, and features


class UnetParameters(Parameters):
    """What users can set."""

    preset: Literal["small", "base"] = Field("small", description="which of the packaged networks")
    model: str | None = Field(
        None,
        description="another trained network: a name in models/, or the folder that `denoise train` or `fine-tune` "
        "wrote",
    )
    flips: Literal[1, 2, 4, 8] = Field(
        1,
        description="mean over mirror images (2: of x, 4: of y too, 8: of the spectrum too): slower, a little better",
    )

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model or f"unet3d-{self.preset}"


class _Weighed(NamedTuple):
    """Result of the network for one block: whitened data units, and the variance in sigma squared."""

    data: Block
    variance: Block


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
    )

    def __init__(self, *, positivity: bool = False, threads: int = 1, **parameters: Any) -> None:
        super().__init__(positivity=positivity, threads=threads, **parameters)
        check_torch("method unet")

    @property
    def weights(self) -> str:
        """Checksum of the network's weights."""
        from denoise.networks.weights import checksum_of, model_folder

        return checksum_of(model_folder(self.parameters.name))

    @property
    def _model(self) -> Model:
        from denoise.networks.weights import load_model

        return load_model(self.parameters.name)

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """Network and transform as far as they matter, the filters that whiten, and the search.

        Warns
        -----
        DenoiseWarning
            The network is not trained: every plan asks for the halo, so that every run says so.
        """
        from denoise.networks.weights import recipe_of

        recipe = recipe_of(self.parameters.name)
        if not recipe.trained:
            warnings.warn(
                DenoiseWarning(
                    f"model {recipe.name} is not trained: its weights are those that a training starts from; do "
                    "not use the result for science (denoise train makes a model, --set model=FOLDER uses it)"
                ),
                stacklevel=2,
            )
        network = network_reach(recipe.network.blocks)
        scales = (min(most, SIDE - 1) for most in wavelets.default_scales(shape))
        pixels, channels = (2 * (2**scale - 1) for scale in scales)
        filters = filters_for(noise)
        beyond = 0 if filters is None else filters.reach + filters.spread
        search = detection.emission_halo(shape, noise)
        deep = max(search[0], BRIGHT[0] + 2, ceil(_EFFECTIVE * (network[0] + channels))) + WIDEST
        side = max(search[1], BRIGHT[1] + 2 + beyond, ceil(_EFFECTIVE * (network[1] + pixels)) + beyond)
        later = [(flux, True), (positivity, self.positivity)]
        after = [step.halo(shape[0]) for step, used in later if used]
        deep, side = deep + sum(far for far, _ in after), side + sum(far for _, far in after)
        return Halo(deep if shape[0] > 1 else 0, side, side)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block: sub-bands and features of all of it."""
        return _BYTES * int(np.prod([n + 8 for n in shape]))

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        sigma = noise.sigma()
        data, valid = detection.standardise(block, sigma, threads=self.threads)
        both = not self.positivity
        seen = detection.find_emission(data, valid, noise, both_signs=both, threads=self.threads)
        whole = bridged(seen.white.data, valid)
        found = self._weigh(whole, seen.white, noise)
        estimate, support = self._with_flux(found.data, whole, seen), seen.support
        if self.positivity:
            estimate = positivity.without_negatives(estimate, valid, threads=self.threads)
        known = np.where(valid, sigma, np.float32(0))
        return Estimate(estimate * known, variance=found.variance * np.square(known), support=support)

    def _with_flux(self, estimate: Block, whole: Block, seen: detection.Emission) -> Block:
        """The flux that the network left out of the regions found, and the correlation put back."""
        white, region = seen.white, seen.found.region
        left = detection.noise_left(white.noise, noise_numbers(white.noise).scales)
        near = strength(whole, left, threads=self.threads)
        flux.put_back(estimate, whole, region=region, strength=near, threads=self.threads)
        return white.restore(estimate, region, threads=self.threads)

    def _weigh(self, whole: Block, white: Whitened, noise: NoiseModel) -> _Weighed:
        from denoise.networks.inference import weigh

        model = self._model
        grid = Grid.of(noise.shape, noise.start, image=noise.cube_shape[0] == 1)
        numbers: NoiseNumbers = noise_numbers(white.noise)
        space = scale_space(whole, numbers, grid, threads=self.threads)
        data, spread = weigh(
            model, space, numbers, both=not self.positivity, flips=self.parameters.flips, threads=self.threads
        )
        return _Weighed(grid.pixels(data), grid.pixels(spread))
