"""R33: the convention and the frame of every spectral axis are stated, and nothing is guessed."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from denoise.cube import Cube, read
from denoise.cube.spectral import air_index
from denoise.errors import UsageError

C = 299792.458


def cube_of(make_fits, **cards):
    header = {
        k if k in ("SPECSYS", "VELREF") or k.startswith("REST") else f"{k}3": v for k, v in cards.items()
    }
    path = make_fits(np.arange(4 * 5 * 6, dtype="f4").reshape(4, 5, 6), ("", "DEC", "RA"), **header)
    return read(path)


CASES = [
    # CTYPE, unit, more cards, kind, convention of velocity(), frame
    ("VRAD", "m/s", {"SPECSYS": "LSRK"}, "radio velocity", "radio", "LSRK"),
    ("VOPT", "m/s", {"SPECSYS": "BARYCENT"}, "optical velocity", "optical", "BARYCENT"),
    ("VELO", "m/s", {}, "relativistic velocity", "relativistic", None),
    ("VELO-LSR", "m/s", {}, "velocity (convention not stated)", "unknown", "LSRK"),
    ("VELO-HEL", "m/s", {}, "velocity (convention not stated)", "unknown", "HELIOCEN"),
    ("VELO-LSR", "m/s", {"VELREF": 257}, "radio velocity", "radio", "LSRK"),
    ("VELO-HEL", "m/s", {"VELREF": 2}, "optical velocity", "optical", "HELIOCEN"),
    ("VELO-OBS", "m/s", {}, "velocity (convention not stated)", "unknown", "TOPOCENT"),
    ("VELOCITY", "m/s", {"SPECSYS": "REST"}, "velocity (convention not stated)", "unknown", "REST"),
    (
        "FELO-HEL",
        "m/s",
        {"RESTFRQ": 1.42e9},
        "optical velocity on channels of equal frequency",
        "optical",
        "HELIOCEN",
    ),
    ("FREQ", "Hz", {}, "frequency", None, None),
    ("FREQ", "Hz", {"RESTFRQ": 1.42e9, "SPECSYS": "TOPOCENT"}, "frequency", "radio", "TOPOCENT"),
    ("FREQ-LSR", "HZ", {"RESTFREQ": 1.42e9}, "frequency", "radio", "LSRK"),
    ("WAVE", "Angstrom", {}, "vacuum wavelength", None, None),
    ("WAVE", "Angstrom", {"RESTWAV": 6.56e-7}, "vacuum wavelength", "optical", None),
    ("AWAV", "Angstrom", {}, "air wavelength", None, None),
    ("LAMBDA", "", {}, "wavelength (air or vacuum not stated)", None, None),
    ("LINEAR", "Angstrom", {}, "wavelength (air or vacuum not stated)", None, None),
]


@pytest.mark.parametrize(("ctype", "unit", "more", "kind", "convention", "frame"), CASES)
def test_convention_and_frame(make_fits, ctype, unit, more, kind, convention, frame):
    value, step = {"Hz": (1.4e9, 1e6), "HZ": (1.4e9, 1e6), "m/s": (1e6, 1e4)}.get(unit, (6500.0, 1.25))
    cards = {
        "CTYPE": ctype,
        "CRVAL": value,
        "CDELT": step,
        "CRPIX": 1.0,
        **({"CUNIT": unit} if unit else {}),
        **more,
    }
    axis = cube_of(make_fits, **cards).spectral_axis
    assert axis.kind == kind
    assert axis.velocity_convention == convention
    assert axis.frame == frame
    assert (frame or "frame not stated") in axis.label
    assert axis.ctype == ctype
    assert (axis.velocity() is None) == (convention is None)
    if convention is None:
        assert axis.velocity_label == axis.label
        assert "km / s" not in axis.velocity_label
    else:
        assert "km / s" in axis.velocity_label
    if not ctype.startswith("FELO"):
        assert axis.values == pytest.approx(value + step * np.arange(4))


def test_velocities_from_frequency(make_fits):
    axis = cube_of(
        make_fits, CTYPE="FREQ", CRVAL=1.41e9, CDELT=-1e6, CRPIX=1.0, CUNIT="Hz", RESTFRQ=1.42e9
    ).spectral_axis
    ratio = (1.41e9 - 1e6 * np.arange(4)) / 1.42e9
    assert axis.velocity() == pytest.approx(C * (1 - ratio))
    assert axis.velocity("optical") == pytest.approx(C * (1 / ratio - 1))
    assert axis.velocity("relativistic") == pytest.approx(C * (1 - ratio**2) / (1 + ratio**2))
    quantity = (1.41e9 * u.Hz).to(u.km / u.s, u.doppler_radio(1.42e9 * u.Hz))
    assert axis.velocity()[0] == pytest.approx(quantity.value)
    with pytest.raises(UsageError, match="velocity convention"):
        axis.velocity("newtonian")


def test_velocity_axes_convert_only_when_the_convention_is_known(make_fits):
    cards = {"CRVAL": 3e6, "CDELT": 1e4, "CRPIX": 1.0, "CUNIT": "m/s"}
    radio = cube_of(make_fits, CTYPE="VRAD", **cards).spectral_axis
    ratio = 1 - radio.velocity() / C
    assert radio.velocity("optical") == pytest.approx(C * (1 / ratio - 1))


def test_unknown_velocity_is_never_converted(make_fits):
    cards = {"CRVAL": 3e6, "CDELT": 1e4, "CRPIX": 1.0, "CUNIT": "m/s"}
    unknown = cube_of(make_fits, CTYPE="VELO-LSR", **cards).spectral_axis
    assert unknown.velocity()[0] == pytest.approx(3000)
    assert unknown.velocity("radio") is None


def test_felo_is_not_linear_in_velocity(make_fits):
    """AIPS FELO: equal steps of frequency, so optical velocities curve (Greisen et al. 2006, section 3.5)."""
    cards = {"CTYPE": "FELO-HEL", "CRVAL": 9e6, "CDELT": 2e5, "CRPIX": 1.0, "CUNIT": "m/s", "RESTFRQ": 1.42e9}
    axis = cube_of(make_fits, **cards).spectral_axis
    frequency = 1.42e9 / (1 + axis.velocity() / C)
    assert np.diff(frequency, 2) == pytest.approx(0, abs=1e-3 * abs(np.diff(frequency)[0]))
    assert axis.velocity()[0] == pytest.approx(9000)


def test_wavelengths_need_a_rest_value_in_their_medium(make_fits, tmp_path):
    cards = {"CTYPE": "AWAV", "CRVAL": 6562.8, "CDELT": 1.25, "CRPIX": 1.0, "CUNIT": "Angstrom"}
    cube = cube_of(make_fits, **cards)
    assert cube.spectral_axis.velocity() is None
    air = read(cube.path, rest="6562.8 Angstrom").spectral_axis
    assert air.velocity()[0] == pytest.approx(0, abs=1e-6)
    assert air.rest_kind == "air wavelength"
    # H alpha: 6564.614 in vacuum is 6562.80 in air
    assert 6564.614 / air_index(6564.614e-10) == pytest.approx(6562.80, abs=0.02)
    for bad in ("6562.8", "3 kg", "x", "-1 GHz"):
        with pytest.raises(UsageError, match="rest value"):
            _ = read(cube.path, rest=bad).spectral_axis


def test_logarithmic_axis(make_fits):
    cards = {"CTYPE": "WAVE-LOG", "CRVAL": 5e-7, "CDELT": 1e-10, "CRPIX": 1.0, "CUNIT": "m"}
    axis = cube_of(make_fits, **cards).spectral_axis
    assert axis.values == pytest.approx(5e-7 * np.exp(1e-10 / 5e-7 * np.arange(4)), rel=1e-12)


def test_standard_units_where_the_file_has_none(make_fits):
    axis = cube_of(make_fits, CTYPE="VRAD", CRVAL=1e6, CDELT=1e4, CRPIX=1.0).spectral_axis
    assert axis.unit == u.m / u.s
    assert axis.velocity()[0] == pytest.approx(1000)


def test_excluded_ranges(make_fits):
    cards = {
        "CTYPE": "WAVE",
        "CRVAL": 6500.0,
        "CDELT": 10.0,
        "CRPIX": 1.0,
        "CUNIT": "Angstrom",
        "RESTWAV": 6500e-10,
    }
    path = cube_of(make_fits, **cards).path

    def channels(ranges):
        return list(np.flatnonzero(read(path, exclude=ranges).excluded().all(axis=(1, 2))))

    assert channels("6510:6520 Angstrom") == [1, 2]
    assert channels("651:652 nm") == [1, 2]
    assert channels("channels 0:1") == [0, 1]
    assert channels("channels 0:0; 6529:6531 Angstrom") == [0, 3]
    assert channels("-10:500 km/s") == [0, 1]
    assert channels(["channels 3:3", "channels 0:0"]) == [0, 3]
    for bad, cause in (
        ("6510-6520", "not understood"),
        ("6510:6520", "needs the unit"),
        ("1:2 Angstrom", "holds no channel"),
        ("1:2 kg", "another unit"),
        ("1:2 frobs", "unit of the range"),
    ):
        with pytest.raises(UsageError, match=cause):
            read(path, exclude=bad)


def test_velocity_ranges_need_a_rest_value(make_fits):
    cards = {"CTYPE": "WAVE", "CRVAL": 6500.0, "CDELT": 10.0, "CRPIX": 1.0, "CUNIT": "Angstrom"}
    with pytest.raises(UsageError, match="--rest"):
        read(cube_of(make_fits, **cards).path, exclude="0:100 km/s")
    with pytest.raises(UsageError, match="channels 10:20"):
        Cube(np.ones((3, 4, 5), "f4"), exclude="0:100 km/s")


def test_stated_frames_of_real_cubes(data_folder):
    wanted = {
        "hi_ngc2903_wsrt/NGC_2903.fits": ("unknown", "HELIOCEN"),
        "co10_ngc4710_carma/NGC4710cube.fits": ("unknown", "LSRK"),
        "13co_l1448_fcrao/l1448_13co.fits": ("optical", "LSRK"),
        "ch3oh_orion_alma/Orion.methanol.cbc.contsub.image.fits": ("radio", "LSRK"),
        "muse_a478_cut/a478_minicube_p1500-2299.fits": (None, None),
    }
    for name, (convention, frame) in wanted.items():
        axis = read(data_folder / "cubes" / name).spectral_axis
        assert (axis.velocity_convention, axis.frame) == (convention, frame), name


def test_cards_are_not_changed_by_reading(make_fits):
    cards = {"CTYPE": "VELO-LSR", "CRVAL": 1e6, "CDELT": 1e4, "CRPIX": 1.0}
    cube = cube_of(make_fits, **cards)
    assert cube.wcs is not None
    assert cube.header["CTYPE3"] == "VELO-LSR" == fits.getheader(cube.path)["CTYPE3"]
