"""What is done to the data before denoising and undone after: variance stabilisation, then the continuum.

The order matters: counts are stabilised as detected, continuum included; the continuum is then a smooth
level of the stabilised data, and line plus continuum together go through the exact unbiased inverse.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cores import Spread
from denoise.cube import Cube, Region, blocks
from denoise.cube.axes import plain_axes
from denoise.cube.blockwriter import BlockWriter, StoredImage, allocate
from denoise.cube.sources import RawSource
from denoise.engine.options import RunOptions, Stabilisation
from denoise.engine.plan import MEBIBYTE, choose_core, make_tiles, readable_bytes
from denoise.engine.progress import Monitor
from denoise.errors import ResourceError
from denoise.noise import NoiseModel
from denoise.transforms.continuum import estimate_continuum
from denoise.transforms.stabilise import Anscombe

Floats = NDArray[np.floating]

# continuum and input in double precision, the sorted copies of robust statistics
_BYTES_PER_VOXEL = 40
_COPY = 1 << 22  # voxels
_STAGE, _DATA = "subtracting the continuum", "data"

# fewer channels are a window on one line, not a spectrum with a continuum
_WIDE = 60
_FITTED = 0.2  # share of the largest noise power below which the errors of fitted continua show


@dataclass(frozen=True)
class Conditioned:
    """A cube made fit for denoising, and the way back.

    Attributes
    ----------
    cube : Cube
        What is denoised: the input itself where nothing had to be done.
    original : Cube
        The input.
    stabiliser : Anscombe or None
        Applied to the counts.
    continuum : str
        What was subtracted; "none" if nothing was.
    """

    cube: Cube
    original: Cube
    stabiliser: Anscombe | None
    continuum: str

    @property
    def changed(self) -> bool:
        """Whether the cube that is denoised differs from the input."""
        return self.cube is not self.original

    def restore(
        self, region: Region, denoised: Floats, error: Floats | None = None
    ) -> tuple[Floats, Floats | None]:
        """The denoised data of `region` (channel, y, x) and its 1 sigma error in the unit of the input.

        The continuum is added again. Through the inverse of the stabilisation, the error is half the
        distance between the values one sigma above and below.
        """
        if not self.changed:
            return denoised, error
        raw = self.original.read(region)
        stabilised = raw if self.stabiliser is None else self.stabiliser.forward(raw)
        level = stabilised - self.cube.read(region) + denoised
        if self.stabiliser is None:
            return level, error
        if error is not None:
            above, below = (self.stabiliser.inverse(level + side * error) for side in (1, -1))
            error = ((above - below) / 2).astype(np.float32)
        return self.stabiliser.inverse(level), error


def condition(
    cube: Cube,
    options: RunOptions,
    budget: int,
    monitor: Monitor,
    scratch: Path,
    *,
    spread: Spread | None = None,
) -> Conditioned:
    """Stabilise the counts and subtract the continuum, as the options ask.

    Parameters
    ----------
    cube : Cube
        The input; it is not changed.
    options : RunOptions
        ``vst`` and ``continuum``.
    budget : int
        Bytes; a conditioned cube larger than a quarter of it goes to a file in `scratch`.
    monitor : Monitor
        Told of every strip.
    scratch : Path
        Folder for that file; the caller removes it.
    spread : callable, optional
        Does it in other processes: whatever its size the conditioned cube goes to the file.

    Raises
    ------
    ParameterError
        The counts cannot be stabilised (negative mean).
    ResourceError
        `scratch` has no room for the file.
    """
    mode = resolve_continuum(cube, options.continuum)
    stabiliser = None if options.vst is None else make_stabiliser(options.vst)
    if mode == "none" and stabiliser is None:
        return Conditioned(cube, cube, None, mode)
    pixels = scratch_array(cube, 0 if spread else budget // 4, scratch)
    # a continuum needs whole spectra, or the whole image: rows can only be cut in a cube
    halo = (None, None, None) if cube.is_image else (None, 0, 0)
    core, _ = choose_core(cube.shape, halo, lambda shape: _BYTES_PER_VOXEL * int(np.prod(shape)), budget)
    regions = [tile.core for tile in make_tiles(cube.shape, core, (0, 0, 0))]
    work = _Conditioning(cube, stabiliser, mode)
    if spread is None:
        for region in monitor.track(regions, stage=_STAGE, total=len(regions)):
            pixels[region] = work(region)
    else:
        done = spread(_IntoFile(work, _writer(pixels)), regions)
        for _ in monitor.track(done, stage=_STAGE, total=len(regions)):
            pass
    noise = None if stabiliser is not None else cube.noise_source
    return Conditioned(cube.with_pixels(as_file_source(pixels), noise=noise), cube, stabiliser, mode)


@dataclass(frozen=True)
class _Conditioning:
    """The conditioned data of a region (channel, y, x)."""

    cube: Cube
    stabiliser: Anscombe | None
    mode: str

    def __call__(self, region: Region) -> Floats:
        block = self.cube.read(region)
        if self.stabiliser is not None:
            block = self.stabiliser.forward(block)
        return block - estimate_continuum(block, self.mode) if self.mode != "none" else block


@dataclass(frozen=True)
class _IntoFile:
    """Does the work where the pixels are and leaves the result in a file that all see."""

    work: _Conditioning
    writer: BlockWriter

    def __call__(self, region: Region) -> int:
        return self.writer.write(_DATA, region, self.work(region))


def _writer(pixels: NDArray[np.floating]) -> BlockWriter:
    """Writes to the file of a mapped array; several machines must not map one page to write to it."""
    assert isinstance(pixels, np.memmap)
    image = StoredImage(0, pixels.dtype.str, plain_axes(pixels.shape))
    return BlockWriter(str(pixels.filename), {_DATA: image})


def in_a_file(cube: Cube, scratch: Path) -> Cube:
    """The cube with its pixels in a file of `scratch` if they are in memory; a compressed input is made plain.

    Raises
    ------
    ResourceError
        `scratch` has no room for it.
    """
    cube.prepare(str(scratch) if cube.scratch_bytes else None)
    if not isinstance(getattr(cube.source, "array", None), np.ndarray):
        return cube
    pixels = scratch_array(cube, 0, scratch)
    for region in blocks(cube.shape, voxels=_COPY):
        pixels[region] = cube.source.read(region)
    return cube.with_pixels(as_file_source(pixels))


def as_file_source(pixels: NDArray[np.floating]) -> Any:
    """A mapped file as something that other processes open by its name."""
    if not isinstance(pixels, np.memmap):
        return pixels
    pixels.flush()
    stored = pixels.dtype.str
    return RawSource(str(pixels.filename), 0, stored, plain_axes(pixels.shape), stored)


def scratch_array(cube: Cube, in_memory: int, scratch: Path) -> NDArray[np.floating]:
    """An array (channel, y, x) like the cube: in memory if it takes no more bytes than that, else in a file.

    Raises
    ------
    ResourceError
        `scratch` has no room for the file.
    """
    size = int(np.prod(cube.shape)) * cube.dtype.itemsize
    if size <= in_memory or (in_memory and size <= MEBIBYTE):
        return np.empty(cube.shape, cube.dtype)
    handle, name = tempfile.mkstemp(suffix=".conditioned", dir=scratch)
    try:
        allocate(handle, size)  # a mapped file that meets a full disk later ends the process
    except OSError as error:
        raise ResourceError(
            f"not enough scratch space in {scratch.parent} for a copy of the data",
            value=f"{readable_bytes(size)} needed: {error.strerror}",
            action="free some space, set TMPDIR to another folder, or allow more memory",
        ) from error
    finally:
        os.close(handle)
    return np.memmap(name, cube.dtype, "r+", shape=cube.shape)


def make_stabiliser(vst: Stabilisation) -> Anscombe:
    """The generalised Anscombe transform of a detector."""
    return Anscombe(gain=vst.gain, offset=vst.offset, read_noise=vst.read_noise)


def trusted(noise: NoiseModel, continuum: str) -> NoiseModel:
    """Noise of data without their continuum: its finest detail on the sky is not that of the noise any more.

    A robust fit is not linear in the data, so that the errors of the fits, which all channels of a spectrum share,
    are less smooth on the sky than noise that a beam has smoothed: however little they are, taking the beam out of the
    noise would make emission of them.
    """
    if continuum == "none" or noise.cube_shape[0] == 1:
        return noise
    return replace(noise, trusted=max(noise.trusted, _FITTED))


def resolve_continuum(cube: Cube, mode: str) -> str:
    """What "auto" means for this cube.

    Optical and infrared spectra, and images with a sky level, are given with their continuum; radio data are
    delivered without it, and a running median would eat their extended lines.
    """
    if mode != "auto":
        return mode
    if cube.beams is not None:
        return "none"
    axis = cube.spectral_axis
    if cube.is_image or axis is None:
        return "median" if cube.is_image else "none"
    return "smooth" if axis.kind.endswith("wavelength") and cube.shape[0] >= _WIDE else "none"
