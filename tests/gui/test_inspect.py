"""The dock that measures, in a real window: the aperture moves, the numbers follow, files come back equal."""

import time
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from matplotlib.backend_bases import MouseButton, MouseEvent
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QOpenGLWidget
from shiboken6 import delete

import denoise
from denoise.metrics import integrated_spectrum, moment_maps, sum_error
from denoise.report.labels import aperture_unit, number
from napari_denoise.inspect.aperture import circle
from napari_denoise.inspect.dock import InspectDock
from napari_denoise.inspect.view import CUT, RESIDUAL, SPECTRUM
from napari_denoise.layers import layer_of
from napari_denoise.reader import layers_of_file
from napari_denoise.writer import write_layer

SHAPE = (24, 48, 56)


@pytest.fixture(scope="module")
def observation(tmp_path_factory):
    """A simulated disc in a FITS file."""
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import write_simulation

    folder = tmp_path_factory.mktemp("inspect")
    simulation = simulate_cube(3, shape=SHAPE, kind="disc", peak_snr=10.0)
    return write_simulation(simulation, folder, "disc", axis="velocity")["noisy"]


@pytest.fixture(scope="module")
def result(observation):
    """The same, denoised by a method that gives an error."""
    return denoise.denoise(denoise.read(observation), "smooth")


@pytest.fixture(scope="module")
def shared(window, clear, result):
    """One dock for all tests that leave its layers alone, beside the input and the denoised cube."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of napari's own plugins and of Qt
        yield inspected(clear(window), result)
        clear(window)


@pytest.fixture
def dock(shared, until):
    """The dock with a circle in the middle of the field, all channels chosen."""
    until(lambda: shared.pair is not None and shared.pair.after is not None)
    shared.tabs.setCurrentIndex(SPECTRUM)
    shared.picker.follow.setChecked(False)
    shared.choose_channels(slice(0, 24))
    if shared.cut.layer is not None:
        shared.viewer.layers.remove(shared.cut.layer)
    if shared.drawn.layer is not None:
        shared.viewer.layers.remove(shared.drawn.layer)
    until(lambda: shared.live.idle)
    shared.start_aperture("circle")
    shared.drawn.show(shared.aperture.at((24.0, 28.0)))
    shared.drawn.moved.emit()
    settled(shared, until)
    return shared


def inspected(viewer, result):
    """The dock beside an input and its denoised cube."""
    made = InspectDock(viewer)
    viewer.window.add_dock_widget(made, name="Inspect", area="right")
    for cube, name, role, more in (
        (result.input, "input", "input", {}),
        (result.cube, "denoised", "denoised", {"source": result.input, "result": result}),
    ):
        data, options, _ = layer_of(cube, name, role, **more)
        viewer.add_image(data, **options)
    return made


def settled(dock, until):
    """Measured, fitted, and the field with it."""
    until(lambda: dock.live.idle and dock.whole is not None and dock.fits is not None)


def move(dock, y, x):
    """The pointer to a pixel of the cube."""
    world = dock.chosen.entry.world
    dock.viewer.cursor.position = tuple(world.matrix @ [0.0, y, x] + world.origin)


def mouse(plot, name, x, y=0.5, button=MouseButton.LEFT, **more):
    """A mouse event on the plot, at a channel's coordinate."""
    at = plot.ax.transData.transform((x, 0))[0], plot.ax.transAxes.transform((0, y))[1]
    plot.callbacks.process(name, MouseEvent(name, plot, *at, button=button, **more))


def test_the_numbers_are_those_of_the_metrics(dock, result):
    found, foot = dock.measured, dock.measured.foot
    assert foot.pixels > 20
    factor = aperture_unit(result.input).factor
    for curve, cube in ((found.before, result.input), (found.after, result.cube)):
        data = cube.read((slice(0, 24), foot.rows, foot.columns))
        np.testing.assert_allclose(curve.values, integrated_spectrum(data, foot.inside) * factor, rtol=1e-5)
    mask = np.zeros(SHAPE, bool)
    mask[5, foot.rows, foot.columns] = foot.inside
    assert found.before.error[5] == pytest.approx(sum_error(mask, result.noise) * factor, rel=1e-4)
    assert dock.whole.pixels == 48 * 56
    width = dock.pair.spectral.width
    total = np.nansum(result.input.read().astype(float), axis=(1, 2)) * factor
    assert dock.whole.fluxes(dock.channels).before.value == pytest.approx((total * width).sum(), rel=1e-4)


def test_the_table_shows_both_before_and_after(dock):
    text = dock.table.text()
    flux = dock.measured.fluxes(dock.channels)
    assert "Flux (Jy km s⁻¹)" in text
    assert f"Flux ratio\t–\t{number(flux.ratio)}" in text
    assert f"Peak SNR\t{number(dock.whole.numbers.peak_snr[0])}" in text
    assert text.count("SNR gain") == 2
    assert "Full field" in text


def test_the_aperture_follows_the_pointer(dock, until):
    dock.picker.follow.setChecked(True)
    seen = []
    for y, x in ((10, 12), (24, 28), (36, 40)):
        before = dock.measured
        move(dock, y, x)
        until(
            lambda before=before: dock.measured is not None and dock.measured is not before and dock.live.idle
        )
        np.testing.assert_allclose(dock.aperture.centre, [y, x])
        seen.append((dock.measured.fluxes(dock.channels).before.value, dock.table.text()))
    assert len({value for value, _ in seen}) == 3
    assert len({text for _, text in seen}) == 3
    move(dock, 200, 200)  # outside: stays
    np.testing.assert_allclose(dock.aperture.centre, [36, 40])
    until(lambda: np.allclose(dock.drawn.shape[1].mean(axis=0), [36, 40]))


def test_dragging_the_shape_measures_and_a_circle_stays_round(dock, until):
    layer, before = dock.drawn.layer, dock.measured
    layer.selected_data = {0}
    # as napari does while a handle is dragged
    layer._data_view.edit(0, layer.data[0] * [1.0, 1.4])
    layer.refresh()
    until(lambda: dock.measured is not before and dock.live.idle)
    assert dock.measured.pixels > before.pixels
    from napari.layers.base._base_constants import ActionType

    layer.events.data(value=layer.data, action=ActionType.CHANGED, data_indices=(0,), vertex_indices=((),))
    until(lambda: np.isclose(*(np.hypot(*axis) for axis in dock.aperture.half_axes)))
    assert dock.aperture.kind == "circle"


@pytest.mark.parametrize("kind", ["point", "ellipse"])
def test_other_kinds(dock, until, kind):
    dock.picker.buttons[kind].click()
    until(lambda: dock.measured.foot.same_as(dock.aperture.footprint((48, 56))) and dock.live.idle)
    assert dock.aperture.kind == kind
    assert dock.picker.words.text().startswith("pixel (x, y)" if kind == "point" else "ellipse")
    assert dock.picker.buttons[kind].isChecked()


def test_a_polygon_replaces_the_circle(dock, until):
    dock.start_aperture("polygon")
    assert str(dock.drawn.layer.mode) == "add_polygon"
    corners = np.array([[10.0, 10], [30, 12], [28, 40]])
    dock.drawn.layer.add_polygons(corners)
    until(lambda: len(dock.drawn.layer.data) == 1 and dock.live.idle)
    np.testing.assert_allclose(dock.aperture.corners, corners)
    assert dock.measured.pixels == dock.aperture.footprint((48, 56)).pixels


def test_units_of_the_layers_agree(dock):
    units = {str(unit) for layer in dock.viewer.layers for unit in layer.units[-2:]}
    assert units == {"arcsecond"}
    np.testing.assert_allclose(dock.drawn.layer.scale, dock.viewer.layers["input"].scale[-2:])


def test_a_click_on_the_spectrum_moves_the_slider(dock, until):
    values = dock.pair.spectral.values
    mouse(dock.spectrum, "button_press_event", values[17])
    mouse(dock.spectrum, "button_release_event", values[17])
    assert dock.slider.channel == 17
    assert dock.viewer.dims.current_step[0] == 17
    assert dock.spectrum.channel == 17
    dock.viewer.dims.set_current_step(0, 3)
    assert dock.spectrum.channel == 3


class Frames(QObject):
    """What is painted, in turn: "spectrum", "canvas"."""

    def __init__(self, dock):
        super().__init__()
        self.dock, self.canvas, self.seen = dock, dock.window().findChildren(QOpenGLWidget)[0], []
        for widget in (dock.spectrum, self.canvas):
            widget.installEventFilter(self)

    def eventFilter(self, widget, event):
        if event.type() == QEvent.Type.Paint and widget.updatesEnabled():
            self.seen.append("canvas" if widget is self.canvas else "spectrum")
        return False


def test_the_numbers_of_a_moved_shape_come_before_its_picture(dock, until):
    frames = Frames(dock)
    for step in range(3):
        until(lambda: not dock.canvas.holds)
        before, _ = dock.measured, frames.seen.clear()
        with dock.drawn.layer.events.set_data.blocker():  # as napari does: the shape first, then its event
            dock.drawn.layer.data = [(dock.aperture.at((20.0 + step, 28.0)).corners, "ellipse")]
        dock.drawn.moved.emit()
        until(lambda: "canvas" in frames.seen)
        assert dock.measured is not before
        assert frames.seen.index("spectrum") < frames.seen.index("canvas")
    assert not dock.canvas.holds
    assert frames.canvas.updatesEnabled()


def test_the_canvas_does_not_wait_for_numbers_that_do_not_come(dock, until):
    frames = Frames(dock)
    dock.canvas.hold()
    frames.seen.clear()
    dock.viewer.layers[0].gamma = 0.9
    start = time.monotonic()
    until(lambda: "canvas" in frames.seen)
    assert 0.05 < time.monotonic() - start < 5
    dock.viewer.layers[0].gamma = 1.0


def test_a_dock_that_goes_lets_the_canvas_go(dock):
    from napari_denoise.inspect.pause import CanvasPause

    canvas = Frames(dock).canvas
    passing = CanvasPause(dock)
    passing.hold()
    assert not canvas.updatesEnabled()
    delete(passing)
    assert canvas.updatesEnabled()


def test_a_drag_on_the_spectrum_chooses_channels(dock, until):
    values, whole = dock.pair.spectral.values, dock.measured.fluxes(dock.channels)
    for name, channel in (("press", 6), ("release", 14)):
        if name == "release":
            mouse(dock.spectrum, "motion_notify_event", values[10])
            assert dock.spectrum.channels == slice(6, 11)
        mouse(dock.spectrum, f"button_{name}_event", values[channel])
    assert dock.channels == slice(6, 15)
    assert "Channels 7–15" in dock.range.words.text()
    part = dock.measured.fluxes(dock.channels)
    assert part.before.value != whole.before.value
    assert number(part.ratio) in dock.table.text()
    dock.range.all.click()
    assert dock.channels == slice(0, 24)


def test_the_line_is_fitted_or_told_to_be_missing(dock, until, result):
    move_to = np.unravel_index(np.nanargmax(result.cube.read().max(axis=0)), SHAPE[1:])
    matrix = dock.chosen.entry.world.matrix[1:, 1:]
    side = np.sqrt(abs(np.linalg.det(matrix)))
    for centre, found in ((move_to, True), ((4.0, 4.0), False)):
        dock.drawn.show(circle(centre, 2.5 * side, matrix))
        dock.fits = None
        dock._on_aperture()
        settled(dock, until)
        assert (dock.fits.lines[0] is not None) is found
        if found:
            assert "Centre (km/s)" in dock.fit_table.text()
            assert " ± " in dock.fit_table.text()
    assert "no line to fit" in dock.fit_words.text()
    assert not dock.fit_table.isVisible()


def test_moment_maps_of_the_chosen_channels(dock, until, result, tmp_path):
    dock.choose_channels(slice(4, 20))
    dock.moments.source.setCurrentIndex(0)
    dock.moments.clip.setValue(2.5)
    dock.moments.button.click()
    names = ["moment 0 of input (Jy beam⁻¹ km s⁻¹)", "moment 1 of input (km/s)", "moment 2 of input (km/s)"]
    until(lambda: all(name in dock.viewer.layers for name in names))
    data, velocity = result.input.read()[4:20], dock.pair.spectral.values[4:20]
    bright = moment_maps(data, velocity, mask=data > 2.5 * result.noise.sigma()[4:20])
    np.testing.assert_allclose(dock.viewer.layers[names[0]].data, moment_maps(data, velocity).moment0)
    np.testing.assert_allclose(dock.viewer.layers[names[1]].data, bright.moment1)
    low, high = dock.viewer.layers[names[1]].contrast_limits
    assert velocity.min() <= low < high <= velocity.max()
    assert dock.viewer.layers[-1] is dock.drawn.layer  # the maps lie below the aperture
    until(dock.moments.button.isEnabled)
    layer = dock.viewer.layers[names[0]]
    write_layer(str(tmp_path / "m0.fits"), layer.data, {"metadata": layer.metadata})
    saved = denoise.read(tmp_path / "m0.fits")
    assert saved.unit == u.Jy / u.beam * u.km / u.s
    np.testing.assert_allclose(saved.data[0], layer.data, rtol=1e-6)
    ours, theirs = saved.wcs.celestial, result.input.wcs.celestial
    np.testing.assert_allclose(ours.wcs_pix2world([[3, 7]], 0), theirs.wcs_pix2world([[3, 7]], 0))
    for name in names:
        dock.viewer.layers.remove(name)


def test_the_residual_is_measured_when_its_tab_opens(dock, until):
    dock.refresh()
    assert dock.residual.found is None
    dock.tabs.setCurrentIndex(RESIDUAL)
    until(lambda: dock.residual.found is not None)
    assert dock.residual.found.count == np.prod(SHAPE)
    assert len(dock.residual.found.curves) == 3
    assert len(dock.residual.figure.axes) == 2


def test_a_cut(dock, until, result):
    dock.tabs.setCurrentIndex(CUT)
    dock.start_cut()
    until(lambda: dock.diagram.found is not None and dock.live.idle)
    dock.cut.put(np.array([[20.0, 10.0], [20.0, 30.0]]), "line")
    dock._on_cut()
    until(lambda: dock.live.idle and dock.diagram.found.offset.size == 21)
    np.testing.assert_allclose(dock.diagram.found.before, result.input.read()[:, 20, 10:31], rtol=1e-5)
    np.testing.assert_allclose(dock.diagram.found.after, result.cube.read()[:, 20, 10:31], rtol=1e-5)
    assert dock.diagram.found.unit == "arcsec"
    assert dock.aperture is not None


def test_files_come_back_equal(dock, until, tmp_path):
    def saved(tab, *names, numbers=False):
        dock.tabs.setCurrentIndex(tab)
        for name in names:
            dock.save(dock.save_numbers if numbers else dock.save_plot, tmp_path / name)
            assert dock.message.text() == f"Saved {name}."

    saved(SPECTRUM, "spectrum.ecsv", "spectrum.csv", "spectrum.png")
    saved(SPECTRUM, "numbers.ecsv", "numbers.csv", numbers=True)
    dock.tabs.setCurrentIndex(RESIDUAL)
    dock.start_cut()
    until(lambda: dock.residual.found is not None and dock.diagram.found is not None)
    saved(RESIDUAL, "residual.ecsv", "residual.png")
    saved(CUT, "cut.ecsv", "cut.csv", "cut.png")

    table = Table.read(tmp_path / "spectrum.ecsv")
    np.testing.assert_array_equal(table["input"], dock.measured.before.values)
    np.testing.assert_array_equal(table["denoised_error"], dock.measured.after.error)
    assert (str(table["input"].unit), str(table["spectral"].unit)) == ("Jy", "km / s")
    assert table.meta["aperture"].startswith("circle, centre pixel")
    plain = Table.read(tmp_path / "spectrum.csv")
    np.testing.assert_array_equal(plain["denoised (Jy)"], dock.measured.after.values)
    numbers = Table.read(tmp_path / "numbers.ecsv")
    flux = dock.measured.fluxes(dock.channels).before
    assert tuple(numbers["before", "before_error"][0]) == pytest.approx(tuple(flux))
    assert numbers["unit"][0] == "Jy km s⁻¹"
    assert len(Table.read(tmp_path / "numbers.csv")) == len(numbers)
    found = Table.read(tmp_path / "residual_autocorrelation.ecsv")
    np.testing.assert_allclose(found["residual"][:13], dock.residual.found.curves[0].measured)
    assert len(Table.read(tmp_path / "residual_histogram.ecsv")) == dock.residual.found.density.size
    samples = Table.read(tmp_path / "cut.ecsv")
    np.testing.assert_array_equal(samples["input"], dock.diagram.found.before.ravel())
    for name in ("spectrum", "residual", "cut"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_saved_is_told(dock, tmp_path):
    dock.save(dock.save_plot, tmp_path / "missing" / "spectrum.csv")
    assert "cannot be written" in dock.message.text()
    dock.save(dock.save_numbers, tmp_path / "numbers.txt")
    assert ".csv or .ecsv" in dock.message.text()
    dock.tabs.setCurrentIndex(CUT)
    dock.save(dock.save_plot, tmp_path / "cut.csv")
    assert dock.message.text() == "there is nothing to save yet; draw a cut"


def test_the_theme_reaches_the_plots(dock):
    from matplotlib.colors import to_hex

    seen = []
    for theme in ("light", "dark"):
        dock.viewer.theme = theme
        seen.append(to_hex(dock.spectrum.figure.get_facecolor()))
        for canvas in (dock.residual, dock.diagram):
            assert to_hex(canvas.figure.get_facecolor()) == seen[-1]
    assert seen[0] > seen[1]
    assert seen[1] != "#ffffff"


def test_the_dock_is_no_wider_than_360_pixels(dock):
    body = dock.body.parentWidget()
    assert body.minimumSizeHint().width() <= 345  # and the scroll bar


def test_removing_layers_leaves_a_dock_that_works(viewer, result, until):
    dock = inspected(viewer, result)
    until(lambda: dock.pair is not None and dock.pair.after is not None)
    dock.start_aperture("circle")
    settled(dock, until)
    dock.viewer.layers.remove(dock.drawn.layer)
    assert dock.aperture is None
    assert dock.picker.words.text() == "No aperture"
    dock.viewer.layers.remove("denoised")
    until(lambda: dock.pair is not None and dock.pair.after is None)
    dock.start_aperture("circle")
    until(lambda: dock.measured is not None and dock.whole is not None)
    assert "Flux ratio" not in dock.table.text()
    dock.viewer.layers.remove("input")
    assert dock.pair is None
    dock.start_aperture("circle")
    assert "open one first" in dock.message.text()


def test_an_input_alone_waits_for_its_noise(viewer, until, observation):
    made = InspectDock(viewer)
    viewer.window.add_dock_widget(made, name="Inspect", area="right")
    for data, options, _ in layers_of_file(observation):
        viewer.add_image(data, **options)
    until(lambda: made.pair is not None)
    made.start_aperture("circle")
    until(lambda: made.pair.noise is not None and made.measured is not None)
    until(lambda: made.measured.before.error is not None)
    assert made.table.isColumnHidden(2)
    assert " ± " in made.table.text()


def test_an_image_has_numbers_and_no_spectrum(viewer, until):
    from denoise.cube import Cube

    rng = np.random.default_rng(1)
    noisy = rng.normal(size=(60, 70)).astype(np.float32) * 1e-20
    noisy[25:35, 30:40] += 2e-19
    cube = Cube(noisy, unit="erg / (s cm2)", name="image")
    made = InspectDock(viewer)
    viewer.window.add_dock_widget(made, name="Inspect", area="right")
    data, options, _ = layer_of(cube, "image")
    viewer.add_image(data, **options)
    until(lambda: made.pair is not None)
    made.start_aperture("circle")
    until(lambda: made.measured is not None and made.whole is not None and made.pair.noise is not None)
    until(lambda: made.measured.before.error is not None)
    assert "×10⁻" in made.table.text()
    assert not made.range.isVisible()
    assert not made.moments.isVisible()
    assert made.message.text() == ""


def test_cubes_that_do_not_fit_are_told(viewer, until, result):
    from denoise.cube import Cube

    made = InspectDock(viewer)
    viewer.window.add_dock_widget(made, name="Inspect", area="right")
    other = Cube(np.random.default_rng(0).normal(size=(5, 20, 20)).astype(np.float32), name="other")
    for cube, name, role in ((other, "other", "input"), (result.cube, "denoised", "denoised")):
        data, options, _ = layer_of(cube, name, role)
        options = {key: options[key] for key in ("name", "metadata", "contrast_limits")}
        viewer.add_image(data, **options)
    until(lambda: made.pair is not None)
    assert "choose its own input" in made.message.text()
    assert made.pair.after is None
