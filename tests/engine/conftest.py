"""Shared by the tests of runs on workers: a file of noise and a source, and when outputs are equal."""

import shutil

import numpy as np
import pytest
from astropy.io import fits

from denoise.cube import read_provenance
from denoise.engine import run_options
from denoise.testing.subject import observation

SHAPE = (12, 400, 60)
MEMORY = 30_000_000  # some tiles


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    data, _, _ = observation(SHAPE, peak_snr=12.0)
    data[:, :3] = np.nan
    path = tmp_path_factory.mktemp("given") / "obs.fits"
    fits.writeto(path, data.astype(">f4"), fits.Header({"BUNIT": "Jy"}))
    return path


@pytest.fixture
def obs(given, tmp_path):
    return shutil.copy(given, tmp_path / "obs.fits")


def options(**changes):
    return run_options(**{"method": "ist", "memory": MEMORY, **changes})


def assert_equal_files(first, second):
    with fits.open(first) as a, fits.open(second) as b:
        assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
        for one, other in zip(a, b, strict=True):
            if one.name != "PROVENANCE":
                assert str(one.header) == str(other.header)
                assert one.data.tobytes() == other.data.tobytes()
    assert read_provenance(first).science == read_provenance(second).science


def at_the_first_tile(action):
    """Progress that does something when a tile is done."""
    left = [action]

    def progress(event):
        if event.stage == "denoising" and event.done == 1 and left:
            left.pop()()

    return progress


def only_the_input_is_left(obs):
    return sorted(p.name for p in obs.parent.iterdir()) == [obs.name]
