"""What a run gives back: the denoised cube, what was taken away, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, PixelSource, Provenance, Region, blocks
from denoise.engine.account import PackedMask
from denoise.engine.bootstrap import Drawn
from denoise.engine.resolution import Resolution
from denoise.engine.sinks import Told, file_sink
from denoise.engine.tilework import Piece
from denoise.methods import Limits
from denoise.noise import NoiseModel
from denoise.transforms.stabilise import Anscombe


class Difference:
    """Pixels of `first` minus `second`, read when asked for."""

    def __init__(self, first: Cube, second: Cube) -> None:
        self._first = first
        self._second = second
        self.shape = first.shape
        self.dtype = second.dtype

    def read(self, region: Region) -> NDArray[Any]:
        """The difference over `region` (channel, y, x), NaN where either is NaN."""
        return np.asarray(self._first.read(region) - self._second.read(region), self.dtype)


@dataclass(frozen=True, eq=False)
class Result:
    """A denoised cube and its account.

    Attributes
    ----------
    input : Cube
        What was denoised.
    cube : Cube
        The result: same unit, WCS and mask as the input.
    residual : Cube or None
        Input minus result, computed when read; None where the result is for display only.
    uncertainty : Cube or None
        1 sigma error of the result, in its unit, if the method knows it or draws of the noise were asked for.
    noise : NoiseModel
        The noise that was used, in the unit of the data (of the stabilised data where ``vst`` was used).
    support : PackedMask
        The emission found in the input by the noise model, (channel, y, x).
    drawn : Drawn or None
        What draws of the noise say of sums over it, in the unit of the noise; None without draws.
    flux_errors : ndarray or None
        1 sigma error of the flux found in each channel, shape (channel,), from these draws with all correlations.
    metrics : dict
        The numbers of the report; None where a number is undefined.
    warnings : list of str
        What the user should know.
    remarks : list of str
        Those of them that the method itself makes of the data; they are in the header's HISTORY too.
    display : bool
        The result is for display only (an enhancer's): numbers without the unit of the input, no fluxes.
    resolution : Resolution or None
        How sharp the result is, where the method smooths by a fixed kernel; None where what it takes out depends on
        the data. It is in the header as ``EFFRES`` and HISTORY.
    limits : Limits or None
        How many `uncertainty` hold 95 % of the truth, in the emission found and elsewhere (``limits.found``,
        ``limits.rest``); in the header of UNCERT as ``LIM95IN`` and ``LIM95OUT``. None: 1.96, as of Gaussian errors, or
        nothing is known.
    chosen : str
        Why this method, where "auto" chose it; "" otherwise.
    method, parameters : str, dict
        What was run, defaults filled in.
    provenance : Provenance
        Parts "science" (what fixes the numbers) and "run" (versions, machine, time).
    seconds : float
        Wall time.
    stabiliser : Anscombe or None
        What ``vst`` did to the counts.
    path : Path or None
        Where the result is, if it was written.
    """

    input: Cube
    cube: Cube
    residual: Cube | None
    uncertainty: Cube | None
    noise: NoiseModel
    support: PackedMask
    drawn: Drawn | None
    flux_errors: NDArray[np.float64] | None
    metrics: dict[str, float | None]
    method: str
    parameters: dict[str, Any]
    provenance: Provenance
    seconds: float
    stabiliser: Anscombe | None = None
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    chosen: str = ""
    display: bool = False
    resolution: Resolution | None = None
    limits: Limits | None = None
    path: Path | None = None

    def write(
        self,
        path: str | Path,
        *,
        save: tuple[str, ...] = ("residual", "noise"),
        overwrite: bool = False,
        layout: Literal["default", "like-input"] = "default",
    ) -> Path:
        """Write the result and the extensions asked for to a FITS file, or a Zarr group (``.zarr``).

        Parameters
        ----------
        path : str or Path
            The file; it appears complete or not at all.
        save : tuple of {"uncert", "residual", "noise"}
            Extensions beside the data.
        overwrite : bool
            Replace the file if it exists.
        layout : {"default", "like-input"}
            Names of the extensions.

        Raises
        ------
        OutputExistsError
            The file exists and `overwrite` is False.
        UsageError
            The uncertainty was asked for and the method gives none.
        ResourceError
            The file cannot be written.
        """
        sink = file_sink(Path(path), save=save, overwrite=overwrite, layout=layout)
        try:
            told = Told(
                method=self.method,
                variance=self.uncertainty is not None,
                stabilised=self.stabiliser is not None,
                chosen=self.chosen,
                remarks=bool(self.remarks),
                display=self.display,
                resolution=self.resolution,
                limits=self.limits,
            )
            sink.open(self.input, self.noise, told)
            keep = sink.keeper()
            for region in blocks(self.input.shape, voxels=1 << 22):
                error = None if self.uncertainty is None else self.uncertainty.read(region)
                after = self.cube.read(region)
                noise = self._noise_of(region, after)
                sink.take(keep(Piece(region, self.input.read(region), after, error, noise)))
            sink.finish(self.provenance, history=self.remarks)
        except BaseException:
            sink.abort()
            raise
        return Path(path)

    @property
    def errors(self) -> NoiseModel | None:
        """The errors of the result as a noise model: 1 sigma of each voxel, and how they are correlated.

        With it errors of sums over many voxels follow (``denoise.metrics.sum_error``). The correlation is that of the
        draws of the noise; without draws that of the noise itself. None where the result has no error.
        """
        if self.uncertainty is None:
            return None
        known = None if self.drawn is None else self.drawn.correlation()
        spatial, spectral = known or (self.noise.spatial_acf, self.noise.spectral_acf)
        return NoiseModel(
            shape=self.cube.shape,
            channel_sigma=np.ones(self.cube.shape[0]),
            relative=np.broadcast_to(np.float32(1), self.cube.shape[1:]),
            spatial_acf=spatial,
            spectral_acf=spectral,
            origin="errors of the result",
            pixels=self.uncertainty,
        )

    def _noise_of(self, region: Region, after: NDArray[Any]) -> NDArray[np.float32] | None:
        """1 sigma of the input where the noise model is that of stabilised data."""
        return None if self.stabiliser is None else self.stabiliser.noise(after, self.noise.sigma(region))


def difference(first: Cube, second: Cube) -> Cube:
    """`first` minus `second` as a lazy cube with the metadata of `second`."""
    source: PixelSource = Difference(first, second)
    return second.with_pixels(source)
