"""Files of simulations as other packages and the project's own reader see them."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS

from denoise import read
from denoise.errors import OutputExistsError, ResourceError
from denoise.simulate import Counts, Observation, repeat, simulate_cube
from denoise.simulate.files import write_simulation

BEAM = (5.0, 4.0, 30.0)


def written(folder, *, axis=None, halves=False, **values):
    one = simulate_cube(6, kind="disc", observation=Observation((12, 40, 44), BEAM, **values), halves=halves)
    return one, write_simulation(one, folder, "one", axis=axis)


def test_radio_cube_opens_in_astropy_and_spectral_cube(tmp_path):
    spectral_cube = pytest.importorskip("spectral_cube")
    one, paths = written(tmp_path)
    with fits.open(paths["noisy"]) as hdus:
        header, data = hdus[0].header, hdus[0].data
        assert data.shape == (12, 40, 44)
        assert data.dtype == np.dtype(">f4")
        scale = 5e-4 / one.sigma
        np.testing.assert_allclose(data, one.noisy * scale, rtol=1e-5, atol=1e-9)
        assert header["SPECSYS"] == "LSRK"
    cube = spectral_cube.SpectralCube.read(paths["noisy"])
    assert cube.unit == u.Jy / u.beam
    assert cube.beam.major.to_value("arcsec") == pytest.approx(0.25)
    assert cube.beam.minor.to_value("arcsec") == pytest.approx(0.2)
    assert cube.beam.pa.to_value("deg") == pytest.approx(30.0)
    steps = np.diff(cube.spectral_axis.to_value("km/s"))
    np.testing.assert_allclose(steps, 10.0)
    assert cube.wcs.wcs.restfrq == pytest.approx(230.538e9)
    ra, dec = cube.wcs.celestial.pixel_to_world_values(21.5, 19.5)  # the field's centre
    assert (float(ra), float(dec)) == (pytest.approx(150.0), pytest.approx(2.2))


def test_frequency_falls_where_velocity_rises(tmp_path):
    _, paths = written(tmp_path, axis="frequency")
    speeds = WCS(fits.getheader(paths["truth"]), naxis=3).spectral.pixel_to_world(np.arange(12))
    values = speeds.to_value(u.km / u.s, doppler_rest=230.538 * u.GHz, doppler_convention="radio")
    np.testing.assert_allclose(np.diff(values), 10.0, rtol=1e-6)


def test_own_reader_sees_beam_unit_gain_and_psf(tmp_path):
    one, paths = written(tmp_path, noise="imaged", primary_beam=40.0, halves=True)
    assert set(paths) == {"noisy", "truth", "noise", "half_a", "half_b", "gain", "psf", "parameters"}
    cube = read(paths["noisy"], gain=paths["gain"], psf=paths["psf"])
    assert cube.unit == u.Jy / u.beam
    assert cube.beams.pixels == pytest.approx(BEAM, rel=1e-4)
    assert cube.pixel_scale == pytest.approx(0.05)
    gain = read(paths["gain"]).data[0]
    np.testing.assert_array_equal(gain, one.gain)
    assert fits.getheader(paths["gain"])["CTYPE1"] == "RA---TAN"
    psf = read(paths["psf"]).data[0]
    assert psf.max() == psf[39, 43] == 1.0
    noisy, truth, noise, a, b = (
        read(paths[part]).data for part in ("noisy", "truth", "noise", "half_a", "half_b")
    )
    np.testing.assert_allclose(truth + noise, noisy, atol=2e-8)
    np.testing.assert_allclose((a + b) / 2, noisy, atol=2e-8)


def test_optical_cube_has_air_wavelengths_and_flux_units(tmp_path):
    _, paths = written(tmp_path, noise="white", sky_lines=2)
    cube = read(paths["noisy"])
    assert cube.unit.is_equivalent(u.erg / u.s / u.cm**2 / u.Angstrom)
    assert cube.unit.to(u.erg / u.s / u.cm**2 / u.Angstrom) == pytest.approx(1e-20)
    header = fits.getheader(paths["noisy"])
    assert (header["CTYPE3"], header["CUNIT3"]) == ("AWAV", "Angstrom")
    assert "RESTFRQ" not in header
    np.testing.assert_allclose(np.diff(cube.spectral_axis.values), 1.25, rtol=1e-6)


def test_counts_come_with_the_numbers_that_vst_takes(tmp_path):
    _, paths = written(tmp_path, noise="white", counts=Counts(25.0, 0.0, 2.0))
    stored = json.loads(paths["parameters"].read_text())
    assert stored["files"]["unit"] == "count"
    assert stored["files"]["vst"] == {
        "gain": pytest.approx(2.0),
        "offset": pytest.approx(-50.0),
        "read_noise": 0.0,
    }
    events = (read(paths["noisy"]).data + 50.0) / 2.0
    np.testing.assert_allclose(events, np.round(events), atol=1e-3)
    assert stored["files"]["sigma"] == pytest.approx(2.0 * 5.0)


def test_parameters_beside_the_files_make_the_cube_again(tmp_path):
    one, paths = written(tmp_path, halves=True)
    again = repeat(json.loads(paths["parameters"].read_text()))
    assert again.half_a.tobytes() == one.half_a.tobytes()


def test_existing_files_are_refused_before_any_is_written(tmp_path):
    one, paths = written(tmp_path)
    paths["noisy"].unlink()
    with pytest.raises(OutputExistsError, match="one_truth"):
        write_simulation(one, tmp_path, "one")
    assert not paths["noisy"].exists()
    write_simulation(one, tmp_path, "one", overwrite=True)
    assert paths["noisy"].exists()
    assert not list(tmp_path.glob(".*"))


def test_a_missing_folder_is_an_error(tmp_path):
    one = simulate_cube(1, kind="empty", shape=(2, 8, 8))
    with pytest.raises(ResourceError, match="folder"):
        write_simulation(one, tmp_path / "none", "one")
