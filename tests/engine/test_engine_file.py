"""``run_file``: complete or absent, repeatable, recorded, the input untouched."""

import hashlib

import numpy as np
import pytest
from astropy.io import fits

import denoise
from denoise.cube import read, read_provenance
from denoise.cube.blockwriter import BlockWriter
from denoise.engine import CancelToken, run_file, run_options
from denoise.errors import CancelledError, OutputExistsError, ResourceError, UsageError
from denoise.testing.subject import observation

SHAPE = (12, 40, 48)


@pytest.fixture
def obs(tmp_path):
    data, _, _ = observation(SHAPE, peak_snr=12.0)
    data[:, :3] = np.nan
    cards = {
        "BUNIT": "Jy/beam", "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ",
        "CDELT1": -1e-4, "CDELT2": 1e-4, "CDELT3": 1e6, "CRVAL1": 10.0, "CRVAL2": 2.0, "CRVAL3": 1e11,
        "CUNIT1": "deg", "CUNIT2": "deg", "CUNIT3": "Hz", "BMAJ": 4e-4, "BMIN": 3.5e-4, "BPA": 30.0,
    }  # fmt: skip
    path = tmp_path / "obs.fits"
    fits.writeto(path, data.astype(">f4"), fits.Header(cards))
    return path


def run(obs, name="out.fits", **options):
    return run_file(obs, obs.with_name(name), run_options(**options))


def test_input_untouched_and_output_whole(obs):
    before = hashlib.sha256(obs.read_bytes()).hexdigest()
    result = run(obs)
    assert hashlib.sha256(obs.read_bytes()).hexdigest() == before
    given, out = fits.getdata(obs), fits.open(result.path)
    with out:
        assert np.array_equal(np.isnan(out[0].data), np.isnan(given))
        assert np.array_equal(out["RESIDUAL"].data, given - out[0].data, equal_nan=True)
        assert np.nanmedian(out["NOISE"].data) == pytest.approx(result.noise.typical, rel=1e-3)
        for card in ("BUNIT", "CRVAL3", "BMAJ", "CTYPE1"):
            assert out[0].header[card] == fits.getheader(obs)[card]
        assert "method ist" in str(out[0].header["HISTORY"])
    assert sorted(path.name for path in obs.parent.iterdir()) == ["obs.fits", "out.fits"]


def test_provenance_says_what_fixes_the_numbers(obs):
    provenance = read_provenance(run(obs, parameters={"threshold": 5.0}, seed=3).path)
    assert provenance.science["method"] == "ist"
    assert provenance.science["seed"] == "3"
    assert "threshold: 5.0" in provenance.science["configuration"]
    assert provenance.science["input_checksum"] == read(obs).checksum()
    assert provenance.run["input"] == str(obs.resolve())
    assert {"numpy", "python", "tiles"} <= set(provenance.run)


@pytest.mark.parametrize("method", ["smooth", "pca", "ist"])
def test_a_second_run_gives_the_same_bytes_and_science(obs, method):
    first, second = run(obs, "a.fits", method=method), run(obs, "b.fits", method=method)
    assert first.cube.data.tobytes() == second.cube.data.tobytes()
    assert read_provenance(first.path).science == read_provenance(second.path).science


@pytest.mark.parametrize("method", ["smooth", "ist"])
def test_writing_a_result_is_running_into_a_file(obs, method):
    save = ("residual", "noise", *(["uncert"] if method == "smooth" else []))
    filed = run(obs, method=method, save=save)
    written = denoise.denoise(obs, method).write(obs.with_name("written.fits"), save=save)
    with fits.open(filed.path) as a, fits.open(written) as b:
        assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
        for one, other in zip(a, b, strict=True):
            if one.name != "PROVENANCE":
                assert np.array_equal(one.data, other.data, equal_nan=True)


def test_uncertainty_where_the_method_gives_one(obs):
    result = run(obs, method="smooth", save=("uncert",))
    assert (fits.getdata(result.path, "UNCERT")[:, 3:] > 0).all()
    assert np.isnan(fits.getdata(result.path, "UNCERT")[:, :3]).all()


@pytest.mark.parametrize("layout", ["default", "like-input"])
def test_the_header_of_the_error_says_how_many_errors_hold_95_percent(obs, layout):
    result = run(obs, method="ist", uncertainty=2, save=("uncert",), layout=layout)
    again = denoise.denoise(obs, "ist", uncertainty=2).write(
        obs.with_name("again.fits"), save=("uncert",), layout=layout
    )
    for path in (result.path, again):
        header = fits.getheader(path, "UNCERT")
        assert (header["LIM95IN"], header["LIM95OUT"]) == result.limits
        assert header.comments["LIM95IN"].endswith("emission found")
        assert "LIM95IN" not in fits.getheader(path)
    assert 1.5 < result.limits.found < 3
    gaussian = run(obs, "smooth.fits", method="smooth", save=("uncert",))
    assert gaussian.limits is None
    assert "LIM95IN" not in fits.getheader(gaussian.path, "UNCERT")


@pytest.mark.parametrize("method", ["ist", "pca", "ica"])
def test_uncertainty_is_refused_before_work_where_it_gives_none(obs, method):
    with pytest.raises(UsageError) as caught:
        run(obs, method=method, save=("uncert",))
    assert str(caught.value) == (
        f"method {method} gives no 1 sigma error; add --uncertainty 16, which draws the noise so often, or leave "
        "uncert out of --save"
    )
    assert list(obs.parent.iterdir()) == [obs]


def test_a_variance_with_the_gains_held_fixed_is_no_error_bar(obs):
    result = denoise.denoise(obs, "pca")
    assert denoise.list_methods()["pca"].variance
    assert result.uncertainty is None
    with pytest.raises(UsageError, match="method pca gives no 1 sigma error"):
        result.write(obs.with_name("out.fits"), save=("uncert",))
    assert list(obs.parent.iterdir()) == [obs]


def test_an_existing_output_is_refused_before_work(obs):
    target = obs.with_name("out.fits")
    target.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"out\.fits"):
        run_file(obs.with_name("absent.fits"), target, run_options())
    assert target.read_text() == "mine"
    run(obs, overwrite=True)
    assert fits.getdata(target).shape == SHAPE


@pytest.mark.parametrize("stage", ["denoising"])
def test_cancelling_leaves_no_file(obs, stage):
    token = CancelToken()

    def cancel(event):
        if event.stage == stage:
            token.cancel()

    with pytest.raises(CancelledError):
        run_file(obs, obs.with_name("out.fits"), run_options(), progress=cancel, cancel=token)
    assert list(obs.parent.iterdir()) == [obs]


def test_a_full_disk_leaves_no_file_and_the_old_one_alone(obs, monkeypatch):
    target = obs.with_name("out.fits")
    target.write_text("mine")

    def full(*args):
        raise ResourceError("no space left on device", value=str(target), action="free some space")

    monkeypatch.setattr(BlockWriter, "write", full)
    with pytest.raises(ResourceError, match="no space left"):
        run(obs, overwrite=True)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in obs.parent.iterdir()) == ["obs.fits", "out.fits"]


def test_a_folder_that_is_not_there(obs):
    with pytest.raises((ResourceError, UsageError), match="missing"):
        run_file(obs, obs.parent / "missing" / "out.fits", run_options())
