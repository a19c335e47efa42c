"""Several denoise steps in a row: the account of the last file is against the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from denoise.cube import read_provenance
from denoise.engine import run_file, run_options
from denoise.errors import NoiseError, ParameterError

SHAPE = (16, 32, 32)
THEN = [{"method": "pca", "parameters": {"n_components": 3}}]


@pytest.fixture
def obs(tmp_path: Path) -> Path:
    c, y, x = (np.arange(n) - n // 2 for n in SHAPE)
    line = 15 * np.exp(-0.5 * ((c[:, None, None] / 2) ** 2 + (y[:, None] / 2.5) ** 2 + (x / 2.5) ** 2))
    data = line + np.random.default_rng(4).normal(size=SHAPE)
    data[:, :2] = np.nan
    fits.writeto(tmp_path / "obs.fits", data.astype(">f4"))
    return tmp_path / "obs.fits"


def test_residual_noise_and_metrics_are_of_the_input(obs: Path, tmp_path: Path) -> None:
    one = run_file(obs, tmp_path / "one.fits", run_options(method="smooth"))
    both = run_file(obs, tmp_path / "both.fits", run_options(method="smooth", then=THEN))
    given = fits.getdata(obs)
    with fits.open(tmp_path / "one.fits") as first, fits.open(tmp_path / "both.fits") as last:
        assert not np.array_equal(first[0].data, last[0].data, equal_nan=True)
        np.testing.assert_allclose(last[0].data + last["RESIDUAL"].data, given, atol=1e-5)
        np.testing.assert_array_equal(first["NOISE"].data, last["NOISE"].data)
        assert np.isnan(last[0].data[:, :2]).all()
        assert np.isfinite(last[0].data[:, 2:]).all()
    for name in ("noise_before", "flux_before", "detected_voxels", "total_before", "peak_snr_before"):
        assert both.metrics[name] == pytest.approx(one.metrics[name], rel=1e-6), name
    assert both.metrics["total_after"] == pytest.approx(np.nansum(both.cube.data), rel=1e-4)
    assert both.method == "smooth, pca"


def test_each_step_measures_the_noise_that_is_left(obs: Path, tmp_path: Path) -> None:
    """The second step of a chain is a run of its own on what the first wrote."""
    run_file(obs, tmp_path / "one.fits", run_options(method="smooth", save=()))
    run_file(tmp_path / "one.fits", tmp_path / "two.fits", run_options(method="pca", **_parameters()))
    run_file(obs, tmp_path / "both.fits", run_options(method="smooth", then=THEN))
    apart, together = fits.getdata(tmp_path / "two.fits"), fits.getdata(tmp_path / "both.fits")
    np.testing.assert_allclose(together, apart, atol=1e-5, equal_nan=True)


def _parameters() -> dict[str, object]:
    return {"parameters": THEN[0]["parameters"], "companion": "ignore"}


def test_excluded_voxels_and_the_continuum_go_through_all_steps(obs: Path, tmp_path: Path) -> None:
    options = run_options(method="smooth", then=THEN, continuum="median")
    run_file(obs, tmp_path / "out.fits", options, input_options={"exclude": "channels 3:4"})
    given, out = fits.getdata(obs), fits.getdata(tmp_path / "out.fits")
    np.testing.assert_array_equal(out[3:5], given[3:5])
    assert not np.array_equal(out[5:], given[5:], equal_nan=True)


def test_the_record_names_every_step(obs: Path, tmp_path: Path) -> None:
    run_file(obs, tmp_path / "both.fits", run_options(method="smooth", then=THEN))
    science = read_provenance(tmp_path / "both.fits").science
    recorded = yaml.safe_load(science["configuration"])
    assert science["method"] == "smooth, pca"
    assert recorded["method"] == "smooth"
    assert [step["method"] for step in recorded["then"]] == ["pca"]
    assert recorded["then"][0]["parameters"]["n_components"] == 3
    assert "fwhm" in recorded["parameters"]


def test_an_error_bar_and_a_wrong_parameter_are_refused_first(obs: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="several denoise steps"):
        run_options(method="smooth", then=[{"method": "smooth"}], save=("uncert",))
    wrong = run_options(method="smooth", then=[{"method": "pca", "parameters": {"odd": 1}}])
    with pytest.raises(ParameterError, match="odd"):
        run_file(obs, tmp_path / "out.fits", wrong)
    assert not (tmp_path / "out.fits").exists()


def test_a_step_after_one_that_zeroes_the_background_is_refused(obs: Path, tmp_path: Path) -> None:
    """The noise that is left would come out as that of the zeros, and everything as emission."""
    options = run_options(method="smooth", positivity="on", then=THEN)
    with pytest.raises(NoiseError, match=r"method smooth left exact zeros.*% of the voxels.*put smooth last"):
        run_file(obs, tmp_path / "out.fits", options)
    assert [path.name for path in tmp_path.iterdir()] == ["obs.fits"]
