"""A real napari window for each test, on a screen that pytest-xvfb provides."""

import os
import sys
import time
import warnings
from contextlib import suppress

import pytest

# settings of the user would persist into the tests, and slices are read in a thread as in our launcher
os.environ["NAPARI_CONFIG"] = ""
os.environ["NAPARI_ASYNC"] = "1"
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


@pytest.fixture
def viewer(qapp):
    """A viewer with a window, closed after the test with everything that ran in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of napari's own plugins and of Qt
        made = napari.Viewer(show=True)
        yield made
        from napari_denoise.jobs import stop_all

        stop_all()
        with suppress(RuntimeError):  # the test closed the window
            made.close()
        qapp.processEvents()


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
