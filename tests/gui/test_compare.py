"""What can be compared, difference, wipe and methods side by side: numbers only, no window."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import denoise
from denoise.cube import Cube
from denoise.cube.crop import crop
from denoise.engine import CancelToken, RunOptions
from denoise.errors import CancelledError, UsageError
from denoise.noise import NoiseModel
from napari_denoise.compare.comparison import (
    DifferenceInSigma,
    check_pair,
    input_of,
    known_noise,
    part_of,
    viewed_region,
)
from napari_denoise.compare.wipe import cut_line, cut_of, wiped
from napari_denoise.layers import Entry
from napari_denoise.lazy import planes
from napari_denoise.side_by_side.figure import Shown, heading_of, height_for, layout, title_of
from napari_denoise.side_by_side.outcomes import INPUT, noise_left, peak_in_sigma, run_methods
from napari_denoise.world import world_of

SHAPE = (20, 30, 40)


def sky(turned=0.0, mirrored=False):
    """Coordinates of a small field: 0.1 arcsec pixels, 10 km/s channels."""
    made = WCS(naxis=3)
    made.wcs.ctype = ["RA---SIN", "DEC--SIN", "VRAD"]
    made.wcs.cunit = ["deg", "deg", "m/s"]
    made.wcs.crval = [150.0, 2.0, -1e5]
    made.wcs.crpix = [20.0, 15.0, 1.0]
    step = 0.1 / 3600
    angle = np.deg2rad(turned)
    east = step if mirrored else -step
    made.wcs.cd = np.array(
        [
            [east * np.cos(angle), -step * np.sin(angle), 0],
            [east * np.sin(angle), step * np.cos(angle), 0],
            [0, 0, 1e4],
        ]
    )
    header = made.to_header()
    header["RESTFRQ"] = 1.4e9
    return WCS(header)


def cube_of(data, wcs=None, **options):
    return Cube(data, wcs=wcs or sky(), unit="Jy/beam", beam="3pix,3pix,0deg", **options)


@pytest.fixture(scope="module")
def noisy():
    """A line source in white noise of 1 mJy/beam, with a hole in the field."""
    rng = np.random.default_rng(5)
    data = rng.normal(0, 1e-3, SHAPE).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    data[8:13] += 2e-2 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 8)
    data[:, :3, :3] = np.nan
    return cube_of(data)


@pytest.fixture(scope="module")
def noise():
    return NoiseModel.white(SHAPE, np.linspace(0.9e-3, 1.1e-3, SHAPE[0]))


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.regions = []

    def read(self, region):
        if self.data[region].size:  # Dask asks for nothing, to see what it gets
            self.regions.append(region)
        return self.data[region].copy()


def entry(cube, role="input", **more):
    return Entry(cube, world_of(cube), role, **more)


# difference


def test_the_difference_is_in_sigma_of_the_input(noisy, noise):
    other = noisy.with_pixels(0.5 * noisy.data)
    region = (slice(3, 5), slice(0, 30), slice(10, 40))
    found = DifferenceInSigma(noisy, other, noise).read(region)
    expected = (noisy.data[region] - other.data[region]) / noise.sigma(region)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32
    whole = DifferenceInSigma(noisy, other, noise).read((slice(0, 1), slice(0, 30), slice(0, 40)))
    assert np.isnan(whole[0, 1, 1])


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_the_difference_does_not_depend_on_the_unit(noisy, noise, scale):
    def scaled(cube):
        return cube.with_pixels(cube.data * np.float32(scale))

    other = noisy.with_pixels(0.5 * noisy.data)
    region = (slice(9, 10), slice(0, 30), slice(0, 40))
    plain = DifferenceInSigma(noisy, other, noise).read(region)
    np.testing.assert_allclose(
        DifferenceInSigma(scaled(noisy), scaled(other), noise.scaled(scale)).read(region), plain, rtol=1e-4
    )


def test_a_sigma_of_zero_gives_no_difference(noisy):
    quiet = NoiseModel.white(SHAPE, np.r_[0.0, np.ones(SHAPE[0] - 1)])
    found = DifferenceInSigma(noisy, noisy, quiet).read((slice(0, 2), slice(4, 6), slice(4, 6)))
    assert np.isnan(found[0]).all()
    assert (found[1] == 0).all()


# what can be compared


def test_what_cannot_be_compared_is_told(noisy):
    first = entry(noisy)
    result = entry(noisy.with_pixels(noisy.data), "denoised", source=noisy)
    assert check_pair(first, result) == (first, result)
    with pytest.raises(UsageError, match="two layers are needed"):
        check_pair(first, None)
    with pytest.raises(UsageError, match="same layer"):
        check_pair(first, first)
    part = crop(noisy, (slice(0, 10), slice(0, 30), slice(0, 40)))
    with pytest.raises(UsageError, match=r"differ in shape .*20 x 30 x 40 and 10 x 30 x 40"):
        check_pair(first, entry(part))
    with pytest.raises(UsageError, match="different places"):
        check_pair(first, replace(result, world=world_of(cube_of(noisy.data, sky(turned=20)))))
    with pytest.raises(UsageError, match="differ in unit"):
        check_pair(first, entry(Cube(noisy.data, wcs=sky(), unit="K")))
    display = entry(noisy.without_unit(), "display", source=noisy)
    with pytest.raises(UsageError, match="display only"):
        check_pair(first, display)
    assert check_pair(first, display, units=False)


def test_the_input_is_found_from_either_side(noisy, noise):
    result = entry(noisy.with_pixels(noisy.data), "denoised", source=noisy)
    assert input_of(entry(noisy)) is noisy
    assert input_of(result) is noisy
    assert input_of(result, entry(noisy)) is noisy
    assert input_of(entry(noisy, "denoised")) is None
    assert known_noise(entry(noisy), None) is None
    made = denoise.denoise(noisy, "smooth", noise=noise)
    assert known_noise(entry(made.cube, "denoised", result=made)) is noise
    assert known_noise(entry(made.cube, result=replace(made, stabiliser=object()))) is None


# the part in view


def test_a_small_field_is_taken_whole():
    assert viewed_region((48, 96, 128), 24) == (slice(16, 33), slice(0, 96), slice(0, 128))


def test_channels_at_the_ends_are_made_up_on_the_other_side():
    assert viewed_region((48, 9, 9), 1)[0] == slice(0, 17)
    assert viewed_region((48, 9, 9), 47)[0] == slice(31, 48)
    assert viewed_region((5, 9, 9), 2)[0] == slice(0, 5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ((0, 0), (499, 499), (slice(186, 314), slice(186, 314))),  # all of it: the middle
        ((100, 200), (199, 259), (slice(100, 200), slice(200, 260))),  # what is in view
        ((300, 300), (303, 303), (slice(278, 326), slice(278, 326))),  # a few pixels: some more around them
        ((-400, -300), (-200, -100), (slice(0, 48), slice(0, 48))),  # beside the field: its nearest part
        ((490, 0), (900, 900), (slice(452, 500), slice(186, 314))),
    ],
)
def test_the_part_in_view_lies_in_the_field(low, high, expected):
    assert viewed_region((1, 500, 500), 0, np.array([low, high]))[1:] == expected


@pytest.mark.parametrize("wcs", [sky(), sky(turned=30), None])
def test_a_part_lies_where_it_was_in_the_whole(wcs):
    cube = Cube(np.zeros(SHAPE, np.float32), wcs=wcs)
    whole, region = world_of(cube), (slice(4, 9), slice(10, 20), slice(5, 25))
    part = part_of(whole, region, image=False)
    inside = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        part.matrix @ inside + part.origin, whole.matrix @ (inside + np.array([4, 10, 5])) + whole.origin
    )
    np.testing.assert_allclose(part.sky.offsets(3.0, 2.0), whole.sky.offsets(8.0, 12.0))
    assert part.spectral.values[0] == whole.spectral.values[4]
    assert part.spectral.values.size == 5


# wipe


@pytest.mark.parametrize(
    ("wcs", "line", "axis", "a_has_the_first"),
    [
        (sky(), "vertical", 2, True),
        (sky(), "horizontal", 1, True),
        (sky(mirrored=True), "vertical", 2, False),
        (sky(turned=180), "vertical", 2, False),
        (sky(turned=180), "horizontal", 1, False),
        (sky(turned=90), "vertical", 1, True),
    ],
)
def test_a_is_left_of_the_line_or_below_it(wcs, line, axis, a_has_the_first):
    cube = Cube(np.zeros(SHAPE, np.float32), wcs=wcs)
    world = world_of(cube)
    cut = cut_of(world, SHAPE, line)
    assert cut.axis == axis
    assert cut.flipped is not a_has_the_first
    first, second = (planes(Counted(np.full(SHAPE, v, np.float32))) for v in (1, 2))
    picture = np.asarray(wiped(first, second, cut, 0.25)[0])
    ends = [world.matrix @ [0, *np.argwhere(picture == v).mean(axis=0)] + world.origin for v in (1, 2)]
    # offsets grow to the left and upwards
    assert ends[0][2] > ends[1][2] if line == "vertical" else ends[0][1] < ends[1][1]
    assert (picture == 1).mean() == pytest.approx(0.25, abs=0.02)


def test_the_wipe_has_the_pixels_of_both(noisy):
    first, second = noisy.data, 2 * noisy.data
    cut = cut_of(world_of(noisy), SHAPE, "vertical")
    pair = [planes(Counted(one)) for one in (first, second)]
    for share, columns in ((0.0, 0), (0.3, 12), (1.0, 40)):
        found = np.asarray(wiped(*pair, cut, share))
        np.testing.assert_array_equal(found[..., :columns], first[..., :columns])
        np.testing.assert_array_equal(found[..., columns:], second[..., columns:])
        assert cut.edge(share) == columns - 0.5
        assert cut.share(columns - 0.5) == pytest.approx(share)
    np.testing.assert_array_equal(cut_line(cut, SHAPE, 0.3), [[-0.5, 11.5], [29.5, 11.5]])


def test_only_what_is_shown_is_read(noisy):
    sources = [Counted(noisy.data), Counted(noisy.data)]
    cut = cut_of(world_of(noisy), SHAPE, "horizontal")
    picture = wiped(*(planes(one) for one in sources), cut, 0.5)
    assert picture.shape == SHAPE
    assert not sources[0].regions
    np.asarray(picture[7])
    below, above = ([(slice(7, 8), slice(*rows), slice(0, 40))] for rows in ((0, 15), (15, 30)))
    assert [one.regions for one in sources] == [below, above]  # of each the part that is seen
    np.asarray(wiped(*(planes(one) for one in sources), cut, 1.0)[3])  # nothing of the second is shown
    assert [len(one.regions) for one in sources] == [2, 1]


def test_images_are_wiped_too(noisy):
    image = Counted(noisy.data[9:10])
    pair = [planes(image, image=True), planes(image, image=True)]
    cut = cut_of(world_of(crop(noisy, (slice(9, 10), slice(0, 30), slice(0, 40)))), image.shape, "vertical")
    np.testing.assert_array_equal(np.asarray(wiped(*pair, cut, 0.5)), noisy.data[9])


# methods side by side


def test_methods_give_what_denoise_gives_on_the_crop(noisy, noise):
    region = (slice(4, 18), slice(0, 30), slice(4, 36))
    told = []
    options = [RunOptions(method="ist"), RunOptions(method="smooth")]
    found = run_methods(noisy, noise, region, options, told.append)
    assert [one.label for one in found] == [INPUT, "ist", "smooth"]
    assert told == found
    part = crop(noisy, region)
    np.testing.assert_array_equal(found[0].cube.data, part.data)
    for one in found[1:]:
        direct = denoise.denoise(part, one.label, noise=noise.window(region))
        np.testing.assert_array_equal(one.cube.data, direct.cube.data)
        assert one.seconds > 0
        assert one.source is found[0].cube
    assert found[1].noise_left < 0.3 < found[2].noise_left < 1
    assert found[0].peak_snr == pytest.approx(20, rel=0.3)
    assert found[2].peak_snr < found[0].peak_snr


def test_one_method_that_fails_does_not_stop_the_others(noisy, noise):
    region = (slice(9, 10), slice(0, 30), slice(0, 40))
    options = [RunOptions(method="pca"), RunOptions(method="nothing"), RunOptions(method="smooth")]
    found = run_methods(noisy, noise, region, options)
    assert "unknown method" in found[2].error
    assert found[2].cube is None
    assert found[3].cube is not None
    assert (found[1].cube is None) == bool(found[1].error)


def test_unexpected_errors_are_told_too(noisy, noise, monkeypatch):
    from denoise.methods.smooth import Smooth

    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Smooth, "apply", broken)
    region = (slice(0, 5), slice(0, 30), slice(0, 40))
    assert (
        "ZeroDivisionError: oh" in run_methods(noisy, noise, region, [RunOptions(method="smooth")])[1].error
    )


def test_methods_are_cancelled(noisy, noise):
    token, told = CancelToken(), []
    region = (slice(0, 5), slice(0, 30), slice(0, 40))

    def tell(outcome):
        told.append(outcome.label)
        if outcome.label == "smooth":
            token.cancel()

    options = [RunOptions(method="smooth"), RunOptions(method="ist")]
    with pytest.raises(CancelledError):
        run_methods(noisy, noise, region, options, tell, token)
    assert told == [INPUT, "smooth"]


def test_the_part_is_read_once_and_never_the_file(tmp_path, noisy, noise):
    path = tmp_path / "cube.fits"
    fits.PrimaryHDU(noisy.data, sky().to_header()).writeto(path)
    cube = denoise.read(path, beam="3pix,3pix,0deg")
    region = (slice(4, 18), slice(0, 30), slice(4, 36))
    reads = []
    source = cube.source

    class Watched:
        shape, dtype = source.shape, source.dtype

        def read(self, wanted):
            reads.append(wanted)
            return source.read(wanted)

    watched = cube.with_pixels(Watched())
    found = run_methods(watched, noise, region, [RunOptions(method="smooth"), RunOptions(method="ist")])
    assert reads == [region]
    # the record is of the part
    assert found[1].result.provenance.science["input_checksum"] == found[0].cube.checksum()
    assert found[1].result.input.name == "cube.fits [4:18, 0:30, 4:36]"


def test_without_a_noise_model_the_runs_measure_it(noisy):
    region = (slice(0, 20), slice(0, 30), slice(0, 40))
    found = run_methods(noisy, None, region, [RunOptions(method="smooth")])
    assert found[0].sigma is None
    assert found[1].peak_snr > 5


def test_noise_left_and_peak_are_in_sigma():
    rng = np.random.default_rng(0)
    sigma = np.full((4, 50, 50), 1e-20)
    data = (sigma * rng.normal(0, 0.25, sigma.shape)).astype(np.float32)
    data[0, 0, 0], data[1, 1, 1], sigma[2, 2, 2] = np.nan, 8e-20, 0
    emission = np.zeros(data.shape, bool)
    emission[1, 1, 1] = True
    assert noise_left(data, sigma, emission) == pytest.approx(0.25, rel=0.05)
    assert peak_in_sigma(data, sigma) == pytest.approx(8, rel=1e-5)
    assert noise_left(data, sigma, ~emission) is None
    assert peak_in_sigma(np.full(3, np.nan), np.ones(3)) is None


def test_titles_say_what_was_found(noisy, noise):
    region = (slice(4, 18), slice(0, 30), slice(0, 40))
    options = [RunOptions(method="smooth"), RunOptions(method="noiser")]
    found = run_methods(noisy, noise, region, options)
    assert title_of(found[0]).startswith("noise 1 σ\npeak ")
    assert title_of(found[1]).startswith("noise left 0.")
    assert "no unit" in title_of(found[2])
    text = heading_of("cube.fits", world_of(noisy), 4, "1 mJy", 17)
    assert (
        text == "cube.fits, −60 km/s (channel 5 of 20). σ: noise of the input, 1 mJy; numbers of 17 channels"
    )


@pytest.mark.parametrize(
    ("count", "size"), [(5, (9.8, 6.2)), (9, (9.8, 6.2)), (9, (3.75, 8.0)), (2, (2.5, 2))]
)
def test_panels_do_not_overlap_and_keep_a_legible_size(count, size):
    grid = layout(count, size, (96, 96))
    height = max(size[1], height_for(grid))
    boxes = [grid.place(i, (size[0], height)) for i in range(count)]
    assert all(left >= 0 and bottom >= 0 and left + w <= 1.001 for left, bottom, w, _ in boxes)
    assert all(w * size[0] >= 1.3 for _, _, w, _ in boxes)
    for i, (left, bottom, w, h) in enumerate(boxes):
        for other in boxes[i + 1 :]:
            assert abs(left - other[0]) >= w or abs(bottom - other[1]) >= h


def test_the_figure_has_one_stretch_and_axes_on_the_sky(noisy, noise):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from napari_denoise.side_by_side.figure import MethodsFigure
    from napari_denoise.theme import DARK, LIGHT

    region = (slice(4, 18), slice(0, 30), slice(0, 40))
    world = part_of(world_of(noisy), region, image=False)
    picture = MethodsFigure(Figure(figsize=(9, 6)))
    FigureCanvasAgg(picture.figure)
    picture.begin(Shown(world, 6, (INPUT, "smooth", "nothing"), "Jy beam⁻¹", "title"))
    options = [RunOptions(method="smooth"), RunOptions(method="nothing")]
    for outcome in run_methods(noisy, noise, region, options):
        picture.add(outcome)
    for colours in (DARK, LIGHT):
        picture.draw(colours)
        picture.figure.canvas.draw()
        first, second, failed, bar = picture.figure.axes
        assert first.images[0].get_clim() == second.images[0].get_clim()
        assert first.get_xlim()[0] > first.get_xlim()[1]  # east to the left
        assert first.get_ylim()[0] < first.get_ylim()[1]  # north up
        assert first.get_ylabel() == "Dec offset (arcsec)"
        assert "unknown method" in " ".join(failed.texts[-1].get_text().split())
        assert "Jy beam⁻¹" in bar.get_xlabel()
        assert first.xaxis.label.get_color() == colours.text
    picture.draw_panel(1, LIGHT)
    assert picture.outcome_at(second).label == "smooth"
    assert picture.outcome_at(bar) is None
