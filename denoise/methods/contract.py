"""What a denoiser is: validated parameters, ``fit`` and ``apply``.

The engine knows nothing of any method beyond this file. A block is a float32 array (channel, y, x): a part of
the cube with the halo the method asked for, in the cube's unit divided by one number for the whole cube (so
that 1e-20 fluxes are safe in float32), NaN where there is no coverage. The noise model that comes with it has the
block's shape and the block's unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from denoise.errors import ParameterError
from denoise.noise import NoiseModel

Block = NDArray[np.float32]
Reduction = Literal["sum", "max", "worst"]
Device = Literal["auto", "cpu", "cuda"]


class Parameters(BaseModel):
    """Base of every method's parameters: unknown names are refused, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class MethodInfo:
    """What a method can do, for the table of methods, the engine and the documentation.

    Attributes
    ----------
    name : str
        The name users type.
    summary : str
        One line: what it is and when to use it.
    category : {"denoiser", "enhancer"}
        A denoiser scales with its input, ``f(a x) = a f(x)``, and keeps the flux unit; an enhancer is for
        display, ``f(a x + b) = f(x)``, and its result has no unit, see ``Denoiser.keeps_unit``.
    citation : str
        BibTeX entry of the source.
    ndim : tuple of int
        2 if it works on images (cubes of one channel), 3 if on cubes.
    passes : int
        How often ``fit`` iterates over its source; 0: no fit.
    uses_noise : bool
        Whether it needs a noise model.
    device : tuple of str
        Where it runs.
    deterministic : bool
        Same input, seed and device: same bytes.
    variance : bool
        Whether ``Estimate.variance`` is filled.
    linear : bool
        The result is linear in the data: it keeps the noise's negative values and is never clipped, and its variance
        is that of the result. The variance of any other method holds what it chose from the same data (gains,
        regions, spectra) fixed: a part of the error, for its own use, and no error bar.
    calibrated : bool
        The variance is that of the error, learnt on simulations with known truth.
    diagnostics : mapping of str to {"sum", "max", "worst"}
        How the engine merges each number over the blocks ("worst" keeps the smallest).
    remarks : bool
        Whether ``Denoiser.remarks`` may say something: outputs keep room for it.
    """

    name: str
    summary: str
    citation: str
    category: Literal["denoiser", "enhancer"] = "denoiser"
    ndim: tuple[int, ...] = (2, 3)
    passes: int = 0
    uses_noise: bool = True
    device: tuple[str, ...] = ("cpu",)
    deterministic: bool = True
    variance: bool = False
    linear: bool = False
    calibrated: bool = False
    diagnostics: Mapping[str, Reduction] = field(default_factory=dict)
    remarks: bool = False

    @property
    def error_bar(self) -> bool:
        """Whether the square root of the variance is a 1 sigma error that a user can be given."""
        return self.variance and (self.linear or self.calibrated)


class Halo(NamedTuple):
    """How far, in channels and pixels, a voxel of the output looks around itself; None: the whole axis."""

    channel: int | None
    y: int | None
    x: int | None


class Limits(NamedTuple):
    """How many sigma of a calibrated error hold 95 % of the truth: in the emission found, and elsewhere."""

    found: float
    rest: float


@dataclass(frozen=True)
class Estimate:
    """What ``apply`` returns.

    Attributes
    ----------
    data : ndarray, shape (channel, y, x), float32
        The denoised block; finite wherever the block was.
    variance : ndarray, same shape, or None
        Of `data`, if the method knows it; see ``MethodInfo.linear`` for what it holds fixed.
    support : ndarray of bool, same shape, or None
        The emission found, if the method searched for it as the engine would.
    diagnostics : mapping of str to float
        Numbers to merge over the blocks.
    """

    data: Block
    variance: Block | None = None
    support: NDArray[np.bool_] | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)


class Sample(NamedTuple):
    """One block of a fit pass: data with halo, its noise model, and the core that this block alone answers for.

    Statistics are accumulated over ``data[core]`` only: each voxel counts once, for any tiles.
    """

    data: Block
    noise: NoiseModel
    core: tuple[slice, slice, slice]


class Source(Protocol):
    """What ``fit`` reads: blocks in a fixed order; iterating again starts another pass.

    Attributes
    ----------
    shape : tuple of int
        Shape of the whole cube (channel, y, x).
    """

    shape: tuple[int, int, int]

    def __iter__(self) -> Iterator[Sample]:
        """Start a pass."""

    def tell(self, stage: str, done: int, total: int, seconds_left: float | None = None) -> None:
        """Say how far long work between passes is; raises ``CancelledError`` where the run is to stop."""


class Denoiser:
    """Base of every method.

    Subclasses set ``info`` and ``Parameters`` and write ``apply``, and ``fit`` if they need one.

    Parameters
    ----------
    positivity : bool
        The emission is known to be non-negative. The engine clips the result anyway; a method that iterates
        may use it inside.
    threads : int
        Threads that ``apply`` may use; the result does not depend on it.
    device : {"auto", "cpu", "cuda"}
        Where ``apply`` computes, of what ``info.device`` names; "auto": on the GPU that its process sees, if there is
        one. It is asked for in the process that runs ``apply``, which may be another than that of the plan.
    **parameters
        Validated by the method's ``Parameters``.

    Raises
    ------
    ParameterError
        A parameter is unknown or out of range; the message names the valid range. The method does not run on the
        device.
    """

    info: ClassVar[MethodInfo]
    Parameters: ClassVar[type[Parameters]] = Parameters

    def __init__(
        self, *, positivity: bool = False, threads: int = 1, device: Device = "auto", **parameters: Any
    ) -> None:
        if device not in ("auto", *self.info.device):
            raise ParameterError(
                f"method {self.info.name} does not run on this device",
                value=device,
                action=f"leave --device out, or use {' or '.join(self.info.device)}",
            )
        self.positivity = positivity
        self.threads = threads
        self.device = device
        self.parameters: Any = validated(type(self), parameters)

    @property
    def passes(self) -> int:
        """How often ``fit`` reads the cube with these parameters."""
        return self.info.passes

    @property
    def weights(self) -> str:
        """SHA-256 of the trained numbers that the result depends on; "" if there are none."""
        return ""

    @property
    def backend(self) -> str:
        """What computes in this process, for the record, where a method has a choice: device, library, precision.

        Raises
        ------
        ResourceError
            The device that was asked for is not there.
        """
        return ""

    @property
    def rounding(self) -> float:
        """Sigma by which short floating point numbers may move a result where a processor is fast with them; 0: they
        are not used.
        """
        return 0.0

    @property
    def limits(self) -> Limits | None:
        """Of the method's own error bar; None: it is Gaussian, or there is none."""
        return None

    def halo(self, shape: tuple[int, int, int], noise: NoiseModel) -> Halo:
        """How far the output looks around itself, for a cube of this shape (channel, y, x)."""
        return Halo(0, 0, 0)

    def workspace(self, shape: tuple[int, int, int]) -> int:
        """Bytes ``apply`` needs beside a block of this shape; the engine plans tiles with it."""
        return 12 * int(np.prod(shape))

    def kernel_fwhm(self, noise: NoiseModel) -> tuple[float, float, float] | None:
        """FWHM along (channel, y, x), in channels and pixels, of the fixed unit-sum kernel that the data go through.

        None where there is none: what a method takes out then depends on the data, and no one number says how sharp
        the result is.
        """
        return None

    def fit(self, source: Source, noise: NoiseModel, *, seed: int) -> Any:
        """Global statistics in ``passes`` passes over `source`; small and picklable. None: no fit.

        Parameters
        ----------
        source : Source
            The blocks of the cube, each with its noise and its core.
        noise : NoiseModel
            Of the whole cube, in the unit of the blocks.
        seed : int
            Fixes every random draw.
        """
        return None

    def apply(self, block: Block, noise: NoiseModel, state: Any) -> Estimate:
        """Denoise one block: pure, float32 in and out, no I/O, the input untouched.

        Parameters
        ----------
        block : ndarray, shape (channel, y, x), float32
            A part of the cube with its halo, in the cube's unit over one number; NaN where there is no coverage.
        noise : NoiseModel
            Of the block, in its unit.
        state : object
            What ``fit`` returned; None for a method without a fit.

        Returns
        -------
        Estimate
            Of the shape of the block. The engine puts NaN where the block has it.
        """
        raise NotImplementedError

    def keeps_unit(self, state: Any) -> bool:
        """Whether the result is in the unit of the data, given what the fit found: a denoiser's is.

        Where it is not (an enhancer's, unless it restores fluxes and has proved it), ``Estimate.data`` are numbers for
        display of any scale: the engine leaves them as they are, and writes no unit and no flux.
        """
        return self.info.category == "denoiser"

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """What the merged diagnostics of a cube give reason to doubt, one plain sentence each."""
        return []


def validated(method: type[Denoiser], values: Mapping[str, Any]) -> Parameters:
    """The method's parameters from plain values, or one clear line about the first that is wrong."""
    try:
        return method.Parameters(**values)
    except ValidationError as err:
        raise _readable(method, err) from None


def _readable(method: type[Denoiser], err: ValidationError) -> ParameterError:
    first = err.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "parameters"
    known = ", ".join(method.Parameters.model_fields)
    if first["type"] == "extra_forbidden":
        return ParameterError(
            f"method {method.info.name} has no parameter {name!r}",
            action=f"its parameters are: {known or 'none'}",
        )
    return ParameterError(
        f"parameter {name!r} of method {method.info.name} is not valid",
        value=first.get("input"),
        action=first["msg"][0].lower() + first["msg"][1:],
    )
