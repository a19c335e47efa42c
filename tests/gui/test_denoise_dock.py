"""The dock that denoises, in a real window: preview, run, cancel, save, recipe."""

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS

import denoise
from denoise.cli.app import execute
from denoise.report.labels import number
from napari_denoise.layers import entry_of
from napari_denoise.reader import layers_of_file
from napari_denoise.run.dock import DenoiseDock
from napari_denoise.run.forms import ParameterForm
from napari_denoise.run.preview_box import BOX, PREVIEW
from napari_denoise.run.summary import study_lines
from napari_denoise.writer import write_layer

SHAPE = (24, 48, 56)


@pytest.fixture(scope="module")
def observation(tmp_path_factory):
    """A simulated disc in a FITS file."""
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import write_simulation

    folder = tmp_path_factory.mktemp("view")
    simulation = simulate_cube(3, shape=SHAPE, kind="disc", peak_snr=10.0)
    return write_simulation(simulation, folder, "disc", axis="velocity")["noisy"]


@pytest.fixture
def dock(viewer, observation, until):
    """The dock beside the cube, its noise measured, with the fastest of the methods."""
    made = DenoiseDock(viewer)
    viewer.window.add_dock_widget(made, name="Denoise", area="right")
    for data, options, _ in layers_of_file(observation):
        viewer.add_image(data, **options)
    until(lambda: made.study is not None)
    assert made.method.name == made.study.method  # until the user chooses
    made.method.set("ist", {})
    viewer.reset_view()  # now that the dock has its place
    return made


def lasting(viewer):
    """The layers but the preview, which comes when it is ready."""
    return [layer for layer in viewer.layers if layer.name != PREVIEW]


def finished(dock, until):
    until(lambda: dock.job is None)


def test_the_noise_and_a_method_are_told_on_load(dock):
    text = dock.facts.text()
    assert "24 channels x 48 x 56" in text
    assert "Jy beam⁻¹ (1 σ)" in text
    assert (
        "suggested: hybrid, because noise and brightness are those that its network was trained for" in text
    )


def test_every_parameter_has_a_widget_with_its_range(dock):
    from denoise.methods import get_method, list_methods

    for name in list_methods():
        dock.method.set(name, {})
        form = dock.method.form
        for parameter in get_method(name).Parameters.model_fields:
            assert "default" in form.field(parameter).widget.toolTip()
        assert dock.options().parameters == {}  # what is shown are the defaults
    dock.method.set("ist", {})
    box = dock.method.form.field("threshold").widget
    assert (box.minimum(), box.maximum(), box.value()) == (pytest.approx(1e-4), 20.0, 5.5)


def test_there_is_one_form_at_a_time(dock):
    for name in ("pca", "ist"):
        dock.method.set(name, {})
        assert dock.method.findChildren(ParameterForm) == [dock.method.form]


def test_a_large_cube_is_not_read_without_being_asked(dock):
    class Unread:
        shape, dtype = (2000, 400, 400), np.dtype(np.float32)

        def read(self, region):
            raise AssertionError("it was read")

    cube = denoise.Cube(Unread())
    dock.studies.want(cube)
    assert not dock.studies.busy
    assert "large cube" in "\n".join(study_lines(cube, None))


def test_a_moved_parameter_changes_the_preview(dock, viewer, until):
    dock.preview.live.setChecked(True)
    until(lambda: PREVIEW in viewer.layers and dock.preview.idle)
    before = np.array(viewer.layers[PREVIEW].data)
    dock.method.form.field("threshold").widget.setValue(12.0)
    until(lambda: dock.preview.idle and not np.array_equal(viewer.layers[PREVIEW].data, before))
    assert (np.nansum(viewer.layers[PREVIEW].data)) < np.nansum(before)  # less is found above 12 sigma
    dock.preview.live.setChecked(False)
    assert PREVIEW not in viewer.layers


def test_a_preview_is_the_run_of_the_crop(dock, viewer, until):
    dock.preview.live.setChecked(True)
    until(lambda: PREVIEW in viewer.layers and dock.preview.idle)
    layer, entry = viewer.layers[PREVIEW], dock.entry
    assert layer.data.shape == SHAPE  # it all fits
    assert viewer.layers.selection.active is dock.source.layer  # it comes by itself, and changes no choice
    whole = denoise.denoise(entry.cube, "ist", noise=dock.study.noise)
    assert np.nanmax(np.abs(layer.data - whole.cube.data)) < 0.02 * dock.study.noise.typical
    assert np.allclose(layer.translate, viewer.layers[0].translate)


def test_the_beam_is_drawn_and_the_cube_stays_chosen(dock, viewer):
    from napari_denoise.sky_view import BEAM, add_beam

    add_beam(viewer, dock.entry)
    assert BEAM in viewer.layers
    assert viewer.layers.selection.active is dock.source.layer


def test_a_drawn_box_is_previewed_alone(dock, viewer, until):
    dock.preview.where.setCurrentIndex(1)
    world = dock.entry.world
    corners = [[10, 20], [10, 39], [25, 39], [25, 20]]  # rows and columns
    points = [(world.origin + world.matrix @ np.array([0, *corner]))[1:] for corner in corners]
    layer = viewer.layers[BOX]
    layer.add_rectangles([layer.world_to_data(point) for point in points])
    dock.preview.live.setChecked(True)
    until(lambda: PREVIEW in viewer.layers and dock.preview.idle)
    made = viewer.layers[PREVIEW]
    assert made.data.shape[1:] == (16, 20)
    first = (world.origin + world.matrix @ np.array([0.0, 10, 20]))[1:]
    assert np.allclose(made.translate[1:], first)


def test_a_run_gives_layers_whose_numbers_are_those_of_denoise_run(
    dock, viewer, until, tmp_path, observation
):
    dock.run()
    assert dock.cancel_button.isEnabled()
    finished(dock, until)
    entry = entry_of(viewer.layers["ist"])
    options = dock.options()
    from denoise.engine import run_file

    by_file = run_file(observation, tmp_path / "out.fits", options)
    assert entry.result.metrics == by_file.metrics
    assert np.array_equal(entry.cube.data, by_file.cube.data, equal_nan=True)
    assert np.array_equal(viewer.layers["ist"].data, by_file.cube.data, equal_nan=True)
    residual = np.asarray(viewer.layers["ist residual"].data)
    assert np.array_equal(residual, entry.source.data - entry.cube.data, equal_nan=True)
    assert number(by_file.metrics["noise_before"]) in dock.message.text()


def test_a_method_with_an_error_bar_gives_its_layer(dock, viewer, until):
    dock.method.set("smooth", {})
    dock.run()
    finished(dock, until)
    assert entry_of(viewer.layers["smooth uncertainty"]).role == "uncertainty"


@pytest.fixture
def tiled(dock, viewer, until, tmp_path, monkeypatch):
    """The dock with a wider cube that is cut into many slow tiles; the shapes of those that were begun."""
    import time

    from denoise.methods import get_method

    data = np.random.default_rng(8).normal(size=(6, 300, 320)).astype(np.float32)
    fits.writeto(tmp_path / "wide.fits", data)
    for pixels, options, _ in layers_of_file(tmp_path / "wide.fits"):
        dock.source.choose(viewer.add_image(pixels, **options))
    until(lambda: dock.study is not None)
    kind, begun = get_method("smooth"), []
    plain = kind.apply

    def slow(self, block, noise, state):
        begun.append(block.shape)
        time.sleep(0.1)
        return plain(self, block, noise, state)

    monkeypatch.setattr(kind, "apply", slow)
    monkeypatch.setattr(kind, "workspace", lambda self, shape: int(np.prod(shape)) * 1000)
    dock.method.set("smooth", {"fwhm": 1.5})
    dock.around.memory.setValue(0.1)
    return begun


def test_draws_of_the_noise_give_any_method_its_error_layer(dock, viewer, until):
    dock.around.uncertainty.setValue(3)
    assert dock.options().uncertainty == 3
    dock.run()
    until(lambda: dock.job is None, 60)
    layer = viewer.layers["ist uncertainty"]
    assert (np.asarray(layer.data[0]) > 0).any()
    assert "--uncertainty 3" in dock.copy_command()
    assert "draws: 3" in dock.recipe()


def test_cancel_stops_within_a_tile_and_leaves_no_layer(dock, viewer, until, tiled):
    before = lasting(viewer)
    dock.run()
    until(lambda: len(tiled) > 1)
    begun = len(tiled)
    dock.cancel()
    finished(dock, until)
    assert len(tiled) <= begun + 2  # one for each of two threads
    assert lasting(viewer) == before
    assert "nothing was kept" in dock.message.text()


def test_tiles_appear_one_by_one_with_the_time_left(dock, viewer, until, tiled):
    counts, said = [], []
    dock.progress.valueChanged.connect(counts.append)
    dock.run()
    until(lambda: dock._running is not None and 0 < np.isfinite(dock._running.data).mean() < 1)
    until(lambda: said.append(dock.left.text()) or " s left" in said[-1])
    finished(dock, until)
    assert max(counts) == len(tiled) > 5
    assert np.isfinite(viewer.layers["smooth"].data).all()


def test_a_result_on_its_way_to_a_file_appears_tile_by_tile(dock, viewer, until, tiled, tmp_path):
    path, seen = tmp_path / "smooth.fits", {}
    dock.run(path)

    def partly():
        if dock._running is None:
            return False
        found = np.asarray(dock._running.data[3])
        if np.isfinite(found).any():
            seen[float(np.isfinite(found).mean())] = found
        return len([share for share in seen if share < 1]) > 1

    until(partly)
    assert not path.exists()
    dock._draw_running()
    drawn = dock._running._slice.image.raw
    assert np.isfinite(drawn).any()
    finished(dock, until)
    whole = denoise.read(path).data[3]
    for share, found in seen.items():
        came = np.isfinite(found)
        assert 0 < share <= 1
        np.testing.assert_array_equal(found[came], whole[came])  # what is shown is the result, not zeros
    assert [layer.name for layer in viewer.layers if "running" in layer.name] == []
    assert viewer.layers["smooth.fits"].data.shape == (6, 300, 320)


def test_a_cancelled_run_to_a_file_leaves_neither_file_nor_layer(
    dock, viewer, until, tiled, tmp_path, monkeypatch
):
    from threading import Event

    from denoise.methods import get_method

    kind, seen, before = get_method("smooth"), Event(), lasting(viewer)
    slow = kind.apply

    def waiting(self, block, noise, state):
        found = slow(self, block, noise, state)
        seen.wait(30)  # the window may be late
        return found

    monkeypatch.setattr(kind, "apply", waiting)
    dock.run(tmp_path / "smooth.fits")
    until(lambda: dock._running is not None)
    dock.cancel()
    seen.set()
    finished(dock, until)
    assert lasting(viewer) == before
    assert [one.name for one in tmp_path.iterdir()] == ["wide.fits"]


def test_a_run_to_zarr_opens_when_it_is_complete(dock, viewer, until, tmp_path):
    dock.run(tmp_path / "ist.zarr")
    finished(dock, until)
    assert entry_of(viewer.layers["ist.zarr"]).role == "denoised"


def test_progress_has_tiles_and_time(dock, viewer, until):
    seen = []
    dock.progress.valueChanged.connect(lambda value: seen.append((value, dock.progress.maximum())))
    dock.run()
    finished(dock, until)
    assert any(done == total > 0 for done, total in seen)


def test_an_error_is_one_readable_line(dock, viewer, until):
    dock.method.set("noiser", {"region": (0, 5)})
    dock.run()
    assert dock.job is None
    assert "region" in dock.message.text()
    assert "Traceback" not in dock.message.text()


def test_a_file_that_goes_away_is_told(dock, viewer, until, monkeypatch):
    def gone(self, region=None):
        raise FileNotFoundError("gone")

    monkeypatch.setattr(type(dock.entry.cube), "read", gone)
    dock.run()
    finished(dock, until)
    assert "gone" in dock.message.text()
    assert "Traceback" not in dock.message.text()
    assert not [layer for layer in viewer.layers if "running" in layer.name]


def test_a_saved_result_opens_with_the_same_world(dock, viewer, until, tmp_path, observation):
    dock.run()
    finished(dock, until)
    layer = viewer.layers["ist"]
    path = tmp_path / "saved.fits"
    assert write_layer(str(path), layer.data, {"metadata": layer.metadata}) == [str(path)]
    with fits.open(path) as saved, fits.open(observation) as source:
        one, two = WCS(saved[0].header), WCS(source[0].header)
        assert one.wcs.compare(two.wcs)
        assert {"RESIDUAL", "PROVENANCE"} <= {hdu.name for hdu in saved}
    again = {name: options for _, options, _ in layers_of_file(path) for name in [options["name"]]}
    assert set(again) == {"saved.fits", "saved.fits residual", "saved.fits noise"}
    assert np.allclose(again["saved.fits"]["scale"], layer.scale)
    assert np.allclose(again["saved.fits"]["translate"], layer.translate)
    assert again["saved.fits"]["units"] == ("km/s", "arcsec", "arcsec")


def test_a_run_to_a_file_opens_it(dock, viewer, until, tmp_path):
    dock.run(tmp_path / "big.fits")
    finished(dock, until)
    assert entry_of(viewer.layers["big.fits"]).role == "denoised"
    assert viewer.layers["big.fits residual"].visible is False
    assert viewer.layers["big.fits"].contrast_limits == dock.source.layer.contrast_limits
    assert viewer.layers.selection.active is viewer.layers["big.fits"]


def test_the_recipe_repeats_the_result(dock, viewer, until, tmp_path):
    dock.method.set("ist", {"threshold": 7.0})
    dock.run()
    finished(dock, until)
    recipe = tmp_path / "session.yaml"
    dock.save_recipe(recipe)
    assert yaml.safe_load(recipe.read_text())["version"] == 1
    assert execute(["run", "-r", str(recipe), "-o", str(tmp_path / "out"), "--no-report"]) == 0
    (made,) = (tmp_path / "out").glob("*.fits")
    assert np.array_equal(denoise.read(made).data, entry_of(viewer.layers["ist"]).cube.data, equal_nan=True)


def test_the_copied_command_is_on_the_clipboard(dock, qapp):
    text = dock.copy_command()
    assert text.startswith("denoise run ")
    assert qapp.clipboard().text() == text


def test_closing_the_window_cancels(dock, viewer, until, monkeypatch):
    import time

    from qtpy.QtWidgets import QMainWindow

    from denoise.methods import get_method

    kind = get_method("ist")
    plain = kind.apply

    def slow(self, block, noise, state):
        time.sleep(0.5)
        return plain(self, block, noise, state)

    monkeypatch.setattr(kind, "apply", slow)
    other = QMainWindow()
    mine = DenoiseDock(viewer)
    other.setCentralWidget(mine)
    other.show()
    mine.run()
    job = mine.job
    until(lambda: job.running)
    other.close()
    assert job.token.cancelled
    assert not job.running
