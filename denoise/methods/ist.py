"""2D-1D wavelet iterative shrinkage: the default method, its classical thresholds, and the published algorithm.

Transform: Starck et al. 2009, A&A 504, 641; Floer & Winkel 2012, PASA 29, 244. The default finds emission in scale
space by the noise model, takes the adaptively smoothed data there as a pilot, and shrinks every coefficient of the
data by a Wiener gain whose prior power is the pilot's local power in that sub-band; the result is the pilot of the
next pass.
"""

from __future__ import annotations

from math import ceil
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from denoise.methods._fdr import SignificanceCounts, fdr_threshold
from denoise.methods._ist_reference import ReferenceTuning, published
from denoise.methods.contract import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters, Source
from denoise.noise import NoiseModel
from denoise.transforms import detection, wavelets
from denoise.transforms.starlet import FREE_BYTES, Operation, fused
from denoise.transforms.wiener import wiener

CITATION = """@article{Starck2009,
  author = {Starck, J.-L. and Fadili, J. M. and Digel, S. and Zhang, B. and Chiang, J.},
  title = {Source detection using a 3D sparse representation: application to the Fermi gamma-ray space telescope},
  journal = {Astronomy and Astrophysics},
  volume = {504},
  pages = {641},
  year = {2009},
}"""


class Pass(NamedTuple):
    """Tuning of one Wiener pass."""

    prior: tuple[float, float, float]
    spatial: tuple[int, ...]
    spectral: tuple[int, ...]


Penalty = Literal["wiener", "soft", "hard", "reweighted", "l0"]
_RULES: dict[str, Operation] = {"soft": "soft", "hard": "hard", "l0": "firm", "reweighted": "reweighted"}

# The passes, tuned on the simulated tuning set: prior power over the pilot's local power (natural logarithm: level,
# slope towards fine pixels, towards fine channels) and half widths of the boxes over which power is averaged.
_PASSES = (
    Pass((0.71, 0.32, 0.24), spatial=(1, 1, 2, 3, 5), spectral=(1, 1, 1, 2, 2)),
    Pass((1.17, 0.16, -0.09), spatial=(3, 3, 4, 7, 11), spectral=(1, 1, 3, 5, 5)),
)
# A bright source counts as this many sigma where the power around it is averaged; its own coefficients stay.
_CEILING, _KEEP = 6.0, 5.0
_MOST = (4, 4)
_WIENER_PASSES, _RESIDUAL_PASSES = 2, 12
_EFFECTIVE = 0.2  # share of the reach of the passes that a halo needs


class IstParameters(Parameters):
    """What users can set."""

    preset: Literal["default", "reference"] = Field(
        "default", description="reference: the published algorithm step by step, on the whole cube in memory"
    )
    threshold: float = Field(
        detection.Thresholds.seed,
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
        "wiener",
        description="how coefficients shrink: by a local Wiener gain, or classical thresholds (soft, hard, "
        "reweighted l1, continuous exact l0) at `threshold` sigma of each sub-band",
    )
    spatial_scales: int | None = Field(
        None, ge=1, le=7, description="wavelet scales in pixels; none: by size"
    )
    spectral_scales: int | None = Field(
        None, ge=0, le=7, description="wavelet scales in channels; none: by size"
    )
    wavelet: Literal["starlet", "biorthogonal"] = Field(
        "starlet", description="spectral filters: B3 starlet or 7/9 biorthogonal"
    )
    iterations: int | None = Field(
        None,
        ge=1,
        le=20,
        description="Wiener passes (none: 2), or passes of a classical threshold over the residual (none: 12; with "
        "fewer the flux of compact sources comes out too high, because their negative lobes are cut)",
    )


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
        usual = _WIENER_PASSES if self._shrinks_by_power else _RESIDUAL_PASSES
        return int(self.parameters.iterations or usual)

    @property
    def _shrinks_by_power(self) -> bool:
        return bool(self.parameters.penalty == "wiener")

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """Search, and the part of the passes' reach that matters; the published algorithm needs all of it.

        A search decides, so its halo is whole. What passes after it do far away fades like the coarsest
        kernel: tiles with a fifth of their reach differ from the cube whole by less than 1e-4 sigma.
        """
        if self.parameters.preset == "reference":
            return Halo(None, None, None)
        j2, j1 = self._scales(shape)
        step = wavelets.halo(j2, j1, spectral=self.parameters.wavelet)
        channels = pixels = 0
        for n in range(self.iterations):
            boxes = (_pass(n).spectral, _pass(n).spatial) if self._shrinks_by_power else ((0,), (0,))
            channels += step[0] + max(_padded(boxes[0], j1 + 1))
            pixels += step[1] + max(_padded(boxes[1], j2 + 1))
        search = detection.halo(shape)
        far = search[1] + ceil(_EFFECTIVE * pixels)
        return Halo(search[0] + ceil(_EFFECTIVE * channels) if shape[0] > 1 else 0, far, far)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes beside the block: search and transforms in strips, or every band of the published algorithm."""
        voxels = int(np.prod(shape))
        if self.parameters.preset == "reference":
            j2, j1 = wavelets.reference_scales(shape)
            return 4 * voxels * (4 * (j2 + 1) * (j1 + 2) + 4)
        # bands of one strip at a time, but small ones all at once
        bands = 8 * (sum(self._scales(shape)) + 2) * voxels
        return 37 * voxels + max(16 * voxels, min(FREE_BYTES, bands))

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> float:
        """Threshold that keeps the false-discovery rate (Benjamini & Hochberg 1995) over all scales."""
        counts = SignificanceCounts()
        for data, local, core in source:
            standardised, valid = detection.standardise(data, local.sigma())
            left = detection.noise_left(local, detection.search_scales(source.shape))
            counts.add(standardised, left, valid, core, both_signs=not self.positivity, threads=self.threads)
        return fdr_threshold(counts, self.parameters.fdr)

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block; voxels without coverage count as zero and come back as zero."""
        sigma = noise.sigma()
        data, valid = detection.standardise(block, sigma)
        if self.parameters.preset == "reference":
            return self._reference(block, valid)
        found = self._search(data, noise, state)
        shrunk = self._wiener if self._shrinks_by_power else self._thresholded
        estimate = shrunk(data, found, noise)
        estimate *= np.where(valid, sigma, 0)
        numbers = {"iterations": float(self.iterations)}
        return Estimate(estimate, support=found.support & valid, diagnostics=numbers)

    def _scales(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        spatial, spectral = wavelets.default_scales(shape)
        asked = self.parameters
        return (
            min(spatial, _MOST[0]) if asked.spatial_scales is None else asked.spatial_scales,
            min(spectral, _MOST[1]) if asked.spectral_scales is None else asked.spectral_scales,
        )

    def _search(self, data: Block, noise: NoiseModel, state: Any) -> detection.Found:
        scales = detection.search_scales(noise.cube_shape)
        left = detection.noise_left(noise, scales)
        seeds = detection.seed_levels(noise, scales, self.parameters.threshold)
        return detection.search(
            data,
            left,
            seeds=seeds if state is None else np.full(seeds.shape, float(state)),
            both_signs=not self.positivity,
            threads=self.threads,
        )

    def _band_noise(self, noise: NoiseModel, scales: tuple[int, int]) -> NDArray[np.float32]:
        return detection.band_noise(noise, scales, self.parameters.wavelet)

    def _wiener(self, data: Block, found: detection.Found, noise: NoiseModel) -> Block:
        j2, j1 = self._scales(noise.cube_shape)  # of the cube: tiles agree
        band = self._band_noise(noise, (j2, j1))
        estimate = found.pilot
        for n in range(self.iterations):
            estimate = wiener(
                data,
                estimate,
                noise=band,
                prior=prior_factors((j2, j1), n),
                ceiling=_CEILING,
                keep=_KEEP,
                spatial_scales=j2,
                spectral_scales=j1,
                spatial_windows=_padded(_pass(n).spatial, j2 + 1),
                spectral_windows=_padded(_pass(n).spectral, j1 + 1),
                spectral=self.parameters.wavelet,
                threads=self.threads,
            )
            if self.positivity:
                np.maximum(estimate, 0, out=estimate)
            estimate *= found.region
        return estimate

    def _thresholded(self, data: Block, found: detection.Found, noise: NoiseModel) -> Block:
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
            estimate *= found.region
        return estimate

    def _reference(self, block: Block, valid: NDArray[np.bool_]) -> Estimate:
        fields = self.parameters.model_fields_set
        threshold = self.parameters.threshold if "threshold" in fields else ReferenceTuning.threshold
        filled = np.where(valid, block, np.float32(0))
        estimate, steps = published(filled, ReferenceTuning(threshold=threshold), threads=self.threads)
        return Estimate(estimate, diagnostics={"iterations": float(steps)})


def prior_factors(scales: tuple[int, int], iteration: int) -> NDArray[np.float32]:
    """Prior power over the pilot's local power for each band (j2, j1): the pilot is smoother than the truth."""
    level, finer_pixels, finer_channels = _pass(iteration).prior
    j2, j1 = np.mgrid[: scales[0] + 1, : scales[1] + 1]
    return np.asarray(np.exp(level + finer_pixels * (2 - j2) + finer_channels * (2 - j1)), np.float32)


def _pass(n: int) -> Pass:
    return _PASSES[min(n, len(_PASSES) - 1)]


def _padded(widths: tuple[int, ...], count: int) -> list[int]:
    return [widths[min(j, len(widths) - 1)] for j in range(count)]
