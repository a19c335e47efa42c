"""The Compare dock on a viewer without a window: blink, wipe, contrast, difference."""

import warnings

import numpy as np
import pytest

import denoise
from denoise.cube import Cube
from denoise.cube.crop import crop
from denoise.noise import NoiseModel
from napari_denoise.compare.dock import CompareDock
from napari_denoise.jobs import stop_all
from napari_denoise.layers import entry_of, layer_of
from napari_denoise.studies import studies_of

SHAPE = (20, 30, 40)


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(5)
    data = rng.normal(0, 1e-3, SHAPE).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    data[8:13] += 2e-2 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 8)
    data[:, :3, :3] = np.nan
    return Cube(data, unit="Jy/beam", beam=(3.0, 3.0, 0.0), name="disc.fits")


@pytest.fixture(scope="module")
def result(cube):
    return denoise.denoise(cube, "ist", noise=NoiseModel.white(SHAPE, 1e-3))


def add(viewer, cube, name, role="input", **more):
    data, options, _ = layer_of(cube, name, role, **more)
    return viewer.add_image(data, **options)


@pytest.fixture
def viewer(qapp):
    """The model alone: what a window would show is read at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # napari's, of pydantic
        from napari.components import ViewerModel

        yield ViewerModel()
        stop_all()


@pytest.fixture
def dock(viewer, cube, result):
    """The dock with an input and a result, at the channel of the line."""
    made = CompareDock(viewer)
    add(viewer, cube, "input")
    add(viewer, result.cube, "denoised", "denoised", source=cube, result=result)
    viewer.dims.set_current_step(0, 10)
    return made


def plane(layer, channel=10):
    return np.asarray(layer.data[channel])


# the pair


def test_the_newest_result_and_its_input_are_chosen(dock, viewer, cube, result):
    assert [layer.name for layer in dock.pair.layers] == ["input", "denoised"]
    other = cube.with_pixels(cube.data)
    add(viewer, other, "other")
    add(viewer, other, "other denoised", "denoised", source=other)
    assert [layer.name for layer in dock.pair.layers] == ["other", "other denoised"]
    part = crop(result.cube, (slice(0, 9), slice(0, 30), slice(0, 40)))
    add(viewer, part, "part", "denoised", source=part.with_pixels(part.data))
    assert dock.pair.layers[1].name == "other denoised"
    dock.pair.first.activated.emit(0)  # by hand: from now on the choice stays
    add(viewer, other, "third", "denoised", source=other)
    assert dock.pair.layers[1].name == "other denoised"


def test_what_cannot_be_compared_is_said_in_one_line(dock, viewer, cube):
    viewer.layers.remove("denoised")
    for button in (dock.blink.button, dock.wipe.button, dock.contrast.box):
        button.setChecked(True)
        assert not button.isChecked()
        assert "same layer" in dock.message.text()
    dock.difference.make()
    assert "same layer" in dock.message.text()
    viewer.layers.clear()
    dock.methods.run()
    assert "no input" in dock.message.text()
    dock.volume.open()
    assert "two layers are needed" in dock.message.text()


# blink


def test_blink_turns_and_restores(dock, viewer, until):
    first, second = dock.pair.layers
    other = add(viewer, entry_of(first).cube, "residual", "residual")
    second.visible = False
    dock.blink.rate.setValue(10)
    dock.blink.button.setChecked(True)
    assert (first.visible, second.visible, other.visible) == (True, False, False)
    assert dock.blink.shown.text() == "A"
    until(lambda: second.visible, 2)
    assert not first.visible
    assert dock.blink.shown.text() == "B"
    until(lambda: first.visible, 2)
    dock.blink.button.setChecked(False)
    assert (first.visible, second.visible, other.visible) == (True, False, True)


def test_blink_ends_with_a_layer(dock, viewer):
    first, second = dock.pair.layers
    dock.blink.button.setChecked(True)
    dock.blink.blink._turn()
    assert not first.visible
    viewer.layers.remove(second)
    assert not dock.blink.button.isChecked()
    assert first.visible


# wipe


def test_the_wipe_moves_and_goes(dock, viewer, until, cube, result):
    dock.wipe.button.setChecked(True)
    layer = viewer.layers["wipe: input | denoised"]
    a, b = cube.data[10], result.cube.data[10]
    for value in (50, 25):
        dock.wipe.slider.setValue(value)
        until(lambda: not dock.wipe.wipe._timer.isActive())
        # pixels without coordinates run to the left: A, on the left, has the last of them
        place = 40 - round(40 * value / 100)
        np.testing.assert_array_equal(plane(layer)[:, place:], a[:, place:])
        np.testing.assert_array_equal(plane(layer)[:, :place], b[:, :place])
    line = viewer.layers["wipe line"]
    np.testing.assert_allclose(line.data[0][:, 1], 29.5)
    assert layer.colormap.name == dock.pair.layers[0].colormap.name
    dock.pair.layers[0].contrast_limits = (0, 1e-3)
    assert layer.contrast_limits == [0, 1e-3]
    np.testing.assert_allclose(layer.scale, dock.pair.layers[0].scale)
    dock.wipe.line.setCurrentIndex(1)
    np.testing.assert_array_equal(plane(layer)[:8], a[:8])  # A is below
    np.testing.assert_array_equal(plane(layer)[8:], b[8:])
    dock.wipe.button.setChecked(False)
    assert [one.name for one in viewer.layers] == ["input", "denoised"]
    assert dock.wipe.wipe._drag not in viewer.mouse_drag_callbacks


def test_the_wipe_ends_with_any_of_its_layers(dock, viewer):
    for name in ("wipe line", "wipe: input | denoised", "denoised"):
        dock.wipe.button.setChecked(True)
        viewer.layers.remove(name)
        assert not dock.wipe.button.isChecked()
        assert not [one for one in viewer.layers if "wipe" in one.name]


def test_the_line_is_dragged(dock, viewer):
    class Event:
        def __init__(self, kind, east):
            self.type, self.position = kind, (10.0, 5.0, east)

    dock.wipe.button.setChecked(True)
    drag = dock.wipe.wipe._drag
    assert drag in viewer.mouse_drag_callbacks
    assert list(drag(viewer, Event("mouse_press", 2.0))) == []  # far from the line: the view moves
    event = Event("mouse_press", 19.5)
    moving = drag(viewer, event)
    next(moving)
    assert not viewer.scene.camera.mouse_pan
    event.type, event.position = "mouse_move", (10.0, 5.0, 9.5)
    next(moving)
    assert dock.wipe.slider.value() == 75
    event.type = "mouse_release"
    assert list(moving) == []
    assert viewer.scene.camera.mouse_pan


# contrast


def test_contrast_is_linked_and_unlinked(dock, viewer):
    first, second = dock.pair.layers
    second.contrast_limits = (0, 1e-4)
    dock.contrast.box.setChecked(True)
    assert second.contrast_limits == first.contrast_limits
    second.contrast_limits, first.gamma, first.colormap = (0, 5e-3), 0.7, "viridis"
    assert first.contrast_limits == [0, 5e-3]
    assert second.gamma == 0.7
    assert second.colormap.name == "viridis"
    dock.contrast.box.setChecked(False)
    first.gamma = 1.0
    assert second.gamma == 0.7
    dock.contrast.box.setChecked(True)
    viewer.layers.remove(second)
    assert not dock.contrast.box.isChecked()


# difference


def test_the_difference_waits_for_the_noise(dock, viewer, until, cube, result):
    entry = entry_of(dock.pair.layers[1])
    object.__setattr__(entry, "result", None)  # as if it came from elsewhere
    dock.difference.make()
    assert "Measuring the noise" in dock.message.text()
    until(lambda: len(viewer.layers) == 3)
    layer = viewer.layers[-1]
    assert layer.name == "input − denoised, difference in sigma"
    assert layer.contrast_limits == [-5, 5]
    noise = studies_of(viewer).of(cube).noise
    expected = (cube.data[10] - result.cube.data[10]) / noise.sigma()[10]
    np.testing.assert_allclose(plane(layer), expected, rtol=1e-4, atol=1e-6)
    assert entry_of(layer).role == "difference"
    assert entry_of(layer).cube.unit_text == ""


def test_no_difference_without_an_input(dock, viewer, cube):
    for name in ("x", "y"):
        add(viewer, cube.with_pixels(cube.data), name, "denoised")
    dock.pair.first.choose(viewer.layers["x"])
    dock.pair.second.choose(viewer.layers["y"])
    dock.difference.make()
    assert "open the input" in dock.message.text()


def test_images_are_compared_too(viewer, until):
    rng = np.random.default_rng(1)
    image = Cube(rng.normal(0, 1e-20, (40, 50)).astype(np.float32), unit="Jy/beam")
    made = CompareDock(viewer)
    add(viewer, image, "image")
    add(viewer, image.with_pixels(image.data / 2), "half", "denoised", source=image)
    made.wipe.button.setChecked(True)
    assert viewer.layers["wipe: image | half"].ndim == 2
    made.wipe.button.setChecked(False)
    made.difference.make()
    until(lambda: len(viewer.layers) == 3)
    assert np.std(np.asarray(viewer.layers[-1].data)) == pytest.approx(0.5, rel=0.1)
    made.volume.open()
    assert "an image has no third axis" in made.message.text()


def test_nothing_is_ticked(dock):
    for box in dock.methods.boxes.values():
        box.setChecked(False)
    dock.methods.run()
    assert "no method is ticked" in dock.message.text()
