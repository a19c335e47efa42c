"""What a result is worth, from the Compare dock: studies in a window, and regions with their reliability."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

import denoise
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.noise import NoiseModel
from napari_denoise.compare.dock import CompareDock
from napari_denoise.layers import KEY, entry_of, layer_of
from napari_denoise.reader import layers_of_file
from napari_denoise.trust import study as trust
from napari_denoise.trust.regions import Catalogued, jump
from napari_denoise.trust.window import StudyWindow

SHAPE = (16, 48, 48)
OPTIONS = run_options(method="ist", continuum="none")


@pytest.fixture(scope="module")
def cube():
    noise = NoiseModel.from_beam(SHAPE, 1e-3, (4.0, 4.0, 0.0))
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    line = np.exp(-0.5 * ((np.arange(SHAPE[0]) - 6) / 1.5) ** 2)
    data = noise.sample(seed=3) + 1e-2 * line[:, None, None] * np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / 8)
    return Cube(data.astype(np.float32), unit="Jy/beam", beam=(4.0, 4.0, 0.0), name="disc.fits")


@pytest.fixture(scope="module")
def result(cube):
    return denoise.denoise(cube, "ist", continuum="none")


@pytest.fixture
def dock(viewer, cube, result):
    made = CompareDock(viewer)
    viewer.window.add_dock_widget(made, name="Compare", area="right")
    add(viewer, cube, "input")
    add(viewer, result.cube, "ist", "denoised", source=cube, result=result, options=OPTIONS)
    return made


def add(viewer, cube, name, role="input", **more):
    data, options, _ = layer_of(cube, name, role, **more)
    return viewer.add_image(data, **options)


def test_regions_become_a_layer_and_points_that_jump(viewer, dock, until):
    dock.trust.judge()
    assert not dock.trust.regions.isEnabled()
    until(lambda: dock.trust.job is None, 60)
    assert "region" in dock.message.text()
    image, points = viewer.layers["ist reliability"], viewer.layers["ist regions"]
    assert entry_of(image).role == "reliability"
    assert tuple(image.contrast_limits) == (0, 1)
    place = np.round(points.data[0]).astype(int)
    assert np.abs(place - [6, 20, 30]).max() <= 2
    assert float(np.asarray(image.data[place[0]])[20, 30]) == pytest.approx(points.features["reliability"][0])
    assert points.features["reliability"][0] > 0.9
    viewer.dims.set_current_step(0, 0)
    said = jump(viewer, points, 0)
    assert viewer.dims.current_step[0] == place[0]
    assert np.allclose(viewer.camera.center[-2:], points.data_to_world(points.data[0])[-2:])
    assert "% sure" in said
    assert "SNR" in said


def test_a_click_on_a_region_goes_there(viewer, dock, until):
    dock.trust.judge()
    until(lambda: dock.trust.job is None, 60)
    points = viewer.layers["ist regions"]
    viewer.dims.set_current_step(0, round(points.data[0][0]))

    event = SimpleNamespace(
        position=tuple(points.data_to_world(points.data[0])), view_direction=None, dims_displayed=[1, 2]
    )
    dock.message.say("")
    for callback in points.mouse_drag_callbacks:
        callback(points, event)
    assert "region 1" in dock.message.text()


def test_without_a_result_there_are_no_regions(viewer, dock, until):
    viewer.layers.remove("ist")
    dock.trust.judge()
    assert "no result to judge" in dock.message.text()


def test_a_study_opens_in_a_window_and_is_kept_where_asked(viewer, dock, until, monkeypatch, tmp_path):
    monkeypatch.setitem(
        __import__("napari_denoise.trust.section", fromlist=["x"])._STUDIES, "Check", (quick_check, "")
    )
    dock.trust.run("Check")
    until(lambda: dock.trust.job is None, 90)
    (window,) = dock.trust.windows
    assert "keeps" in window.says.text()
    assert all(not one.pixmap().isNull() for one in window.pictures)
    window.save(tmp_path / "kept")
    assert (tmp_path / "kept" / "check.html").is_file()
    window.save(tmp_path / "kept")
    assert "exists" in window.note.text()
    window.close()
    QApplication.processEvents()


def quick_check(cube, options, reading, job):
    from denoise.check.recovery.settings import Settings
    from denoise.check.recovery.study import check_recovery
    from denoise.report.check_page import write_check

    few = Settings(snr=(4.0, 8.0), sizes=(0.0,), sources=8, empty=2, as_found=False)
    done = check_recovery(cube, options, few, progress=job.progress, cancel=job.token)
    folder = trust._folder()
    files = write_check(done, folder.name)
    return trust._finished("Check", done.sentence(), done.notes, folder, files.html, files.pngs)


def test_a_study_is_cancelled(viewer, dock, until):
    dock.trust.run("Check")
    time.sleep(0.2)
    dock.trust.cancel()
    until(lambda: dock.trust.job is None, 60)
    assert dock.message.text() == "Cancelled"
    assert not dock.trust.windows
    assert dock.trust.buttons["Check"].isEnabled()


def test_the_method_is_that_of_the_result_with_its_parameters(viewer, dock, cube, result):
    assert dock.trust.method.currentText() == "ist"
    other = run_options(method="smooth", parameters={"fwhm": 3.0}, continuum="none")
    add(viewer, result.cube, "smooth", "denoised", source=cube, result=result, options=other)
    dock.pair.second.choose(viewer.layers["smooth"])
    assert dock.trust.method.currentText() == "smooth"
    assert dock.trust._options().parameters == {"fwhm": 3.0}
    dock.trust.method.setCurrentText("pca")
    assert dock.trust._options().parameters == {}


def test_an_output_with_its_catalogue_opens_with_its_regions(tmp_path, cube, viewer, until):
    from denoise.check.regions.catalogue import write_catalogue
    from denoise.check.regions.judge import add_reliability, judge_result
    from denoise.engine import run_file

    source = tmp_path / "obs.fits"
    denoise.denoise(cube, "smooth").write(source, save=())  # any file
    done = run_file(source, tmp_path / "obs_denoised.fits", OPTIONS)
    judged = judge_result(done, OPTIONS, draws=2)
    add_reliability(judged, done, done.path)
    write_catalogue(judged.catalogue, tmp_path, "obs_denoised")
    kinds = [(layer[1]["name"], layer[2]) for layer in layers_of_file(done.path)]
    assert ("obs_denoised.fits reliability", "image") in kinds
    assert ("obs_denoised.fits regions", "points") in kinds
    points = layers_of_file(done.path)[-1]
    assert isinstance(points[1]["metadata"][KEY], Catalogued)
    viewer.add_points(points[0], **points[1])


def test_a_window_needs_no_viewer_to_be_read(qapp, tmp_path):
    folder = trust._folder()
    finished = trust._finished("Tuning", "It stays.", ["a note"], folder, tmp_path / "page.html", [])
    window = StudyWindow(None, finished)
    assert window.note.text() == "a note"
    window.deleteLater()
