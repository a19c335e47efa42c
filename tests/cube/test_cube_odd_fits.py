"""Every odd file does what the table says; refusals are one line with file, cause, value and action."""

import csv
import warnings

import numpy as np
import pytest

from denoise.cube import read, read_checked
from denoise.errors import DenoiseError, DenoiseWarning, InputError


def rows(data_folder):
    with open(data_folder / "cubes" / "odd_fits_share" / "expected.csv", newline="") as file:
        return list(csv.DictReader(file))


def real(shape):
    return tuple(int(n) for n in shape if int(n) > 1)


def test_whole_table(data_folder):
    wrong = []
    table = rows(data_folder)
    for row in table:
        path = data_folder / "cubes" / "odd_fits_share" / row["file"]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DenoiseWarning)
                cube = read_checked(path)
            ok = row["expect"] == "read" and real(cube.shape) == real(row["shape"].split("x"))
            seen = str(cube.shape)
        except DenoiseError as error:
            seen = str(error)
            ok = row["expect"].startswith("refuse") and isinstance(error, InputError) and error.exit_code == 3
            ok = ok and "\n" not in seen and row["file"] in seen and "; " in seen
        if not ok:
            wrong.append(f"{row['file']}: expected {row['expect']} {row['shape']}, got {seen}")
    assert len(table) > 80
    assert not wrong, "\n".join(wrong)


def test_refused_four_axes_read_with_stokes(data_folder):
    folder = data_folder / "cubes" / "odd_fits_share"
    for name, shape in (
        ("carta-backend__noise_4d.fits", (5, 10, 10)),
        ("kapteyn__manyaxes.fits", (10, 50, 50)),
        ("kapteyn__ra_pol_freq_dec.fits", (16, 41, 35)),
    ):
        cube = read(folder / name, stokes=1)
        assert cube.shape == shape
        assert np.isfinite(cube.read()).any()


def test_constant_is_refused_for_a_run(data_folder):
    cube = read(data_folder / "cubes" / "odd_fits_share" / "astropy__fixed-1890.fits")
    with pytest.raises(InputError, match=r"constant.*1890"):
        cube.inspect()


def test_real_cubes_round_trip(data_folder, tmp_path):
    """Every real cube: opened, inspected, written, read again with equal pixels and axes."""
    from denoise.cube import write

    files = [f for f in sorted((data_folder / "cubes").glob("*/*.fits*")) if "odd_fits" not in f.parent.name]
    assert len(files) > 20
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DenoiseWarning)
            cube = read(path)
            found = cube.inspect()
            out = write(cube, tmp_path / "out.fits", overwrite=True)
            again = read(out)
        assert 0 < found.coverage <= 1
        assert again.shape == cube.shape, path.name
        assert again.unit_text == cube.unit_text, path.name
        assert again.dtype == cube.dtype, path.name
        assert np.array_equal(again.read(), cube.read(), equal_nan=True), path.name
        if cube.spectral_axis is not None:
            assert np.array_equal(again.spectral_axis.values, cube.spectral_axis.values), path.name


def test_ngc4710_zeros_outside_the_beam(data_folder):
    cube = read_checked(data_folder / "cubes" / "co10_ngc4710_carma" / "NGC4710cube.fits")
    block = cube.read()
    assert np.isnan(block).mean() == pytest.approx(0.4894, abs=1e-3)
    assert not (block == 0).any()
    assert cube.spectral_axis.convention == "unknown"
    assert "not stated" in cube.spectral_axis.velocity_label


def test_gmos_companions(data_folder):
    cube = read(data_folder / "cubes" / "gmos_ngc3081" / "ngc3081_cube.fits")
    assert cube.noise_source.kind == "unknown"
    assert np.isnan(cube.read((slice(0, 1), slice(0, 8), slice(0, 6)))).sum() == 2
    assert "Angstrom" in str(cube.unit)


@pytest.mark.parametrize(
    "path", ["muse_a478_cut/a478_minicube_p1500-2299.fits", "muse_udf_mosaic/subcub_mosaic.fits"]
)
def test_muse_stat_is_variance(data_folder, path):
    cube = read(data_folder / "cubes" / path)
    assert (cube.noise_source.kind, cube.noise_source.label) == ("variance", "STAT")
    assert cube.noise_source.pixels.shape == cube.shape
