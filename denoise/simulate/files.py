"""Simulations as FITS files with the cards of real observations, and their parameters as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from denoise.atomic import put
from denoise.cube import Cube, write
from denoise.errors import OutputExistsError
from denoise.simulate.observations import Observation, stabilisation
from denoise.simulate.simulations import Simulation

Axis = Literal["velocity", "frequency", "wavelength"]
PARTS = ("noisy", "truth", "noise", "half_a", "half_b", "gain", "psf")

_NOISE_JY = 5e-4  # Jy/beam, sigma of a typical channel of radio data
_NOISE_OPTICAL = 10.0  # 1e-20 erg/s/cm2/Angstrom
_REST = 230.538e9  # Hz, CO 2-1
_CHANNEL = 1e4  # m/s
_LIGHT = 299792458.0
_CENTRE = (150.0, 2.2)  # deg


@dataclass(frozen=True)
class Format:
    """Numbers and cards of one kind of observation.

    Attributes
    ----------
    axis : {"velocity", "frequency", "wavelength"}
        Radio velocity (10 km/s a channel) or frequency, with the rest frequency of CO 2-1, in LSRK; or
        wavelength in air (1.25 Angstrom), barycentric.
    scale : float
        Data units per unit of the simulation.
    unit : str
        BUNIT.
    pixel : float
        Degrees.
    """

    axis: Axis
    scale: float
    unit: str
    pixel: float


def default_axis(observation: Observation) -> Axis:
    """Wavelength where the noise is that of an optical instrument, else velocity."""
    return "wavelength" if observation.noise == "white" else "velocity"


def format_of(simulation: Simulation, axis: Axis | None = None) -> Format:
    """Unit and scale of a simulation.

    sigma is 0.5 mJy/beam in radio data and 10 (1e-20 erg/s/cm2/Angstrom) in optical ones, in a typical channel
    in the centre of the field; counts stay counts, their background subtracted.
    """
    axis = axis or default_axis(simulation.observation)
    optical = axis == "wavelength"
    pixel = (0.2 if optical else 0.05) / 3600.0
    counts = simulation.observation.counts
    if counts is not None:
        return Format(axis, counts.gain * counts.electrons / simulation.sigma, "count", pixel)
    if optical:
        return Format(axis, _NOISE_OPTICAL / simulation.sigma, "10**(-20)*erg/s/cm**2/Angstrom", pixel)
    return Format(axis, _NOISE_JY / simulation.sigma, "Jy/beam", pixel)


def header_of(simulation: Simulation, axis: Axis | None = None) -> fits.Header:
    """Cards of a simulated cube: celestial and spectral axis, unit, beam.

    Parameters
    ----------
    simulation : Simulation
    axis : {"velocity", "frequency", "wavelength"}, optional
        Spectral axis; by default wavelength for white noise, else velocity.

    Returns
    -------
    Header
        RA/DEC in TAN projection (ICRS), the field's centre at 150, +2.2 degrees.
    """
    form = format_of(simulation, axis)
    channels, rows, columns = simulation.truth.shape
    major, minor, angle = simulation.beam_pixels
    cards: dict[str, Any] = {"OBJECT": "simulated", "BUNIT": form.unit}
    cards |= {"BMAJ": major * form.pixel, "BMIN": minor * form.pixel, "BPA": angle}
    cards |= _axis_cards(1, "RA---TAN", "deg", _CENTRE[0], (columns + 1) / 2, -form.pixel)
    cards |= _axis_cards(2, "DEC--TAN", "deg", _CENTRE[1], (rows + 1) / 2, form.pixel)
    cards |= _spectral_cards(form.axis, channels)
    return fits.Header((cards | {"RADESYS": "ICRS"}).items())


def _axis_cards(
    number: int, name: str, unit: str, value: float, pixel: float, step: float
) -> dict[str, float | str]:
    values: dict[str, float | str] = {
        "CTYPE": name,
        "CUNIT": unit,
        "CRVAL": value,
        "CRPIX": pixel,
        "CDELT": step,
    }
    return {f"{key}{number}": entry for key, entry in values.items()}


def _spectral_cards(axis: Axis, channels: int) -> dict[str, float | str]:
    middle = (channels + 1) / 2
    if axis == "wavelength":
        return _axis_cards(3, "AWAV", "Angstrom", 7000.0, middle, 1.25) | {"SPECSYS": "BARYCENT"}
    rest: dict[str, float | str] = {"RESTFRQ": _REST, "SPECSYS": "LSRK"}
    if axis == "frequency":
        return _axis_cards(3, "FREQ", "Hz", _REST, middle, -_REST * _CHANNEL / _LIGHT) | rest
    return _axis_cards(3, "VRAD", "m/s", 0.0, middle, _CHANNEL) | rest


def parts_of(observation: Observation, *, halves: bool) -> tuple[str, ...]:
    """What is written of such an observation, of `PARTS`."""
    wanted = {"half_a": halves, "half_b": halves, "gain": observation.primary_beam is not None}
    wanted["psf"] = observation.noise == "imaged"
    return tuple(part for part in PARTS if wanted.get(part, True))


def simulation_paths(folder: Path, name: str, parts: tuple[str, ...]) -> dict[str, Path]:
    """``NAME_part.fits`` of each part, and ``NAME.json``."""
    paths = {part: folder / f"{name}_{part}.fits" for part in parts}
    return paths | {"parameters": folder / f"{name}.json"}


def write_simulation(
    simulation: Simulation,
    folder: str | Path,
    name: str,
    *,
    axis: Axis | None = None,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write ``NAME_noisy.fits``, ``_truth``, ``_noise`` and what else there is, and ``NAME.json``.

    Each file is written under a temporary name and renamed when it is complete; the JSON comes last.

    Parameters
    ----------
    simulation : Simulation
        Halves are written if it has them (``_half_a``, ``_half_b``), the primary beam as ``_gain``, the dirty
        beam as ``_psf``.
    folder : str or Path
        Must exist.
    name : str
        Start of the file names.
    axis : {"velocity", "frequency", "wavelength"}, optional
        See `header_of`.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    dict
        Path of each part, and "parameters".

    Raises
    ------
    OutputExistsError
        A file exists; nothing has been written.
    ResourceError
        The folder cannot be written.
    """
    parts = parts_of(simulation.observation, halves=simulation.half_a is not None)
    paths = simulation_paths(Path(folder), name, parts)
    refuse_existing(paths.values(), overwrite=overwrite)
    header = header_of(simulation, axis)
    for part, pixels in _images(simulation, format_of(simulation, axis).scale):
        cards = header if pixels.ndim == 3 else _plane_header(header, part)
        write(Cube(pixels, header=cards, name=name), paths[part], overwrite=overwrite)
    text = json.dumps(described(simulation, axis), indent=1)
    put(paths["parameters"], f"{text}\n")
    return paths


def described(simulation: Simulation, axis: Axis | None = None) -> dict[str, Any]:
    """Parameters of a simulation, with what its files need to be understood (`files`: unit, scale, axis)."""
    form = format_of(simulation, axis)
    values: dict[str, Any] = {"axis": form.axis, "unit": form.unit, "scale": form.scale}
    values["sigma"] = simulation.sigma * form.scale
    values["channel_sigma"] = [float(value) for value in simulation.channel_sigma * form.scale]
    vst = stabilisation(simulation.observation)
    if vst is not None:
        values["vst"] = {key: value * form.scale for key, value in vst.items()}
    return {**simulation.parameters, "files": values}


def refuse_existing(paths: Any, *, overwrite: bool) -> None:
    """Refuse outputs that exist.

    Raises
    ------
    OutputExistsError
        One of them is there and `overwrite` is false.
    """
    for path in paths:
        if not overwrite and path.exists():
            raise OutputExistsError(
                "the output exists", value=path, action="choose another folder or use --overwrite"
            )


def _images(simulation: Simulation, scale: float) -> Iterator[tuple[str, NDArray[np.float32]]]:
    def scaled(pixels: NDArray[np.float32], factor: float = scale) -> NDArray[np.float32]:
        return np.asarray(pixels * np.float32(factor))

    yield "noisy", scaled(simulation.noisy)
    yield "truth", scaled(simulation.truth)
    yield "noise", scaled(simulation.noise, scale * simulation.sigma)
    if simulation.half_a is not None and simulation.half_b is not None:
        yield "half_a", scaled(simulation.half_a)
        yield "half_b", scaled(simulation.half_b)
    if simulation.gain is not None:
        yield "gain", simulation.gain
    if simulation.dirty_beam is not None:
        yield "psf", simulation.dirty_beam


def _plane_header(header: fits.Header, part: str) -> fits.Header:
    """Celestial cards of an image; a PSF has none, its unit is its peak."""
    cards = fits.Header([("OBJECT", "simulated")])
    if part == "gain":
        kept: Callable[[str], bool] = lambda key: key[-1] in "12" or key == "RADESYS"  # noqa: E731
        cards.update({key: header[key] for key in header if kept(key)})
    return cards
