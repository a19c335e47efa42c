"""Small FITS files with known content, and the outside data where it is there."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits


@pytest.fixture(scope="session")
def data_folder():
    """Folder of the outside data, from the variable DENOISE_TEST_DATA."""
    folder = os.environ.get("DENOISE_TEST_DATA")
    if not folder or not Path(folder, "cubes").is_dir():
        pytest.skip("DENOISE_TEST_DATA does not name the folder of the test data")
    return Path(folder)


AXES = {
    "RA": {"CTYPE": "RA---SIN", "CRVAL": 150.0, "CDELT": -1e-4, "CRPIX": 3.0, "CUNIT": "deg"},
    "DEC": {"CTYPE": "DEC--SIN", "CRVAL": 2.0, "CDELT": 1e-4, "CRPIX": 4.0, "CUNIT": "deg"},
    "FREQ": {"CTYPE": "FREQ", "CRVAL": 3.4e11, "CDELT": -1e7, "CRPIX": 1.0, "CUNIT": "Hz"},
    "STOKES": {"CTYPE": "STOKES", "CRVAL": 1.0, "CDELT": 1.0, "CRPIX": 1.0},
}


def make_header(order, **cards):
    """Header of an image whose axes, in NumPy order, have these names; "" for a nameless axis."""
    header = fits.Header()
    for i, name in enumerate(order):
        for key, value in AXES.get(name, {}).items():
            header[f"{key}{len(order) - i}"] = value
    header.update(cards)
    return header


@pytest.fixture(scope="session")
def header_of():
    """`make_header`, for tests that cannot import it."""
    return make_header


@pytest.fixture
def make_fits(tmp_path):
    """Write a FITS file of one image with named axes and return its path."""

    def make(array, order=("FREQ", "DEC", "RA"), name="in.fits", extra=(), **cards):
        path = tmp_path / name
        hdus = [fits.PrimaryHDU(array, make_header(order, **cards)), *extra]
        fits.HDUList(hdus).writeto(path)
        return path

    return make


@pytest.fixture
def noise():
    """Normal numbers of a given shape, the same in every run."""

    def draw(*shape, dtype=np.float32, seed=1):
        return np.random.default_rng(seed).normal(size=shape).astype(dtype)

    return draw
