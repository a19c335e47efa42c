"""``denoise view``: its window, and what it says where there can be none."""

import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from denoise.cli.app import execute


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "obs.fits"
    fits.writeto(path, np.random.default_rng(0).normal(size=(6, 30, 40)).astype(np.float32))
    return path


def test_without_a_screen_there_is_one_line(cube, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert execute(["view", str(cube)]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "no screen" in said
    assert "DISPLAY is not set" in said


def test_without_napari_there_is_one_line(cube, monkeypatch, capsys):
    monkeypatch.setattr("denoise.cli.view.find_spec", lambda name: None)
    assert execute(["view", str(cube)]) == 4
    assert "astro-denoise[gui]" in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_none_is_told_before_a_window_appears(tmp_path, viewer, capsys):
    (tmp_path / "bad.fits").write_text("this is no FITS file")
    assert execute(["view", str(tmp_path / "bad.fits")]) == 3
    assert "bad.fits" in capsys.readouterr().err


def test_the_command_opens_the_window_with_its_docks(cube, viewer):
    code = """
import sys, napari
from qtpy.QtCore import QTimer
from denoise.cli.app import execute

def look():
    viewer = napari.current_viewer()
    print(sorted(viewer.window.dock_widgets), [layer.name for layer in viewer.layers])
    viewer.close()

run = napari.run
napari.run = lambda: (QTimer.singleShot(500, look), run())
sys.exit(execute(["view", sys.argv[1]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(cube)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"NAPARI_CONFIG": ""},
    )
    assert "['Compare', 'Denoise', 'Inspect', 'Provenance'] ['obs.fits']" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
