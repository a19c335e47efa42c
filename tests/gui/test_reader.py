"""Reading and writing through napari's own doors; samples; every real cube."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import denoise
from denoise.errors import DenoiseError, OutputExistsError, UsageError
from napari_denoise import samples
from napari_denoise.layers import KEY, entry_of
from napari_denoise.reader import get_reader, layers_of_file
from napari_denoise.writer import write_layer

REAL = sorted(Path(os.environ.get("DENOISE_TEST_DATA", "nowhere"), "cubes").glob("*/*.fits*"))


def test_the_reader_takes_fits_and_zarr_alone():
    assert get_reader("a.FITS") is not None
    assert get_reader(["a.fits.gz", "b.zarr"]) is not None
    assert get_reader("a.tif") is None
    assert get_reader(["a.fits", "b.png"]) is None
    assert get_reader([]) is None


@pytest.mark.filterwarnings("ignore::denoise.errors.DenoiseWarning")
@pytest.mark.skipif(not REAL, reason="DENOISE_TEST_DATA is not set")
def test_real_cubes_become_layers():
    opened = 0
    for path in REAL:
        try:
            data, options, kind = layers_of_file(path)[0]
        except DenoiseError:
            continue
        low, high = options["contrast_limits"]
        assert kind == "image"
        assert low < high, path.name
        assert np.isfinite([low, high]).all()
        assert len(options["units"]) == data.ndim == len(options["axis_labels"])
        opened += 1
    assert opened > 10


def test_every_extension_of_an_output_is_a_layer(tmp_path):
    (_data, options, _), *_ = samples.disc()
    cube = options["metadata"][KEY].cube
    denoise.denoise(cube, "smooth").write(tmp_path / "out.fits", save=("uncert", "residual", "noise"))
    layers = {options["name"]: (data, options) for data, options, _ in layers_of_file(tmp_path / "out.fits")}
    assert list(layers) == [f"out.fits{end}" for end in ("", " residual", " uncertainty", " noise")]
    roles = [entry["metadata"][KEY].role for _, entry in layers.values()]
    assert roles == ["denoised", "residual", "uncertainty", "noise"]
    assert [entry["visible"] for _, entry in layers.values()] == [True, False, False, False]
    assert layers["out.fits noise"][0].ndim == 2  # one map for all channels
    assert np.nanmin(np.asarray(layers["out.fits uncertainty"][0])) > 0


def test_a_zarr_output_opens(tmp_path):
    (_, options, _), *_ = samples.muse()
    cube = options["metadata"][KEY].cube
    denoise.denoise(cube, "smooth").write(tmp_path / "out.zarr")
    names = [options["name"] for _, options, _ in layers_of_file(tmp_path / "out.zarr")]
    assert names[:2] == ["out.zarr", "out.zarr residual"]


@pytest.mark.parametrize("sample", [samples.disc, samples.merger, samples.muse])
def test_samples_open_in_napari(viewer, sample):
    for data, options, _ in sample():
        layer = viewer.add_image(data, **options)
        assert entry_of(layer).cube.path.is_file()  # a recipe can name it
    assert viewer.scene.camera.orientation2d == ("up", "left")


def test_napari_opens_a_file_and_a_sample_by_itself(viewer, tmp_path):
    (_data, options, _), *_ = samples.muse()
    path = options["metadata"][KEY].cube.path
    viewer.open(str(path), plugin="astro-denoise")
    viewer.open_sample("astro-denoise", "disc")
    assert [entry_of(layer).role for layer in viewer.layers] == ["input", "input"]
    saved = viewer.layers[1].save(str(tmp_path / "disc.fits"), plugin="astro-denoise")
    assert saved == [str(tmp_path / "disc.fits")]
    assert np.array_equal(denoise.read(saved[0]).data, np.asarray(viewer.layers[1].data), equal_nan=True)


def test_what_cannot_be_written_is_told(tmp_path):
    (data, options, _), *_ = samples.muse()
    path = str(tmp_path / "a.fits")
    write_layer(path, data, options)
    with pytest.raises(OutputExistsError):
        write_layer(path, data, options)
    with pytest.raises(UsageError, match="4 axes"):
        write_layer(str(tmp_path / "b.fits"), np.zeros((1, 2, 3, 4)), {})
    with pytest.raises(UsageError, match=r"save this layer as \.fits"):
        write_layer(str(tmp_path / "b.zarr"), data, options)


def test_a_layer_of_another_plugin_is_written_without_coordinates(tmp_path):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    write_layer(str(tmp_path / "plain.fits"), values, {"name": "plain"})
    assert np.array_equal(denoise.read(tmp_path / "plain.fits").data, values)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of npe2 and napari, when they are imported
def test_the_manifest_is_valid():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("astro-denoise")
    assert manifest.name == "astro-denoise"
    manifest.validate_imports()
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", "astro-denoise"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_starts_no_qt():
    code = "import sys, napari_denoise; print([m for m in sys.modules if 'Qt' in m or 'PySide' in m or m == 'napari'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
