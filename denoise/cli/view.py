"""``denoise view``: the viewer, with its docks open."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from denoise.cli import options as opt
from denoise.cli.asked import reading_of
from denoise.errors import ResourceError

GET_IT = "pip install 'astro-denoise[gui]', and see denoise doctor"


def view(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="OBS.fits", help="Cubes, images, or what `denoise run` wrote.", show_default=False
        ),
    ] = None,
    hdu: opt.Hdu = None,
    stokes: opt.Stokes = None,
    mask: opt.Mask = None,
    exclude: opt.Exclude = None,
    noise: opt.Noise = None,
    noise_kind: opt.NoiseKind = None,
    gain: opt.Gain = None,
    psf: opt.Psf = None,
    beam: opt.Beam = None,
    rest: opt.Rest = None,
) -> int:
    """Look at cubes in napari: denoise, inspect, compare. The options are those of the first input."""
    reading = reading_of(dict(locals()))
    _check_window()
    from napari_denoise.launch import run

    run([str(one) for one in inputs or ()], reading)
    return 0


def _check_window() -> None:
    """Qt ends the process where it finds no screen: say so before.

    Raises
    ------
    ResourceError
        napari, Qt or a screen is missing.
    """
    for name in ("napari", "PySide6"):
        if find_spec(name) is None:
            raise ResourceError("the viewer is not installed", value=f"no {name}", action=GET_IT)
    named = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in named):
        raise ResourceError(
            "there is no screen for the viewer",
            value="DISPLAY is not set",
            action="log in with ssh -X, use a remote desktop, or xvfb-run for a test",
        )
