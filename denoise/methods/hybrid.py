"""The trained U-Net where it knows what it sees, wavelet shrinkage where it does not, and nothing of the data lost.

Both methods weigh the same sub-bands of the same whitened data, `unet` by a network that sees the surroundings and
`ist` by gates that see one position, so one search and one whitening serve both. The result goes over to `ist` where
the guard of the network (`denoise.networks.guard`) finds emission unlike that of the training, or noise from channel to
channel, and where the two differ by more than the network's own error allows. What the network leaves of the data is
searched again: what stands out of it at some scale, all of it from 4 sigma on, goes through the gates of `ist` into the
result where emission was found, so that a failure of the network costs no flux. Every weight is smooth in the data, so
that tiles agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from denoise.methods._gates import MOST, shrunk, trained_gates
from denoise.methods.contract import Block, Halo, MethodInfo
from denoise.methods.ist import CITATION as IST_CITATION
from denoise.methods.unet import CITATION as UNET_CITATION
from denoise.methods.unet import GUARD_NUMBERS, Mixed, Unet, Weighed
from denoise.networks.guard import STEPS, channel_steps
from denoise.noise import NoiseModel
from denoise.transforms import wavelets
from denoise.transforms.smoothing import box_max, box_mean
from denoise.transforms.standing import STANDS, ramp, significance
from denoise.transforms.whitening import Whitened

_UNUSUAL = (1.0, 1.5)  # over the limit of the guard: from where `ist` has a part, and all
_APART = (6.0, 12.0)  # the same of the squared difference over the variance that the network states
_AROUND = (2, 5, 5)  # half widths of the box in which the two are compared: channels, pixels
_MUCH = 0.3  # share of the emission left to `ist` that is worth a remark
_BEYOND = (12, 24)  # channels, pixels beyond the network's own halo: windows of the guard, the second search


class Hybrid(Unet):
    """U-Net and wavelets, each where it is right; see the module."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="hybrid",
        summary="Trained 3D U-Net where it knows the emission, wavelets where not, with an error for every voxel",
        citation=f"{UNET_CITATION}\n\n{IST_CITATION}",
        device=("cpu", "cuda"),
        variance=True,
        calibrated=True,
        diagnostics={**GUARD_NUMBERS, "given_back": "sum", "by_wavelets": "sum", "in_emission": "sum"},
        remarks=True,
    )

    @property
    def weights(self) -> str:
        """Checksums of network and gates."""
        return f"{super().weights} {trained_gates().checksum}"

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """That of the network, and the windows of its guard."""
        channels, y, x = super().halo(shape, noise)
        deep = 0 if channels is None or shape[0] == 1 else channels + _BEYOND[0]
        return Halo(deep, (y or 0) + _BEYOND[1], (x or 0) + _BEYOND[1])

    def _mixed(
        self, found: Weighed, whole: Block, white: Whitened, noise: NoiseModel, region: Block, near: Block
    ) -> Mixed:
        """The network's result, that of the gates where it is in doubt, and what both left behind."""
        plain = self._shrunk(whole, white.noise, region, near)
        apart = white.coloured(plain - found.data, self.threads)
        steps = channel_steps(noise)[:, None, None] / STEPS
        share = self._share(apart, found.variance, np.maximum(found.ratio, steps), region)
        mixed = found.data + share * (plain - found.data)
        returned = (1 - share) * self._left_behind(whole - mixed, white.noise, region, near)
        mixed += returned
        back = white.coloured(returned, self.threads)
        numbers = {
            "given_back": float(np.abs(back).sum(dtype=np.float64)),
            "by_wavelets": float(share.sum(dtype=np.float64)),
            "in_emission": float(region.sum(dtype=np.float64)),
        }
        return Mixed(mixed, self._doubt(apart, share, back), numbers)

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """What is unlike the training of the network, and where the network was overruled."""
        said, whole = super().remarks(numbers), numbers.get("in_emission", 0.0)
        share = numbers["by_wavelets"] / whole if whole else 0.0
        if share > _MUCH:
            said.append(
                f"{100 * share:.0f} % of the emission was left to wavelets: the network does not know it, or errs there"
            )
        return said

    def _scales(self, noise: NoiseModel) -> tuple[int, int]:
        """Of the cube: tiles agree."""
        spatial, spectral = wavelets.default_scales(noise.cube_shape)
        return min(spatial, MOST[0]), min(spectral, MOST[1])

    def _shrunk(self, whole: Block, white: NoiseModel, region: Block, near: Block) -> Block:
        return shrunk(whole, white, self._scales(white), region=region, strength=near, threads=self.threads)

    def _share(self, apart: Block, variance: Block, ratio: Block, region: Block) -> Block:
        """Part of `ist`: by how unusual the emission is, and by the difference over what the network allows."""
        box = _within(_AROUND, apart)
        squared = box_mean(np.square(apart), box, threads=self.threads)
        allowed = box_mean(np.ascontiguousarray(variance), box, threads=self.threads)
        doubt = np.maximum(ramp(squared / np.maximum(allowed, 1e-9), _APART), ramp(ratio, _UNUSUAL))
        return np.asarray(doubt * region, np.float32)

    def _left_behind(self, rest: Block, white: NoiseModel, region: Block, near: Block) -> Block:
        """Structure in the residual inside the emission found, as `ist` shrinks it; 0 where there is none."""
        if not region.any():
            return np.zeros_like(rest)
        stands = significance(
            rest, self._search_left(white), both_signs=not self.positivity, threads=self.threads
        )
        structure = box_max(stands, _within(_AROUND, rest), threads=self.threads)
        back = ramp(structure, STANDS) * region
        return self._shrunk(rest, white, back, near) if back.any() else np.zeros_like(rest)

    def _doubt(self, apart: Block, share: Block, back: Block) -> Block:
        """Variance beyond what the network states: where `ist` has a part, and where structure came back."""
        differ = np.square(apart) * share + np.square(back)
        return box_mean(differ, _within(_AROUND, apart), threads=self.threads)


def _within(half: tuple[int, int, int], block: Block) -> tuple[int, int, int]:
    """Half widths of a box; an image has one channel."""
    return (half[0] if len(block) > 1 else 0), half[1], half[2]
