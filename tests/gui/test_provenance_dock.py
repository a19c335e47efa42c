"""How a file was made, and the same run again."""

import numpy as np
import pytest

import denoise
from denoise.cli.app import execute
from napari_denoise import samples
from napari_denoise.layers import KEY
from napari_denoise.provenance_dock import ProvenanceDock
from napari_denoise.reader import layers_of_file


@pytest.fixture
def written(tmp_path):
    """The MUSE sample, denoised by the command."""
    source = samples.muse()[0][1]["metadata"][KEY].cube.path
    out = tmp_path / "out.fits"
    assert (
        execute(["run", str(source), "-m", "smooth", "--set", "fwhm=3", "-o", str(out), "--no-report"]) == 0
    )
    return out


@pytest.fixture
def dock(viewer, written):
    made = ProvenanceDock(viewer)
    viewer.window.add_dock_widget(made, name="Provenance", area="right")
    for data, options, _ in layers_of_file(written):
        viewer.add_image(data, **options)
    return made


def test_the_record_is_shown(dock):
    science = dock.tree.topLevelItem(0)
    shown = {science.child(i).text(0): science.child(i).text(1) for i in range(science.childCount())}
    assert shown["method"] == "smooth"
    assert "fwhm: 3.0" in shown["configuration"]


def test_rerun_gives_the_same_data(dock, viewer, until, written):
    dock.rerun()
    until(lambda: dock.job is None)
    assert "The data are identical." in dock.message.text()
    again = viewer.layers["out.fits again"]
    assert np.array_equal(np.asarray(again.data), denoise.read(written).data, equal_nan=True)


def test_the_command_of_a_file_is_copied(dock, qapp, written):
    dock.command_button.click()
    text = qapp.clipboard().text()
    assert "-m smooth --set fwhm=3.0" in text
    dock.recipe_button.click()
    assert "method: smooth" in qapp.clipboard().text()


def test_an_input_that_is_gone_is_told(viewer, tmp_path):
    source = tmp_path / "obs.fits"
    denoise.Cube(np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32))
    from astropy.io import fits

    fits.writeto(source, np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32))
    assert (
        execute(
            [
                "run",
                str(source),
                "-m",
                "smooth",
                "--set",
                "fwhm=2",
                "-o",
                str(tmp_path / "o.fits"),
                "--no-report",
            ]
        )
        == 0
    )
    source.unlink()
    dock = ProvenanceDock(viewer)
    for data, options, _ in layers_of_file(tmp_path / "o.fits"):
        viewer.add_image(data, **options)
    dock.rerun()
    assert dock.job is None
    assert "is not there" in dock.message.text()
