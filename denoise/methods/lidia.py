"""LIDIA: every patch of a channel is denoised together with those that are most like it.

The network (`denoise.networks.lidia`) wants white noise of one known sigma. So the data are divided by the sigma of the
noise model, the correlation of the noise is taken out (`denoise.transforms.whitening`), every channel is denoised by
itself, and the correlation is put back. A network that sees one channel takes a faint source for noise. So in regions
that a search of the whole cube finds, what the network left goes through the gates of `ist` and is added, and then the
mean of what still remains (`denoise.transforms.flux`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from denoise.methods._adaptation import NUMBERS, numbers_of, refused, said
from denoise.methods._gates import MOST, left_for_gates, shrunk, trained_gates
from denoise.methods.contract import Block, Denoiser, Device, Estimate, Halo, MethodInfo, Parameters, Source
from denoise.methods.smooth import FWHM_PER_SIGMA, beam_widths
from denoise.networks.backend import check_torch
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux, wavelets
from denoise.transforms.gates import BRIGHT, strength
from denoise.transforms.whitening import Whitened, filters_for, whiten

if TYPE_CHECKING:
    from denoise.networks.cells import Cells
    from denoise.networks.lidia_inference import Folded
    from denoise.networks.lidia_weights import LidiaModel

CITATION = """@article{Vaksman2020,
  author = {Vaksman, Gregory and Elad, Michael and Milanfar, Peyman},
  title = {LIDIA: Lightweight Learned Image Denoising with Instance Adaptation},
  journal = {arXiv e-prints},
  eprint = {1911.07167},
  year = {2020},
}"""

# share of the reach of the gates that a halo needs, as in `ist`: far coefficients fade
_EFFECTIVE = 0.2
# bytes a pixel of a plane (neighbours, what patches say, images), a voxel, and a thread (patches at work)
_PLANE, _VOXEL, _THREAD = 1_200, 100, 80_000_000
# bytes of an adaptation: what is kept of the cube and simulated, and a thread (one image forward and backward)
_KEPT, _LEARNING = 200_000_000, 400_000_000


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
    adapt: Literal["none", "r2r", "internal"] = Field(
        "none",
        description="go on training on this cube, some minutes, against the data with noise of their own (r2r) or "
        "against the network's own result (internal: what is faint may go); the universal network is used unless "
        "cells that were held out improve by more than two standard errors and faint sources keep their flux",
    )
    adapt_steps: int = Field(100, ge=1, le=10000, description="of that training, at most")


class State(NamedTuple):
    """What an adaptation leaves: weights by their names, None: those of the model; numbers for the report."""

    weights: dict[str, Block] | None
    numbers: dict[str, float]


class Lidia(Denoiser):
    """Patches with their nearest neighbours; see the module."""

    Parameters = LidiaParameters
    info: ClassVar[MethodInfo] = MethodInfo(
        name="lidia",
        summary="Trained network on patches and those most like them, channel by channel; for images and textures",
        citation=CITATION,
        diagnostics=NUMBERS,
        remarks=True,
    )

    def __init__(
        self, *, positivity: bool = False, threads: int = 1, device: Device = "auto", **parameters: Any
    ) -> None:
        super().__init__(positivity=positivity, threads=threads, device=device, **parameters)
        check_torch(f"method {self.info.name}")

    @property
    def weights(self) -> str:
        """Checksums of the network's weights and of the gates."""
        from denoise.networks.recipe import LidiaRecipe
        from denoise.networks.weights import checksum_of, model_folder

        network = checksum_of(model_folder(self.parameters.model, LidiaRecipe.family))
        return f"{network} {trained_gates().checksum}"

    @property
    def passes(self) -> int:
        """One to learn from, where the network is adapted."""
        return int(self.parameters.adapt != "none")

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
        channels, pixels, _ = (math.ceil(_EFFECTIVE * far) for far in wavelets.halo(*_scales(shape)))
        gates = max(channels, BRIGHT[0] + 2) + more[0], max(pixels, BRIGHT[1] + 2) + more[1]
        deep = max(search[0], self._beside) + gates[0]
        side = max(search[1], REACH + beyond) + gates[1]
        if self.passes:
            side = max(side, self._cells(noise, 0).reach)
        return Halo(deep if shape[0] > 1 else 0, side, side)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block; one channel, or one step of an adaptation, is at work at a time."""
        from denoise.networks.neighbours import BORDER

        plane = (shape[1] + 2 * BORDER) * (shape[2] + 2 * BORDER)
        applied = _PLANE * plane + _VOXEL * int(np.prod(shape)) + _THREAD * self.threads
        return max(applied, self.passes * (_KEPT + _LEARNING * self.threads))

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> State | None:
        """Go on training on the cube if that is asked for, and keep the weights that the gate lets pass."""
        if not self.passes:
            return None
        cells = self._cells(noise, seed)
        for sample in source:
            if cells.enough:
                cells.look(*sample)
        return (
            self._adapted(cells, source, seed) if cells.enough else State(None, refused(cells.blocks.judges))
        )

    def _adapted(self, cells: Cells, source: Source, seed: int) -> State:
        from denoise.networks.lidia_tuning import TUNING, LidiaSubject, adapt

        tuning = replace(TUNING, seed=seed, steps=self.parameters.adapt_steps)
        both, targets = not self.positivity, self.parameters.adapt
        subject = LidiaSubject(self._model, (cells,), targets, tuning, both, self.threads)
        verdict = adapt(subject, lambda *event: source.tell("adapting the network", *event))
        weights = {name: value.numpy() for name, value in verdict.weights.items()}
        return State(weights if verdict.adopted else None, numbers_of(verdict))

    def _cells(self, noise: NoiseModel, seed: int) -> Cells:
        from denoise.networks.cells import Cells

        width = math.sqrt(math.prod(beam_widths(noise))) * FWHM_PER_SIGMA
        return Cells(noise, seed, width, self._beside)

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """Whether the network was adapted, with the numbers of the gate."""
        return said(numbers)

    def apply(self, block: Block, noise: NoiseModel, state: State | None) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        sigma, both = noise.sigma(), not self.positivity
        data, valid = detection.standardise(block, sigma, threads=self.threads)
        white = self._whitened(data, valid, noise)
        estimate = self._denoised(white.data, valid, state)
        seen = detection.find_emission(data, valid, noise, both_signs=both, threads=self.threads)
        region = seen.found.region
        self._complete(estimate, white, region, _scales(noise.cube_shape))  # of the cube: tiles agree
        found = white.restore(estimate, region, threads=self.threads)
        result = np.where(valid, found * sigma, np.float32(0)).astype(np.float32, copy=False)
        return Estimate(result, diagnostics={} if state is None else state.numbers)

    def _complete(self, estimate: Block, white: Whitened, region: Block, scales: tuple[int, int]) -> None:
        """Add what the network left of the emission found, in place."""
        rest = white.data - estimate
        left = left_for_gates(white.noise, scales)
        near = strength(rest, left, threads=self.threads)
        estimate += shrunk(rest, white.noise, scales, region=region, strength=near, threads=self.threads)
        bright = strength(white.data, left, threads=self.threads)
        flux.put_back(estimate, white.data, region=region, strength=bright, threads=self.threads)

    def _whitened(self, data: Block, valid: NDArray[np.bool_], noise: NoiseModel) -> Whitened:
        """White to the last digit: which of two patches is nearer must not depend on tiles."""
        fine: Any = data.astype(np.float64)
        white = whiten(fine, valid, noise, threads=self.threads)
        return white._replace(block=data, data=white.data.astype(np.float32))

    def _denoised(self, white: Block, valid: NDArray[np.bool_], state: State | None = None) -> Block:
        """Every channel with coverage, by itself, in units of sigma; nothing but noise is taken off."""
        from denoise.networks.lidia_inference import less_noise
        from denoise.networks.neighbours import with_border

        network, out = self._network(state), np.zeros_like(white)
        for k in np.flatnonzero(valid.any(axis=(1, 2))).tolist():
            first = max(0, k - self._beside)
            planes = with_border(white[first : k + self._beside + 1])
            found = less_noise(network, planes, k - first, both=not self.positivity, threads=self.threads)
            np.copyto(out[k], found, where=valid[k])
        return out

    def _network(self, state: State | None) -> Folded:
        from denoise.networks.lidia_inference import adapted

        if state is None or state.weights is None:
            return self._model.network
        return adapted(self._model.network, state.weights)


def _scales(shape: tuple[int, int, int]) -> tuple[int, int]:
    spatial, spectral = wavelets.default_scales(shape)
    return min(spatial, MOST[0]), min(spectral, MOST[1])
