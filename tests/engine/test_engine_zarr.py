"""A run into Zarr: all that the FITS file would say, whole or absent, read back as it was."""

import shutil

import numpy as np
import pytest
from astropy.io import fits

import denoise
from denoise.cube import read, read_provenance
from denoise.engine import CancelToken, run_file, run_options
from denoise.errors import CancelledError, OutputExistsError, ResourceError, UsageError
from denoise.testing.subject import observation

zarr = pytest.importorskip("zarr", reason="the extra [cluster] is not installed")

SHAPE = (12, 400, 70)
MEMORY = 8_000_000  # some tiles
CARDS = {
    "BUNIT": "Jy/beam", "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "STOKES", "CTYPE4": "FREQ",
    "CDELT1": -1e-4, "CDELT2": 1e-4, "CDELT4": 1e6, "CRVAL1": 10.0, "CRVAL2": 2.0, "CRVAL4": 1e11, "CRVAL3": 1.0,
    "CUNIT1": "deg", "CUNIT2": "deg", "CUNIT4": "Hz", "OBJECT": "NGC 1",
}  # fmt: skip


@pytest.fixture
def obs(tmp_path):
    """A radio cube with a Stokes axis of length 1 and a beam for each channel."""
    data, _, _ = observation(SHAPE, peak_snr=12.0)
    data[:, :3] = np.nan
    beams = fits.BinTableHDU.from_columns(
        [
            fits.Column("BMAJ", "E", "arcsec", array=np.linspace(1.4, 1.5, 12)),
            fits.Column("BMIN", "E", "arcsec", array=np.full(12, 1.2)),
            fits.Column("BPA", "E", "deg", array=np.full(12, 30.0)),
            fits.Column("CHAN", "J", array=np.arange(12)),
            fits.Column("POL", "J", array=np.zeros(12)),
        ],
        name="BEAMS",
    )
    path = tmp_path / "obs.fits"
    fits.HDUList([fits.PrimaryHDU(data[:, None].astype(">f4"), fits.Header(CARDS)), beams]).writeto(path)
    return path


def run(obs, name, **changes):
    options = {"method": "smooth", "memory": MEMORY, "parameters": {"fwhm": 2.0}, **changes}
    return run_file(obs, obs.with_name(name), run_options(save=("uncert", "residual", "noise"), **options))


def left(obs):
    return sorted(path.name for path in obs.parent.iterdir())


def test_zarr_says_what_fits_says(obs):
    file, group = run(obs, "out.fits"), run(obs, "out.zarr")
    assert not group.provenance.run["tiles"].startswith("1 ")
    store = zarr.open(group.path, mode="r")
    with fits.open(file.path) as hdus:
        assert set(store.array_keys()) == {"DATA", *(hdu.name for hdu in hdus[1:] if hdu.is_image)}
        for hdu in hdus:
            if hdu.is_image:
                array = store[hdu.name if hdu.name != "PRIMARY" else "DATA"]
                assert np.array_equal(array[...], hdu.data, equal_nan=True)
                cards = fits.Header.fromstring("".join(array.attrs["fits_cards"]))
                assert cards.tostring() == hdu.header.tostring()
    assert store["DATA"].metadata.zarr_format == 3
    assert store["DATA"].shape == (12, 1, 400, 70)
    assert (store["DATA"].chunks, store["DATA"].shards) == ((12, 1, 64, 64), (12, 1, 64, 128))
    assert store["DATA"].metadata.dimension_names == ("channel", "axis1", "y", "x")
    assert read_provenance(group.path).science == read_provenance(file.path).science


def test_reading_it_back(obs):
    file, group = run(obs, "out.fits"), run(obs, "out.zarr")
    a, b = read(file.path), read(group.path)
    assert np.array_equal(a.data, b.data, equal_nan=True)
    assert (a.unit, a.unit_text, a.shape) == (b.unit, b.unit_text, b.shape)
    assert a.wcs.wcs.compare(b.wcs.wcs)
    assert np.array_equal(a.spectral_axis.values, b.spectral_axis.values)
    assert a.beams.per_plane
    for name in ("major", "minor", "pa"):
        assert np.array_equal(getattr(a.beams, name), getattr(b.beams, name))
    assert a.beams.pixels == b.beams.pixels
    assert b.noise_source.kind == "sigma"
    assert np.array_equal(b.noise_source.pixels.read(None), a.noise_source.pixels.read(None), equal_nan=True)
    assert np.array_equal(read(group.path, hdu="RESIDUAL").data, group.residual.data, equal_nan=True)
    assert np.array_equal(group.uncertainty.data, file.uncertainty.data, equal_nan=True)
    assert group.metrics == file.metrics
    again = denoise.denoise(group.path, "ist")
    again.write(obs.with_name("again.fits"))
    header = fits.getheader(obs.with_name("again.fits"))
    assert {key: header[key] for key in CARDS} == CARDS


def test_a_result_is_written_to_zarr_too(obs):
    result = denoise.denoise(obs, "smooth", fwhm=2.0)
    result.write(obs.with_name("written.zarr"), save=("uncert",))
    back = read(obs.with_name("written.zarr"))
    assert np.array_equal(back.data, result.cube.data, equal_nan=True)
    assert np.array_equal(back.noise_source.pixels.read(None), result.uncertainty.data, equal_nan=True)


def test_an_existing_group_is_refused_or_replaced(obs):
    run(obs, "out.zarr")
    with pytest.raises(OutputExistsError, match=r"out\.zarr"):
        run(obs, "out.zarr")
    run(obs, "out.zarr", overwrite=True, parameters={"fwhm": 3.0})
    assert "fwhm: 3.0" in read_provenance(obs.with_name("out.zarr")).science["configuration"]
    assert left(obs) == ["obs.fits", "out.zarr"]


def test_a_folder_that_is_no_zarr_is_left_alone(obs):
    mine = obs.with_name("mine.zarr")
    mine.mkdir()
    with pytest.raises(UsageError, match="the output is a folder"):
        run(obs, "mine.zarr", overwrite=True)
    assert left(obs) == ["mine.zarr", "obs.fits"]


@pytest.mark.parametrize("how", ["cancelled", "removed"])
def test_a_run_that_ends_early_leaves_nothing(obs, how):
    token, folder = CancelToken(), obs.parent / "results"
    folder.mkdir()

    def progress(event):
        if event.stage == "denoising" and event.done == 1:
            token.cancel() if how == "cancelled" else shutil.rmtree(folder, ignore_errors=True)

    error = CancelledError if how == "cancelled" else ResourceError
    options = run_options(method="smooth", memory=MEMORY, parameters={"fwhm": 2.0})
    with pytest.raises(error):
        run_file(obs, folder / "out.zarr", options, progress=progress, cancel=token)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_layouts_of_fits_are_for_fits(obs):
    with pytest.raises(UsageError, match=r"write a \.fits file"):
        run(obs, "out.zarr", layout="like-input")
    assert left(obs) == ["obs.fits"]
