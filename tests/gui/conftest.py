"""A real napari window for each test, on a screen that pytest-xvfb provides."""

import gc
import os
import sys
import time
import warnings
from contextlib import suppress

import pytest

# settings of the user would persist into the tests
os.environ["NAPARI_CONFIG"] = ""
with suppress(ImportError), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, at import
    import napari


def pytest_collection_modifyitems(items):
    """Without napari or a screen the window tests are skipped on a laptop; CI has both."""
    reason = _missing()
    if reason and not os.environ.get("CI"):
        for item in items:
            if "gui" in item.path.parts and "viewer" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> str:
    from importlib.util import find_spec

    if find_spec("napari") is None or find_spec("PySide6") is None:
        return "napari and PySide6 are not installed"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "there is no screen: install xvfb"
    return ""


_WINDOW = []  # the one napari window of a process: Qt and GL do not bear dozens that come and go


@pytest.fixture(scope="module")
def window(qapp):
    """The window, opened where there is none."""
    if not _WINDOW:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of napari's own plugins and of Qt
            _WINDOW.append(napari.Viewer(show=True))
        _WINDOW[0].window.resize(1200, 1000)
    return _WINDOW[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """The window closes when the tests of this folder are over, not with the process."""
    done = yield
    if _WINDOW and (nextitem is None or item.path.parent not in nextitem.path.parents):
        with warnings.catch_warnings(), suppress(RuntimeError):
            warnings.simplefilter("ignore")
            cleared(_WINDOW[0]).close()
        _WINDOW.clear()
    return done


@pytest.fixture(scope="session")
def clear():
    """``clear(viewer)``: empty the window; for fixtures of whole modules."""
    return cleared


@pytest.fixture
def viewer(window):
    """The window, empty; what a test leaves in it is taken away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield cleared(window)
        cleared(window)


def cleared(viewer):
    """Without docks, layers and work; as it was when it opened."""
    from qtpy.QtWidgets import QApplication

    from napari_denoise.jobs import stop_all

    stop_all()
    docks = list(viewer.window.dock_widgets.values())
    for dock in docks:
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
        del dock
    viewer.layers.clear()
    viewer.dims.ndisplay = 2
    viewer.theme = "dark"
    viewer.scene.camera.orientation2d = ("down", "right")
    QApplication.processEvents()
    if docks:
        docks.clear()
        gc.collect()  # so that they do not follow the next test
    QApplication.processEvents()
    return viewer


@pytest.fixture
def until(qapp):
    """``until(condition)``: let the window work until the condition holds."""

    def wait(condition, seconds=30.0):
        end = time.monotonic() + seconds
        while not condition():
            qapp.processEvents()
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.005)

    return wait
