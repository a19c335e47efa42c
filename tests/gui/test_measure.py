"""The numbers of the Inspect dock without a window: against the metrics, and against what is known exactly."""

import numpy as np
import pytest
from astropy.io import fits

from denoise.cube import Cube
from denoise.errors import InputError
from denoise.metrics import (
    Measurement,
    background_noise,
    circular_aperture,
    integrated_spectrum,
    masked_flux,
    moment_maps,
    peak_snr,
    snr_gain,
    sum_error,
)
from denoise.noise import NoiseModel
from napari_denoise.inspect.aperture import Aperture, circle, ellipse, point, whole
from napari_denoise.inspect.measure import Pair, measure, readers_of
from napari_denoise.inspect.moments import moments, threshold
from napari_denoise.inspect.pair import Copies, copied
from napari_denoise.inspect.positionvelocity import cut, path_along
from napari_denoise.inspect.residual import residual
from napari_denoise.inspect.rows import number_rows, with_error

SHAPE = (12, 30, 34)
FIELD = SHAPE[1:]
SKY = np.array([[0.1, 0.0], [0.0, -0.1]])  # one pixel along y, x: arcsec to the north and east
BEAM = (4.0, 3.0, 20.0)


def header(unit="Jy/beam"):
    cards = fits.Header()
    cards["CTYPE3"], cards["CUNIT3"], cards["CRVAL3"], cards["CDELT3"], cards["CRPIX3"] = (
        "VRAD",
        "m/s",
        1e5,
        2e4,
        1,
    )
    cards["BUNIT"] = unit
    return cards


@pytest.fixture
def pair():
    noise = NoiseModel.from_beam(SHAPE, np.linspace(0.8, 1.2, 12), BEAM)
    before = noise.sample(seed=4)
    before[3:8, 10:16, 12:20] += 4.0
    before[5, 2, 3] = np.nan
    after = (0.5 * before).astype(np.float32)
    cubes = [Cube(data, header=header(), beam=BEAM) for data in (before, after)]
    return Pair(cubes[0], cubes[1], noise)


def round_(centre=(13.0, 15.0), radius=5.0):
    return circle(centre, radius, np.eye(2)).footprint(FIELD)


def test_a_circle_holds_the_pixels_of_the_metrics_circle():
    foot = round_()
    mask = np.zeros(FIELD, bool)
    mask[foot.rows, foot.columns] = foot.inside
    np.testing.assert_array_equal(mask, circular_aperture(FIELD, centre=(13, 15), diameter=10))


def test_a_circle_is_round_on_the_sky():
    matrix = np.array([[0.1, 0.05], [0.0, -0.3]])
    drawn = circle((10, 12), 1.2, matrix)
    for axis in (drawn.corners[1] - drawn.corners[0], drawn.corners[3] - drawn.corners[0]):
        assert np.hypot(*(matrix @ axis)) == pytest.approx(2.4)
    stretched = Aperture("circle", drawn.corners * [1.0, 1.5])
    area = np.linalg.det(matrix) * np.linalg.det(np.column_stack(stretched.half_axes))
    again = stretched.rounded(matrix)
    assert np.linalg.det(matrix) * np.linalg.det(np.column_stack(again.half_axes)) == pytest.approx(area)
    np.testing.assert_allclose(again.centre, stretched.centre)


def test_area_of_an_ellipse_and_of_a_polygon():
    found = ellipse((49.7, 50.2), (2.0, 3.0), SKY).footprint((100, 100))
    assert found.pixels == pytest.approx(np.pi * 20 * 30, rel=0.01)
    triangle = Aperture("polygon", np.array([[10.2, 10.2], [60.2, 10.2], [10.2, 80.2]])).footprint((100, 100))
    assert triangle.pixels == pytest.approx(50 * 70 / 2, rel=0.02)


def test_apertures_at_the_edge_and_outside():
    assert round_((0.0, 0.0)).inside.shape == (6, 6)
    assert round_((-20.0, 4.0)) is None
    assert point((29.4, 33.4)).footprint(FIELD).pixels == 1
    assert point((29.6, 3.0)).footprint(FIELD) is None
    assert circle((4.3, 4.4), 0.1, np.eye(2)).footprint(FIELD).pixels == 1  # holds no pixel's centre
    assert Aperture("polygon", np.full((3, 2), np.nan)).footprint(FIELD) is None


def test_moved_apertures_keep_their_shape():
    moved = ellipse((10, 10), (0.3, 0.5), SKY).at((12.0, 14.0))
    np.testing.assert_allclose(moved.centre, [12, 14])
    assert "half-axes 0.300, 0.500 arcsec" in moved.describe(SKY, "arcsec")
    assert point((3, 4)).describe(SKY, "arcsec") == "pixel (x, y) = (4, 3)"


def test_spectra_and_numbers_are_those_of_the_metrics(pair):
    foot, found = round_(), measure(pair, round_())
    region = (slice(0, 12), foot.rows, foot.columns)
    before, after = pair.before.read(region), pair.after.read(region)
    area = np.pi / (4 * np.log(2)) * 12
    np.testing.assert_allclose(
        found.before.values, integrated_spectrum(before, foot.inside) / area, rtol=1e-6
    )
    np.testing.assert_allclose(found.after.values, integrated_spectrum(after, foot.inside) / area, rtol=1e-6)
    noise = pair.noise.window(region)
    inside = np.broadcast_to(foot.inside, before.shape)
    held = [np.where(inside, data, np.nan) for data in (before, after)]
    numbers = found.numbers
    assert numbers.noise[0] == pytest.approx(np.median(noise.sigma()))
    assert numbers.noise[1] == pytest.approx(background_noise(*held)[1])
    assert numbers.peak_snr[0] == pytest.approx(peak_snr(held[0], noise), rel=1e-6)
    assert numbers.gain == pytest.approx(snr_gain(*held), rel=1e-6)


def test_errors_of_channels_and_of_the_flux_hold_all_correlations(pair):
    from dataclasses import replace

    noise = replace(pair.noise, spectral_acf=np.array([1.0, 0.4]))
    pair = Pair(pair.before, pair.after, noise)
    foot, found = round_(), measure(pair, round_())
    mask = np.zeros(SHAPE, bool)
    mask[:, foot.rows, foot.columns] = foot.inside
    for channel in (0, 7):
        one = mask & (np.arange(12) == channel)[:, None, None]
        assert found.before.error[channel] == pytest.approx(
            sum_error(one, noise) * pair.unit.factor, rel=1e-5
        )
    data, flux = pair.before.read(), found.fluxes(slice(2, 9))
    mask[:2], mask[9:] = False, False
    expected = masked_flux(data, mask, noise, beam_area=1 / pair.unit.factor)
    np.testing.assert_allclose(flux.before, np.array(expected) * 20.0, rtol=1e-5)  # channels of 20 km/s
    assert pair.flux_unit == "Jy km s⁻¹"
    assert flux.ratio == pytest.approx(0.5, rel=1e-5)
    assert flux.after == Measurement(pytest.approx(0.5 * flux.before.value, rel=1e-5), flux.before.error)


def test_the_error_of_a_denoised_spectrum_is_that_of_its_voxels_with_the_input_correlation(pair):
    error = Cube(np.full(SHAPE, 0.25, np.float32))
    found = measure(Pair(pair.before, pair.after, pair.noise, error), round_())
    np.testing.assert_allclose(
        found.after.error, 0.25 / pair.noise.channel_sigma * found.before.error, rtol=1e-5
    )
    assert found.numbers.noise[1] == pytest.approx(0.25)
    assert found.numbers.peak_snr[1] == pytest.approx(
        np.nanmax(pair.after.read()[:, 9:18, 11:20]) / 0.25, rel=0.2
    )


def test_errors_match_the_scatter_of_noise_draws(pair):
    foot = round_()
    draws = [
        measure(Pair(Cube(pair.noise.sample(seed=s), header=header(), beam=BEAM), noise=pair.noise), foot)
        for s in range(150)
    ]
    scatter = np.std([one.before.values / one.before.error for one in draws], axis=0)
    assert scatter.mean() == pytest.approx(1.0, abs=0.05)


def test_sampled_numbers_keep_the_exact_spectra_and_peaks(pair):
    full, quick = measure(pair, whole(FIELD)), measure(pair, whole(FIELD), sampled=3000)
    assert full.exact
    assert not quick.exact
    np.testing.assert_array_equal(quick.before.values, full.before.values)
    assert quick.numbers.peak_snr[0] == full.numbers.peak_snr[0]
    assert quick.numbers.noise[1] == pytest.approx(full.numbers.noise[1], rel=0.2)


def test_stored_sigma_and_blank_channels(pair):
    from denoise.cube.sources import ArraySource

    sigma = np.broadcast_to(pair.noise.channel_sigma[:, None, None], SHAPE).astype(np.float32)
    stored = NoiseModel.white(SHAPE, 1.0, pixels=ArraySource(sigma))
    plain = NoiseModel.white(SHAPE, pair.noise.channel_sigma)
    data = pair.before.read()
    data[4] = np.nan
    cube = Cube(data, header=header(), beam=BEAM)
    one, two = (measure(Pair(cube, noise=noise), round_()) for noise in (stored, plain))
    np.testing.assert_allclose(one.before.error, two.before.error, rtol=1e-5)
    assert np.isnan(one.before.values[4])
    assert np.isfinite(one.fluxes(slice(0, 12)).before).all()


def test_means_where_fluxes_do_not_add_up(pair):
    cube = Cube(pair.before.read(), header=header("K"))
    found = measure(Pair(cube, noise=pair.noise), round_())
    foot = round_()
    inside = cube.read()[:, foot.rows, foot.columns][:, foot.inside]
    np.testing.assert_allclose(found.before.values, np.nanmean(inside, axis=1), rtol=1e-5)
    assert found.pair.flux_unit == "K km s⁻¹"


def test_an_image_and_an_empty_aperture_and_zeros():
    data = np.random.default_rng(0).normal(size=(40, 40)) * 1e-20
    image = Cube(data, unit="erg / (s cm2)")
    found = measure(
        Pair(image, Cube(np.zeros((40, 40))), NoiseModel.white((1, 40, 40), 1e-20)), whole((40, 40))
    )
    assert found.fluxes(slice(0, 1)).before.value == pytest.approx(data.sum(), abs=0)
    assert found.fluxes(slice(0, 1)).before.error == pytest.approx(40e-20, abs=0)
    assert found.numbers.noise == (pytest.approx(1e-20, rel=1e-6, abs=0), 0.0)
    assert found.numbers.peak_snr[1] is None
    assert found.numbers.gain is None
    assert "×10⁻¹⁹" in number_rows(found, slice(0, 1))[0].cells()[0]
    blank = measure(Pair(Cube(np.full((3, 8, 8), np.nan))), whole((8, 8)))
    assert np.isnan(blank.fluxes(slice(0, 3)).before.value)
    assert [row.cells()[0] for row in number_rows(blank, slice(0, 3))] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [(1.2345, 0.012, "1.234 ± 0.012"), (-310.0, 22.0, "−310 ± 22"), (0.0, 0.0, "0 ± 0"),
     (1.234e-20, 5e-22, "(1.234 ± 0.050)×10⁻²⁰")],
)  # fmt: skip
def test_numbers_with_their_errors(value, error, shown):
    assert with_error(Measurement(value, error)) == shown


def test_moments_are_those_of_the_metrics(pair):
    velocity = 100 + 20.0 * np.arange(2, 9)
    data = pair.before.read()[2:9]
    found = moments(pair.before, slice(2, 9), sigma=threshold(pair.noise, None), clip=2.5)
    mask = data > 2.5 * pair.noise.sigma()[2:9]
    bright = moment_maps(data, velocity, mask=mask)
    np.testing.assert_allclose(found.moment0, moment_maps(data, velocity).moment0)
    np.testing.assert_allclose(found.moment1, bright.moment1)
    np.testing.assert_allclose(found.moment2, bright.moment2)


def test_a_cut_through_a_plane_is_the_plane():
    y, x = np.mgrid[:30, :34].astype(float)
    data = np.stack([2 * y + 3 * x, y - x])
    path = path_along(np.array([[5.0, 5.0], [5.0, 20.0], [15.0, 20.0]]), SKY, width=3)
    found = cut(lambda region: data[region], data.shape, path)
    middle = path.points.mean(axis=1)
    np.testing.assert_allclose(found[0], 2 * middle[:, 0] + 3 * middle[:, 1], rtol=1e-9)
    np.testing.assert_allclose(found[1], middle[:, 0] - middle[:, 1], atol=1e-9)
    assert path.offset[-1] == pytest.approx(2.5)
    assert path.offset.size == 26


def test_a_cut_leaves_out_what_has_no_data():
    data = np.ones((1, 10, 10))
    data[0, 4, 4] = np.nan
    path = path_along(np.array([[4.2, 2.0], [4.2, 14.0]]), np.eye(2))
    found = cut(lambda region: data[region], data.shape, path)[0]
    np.testing.assert_array_equal(found[:8], 1)
    assert np.isnan(found[8:]).all()  # outside the field
    assert path_along(np.array([[4.0, 2.0], [4.0, 2.0]]), np.eye(2)) is None


def test_the_residual_of_noise_is_the_noise_model(pair):
    shape = (16, 96, 96)
    noise = NoiseModel.from_beam(shape, 1.0, BEAM)
    data = noise.sample(seed=1)
    found = residual(Pair(Cube(data), Cube(np.zeros(shape, np.float32)), noise))
    assert found.count == data.size
    assert found.mean == pytest.approx(data.mean(), abs=1e-5)
    assert found.std == pytest.approx(data.std(), rel=1e-4)
    assert (found.density * np.diff(found.edges)).sum() == pytest.approx(1.0)
    assert [curve.what for curve in found.curves] == ["along x", "along y", "along the channels"]
    for curve in found.curves:
        size = min(curve.model.size, curve.measured.size)
        assert np.abs(curve.measured[:size] - curve.model[:size]).max() < 0.05
    with pytest.raises(InputError, match="needs the noise"):
        residual(Pair(pair.before, pair.after))
    with pytest.raises(InputError, match="needs a denoised cube"):
        residual(Pair(pair.before, noise=pair.noise))


def test_copies_of_files_only_and_their_pixels_are_the_same(pair, tmp_path):
    from denoise.cube import read

    fits.PrimaryHDU(pair.before.read(), header("Jy")).writeto(tmp_path / "cube.fits")
    cube = read(tmp_path / "cube.fits")
    assert copied(cube)
    assert not copied(pair.before)
    copies = Copies()
    assert copies.missing(Pair(cube)) == [cube]
    copies.take({cube: cube.read()})
    assert copies.missing(Pair(cube)) == []
    foot = round_()
    slow, fast = (measure(Pair(cube), foot, readers=r(Pair(cube))) for r in (readers_of, copies.readers))
    np.testing.assert_array_equal(slow.before.values, fast.before.values)
    copies.missing(Pair(pair.before))
    assert copies.missing(Pair(cube)) == [cube]  # dropped with another pair
