"""A cropped cube: the same numbers at the same world coordinates, with everything that belongs to it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from denoise.cube import read, write
from denoise.errors import UsageError

SHAPE = (12, 20, 30)
CROP = "channels 3:8, y 2:15, x 5:24"
PART = np.s_[3:9, 2:16, 5:25]


@pytest.fixture
def obs(tmp_path: Path) -> Path:
    """A cube in an extension, with a sky, frequencies, a noise and a flag image, and a beam a plane."""
    header = fits.Header({"BUNIT": "Jy/beam", "EXTNAME": "SCI"})
    for axis, (ctype, value, step, unit) in enumerate(
        [("RA---SIN", 10.0, -1e-4, "deg"), ("DEC--SIN", 2.0, 1e-4, "deg"), ("VRAD", 1e5, 1e3, "m/s")], start=1
    ):
        header.update({f"CTYPE{axis}": ctype, f"CRVAL{axis}": value, f"CDELT{axis}": step})
        header.update({f"CUNIT{axis}": unit, f"CRPIX{axis}": 4.0})
    rng = np.random.default_rng(3)
    flags = (rng.random(SHAPE) > 0.9).astype(np.int32)
    beams = Table(
        {"BMAJ": np.linspace(1, 2, 12), "BMIN": np.ones(12), "BPA": np.zeros(12), "CHAN": np.arange(12)},
        units={"BMAJ": "arcsec", "BMIN": "arcsec", "BPA": "deg"},
    )
    path = tmp_path / "obs.fits"
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(rng.normal(size=SHAPE).astype(">f4"), header),
            fits.ImageHDU(rng.random(SHAPE).astype(">f4") + 1, name="ERR"),
            fits.ImageHDU(flags, name="DQ"),
            fits.BinTableHDU(beams, name="BEAMS"),
        ]
    ).writeto(path)
    return path


def test_pixels_noise_flags_and_beams_are_cut_together(obs: Path) -> None:
    whole, part = read(obs, exclude="channels 4:5"), read(obs, exclude="channels 4:5", crop=CROP)
    assert part.shape == (6, 14, 20)
    np.testing.assert_array_equal(part.data, whole.data[PART])
    np.testing.assert_array_equal(part.excluded(), whole.excluded()[PART])
    inner = (slice(1, 3), slice(2, 7), slice(0, 4))
    assert whole.noise_source is not None and part.noise_source is not None  # noqa: PT018
    every = tuple(slice(0, n) for n in SHAPE)
    np.testing.assert_array_equal(
        part.noise_source.pixels.read(inner), whole.noise_source.pixels.read(every)[PART][inner]
    )
    assert whole.beams is not None and part.beams is not None  # noqa: PT018
    np.testing.assert_array_equal(part.beams.major, whole.beams.major[3:9])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).data, part.data)


def test_world_coordinates_stay(obs: Path, tmp_path: Path) -> None:
    whole, part = read(obs), read(obs, crop=CROP)
    assert whole.spectral_axis is not None and part.spectral_axis is not None  # noqa: PT018
    np.testing.assert_allclose(part.spectral_axis.values, whole.spectral_axis.values[3:9])
    out = write(part, tmp_path / "part.fits")
    with fits.open(out) as hdus, fits.open(obs) as old:
        np.testing.assert_array_equal(hdus[1].data, part.data)
        there, here = WCS(old[1].header), WCS(hdus[1].header)
        np.testing.assert_allclose(
            here.all_pix2world([[0, 0, 0], [3, 4, 5]], 0), there.all_pix2world([[5, 2, 3], [8, 6, 8]], 0)
        )
        np.testing.assert_array_equal(hdus["BEAMS"].data["CHAN"], np.arange(6))
        np.testing.assert_allclose(hdus["BEAMS"].data["BMAJ"], old["BEAMS"].data["BMAJ"][3:9])


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("99.5:104.2 km/s", (5, 20, 30)),
        ("x 28:99", (12, 20, 2)),
        ("around 10deg 2deg 1.08arcsec", (12, 3, 3)),
        ("around 0h40m00s 2d0m0s 1.08arcsec; channels 0:1", (2, 3, 3)),
    ],
)
def test_ranges_in_world_units(obs: Path, text: str, shape: tuple[int, int, int]) -> None:
    assert read(obs, crop=text).shape == shape


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x 40:50", "leaves nothing"),
        ("around 50 2 1arcsec", "leaves nothing"),
        ("middle", "not understood.*write channels A:B"),
        ("around here 2 1arcsec", "not an angle"),
        ("1:2 GHz", "rest frequency|another unit|holds no channel"),
    ],
)
def test_what_is_wrong_is_said(obs: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(obs, crop=text)
