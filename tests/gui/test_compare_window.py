"""The Compare dock in a real window: its size, and methods side by side."""

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent

import denoise
from denoise.cube import Cube
from denoise.cube.crop import crop
from denoise.noise import NoiseModel
from napari_denoise.compare.dock import CompareDock
from napari_denoise.layers import entry_of, layer_of
from napari_denoise.side_by_side.widget import show_all
from napari_denoise.side_by_side.window import window_of
from napari_denoise.studies import studies_of

SHAPE = (20, 30, 40)


class Counted:
    """An array that notes the channels that are read."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.channels = []

    def read(self, region):
        if self.data[region].size:
            self.channels += range(region[0].start, region[0].stop)
        return self.data[region].copy()


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(5)
    data = rng.normal(0, 1e-3, SHAPE).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    data[8:13] += 2e-2 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 8)
    data[:, :3, :3] = np.nan
    return Cube(data, unit="Jy/beam", beam=(3.0, 3.0, 0.0), name="disc.fits")


def add(viewer, cube, name, role="input", **more):
    data, options, _ = layer_of(cube, name, role, **more)
    return viewer.add_image(data, **options)


@pytest.fixture
def dock(viewer, cube):
    """The dock with an input and a stand-in for a result, at the channel of the line."""
    made = CompareDock(viewer)
    viewer.window.add_dock_widget(made, name="Compare", area="right")
    add(viewer, cube, "input")
    add(viewer, cube.with_pixels(0.5 * cube.data), "denoised", "denoised", source=cube)
    viewer.dims.set_current_step(0, 10)
    return made


def test_the_dock_fits_its_place(dock, qapp):
    dock.resize(360, 800)
    qapp.processEvents()
    assert dock.minimumSizeHint().width() <= 360
    for section in (dock.blink, dock.wipe, dock.contrast, dock.difference, dock.methods, dock.volume):
        assert section.minimumSizeHint().width() <= 348


def click(window, index):
    axes = window.grid.picture._axes[index]
    x, y = axes.transAxes.transform((0.5, 0.5))
    canvas = window.grid._canvas
    canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", canvas, x, y, 1))


def test_methods_side_by_side(dock, viewer, until, cube):
    for name, box in dock.methods.boxes.items():
        box.setChecked(name in ("ist", "smooth"))
    assert dock.methods.boxes["noiser"].text() == "noiser (display only)"
    dock.methods.context.setValue(3)
    dock.methods.button.click()
    until(lambda: dock.methods.running)
    assert dock.methods.button.text() == "Cancel"
    until(lambda: not dock.methods.running)
    assert dock.methods.button.text() == "Run on the view"
    window = window_of(viewer)
    window.grid.draw()
    noise = studies_of(viewer).of(cube).noise
    region = (slice(7, 14), slice(0, 30), slice(0, 40))
    direct = denoise.denoise(crop(cube, region), "smooth", noise=noise.window(region))
    click(window, 0)  # the input is in the viewer already
    assert len(viewer.layers) == 2
    click(window, 2)
    layer = viewer.layers["smooth, part"]
    np.testing.assert_array_equal(np.asarray(layer.data), direct.cube.data)
    np.testing.assert_allclose(layer.translate, [7, 0, 0])
    assert entry_of(layer).result.method == "smooth"
    assert "is in the viewer" in window.note.text()
    viewer.theme = "light"
    until(lambda: not window.grid._timer.isActive())
    assert window.grid._canvas.figure.get_facecolor()[0] > 0.8


def test_methods_are_cancelled_and_asked_anew(dock, viewer, until, cube):
    studies_of(viewer).want(cube)
    until(lambda: studies_of(viewer).of(cube) is not None)
    study = studies_of(viewer).of(cube)
    box = (slice(0, 30), slice(0, 40))
    layer = dock.pair.layers[0]
    show_all(viewer, layer, study, box, 10, ["ica", "pca", "ist", "smooth"])
    show_all(viewer, layer, study, box, 10, ["smooth"])
    window = window_of(viewer)
    until(lambda: not window.running)
    assert [one.label for one in window.grid.picture._outcomes.values()] == ["input", "smooth"]
    show_all(viewer, layer, study, box, 10, ["ica", "pca", "ist", "smooth"])
    window.close()
    until(lambda: not window.running)
    assert window.note.text() == "Cancelled"


def test_the_wipe_reads_the_shown_plane_alone(dock, viewer, until, cube):
    sources = [Counted(cube.data), Counted(2 * cube.data)]
    cubes = [cube.with_pixels(one) for one in sources]
    pair = [add(viewer, one, name, visible=False) for one, name in zip(cubes, "ab", strict=True)]
    for box, layer in zip((dock.pair.first, dock.pair.second), pair, strict=True):
        box.choose(layer)
    until(lambda: all(layer.loaded for layer in viewer.layers))
    for one in sources:
        one.channels.clear()
    dock.wipe.button.setChecked(True)
    viewer.dims.set_current_step(0, 4)
    until(lambda: 4 in sources[0].channels and 4 in sources[1].channels)
    # a new layer looks at its first plane before it is told which is shown
    assert set(sources[0].channels) | set(sources[1].channels) <= {0, 4, 10}


def test_the_noise_of_the_run_is_used_at_once_and_one_plane_computed(dock, viewer, until, cube):
    result = denoise.denoise(cube, "smooth", noise=NoiseModel.white(SHAPE, 1e-3))
    source = Counted(result.cube.data)
    counted = cube.with_pixels(source)
    layer = add(viewer, counted, "counted", "denoised", source=cube, result=result)
    dock.pair.second.choose(layer)
    until(lambda: all(one.loaded for one in viewer.layers))
    source.channels.clear()
    dock.difference.make()
    made = viewer.layers["input − counted, difference in sigma"]
    until(lambda: made.loaded and source.channels)
    assert {10} <= set(source.channels) <= {0, 10}
    np.testing.assert_allclose(
        np.asarray(made.data[10]), (cube.data[10] - result.cube.data[10]) / 1e-3, rtol=1e-4, atol=1e-6
    )
