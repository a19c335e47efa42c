"""Open cubes and images: FITS and Zarr through the package's own reader, every extension of an output as a layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from denoise.cube import Cube, read
from denoise.errors import DenoiseError, DenoiseWarning
from napari_denoise.layers import KEY, LayerData, Role, layer_of
from napari_denoise.sky_view import orient_current

ENDINGS = (".fits", ".fit", ".fts", ".fz", ".zarr", ".fits.gz", ".fits.bz2", ".fits.xz")
# extensions of our own outputs: name of the layer, what it is
EXTENSIONS: dict[str, tuple[str, Role]] = {
    "RESIDUAL": ("residual", "residual"),
    "UNCERT": ("uncertainty", "uncertainty"),
    "NOISE": ("noise", "noise"),
    "RELIABILITY": ("reliability", "reliability"),
}


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """The question of napari whether this plugin reads these files: a function, or None."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(str(one).lower().endswith(ENDINGS) for one in paths) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Layers of every cube in one or several files; headers are read now, planes when they are shown."""
    paths = [path] if isinstance(path, str) else list(path)
    layers = [layer for one in paths for layer in layers_of_file(one)]
    orient_current(layers[0][1]["metadata"][KEY].world)
    return layers


def layers_of_file(path: str | Path, **options: Any) -> list[LayerData]:
    """The data of a file and, of an output of this package, its extensions (hidden at first).

    Parameters
    ----------
    path : str or Path
    **options
        Of ``denoise.read``.

    Raises
    ------
    InputError, UsageError
        As ``denoise.read``.
    """
    cube = read(path, **options)
    name = Path(cube.path or path).name
    ours = is_output(path)
    data = layer_of(cube, name, _kind(cube) if ours else "input", reading=options)
    return [
        data,
        *(_extensions(path, name, data) if ours else ()),
        *(_catalogue(path, name, data) if ours else ()),
    ]


def _catalogue(path: str | Path, name: str, data: LayerData) -> Iterator[LayerData]:
    """The regions of an output as points, where their catalogue lies beside it."""
    from denoise.check.regions.catalogue import catalogue_paths

    beside = catalogue_paths(Path(path).parent, Path(path).name.split(".fits")[0]).ecsv
    if beside.is_file():
        from astropy.table import Table

        from napari_denoise.trust.regions import points_of

        yield points_of(
            Table.read(beside, format="ascii.ecsv"), data[1]["metadata"][KEY].world, f"{name} regions"
        )


def is_output(path: str | Path) -> bool:
    """Whether this package wrote the file."""
    from denoise.cube import read_provenance

    try:
        read_provenance(path)
    except DenoiseError:
        return False
    return True


def _kind(cube: Cube) -> Role:
    return "denoised" if cube.unit_text else "display"


def _extensions(path: str | Path, name: str, data: LayerData) -> Iterator[LayerData]:
    for extension, (label, role) in EXTENSIONS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DenoiseWarning)  # said when the data were opened
                cube = read(path, hdu=extension)
        except DenoiseError:
            continue  # not saved in this file
        yield layer_of(cube, f"{name} {label}", role, visible=False)
