"""Principal components of the emission, with their maps denoised."""

from __future__ import annotations

from typing import Any, ClassVar

from denoise.methods import _components, _learning
from denoise.methods._components import Basis
from denoise.methods.contract import Block, Denoiser, Estimate, Halo, MethodInfo, Parameters, Source
from denoise.noise import NoiseModel

_CITATION = """@article{horn1965,
  author = {Horn, J. L.}, title = {A rationale and test for the number of factors in factor analysis},
  journal = {Psychometrika}, volume = {30}, pages = {179}, year = {1965}, doi = {10.1007/BF02289447}}
@article{starck2009,
  author = {Starck, J.-L. and Fadili, J. M. and Digel, S. and Zhang, B. and Chiang, J.},
  title = {Source detection using a 3D sparse representation: application to the {Fermi}
    gamma-ray space telescope},
  journal = {Astronomy and Astrophysics}, volume = {504}, pages = {641}, year = {2009}}"""


class Pca(Denoiser):
    """Principal components by streamed covariance, weighted by the noise model, their maps shrunk in space.

    ``fit`` finds emission in scale space and decomposes its spectra; ``apply`` projects the data at full
    resolution on the components and denoises their maps.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="pca",
        summary="Principal spectra of the emission and their denoised maps: many spaxels, few spectra",
        citation=_CITATION,
        passes=1,
        variance=True,
        diagnostics={"components": "max"},
    )
    Parameters: ClassVar[type[Parameters]] = _learning.ComponentParameters

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """All channels; search, first estimate and second estimate in space."""
        return _components.halo(shape, _components.starlet_scales(self.parameters.spatial_scales, shape))

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Fourteen cubes of float32, and the bands and gains of the most components."""
        nchan, ny, nx = shape
        wanted = self.parameters.n_components
        components = min(nchan, _learning.MOST if wanted == "auto" else wanted)
        bands = 4 * (self.parameters.spatial_scales + 1) * components
        return int(4 * ny * nx * (14 * nchan + bands))

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> Basis:
        """Learn the components in one pass."""
        return _learning.learn(
            source, noise, self.parameters, positivity=self.positivity, seed=seed, threads=self.threads
        )

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block."""
        return _components.denoise_components(block, noise, state, threads=self.threads)
