"""The 3D window beside the main one."""

import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from denoise.cube import Cube
from denoise.errors import UsageError
from napari_denoise.compare.dock import CompareDock
from napari_denoise.layers import layer_of
from napari_denoise.volume.small import block_mean, volume_sigma
from napari_denoise.volume.window import _OPEN, open_volume

SHAPE = (12, 140, 20)


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(5)
    data = rng.normal(0, 1e-20, SHAPE)
    data[4:8, 50:70, 8:12] += 2e-19
    data[:, :2] = np.nan
    return Cube(data.astype(np.float32), unit="Jy/beam", name="faint.fits")


def add(viewer, cube, name, role="input", **more):
    data, options, _ = layer_of(cube, name, role, **more)
    return viewer.add_image(data, **options)


@pytest.fixture(scope="module")
def viewer(window, clear):
    """One main window for all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # napari's, of pydantic
        yield clear(window)
        clear(window)


@pytest.fixture(scope="module")
def pair(viewer, cube):
    return add(viewer, cube, "in"), add(
        viewer, cube.with_pixels(0.9 * cube.data), "out", "denoised", source=cube
    )


@pytest.fixture(scope="module")
def opened(viewer, pair, qapp):
    made = open_volume(viewer, *pair, n_sigma=4)
    end = time.monotonic() + 30
    while made.scene is None and time.monotonic() < end:
        qapp.processEvents()
        time.sleep(0.005)
    return made


def test_both_are_there_in_sigma_side_by_side(opened, cube):
    shown = opened.viewer
    assert shown.dims.ndisplay == 3
    before, after = opened.scene.images
    small = block_mean(cube)
    assert before.data.shape == (12, 70, 20)
    sigma = volume_sigma(small.data)
    assert sigma < 1e-20  # the mean of two voxels
    np.testing.assert_allclose(before.data, np.nan_to_num(small.data / sigma), rtol=1e-5)
    np.testing.assert_allclose(after.data, 0.9 * before.data, rtol=1e-4, atol=1e-5)
    assert (before.iso_threshold, str(before.rendering)) == (4, "iso")
    assert before.metadata["sigma"] == sigma
    np.testing.assert_array_equal(before.metadata["spectral"], np.arange(12))
    assert "mean of 1 x 2 x 1" in shown.title
    assert "input" in list(opened.scene.words.features["word"])


def test_the_level_and_the_drawing_change(opened):
    opened.controls.n_sigma.setValue(6)
    assert [image.iso_threshold for image in opened.scene.images] == [6, 6]
    opened.controls.rendering.setCurrentIndex(1)
    assert {str(image.rendering) for image in opened.scene.images} == {"mip"}
    assert opened.scene.images[0].contrast_limits[0] == 3
    opened.controls.rendering.setCurrentIndex(2)
    assert {str(image.rendering) for image in opened.scene.images} == {"attenuated_mip"}


def test_the_pair_is_in_the_picture(opened, qapp):
    for _ in range(10):
        qapp.processEvents()
    picture = opened.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    seen = np.argwhere(np.abs(picture - picture[0, 0]).sum(axis=-1) > 60)
    low, high = seen.min(axis=0), seen.max(axis=0)
    assert (high - low)[1] > 0.4 * picture.shape[1]
    assert (low > 2).all()  # nothing is cut off
    assert (high < np.array(picture.shape[:2]) - 3).all()


@pytest.mark.full
def test_the_theme_is_followed(opened, viewer):
    viewer.theme = "light"
    assert opened.viewer.theme == "light"
    assert opened.scene.images[0].colormap.name == "gray_r"
    viewer.theme = "dark"
    assert opened.scene.images[0].colormap.name == "inferno"


def test_nothing_is_read_on_the_qt_thread(viewer, cube, until):
    threads = set()

    class Watched:
        shape, dtype, on = cube.shape, cube.dtype, False

        def read(self, region):
            if self.on:
                threads.add(threading.current_thread())
            return cube.read(region)

    source = Watched()
    first = add(viewer, cube.with_pixels(source), "in", visible=False)
    second = add(viewer, cube, "out", "denoised", source=cube, visible=False)
    source.on = True
    made = open_volume(viewer, first, second)
    until(lambda: made.scene is not None)
    assert threads == {made.job._thread}
    made.close()


@pytest.mark.full
def test_the_window_closes_alone(opened, viewer, until):
    opened.close()
    until(lambda: opened not in _OPEN)
    viewer.theme = "light"
    viewer.dims.set_current_step(0, 3)
    viewer.screenshot(flash=False)
    assert "in" in viewer.layers


def test_closing_stops_the_reading(viewer, pair, until):
    made = open_volume(viewer, *pair)
    made.close()
    until(lambda: made not in _OPEN)
    assert made.scene is None


def test_closing_when_the_reading_has_just_ended_opens_nothing(viewer, pair, until):
    made = open_volume(viewer, *pair)
    assert made.job.wait()  # its outcome waits for the window to hear it
    made.close()
    until(lambda: made not in _OPEN)
    assert made.viewer is None


def test_images_are_refused_and_errors_told(viewer, until):
    image = Cube(np.ones((20, 30), np.float32) + np.arange(30), unit="Jy")
    first, second = add(viewer, image, "a"), add(viewer, image.with_pixels(image.data), "b")
    with pytest.raises(UsageError, match="an image has no third axis"):
        open_volume(viewer, first, second)


def test_the_dock_opens_it(viewer, pair, until):
    dock = CompareDock(viewer)
    dock.pair.first.choose(pair[0])
    dock.pair.second.choose(pair[1])
    dock.volume.n_sigma.setValue(5)
    dock.volume.button.click()
    assert not dock.volume.button.isEnabled()
    until(lambda: dock.volume.opening.scene is not None)
    assert dock.volume.button.isEnabled()
    assert dock.volume.opening.scene.images[0].iso_threshold == 5
    dock.volume.opening.close()


@pytest.mark.full
def test_the_main_window_closes_first(tmp_path):
    """In a process of its own, whose window may close."""
    code = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, napari
from qtpy.QtWidgets import QApplication
from denoise.cube import Cube
from napari_denoise.layers import layer_of
from napari_denoise.volume.window import open_volume

app = QApplication([])
viewer = napari.Viewer()
data = np.random.default_rng(1).normal(size=(12, 30, 20)).astype("f4")
pair = [viewer.add_image(pixels, **options) for pixels, options, _ in
        (layer_of(Cube(data), "in"), layer_of(Cube(data), "out", "denoised"))]
opened = open_volume(viewer, *pair)
end = time.monotonic() + 60
while opened.scene is None and time.monotonic() < end:
    app.processEvents()
viewer.window._qt_window.close()  # as a user does
for _ in range(10):
    app.processEvents()
opened.controls.n_sigma.setValue(2)
opened.controls.rendering.setCurrentIndex(1)
opened.viewer.screenshot(flash=False)
print(opened.scene.images[0].iso_threshold)
opened.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"NAPARI_CONFIG": ""},
    )
    assert done.stdout.split()[-1:] == ["2.0"], done.stdout + done.stderr
