"""Where the tiles go: arrays in memory, or a file that appears when it is complete."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.cube import Cube, CubeWriter, Extension, Provenance, Region, read
from denoise.cube.blockwriter import BlockWriter
from denoise.cube.zarr_writer import ZarrWriter
from denoise.engine.resolution import Resolution
from denoise.engine.tilework import Keep, Piece
from denoise.errors import DenoiseWarning, UsageError
from denoise.methods import Limits, MethodInfo
from denoise.noise import NoiseModel

Floats = NDArray[np.floating]

LIMIT_CARDS = "LIM95IN", "LIM95OUT"
_ROOM = 12  # cards of the header kept for what a method says at the end


@dataclass(frozen=True)
class Finished:
    """What a sink holds in the end: the denoised cube, its error if known, and the file if it is one."""

    cube: Cube
    uncertainty: Cube | None
    path: Path | None


@dataclass(frozen=True)
class Told:
    """What a sink is told of the results before the first of them.

    Attributes
    ----------
    method : str
        What makes them.
    variance : bool
        Whether every core brings its 1 sigma error.
    stabilised : bool
        The noise model is that of stabilised data, and every core brings its own in the cube's unit.
    chosen : str
        Why this method; "" if it was asked for.
    remarks : bool
        Lines for the history may come at the end.
    display : bool
        The results have no unit, and nothing else is kept.
    resolution : Resolution or None
        Where a kernel broadens it.
    limits : Limits or None
        How many 1 sigma errors hold 95 %, where they are not Gaussian.
    """

    method: str
    variance: bool
    stabilised: bool = False
    chosen: str = ""
    remarks: bool = False
    display: bool = False
    resolution: Resolution | None = None
    limits: Limits | None = None


class Sink(Protocol):
    """Takes each core once, in any order: first by its keeper in the process that made it, then here."""

    def open(self, cube: Cube, noise: NoiseModel, told: Told) -> None:
        """Get ready for results with the shape and metadata of `cube`."""

    def keeper(self) -> Keep:
        """What is done with a piece where it is made, perhaps in another process; picklable."""

    def take(self, kept: Any) -> None:
        """Take what the keeper returned."""

    def finish(self, provenance: Provenance, *, history: Sequence[str] = ()) -> Finished:
        """Make the result visible, with these lines in its history if it has one."""

    def abort(self) -> None:
        """Leave nothing behind."""


def _result_alone(piece: Piece) -> tuple[Region, Floats, Floats | None]:
    return piece.region, piece.after, piece.sigma


class ArraySink:
    """Results in memory."""

    def open(self, cube: Cube, noise: NoiseModel, told: Told) -> None:
        """Allocate the arrays."""
        self._like = cube.without_unit() if told.display else cube
        self._data = np.empty(cube.shape, cube.dtype)
        self._error = np.empty(cube.shape, np.float32) if told.variance else None

    def keeper(self) -> Keep:
        """The input has its copy already."""
        return _result_alone

    def take(self, kept: tuple[Region, Floats, Floats | None]) -> None:
        """Copy a core into place."""
        region, after, sigma = kept
        self._data[region] = after
        if self._error is not None:
            self._error[region] = sigma

    def finish(self, provenance: Provenance, *, history: Sequence[str] = ()) -> Finished:
        """Cubes over the arrays."""
        like = self._like
        error = None if self._error is None else like.with_pixels(self._error)
        return Finished(like.with_pixels(self._data), error, None)

    def abort(self) -> None:
        """Nothing outlives the object."""


@dataclass(frozen=True)
class FileKeeper:
    """Writes a piece to its place in every image; picklable.

    Attributes
    ----------
    writer : BlockWriter
        Of the temporary file.
    streamed : frozenset of str
        Images beside DATA.
    noise : NoiseModel
        For NOISE, where a piece brings none.
    """

    writer: BlockWriter
    streamed: frozenset[str]
    noise: NoiseModel

    def __call__(self, piece: Piece) -> dict[str, int]:
        """Voxels written to each image."""
        return {
            name: self.writer.write(name, piece.region, block)
            for name, block in images(piece, self.streamed, self.noise)
        }


def images(piece: Piece, streamed: Collection[str], noise: NoiseModel) -> Iterator[tuple[str, Floats]]:
    """The blocks of an output that a piece gives, one after the other: name and (channel, y, x) data."""
    yield "DATA", piece.after
    if "RESIDUAL" in streamed:
        yield "RESIDUAL", piece.before - piece.after
    if "UNCERT" in streamed and piece.sigma is not None:
        yield "UNCERT", piece.sigma
    if "NOISE" in streamed:
        yield "NOISE", noise.sigma(piece.region) if piece.noise is None else piece.noise


class FileSink:
    """Results in a FITS file, written tile by tile.

    Parameters
    ----------
    path : Path
        The output.
    save : tuple of {"uncert", "residual", "noise"}
        Extensions beside the data.
    overwrite : bool
        Replace an output that exists.
    layout : {"default", "like-input"}
        Names of the extensions.
    """

    def __init__(
        self,
        path: Path,
        *,
        save: tuple[str, ...],
        overwrite: bool = False,
        layout: Literal["default", "like-input"] = "default",
    ) -> None:
        self._path = path
        self._save = save
        self._overwrite = overwrite
        self._layout: Literal["default", "like-input"] = layout
        self._writer: CubeWriter | ZarrWriter | None = None

    def open(self, cube: Cube, noise: NoiseModel, told: Told) -> None:
        """Make the temporary file, preallocated.

        Raises
        ------
        UsageError
            The error of the result was asked for and the method gives none.
        ResourceError
            The file cannot be written, or there is not enough space.
        """
        if not told.variance:
            _refuse_uncertainty(self._save, told.method)
        # RESIDUAL and NOISE have the unit of the input: beside DATA without one they would mislead
        if told.display:
            self._save, cube = (), cube.without_unit()
        self._noise = noise
        whole = told.stabilised or noise.pixels is not None
        self._streamed = _streamed(self._save, whole_noise=whole)
        separable = {} if whole else _noise_extensions(self._save, noise)
        self._writer = self._make_writer(
            cube,
            {**dict.fromkeys(self._streamed), **separable, **_error_cards(self._streamed, told.limits)},
            _history(told),
            _ROOM if told.remarks else 0,
            {} if told.resolution is None else told.resolution.cards(),
        )
        self._writer.open()

    def _make_writer(
        self,
        cube: Cube,
        extensions: Mapping[str, Any],
        history: list[str],
        room: int,
        cards: Mapping[str, Any],
    ) -> CubeWriter | ZarrWriter:
        return CubeWriter(
            self._path,
            template=cube,
            extensions=extensions,
            history=history,
            room=room,
            cards=cards,
            layout=self._layout,
            overwrite=self._overwrite,
        )

    def keeper(self) -> Keep:
        """Every process writes its cores to their places in the file."""
        return FileKeeper(self._opened(CubeWriter).workers(), frozenset(self._streamed), self._noise)

    def take(self, kept: Any) -> None:
        """Note how many voxels of each image were written."""
        for name, voxels in kept.items():
            self._opened(CubeWriter).account(name, voxels)

    def finish(self, provenance: Provenance, *, history: Sequence[str] = ()) -> Finished:
        """Complete the file and give it its name."""
        writer = self._opened(CubeWriter | ZarrWriter)
        writer.set_provenance(provenance)
        if history:
            writer.add_history(history)
        writer.close()
        with warnings.catch_warnings():  # what is odd about the input was said when it was read
            warnings.simplefilter("ignore", DenoiseWarning)
            cube = read(self._path)
        error = None
        if "UNCERT" in self._streamed and cube.noise_source is not None:
            error = cube.with_pixels(cube.noise_source.pixels)
        return Finished(cube, error, self._path)

    def abort(self) -> None:
        """Remove the temporary file."""
        if self._writer is not None:
            self._writer.abort()

    def _opened(self, kind: Any) -> Any:
        if not isinstance(self._writer, kind):
            raise UsageError("the sink is not open", action="call open() first")
        return self._writer


def _error_cards(streamed: Sequence[str], limits: Limits | None) -> dict[str, Extension]:
    """UNCERT with the cards that say how it is to be read."""
    if limits is None or "UNCERT" not in streamed:
        return {}
    cards = {
        LIMIT_CARDS[0]: (limits.found, "95 % within so many: emission found"),
        LIMIT_CARDS[1]: (limits.rest, "95 % within so many: elsewhere"),
    }
    return {"UNCERT": Extension(cards=cards)}


def _history(told: Told) -> list[str]:
    """What was done, and why."""
    did = "Enhanced" if told.display else "Denoised"
    lines = [f"{did} by astro-denoise, method {told.method}; see the PROVENANCE table."]
    if told.display:
        lines.append("For display only: values have no flux unit and are not in proportion to it.")
    if told.chosen:
        lines.append(f"Method chosen by auto: {told.chosen}.")
    return lines + ([] if told.resolution is None else told.resolution.history())


class ZarrSink(FileSink):
    """Results in a Zarr group. Tiles share chunks, so this process alone writes; the others send their blocks."""

    def _make_writer(
        self,
        cube: Cube,
        extensions: Mapping[str, Any],
        history: list[str],
        room: int,
        cards: Mapping[str, Any],
    ) -> CubeWriter | ZarrWriter:
        # attributes have room for everything
        return ZarrWriter(
            self._path,
            template=cube,
            extensions=extensions,
            history=history,
            cards=cards,
            overwrite=self._overwrite,
        )

    def keeper(self) -> Keep:
        """The blocks of every image."""
        return partial(_blocks, frozenset(self._streamed), self._noise)

    def take(self, kept: Any) -> None:
        """Write them."""
        for name, region, block in kept:
            self._opened(ZarrWriter).write(name, region, block)


def _blocks(streamed: frozenset[str], noise: NoiseModel, piece: Piece) -> list[tuple[str, Region, Floats]]:
    return [(name, piece.region, block) for name, block in images(piece, streamed, noise)]


def file_sink(
    path: Path,
    *,
    save: tuple[str, ...],
    overwrite: bool = False,
    layout: Literal["default", "like-input"] = "default",
) -> FileSink:
    """The sink of an output, by the suffix of its name: ``.zarr``, or FITS. Parameters as for `FileSink`.

    Raises
    ------
    UsageError
        The names of the input's extensions were asked for in Zarr.
    """
    kind = ZarrSink if path.suffix.lower() == ".zarr" else FileSink
    if kind is ZarrSink and layout != "default":
        raise UsageError("the layout of the input is for FITS", value=path.name, action="write a .fits file")
    return kind(path, save=save, overwrite=overwrite, layout=layout)


def check_saved(save: tuple[str, ...], info: MethodInfo, draws: int = 0) -> None:
    """Refuse an error bar that neither the method gives nor draws of the noise.

    Raises
    ------
    UsageError
    """
    if not draws and not info.error_bar:
        _refuse_uncertainty(save, info.name)


def _refuse_uncertainty(save: tuple[str, ...], method: str) -> None:
    if "uncert" in save:
        raise UsageError(
            f"method {method} gives no 1 sigma error",
            action="add --uncertainty 16, which draws the noise so often, or leave uncert out of --save",
        )


def _streamed(save: tuple[str, ...], *, whole_noise: bool) -> list[str]:
    wanted = ("uncert", "residual", "noise") if whole_noise else ("uncert", "residual")
    return [name.upper() for name in wanted if name in save]


def _noise_extensions(save: tuple[str, ...], noise: NoiseModel) -> dict[str, Any]:
    """The noise of a separable model: a map, and a factor for each channel where they differ."""
    if "noise" not in save:
        return {}
    typical = float(np.nanmedian(noise.channel_sigma))
    plane = np.empty(noise.relative.shape, np.float32)
    np.multiply(noise.relative, typical, dtype=np.float64, out=plane, casting="same_kind")
    if np.ptp(noise.channel_sigma) == 0:
        return {"NOISE": Extension(plane)}
    factor = (noise.channel_sigma / typical).astype(np.float32)
    return {
        "NOISE": Extension(plane),
        "NOISE_CHANNEL": Extension(
            factor, unit="", cards={"COMMENT": "NOISE times this is 1 sigma of a channel"}
        ),
    }
