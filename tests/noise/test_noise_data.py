"""The noise of real observations, against what is known of them; needs DENOISE_TEST_DATA."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from denoise.errors import DenoiseWarning
from denoise.noise import estimate_noise

DATA = os.environ.get("DENOISE_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="DENOISE_TEST_DATA is not set")


def read(name):
    from denoise.cube import read as read_cube

    path = Path(DATA or "") / "cubes" / name
    if not path.exists():
        pytest.skip(f"{name} is not among the test data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what headers lack is tested elsewhere
        return read_cube(path)


def plane(name):
    cube = read(name)
    return np.asarray(cube.read(tuple(slice(0, n) for n in cube.shape)))[0]


@pytest.mark.parametrize(("name", "truth"), [("snr04", 2.5e-4), ("snr08", 1.25e-4), ("snr20", 5e-5)])
def test_simulated_visibility_noise_within_two_percent(name, truth):
    model = estimate_noise(read(f"sim_alma_cii_disk/{name}_full.fits"))
    assert model.typical == pytest.approx(truth, rel=0.02)
    assert model.describe()["spatial_lag1_x"] > 0.9
    assert model.tails.negative_tail_agrees


@pytest.mark.parametrize("name", ["residual", "image"])
def test_pisco_acf_is_the_dirty_beam(name):
    psf = plane("cii_pisco_alma_2d/Pisco.cii.455kms.psf.fits")
    model = estimate_noise(read(f"cii_pisco_alma_2d/Pisco.cii.455kms.{name}.fits"))
    y, x = np.unravel_index(int(np.nanargmax(psf)), psf.shape)
    cy, cx = (n // 2 for n in model.spatial_acf.shape)
    for lag in range(1, 9):
        assert model.spatial_acf[cy, cx + lag] == pytest.approx(psf[y, x + lag] / psf[y, x], abs=0.05)
        assert model.spatial_acf[cy + lag, cx] == pytest.approx(psf[y + lag, x] / psf[y, x], abs=0.05)


def test_ngc4047_rises_towards_the_edge_as_the_inverse_gain():
    model = estimate_noise(read("co10_ngc4047_carma/NGC4047.co.smo7msk.fits.gz"))
    gain = plane("co10_ngc4047_carma/NGC4047.co.smo7gain.fits.gz")
    sigma = model.sigma()[20]
    ratio = sigma * gain / np.nanmedian(sigma * gain)
    for low in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        assert np.nanmedian(ratio[(gain >= low) & (gain < low + 0.1)]) == pytest.approx(1.0, abs=0.1)
    assert np.nanmax(sigma) / np.nanmin(sigma) > 1.9
    assert np.isnan(sigma[0, 0])


@pytest.mark.parametrize(
    "name", ["muse_udf_mosaic/subcub_mosaic.fits", "muse_a478_cut/a478_minicube_p1500-2299.fits"]
)
def test_muse_noise_within_ten_percent_of_stat(name):
    cube = read(name)
    trusted = estimate_noise(cube)
    assert trusted.details["measured_over_given"] == pytest.approx(1.0, abs=0.1)
    assert estimate_noise(cube, companion="ignore").typical == pytest.approx(trusted.typical, rel=0.1)


def test_gmos_err_is_a_variance_and_its_size_is_reported():
    cube = read("gmos_ngc3081/ngc3081_cube.fits")
    with pytest.warns(DenoiseWarning, match="variance") as caught:
        model = estimate_noise(cube)
    assert "factor" in str(caught[-1].message)
    assert 2.0 < 1 / model.details["measured_over_given"] < 4.5  # about 9 in variance


def test_wein069_channels_are_correlated():
    model = estimate_noise(read("hi_wein069_wsrt/WEIN069.fits"))
    assert 0.6 <= model.spectral_acf[1] <= 0.75


def test_zeros_outside_the_field_of_ngc4710_are_not_noise():
    model = estimate_noise(read("co10_ngc4710_carma/NGC4710cube.fits"))
    assert 0.02 < model.typical < 0.03
    assert 0.6 < model.describe()["spatial_lag1_x"] < 0.8


def test_orion_bowls_switch_positivity_off():
    model = estimate_noise(read("ch3oh_orion_alma/Orion.methanol.cbc.contsub.image.fits"))
    assert model.typical < 0.1  # the median deviation of the emission is 0.12
    assert not model.tails.negative_tail_agrees


@pytest.mark.parametrize("exposure", "abcde")
def test_decam_exposures(exposure):
    model = estimate_noise(read(f"deepshallow_decam_obs04/DEC-OBS04{exposure}.mini.fits"))
    image = plane(f"deepshallow_decam_obs04/DEC-OBS04{exposure}.mini.fits")
    # neighbouring faint pixels, uncorrelated within .25, bound sigma from an argument of their own
    step = np.diff(image, axis=0)
    pairs = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)
    assert 0.85 < model.typical / pairs < 1.2
