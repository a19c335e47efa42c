"""A small result built from arrays, so that the report is tested without the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from denoise.cube import Provenance
from denoise.cube.beams import Beams
from denoise.cube.spectral import spectral_axis
from denoise.cube.wcs import make_wcs
from denoise.noise import NoiseModel

BEAM = (5.0, 3.5, 30.0)  # FWHM in pixels, angle from +y towards -x


class ArrayCube:
    """What the report reads of a cube; counts the voxels of the largest block that was asked for."""

    def __init__(self, data, header=None, *, unit="Jy / beam", beams=None, excluded=None) -> None:
        self._data, self._excluded = data, excluded
        self.shape, self.dtype = data.shape, data.dtype
        self.header = header
        self.wcs = make_wcs(header) if header is not None else None
        self.unit_text = unit
        self.unit = u.Unit(unit) if unit else None
        self.beams = beams
        self.spectral_axis = (
            spectral_axis(header, number=3, size=data.shape[0]) if header is not None else None
        )
        celestial = self.wcs is not None and self.wcs.has_celestial
        self.pixel_scale = 3600 * abs(header["CDELT2"]) if celestial else None
        self.pixel_matrix = np.diag([header["CDELT1"], header["CDELT2"]]) if celestial else None
        self.name, self.path = "toy", Path("toy.fits")
        self.is_image = data.shape[0] == 1
        self.largest = 0

    def read(self, region=None):
        part = self._data if region is None else self._data[region]
        self.largest = max(self.largest, part.size)
        return part.copy()

    def excluded(self, region=None):
        whole = np.zeros(self.shape, bool) if self._excluded is None else self._excluded
        return whole if region is None else whole[region]


@dataclass
class ToyResult:
    input: Any
    cube: Any
    noise: Any
    support: Any
    residual: Any = None
    display: bool = False
    uncertainty: Any = None
    flux_errors: Any = None
    limits: Any = None
    errors: Any = None
    metrics: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)
    method: str = "ist"
    parameters: dict = field(default_factory=lambda: {"threshold": 4.0})
    seconds: float = 1.5
    provenance: dict = field(default_factory=lambda: Provenance({"seed": "0"}, {"python": "3"}))
    truth: Any = None


def toy_header(ctype3="VRAD", *, specsys="LSRK", rest=115.2712018e9, rotate=0.0, flip=False):
    header = fits.Header()
    step = 0.5 / 3600
    header["OBJECT"] = "Toy disc"
    cards = {
        "CTYPE1": "RA---SIN",
        "CRVAL1": 180.0,
        "CRPIX1": 24.5,
        "CDELT1": step if flip else -step,
        "CUNIT1": "deg",
        "CTYPE2": "DEC--SIN",
        "CRVAL2": 45.0,
        "CRPIX2": 24.5,
        "CDELT2": step,
        "CUNIT2": "deg",
    }
    axes = {
        "VRAD": (2.0e6, 1.0e4, "m/s"),
        "VOPT": (2.0e6, 1.0e4, "m/s"),
        "VELO-LSR": (2.0e6, 1.0e4, "m/s"),
        "FREQ": (114.5e9, -3.85e6, "Hz"),
        "AWAV": (6700.0, 1.25, "Angstrom"),
        "WAVE": (6700.0, 1.25, "Angstrom"),
        "LINEAR": (8000.0, 1.25, "Angstrom"),
    }
    value, width, unit = axes[ctype3]
    cards |= {"CTYPE3": ctype3, "CRVAL3": value, "CRPIX3": 12.0, "CDELT3": width, "CUNIT3": unit}
    if specsys:
        cards["SPECSYS"] = specsys
    if rest:
        cards["RESTFRQ"] = rest
    if rotate:
        c, s = np.cos(np.deg2rad(rotate)), np.sin(np.deg2rad(rotate))
        cards |= {"PC1_1": c, "PC1_2": -s, "PC2_1": s, "PC2_2": c}
    header.update(cards)
    return header


def toy_truth(shape=(24, 48, 48), peak=1.0, centre=None):
    """A rotating disc: brightness falls off exponentially, velocity follows x."""
    nchan, ny, nx = shape
    cy, cx = centre or ((ny - 1) / 2, (nx - 1) / 2)
    y, x = np.mgrid[:ny, :nx]
    disc = np.exp(-(np.hypot((x - cx) / 5, (y - cy) / 3) ** 2) / 2)
    line = (nchan - 1) / 2 + (nchan / 6) * np.tanh((x - cx) / 5)
    channel = np.arange(nchan)[:, None, None]
    width = 1.6 if nchan > 1 else 1e9
    return (peak * disc * np.exp(-((channel - line) ** 2) / (2 * width**2))).astype(np.float32)


def toy_result(
    shape=(24, 48, 48),
    *,
    peak=8.0,
    sigma=1e-3,
    seed=1,
    header=None,
    unit="Jy / beam",
    wcs=True,
    kept=1.0,
    nan_edge=0,
):
    """Disc of `peak` sigma plus beam-correlated noise; the "denoised" cube is `kept` times the truth."""
    header = (header or toy_header()) if wcs else None
    noise = NoiseModel.from_beam(shape, sigma, BEAM)
    truth = toy_truth(shape, peak * sigma)
    data = truth + noise.sample(seed=seed)
    after = (kept * truth).astype(np.float32)
    if nan_edge:
        for cube in (data, after):
            cube[:, :nan_edge] = cube[:, -nan_edge:] = np.nan
    scale = 0.5 / 3600
    sizes = np.array([[BEAM[0] * scale], [BEAM[1] * scale], [BEAM[2]]]) if wcs else np.full((3, 1), np.nan)
    beams = Beams(*sizes, BEAM, "toy")
    cubes = [ArrayCube(a, header, unit=unit, beams=beams) for a in (data, after, data - after)]
    support = truth > 1.0 * sigma
    return ToyResult(
        cubes[0],
        cubes[1],
        noise,
        support,
        cubes[2],
        truth=truth,
        metrics={
            "noise_before": sigma,
            "noise_after": None,
            "flux_before": 1.0,
            "flux_after": 1.02,
            "flux_before_error": 0.05,
            "flux_change_percent": 2.0,
            "voxels": float(data.size),
        },
    )


@pytest.fixture
def result():
    return toy_result()
