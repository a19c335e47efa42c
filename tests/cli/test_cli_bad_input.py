"""Inputs with nothing to denoise, or hardly anything, through the command with the default method."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from denoise.cli.app import execute

SHAPE = (10, 24, 24)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENOISE_DEBUG", "0")


def noise(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def blank_but(value: float) -> np.ndarray:
    data = np.full(SHAPE, np.nan, "f4")
    data[4, 5, 6] = value
    return data


BAD = {
    "all NaN": (np.full(SHAPE, np.nan, "f4"), "every voxel is NaN"),
    "all infinite": (np.full(SHAPE, np.inf, "f4"), "every voxel is NaN"),
    "all zero": (np.zeros(SHAPE, "f4"), "every voxel is 0"),
    "all zero, integers": (np.zeros(SHAPE, "i2"), "every voxel is 0"),
    "constant": (np.full(SHAPE, 7, "f4"), "constant.*7"),
    "constant where not NaN": (np.where(noise(SHAPE) > 0, np.nan, np.float32(3)), "constant.*3"),
    "one voxel that is not NaN": (blank_but(2.0), "constant|voxel"),
    "one pixel": (noise((1, 1, 1)), "no image with two axes"),
    "one pixel, many channels": (noise((20, 1, 1)), "no image with two axes"),
    "one pixel, image": (noise((1, 1)), "no image with two axes"),
    "no voxels": (np.zeros((0, 4, 4), "f4"), "."),
}


@pytest.mark.parametrize("name", BAD)
def test_nothing_to_denoise_is_one_line_and_3(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, cause = BAD[name]
    fits.writeto("bad.fits", data)
    before = Path("bad.fits").read_bytes()
    assert execute(["run", "bad.fits"]) == 3
    shown = capsys.readouterr()
    assert re.fullmatch(rf"error: (?=.*bad\.fits)(?=.*(?:{cause})).*; .+\n", shown.err), shown.err
    assert shown.out == ""
    assert [path.name for path in Path().iterdir()] == ["bad.fits"]
    assert Path("bad.fits").read_bytes() == before


@pytest.mark.parametrize("bytes_left", [0, 80, 2879, 2880, 5760, 20000])
def test_a_truncated_file_is_one_line_and_3(bytes_left: int, capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto("cut.fits", noise(SHAPE))
    assert Path("cut.fits").stat().st_size > 20000
    os.truncate("cut.fits", bytes_left)
    assert execute(["run", "cut.fits"]) == 3
    shown = capsys.readouterr()
    assert re.fullmatch(r"error: .*cut\.fits.*; .+\n", shown.err), shown.err
    assert [path.name for path in Path().iterdir()] == ["cut.fits"]


@pytest.mark.parametrize(
    "shape",
    [(1, 32, 32), (32, 32), (1, 1, 32, 32), (2, 32, 32), (40, 5, 4), (300, 1, 12), (12, 1, 300)],
    ids=str,
)
def test_thin_cubes_and_images_are_denoised(
    shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    data = noise(shape)
    data[..., shape[-2] // 2, shape[-1] // 2] += 40
    fits.writeto("thin.fits", data)
    assert execute(["run", "thin.fits", "--no-report"]) == 0, capsys.readouterr().err
    with fits.open("thin_denoised.fits") as hdus:
        assert hdus[0].shape == shape
        assert np.isfinite(hdus[0].data).all()
        assert hdus[0].data[..., shape[-2] // 2, shape[-1] // 2].max() > 20
