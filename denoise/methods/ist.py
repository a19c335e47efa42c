"""2D-1D wavelet iterative shrinkage: the default method, its classical thresholds, and the published algorithm.

Transform: Starck et al. 2009, A&A 504, 641; Floer & Winkel 2012, PASA 29, 244. The default finds emission in scale
space by the noise model, and there multiplies every coefficient of the data by a gain between 0 and 1 that a small
trained network reads from the significances of the data at all scales (`denoise.transforms.gates`). Both are done where
the noise is white (`denoise.transforms.whitening`).
"""

from __future__ import annotations

from math import ceil
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from denoise.methods._fdr import SignificanceCounts, fdr_threshold
from denoise.methods._gates import MOST, left_for_gates, shrunk, trained_gates
from denoise.methods._ist_reference import ReferenceTuning, published
from denoise.methods.contract import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters, Source
from denoise.noise import NoiseModel
from denoise.transforms import detection, flux, positivity, wavelets
from denoise.transforms._jit import run_ranges
from denoise.transforms.gaps import WIDEST, bridged
from denoise.transforms.gates import BRIGHT, strength
from denoise.transforms.starlet import FREE_BYTES, Operation, fused
from denoise.transforms.whitening import whiten

CITATION = """@article{Starck2009,
  author = {Starck, J.-L. and Fadili, J. M. and Digel, S. and Zhang, B. and Chiang, J.},
  title = {Source detection using a 3D sparse representation: application to the Fermi gamma-ray space telescope},
  journal = {Astronomy and Astrophysics},
  volume = {504},
  pages = {641},
  year = {2009},
}"""


Penalty = Literal["gated", "soft", "hard", "reweighted", "l0"]
_RULES: dict[str, Operation] = {"soft": "soft", "hard": "hard", "l0": "firm", "reweighted": "reweighted"}

_RESIDUAL_PASSES = 12
_EFFECTIVE = 0.2  # share of the reach of the passes that a halo needs


class IstParameters(Parameters):
    """What users can set."""

    preset: Literal["default", "reference"] = Field(
        "default", description="reference: the published algorithm step by step, on the whole cube in memory"
    )
    threshold: float = Field(
        detection.SEED,
        gt=0,
        le=20,
        description="a voxel, or a smoothed one, that is as rare in noise as one of white noise above this many "
        "sigma starts a region of emission (reference: k of every sub-band, 5)",
    )
    selection: Literal["sigma", "fdr"] = Field(
        "sigma", description="fixed threshold, or the one that keeps the false-discovery rate"
    )
    fdr: float = Field(0.01, gt=0, lt=0.5, description="false-discovery rate per scale, for selection=fdr")
    penalty: Penalty = Field(
        "gated",
        description="how coefficients shrink: by trained gains of the whole scale space, or classical thresholds "
        "(soft, hard, reweighted l1, continuous exact l0) at `threshold` sigma of each sub-band",
    )
    spatial_scales: int | None = Field(
        None, ge=1, le=7, description="wavelet scales in pixels; none: by size"
    )
    spectral_scales: int | None = Field(
        None, ge=0, le=7, description="wavelet scales in channels; none: by size"
    )
    wavelet: Literal["starlet", "biorthogonal"] = Field(
        "starlet", description="spectral filters: B3 starlet, or 7/9 biorthogonal for a classical penalty"
    )
    iterations: int | None = Field(
        None,
        ge=1,
        le=20,
        description="passes of a classical penalty over the residual (none: 12; with fewer the flux of compact sources "
        "comes out too high, because their negative lobes are cut)",
    )

    @model_validator(mode="after")
    def _gates_as_trained(self) -> Self:
        if self.penalty == "gated" and self.preset == "default":
            for name, usual in (("wavelet", "starlet"), ("iterations", None)):
                if getattr(self, name) != usual:
                    raise ValueError(
                        f"{name} goes with a classical penalty: set penalty=soft, hard, reweighted or l0"
                    )
        return self


class Ist(Denoiser):
    """Iterative shrinkage in 2D-1D wavelets; see the module."""

    Parameters = IstParameters
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ist",
        summary="2D-1D wavelets: detect in scale space, then shrink; the default for cubes and images",
        citation=CITATION,
        diagnostics={"iterations": "max"},
    )

    @property
    def passes(self) -> int:
        """One pass counts significances for the false-discovery rate."""
        return int(self.parameters.selection == "fdr" and self.parameters.preset == "default")

    @property
    def iterations(self) -> int:
        """Passes, as asked or what the penalty needs."""
        if self._gated:
            return 1
        return int(self.parameters.iterations or _RESIDUAL_PASSES)

    @property
    def weights(self) -> str:
        """Checksum of the gates, where they are used."""
        return trained_gates().checksum if self._gated and self.parameters.preset == "default" else ""

    @property
    def _gated(self) -> bool:
        return bool(self.parameters.penalty == "gated")

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """Search, and the part of the passes' reach that matters; the published algorithm needs all of it.

        A search decides, so its halo is whole. What passes after it do far away fades like the coarsest
        kernel: tiles with a fifth of their reach differ from the cube whole by less than 1e-4 sigma.
        """
        if self.parameters.preset == "reference":
            return Halo(None, None, None)
        step = wavelets.halo(*self._scales(shape), spectral=self.parameters.wavelet)
        channels, pixels = self.iterations * step[0], self.iterations * step[1]
        search = detection.emission_halo(shape, noise)
        # what is bright nearby decides too; both look at the whitened data
        beyond = search[1] - detection.halo(shape)[1]
        decided = max(search[0], BRIGHT[0] + 2) + WIDEST, max(search[1], BRIGHT[1] + 2 + beyond)
        later = [(flux, self._gated), (positivity, self.positivity)]
        after = [step.halo(shape[0]) for step, used in later if used]
        side = decided[1] + ceil(_EFFECTIVE * pixels) + sum(far for _, far in after)
        deep = decided[0] + ceil(_EFFECTIVE * channels) + sum(far for far, _ in after)
        return Halo(deep if shape[0] > 1 else 0, side, side)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block: search and transforms in strips, or every band of the published algorithm."""
        voxels = int(np.prod(shape))
        if self.parameters.preset == "reference":
            return 4 * voxels * (7 * max(1, wavelets.reference_scales(shape)[0]) + 4)
        # bands of one strip at a time, but small ones all at once
        bands = 8 * (sum(self._scales(shape)) + 2) * voxels
        return 37 * voxels + max(16 * voxels, min(FREE_BYTES, bands))

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> float:
        """Threshold that keeps the false-discovery rate (Benjamini & Hochberg 1995) over all scales."""
        counts = SignificanceCounts()
        for data, local, core in source:
            standardised, valid = detection.standardise(data, local.sigma(), threads=self.threads)
            white = whiten(standardised, valid, local, threads=self.threads)
            left = detection.noise_left(white.noise, detection.search_scales(source.shape))
            counts.add(white.data, left, valid, core, both_signs=not self.positivity, threads=self.threads)
        return fdr_threshold(counts, self.parameters.fdr)

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        sigma = noise.sigma()
        data, valid = detection.standardise(block, sigma, threads=self.threads)
        if self.parameters.preset == "reference":
            return self._reference(block, valid)
        seen = detection.find_emission(
            data,
            valid,
            noise,
            seed=self.parameters.threshold,
            at_all_scales=state,
            both_signs=not self.positivity,
            threads=self.threads,
        )
        shrunk = self._gate if self._gated else self._thresholded
        estimate = shrunk(data, seen, noise)
        if self.positivity:
            estimate = positivity.without_negatives(estimate, seen.support, threads=self.threads)
        estimate = self._back(estimate, sigma, seen.support)
        numbers = {"iterations": float(self.iterations)}
        return Estimate(estimate, support=seen.support, diagnostics=numbers)

    def _back(self, estimate: Block, sigma: Block, support: NDArray[np.bool_]) -> Block:
        """In the unit of the data; 0 outside the support, where sigma may be unknown."""
        out = np.zeros_like(estimate)

        def planes(first: int, last: int) -> None:
            for k in range(first, last):
                if support[k].any():
                    np.multiply(estimate[k], sigma[k], out=out[k], where=support[k])

        run_ranges(planes, len(out), threads=self.threads)
        return out

    def _scales(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        spatial, spectral = wavelets.default_scales(shape)
        asked = self.parameters
        return (
            min(spatial, MOST[0]) if asked.spatial_scales is None else asked.spatial_scales,
            min(spectral, MOST[1]) if asked.spectral_scales is None else asked.spectral_scales,
        )

    def _band_noise(self, noise: NoiseModel, scales: tuple[int, int]) -> NDArray[np.float32]:
        return detection.band_noise(noise, scales, self.parameters.wavelet)

    def _gate(self, data: Block, seen: detection.Emission, noise: NoiseModel) -> Block:
        """Gated sum of the whitened data, with the correlation put back."""
        white, region = seen.white, seen.found.region
        scales = self._scales(noise.cube_shape)  # of the cube: tiles agree
        whole, left = bridged(white.data, seen.valid), left_for_gates(white.noise, scales)
        near = strength(whole, left, threads=self.threads)
        estimate = shrunk(whole, white.noise, scales, region=region, strength=near, threads=self.threads)
        flux.put_back(estimate, whole, region=region, strength=near, threads=self.threads)
        return white.restore(estimate, region, threads=self.threads)

    def _thresholded(self, data: Block, seen: detection.Emission, noise: NoiseModel) -> Block:
        """Classical thresholds on the residual, pass after pass: what is significant is moved to the estimate."""
        j2, j1 = self._scales(noise.cube_shape)  # of the cube: tiles agree
        band = self._band_noise(noise, (j2, j1))
        level = self.parameters.threshold * band
        # the coarse band holds no detail to threshold; the search decides where it counts
        level[-1, -1] = 0
        estimate = np.zeros_like(data)
        options: dict[str, Any] = {
            "spatial_scales": j2,
            "spectral_scales": j1,
            "spectral": self.parameters.wavelet,
            "threads": self.threads,
        }
        rule = _RULES[self.parameters.penalty]
        for n in range(self.iterations):
            # no weights before there is an estimate
            use: Operation = "soft" if rule == "reweighted" and n == 0 else rule
            old = {"previous": estimate, "previous_level": level} if use == "reweighted" else {}
            estimate = estimate + fused(data - estimate, level=level, operation=use, **old, **options)
            if self.positivity:
                np.maximum(estimate, 0, out=estimate)
            estimate *= seen.support
        return estimate

    def _reference(self, block: Block, valid: NDArray[np.bool_]) -> Estimate:
        fields = self.parameters.model_fields_set
        threshold = self.parameters.threshold if "threshold" in fields else ReferenceTuning.threshold
        filled = np.where(valid, block, np.float32(0))
        estimate, steps = published(filled, ReferenceTuning(threshold=threshold), threads=self.threads)
        return Estimate(estimate, diagnostics={"iterations": float(steps)})
