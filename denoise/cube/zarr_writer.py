"""Write a cube and its companions as a Zarr v3 group: chunks in shards, and all that a FITS file would say.

The arrays have the axes of the file the cube came from, and each carries its FITS cards, so that reading one back is
reading a FITS image. The folder appears under its name only when it is whole.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.cube.axes import AxisMap
from denoise.cube.blockwriter import sync_folder, write_error
from denoise.cube.cards import history_cards, split_cards
from denoise.cube.core import Cube
from denoise.cube.headers import data_headers, extension_header, small_header
from denoise.cube.provenance import Provenance
from denoise.cube.regions import Region, Shape, check_region, region_shape
from denoise.cube.unfinished import Unfinished
from denoise.cube.writer import Extension, as_extension, check_output
from denoise.errors import DenoiseWarning, OutputExistsError, ResourceError, UsageError

CARDS, PRIMARY, BEAMS, PROVENANCE = "fits_cards", "fits_primary_cards", "beams", "provenance"
CHUNK: Shape = (64, 64, 64)
# chunks in a shard: one along y, so that a strip of rows, which is what a tile mostly is, rewrites little
_SHARD: Shape = (4, 1, 4)


class ZarrWriter(Unfinished):
    """Makes a Zarr group like the file a cube came from; one process writes it.

    Parameters
    ----------
    path : str or Path
        The output, a folder that ends in ``.zarr``.
    template, extensions, history, cards, overwrite
        As for `CubeWriter`.

    Raises
    ------
    OutputExistsError
        The output exists.
    ResourceError
        The folder cannot be written, or zarr is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        template: Cube,
        extensions: Mapping[str, Any] | None = None,
        history: Iterable[str] = (),
        cards: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__(path, overwrite=overwrite)
        self.template = template
        self._extensions = {name: as_extension(value) for name, value in (extensions or {}).items()}
        self._history, self._cards = list(history), dict(cards or {})
        self._axes = template.axes.output()
        self._group: Any = None
        self._arrays: dict[str, Any] = {}
        check_output(self.path, overwrite=overwrite)

    def open(self) -> None:
        """Make the group under a temporary name, with everything but the pixels.

        Raises
        ------
        ResourceError
            It cannot be written, or zarr is not installed.
        """
        zarr = import_zarr(self.path)
        self._temporary = self._beside()
        try:
            self._group = zarr.create_group(os.fspath(self._temporary), zarr_format=3)
            self._describe()
        except OSError as error:
            self.abort()
            raise write_error(error, self.path) from error
        except BaseException:
            self.abort()
            raise

    def _describe(self) -> None:
        cube, stored = self.template, self.template.dtype.newbyteorder(">").str
        primary, data = data_headers(cube, self._axes, stored, self._history, self._cards)
        if primary is not None:
            self._group.attrs[PRIMARY] = _lines(primary)
        if cube.beam_table is not None:
            self._group.attrs[BEAMS] = _columns(cube.beam_table)
        lost = [one.name for one in (cube.layout.carried if cube.layout else ()) if one.name != "BEAMS"]
        if lost:
            text = f"not copied to Zarr: {', '.join(lost)}; write FITS to keep them"
            warnings.warn(text, DenoiseWarning, stacklevel=4)
        self._image("DATA", data)
        for name, given in self._extensions.items():
            about: dict[str, Any] = {"name": given.name or name, "unit": given.unit, "extra": given.cards}
            if given.pixels is None:
                self._image(name, extension_header(cube, self._axes, stored, **about))
            else:
                self._small(name, given, small_header(cube, given.pixels.shape, stored, **about))

    def _image(self, name: str, cards: list[bytes]) -> None:
        shape = self._axes.file_shape
        chunk = _along(self._axes, self.template.shape, lambda n, most, _: min(n, most))
        shard = _along(self._axes, self.template.shape, _shard)
        self._arrays[name] = self._group.create_array(
            name,
            shape=shape,
            chunks=chunk,
            shards=shard,
            dtype=self.template.dtype,
            fill_value=float("nan"),
            dimension_names=_names(self._axes),
            attributes={CARDS: _lines(cards)},
        )
        self._left[name] = int(np.prod(self.template.shape, dtype=np.int64))

    def _small(self, name: str, given: Extension, cards: list[bytes]) -> None:
        pixels = np.asarray(given.pixels)
        array = self._group.create_array(
            name, shape=pixels.shape, dtype=pixels.dtype, attributes={CARDS: _lines(cards)}
        )
        array[...] = pixels

    def write(self, name: str, region: Region, block: NDArray[Any]) -> None:
        """Write a block (channel, y, x) of the image `name` ("DATA" or a key of `extensions`).

        Raises
        ------
        UsageError
            The block does not fit the region.
        ResourceError
            The disk is full or has gone.
        """
        checked = check_region(region, self.template.shape)
        if tuple(block.shape) != region_shape(checked):
            raise UsageError(
                "the block does not fit its region",
                value=f"{block.shape}, {region_shape(checked)}",
                action="write a block of the shape of its region (channel, y, x)",
            )
        self._check_folder()
        try:
            self._arrays[name][self._axes.file_slices(checked)] = self._axes.to_file(block)
        except OSError as error:
            raise write_error(error, self.path) from error
        self._left[name] -= int(block.size)

    def _check_folder(self) -> None:
        # zarr makes folders that are missing: an output that was removed must not come back in part
        if self._temporary is None or not (self._temporary / "zarr.json").exists():
            raise ResourceError(
                f"the output cannot be written: {self.path}",
                value="its folder has gone",
                action="make it again, or choose another",
            )

    def set_provenance(self, provenance: Provenance) -> None:
        """Record what fixes the numbers and the circumstances of the run."""
        self._check_folder()
        parts = {"science": dict(provenance.science), "run": dict(provenance.run)}
        self._group.attrs[PROVENANCE] = parts

    def add_history(self, lines: Iterable[str]) -> None:
        """More HISTORY lines, any time before the end; there is always room."""
        self._check_folder()
        attributes = self._arrays["DATA"].attrs
        attributes[CARDS] = [*attributes[CARDS], *_lines(history_cards(lines))]

    def _finish(self, temporary: Path) -> None:
        _publish(temporary, self.path, overwrite=self.overwrite)

    def _remove(self, temporary: Path) -> None:
        shutil.rmtree(temporary, ignore_errors=True)


def import_zarr(path: str | Path) -> Any:
    """The package zarr.

    Raises
    ------
    ResourceError
        It is not installed.
    """
    try:
        import zarr
    except ImportError:
        raise ResourceError(
            "zarr files need the package zarr", value=path, action="pip install astro-denoise[cluster]"
        ) from None
    return zarr


def _publish(temporary: Path, final: Path, *, overwrite: bool) -> None:
    """Rename the folder; an old one is moved aside first and removed after."""
    if final.exists():
        if not overwrite:
            raise OutputExistsError(
                "the output was made by another program", value=final, action="choose another name"
            )
        old = temporary.with_suffix(".old")
        os.rename(final, old)
        os.rename(temporary, final)
        shutil.rmtree(old)
    else:
        os.rename(temporary, final)
    sync_folder(final.parent)


def _lines(cards: Iterable[bytes]) -> list[str]:
    return [card.decode("ascii") for card in split_cards(b"".join(cards))]


def _columns(table: Any) -> dict[str, dict[str, Any]]:
    return {
        str(name): {"unit": str(table[name].unit or ""), "values": np.asarray(table[name]).tolist()}
        for name in table.colnames
    }


def _shard(length: int, chunk: int, times: int) -> int:
    side = min(length, chunk)
    return side * min(times, -(-length // side))


def _along(axes: AxisMap, shape: Shape, side: Any) -> tuple[int, ...]:
    """A size for each axis of the file, from those of (channel, y, x)."""
    sizes = [1] * len(axes.file_shape)
    for axis, *numbers in zip((axes.channel, axes.y, axes.x), shape, CHUNK, _SHARD, strict=True):
        if axis is not None:
            sizes[axis] = side(*numbers)
    return tuple(sizes)


def _names(axes: AxisMap) -> list[str]:
    known = {axes.channel: "channel", axes.y: "y", axes.x: "x"}
    return [known.get(axis, f"axis{axis}") for axis in range(len(axes.file_shape))]
