"""One exposure denoised against the mean of the other four: error and photometry on five DECam exposures.

    python benchmarks/decam_report.py                                # smooth, ist, unet, lidia on every exposure
    python benchmarks/decam_report.py --method lidia --exposure a --each

The exposures (330 s, one field of 256 x 256 pixels on one grid) are read from ``$DENOISE_TEST_DATA/cubes``. The mean of
the others, without their cosmic rays, has half their noise, but another seeing and transparency. So the root mean
square error is given twice: of all pixels, where the bright stars of another shape count most (c has the worst seeing
of the five, e the best), and of the sky alone. The least that is possible is the noise of the reference, about 40 % of
the raw error.

Photometry: the 50 brightest maxima of the reference, smoothed, in apertures of 8 pixels radius (1.5 FWHM), with no sky
subtracted beyond the clipped median of the exposure. The flux of the denoised exposure is compared with that of the
raw one in the same apertures, which no seeing can change, as a share of the reference's: of all 50; of those that a
search of the raw exposure finds, and among them the six brightest, which hold 91 % of the flux; and of those that it
does not find, whose flux no method keeps that invents none. The control is the raw exposure against the reference in
the same apertures: its errors are those of the noise of the raw exposure.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import denoise
from denoise.transforms.background import clipped_median
from denoise.transforms.detection import support

Image = NDArray[np.float32]

EXPOSURES = "abcde"
NUMBER, BRIGHT, RADIUS, APART = 50, 6, 8, 5  # sources; pixels
COSMIC = 5.0  # sigma
GOALS = {"error": -25.0, "flux": 1.0}  # per cent
METHODS = ("smooth", "ist", "unet", "lidia")


class Field(NamedTuple):
    """One exposure (y, x) and the mean of the others, their skies taken off."""

    raw: Image
    reference: Image


class Sources(NamedTuple):
    """Pixels of the sources, brightest first, and the fluxes of the reference."""

    places: NDArray[np.intp]
    flux: NDArray[np.float64]


def exposures() -> dict[str, Image]:
    """All five, with the clipped median of each taken off."""
    from astropy.io import fits

    root = os.environ.get("DENOISE_TEST_DATA")
    if not root:
        raise SystemExit("set DENOISE_TEST_DATA to the folder that holds cubes/")
    folder = Path(root) / "cubes" / "deepshallow_decam_obs04"
    found = {
        name: np.asarray(fits.getdata(folder / f"DEC-OBS04{name}.mini.fits"), np.float32)
        for name in EXPOSURES
    }
    return {name: image - np.float32(clipped_median(image)) for name, image in found.items()}


def mean_of(images: list[Image]) -> Image:
    """Mean without cosmic rays: pixels far above the median, by noise and by what another seeing does to a star."""
    cube = np.stack(images)
    middle = np.median(cube, axis=0)
    sigma = 1.4826 * np.median(np.abs(cube), axis=(1, 2), keepdims=True)
    cosmic = cube - middle > COSMIC * sigma + 0.5 * np.abs(middle)
    return np.asarray(np.mean(cube, axis=0, where=~cosmic), np.float32)


def fluxes(image: Image, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums in the apertures around the pixels (number, 2)."""
    y, x = np.indices(image.shape)
    near = [(y - at[0]) ** 2 + (x - at[1]) ** 2 <= RADIUS**2 for at in places]
    return np.array([image[inside].sum(dtype=np.float64) for inside in near])


def brightest(reference: Image) -> Sources:
    """The brightest maxima of the smoothed reference whose apertures are inside."""
    smooth = ndimage.gaussian_filter(reference, 2.0)
    maxima = np.argwhere(smooth == ndimage.maximum_filter(smooth, 2 * APART + 1))
    inside = ((maxima > RADIUS) & (maxima < np.array(reference.shape) - 1 - RADIUS)).all(axis=1)
    places = maxima[inside]
    places = places[np.argsort(-smooth[tuple(places.T)])[:NUMBER]]
    return Sources(places, fluxes(reference, places))


def rms(error: Image, where: Any = ...) -> float:
    return float(np.sqrt(np.mean(np.square(error[where], dtype=np.float64))))


def change(before: float, after: float) -> float:
    return 100 * (after / before - 1)


class Denoised(NamedTuple):
    """What a method made, its sigma, and which pixels of the raw exposure a search found to be emission."""

    image: Image
    sigma: float
    found: NDArray[np.bool_]


def denoised(raw: Image, text: str) -> Denoised:
    """`text`: NAME or NAME:PARAMETER=VALUE,..."""
    name, _, rest = text.partition(":")
    parameters = dict(part.split("=", 1) for part in rest.split(",") if part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = denoise.denoise(raw, name, **parameters)
    image = np.asarray(result.cube.read(), np.float32)[0]
    return Denoised(image, float(np.nanmedian(result.noise.sigma())), support(raw[None], result.noise)[0])


def show(text: str, exposure: str, field: Field, *, each: bool) -> None:
    """Two lines, or one more for each source."""
    sources, made = brightest(field.reference), denoised(field.raw, text)
    sky = ndimage.gaussian_filter(field.reference, 2.0) < 0.2 * made.sigma
    before, after = field.raw - field.reference, made.image - field.reference
    errors = [change(rms(before, where), rms(after, where)) for where in (..., sky)]
    raw, kept = fluxes(field.raw, sources.places), fluxes(made.image, sources.places)
    noise = made.sigma * np.sqrt(np.pi) * RADIUS
    found = made.found[tuple(sources.places.T)]
    groups = {
        "all": np.ones(NUMBER, bool),
        f"{np.sum(found)} found": found,
        f"brightest {BRIGHT}": np.arange(NUMBER) < BRIGHT,
        f"other {np.sum(found[BRIGHT:])} found": found & (np.arange(NUMBER) >= BRIGHT),
        f"{np.sum(~found)} not found": ~found,
    }
    marks = ["" if errors[0] <= GOALS["error"] else " MISSED", ""]
    words = [f"{error:+.1f} %{mark}" for error, mark in zip(errors, marks, strict=True)]
    print(f"{exposure} {text}: error of all pixels {words[0]}, of the sky {words[1]}")
    for group, chosen in groups.items():
        whole = sources.flux[chosen].sum()
        lost, control = (
            100 * np.sum(a[chosen] - b[chosen]) / whole for a, b in ((kept, raw), (raw, sources.flux))
        )
        error = 100 * noise * np.sqrt(chosen.sum()) / whole
        mark = " MISSED" if group == "all" and abs(lost) > GOALS["flux"] else ""
        aside = f"control raw - reference {control:+6.1f} +- {error:.1f} %"
        print(f"    {group:14s} denoised - raw {lost:+6.1f} %{mark}; {aside}")
    if each:
        for place, *values in zip(sources.places, sources.flux, raw, kept, found, strict=True):
            print("       ", tuple(place.tolist()), *(f"{value:9.0f}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", action="append", default=[], metavar="NAME[:P=V,...]")
    parser.add_argument("--exposure", action="append", default=[], choices=tuple(EXPOSURES))
    parser.add_argument(
        "--each", action="store_true", help="pixel, reference, raw, denoised, found of every source"
    )
    asked = parser.parse_args()
    images = exposures()
    for text in asked.method or METHODS:
        for name in asked.exposure or EXPOSURES:
            others = [image for other, image in images.items() if other != name]
            show(text, name, Field(images[name], mean_of(others)), each=asked.each)


if __name__ == "__main__":
    main()
