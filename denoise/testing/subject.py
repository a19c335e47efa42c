"""A method under test: ways to run it whole, in tiles, and on small cubes with a known truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube
from denoise.engine.conditioning import Conditioned
from denoise.engine.plan import make_plan
from denoise.engine.prepared import Prepared
from denoise.engine.progress import Monitor, Progress
from denoise.errors import DenoiseError
from denoise.methods import Denoiser, Estimate, get_method
from denoise.methods.contract import MethodInfo
from denoise.noise import NoiseModel

Shape = tuple[int, int, int]
Array = NDArray[np.float32]
Floats = NDArray[np.floating]

_AMPLE = 1 << 40  # bytes: nothing is cut to save memory
BEAM = (4.0, 3.5, 30.0)  # FWHM in pixels and angle in degrees of the noise and the sources


class ConformanceError(DenoiseError, AssertionError):
    """A method breaks a law of the contract."""


@dataclass(frozen=True)
class Subject:
    """A method with the parameters it is tested with.

    Attributes
    ----------
    name : str
        The method as installed under the entry-point group.
    parameters : mapping
        Its parameters.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> type[Denoiser]:
        """The class."""
        return get_method(self.name)

    @property
    def info(self) -> MethodInfo:
        """What the method says of itself."""
        return self.method.info

    def make(self, *, positivity: bool = False, threads: int = 1) -> Denoiser:
        """A denoiser with these parameters."""
        return self.method(positivity=positivity, threads=threads, **self.parameters)

    def keeps_unit(self, data: Array, noise: NoiseModel) -> bool:
        """Whether the result for these data, (channel, y, x), is in their unit and not for display only."""
        denoiser = self.make()
        return denoiser.keeps_unit(state_of(denoiser, data, noise))

    def tiled(
        self,
        data: Floats,
        noise: NoiseModel,
        *,
        core: Shape | None = None,
        seed: int = 0,
        denoiser: Denoiser | None = None,
        progress: Progress | None = None,
        monitor: Monitor | None = None,
    ) -> Floats:
        """Denoise (channel, y, x) data as the engine does, in tiles with cores of at most `core` voxels.

        Parameters
        ----------
        data : ndarray, shape (channel, y, x)
            NaN where there is no coverage.
        noise : NoiseModel
            Of the data.
        core : tuple of int, optional
            None: the cube whole.
        seed : int
            Of the fit.
        denoiser : Denoiser, optional
            None: ``make()``.
        progress, monitor
            Followed and cancelled as in a run.
        """
        cube = Cube(data)
        denoiser = denoiser or self.make()
        run = prepare(cube, noise, denoiser, core=core, monitor=monitor or Monitor(progress))
        out = np.empty(cube.shape, cube.dtype)
        for piece in run.pieces(seed):
            out[piece.region] = piece.after
        return out

    def apply(self, data: Array, noise: NoiseModel, *, seed: int = 0, **options: Any) -> Estimate:
        """``fit`` and ``apply`` on the cube whole, without the engine's own steps."""
        denoiser = self.make(**options)
        return denoiser.apply(data, noise, state_of(denoiser, data, noise, seed=seed))


def prepare(
    cube: Cube,
    noise: NoiseModel,
    denoiser: Denoiser,
    *,
    core: Shape | None = None,
    monitor: Monitor | None = None,
) -> Prepared:
    """A run without conditioning, ready to go, in tiles with cores of at most `core` voxels."""
    from denoise.engine.plan import make_tiles

    plan = make_plan(cube, denoiser, noise, _AMPLE, conditioned=False)
    if core is not None:
        plan = replace(plan, core=core, layout="spatial tiles", tiles=make_tiles(cube.shape, core, plan.halo))
    return Prepared(Conditioned(cube, cube, None, "none"), noise, denoiser, plan, monitor or Monitor())


def state_of(denoiser: Denoiser, data: Array, noise: NoiseModel, *, seed: int = 0) -> Any:
    """The state of a fit to the cube whole; None for a method without a fit."""
    if not denoiser.passes:
        return None
    from denoise.engine.tiles import Blocks

    cube = Cube(data)
    plan = make_plan(cube, denoiser, noise, _AMPLE, conditioned=False)
    return denoiser.fit(Blocks(cube, noise, plan, Monitor()), noise, seed=seed)


def blob(shape: Shape, *, at: tuple[float, float, float] | None = None) -> Array:
    """A line source a little larger than the beam, peak 1, in the middle or `at` (channel, y, x)."""
    centre = tuple((n - 1) / 2 for n in shape) if at is None else at
    width = (1.8, 2.6, 2.6)
    axes = [
        np.exp(-0.5 * ((np.arange(n) - c) / w) ** 2) for n, c, w in zip(shape, centre, width, strict=True)
    ]
    return np.asarray(axes[0][:, None, None] * axes[1][:, None] * axes[2], np.float32)


def noise_model(shape: Shape, sigma: float = 1.0) -> NoiseModel:
    """Noise correlated over the beam."""
    return NoiseModel.from_beam(shape, sigma, BEAM)


def observation(
    shape: Shape, *, peak_snr: float = 10.0, seed: int = 0, at: tuple[float, float, float] | None = None
) -> tuple[Array, Array, NoiseModel]:
    """Data, truth and noise model of a source with this peak SNR in noise of sigma 1."""
    model = noise_model(shape)
    truth = np.float32(peak_snr) * blob(shape, at=at)
    return truth + model.sample(seed=seed), truth, model


def require(kept: bool, law: str, *, value: object = None, action: str = "") -> None:
    """Raise ConformanceError unless the law was kept."""
    if not kept:
        raise ConformanceError(law, value=value, action=action)
