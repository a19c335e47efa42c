"""LIDIA: every patch of a channel is denoised together with those that are most like it.

The network (`denoise.networks.lidia`) wants white noise of one known sigma. So the data are divided by the sigma of the
noise model, the correlation of the noise is taken out (`denoise.transforms.whitening`), every channel is denoised by
itself, and the correlation is put back. What the network leaves of the flux in regions that a search of the
cube finds is put back from the residual, as `ist` does (`denoise.transforms.flux`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from denoise.methods.contract import Block, Denoiser, Device, Estimate, Halo, MethodInfo, Parameters
from denoise.networks.backend import check_torch
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux
from denoise.transforms.gates import BRIGHT, strength
from denoise.transforms.whitening import Whitened, filters_for, whiten

if TYPE_CHECKING:
    from denoise.networks.lidia_weights import LidiaModel

CITATION = """@article{Vaksman2020,
  author = {Vaksman, Gregory and Elad, Michael and Milanfar, Peyman},
  title = {LIDIA: Lightweight Learned Image Denoising with Instance Adaptation},
  journal = {arXiv e-prints},
  eprint = {1911.07167},
  year = {2020},
}"""

MOST = np.float32(
    5
)  # sigma: noise that is further from zero does not occur, and what is taken for it is signal
# bytes a pixel of a plane (neighbours, what patches say, images), a voxel, and a thread (patches at work)
_PLANE, _VOXEL, _THREAD = 1_200, 100, 80_000_000


class LidiaParameters(Parameters):
    """What users can set."""

    model: str = Field(
        "lidia-beams",
        description="a trained network: a name in models/, or the folder that `denoise train` wrote",
    )
    neighbours: Literal["channel", "adjacent"] = Field(
        "channel",
        description="where patches are looked for: in the channel itself, or in both adjacent ones too, which biases "
        "velocities",
    )


class Lidia(Denoiser):
    """Patches with their nearest neighbours; see the module."""

    Parameters = LidiaParameters
    info: ClassVar[MethodInfo] = MethodInfo(
        name="lidia",
        summary="Trained network on patches and those most like them, channel by channel; for images and textures",
        citation=CITATION,
    )

    def __init__(
        self, *, positivity: bool = False, threads: int = 1, device: Device = "auto", **parameters: Any
    ) -> None:
        super().__init__(positivity=positivity, threads=threads, device=device, **parameters)
        check_torch(f"method {self.info.name}")

    @property
    def weights(self) -> str:
        """Checksum of the network's weights."""
        from denoise.networks.recipe import LidiaRecipe
        from denoise.networks.weights import checksum_of, model_folder

        return checksum_of(model_folder(self.parameters.model, LidiaRecipe.family))

    @property
    def _model(self) -> LidiaModel:
        from denoise.networks.lidia_weights import load_lidia

        return load_lidia(self.parameters.model)

    @property
    def _beside(self) -> int:
        return int(self.parameters.neighbours == "adjacent")

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """What a patch and its neighbours look at, all of it; the search for emission; the filters that whiten."""
        from denoise.networks.neighbours import REACH

        filters = filters_for(noise)
        beyond = 0 if filters is None else filters.reach + filters.spread
        search, more = detection.emission_halo(shape, noise), flux.halo(shape[0])
        deep = max(search[0], BRIGHT[0] + 2, self._beside) + more[0]
        side = max(search[1], BRIGHT[1] + 2 + beyond, REACH + beyond) + more[1]
        return Halo(deep if shape[0] > 1 else 0, side, side)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block; one channel is at work at a time."""
        from denoise.networks.neighbours import BORDER

        plane = (shape[1] + 2 * BORDER) * (shape[2] + 2 * BORDER)
        return _PLANE * plane + _VOXEL * int(np.prod(shape)) + _THREAD * self.threads

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        sigma, both = noise.sigma(), not self.positivity
        data, valid = detection.standardise(block, sigma, threads=self.threads)
        white = self._whitened(data, valid, noise)
        estimate = self._denoised(white.data, valid)
        # the flux that was left out of the regions found
        seen = detection.find_emission(data, valid, noise, both_signs=both, threads=self.threads)
        left = detection.noise_left(white.noise, detection.search_scales(noise.cube_shape))
        near, region = strength(white.data, left, threads=self.threads), seen.found.region
        flux.put_back(estimate, white.data, region=region, strength=near, threads=self.threads)
        found = white.restore(estimate, region, threads=self.threads)
        return Estimate(np.where(valid, found * sigma, np.float32(0)).astype(np.float32, copy=False))

    def _whitened(self, data: Block, valid: NDArray[np.bool_], noise: NoiseModel) -> Whitened:
        """White to the last digit: which of two patches is nearer must not depend on tiles."""
        fine: Any = data.astype(np.float64)
        white = whiten(fine, valid, noise, threads=self.threads)
        return white._replace(block=data, data=white.data.astype(np.float32))

    def _denoised(self, white: Block, valid: NDArray[np.bool_]) -> Block:
        """Every channel with coverage, by itself, in units of sigma; nothing but noise is taken off."""
        from denoise.networks.lidia_inference import denoised
        from denoise.networks.neighbours import with_border

        network, out = self._model.network, np.zeros_like(white)
        for k in np.flatnonzero(valid.any(axis=(1, 2))).tolist():
            first = max(0, k - self._beside)
            planes = with_border(white[first : k + self._beside + 1])
            found = denoised(network, planes, k - first, both=not self.positivity, threads=self.threads)
            np.subtract(white[k], np.clip(white[k] - found, -MOST, MOST), out=out[k], where=valid[k])
        return out
