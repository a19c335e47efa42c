"""Sample data: two simulated ALMA cubes and a small real one of MUSE."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from napari_denoise.layers import LayerData
from napari_denoise.reader import read_layers

_SHAPE = (48, 96, 96)
_SEED = 2036


def disc() -> list[LayerData]:
    """A rotating disc, peak SNR 12, with the noise of imaged visibilities."""
    return _simulated("disc", 12.0)


def merger() -> list[LayerData]:
    """Two discs that merge, peak SNR 8."""
    return _simulated("merger", 8.0)


def muse() -> list[LayerData]:
    """An emission line of a galaxy in the Hubble Ultra Deep Field, from MUSE."""
    from denoise.resources import resource

    return read_layers(str(resource("samples", "muse_udf_line.fits")))


def _simulated(kind: Literal["disc", "merger"], snr: float) -> list[LayerData]:
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import write_simulation

    simulation = simulate_cube(_SEED, shape=_SHAPE, kind=kind, peak_snr=snr, noise="imaged")
    # a file like any other: the recipe and the command that a session ends with name it
    paths = write_simulation(simulation, _folder(), f"{kind}_simulated", axis="velocity", overwrite=True)
    return read_layers(str(paths["noisy"]))


@cache
def _folder() -> Path:
    """Removed when the interpreter ends."""
    folder = tempfile.mkdtemp(prefix="denoise-samples-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
