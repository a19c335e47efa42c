"""Beams in pixels, units as files spell them, and what counts as no coverage."""

import itertools

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from radio_beam import Beam

from denoise.cube import Cube, ZeroBlanks, inspect, read
from denoise.cube.beams import sky_to_pixels
from denoise.cube.masks import plane_runs
from denoise.cube.units import parse_unit, relation
from denoise.errors import DenoiseWarning, UsageError

WHOLE = (slice(0, 9), slice(0, 20), slice(0, 30))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("JY/BEAM", u.Jy / u.beam),
        ("Jy/beam", u.Jy / u.beam),
        ("mJy/beam", u.mJy / u.beam),
        ("10**(-20)*erg/s/cm**2/Angstrom", 1e-20 * u.erg / u.s / u.cm**2 / u.AA),
        ("10**-20 Angstrom-1 cm-2 erg s-1", 1e-20 * u.erg / u.s / u.cm**2 / u.AA),
        ("10**-40 Angstrom-2 cm-4 erg2 s-2", 1e-40 * (u.erg / u.s / u.cm**2 / u.AA) ** 2),
        ("erg/cm2/s/A/arcsec2", u.erg / u.cm**2 / u.s / u.AA / u.arcsec**2),
        ("DEGREE", u.deg),
        ("HZ", u.Hz),
        ("K", u.K),
        ("MJy/sr", u.MJy / u.sr),
        ("ELECTRONS", u.electron),
    ],
)
def test_units(text, unit):
    assert parse_unit(text).to(u.Unit(unit)) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("text", [None, "", "  ", "W.U.", "GAIN", "MJY/BEAM", "no unit at all!"])
def test_unknown_units_are_not_guessed(text):
    assert parse_unit(text) is None


def test_unit_text_is_kept_even_if_unknown(make_fits, noise, tmp_path):
    from denoise.cube import write

    cube = read(make_fits(noise(5, 6, 7), BUNIT="W.U."))
    assert cube.unit is None
    assert fits.getheader(write(cube, tmp_path / "b.fits"))["BUNIT"] == "W.U."


def test_relation_of_units():
    assert relation(u.Jy**2, u.Jy) == "variance"
    assert relation(u.Jy**-2, u.Jy) == "weight"
    assert relation(u.Jy, u.Jy) == "sigma"
    assert relation(u.mJy, u.Jy) == "unknown"
    assert relation(u.one, u.one) == "unknown"


def test_beam_in_pixels_follows_the_pixels():
    scale = np.array([[-0.1, 0.0], [0.0, 0.1]])
    assert sky_to_pixels((0.5, 0.3, 30.0), scale) == pytest.approx((5, 3, 30))
    # east to the right: the angle is counted the other way round in pixels
    assert sky_to_pixels((0.5, 0.3, 30.0), np.abs(scale)) == pytest.approx((5, 3, 150))
    # the frame turned by 20 degrees
    turn = np.deg2rad(20)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    _, _, angle = sky_to_pixels((0.5, 0.3, 30.0), scale @ rotation)
    assert angle == pytest.approx(50) or angle == pytest.approx(10)
    # pixels twice as long in y
    assert sky_to_pixels((0.5, 0.3, 0.0), np.diag([-0.1, 0.2])) == pytest.approx((3, 2.5, 90))


@given(st.floats(1, 10), st.floats(0.1, 1), st.floats(0, 179.9))
def test_beam_area_is_kept(major, ratio, pa):
    a, b, _ = sky_to_pixels((major, major * ratio, pa), np.diag([-0.5, 0.25]))
    assert a * b == pytest.approx(major**2 * ratio / 0.125)


def test_beam_options(make_fits, noise):
    array = noise(5, 6, 7)
    assert Cube(array, beam=(4, 3, 20)).beams.pixels == (4, 3, 20)
    assert Cube(array, beam=4).beams.pixels == (4, 4, 0)
    path = make_fits(array)
    for beam in (
        "1.8arcsec,1.08arcsec,30deg",
        Beam(1.8 * u.arcsec, 1.08 * u.arcsec, 30 * u.deg),
        "5pix,3pix,30deg",
    ):
        assert read(path, beam=beam).beams.pixels == pytest.approx((5, 3, 30), rel=1e-6)
    with pytest.raises(UsageError, match="needs a unit"):
        read(path, beam=(4, 3, 20))
    for bad in ((-1, -1), (0, 0), "x", (1, 2, 3, 4), "3 kg"):
        with pytest.raises(UsageError, match="beam"):
            Cube(array, beam=bad)


def test_beam_of_aips_history(make_fits, noise):
    path = make_fits(noise(5, 6, 7))
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["HISTORY"] = "AIPS   CLEAN BMAJ=  9.9999E-01 BMIN=  9.9999E-01 BPA=   0.00"
        hdus[0].header["HISTORY"] = "AIPS   CLEAN BMAJ=  5.0000E-04 BMIN=  3.0000E-04 BPA=  12.50"
    beams = read(path).beams
    assert beams.median == pytest.approx((5e-4, 3e-4, 12.5))
    assert "HISTORY" in beams.origin


@pytest.mark.parametrize(
    "cards", [{"BMAJ": -1.0, "BMIN": -1.0}, {"BMAJ": 0.0, "BMIN": 0.0}, {"BMAJ": "INDEF"}]
)
def test_bad_beam_is_reported_and_accepted(make_fits, noise, cards):
    with pytest.warns(DenoiseWarning, match=r"in\.fits: the beam in the header is not usable.*--beam"):
        cube = read(make_fits(noise(5, 6, 7), **cards))
    assert cube.beams is None


def test_missing_beam_is_reported_and_accepted(make_fits, noise):
    with pytest.warns(DenoiseWarning, match=r"in\.fits: the unit is Jy/beam but the file gives no beam"):
        assert read(make_fits(noise(5, 6, 7), BUNIT="Jy/beam")).beams is None


def zero_field(noise, shape=(9, 20, 30)):
    """A round field with exact zeros outside, as some pipelines write."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    outside = (y - 10) ** 2 + (x - 15) ** 2 > 64
    data = noise(*shape)
    data[:, outside] = 0
    return data, outside


def test_zeros_outside_the_field(noise):
    data, outside = zero_field(noise)
    found = Cube(data).inspect()
    assert found.blank_share == pytest.approx(outside.mean())
    assert np.array_equal(np.isnan(Cube(data).checked().read()), np.broadcast_to(outside, data.shape))
    assert "exact zeros" in found.notes[0]


def test_zero_border_that_changes_with_channel(noise):
    data = noise(9, 20, 30)
    want = np.zeros(data.shape, bool)
    for c in range(9):
        data[c, :, : 3 + c] = 0
        want[c, :, : 3 + c] = True
    data[4, 10, 20] = 0  # one zero among the noise is a number
    checked = Cube(data).checked()
    assert np.array_equal(np.isnan(checked.read()), want)
    for region in ((slice(2, 7), slice(5, 9), slice(4, 12)), (slice(8, 9), slice(0, 20), slice(10, 30))):
        assert np.array_equal(np.isnan(checked.read(region)), want[region])
    assert checked.read((slice(4, 5), slice(10, 11), slice(20, 21))) == 0
    assert Cube(data).inspect().blank_share == pytest.approx(want.mean())


def test_zero_channels(noise):
    data = noise(9, 20, 30)
    data[3] = 0
    assert np.array_equal(np.isnan(Cube(data).checked().read()).all(axis=(1, 2)), np.arange(9) == 3)


def test_zeros_that_are_numbers(noise):
    image = noise(20, 30)
    image[5, 5] = image[0, 0] = 0
    assert Cube(image).inspect().blanks is None
    counts = np.random.default_rng(1).poisson(0.1, (1, 20, 30)).astype(np.int16)
    assert Cube(counts).inspect().blanks is None
    assert Cube(noise(9, 20, 30)).inspect().coverage == 1


def test_zeros_behind_nan_at_the_border(noise):
    image = noise(20, 30)
    image[:, :3] = np.nan
    image[:, 3:6] = 0
    assert np.array_equal(np.isnan(Cube(image).checked().read()[0]).all(axis=0), np.arange(30) < 6)


@given(st.integers(0, 2**32 - 1))
def test_runs_draw_the_plane_again(seed):
    rng = np.random.default_rng(seed)
    plane = rng.random((7, 9)) < 0.5
    blanks = ZeroBlanks(np.zeros((7, 9), bool), np.zeros(2, bool), {1: plane_runs(plane)})
    y, x = (sorted(rng.integers(0, n + 1, 2)) for n in (7, 9))
    region = (slice(0, 2), slice(*map(int, y)), slice(*map(int, x)))
    assert np.array_equal(blanks.read(region)[1], plane[region[1:]])
    assert not blanks.read(region)[0].any()


def test_masks_of_any_shape(noise):
    data = noise(9, 20, 30)
    plane = np.zeros((20, 30), bool)
    plane[2, 3] = True
    assert np.isnan(Cube(data, mask=plane).read()).sum() == 9
    assert np.isnan(Cube(data, mask=np.arange(9) == 4).read()).sum() == 600
    assert np.isnan(Cube(np.ma.masked_less(data, 0)).read()).sum() == (data < 0).sum()
    with pytest.raises(UsageError, match="does not fit"):
        Cube(data, mask=np.zeros((20, 31), bool))


@given(data=st.data())
def test_nan_is_where_the_union_of_masks_is(data):
    """R11: for any region, NaN in the block is NaN in the data, or masked."""
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    array = rng.normal(size=(4, 5, 6)).astype("f4")
    array[rng.random(array.shape) < 0.1] = np.nan
    mask = rng.random((4, 5, 6)) < 0.2
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in (4, 5, 6)]
    region = tuple(slice(a, b) for a, b in bounds)
    assert np.array_equal(np.isnan(Cube(array, mask=mask).read(region)), (np.isnan(array) | mask)[region])


def test_inspection_counts(noise):
    data = noise(9, 20, 30)
    data[:, :5] = np.nan
    found = Cube(data).inspect()
    assert found.nan_share == pytest.approx(0.25)
    assert found.minimum == np.nanmin(data)
    assert found.maximum == np.nanmax(data)
    assert found.notes == ()


def test_converters_round_trip(make_fits, noise):
    pytest.importorskip("spectral_cube")
    truth = noise(5, 6, 7)
    truth[0, 0, 0] = np.nan
    path = make_fits(
        truth[None], ("STOKES", "FREQ", "DEC", "RA"), BUNIT="Jy/beam", BMAJ=6e-4, BMIN=4e-4, BPA=30.0
    )
    cube = read(path)
    other = Cube.from_spectral_cube(cube.to_spectral_cube())
    assert np.array_equal(other.read(), truth, equal_nan=True)
    assert other.beams.pixels == pytest.approx(cube.beams.pixels)
    assert other.unit == cube.unit
    assert other.spectral_axis.values == pytest.approx(cube.spectral_axis.values)
    assert other.pixel_scale == pytest.approx(cube.pixel_scale)


def test_nddata_round_trip(make_fits, noise):
    from astropy.nddata import InverseVariance, NDDataArray, StdDevUncertainty, VarianceUncertainty

    truth = noise(5, 6, 7)
    truth[0, 0, 0] = np.nan
    cube = read(make_fits(truth, BUNIT="K"), noise=0.5)
    data = cube.to_nddata()
    assert data.unit == cube.unit
    assert (data.uncertainty.array == 0.5).all()
    again = Cube.from_nddata(data)
    assert np.array_equal(again.read(), truth, equal_nan=True)
    assert again.noise_source.kind == "sigma"
    for kind, uncertainty in (
        ("variance", VarianceUncertainty),
        ("weight", InverseVariance),
        ("sigma", StdDevUncertainty),
    ):
        made = NDDataArray(np.ones((4, 5, 6)), uncertainty=uncertainty(np.ones((4, 5, 6))))
        assert Cube.from_nddata(made).noise_source.kind == kind


def test_axes_of_cubes_in_memory(noise):
    for shape, order in itertools.product([(6, 7), (5, 6, 7), (1, 5, 6, 7)], "CF"):
        array = np.array(noise(*shape), order=order)
        assert np.array_equal(Cube(array).read().squeeze(), array.squeeze())


def test_planes_seen_in_rows_are_found_as_whole(monkeypatch):
    values = np.random.default_rng(3).standard_normal((4, 30, 21)).astype(np.float32)
    values[:, :7, :3] = 0
    values[1] = 0
    values[2, 20:, 15:] = 0
    values[3, 5:9, 20] = np.nan
    values[3, 6:12, 15:20] = 0  # hangs together with the border through NaN
    values[3, 20, 10] = 0
    whole = inspect(Cube(values))
    monkeypatch.setattr("denoise.cube.inspection._BLOCK", 100)
    rows = inspect(Cube(values))
    assert (rows.nan_share, rows.blank_share) == (whole.nan_share, whole.blank_share)
    assert (rows.minimum, rows.maximum) == (whole.minimum, whole.maximum)
    everything = tuple(slice(0, n) for n in values.shape)
    np.testing.assert_array_equal(rows.blanks.read(everything), whole.blanks.read(everything))
    assert whole.blanks.read(everything)[3, 6:12, 15:20].all()
